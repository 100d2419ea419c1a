"""Reads texts of T-SQL as a JSON list; answers which of them an independent parser takes."""

import json
import sys

import sqlfluff


def is_taken(text):
    try:
        sqlfluff.parse(text, dialect="tsql")
    except sqlfluff.api.APIParsingError as error:
        print(error, file=sys.stderr)
        return False
    return True


print(json.dumps([is_taken(text) for text in json.load(sys.stdin)]))
