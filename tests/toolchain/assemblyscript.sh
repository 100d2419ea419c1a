#!/usr/bin/env bash
# The compiler of AssemblyScript. Prints ASC=PATH; everything else goes to stderr.
# Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate (100 MB).
set -euo pipefail
name=toolchain/assemblyscript.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"

version=0.28.20
home=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/assemblyscript-$version

install() {
  [ ! -e "$home/complete" ] || return 0
  apt_install 'node npm' nodejs npm
  echo "$name: installing assemblyscript $version"
  rm -rf "$home"
  mkdir -p "$home"
  echo '{ "private": true }' >"$home/package.json"
  (cd "$home" && npm install --no-audit --no-fund --loglevel=error --save-exact "assemblyscript@$version") ||
    fail "npm cannot install assemblyscript $version; see above"
  [ -x "$home/node_modules/.bin/asc" ] || fail "assemblyscript $version holds no compiler"
  touch "$home/complete"
}

[ -e "$home/complete" ] || locked assemblyscript install >&2
echo "ASC=$home/node_modules/.bin/asc"
