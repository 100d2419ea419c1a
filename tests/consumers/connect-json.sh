#!/usr/bin/env bash
# Reads the records of FILES, one a line, with Kafka Connect's JSON converter (schemas.enable), and prints each column of `after` with its
# type. Kafka's libraries are those of the broker (KAFKA_HOME, or what kafka.sh downloaded); the program is run from its source, so it
# needs a JDK.
set -euo pipefail
name=consumers/connect-json.sh
here=$(dirname "$(readlink -f "$0")")
source "$here/../servers/server.bash"

command -v javac >/dev/null || locked install apt_install javac default-jdk-headless >&2
libraries=${KAFKA_HOME-}
if [ -z "$libraries" ]; then
  libraries=$(ls -d "$CACHE"/kafka_*/ 2>/dev/null | sort -V | tail -n 1) || true
fi
[ -d "$libraries/libs" ] || fail "no Kafka libraries: set KAFKA_HOME, or run tests/servers/kafka.sh install"
exec java -Xshare:auto -XX:TieredStopAtLevel=1 -cp "$libraries/libs/*" "$here/ConnectJson.java" "$@"
