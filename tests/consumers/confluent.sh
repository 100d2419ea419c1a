#!/usr/bin/env bash
# Reads records with Confluent's Python client, and prints each as JSON: confluent.sh avro|json-schema URL <LINES, where a line is
# `key|value TOPIC HEX` and URL the address of the schema registry. Bytes are printed in hexadecimal, decimals and times as text. The
# client checks each document of JSON against its schema.
set -euo pipefail
name=consumers/confluent.sh
source "$(dirname "$(readlink -f "$0")")/../servers/server.bash"
source "$(dirname "$(readlink -f "$0")")/../toolchain/python-package.bash"

package=$(python_package 'confluent-kafka[avro,json,schemaregistry]' 2.16.1)
exec "$package/bin/python" -c '
import json
import sys

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.serialization import MessageField, SerializationContext


def plain(value):
    return value.hex() if isinstance(value, bytes) else str(value)


def reader(language, url):
    client = SchemaRegistryClient({"url": url})
    if language == "avro":
        from confluent_kafka.schema_registry.avro import AvroDeserializer

        return AvroDeserializer(client)
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer

    return JSONDeserializer(None, schema_registry_client=client)


read = None
for line in sys.stdin:
    read = read or reader(*sys.argv[1:])
    field, topic, data = line.split()
    context = SerializationContext(topic, MessageField.KEY if field == "key" else MessageField.VALUE)
    print(json.dumps(read(bytes.fromhex(data), context), default=plain, ensure_ascii=False))
' "$@"
