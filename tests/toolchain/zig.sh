#!/usr/bin/env bash
# The C compiler for WebAssembly: Zig's, from the Python package `ziglang`. Prints ZIG=PATH; everything else goes to stderr.
# Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate.
set -euo pipefail
name=toolchain/zig.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"
source "$(dirname "${BASH_SOURCE[0]}")/python-package.bash"

package=$(python_package ziglang 0.17.1)
zig=$(echo "$package"/lib/python3*/site-packages/ziglang/zig)
[ -x "$zig" ] || fail "the package ziglang holds no compiler: remove $package and try again"
echo "ZIG=$zig"
