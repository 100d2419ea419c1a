#!/usr/bin/env bash
# Makes wasm32-unknown-unknown usable with the compiler of rust-toolchain.toml, and prints the environment that a build
# needs, one KEY=VALUE a line (nothing at all when the target is simply installed). Everything else goes to stderr.
# Idempotent; what it makes is kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate.
#
# In this order:
#   1. the target of the compiler, when installed;
#   2. a sysroot that an earlier run made;
#   3. `rustup target add`;
#   4. std's source, from SLUICEGATE_RUST_SRC (a folder, .tar.* or .deb), rustup's rust-src, or Debian's package of exactly
#      this compiler's version, built once into a sysroot;
#   5. another compiler with its source, from Debian's rustc-web packages.
#
# SLUICEGATE_WASM_STEPS limits the steps that are tried, e.g. "source" or "web" (the tests of this script use it).
set -euo pipefail

readonly target=wasm32-unknown-unknown
readonly cache="${XDG_CACHE_HOME:-$HOME/.cache}/sluicegate"
readonly steps="${SLUICEGATE_WASM_STEPS:-installed cached rustup source web}"
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
unset RUSTC RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS

version="$(rustc --version | cut -d' ' -f2)"
host="$(rustc -vV | sed -n 's/^host: //p')"
readonly version host

say() { echo "wasm-sysroot: $*" >&2; }
wanted() { [[ " $steps " == *" $1 "* ]]; }
installed() { compgen -G "$(rustc --print target-libdir --target "$target")/libstd-*.rlib" >/dev/null; }

# Debian packages of exactly these contents; the mirror is the one that apt uses.
readonly src_deb=pool/main/r/rustc/rust-src_1.95.0+dfsg1-2~bpo13+1_all.deb
readonly src_sha256=7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b
readonly src_version=1.95.0

# The `library` folder with std in it, below $1. The compiler's own tests hold mock-ups of it.
library_in() {
  local std
  std="$(find "$1" -path '*library/std/Cargo.toml' -not -path '*/tests/*' -print -quit)"
  [[ -n "$std" ]] || { say "no library/std in $1"; return 1; }
  dirname "$(dirname "$std")"
}

# Unpacks std's source so that $1/library/std exists.
unpack_source() {
  local out="$1" from="${SLUICEGATE_RUST_SRC:-}" sysroot
  sysroot="$(rustc --print sysroot)"
  if [[ -z "$from" && -d "$sysroot/lib/rustlib/src/rust/library/std" ]]; then
    from="$sysroot/lib/rustlib/src/rust"
  fi
  mkdir -p "$out"
  if [[ -z "$from" ]]; then
    [[ "$version" == "$src_version" ]] || { say "no Debian source package is known for rustc $version"; return 1; }
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || { say "no apt here"; return 1; }
    from="$out/rust-src.deb"
    local mirror found=
    for mirror in $(apt-get indextargets --format '$(SITE)' | sort -u); do
      say "trying $(basename "$src_deb") at apt's mirror"
      if curl -fsSL --retry 2 --connect-timeout 10 --max-time 300 -o "$from" "$mirror/$src_deb"; then found=1; break; fi
    done
    [[ -n "$found" ]] || { say "apt's mirrors do not have $src_deb"; return 1; }
    echo "$src_sha256  $from" | sha256sum --check --quiet >&2 || { say "checksum of $src_deb differs: refused"; return 1; }
  fi
  say "std's source: $from"
  if [[ -d "$from" ]]; then
    mkdir -p "$out/unpacked"
    cp -rL "$from/." "$out/unpacked/" || return 1
  elif [[ "$from" == *.deb ]]; then
    # Half a gigabyte of compiler stays packed.
    mkdir -p "$out/unpacked"
    dpkg --fsys-tarfile "$from" | tar -x -C "$out/unpacked" --wildcards './usr/src/rustc-*/library/*' || return 1
  else
    mkdir -p "$out/unpacked"
    tar -xf "$from" -C "$out/unpacked" || return 1
  fi
  local library
  library="$(library_in "$out/unpacked")" || return 1
  ln -sfn "$library" "$out/library"
}

