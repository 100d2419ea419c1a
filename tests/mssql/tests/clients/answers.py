"""Runs SQL by one of Microsoft's clients: `answers.py odbc|rust HOST,PORT PASSWORD`.

Reads one JSON list of statements a line; answers each line with a list of what they gave: rows, or the number of rows' absence.
"""

import asyncio
import datetime
import decimal
import json
import sys
import uuid
import warnings

warnings.simplefilter("ignore")  # the client in Rust is announced as a preview


def plain(value):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (bytes, bytearray)):
        return "0x" + value.hex().upper()
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value).upper()
    if isinstance(value, (datetime.date, datetime.time, datetime.datetime)):
        return value.isoformat()
    raise TypeError(type(value))


def connection_string(server, password):
    return f"Server={server};Database=master;UID=sa;PWD={password};Encrypt=no;TrustServerCertificate=yes;"


def odbc(server, password):
    import mssql_python

    connection = mssql_python.connect(connection_string(server, password), autocommit=True)
    cursor = connection.cursor()

    def run(sql):
        cursor.execute(sql)
        return [[plain(v) for v in row] for row in cursor.fetchall()] if cursor.description else None

    return run


def rust(server, password):
    from mssql_python.async_query import _AsyncConnection

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(_AsyncConnection.connect(connection_string(server, password), autocommit=True))
    cursor = connection.cursor()

    async def run(sql):
        await cursor.execute(sql)
        return [[plain(v) for v in row] for row in await cursor.fetchall()] if cursor.description else None

    return lambda sql: loop.run_until_complete(run(sql))


run = {"odbc": odbc, "rust": rust}[sys.argv[1]](sys.argv[2], sys.argv[3])
for line in sys.stdin:
    print(json.dumps([run(sql) for sql in json.loads(line)]), flush=True)
