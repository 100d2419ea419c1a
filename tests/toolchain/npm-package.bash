# Shared by the scripts of toolchains that come as npm packages. Sourced, never run, behind server.bash.
# A script sets `name` and `package`, the folder beside it that holds package.json and package-lock.json.

packages=$(dirname "${BASH_SOURCE[0]}")/$package
# every package of the tree in one version, checked by its digest; another tree has another folder
home=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate/$package-$(sha256sum "$packages/package-lock.json" | cut -c1-16)

install() {
  [ ! -e "$home/complete" ] || return 0
  apt_install 'node npm' nodejs npm
  echo "$name: installing what $package/package-lock.json names"
  rm -rf "$home"
  mkdir -p "$home"
  cp "$packages/package.json" "$packages/package-lock.json" "$home" || fail "cannot copy what $packages names"
  # not `npm ci`: it misses the packages for other systems that npm left out of the list
  (cd "$home" && npm install --no-audit --no-fund --loglevel=error) || fail "npm cannot install it; see above"
  touch "$home/complete"
}

# npm_program PROGRAM: its path, installed when needed
npm_program() {
  [ -e "$home/complete" ] || locked "$package" install >&2
  [ -x "$home/node_modules/.bin/$1" ] || fail "the packages of $package hold no program $1"
  echo "$home/node_modules/.bin/$1"
}
