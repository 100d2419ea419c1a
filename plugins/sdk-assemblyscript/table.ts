/* What `plan` may do to a table. */

/** What a value is. From Decimal on all but Bytes are text; wit/plugin.wit says in which form. */
export enum DataType {
  Boolean,
  Int64,
  UInt64,
  Float32,
  Float64,
  Decimal,
  Text,
  Bytes,
  Date,
  Time,
  DateTime,
  Timestamp,
  Json,
}

/** Where a column's values are delivered. */
export enum Place {
  Value,
  Header,
  Destination,
}

/** Sets of operations. */
export enum Operations {
  Snapshot = 1,
  Insert = 2,
  Update = 4,
  Delete = 8,
  Truncate = 16,
  All = 31,
}

/** What rows know beside their columns, when the plan asks for it. */
export enum Context {
  Images = 1,
  Operations = 2,
  Times = 4,
  Partners = 8,
}

/** A column of a table. */
export class Column {
  constructor(
    public name: string,
    public type: DataType,
    /** The source's own type, e.g. `decimal(12,2)`. */
    public nativeType: string = "",
    public nullable: bool = true,
    public primaryKey: bool = false,
    public place: Place = Place.Value,
  ) {}

  copy(): Column {
    return new Column(this.name, this.type, this.nativeType, this.nullable, this.primaryKey, this.place);
  }
}

/** A delivered column. */
export class Output {
  constructor(
    public column: Column,
    /** The input column that it is or stands in for, or -1. */
    public input: i32,
    public computed: bool,
  ) {}
}

/** What the SDK knows of a table's plan. */
export class Plan {
  database: string;
  name: string;
  destination: string | null;
  outputs: Output[] = [];
  reads: i32[] = [];
  operations: i32 = Operations.All;
  context: i32 = 0;
  filters: bool = false;
  touched: bool = false;
  fault: string | null = null;

  constructor(database: string, name: string, destination: string | null, columns: Column[]) {
    this.database = database;
    this.name = name;
    this.destination = destination;
    for (let i = 0; i < columns.length; i++) this.outputs.push(new Output(columns[i].copy(), i, false));
  }
}

/** A table while it is planned. Columns are named as they arrive; one that it does not have is a fault that names it. */
export class Table {
  /** The SDK's. */
  readonly sluicegate: Plan;

  constructor(
    readonly id: u32,
    readonly database: string,
    /** Null where the source has none. */
    readonly schema: string | null,
    readonly name: string,
    destination: string | null,
    readonly columns: Column[],
  ) {
    this.sluicegate = new Plan(database, name, destination, columns);
  }

  has(column: string): bool {
    return this.find(column, Place.Value) >= 0;
  }
  /** Has the column handed to `row`. */
  read(column: string): void {
    this.readIndex(this.known(column, Place.Value));
  }
  /** The same for a header that a plugin before this one set. */
  readHeader(name: string): void {
    this.readIndex(this.known(name, Place.Header));
  }
  /** Reads a column, and delivers in its place a computed one of the same type: what is not set keeps its value. */
  rewrite(column: string): void {
    const index = this.known(column, Place.Value);
    if (index >= 0) this.rewriteAs(column, this.columns[index].type);
  }
  /** The same with another type: what is not set is null. */
  rewriteAs(column: string, type: DataType): void {
    const output = this.output(column);
    if (!output) return;
    this.readIndex(output.input);
    output.computed = output.column.nullable = true;
    if (output.column.type != type) output.column.nativeType = "";
    output.column.type = type;
  }
  /** Adds a computed column; what is not set is null. */
  add(name: string, type: DataType): void {
    this.push(new Column(name, type), -1, true);
  }
  /** Adds a computed header to the table's records; rows for which it is null have none. */
  addHeader(name: string, type: DataType = DataType.Text): void {
    this.push(new Column(name, type, "", true, false, Place.Header), -1, true);
  }
  /** Delivers a column as a header as well; its values never enter the plugin. */
  copyToHeader(column: string, header: string): void {
    const index = this.known(column, Place.Value);
    if (index < 0) return;
    const copy = this.columns[index].copy();
    copy.name = header;
    copy.primaryKey = false;
    copy.place = Place.Header;
    this.push(copy, index, false);
  }
  /** Sends the table's records to this Kafka topic, or folder of the file sink. */
  sendTo(destination: string): void {
    this.sluicegate.destination = destination;
    this.sluicegate.touched = true;
  }
  /** Lets each row choose its destination, with `row.sendTo`; rows that do not go where the table goes. */
  chooseDestinations(): void {
    const outputs = this.sluicegate.outputs;
    for (let i = outputs.length - 1; i >= 0; i--) if (outputs[i].column.place == Place.Destination) outputs.splice(i, 1);
    this.push(new Column("destination", DataType.Text, "", true, false, Place.Destination), -1, true);
  }
  rename(column: string, name: string): void {
    const output = this.output(column);
    if (output) output.column.name = name;
  }
  /** Makes these columns, and no others, the key of the table's records. */
  setKey(columns: string[]): void {
    const outputs = this.sluicegate.outputs;
    for (let i = 0; i < outputs.length; i++) outputs[i].column.primaryKey = false;
    for (let i = 0; i < columns.length; i++) {
      const output = this.output(columns[i]);
      if (output) output.column.primaryKey = true;
    }
  }
  dropColumn(column: string): void {
    const output = this.output(column);
    if (output) this.sluicegate.outputs.splice(this.sluicegate.outputs.indexOf(output), 1);
  }
  renameTable(name: string, database: string | null = null): void {
    this.sluicegate.name = name;
    if (database) this.sluicegate.database = database;
    this.sluicegate.touched = true;
  }
  /** Delivers only these operations (`Operations.Insert | …`); 0 drops the table. */
  deliver(operations: i32): void {
    this.sluicegate.operations = operations;
    this.sluicegate.touched = true;
  }
  /** What else rows know (`Context.Images | …`). */
  ask(context: i32): void {
    this.sluicegate.context |= context;
  }
  /** Has to be called when rows may be dropped or rejected. */
  filterRows(): void {
    this.sluicegate.filters = this.sluicegate.touched = true;
  }
  /** Refuses the table, with a text for the operator that says what to change. */
  refuse(message: string): void {
    if (this.sluicegate.fault == null) this.sluicegate.fault = message;
  }

  private push(column: Column, input: i32, computed: bool): void {
    this.sluicegate.outputs.push(new Output(column, input, computed));
    this.sluicegate.touched = true;
  }
  private readIndex(index: i32): void {
    if (index >= 0 && !this.sluicegate.reads.includes(index)) this.sluicegate.reads.push(index);
  }
  private find(name: string, place: Place): i32 {
    for (let i = 0; i < this.columns.length; i++) if (this.columns[i].place == place && this.columns[i].name == name) return i;
    return -1;
  }
  private known(name: string, place: Place): i32 {
    const index = this.find(name, place);
    const what = place == Place.Header ? "header" : "column";
    if (index < 0) this.refuse("table " + this.database + "." + this.name + " has no " + what + " `" + name + "`");
    return index;
  }
  private output(column: string): Output | null {
    const index = this.known(column, Place.Value);
    if (index < 0) return null;
    this.sluicegate.touched = true;
    const outputs = this.sluicegate.outputs;
    for (let i = 0; i < outputs.length; i++)
      if (outputs[i].input == index && outputs[i].column.place == Place.Value) return outputs[i];
    this.refuse("column `" + column + "` of table " + this.database + "." + this.name + " was dropped before");
    return null;
  }
}
