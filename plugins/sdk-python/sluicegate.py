"""Write a Sluicegate plugin in Python.

A plugin is a class with two methods. `plan` is called once for each table and says what becomes of its columns; `row` is
called for each row image of the tables whose plan computes, drops or rejects something, and sees only the columns that the
plan reads. Everything that `plan` does not mention passes untouched. Instead of `row` a plugin may define `batch`, which
works on whole columns:

    class Upper(Plugin):
        name, version, summary = "upper", "1.0.0", "names in capitals"

        def plan(self, table):
            if table.has("name"):
                table.rewrite("name")

        def row(self, row):
            row["name"] = row["name"] and row["name"].upper()

    Transform = export(Upper)

Values are `bool`, `int`, `float`, `str` and `bytes`, and `None` for null. Decimals, dates, times and JSON are `str`, in the
forms that wit/plugin.wit describes.
"""

import json
from array import array
from dataclasses import replace
from itertools import accumulate

from componentize_py_types import Err
from wit_world.imports import log as _log
from wit_world.imports import types as _wit

__all__ = ["Batch", "Fault", "Plugin", "Row", "Table", "export", "log"]


class Fault(Exception):
    """A text for the operator that says what to change. Raise it from any method; it never may hold row values."""


class Plugin:
    """A plugin: one object of it lives in each instance of the component. State that outlives a call is a cache and nothing
    else: the host runs several instances, and replaces them when it likes."""

    name = version = summary = ""
    #: A JSON Schema of the configuration, as a dict; None = anything goes.
    config_schema = None
    #: The plugin's `config` of the pipeline file, parsed; None when there is none.
    config = None

    def configure(self, config):
        """Reads the configuration. Raise `Fault` to refuse it."""
        self.config = config

    def plan(self, table):
        """Decides what happens to a table; by default nothing."""

    def row(self, row):
        """Handles one row image."""

    def batch(self, batch):
        """Handles a batch of row images, by default with `row`."""
        row = Row(batch)
        handle = self.row
        for row.index in range(batch.count):
            handle(row)


def log(level, message):
    """Writes a line to the host's log: `log("info", "…")`. Never log row values."""
    _log.log(_log.Level[level.upper()], message)


def export(plugin):
    """The class that the component exports: `Transform = export(MyPlugin)`, in the module that is built."""

    # an object of the class is made for each call: what outlives a call is kept outside
    instance, layouts = plugin(), {}

    class Transform:
        def describe(self):
            schema = "" if plugin.config_schema is None else json.dumps(plugin.config_schema)
            return _wit.Description(plugin.name, plugin.version, plugin.summary, schema)

        def configure(self, config):
            _guarded(lambda: instance.configure(json.loads(config)))

        def plan(self, table_id, table):
            def plan():
                planned = Table(table)
                instance.plan(planned)
                layouts[table_id], answer = planned._finish()
                return answer

            return _guarded(plan)

        def apply(self, table_id, rows):
            def apply():
                batch = Batch(table_id, layouts[table_id], rows)
                instance.batch(batch)
                return batch._finish()

            return _guarded(apply)

    return Transform


def _guarded(call):
    """Of an exception that is no Fault only its kind and place are told: its text may hold row values."""
    try:
        return call()
    except Fault as fault:
        raise Err(str(fault)) from None
    except Exception as error:
        trace, places = error.__traceback__, []
        while trace:
            places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
            trace = trace.tb_next
        raise Err(f"{type(error).__name__} at {' > '.join(places[2:])}") from None


_DESTINATION = (_wit.Place.DESTINATION, "destination")
_OPERATIONS = ("snapshot", "insert", "update", "delete", "truncate")
_DEFAULTS = {"boolean": False, "int64": 0, "uint64": 0, "float32": 0.0, "float64": 0.0, "bytes": b""}
_ARRAYS = {
    "int64": ("q", _wit.Values_Int64s),
    "uint64": ("Q", _wit.Values_Uint64s),
    "float32": ("d", _wit.Values_Float32s),
    "float64": ("d", _wit.Values_Float64s),
}


