#!/usr/bin/env bash
# Reads records of Avro with Confluent's Python client, and prints each as JSON: avro.sh URL <LINES, where a line is `key|value TOPIC HEX`
# and URL the address of the schema registry. Bytes are printed in hexadecimal, decimals and times as text.
set -euo pipefail
name=consumers/avro.sh
source "$(dirname "$(readlink -f "$0")")/../servers/server.bash"
source "$(dirname "$(readlink -f "$0")")/../toolchain/python-package.bash"

package=$(python_package 'confluent-kafka[avro,schemaregistry]' 2.16.1)
exec "$package/bin/python" -c '
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def plain(value):
    return value.hex() if isinstance(value, bytes) else str(value)


read = None
for line in sys.stdin:
    read = read or AvroDeserializer(SchemaRegistryClient({"url": sys.argv[1]}))
    field, topic, data = line.split()
    context = SerializationContext(topic, MessageField.KEY if field == "key" else MessageField.VALUE)
    print(json.dumps(read(bytes.fromhex(data), context), default=plain, ensure_ascii=False))
' "$@"
