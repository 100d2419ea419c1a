#!/usr/bin/env bash
# What makes components of JavaScript: componentize-js. Prints COMPONENTIZE_JS=PATH; everything else goes to stderr.
# Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate (390 MB).
set -euo pipefail
name=toolchain/javascript.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"

version=0.23.0
# It encodes the component; named for its own sake, because componentize-js takes any later one.
encoder=1.35.0
home=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/componentize-js-$version-$encoder

install() {
  [ ! -e "$home/complete" ] || return 0
  apt_install 'node npm' nodejs npm
  echo "$name: installing componentize-js $version"
  rm -rf "$home"
  mkdir -p "$home"
  echo '{ "private": true }' >"$home/package.json"
  (cd "$home" && npm install --no-audit --no-fund --loglevel=error --save-exact \
    "@bytecodealliance/componentize-js@$version" "@bytecodealliance/jco@$encoder") ||
    fail "npm cannot install componentize-js $version; see above"
  [ -x "$home/node_modules/.bin/componentize-js" ] || fail "componentize-js $version holds no program"
  touch "$home/complete"
}

[ -e "$home/complete" ] || locked componentize-js install >&2
echo "COMPONENTIZE_JS=$home/node_modules/.bin/componentize-js"
