#!/usr/bin/env bash
# The Go compiler: Debian's packages, unpacked and not installed. Prints GO=PATH; everything else goes to stderr. Idempotent;
# kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate.
#
# In this order: what an earlier run unpacked; Go 1.26 of Debian sid; Go 1.24 of Debian 13, which stays where it is for years;
# a `go` on PATH from 1.24 on, the first that makes modules that export functions.
set -euo pipefail
name=toolchain/go.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"

home=${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate

# Each line: the series, the version, the SHA-256 of the compiler's package and of the library's.
readonly packages='
1.26 1.26.10-1 497c936cb5050aaeb52021e757aafc8c959248a4c7015615f40390882b76683c c535cfd05d879c7cb2b28577fc9011fe1639d36e957d5077bb5c862b07b87c02
1.24 1.24.4-1 93c6c109bbc0f1d55523282a16739d10634499c04f6d066a6aa58b67b687a44f c396bc2c2e94606e0a060cff52b9bbbf1d7cefacb040eb3c40a55604111e66e1
'

# fetch FILE SHA256 TO: a file of Debian's pool, from the mirrors that apt uses, and from Debian's own.
fetch() {
  local file=$1 sha256=$2 to=$3 mirror
  for mirror in $(apt-get indextargets --format '$(SITE)' 2>/dev/null | sort -u) http://deb.debian.org/debian; do
    curl -fsSL --retry 2 --connect-timeout 10 --max-time 300 -o "$to" "$mirror/$file" || continue
    echo "$sha256  $to" | sha256sum --check --quiet && return 0
    echo "$name: the checksum of $file at $mirror differs: refused"
  done
  echo "$name: no mirror has $file"
  return 1
}

unpack() {
  local series=$1 version=$2 to=$3
  local pool=pool/main/g/golang-$series
  [ ! -e "$to/complete" ] || return 0
  command -v dpkg-deb >/dev/null && command -v apt-get >/dev/null || { echo "$name: this is no Debian"; return 1; }
  apt_install curl curl
  [ "$(dpkg --print-architecture)" = amd64 ] || { echo "$name: the packages are known for amd64 only"; return 1; }
  echo "$name: fetching Go $version"
  rm -rf "$to"
  mkdir -p "$to"
  fetch "$pool/golang-$series-go_${version}_amd64.deb" "$4" "$to/go.deb" || return 1
  fetch "$pool/golang-$series-src_${version}_all.deb" "$5" "$to/src.deb" || return 1
  dpkg-deb -x "$to/go.deb" "$to" || return 1
  dpkg-deb -x "$to/src.deb" "$to" || return 1
  rm "$to/go.deb" "$to/src.deb"
  "$to/usr/lib/go-$series/bin/go" version || return 1
  touch "$to/complete"
}

# Whether the `go` at PATH is new enough.
usable() {
  local version
  version=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null) || return 1
  printf '%s\n' go1.24 "$version" | sort -V --check=quiet
}

while read -r series version rest; do
  [ -n "$series" ] || continue
  folder=$home/go-$version
  # shellcheck disable=SC2086 # two sums
  [ -e "$folder/complete" ] || locked "go-$series" unpack "$series" "$version" "$folder" $rest >&2 || true
  [ -e "$folder/complete" ] || continue
  echo "GO=$folder/usr/lib/go-$series/bin/go"
  exit 0
done <<<"$packages"

own=$(command -v go || true)
[ -n "$own" ] && usable "$own" || fail "no Go: Debian's packages cannot be had (see above), and PATH has no go from 1.24 on; install it from https://go.dev/dl"
echo "GO=$own"
