/* Whole columns: those that the plan reads, and those that it computes. */
import { answer, answered } from "./memory";
import { DataType, Place } from "./table";
import { decode, encode, mostBytes } from "./text";
import { Batch } from "./batch";

/** Whether values are text or bytes, of any length. */
export function hasOffsets(type: DataType): bool {
  return type >= DataType.Decimal;
}

/** Bytes of a value. */
function widthOf(type: DataType): usize {
  return type == DataType.Boolean ? 1 : type == DataType.Float32 ? 4 : 8;
}

/** The case of the interface's `values` that holds a type. */
function caseOf(type: DataType): u8 {
  return <u8>(type == DataType.Bytes ? 6 : hasOffsets(type) ? 5 : type);
}

/** The bit of a row in its byte of a bitmap. */
// @ts-ignore: decorator
@inline
export function bit(row: u32): u8 {
  return <u8>(<u32>1 << (row & 7));
}

/** A column that was read. Rows are counted from 0; a null reads as null, false or 0. */
export class Input {
  /** Where the values stand: one for each row; of text and bytes one offset more than there are rows. Valid during the call. */
  values: usize = 0;
  /** Text and bytes: row i stands at `data + offsets[i]` and ends before `data + offsets[i + 1]`. */
  data: usize = 0;
  private length: u32 = 0;
  /** A bit for each row, set = null; 0 when nothing is null. */
  nulls: usize = 0;

  constructor(
    readonly batch: Batch,
    readonly name: string,
    readonly type: DataType,
  ) {}

  isNull(row: u32): bool {
    this.check(row);
    return this.nullAt(row);
  }
  bool(row: u32): bool {
    return this.holds(row, this.type == DataType.Boolean) && load<u8>(this.values + row) != 0;
  }
  int(row: u32): i64 {
    return this.holds(row, this.type == DataType.Int64) ? load<i64>(this.values + (<usize>row << 3)) : 0;
  }
  uint(row: u32): u64 {
    return this.holds(row, this.type == DataType.UInt64) ? load<u64>(this.values + (<usize>row << 3)) : 0;
  }
  /** A float of either width. */
  float(row: u32): f64 {
    if (!this.holds(row, this.type == DataType.Float64 || this.type == DataType.Float32)) return 0;
    return this.type == DataType.Float64 ? load<f64>(this.values + (<usize>row << 3)) : <f64>load<f32>(this.values + (<usize>row << 2));
  }
  /** Everything that is text: decimals, dates, times and JSON, too. */
  text(row: u32): string | null {
    if (!this.holds(row, hasOffsets(this.type) && this.type != DataType.Bytes)) return null;
    const text = decode(this.data + this.startOf(row), this.lengthOf(row));
    if (text == null) this.batch.fail("column `" + this.name + "` holds text that is no UTF-8");
    return text;
  }
  /** Bytes; of text its UTF-8. A copy. */
  bytes(row: u32): Uint8Array | null {
    if (!this.holds(row, hasOffsets(this.type))) return null;
    const length = this.lengthOf(row);
    const bytes = new Uint8Array(<i32>length);
    memory.copy(bytes.dataStart, this.data + this.startOf(row), length);
    return bytes;
  }

