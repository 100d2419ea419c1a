# Shared by the start scripts of the test servers: downloads, ports, waiting, ending. Sourced, never run.
# A script sets `name` and calls these; every instance lives in a folder of its own, holding `pid`, `port` and its log.

CACHE=${SLUICEGATE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate}/servers
PATH=$PATH:/usr/sbin:/sbin

fail() {
  echo "$name: $*" >&2
  exit 1
}

# fail, with the end of a log in front
fail_with_log() {
  local log=$1
  shift
  [ -s "$log" ] && { echo "--- end of $log"; tail -n 30 "$log"; echo "---"; } >&2
  fail "$@"
}

# Runs a command while holding a lock, so that tests that start at once install or initialise once.
locked() {
  local lock=$1
  shift
  mkdir -p "$CACHE"
  exec 9>"$CACHE/$lock.lock"
  flock -w 1200 9 || fail "waited 20 minutes for $CACHE/$lock.lock; end the process that holds it"
  "$@"
  exec 9>&-
}

# Debian packages, installed if one of the commands is missing: apt_install 'commands' packages...
apt_install() {
  local commands=$1 command missing=
  shift
  for command in $commands; do command -v "$command" >/dev/null || missing="$missing $command"; done
  [ -n "$missing" ] || return 0
  command -v apt-get >/dev/null || fail "missing:$missing. Install them (Debian's packages: $*) and try again"
  local -a apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  [ "$(id -u)" = 0 ] || apt=(sudo "${apt[@]}")
  # package lists may be missing or stale: then the second round, with fresh ones, decides
  "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 && return 0
  "${apt[@]}" update >&2 || fail "apt-get update failed; see above"
  "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null || fail "cannot install $*; see above"
}

# A free port of 127.0.0.1 below the range that outgoing connections use.
free_port() {
  local port
  for _ in $(seq 200); do
    port=$((15000 + (RANDOM * 32768 + RANDOM) % 16000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  fail "no free port between 15000 and 31000"
}

# The port of this folder's server: the one it had before, so that clients find it again.
port_of() {
  local dir=$1 file=${2:-port}
  [ -s "$dir/$file" ] || free_port >"$dir/$file"
  cat "$dir/$file"
}

running() { [ -s "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

# Waits until the log says so, at most 120 s: wait_for DIR LOG TEXT. Answers 1 when the port was taken meanwhile.
wait_for() {
  local dir=$1 log=$2 text=$3
  for _ in $(seq 1200); do
    grep -q -s -E "$text" "$log" && return 0
    if ! running "$dir"; then
      rm -f "$dir/pid"
      grep -q -s -i -E 'address already in use|in use' "$log" && return 1
      fail_with_log "$log" "the server ended while starting"
    fi
    sleep 0.1
  done
  fail_with_log "$log" "the server is not ready after 120 s"
}

# end DIR SIGNAL: signals this folder's server and waits until it is gone.
end() {
  local dir=$1 signal=$2 pid
  [ -s "$dir/pid" ] || return 0
  pid=$(cat "$dir/pid")
  kill "-$signal" "$pid" 2>/dev/null || true
  for _ in $(seq 600); do
    kill -0 "$pid" 2>/dev/null || { rm -f "$dir/pid"; return 0; }
    sleep 0.1
  done
  fail "process $pid did not end within 60 s of SIG$signal"
}

usage() {
  echo "usage: $0 install | start DIR [options] | stop DIR | kill DIR" >&2
  exit 2
}
