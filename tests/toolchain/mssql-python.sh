#!/usr/bin/env bash
# Microsoft's own clients of SQL Server, of the package mssql-python: the ODBC driver that it brings, and its client in Rust, mssql-tds.
# Prints MSSQL_PYTHON=PATH, a Python that has them; everything else goes to stderr. Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate.
set -euo pipefail
name=toolchain/mssql-python.sh
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"
source "$(dirname "${BASH_SOURCE[0]}")/python-package.bash"

# the ODBC driver needs it, and it has no command of its own
{ ldconfig -p | grep -q 'libltdl\.so\.7'; } || locked apt apt_install libltdl.so.7 libltdl7 >&2

package=$(python_package mssql-python 1.16.0)
[ -x "$package/bin/python" ] || fail "the package mssql-python holds no Python: remove $package and try again"
echo "MSSQL_PYTHON=$package/bin/python"
