/** What a value is. Decimals, dates, times and JSON are text, in the forms that wit/plugin.wit describes. */
export type DataType =
  | "boolean" | "int64" | "uint64" | "float32" | "float64" | "decimal" | "text" | "bytes"
  | "date" | "time" | "datetime" | "timestamp" | "json";

/** A boolean; a 64-bit integer (as a column is set, also a safe integer number); a float; text; bytes; null. */
export type Value = boolean | bigint | number | string | Uint8Array | null;

export type Operation = "snapshot" | "insert" | "update" | "delete" | "truncate";
export type Context = "images" | "operations" | "times" | "partners";

/** A plugin. State that outlives a call is a cache and nothing else: the host runs several instances, and replaces them. */
export interface Definition {
  name: string;
  version: string;
  /** What it does, in a sentence. */
  summary: string;
  /** A JSON Schema (draft 2020-12) of the configuration; left out = anything goes. */
  configSchema?: object;
  /** Reads the `config` of the pipeline file; null when there is none. */
  configure?(config: unknown): void;
  /** Called once for each table: says what becomes of its columns. What it does not mention passes untouched. */
  plan?(table: Table): void;
  /** Called for each row image of the tables whose plan computes, drops or rejects something. */
  row?(row: Row): void;
  /** Instead of `row`: called with whole columns. */
  batch?(batch: Batch): void;
}

/** What the component exports: `export const transform = plugin({ … })`. */
export function plugin(definition: Definition): object;

/** A text for the operator that says what to change. Throw it from any method; it never may hold row values. */
export class Fault extends Error {}

/** Writes a line to the host's log. Never log row values. */
export function log(level: "trace" | "debug" | "info" | "warn" | "error", message: string): void;

export interface Column {
  name: string;
  dataType: DataType;
  nativeType: string;
  nullable: boolean;
  primaryKey: boolean;
  place: "value" | "header" | "destination";
}

/** A table while it is planned. Columns are named as they arrive; one that it does not have is a fault that names it. */
export interface Table {
  readonly id: number;
  readonly database: string;
  /** Undefined where the source has none. */
  readonly schema?: string;
  readonly name: string;
  readonly columns: Column[];
  has(column: string): boolean;
  typeOf(column: string): DataType;
  /** Has the column handed to `row`. */
  read(column: string): void;
  /** The same for a header that a plugin before this one set. */
  readHeader(name: string): void;
  /** Reads a column, and delivers a computed one in its place. What is not set keeps its value; with another type it is null. */
  rewrite(column: string, type?: DataType): void;
  /** Adds a computed column; what is not set is null. */
  add(name: string, type: DataType): void;
  /** Adds a computed header to the table's records; rows for which it is null have none. */
  addHeader(name: string, type?: DataType): void;
  /** Delivers a column as a header as well; its values never enter the plugin. */
  copyToHeader(column: string, header: string): void;
  /** Sends the table's records to this Kafka topic, or folder of the file sink. */
  sendTo(destination: string): void;
  /** Lets each row choose its destination, with `row.sendTo`; rows that do not go where the table goes. */
  chooseDestinations(): void;
  rename(column: string, name: string): void;
  /** Makes these columns, and no others, the key of the table's records. */
  setKey(...columns: string[]): void;
  dropColumn(column: string): void;
  renameTable(name: string, database?: string): void;
  /** Delivers only these operations; none drops the table. */
  deliver(...operations: Operation[]): void;
  /** What else rows know. */
  ask(...context: Context[]): void;
  /** Has to be called when rows may be dropped or rejected. */
  filterRows(): void;
}

/** One row image. */
export interface Row {
  readonly batch: Batch;
  readonly index: number;
  get(column: string): any;
  /** Sets a computed column. */
  set(column: string, value: Value): void;
  /** Sets a computed header. */
  setHeader(name: string, value: Value): void;
  /** Sends the row's record to this destination; the plan has to `chooseDestinations`. */
  sendTo(destination: string | null): void;
  /** Does not deliver the image. An update that loses its after image becomes a delete, one that loses its before image an insert. */
  drop(): void;
  /** The pipeline's policy for the plugin decides what becomes of the change. Never put row values into the message. */
  reject(message: string): void;
  /** These four only if the plan asks for them. */
  readonly image: "before" | "after";
  readonly operation: Operation;
  /** When the source executed the change, in microseconds since 1970-01-01 UTC. */
  readonly time: bigint;
  /** The other image of the same change. */
  readonly other: Row | null;
}

/** Rows of one table. */
export interface Batch {
  readonly tableId: number;
  readonly count: number;
  /** For each row, if the plan asks for it: 0 before, 1 after. */
  readonly images: Uint8Array;
  /** 0 snapshot, 1 insert, 2 update, 3 delete. */
  readonly operations: Uint8Array;
  readonly times: BigInt64Array;
  /** The row of the other image, or 4294967295. */
  readonly partners: Uint32Array;
  /** The values of a column that the plan reads: a typed array for numbers without nulls, else an array. */
  get(column: string): ArrayLike<any>;
  /** The column as it crossed: typed arrays, with a bitmap of nulls. */
  vector(column: string): { values: { tag: string; val: any }; nulls: Uint8Array };
  /** Sets a computed column, with a value for every row. */
  set(column: string, values: ArrayLike<Value>): void;
  /** Calls `handle` for each row. */
  eachRow(handle: (row: Row) => void): void;
  drop(row: number): void;
  reject(row: number, message: string): void;
}
