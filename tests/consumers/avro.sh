#!/usr/bin/env bash
# Reads Avro's object container files with fastavro, and prints each record as JSON, in the order of the files and of the records in them:
# avro.sh FILES. Bytes are printed in hexadecimal, decimals and times as text.
set -euo pipefail
name=consumers/avro.sh
source "$(dirname "$(readlink -f "$0")")/../servers/server.bash"
source "$(dirname "$(readlink -f "$0")")/../toolchain/python-package.bash"

package=$(python_package 'fastavro[zstandard]' 1.13.1)
[ $# -gt 0 ] || exit 0
exec "$package/bin/python" -c '
import json
import sys

import fastavro


def plain(value):
    return value.hex() if isinstance(value, (bytes, bytearray)) else str(value)


for path in sys.argv[1:]:
    with open(path, "rb") as file:
        for record in fastavro.reader(file):
            print(json.dumps(record, default=plain, ensure_ascii=False))
' "$@"
