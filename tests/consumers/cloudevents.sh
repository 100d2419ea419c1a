#!/usr/bin/env bash
# Reads the CloudEvents of FILES, one a line, with the Python SDK of the CloudEvents project, and prints what it understood.
set -euo pipefail
name=consumers/cloudevents.sh
source "$(dirname "$(readlink -f "$0")")/../servers/server.bash"
source "$(dirname "$(readlink -f "$0")")/../toolchain/python-package.bash"

package=$(python_package cloudevents 1.11.0)
exec "$package/bin/python" - "$@" <<'PYTHON'
import json
import sys

from cloudevents.http import from_json

for path in sys.argv[1:]:
    for line in open(path, encoding="utf-8"):
        event = from_json(line)
        assert event["specversion"] == "1.0" and event["id"] and event["time"]
        # attributes have names of lower-case letters and digits, and simple values
        for attribute, value in event.get_attributes().items():
            assert attribute.isalnum() and attribute == attribute.lower() and isinstance(value, str), attribute
        told = (event[a] for a in ("type", "source", "iodebeziumop", "iodebeziumdb", "iodebeziumtable"))
        print(*told, json.dumps(event.get_data()))
PYTHON
