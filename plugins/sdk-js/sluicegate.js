/* Write a Sluicegate plugin in JavaScript: see sluicegate.d.ts for what there is, with types. */

import { log as write } from "sluicegate:plugin/log@1.0.0";

/** A text for the operator that says what to change. Throw it from any method; it never may hold row values. */
export class Fault extends Error {}

/** Writes a line to the host's log: `log("info", "…")`. Never log row values. */
export function log(level, message) {
  write(level, message);
}

/** What the component exports: `export const transform = plugin({ … })`. */
export function plugin(definition) {
  const layouts = new Map();
  return {
    describe() {
      const { name, version, summary, configSchema } = definition;
      return { name, version, summary, configSchema: configSchema === undefined ? "" : JSON.stringify(configSchema) };
    },
    configure(config) {
      guarded(() => definition.configure?.(JSON.parse(config)));
    },
    plan(id, table) {
      return guarded(() => {
        const planned = new Table(id, table);
        definition.plan?.(planned);
        layouts.set(id, planned.layout());
        return planned.finish();
      });
    },
    apply(id, rows) {
      return guarded(() => {
        const batch = new Batch(id, layouts.get(id), rows);
        if (definition.batch) definition.batch(batch);
        else if (definition.row) batch.eachRow((row) => definition.row(row));
        return batch.finish();
      });
    },
  };
}

/* The engine's own errors may hold row values: of them only the kind and the place are told. */
function guarded(call) {
  try {
    return call();
  } catch (error) {
    if (error instanceof Fault || error?.constructor === Error) throw error.message;
    if (!(error instanceof Error)) throw "the plugin threw something that is no Error";
    throw `${error.name} at ${error.stack.split("\n")[0].replace(/^.*@/, "")}`;
  }
}

const OPERATIONS = ["snapshot", "insert", "update", "delete", "truncate"];
const TYPES = ["boolean", "int64", "uint64", "float32", "float64", "decimal", "text", "bytes", "date", "time", "datetime", "timestamp", "json"];
const DESTINATION = "destination";

// Under which name a computed column is set: headers and the destination are no columns of the record. Names hold no line breaks.
const keyOf = (place, name) => (place === "value" ? name : `${place}\n${name}`);

const flags = (names) => Object.fromEntries(names.map((name) => [name, true]));

function checkedType(type) {
  if (!TYPES.includes(type)) throw new Fault(`\`${type}\` is no type; the types are ${TYPES.join(", ")}`);
  return type;
}

class Table {
  #table;
  #outputs; // the input column that it is or stands in for, the delivered column, whether it is computed
  #reads = [];
  #operations = flags(OPERATIONS);
  #context = {};
  #filters = false;
  #touched = false;

  constructor(id, table) {
    this.id = id;
    this.database = table.name.database;
    this.schema = table.name.schema;
    this.name = table.name.table;
    this.columns = table.columns;
    this.#table = { ...table };
    this.#outputs = table.columns.map((column, input) => ({ input, column: { ...column }, computed: false }));
  }

  has(column) {
    return this.#find(column, "value") >= 0;
  }
  typeOf(column) {
    return this.columns[this.#known(column)].dataType;
  }
  read(column) {
    this.#read(this.#known(column));
  }
  readHeader(name) {
    this.#read(this.#known(name, "header"));
  }
  rewrite(column, type = this.typeOf(column)) {
    const output = this.#output(column);
    this.#read(output.input);
    output.computed = output.column.nullable = true;
    if (type !== output.column.dataType) {
      output.column.dataType = checkedType(type);
      output.column.nativeType = "";
    }
  }
  add(name, type) {
    this.#add(name, type, "value");
  }
  addHeader(name, type = "text") {
    this.#add(name, type, "header");
  }
  copyToHeader(column, header) {
    const input = this.#known(column);
    const copy = { ...this.columns[input], name: header, primaryKey: false, place: "header" };
    this.#outputs.push({ input, column: copy, computed: false });
    this.#touched = true;
  }
  sendTo(destination) {
    this.#table.destination = destination;
    this.#touched = true;
  }
  chooseDestinations() {
    this.#outputs = this.#outputs.filter((output) => output.column.place !== DESTINATION);
    this.#add(DESTINATION, "text", DESTINATION);
  }
  rename(column, name) {
    this.#output(column).column.name = name;
  }
  setKey(...columns) {
    const key = columns.map((column) => this.#output(column));
    for (const output of this.#outputs) output.column.primaryKey = key.includes(output);
  }
  dropColumn(column) {
    this.#outputs.splice(this.#outputs.indexOf(this.#output(column)), 1);
  }
  renameTable(name, database = this.database) {
    this.#table.name = { ...this.#table.name, database, table: name };
    this.#touched = true;
  }
  deliver(...operations) {
    this.#operations = flags(operations);
    this.#touched = true;
  }
  ask(...context) {
    Object.assign(this.#context, flags(context));
  }
  filterRows() {
    this.#filters = this.#touched = true;
  }

  #add(name, type, place) {
    const column = { name, dataType: checkedType(type), nativeType: "", nullable: true, primaryKey: false, place };
    this.#outputs.push({ input: undefined, column, computed: true });
    this.#touched = true;
  }
  #read(index) {
    if (!this.#reads.includes(index)) this.#reads.push(index);
  }
  #find(name, place) {
    return this.columns.findIndex((column) => column.name === name && column.place === place);
  }
  #known(name, place = "value") {
    const index = this.#find(name, place);
    if (index < 0) throw new Fault(`table ${this.database}.${this.name} has no ${place === "header" ? place : "column"} \`${name}\``);
    return index;
  }
  #output(column) {
    const index = this.#known(column);
    this.#touched = true;
    const output = this.#outputs.find((output) => output.input === index && output.column.place === "value");
    if (!output) throw new Fault(`column \`${column}\` of table ${this.database}.${this.name} was dropped before`);
    return output;
  }