  /** The SDK's: stands for a column that is not there: all null. */
  empty(): Input {
    const size = (this.batch.count + 7) >> 3;
    this.nulls = answer(max<u32>(size, 1));
    memory.fill(this.nulls, 0xff, size);
    return this;
  }
  /** The SDK's: takes the vector at this address. Answers whether it is one of this type, for so many rows. */
  take(vector: usize, count: u32): bool {
    this.values = load<usize>(vector, 4);
    const values = load<u32>(vector, 8);
    this.data = load<usize>(vector, 12);
    this.length = hasOffsets(this.type) ? load<u32>(vector, 16) : 0;
    const nulls = load<u32>(vector, 24);
    this.nulls = nulls ? load<usize>(vector, 20) : 0;
    return load<u8>(vector) == caseOf(this.type) && values == count + u32(hasOffsets(this.type)) && (nulls == 0 || nulls == (count + 7) >> 3);
  }
  // @ts-ignore: decorator
  @inline
  nullAt(row: u32): bool {
    return this.nulls != 0 && (load<u8>(this.nulls + (row >> 3)) & bit(row)) != 0;
  }
  // @ts-ignore: decorator
  @inline
  startOf(row: u32): usize {
    return load<u32>(this.values + (<usize>row << 2));
  }
  // @ts-ignore: decorator
  @inline
  lengthOf(row: u32): usize {
    const start = load<u32>(this.values + (<usize>row << 2));
    const end = load<u32>(this.values + (<usize>row << 2), 4);
    if (end < start || end > this.length) throw new Error("sluicegate: the offsets of a column do not fit its data");
    return end - start;
  }
  /** Bytes of all rows. */
  get size(): usize {
    return this.length;
  }
  private check(row: u32): void {
    if (row >= this.batch.count) throw new Error("sluicegate: there is no such row");
  }
  // @ts-ignore: decorator
  @inline
  private holds(row: u32, fits: bool): bool {
    this.check(row);
    if (!fits) this.batch.fail("column `" + this.name + "` is read as another type than it has");
    return fits && !this.nullAt(row);
  }
}

/** A computed column that is being built, row by row: it needs a value for every row of the batch. */
export class Builder {
  /** Rows so far. */
  count: u32 = 0;
  private values: usize = 0;
  private data: usize = 0;
  private length: usize = 0;
  private room: usize = 0;
  private nulls: usize = 0;

  constructor(
    readonly batch: Batch,
    readonly name: string,
    readonly type: DataType,
    readonly place: Place,
    /** The column that it rewrites, if it has the same type. */
    readonly input: Input | null,
  ) {}

  pushNull(): void {
    if (!this.takes(true)) return;
    if (!this.nulls) {
      const size = (this.batch.count + 7) >> 3;
      this.nulls = answer(size);
      memory.fill(this.nulls, 0, size);
    }
    const at = this.nulls + (this.count >> 3);
    store<u8>(at, load<u8>(at) | bit(this.count));
    if (hasOffsets(this.type)) this.endRow();
    else memory.fill(this.next(widthOf(this.type)), 0, widthOf(this.type));
  }
  /** A value of the column's type: a boolean, an integer, a float, a text or bytes; a null text or null bytes are null. */
  push<T>(value: T): void {
    if (isBoolean<T>()) {
      if (this.takes(this.type == DataType.Boolean)) store<u8>(this.next(1), <u8>value);
    } else if (isInteger<T>() && !isReference<T>()) {
      this.pushInteger<T>(value);
    } else if (isFloat<T>()) {
      if (!this.takes(this.type == DataType.Float64 || this.type == DataType.Float32)) return;
      if (this.type == DataType.Float64) store<f64>(this.next(8), <f64>value);
      else store<f32>(this.next(4), <f32>value);
    } else if (isString<T>()) {
      const text: string | null = value;
      if (text == null) this.pushNull();
      else this.pushText(text);
    } else {
      const bytes: Uint8Array | null = value;
      if (bytes == null) this.pushNull();
      else this.pushBytes(bytes);
    }
  }
  /** Row `row` of a column of the same type. */
  pushFrom(from: Input, row: u32): void {
    if (from.isNull(row)) {
      this.pushNull();
    } else if (this.takes(from.type == this.type)) {
      const width = widthOf(this.type);
      if (!hasOffsets(this.type)) memory.copy(this.next(width), from.values + width * row, width);
      else this.pushRange(from.data + from.startOf(row), from.lengthOf(row));
    }
  }
  /** All rows of a column of the same type. */
  pushAll(from: Input): void {
    const rows = this.batch.count;
    if (rows == 0 || !this.takes(from.type == this.type && this.count == 0)) return;
    if (hasOffsets(this.type)) {
      memory.copy(this.values, from.values, (<usize>rows + 1) << 2);
      this.reserve(from.size);
      memory.copy(this.data, from.data, from.size);
      this.length = from.size;
    } else {
      memory.copy(this.values, from.values, widthOf(this.type) * rows);
    }
    if (from.nulls) {
      this.nulls = answer((rows + 7) >> 3);
      memory.copy(this.nulls, from.nulls, (rows + 7) >> 3);
    }
    this.count = rows;
  }

