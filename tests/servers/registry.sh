#!/usr/bin/env bash
# A real schema registry with Confluent's REST protocol (Apicurio Registry) in a folder of its own, on a free port of 127.0.0.1.
#   registry.sh install     finds a registry; ends with 3 when there is none to be had
#   registry.sh start DIR   prints URL, PORT, PID
#   registry.sh stop DIR | kill DIR
# Taken in this order:
#   SLUICEGATE_TEST_REGISTRY   the address of a registry that runs already, with its path (tests that end it do not run on it)
#   REGISTRY_HOME              a folder with Apicurio Registry 2 (apicurio-registry-app-*-runner.jar and lib/); needs Java 17.
#                              It comes from Maven Central: io.apicurio:apicurio-registry-app, classifier `all`
set -euo pipefail
name=registry
source "$(dirname "$(readlink -f "$0")")/server.bash"

none() {
  echo "registry: $*" >&2
  echo "registry: set REGISTRY_HOME to a folder with Apicurio Registry, or SLUICEGATE_TEST_REGISTRY to a running registry's address" >&2
  exit 3
}

install() {
  [ -n "${SLUICEGATE_TEST_REGISTRY-}" ] && return 0
  [ -n "${REGISTRY_HOME-}" ] || none "no registry is named"
  compgen -G "$REGISTRY_HOME/apicurio-registry-app-*-runner.jar" >/dev/null ||
    fail "REGISTRY_HOME=$REGISTRY_HOME has no apicurio-registry-app-*-runner.jar"
  [ -n "${JAVA_HOME-}" ] || locked install apt_install java default-jre-headless
}

start() {
  local dir=$1 attempt port
  install
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  if [ -n "${SLUICEGATE_TEST_REGISTRY-}" ]; then
    echo "URL=${SLUICEGATE_TEST_REGISTRY%/}"
    echo "PORT=$(sed -E 's|^[a-z]+://[^/:]+:?([0-9]*).*|\1|' <<<"$SLUICEGATE_TEST_REGISTRY")"
    return
  fi
  running "$dir" && fail "the registry in $dir runs already"
  for attempt in 1 2 3; do
    port=$(port_of "$dir")
    : >"$dir/server.log"
    setsid "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 \
      -Dquarkus.http.port="$port" -jar "$REGISTRY_HOME"/apicurio-registry-app-*-runner.jar </dev/null >>"$dir/server.log" 2>&1 &
    echo $! >"$dir/pid"
    if wait_for "$dir" "$dir/server.log" 'Listening on'; then
      echo "URL=http://127.0.0.1:$port/apis/ccompat/v7"
      echo "PORT=$port"
      echo "PID=$(cat "$dir/pid")"
      return
    fi
    rm -f "$dir/port"
  done
  fail_with_log "$dir/server.log" "no free port after $attempt attempts"
}

case ${1-} in
  install) install ;;
  start) [ $# = 2 ] || usage; start "$2" ;;
  stop) [ $# = 2 ] || usage; end "$2" TERM ;;
  kill) [ $# = 2 ] || usage; end "$2" KILL ;;
  *) usage ;;
esac
