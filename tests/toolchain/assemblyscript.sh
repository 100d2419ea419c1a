#!/usr/bin/env bash
# The compiler of AssemblyScript. Prints ASC=PATH; everything else goes to stderr.
# Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate (100 MB).
set -euo pipefail
name=toolchain/assemblyscript.sh
package=assemblyscript
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"
source "$(dirname "${BASH_SOURCE[0]}")/npm-package.bash"

program=$(npm_program asc)
echo "ASC=$program"
