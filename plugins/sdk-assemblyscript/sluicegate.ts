/* Write a Sluicegate plugin in AssemblyScript: a class that extends `Plugin`, and `register(new MyPlugin(name, version, summary))`.
 *
 * `plan` is called once for each table and says what becomes of its columns; `row` is called for each row image of the tables
 * whose plan computes, drops or rejects something, and sees only the columns that the plan reads. Instead of `row` a plugin may
 * define `batch`, which is given whole columns.
 *
 * A name that the table or the plan does not have, or a value of the wrong type, is a fault of the plugin: the call fails with a
 * text that names the column. The language has no exceptions: `throw` ends the instance, which the host starts anew. */
export { Batch, Image, Operation, Row } from "./batch";
export { Builder, Input } from "./columns";
export { Level, log, now, randomBytes } from "./host";
export { Json } from "./json";
export { Plugin, register } from "./plugin";
export { Column, Context, DataType, Operations, Place, Table } from "./table";
