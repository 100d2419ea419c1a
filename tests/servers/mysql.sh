#!/usr/bin/env bash
# A real MySQL 9 server in a folder of its own, on a free port of 127.0.0.1.
#   mysql.sh install                 unpacks Debian sid's server into a cache folder; nothing is installed on the system
#   mysql.sh start DIR [options]     options of mysqld; prints PORT, PID, SOCKET, USER, PASSWORD
#   mysql.sh stop DIR | kill DIR     orderly | kill -9; a later start goes on with the same data and port
# MYSQL_HOME: a folder of an official MySQL 8.4 or later (bin/mysqld) to use instead.
# The binlog is on, in row format with full images and metadata, and GTIDs are on; options given override that.
set -euo pipefail
name=mysql
source "$(dirname "$(readlink -f "$0")")/server.bash"

as_user=()
[ "$(id -u)" = 0 ] && as_user=(--user=root)
root=$CACHE/mysql-root

if [ -n "${MYSQL_HOME-}" ]; then
  program=("$MYSQL_HOME/bin/mysqld" --no-defaults "${as_user[@]}" --basedir="$MYSQL_HOME")
else
  # the unpacked server with its own loader and libraries: it is newer than the system's
  triplet=$(uname -m)-linux-gnu
  loader=$root/usr/lib64/ld-linux-x86-64.so.2
  [ "$(uname -m)" = aarch64 ] && loader=$root/usr/lib/ld-linux-aarch64.so.1
  program=("$loader" --library-path "$root/usr/lib/$triplet:$root/usr/lib/mysql/private" "$root/usr/sbin/mysqld" --no-defaults "${as_user[@]}"
    --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" --character-sets-dir="$root/usr/share/mysql/charsets"
    --plugin-dir="$root/usr/lib/mysql/plugin")
fi

# apt with its own lists, status and cache: the system's packages are neither read nor changed
apt_private() {
  apt-get -qq -o Dir::Etc::sourcelist="$root/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$root/apt/lists" -o Dir::State::status="$root/apt/status" -o Dir::Cache="$root/apt/cache" \
    -o APT::Install-Recommends=0 -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3 \
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled=false \
    -o Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled=false "$@"
}

install() {
  if [ -n "${MYSQL_HOME-}" ]; then
    [ -x "$MYSQL_HOME/bin/mysqld" ] || fail "MYSQL_HOME=$MYSQL_HOME has no bin/mysqld"
    return 0
  fi
  [ -e "$root/.done" ] && return 0
  command -v apt-get >/dev/null || fail "there is no apt here: set MYSQL_HOME to a folder of an official MySQL"
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror
  [ -s "$keyring" ] || apt_install debian-archive-keyring-is-missing debian-archive-keyring
  rm -rf "$root"
  mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial" "$root/debs"
  : >"$root/apt/status"
  # the machine's own Debian mirror where it has one, at the newer suite
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u | grep -E '/debian/?$' | head -n 1) || true
  echo "deb [signed-by=$keyring] ${mirror:-http://deb.debian.org/debian} sid main" >"$root/apt/sources.list"
  apt_private update >&2 || fail "Debian sid's package lists cannot be read from ${mirror:-deb.debian.org}"
  # everything that the server needs (nothing counts as installed), except what it does without at run time
  apt_private -y --print-uris install mysql-server-core >"$root/uris" || fail "Debian sid no longer offers mysql-server-core: set MYSQL_HOME to a folder of an official MySQL"
  awk '{print $2}' "$root/uris" | grep -v -E '^(perl|libperl|mysql-common|gdbm|libgdbm|libdb5|readline)' | sed 's/_.*//' >"$root/packages"
  (cd "$root/debs" && xargs -a "$root/packages" -r bash -c 'apt_private download "$@"' _ >&2) || fail "downloading Debian sid's mysql-server-core failed; see above"
  local deb
  for deb in "$root"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*'
  done
  "${program[@]}" --version >&2 || fail "the unpacked server does not run"
  rm -rf "$root/apt" "$root/debs"
  touch "$root/.done"
}
export -f apt_private
export root

# An initialised data folder with the account, made once for each server version and copied for each instance.
template() {
  local version
  version=$("${program[@]}" --version | sed 's/.*Ver/Ver/' | tr -cs 'A-Za-z0-9.' '-')
  template="$CACHE/mysql-data-$version-1"
  [ -e "$template/.done" ] && return 0
  rm -rf "$template"
  mkdir -p "$template"
  cat >"$template/init.sql" <<'SQL'
CREATE USER 'cdc'@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 'cdcpw';
GRANT ALL ON *.* TO 'cdc'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE shop;
SQL
  "${program[@]}" --datadir="$template/data" --initialize-insecure --init-file="$template/init.sql" --innodb-redo-log-capacity=8M \
    --innodb-buffer-pool-size=64M --log-error="$template/init.log" || fail_with_log "$template/init.log" "mysqld --initialize failed"
  rm -f "$template/data/auto.cnf" # each instance gets a server UUID of its own
  touch "$template/.done"
}

start() {
  local dir=$1
  shift
  locked install install
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  running "$dir" && fail "the server in $dir runs already"
  if [ ! -d "$dir/data" ]; then
    locked mysql-template template
    cp -a --reflink=auto "$template/data" "$dir/data.new"
    mv "$dir/data.new" "$dir/data"
  fi
  # a starting server removes the temporary tables that it finds, those of others too
  mkdir -p "$dir/tmp"
  local attempt
  for attempt in 1 2 3; do
    : >"$dir/error.log"
    setsid "${program[@]}" --datadir="$dir/data" --tmpdir="$dir/tmp" --bind-address=127.0.0.1 --port="$(port_of "$dir")" --socket="$dir/socket" --mysqlx=OFF \
      --pid-file="$dir/mysqld.pid" --secure-file-priv="" --skip-name-resolve --performance-schema=OFF \
      --server-id=1001 --log-bin="$dir/data/binlog" --binlog-format=ROW --binlog-row-image=FULL --binlog-row-metadata=FULL \
      --gtid-mode=ON --enforce-gtid-consistency=ON \
      --innodb-buffer-pool-size=64M --innodb-redo-log-capacity=8M --innodb-flush-log-at-trx-commit=2 --sync-binlog=0 \
      --innodb-buffer-pool-dump-at-shutdown=OFF --innodb-buffer-pool-load-at-startup=OFF \
      --default-time-zone=+00:00 --max-allowed-packet=256M "$@" </dev/null >>"$dir/error.log" 2>&1 &
    echo $! >"$dir/pid"
    if wait_for "$dir" "$dir/error.log" 'ready for connections.*port: [1-9]'; then
      echo "PORT=$(cat "$dir/port")"
      echo "PID=$(cat "$dir/pid")"
      echo "SOCKET=$dir/socket"
      echo "USER=cdc"
      echo "PASSWORD=cdcpw"
      return
    fi
    rm -f "$dir/port"
  done
  fail_with_log "$dir/error.log" "no free port after $attempt attempts"
}

case ${1-} in
  install) locked install install ;;
  start) [ $# -ge 2 ] || usage; shift; start "$@" ;;
  stop) [ $# = 2 ] || usage; end "$2" TERM ;;
  kill) [ $# = 2 ] || usage; end "$2" KILL ;;
  *) usage ;;
esac
