#!/usr/bin/env bash
# Reads Parquet files with pyarrow or duckdb, and prints each row as JSON, in the order of the files and of the rows in them:
# parquet.sh pyarrow|duckdb FILES. With `types`, pyarrow prints the columns and their types of the first file instead.
# Bytes are printed in hexadecimal, decimals and times as text.
set -euo pipefail
name=consumers/parquet.sh
source "$(dirname "$(readlink -f "$0")")/../servers/server.bash"
source "$(dirname "$(readlink -f "$0")")/../toolchain/python-package.bash"

arrow=$(python_package pyarrow 26.0.1)
duck=$(python_package duckdb 2.0.0)
[ $# -gt 0 ] || exit 0
reader=$1
shift
case $reader in
  duckdb) package=$duck ;;
  *) package=$arrow ;;
esac
exec "$package/bin/python" -c '
import json
import sys


def plain(value):
    return value.hex() if isinstance(value, (bytes, bytearray)) else str(value)


def rows(reader, path):
    if reader == "duckdb":
        import duckdb

        database = duckdb.connect()
        database.execute("SET TimeZone = \"UTC\"")
        columns = database.execute("DESCRIBE SELECT * FROM read_parquet($path)", {"path": path}).fetchall()
        # an instant would need a package of time zones
        instants = [column[0] for column in columns if column[1] == "TIMESTAMP WITH TIME ZONE"]
        texts = ", ".join(f"CAST(\"{name}\" AS VARCHAR) AS \"{name}\"" for name in instants)
        found = database.execute(f"SELECT * REPLACE ({texts}) FROM read_parquet($path)", {"path": path})
        names = [column[0] for column in found.description]
        yield from (dict(zip(names, row)) for row in found.fetchall())
    else:
        import pyarrow.parquet

        yield from pyarrow.parquet.ParquetFile(path).read().to_pylist()


reader, *paths = sys.argv[1:]
if reader == "types":
    import pyarrow.parquet

    for field in pyarrow.parquet.ParquetFile(paths[0]).schema_arrow:
        print(field.name, field.type)
else:
    for path in paths:
        for row in rows(reader, path):
            print(json.dumps(row, default=plain, ensure_ascii=False))
' "$reader" "$@"
