/* Rows: whole batches, and one at a time. */
import { answer } from "./memory";
import { Builder, Input, bit } from "./columns";
import { Column, DataType, Place, Table } from "./table";
import { encode, mostBytes, sayable } from "./text";
import { Plugin } from "./plugin";

/** Which image a row is. */
export enum Image {
  Before,
  After,
}

/** What happened to a row. */
export enum Operation {
  Snapshot,
  Insert,
  Update,
  Delete,
}

const NO_ROW: u32 = u32.MAX_VALUE;

/** Rows of one table. It is valid during the call. */
export class Batch {
  /** How many rows there are. */
  count: u32 = 0;
  /** The columns that the plan reads, in its order. */
  readonly inputs: Input[] = [];
  /** The columns that it computes, in its order. */
  readonly computed: Builder[] = [];

  // one entry for each row, where the plan asks for it
  private images: usize = 0;
  private operations: usize = 0;
  private times: usize = 0;
  private partners: usize = 0;
  private keep: usize = 0;
  private rejectedRows: u32[] = [];
  private messages: string[] = [];
  /** Why the batch fails. */
  fault: string | null = null;

  constructor(
    private plugin: Plugin,
    private table: Table,
  ) {
    const plan = table.sluicegate;
    for (let i = 0; i < plan.reads.length; i++) {
      const column = table.columns[plan.reads[i]];
      this.inputs.push(new Input(this, column.name, column.type));
    }
    for (let i = 0; i < plan.outputs.length; i++) {
      const output = plan.outputs[i];
      const column = output.column;
      if (!output.computed) continue;
      const read = output.input < 0 || table.columns[output.input].type != column.type ? -1 : plan.reads.indexOf(output.input);
      this.computed.push(new Builder(this, column.name, column.type, column.place, read < 0 ? null : this.inputs[read]));
    }
  }

  get tableId(): u32 {
    return this.table.id;
  }
  /** A column that the plan reads. */
  input(name: string): Input {
    for (let i = 0; i < this.inputs.length; i++) {
      const input = unchecked(this.inputs[i]);
      if (input.name == name) return input;
    }
    this.fail("column `" + name + "` is not read by the plan: call table.read");
    return new Input(this, name, DataType.Text).empty();
  }
  /** A column that the plan computes. */
  column(name: string): Builder {
    return this.builder(name, Place.Value);
  }
  /** A header that the plan computes. */
  header(name: string): Builder {
    return this.builder(name, Place.Header);
  }
  /** Calls the plugin's `row` for each row, then gives a value to every computed column of it that was not set. */
  eachRow(): void {
    const row = new Row(this, 0);
    for (let index: u32 = 0; index < this.count && this.fault == null; index++) {
      row.index = index;
      this.plugin.row(row);
      for (let i = 0; i < this.computed.length; i++) unchecked(this.computed[i]).complete(index);
    }
  }
  /** Does not deliver the image. */
  drop(row: u32): void {
    if (row >= this.count) throw new Error("sluicegate: there is no such row");
    const size = (this.count + 7) >> 3;
    if (!this.keep) {
      this.keep = answer(size);
      memory.fill(this.keep, 0xff, size);
      if (this.count & 7) store<u8>(this.keep + size - 1, bit(this.count) - 1);
    }
    store<u8>(this.keep + (row >> 3), load<u8>(this.keep + (row >> 3)) & ~bit(row));
  }
  /** The pipeline's policy for the plugin decides what becomes of the change. Never put row values into the message. */
  reject(row: u32, message: string): void {
    if (row >= this.count) throw new Error("sluicegate: there is no such row");
    this.rejectedRows.push(row);
    this.messages.push(message);
  }
  /** Fails the batch, with a text for the operator. Of several the first one counts. */
  fail(message: string): void {
    if (this.fault == null) this.fault = message;
  }
  image(row: u32): Image {
    return load<u8>(this.asked(this.images, row, 1, "Images"));
  }
  operation(row: u32): Operation {
    return load<u8>(this.asked(this.operations, row, 1, "Operations"));
  }
  time(row: u32): i64 {
    return load<i64>(this.asked(this.times, row, 8, "Times"));
  }
  /** The row of the other image; `u32.MAX_VALUE` when there is none. */
  partner(row: u32): u32 {
    return load<u32>(this.asked(this.partners, row, 4, "Partners"));
  }

  /** Where a row's entry of a list stands. */
  private asked(list: usize, row: u32, width: usize, what: string): usize {
    if (row >= this.count) throw new Error("sluicegate: there is no such row");
    if (list) return list + <usize>row * width;
    this.fail("the plan does not ask for Context." + what + ": call table.ask");
    return NOTHING;
  }
  private builder(name: string, place: Place): Builder {
    for (let i = 0; i < this.computed.length; i++) {
      const column = unchecked(this.computed[i]);
      if (column.place == place && column.name == name) return column;
    }
    if (place == Place.Value) this.fail("column `" + name + "` is not computed by the plan: call table.rewrite or table.add");
    else if (place == Place.Header) this.fail("header `" + name + "` is not computed by the plan: call table.addHeader");
    else this.fail("the plan does not let rows choose their destination: call table.chooseDestinations");
    return new Builder(this, name, DataType.Text, place, null).begin();
  }

