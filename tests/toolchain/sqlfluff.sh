#!/usr/bin/env bash
# An independent parser of T-SQL, of the package sqlfluff. Prints SQLFLUFF_PYTHON=PATH, a Python that has it; everything else goes to stderr.
# Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate.
set -euo pipefail
name=toolchain/sqlfluff.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"
source "$(dirname "${BASH_SOURCE[0]}")/python-package.bash"

package=$(python_package sqlfluff 4.5.0)
[ -x "$package/bin/python" ] || fail "the package sqlfluff holds no Python: remove $package and try again"
echo "SQLFLUFF_PYTHON=$package/bin/python"