  private pushInteger<T>(value: T): void {
    // a bare `null` has the type usize, and no column has
    if (nameof<T>() == "usize") this.batch.fail("column `" + this.name + "` is set to null, or to an usize: call setNull, or set an u64");
    let fits = false;
    if (this.type == DataType.Int64) fits = isSigned<T>() || <u64>value <= <u64>i64.MAX_VALUE;
    else if (this.type == DataType.UInt64) fits = !isSigned<T>() || <i64>value >= 0;
    else this.takes(false);
    if (fits && this.takes(true)) store<i64>(this.next(8), <i64>value);
    else this.batch.fail("column `" + this.name + "` is set to a number out of its range");
  }
  private pushText(text: string): void {
    if (!this.takes(hasOffsets(this.type) && this.type != DataType.Bytes)) return;
    this.reserve(mostBytes(text));
    const end = encode(text, this.data + this.length);
    if (end == 0) {
      this.batch.fail("column `" + this.name + "` is set to a text with half of a surrogate pair");
      return;
    }
    this.length = end - this.data;
    this.endRow();
  }
  private pushBytes(bytes: Uint8Array): void {
    if (this.takes(this.type == DataType.Bytes)) this.pushRange(bytes.dataStart, bytes.byteLength);
  }
  private pushRange(from: usize, length: usize): void {
    this.reserve(length);
    memory.copy(this.data + this.length, from, length);
    this.length += length;
    this.endRow();
  }
  /** Where the next value of this width stands. */
  private next(width: usize): usize {
    return this.values + width * this.count++;
  }
  private endRow(): void {
    store<u32>(this.values + (<usize>++this.count << 2), <u32>this.length);
  }
  /** Makes room, also for an empty value. */
  private reserve(more: usize): void {
    if (this.data && this.length + more <= this.room) return;
    const input = this.input;
    this.room = max<usize>((this.length + more) * 2, input ? input.size + 16 : 16 * this.batch.count);
    const grown = answer(this.room);
    if (this.data) {
      memory.copy(grown, this.data, this.length);
      answered.release(this.data);
    }
    this.data = grown;
  }
  /** Whether one row more, of a type that fits, may be pushed. */
  private takes(fits: bool): bool {
    if (!fits) this.batch.fail("column `" + this.name + "` is set to another type than it has");
    else if (this.count >= this.batch.count) this.batch.fail("column `" + this.name + "` is given more values than there are rows");
    return fits && this.count < this.batch.count;
  }

  /** The SDK's: begins a batch. */
  begin(): Builder {
    this.count = 0;
    this.length = this.room = this.data = this.nulls = 0;
    this.values = answer(hasOffsets(this.type) ? (<usize>this.batch.count + 1) << 2 : widthOf(this.type) * this.batch.count);
    if (hasOffsets(this.type)) store<u32>(this.values, 0);
    return this;
  }
  /** The SDK's: makes this row the next one. The row that was pushed last may be set anew. */
  rewind(row: u32): bool {
    if (this.count == row) return true;
    if (this.count != row + 1) return false;
    this.count = row;
    if (hasOffsets(this.type)) this.length = load<u32>(this.values + (<usize>row << 2));
    if (this.nulls) store<u8>(this.nulls + (row >> 3), load<u8>(this.nulls + (row >> 3)) & ~bit(row));
    return true;
  }
  /** The SDK's: gives a row that was not set its value. */
  complete(row: u32): void {
    if (this.count > row) return;
    const input = this.input;
    if (input) this.pushFrom(input, row);
    else this.pushNull();
  }
  /** The SDK's: writes the column as a `vector`. */
  write(vector: usize): void {
    store<u8>(vector, caseOf(this.type));
    store<usize>(vector, this.values, 4);
    store<u32>(vector, this.count + u32(hasOffsets(this.type)), 8);
    store<usize>(vector, this.data, 12);
    store<usize>(vector, this.length, 16);
    store<usize>(vector, this.nulls, 20);
    store<u32>(vector, this.nulls ? (this.count + 7) >> 3 : 0, 24);
  }
}
