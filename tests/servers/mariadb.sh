#!/usr/bin/env bash
# A real MariaDB server in a folder of its own, on a free port of 127.0.0.1.
#   mariadb.sh install                 Debian's server and client programs; no service, nothing is started
#   mariadb.sh start DIR [options]     options of mariadbd; prints PORT, PID, SOCKET, USER, PASSWORD
#   mariadb.sh stop DIR | kill DIR     orderly | kill -9; a later start goes on with the same data and port
#   mariadb.sh plugins                 unpacks the server's plugins into a cache folder; prints PLUGINS, for --plugin-dir
# The binlog is on, in row format with full images and metadata; options given override that.
set -euo pipefail
name=mariadb
source "$(dirname "$(readlink -f "$0")")/server.bash"

as_user=()
[ "$(id -u)" = 0 ] && as_user=(--user=root)

install() {
  apt_install 'mariadbd mariadb mariadb-install-db' mariadb-server-core mariadb-client-core
}

# Debian has the plugins in the package of the service, which is not installed.
plugins() {
  local version folder
  install
  version=$(dpkg-query -W -f '${Version}' mariadb-server-core) || fail "the plugins are known for Debian's packages only"
  folder="$CACHE/mariadb-plugins-$(tr -cs 'A-Za-z0-9.\n' '-' <<<"$version")"
  if [ ! -e "$folder/.done" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    (cd "$folder" && apt-get -qq -o APT::Sandbox::User=root -o Acquire::Retries=3 download "mariadb-server=$version" >&2) || fail "downloading mariadb-server $version failed; see above"
    dpkg-deb --fsys-tarfile "$folder"/*.deb | tar -x -C "$folder" ./usr/lib/mysql/plugin
    rm "$folder"/*.deb
    touch "$folder/.done"
  fi
  echo "PLUGINS=$folder/usr/lib/mysql/plugin"
}

# An initialised data folder with the account, made once for each server version and copied for each instance.
template() {
  local version
  version=$(mariadbd --version | tr -cs 'A-Za-z0-9.' '-')
  template="$CACHE/mariadb-data-$version-1"
  [ -e "$template/.done" ] && return 0
  rm -rf "$template"
  mkdir -p "$template"
  mariadb-install-db --no-defaults "${as_user[@]}" --datadir="$template/data" --auth-root-authentication-method=normal \
    --skip-test-db --skip-name-resolve --innodb-log-file-size=8M >"$template/init.log" 2>&1 || fail_with_log "$template/init.log" "mariadb-install-db failed"
  cat <<'SQL' | mariadbd --no-defaults "${as_user[@]}" --bootstrap --datadir="$template/data" --innodb-log-file-size=8M >>"$template/init.log" 2>&1 \
    || fail_with_log "$template/init.log" "the account could not be made"
USE mysql;
FLUSH PRIVILEGES;
CREATE USER 'cdc'@'127.0.0.1' IDENTIFIED BY 'cdcpw';
GRANT ALL ON *.* TO 'cdc'@'127.0.0.1' WITH GRANT OPTION;
CREATE DATABASE shop;
SQL
  touch "$template/.done"
}

start() {
  local dir=$1
  shift
  install
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  running "$dir" && fail "the server in $dir runs already"
  if [ ! -d "$dir/data" ]; then
    locked mariadb-template template
    cp -a --reflink=auto "$template/data" "$dir/data.new"
    mv "$dir/data.new" "$dir/data"
  fi
  # a starting server removes the temporary tables that it finds, those of others too
  mkdir -p "$dir/tmp"
  local attempt
  for attempt in 1 2 3; do
    : >"$dir/error.log"
    setsid mariadbd --no-defaults "${as_user[@]}" --datadir="$dir/data" --tmpdir="$dir/tmp" --bind-address=127.0.0.1 --port="$(port_of "$dir")" \
      --socket="$dir/socket" --pid-file="$dir/mariadbd.pid" --skip-name-resolve --log-warnings=1 \
      --server-id=2001 --gtid-domain-id=0 --gtid-strict-mode=ON --log-bin="$dir/data/binlog" --log-slave-updates \
      --binlog-format=ROW --binlog-row-image=FULL --binlog-row-metadata=FULL --binlog-checksum=CRC32 \
      --innodb-buffer-pool-size=32M --innodb-log-file-size=8M --innodb-flush-log-at-trx-commit=2 --sync-binlog=0 \
      --innodb-buffer-pool-dump-at-shutdown=OFF --innodb-buffer-pool-load-at-startup=OFF --innodb-fast-shutdown=1 \
      --aria-pagecache-buffer-size=8M --key-buffer-size=8M --default-time-zone=+00:00 --max-allowed-packet=256M \
      --character-set-server=utf8mb4 "$@" </dev/null >>"$dir/error.log" 2>&1 &
    echo $! >"$dir/pid"
    if wait_for "$dir" "$dir/error.log" 'ready for connections'; then
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
  plugins) locked mariadb-plugins plugins ;;
  start) [ $# -ge 2 ] || usage; shift; start "$@" ;;
  stop) [ $# = 2 ] || usage; end "$2" TERM ;;
  kill) [ $# = 2 ] || usage; end "$2" KILL ;;
  *) usage ;;
esac
