/* The functions that the host calls, as the canonical ABI lays their parameters and answers out: records in the order of
 * wit/plugin.wit, strings and lists as address and length, what does not fit into one number behind an address. Compiled
 * beside the plugin; names.mjs gives them the names that the host knows. */
import { Batch, writeText } from "./batch";
import { parse } from "./json";
import { answer, answered, close, given, realloc } from "./memory";
import { plugin } from "./plugin";
import { Column, Place, Table } from "./table";
import { decode, sayable } from "./text";

/** Where answers stand: the largest is `result<option<plan>, string>`. */
const AREA = memory.data(80, 8);

/** What was planned, by the table's number. */
const planned = new Map<u32, Batch>();

export function sluicegate_realloc(old: usize, oldSize: usize, align: usize, size: usize): usize {
  close(true);
  const block = realloc(old, oldSize, align, size);
  close(false);
  return block;
}

/** The canonical ABI's `cabi_post_…` of every function: the host has read the answer. */
export function sluicegate_after(area: usize): void {
  close(true);
  answered.free();
  close(false);
}

export function sluicegate_describe(): usize {
  const self = plugin();
  writeText(AREA, self.name);
  writeText(AREA + 8, self.version);
  writeText(AREA + 16, self.summary);
  writeText(AREA + 24, self.configSchema);
  return AREA;
}

export function sluicegate_configure(config: usize, length: u32): usize {
  return result(plugin().configure(parse(read(config, length))));
}

export function sluicegate_plan(
  id: u32,
  database: usize,
  databaseLength: u32,
  hasSchema: u32,
  schema: usize,
  schemaLength: u32,
  name: usize,
  nameLength: u32,
  hasDestination: u32,
  destination: usize,
  destinationLength: u32,
  columns: usize,
  count: u32,
): usize {
  const table = new Table(
    id,
    read(database, databaseLength),
    hasSchema ? read(schema, schemaLength) : null,
    read(name, nameLength),
    hasDestination ? read(destination, destinationLength) : null,
    readColumns(columns, count),
  );
  plugin().plan(table);
  const plan = table.sluicegate;
  if (plan.fault == null && plan.touched) checkNames(table);
  if (plan.fault != null) return result(plan.fault);
  planned.set(id, new Batch(plugin(), table));
  result(null);
  store<u8>(AREA, u8(plan.touched), 4);
  if (plan.touched) writePlan(AREA + 8, table);
  return AREA;
}

export function sluicegate_apply(
  id: u32,
  count: u32,
  columns: usize,
  length: u32,
  images: usize,
  imageCount: u32,
  operations: usize,
  operationCount: u32,
  times: usize,
  timeCount: u32,
  partners: usize,
  partnerCount: u32,
): usize {
  const lists: StaticArray<usize> = [images, operations, times, partners];
  const lengths: StaticArray<u32> = [imageCount, operationCount, timeCount, partnerCount];
  if (!planned.has(id)) return result("called with a table that was not planned");
  const batch = planned.get(id);
  if (!batch.begin(count, columns, length, lists, lengths)) return result("called with rows that do not fit the plan");
  plugin().batch(batch);
  batch.finish(AREA + 4);
  return result(batch.fault);
}

/** Ends a call: a result with an error, or without one; then what stands behind its first byte stays. */
function result(fault: string | null): usize {
  given.free();
  store<u8>(AREA, u8(fault != null));
  if (fault != null) writeText(AREA + 4, sayable(fault));
  return AREA;
}

function read(from: usize, length: u32): string {
  const text = decode(from, length);
  // the component model has checked it
  if (text == null) throw new Error("sluicegate: the host handed over text that is no UTF-8");
  return text;
}

/** `list<column>`: 24 bytes each. */
function readColumns(from: usize, count: u32): Column[] {
  const columns: Column[] = [];
  for (let i: u32 = 0; i < count; i++, from += 24) {
    const name = read(load<usize>(from), load<u32>(from, 4));
    const native = read(load<usize>(from, 12), load<u32>(from, 16));
    columns.push(new Column(name, load<u8>(from, 8), native, load<u8>(from, 20) != 0, load<u8>(from, 21) != 0, load<u8>(from, 22)));
  }
  return columns;
}

/** Refuses a plan with names that cannot be written. */
function checkNames(table: Table): void {
  const plan = table.sluicegate;
  const names = [plan.database, plan.name];
  const destination = plan.destination;
  if (destination != null) names.push(destination);
  for (let i = 0; i < plan.outputs.length; i++) names.push(plan.outputs[i].column.name);
  for (let i = 0; i < names.length; i++)
    if (sayable(names[i]) != names[i]) table.refuse("the plan gives a table, column, header or destination a name with half of a surrogate pair");
}

/** `plan`, the answer's record of 72 bytes. */
function writePlan(to: usize, table: Table): void {
  const plan = table.sluicegate;
  writeText(to, plan.database);
  writeOption(to + 8, table.schema);
  writeText(to + 20, plan.name);
  writeOption(to + 28, plan.destination);
  const outputs = plan.outputs.length;
  const columns = answer(outputs * 24);
  const origins = answer(outputs * 8);
  for (let i = 0; i < outputs; i++) {
    const output = plan.outputs[i];
    const column = output.column;
    const at = columns + i * 24;
    writeText(at, column.name);
    store<u8>(at, <u8>column.type, 8);
    writeText(at + 12, column.nativeType);
    store<u8>(at, u8(column.nullable), 20);
    store<u8>(at, u8(column.primaryKey), 21);
    store<u8>(at, <u8>column.place, 22);
    store<u8>(origins + i * 8, u8(!output.computed));
    store<u32>(origins + i * 8, output.computed ? 0 : output.input, 4);
  }
  store<usize>(to, columns, 40);
  store<u32>(to, outputs, 44);
  store<usize>(to, origins, 48);
  store<u32>(to, outputs, 52);
  store<u8>(to, <u8>plan.operations, 56);
  const reads = answer(plan.reads.length * 4);
  for (let i = 0; i < plan.reads.length; i++) store<u32>(reads + i * 4, plan.reads[i]);
  store<usize>(to, reads, 60);
  store<u32>(to, plan.reads.length, 64);
  store<u8>(to, <u8>plan.context, 68);
  store<u8>(to, u8(plan.filters), 69);
}

/** `option<string>`: 12 bytes. */
function writeOption(to: usize, text: string | null): void {
  store<u8>(to, u8(text != null));
  if (text != null) writeText(to + 4, text);
}