# Builds std of $1 (a `library` folder) with $RUSTC into the sysroot $2, whose other targets come from $3.
build_sysroot() {
  local library="$1" out="$2" base="$3" work
  rm -rf "$cache"/build.*
  work="$(mktemp -d "$cache/build.XXXXXX")"
  mkdir -p "$work/probe/src"
  printf '[package]\nname = "probe"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n[profile.release]\npanic = "abort"\n' >"$work/probe/Cargo.toml"
  echo '#![no_std]' >"$work/probe/src/lib.rs"
  # Bitcode lets guests be optimised together with std; the remapped paths keep their bytes independent of this machine.
  __CARGO_TESTS_ONLY_SRC_ROOT="$(realpath "$library")" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$work/target" \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$(realpath "$library")=/rust/library --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo" \
    cargo build --release --manifest-path "$work/probe/Cargo.toml" -Zbuild-std=std,panic_abort --target "$target" >&2 || return 1
  mkdir -p "$work/sysroot/lib/rustlib/$target/lib"
  cp "$work/target/$target/release/deps/"*.rlib "$work/sysroot/lib/rustlib/$target/lib/" || return 1
  rm -f "$work/sysroot/lib/rustlib/$target/lib/"libprobe*
  local entry
  for entry in "$base/lib/rustlib/"*; do
    [[ -e "$work/sysroot/lib/rustlib/$(basename "$entry")" ]] || ln -s "$entry" "$work/sysroot/lib/rustlib/"
  done
  rm -rf "$out"
  mv "$work/sysroot" "$out"
  rm -rf "$work"
}

sysroot="$cache/wasm-sysroot-$version"
print_sysroot() { echo "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=--sysroot=$sysroot"; }

if wanted installed && installed; then exit 0; fi
mkdir -p "$cache"
exec 9>"$cache/wasm-sysroot.lock"
flock 9

if wanted cached && [[ -d "$sysroot/lib/rustlib/$target/lib" ]]; then print_sysroot; exit 0; fi

if wanted rustup && command -v rustup >/dev/null; then
  say "trying rustup target add $target"
  if timeout 120 rustup target add "$target" >&2 && installed; then exit 0; fi
fi

if wanted source; then
  source_folder="$cache/rust-src-$version"
  if [[ -e "$source_folder/library/std/Cargo.toml" && -z "${SLUICEGATE_RUST_SRC:-}" ]] ||
    { rm -rf "$source_folder"; unpack_source "$source_folder"; }; then
    say "building std for $target (once; about half a minute of one core)"
    if build_sysroot "$source_folder/library" "$sysroot" "$(rustc --print sysroot)"; then print_sysroot; exit 0; fi
  fi
fi

if wanted web && command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
  web="$cache/rustc-web"
  if [[ ! -e "$web/environment" ]]; then
    say "trying Debian's rustc-web"
    rm -rf "$web"
    mkdir -p "$web/packages" "$web/unpacked"
    # These conflict with each other's installed forms, so they are unpacked, not installed.
    (cd "$web/packages" && apt-get download $(
      apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances \
        rustc-web rust-web-src | grep -E '^(rustc-web|rust-web-src|libstd-rust-web-[^ ]*|libllvm[0-9.]+)$' | sort -u
    ) >&2)
    for package in "$web/packages/"*.deb; do dpkg -x "$package" "$web/unpacked"; done
    compiler="$(find "$web/unpacked/usr/bin" "$web/unpacked/usr/lib" -type f -path '*bin/rustc*' -print -quit)"
    library="$(library_in "$web/unpacked")" || exit 1
    [[ -n "$compiler" ]] || { say "rustc-web holds no compiler"; exit 1; }
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s\nexec %s "$@"\n' \
      "$(find "$web/unpacked/usr/lib" -name '*.so*' -exec dirname {} + | sort -u | paste -sd:)" "$compiler" >"$web/rustc"
    chmod +x "$web/rustc"
    RUSTC="$web/rustc" build_sysroot "$library" "$web/sysroot" "$("$web/rustc" --print sysroot)"
    rm -rf "$web/packages"
    # Debian's compiler comes without a linker for the target; rustup's has one.
    {
      echo "RUSTC=$web/rustc"
      echo "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$(rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld"
      echo "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=--sysroot=$web/sysroot"
    } >"$web/environment"
  fi
  cat "$web/environment"
  exit 0
fi

say "no way to compile for $target; run: rustup target add $target, or set SLUICEGATE_RUST_SRC to the source of std $version"
exit 1