def _flags(kind, names):
    flags = kind(0)
    for name in names:
        flags |= kind[name.upper()]
    return flags


class Table:
    """A table while it is planned. Columns are named as they arrive; one that it does not have is a fault that names it."""

    def __init__(self, table):
        self.database, self.schema, self.name = table.name.database, table.name.schema, table.name.table
        #: The columns as they arrive, each with name, native_type, nullable, primary_key; see also `type_of`.
        self.columns = table.columns
        self._table = table
        self._index = {(column.place, column.name): i for i, column in enumerate(table.columns)}
        # the input column that it is or stands in for, or None; the delivered column; whether it is computed
        self._outputs = [(i, replace(column), False) for i, column in enumerate(table.columns)]
        self._reads, self._context, self._filters, self._touched = [], _wit.Context(0), False, False
        self._operations = _flags(_wit.Operations, _OPERATIONS)

    def has(self, column):
        """Whether the table has a column of that name."""
        return (_wit.Place.VALUE, column) in self._index

    def type_of(self, column):
        """Its type, by its name in the interface: "int64", "text", …"""
        return self.columns[self._known(column)].data_type.name.lower()

    def read(self, column):
        """Has the column handed to `row`."""
        self._read(self._known(column))

    def read_header(self, name):
        """The same for a header that a plugin before this one set."""
        self._read(self._known(name, _wit.Place.HEADER))

    def rewrite(self, column, type=None):
        """Reads a column, and delivers a computed one in its place. What is not set keeps its value; with another type it is
        null."""
        place = self._output(column)
        index, output, _ = self._outputs[place]
        self._read(index)
        output.nullable = True
        if type and type != self.type_of(column):
            output.data_type, output.native_type = _data_type(type), ""
        self._outputs[place] = (index, output, True)

    def add(self, name, type):
        """Adds a computed column; what is not set is null."""
        self._add(name, type, _wit.Place.VALUE)

    def add_header(self, name, type="text"):
        """Adds a computed header to the table's records; rows for which it is null have none."""
        self._add(name, type, _wit.Place.HEADER)

    def copy_to_header(self, column, header):
        """Delivers a column as a header as well; its values never enter the plugin."""
        index = self._known(column)
        copy = replace(self.columns[index], name=header, primary_key=False, place=_wit.Place.HEADER)
        self._outputs.append((index, copy, False))
        self._touched = True

    def send_to(self, destination):
        """Sends the table's records to this Kafka topic, or folder of the file sink."""
        self._table.destination = destination
        self._touched = True

    def choose_destinations(self):
        """Lets each row choose its destination, with `row.send_to`; rows that do not go where the table goes."""
        self._outputs = [output for output in self._outputs if output[1].place != _wit.Place.DESTINATION]
        self._add(_DESTINATION[1], "text", _wit.Place.DESTINATION)

    def rename(self, column, name):
        """Delivers a column under another name."""
        self._outputs[self._output(column)][1].name = name

    def set_key(self, *columns):
        """Makes these columns, and no others, the key of the table's records."""
        places = [self._output(column) for column in columns]
        for place, output in enumerate(self._outputs):
            output[1].primary_key = place in places

    def drop_column(self, column):
        """Does not deliver a column."""
        del self._outputs[self._output(column)]

    def rename_table(self, name, database=None):
        """Delivers the table under another name."""
        self._table.name = replace(self._table.name, table=name, database=database or self.database)
        self._touched = True

    def deliver(self, *operations):
        """Delivers only these operations: "snapshot", "insert", "update", "delete", "truncate"; none drops the table."""
        self._operations = _flags(_wit.Operations, operations)
        self._touched = True

    def ask(self, *context):
        """What else rows know: "images", "operations", "times", "partners"."""
        self._context |= _flags(_wit.Context, context)

    def filter_rows(self):
        """Has to be called when rows may be dropped or rejected."""
        self._filters = self._touched = True

    def _add(self, name, type, place):
        self._outputs.append((None, _wit.Column(name, _data_type(type), "", True, False, place), True))
        self._touched = True

    def _read(self, index):
        if index not in self._reads:
            self._reads.append(index)

    def _known(self, name, place=_wit.Place.VALUE):
        try:
            return self._index[place, name]
        except KeyError:
            what = "header" if place is _wit.Place.HEADER else "column"
            raise Fault(f"table {self.database}.{self.name} has no {what} `{name}`") from None

    def _output(self, column):
        index = self._known(column)
        self._touched = True
        for place, output in enumerate(self._outputs):
            if output[0] == index and output[1].place is _wit.Place.VALUE:
                return place
        raise Fault(f"column `{column}` of table {self.database}.{self.name} was dropped before")

    def _finish(self):
        """The layout for batches, and the plan for the host."""
        reads = [(self.columns[i].name, self.columns[i].data_type.name.lower()) for i in self._reads]
        computed = []
        for index, column, is_computed in self._outputs:
            if is_computed:
                name = column.name if column.place is _wit.Place.VALUE else (column.place, column.name)
                same = index is not None and self.columns[index].data_type == column.data_type
                computed.append((name, column.data_type.name.lower(), self.columns[index].name if same else None))
        if not self._touched:
            return (reads, computed), None
        delivers = replace(self._table, columns=[column for _, column, _ in self._outputs])
        origins = [None if is_computed else index for index, _, is_computed in self._outputs]
        return (reads, computed), _wit.Plan(delivers, origins, self._operations, self._reads, self._context, self._filters)