  /** What batches have to know: the columns read, and those computed. */
  layout() {
    const reads = this.#reads.map((index) => ({ name: this.columns[index].name, type: this.columns[index].dataType }));
    const computed = this.#outputs
      .filter((output) => output.computed)
      .map(({ input, column }) => ({
        name: keyOf(column.place, column.name),
        type: column.dataType,
        input: this.columns[input]?.dataType === column.dataType ? this.columns[input].name : undefined,
      }));
    return { reads, computed };
  }
  finish() {
    if (!this.#touched) return undefined;
    return {
      delivers: { ...this.#table, columns: this.#outputs.map((output) => output.column) },
      origins: this.#outputs.map((output) => (output.computed ? undefined : output.input)),
      operations: this.#operations,
      reads: new Uint32Array(this.#reads),
      context: this.#context,
      filters: this.#filters,
    };
  }
}

class Batch {
  #encoded;
  #decoded = new Map();
  #computed;
  #set = new Map();
  #keep = new Uint8Array();
  #rejected = [];

  constructor(id, layout, rows) {
    this.tableId = id;
    this.count = rows.count;
    this.images = rows.images;
    this.operations = rows.operations;
    this.times = rows.times;
    this.partners = rows.partners;
    this.#encoded = new Map(layout.reads.map(({ name, type }, i) => [name, { type, vector: rows.columns[i] }]));
    this.#computed = layout.computed;
  }

  /** The values of a column that the plan reads; decoded when it is first asked for. */
  get(column) {
    let values = this.#decoded.get(column);
    if (values === undefined) {
      const encoded = this.#encoded.get(column);
      if (!encoded) throw new Fault(`column \`${column}\` is not read by the plan: call table.read("${column}")`);
      values = decoded(encoded);
      this.#decoded.set(column, values);
    }
    return values;
  }
  /** The column as it crossed: typed arrays, with a bitmap of nulls. */
  vector(column) {
    this.get(column);
    return this.#encoded.get(column).vector;
  }
  set(column, values) {
    if (!this.#computed.some((computed) => computed.name === column))
      throw new Fault(`\`${column}\` is not computed by the plan: call table.rewrite, add, addHeader or chooseDestinations`);
    if (values.length !== this.count) throw new Fault(`column \`${column}\` is given ${values.length} values for ${this.count} rows`);
    this.#set.set(column, values);
  }
  eachRow(handle) {
    for (const row = new Row(this, 0); row.index < this.count; row.index++) handle(row);
  }
  drop(row) {
    if (!this.#keep.length) {
      this.#keep = new Uint8Array((this.count + 7) >> 3).fill(0xff);
      if (this.count & 7) this.#keep[this.#keep.length - 1] = 0xff >> (8 - (this.count & 7));
    }
    this.#keep[row >> 3] &= ~(1 << (row & 7));
  }
  reject(row, message) {
    this.#rejected.push({ row, message });
  }

  /** The values of a computed column as they are so far, to be changed row by row. */
  writable(column) {
    let values = this.#set.get(column);
    if (values === undefined) {
      const input = this.#computed.find((computed) => computed.name === column)?.input;
      values = input === undefined ? new Array(this.count).fill(null) : Array.from(this.get(input));
      this.set(column, values);
    }
    return values;
  }
  finish() {
    const computed = this.#computed.map(({ name, type, input }) => {
      // what was never set is what was read, as it is
      if (input !== undefined && !this.#set.has(name)) return this.#encoded.get(input).vector;
      return encoded(name, type, this.writable(name));
    });
    return { keep: this.#keep, computed, rejected: this.#rejected };
  }
}

class Row {
  constructor(batch, index) {
    this.batch = batch;
    this.index = index;
  }
  get(column) {
    return this.batch.get(column)[this.index];
  }
  set(column, value) {
    this.batch.writable(column)[this.index] = value;
  }
  setHeader(name, value) {
    this.set(keyOf("header", name), value);
  }
  sendTo(destination) {
    this.set(keyOf(DESTINATION, DESTINATION), destination);
  }
  drop() {
    this.batch.drop(this.index);
  }
  reject(message) {
    this.batch.reject(this.index, message);
  }
  get image() {
    return ["before", "after"][this.batch.images[this.index]];
  }
  get operation() {
    return OPERATIONS[this.batch.operations[this.index]];
  }
  get time() {
    return this.batch.times[this.index];
  }
  get other() {
    const partner = this.batch.partners[this.index];
    return partner === 0xffffffff ? null : new Row(this.batch, partner);
  }
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

function decoded({ type, vector }) {
  let values = vector.values.val;
  if (type === "boolean") values = Array.from(values, (value) => value === 1);
  else if (values.offsets) values = type === "bytes" ? slices(values) : texts(values);
  if (vector.nulls.length) {
    values = Array.from(values);
    for (let i = 0; i < values.length; i++) if ((vector.nulls[i >> 3] >> (i & 7)) & 1) values[i] = null;
  }
  return values;
}

function slices({ offsets, data }) {
  const values = new Array(offsets.length - 1);
  for (let i = 0; i < values.length; i++) values[i] = data.subarray(offsets[i], offsets[i + 1]);
  return values;
}

function texts({ offsets, data }) {
  const values = new Array(offsets.length - 1);
  const text = decoder.decode(data);
  // only of ASCII is every character a byte: then one call to the decoder does for all rows
  if (text.length === data.length) for (let i = 0; i < values.length; i++) values[i] = text.slice(offsets[i], offsets[i + 1]);
  else for (let i = 0; i < values.length; i++) values[i] = decoder.decode(data.subarray(offsets[i], offsets[i + 1]));
  return values;
}

// Not instanceof: arrays that the host filled come from another global object, with an Uint8Array of its own.
const isArrayOf = (kind, value) => Object.prototype.toString.call(value) === `[object ${kind}]`;

const NUMBERS = {
  int64: { tag: "int64s", array: BigInt64Array, js: "bigint", zero: 0n, fits: (value) => BigInt.asIntN(64, value) === value },
  uint64: { tag: "uint64s", array: BigUint64Array, js: "bigint", zero: 0n, fits: (value) => BigInt.asUintN(64, value) === value },
  float32: { tag: "float32s", array: Float32Array, js: "number", zero: 0, fits: () => true },
  float64: { tag: "float64s", array: Float64Array, js: "number", zero: 0, fits: () => true },
  boolean: { tag: "booleans", array: Uint8Array, js: "boolean", zero: 0, fits: () => true },
};

function encoded(name, type, given) {
  const wrong = () => new Fault(`column \`${name}\` of type ${type} was set to a value of another type, or out of its range`);
  const count = given.length;
  let nulls = new Uint8Array();
  const setNull = (i) => {
    if (!nulls.length) nulls = new Uint8Array((count + 7) >> 3);
    nulls[i >> 3] |= 1 << (i & 7);
  };
  const number = NUMBERS[type];
  if (number) {
    if (isArrayOf(number.array.name, given) && type !== "boolean") return { values: { tag: number.tag, val: given }, nulls };
    const val = new number.array(count);
    for (let i = 0; i < count; i++) {
      let value = given[i];
      if (value === null || value === undefined) {
        setNull(i);
        continue;
      }
      if (number.js === "bigint" && Number.isSafeInteger(value)) value = BigInt(value);
      if (typeof value !== number.js || !number.fits(value)) throw wrong();
      val[i] = value;
    }
    return { values: { tag: number.tag, val }, nulls };
  }
  const offsets = new Uint32Array(count + 1);
  let length = 0;
  for (let i = 0; i < count; i++) {
    const value = given[i];
    if (value === null || value === undefined) setNull(i);
    else if (type === "bytes" ? isArrayOf("Uint8Array", value) : typeof value === "string") length += value.length;
    else throw wrong();
    offsets[i + 1] = length;
  }
  if (type === "bytes") {
    const data = new Uint8Array(length);
    for (let i = 0; i < count; i++) if (given[i]) data.set(given[i], offsets[i]);
    return { values: { tag: "bytes", val: { offsets, data } }, nulls };
  }
  let data = encoder.encode(given.join(""));
  if (data.length !== length) {
    data = new Uint8Array(length * 3);
    let end = 0;
    for (let i = 0; i < count; i++) {
      if (given[i]) end += encoder.encodeInto(given[i], data.subarray(end)).written;
      offsets[i + 1] = end;
    }
    data = data.slice(0, end);
  }
  return { values: { tag: "texts", val: { offsets, data } }, nulls };
}
