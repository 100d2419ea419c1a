#!/usr/bin/env bash
# What makes components of Python: componentize-py, which brings a Python of its own. Prints COMPONENTIZE_PY=PATH; everything
# else goes to stderr. Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate.
set -euo pipefail
name=toolchain/python.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"
source "$(dirname "${BASH_SOURCE[0]}")/python-package.bash"

package=$(python_package componentize-py 0.25.1)
[ -x "$package/bin/componentize-py" ] || fail "the package componentize-py holds no program: remove $package and try again"
echo "COMPONENTIZE_PY=$package/bin/componentize-py"
