#!/usr/bin/env bash
# A real Kafka broker (one KRaft node) in a folder of its own, on free ports of 127.0.0.1.
#   kafka.sh install                 finds or downloads Kafka; ends with 3 when there is none to be had
#   kafka.sh start DIR [KEY=VALUE…]  further lines of server.properties; prints BROKERS, PORT, PID
#     +NAME=PROTOCOL                 a further listener with a port of its own; prints NAME=localhost:port
#     +NAME=PROTOCOL@PORT            the same behind a proxy: clients are told that it is at 127.0.0.1:PORT
#   kafka.sh tool DIR CLASS …        runs one of Kafka's tools on it, as org.apache.kafka.tools.AclCommand
#   kafka.sh stop DIR | kill DIR     orderly | kill -9; a later start goes on with the same data and port
# Taken in this order:
#   SLUICEGATE_TEST_KAFKA   host:port of a broker that runs already (tests that end or configure their broker do not run on it)
#   KAFKA_HOME              a Kafka folder of 4.0 or later (bin/kafka-server-start.sh); needs Java 17
#   the official download, checked against its published SHA-512
set -euo pipefail
name=kafka
source "$(dirname "$(readlink -f "$0")")/server.bash"

version=4.3.0
release=kafka_2.13-$version
site=${SLUICEGATE_KAFKA_SITE:-https://archive.apache.org/dist/kafka/$version}

none() {
  echo "kafka: $*" >&2
  echo "kafka: set KAFKA_HOME to a Kafka folder, or SLUICEGATE_TEST_KAFKA to a running broker's host:port" >&2
  exit 3
}

# Downloads once; a machine without the way there is told so in seconds.
download() {
  [ -e "$CACHE/$release/.done" ] && return 0
  local part=$CACHE/$release.tgz expected actual
  command -v curl >/dev/null || none "curl, which the download needs, is missing"
  curl -fsSL --connect-timeout 10 --retry 2 -o "$part.sha512" "$site/$release.tgz.sha512" || none "$site cannot be reached"
  curl -fsSL --connect-timeout 10 --retry 2 -o "$part" "$site/$release.tgz" || none "$site/$release.tgz cannot be downloaded"
  # the published file is "NAME: AB12 CD34 …" over several lines
  expected=$(sed 's/^.*://' "$part.sha512" | tr -d ' \n\r' | tr 'A-F' 'a-f')
  actual=$(sha512sum <"$part" | cut -d' ' -f1)
  [ "$expected" = "$actual" ] || fail "$site/$release.tgz does not have its published SHA-512; delete $part and try again"
  rm -rf "${CACHE:?}/$release"
  tar -xzf "$part" -C "$CACHE"
  touch "$CACHE/$release/.done"
  rm -f "$part" "$part.sha512"
}

install() {
  [ -n "${SLUICEGATE_TEST_KAFKA-}" ] && return 0
  if [ -n "${KAFKA_HOME-}" ]; then
    [ -x "$KAFKA_HOME/bin/kafka-server-start.sh" ] || fail "KAFKA_HOME=$KAFKA_HOME has no bin/kafka-server-start.sh"
  else
    locked kafka-download download
    KAFKA_HOME=$CACHE/$release
  fi
  [ -n "${JAVA_HOME-}" ] || locked install apt_install java default-jre-headless
}

properties() {
  local dir=$1 port=$2 controller=$3
  shift 3
  cat <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=$dir/data
num.partitions=1
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=4194304
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
P
  [ $# = 0 ] || printf '%s\n' "$@"
}

# The lines of server.properties with listeners beside those above: DIR PORT CONTROLLER NAME=PROTOCOL…
listeners() {
  local dir=$1 port=$2 listener protocol own told
  local listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$3 advertised=PLAINTEXT://127.0.0.1:$port
  local map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
  shift 3
  for listener in "$@"; do
    own=localhost:$(port_of "$dir" "listener-${listener%%=*}")
    protocol=${listener#*=} told=$own
    case $protocol in *@*) told=127.0.0.1:${protocol#*@} protocol=${protocol%@*} ;; esac
    listeners=$listeners,${listener%%=*}://127.0.0.1:${own##*:}
    advertised=$advertised,${listener%%=*}://$told
    map=$map,${listener%%=*}:$protocol
  done
  printf '%s\n' "listeners=$listeners" "advertised.listeners=$advertised" "listener.security.protocol.map=$map"
}

# A formatted data folder, made once and copied: formatting costs a start of the Java machine.
template() {
  template=$CACHE/kafka-data-1-$(cksum <<<"$KAFKA_HOME" | cut -d' ' -f1)
  [ -e "$template/.done" ] && return 0
  rm -rf "$template"
  mkdir -p "$template/data"
  properties "$template" 15000 15001 >"$template/server.properties"
  "$KAFKA_HOME/bin/kafka-storage.sh" format -t "$(head -c16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')" \
    -c "$template/server.properties" >"$template/format.log" 2>&1 || fail_with_log "$template/format.log" "kafka-storage.sh format failed"
  touch "$template/.done"
}

start() {
  local dir=$1
  shift
  install
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if [ -n "${SLUICEGATE_TEST_KAFKA-}" ]; then
    [ $# = 0 ] || none "the running broker cannot be given options"
    echo "BROKERS=$SLUICEGATE_TEST_KAFKA"
    echo "PORT=${SLUICEGATE_TEST_KAFKA##*:}"
    return
  fi
  running "$dir" && fail "the broker in $dir runs already"
  if [ ! -d "$dir/data" ]; then
    locked kafka-template template
    cp -a --reflink=auto "$template/data" "$dir/data.new"
    mv "$dir/data.new" "$dir/data"
  fi
  local attempt argument
  local -a further=() lines=()
  for argument in "$@"; do
    case $argument in +*) further+=("${argument#+}") ;; *) lines+=("$argument") ;; esac
  done
  for attempt in 1 2 3; do
    [ ${#further[@]} = 0 ] || listeners "$dir" "$(port_of "$dir")" "$(port_of "$dir" controller-port)" "${further[@]}" >"$dir/listeners"
    properties "$dir" "$(port_of "$dir")" "$(port_of "$dir" controller-port)" "${lines[@]}" >"$dir/server.properties"
    [ ! -e "$dir/listeners" ] || cat "$dir/listeners" >>"$dir/server.properties"
    # what an earlier process wrote is kept
    [ ! -s "$dir/server.log" ] || cat "$dir/server.log" >>"$dir/server.log.before"
    : >"$dir/server.log"
    LOG_DIR="$dir/logs" KAFKA_TIERED=1 KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xms64m -Xmx384m}" \
      KAFKA_JVM_PERFORMANCE_OPTS='-server -XX:+UseSerialGC -XX:TieredStopAtLevel=1' \
      setsid "$KAFKA_HOME/bin/kafka-server-start.sh" "$dir/server.properties" </dev/null >>"$dir/server.log" 2>&1 &
    echo $! >"$dir/pid"
    if wait_for "$dir" "$dir/server.log" 'Kafka Server started'; then
      echo "BROKERS=127.0.0.1:$(cat "$dir/port")"
      echo "PORT=$(cat "$dir/port")"
      echo "PID=$(cat "$dir/pid")"
      for argument in "${further[@]}"; do echo "${argument%%=*}=localhost:$(cat "$dir/listener-${argument%%=*}")"; done
      return
    fi
    rm -f "$dir/port" "$dir/controller-port" "$dir"/listener-*
  done
  fail_with_log "$dir/server.log" "no free ports after $attempt attempts"
}

tool() {
  local dir=$1 class=$2
  shift 2
  install
  KAFKA_HEAP_OPTS='-Xmx128m' KAFKA_JVM_PERFORMANCE_OPTS='-XX:+UseSerialGC -XX:TieredStopAtLevel=1' \
    "$KAFKA_HOME/bin/kafka-run-class.sh" "$class" --bootstrap-server "127.0.0.1:$(cat "$dir/port")" "$@"
}

case ${1-} in
  install) install ;;
  start) [ $# -ge 2 ] || usage; shift; start "$@" ;;
  tool) [ $# -ge 3 ] || usage; shift; tool "$@" ;;
  stop) [ $# = 2 ] || usage; end "$2" TERM ;;
  kill) [ $# = 2 ] || usage; end "$2" KILL ;;
  *) usage ;;
esac