  /** The SDK's: the builder of a column, at this row. */
  settable(name: string, place: Place, row: u32): Builder {
    const column = this.builder(name, place);
    if (!column.rewind(row)) this.fail("`" + name + "` is set in another row than the one that is handled");
    return column;
  }
  /** The SDK's: takes the rows as they cross. Answers whether they are those that were planned. */
  begin(count: u32, columns: usize, length: u32, lists: StaticArray<usize>, lengths: StaticArray<u32>): bool {
    this.count = count;
    this.keep = 0;
    this.rejectedRows = [];
    this.messages = [];
    this.fault = null;
    let sound = length == <u32>this.inputs.length;
    for (let i = 0; sound && i < this.inputs.length; i++) sound = this.inputs[i].take(columns + i * 28, count);
    for (let i = 0; i < 4; i++) sound = sound && (lengths[i] == 0 || lengths[i] == count);
    if (!sound) {
      this.count = 0;
      return false;
    }
    this.images = lengths[0] ? lists[0] : 0;
    this.operations = lengths[1] ? lists[1] : 0;
    this.times = lengths[2] ? lists[2] : 0;
    this.partners = lengths[3] ? lists[3] : 0;
    for (let i = 0; i < this.computed.length; i++) this.computed[i].begin();
    return true;
  }
  /** The SDK's: writes the answer as `outcome`, if the batch did not fail. What is kept of the batch has no rows any more. */
  finish(outcome: usize): void {
    for (let i = 0; i < this.computed.length; i++)
      if (this.computed[i].count != this.count) this.fail("computed column `" + this.computed[i].name + "` does not have a value for every row");
    if (this.fault == null) {
      store<usize>(outcome, this.keep);
      store<u32>(outcome, this.keep ? (this.count + 7) >> 3 : 0, 4);
      const vectors = answer(this.computed.length * 28);
      for (let i = 0; i < this.computed.length; i++) this.computed[i].write(vectors + i * 28);
      store<usize>(outcome, vectors, 8);
      store<u32>(outcome, this.computed.length, 12);
      const rejections = answer(this.messages.length * 12);
      for (let i = 0; i < this.messages.length; i++) {
        store<u32>(rejections + i * 12, this.rejectedRows[i]);
        writeText(rejections + i * 12 + 4, sayable(this.messages[i]));
      }
      store<usize>(outcome, rejections, 16);
      store<u32>(outcome, this.messages.length, 20);
    }
    this.count = 0;
  }
}

/** One value of zeros, for what the plan did not ask for. */
const NOTHING = memory.data(8, 8);

/** Writes a text as `string`: address and length. */
export function writeText(to: usize, text: string): void {
  const block = answer(mostBytes(text));
  const end = text.length ? encode(text, block) : block;
  if (text.length && end == 0) throw new Error("sluicegate: a name or description holds half of a surrogate pair");
  store<usize>(to, block);
  store<u32>(to, <u32>(end - block), 4);
}

/** One row image. */
export class Row {
  constructor(
    readonly batch: Batch,
    public index: u32,
  ) {}

  isNull(column: string): bool {
    return this.batch.input(column).isNull(this.index);
  }
  /** A null reads as null, false or 0. */
  text(column: string): string | null {
    return this.batch.input(column).text(this.index);
  }
  bytes(column: string): Uint8Array | null {
    return this.batch.input(column).bytes(this.index);
  }
  bool(column: string): bool {
    return this.batch.input(column).bool(this.index);
  }
  int(column: string): i64 {
    return this.batch.input(column).int(this.index);
  }
  uint(column: string): u64 {
    return this.batch.input(column).uint(this.index);
  }
  /** A float of either width. */
  float(column: string): f64 {
    return this.batch.input(column).float(this.index);
  }
  /** Sets a computed column: to a boolean, an integer, a float, a text or bytes. */
  set<T>(column: string, value: T): void {
    this.batch.settable(column, Place.Value, this.index).push<T>(value);
  }
  setNull(column: string): void {
    this.batch.settable(column, Place.Value, this.index).pushNull();
  }
  /** Sets a computed column to the value of one that is read, of the same type. */
  copy(column: string, from: string): void {
    this.batch.settable(column, Place.Value, this.index).pushFrom(this.batch.input(from), this.index);
  }
  /** Sets a computed header. */
  setHeader<T>(name: string, value: T): void {
    this.batch.settable(name, Place.Header, this.index).push<T>(value);
  }
  /** Sends the row's record to this destination; the plan has to `chooseDestinations`. */
  sendTo(destination: string | null): void {
    this.batch.settable("destination", Place.Destination, this.index).push(destination);
  }
  /** Does not deliver the image. An update that loses its after image becomes a delete, one that loses its before image an insert. */
  drop(): void {
    this.batch.drop(this.index);
  }
  /** The pipeline's policy for the plugin decides what becomes of the change. Never put row values into the message. */
  reject(message: string): void {
    this.batch.reject(this.index, message);
  }
  /** These four only if the plan asks for them. */
  get image(): Image {
    return this.batch.image(this.index);
  }
  get operation(): Operation {
    return this.batch.operation(this.index);
  }
  /** When the source executed the change, in microseconds since 1970-01-01 UTC. */
  get time(): i64 {
    return this.batch.time(this.index);
  }
  /** The other image of the same change. */
  get other(): Row | null {
    const partner = this.batch.partner(this.index);
    return partner < this.batch.count ? new Row(this.batch, partner) : null;
  }
}