def _data_type(name):
    try:
        return _wit.DataType[name.upper()]
    except KeyError:
        raise Fault(f"`{name}` is no type; the types are {', '.join(t.name.lower() for t in _wit.DataType)}") from None


class _Columns(dict):
    """The columns read, as lists of values: each is decoded when it is first asked for."""

    def __init__(self, names, rows):
        self.encoded = dict(zip((name for name, _ in names), zip((type for _, type in names), rows.columns)))

    def __missing__(self, name):
        try:
            type, vector = self.encoded[name]
        except KeyError:
            raise Fault(f"column `{name}` is not read by the plan: call table.read({name!r})") from None
        values = vector.values.value
        if type == "boolean":
            values = [value == 1 for value in values]
        elif type not in _ARRAYS:
            offsets, data = values.offsets, values.data
            if type != "bytes" and data.isascii():
                data = data.decode("ascii")  # once for all rows: its characters are its bytes
            values = [data[start:end] for start, end in zip(offsets, offsets[1:])]
            if type != "bytes" and isinstance(data, bytes):
                values = [value.decode() for value in values]
        if vector.nulls:
            values = list(values)
            for byte, bits in enumerate(vector.nulls):
                while bits:
                    bit = bits & -bits
                    values[byte * 8 + bit.bit_length() - 1] = None
                    bits ^= bit
        self[name] = values
        return values


