#!/usr/bin/env bash
# What makes components of JavaScript: componentize-js. Prints COMPONENTIZE_JS=PATH; everything else goes to stderr.
# Idempotent; kept in ${XDG_CACHE_HOME:-~/.cache}/sluicegate (390 MB).
set -euo pipefail
name=toolchain/javascript.sh
package=javascript
source "$(dirname "${BASH_SOURCE[0]}")/../servers/server.bash"
source "$(dirname "${BASH_SOURCE[0]}")/npm-package.bash"

program=$(npm_program componentize-js)
echo "COMPONENTIZE_JS=$program"