class Batch:
    """Rows of one table. `batch["column"]` is the list of a column's values; `batch["column"] = values` sets a computed one,
    with a value for every row."""

    def __init__(self, table_id, layout, rows):
        self.table_id, self.count = table_id, rows.count
        #: For each row, if the plan asks for it: 0 before, 1 after; 0 snapshot, 1 insert, 2 update, 3 delete; microseconds since
        #: 1970-01-01 UTC; the row of the other image, or 4294967295.
        self.images, self.operations, self.times, self.partners = rows.images, rows.operations, rows.times, rows.partners
        self._columns = _Columns(layout[0], rows)
        self._computed = {name: (type, input) for name, type, input in layout[1]}
        self._set, self._dropped, self._rejected = {}, [], []

    def __getitem__(self, column):
        return self._columns[column]

    def __setitem__(self, column, values):
        if column not in self._computed:
            raise Fault(f"`{column}` is not computed by the plan: call table.rewrite, add, add_header or choose_destinations")
        if len(values) != self.count:
            raise Fault(f"column `{column}` is given {len(values)} values for {self.count} rows")
        self._set[column] = values

    def drop(self, row):
        """Does not deliver the image. An update that loses its after image becomes a delete, one that loses its before image an
        insert."""
        self._dropped.append(row)

    def reject(self, row, message):
        """The pipeline's policy for the plugin decides what becomes of the change. Never put row values into the message."""
        self._rejected.append(_wit.Rejection(row, message))

    def _writable(self, column):
        """The values of a computed column as they are so far."""
        if column not in self._set:
            input = self._computed.get(column, (None, None))[1]
            self[column] = list(self[input]) if input else [None] * self.count
        return self._set[column]

    def _finish(self):
        for column in self._computed:
            self._writable(column)
        computed = [_vector(name, type, self._set[name]) for name, (type, _) in self._computed.items()]
        keep = b""
        if self._dropped:
            bits = (1 << self.count) - 1
            for row in set(self._dropped):
                bits ^= 1 << row
            keep = bits.to_bytes((self.count + 7) // 8, "little")
        return _wit.Outcome(keep, computed, self._rejected)


def _vector(name, type, values):
    nulls = b""
    if None in values:
        bits, default = bytearray((len(values) + 7) // 8), _DEFAULTS.get(type, "")
        for row, value in enumerate(values):
            if value is None:
                bits[row >> 3] |= 1 << (row & 7)
        nulls, values = bytes(bits), [default if value is None else value for value in values]
    try:
        if type in _ARRAYS:
            code, kind = _ARRAYS[type]
            return _wit.Vector(kind(array(code, values).tolist()), nulls)
        if type == "boolean":
            return _wit.Vector(_wit.Values_Booleans(bytes(values)), nulls)
        if type == "bytes":
            return _wit.Vector(_wit.Values_Bytes(_strings(values, b"".join(values))), nulls)
        text = "".join(values)
        data = text.encode()
        if len(text) != len(data):
            values = [value.encode() for value in values]
        return _wit.Vector(_wit.Values_Texts(_strings(values, data)), nulls)
    except (TypeError, ValueError, OverflowError):
        raise Fault(f"column `{name}` of type {type} was set to a value of another type, or out of its range") from None


def _strings(values, data):
    return _wit.Strings([0, *accumulate(map(len, values))], data)


class Row:
    """One row image: `row["email"]` reads, `row["email"] = …` sets a computed column."""

    __slots__ = ("batch", "index")

    def __init__(self, batch, index=0):
        self.batch, self.index = batch, index

    def __getitem__(self, column):
        return self.batch._columns[column][self.index]

    def __setitem__(self, column, value):
        (self.batch._set.get(column) or self.batch._writable(column))[self.index] = value

    def set_header(self, name, value):
        """Sets a computed header."""
        self[_wit.Place.HEADER, name] = value

    def send_to(self, destination):
        """Sends the row's record to this Kafka topic, or folder of the file sink; the plan has to `choose_destinations`."""
        self[_DESTINATION] = destination

    def drop(self):
        """Does not deliver the image: see `Batch.drop`."""
        self.batch.drop(self.index)

    def reject(self, message):
        """Refuses the row: see `Batch.reject`."""
        self.batch.reject(self.index, message)

    @property
    def image(self):
        """ "before" or "after" the change; the plan has to ask for "images"."""
        return ("before", "after")[self.batch.images[self.index]]

    @property
    def operation(self):
        """ "snapshot", "insert", "update" or "delete"; the plan has to ask for "operations"."""
        return _OPERATIONS[self.batch.operations[self.index]]

    @property
    def time(self):
        """When the source executed the change, in microseconds since 1970-01-01 UTC; the plan has to ask for "times"."""
        return self.batch.times[self.index]

    @property
    def other(self):
        """The other image of the same change, or None; the plan has to ask for "partners"."""
        partner = self.batch.partners[self.index]
        return None if partner == 0xFFFFFFFF else Row(self.batch, partner)
