/* The plugin itself. */
import { Batch, Row } from "./batch";
import { Json } from "./json";
import { Table } from "./table";

/** A plugin. State that outlives a call is a cache and nothing else: the host runs several instances, and replaces them. */
export class Plugin {
  constructor(
    readonly name: string,
    readonly version: string,
    /** What it does, in a sentence. */
    readonly summary: string,
    /** A JSON Schema (draft 2020-12) of the configuration; empty = anything goes. */
    readonly configSchema: string = "",
  ) {}

  /** Reads the `config` of the pipeline file. Answers null, or a text for the operator that says what to change. */
  configure(config: Json): string | null {
    return null;
  }
  /** Called once for each table: says what becomes of its columns. What it does not mention passes untouched. */
  plan(table: Table): void {}
  /** Called for each row image of the tables whose plan computes, drops or rejects something. */
  row(row: Row): void {}
  /** Instead of `row`: called with whole columns. */
  batch(batch: Batch): void {
    batch.eachRow();
  }
}

let registered: Plugin | null = null;

/** Says which plugin this is: once, at the end of its source. */
export function register(plugin: Plugin): void {
  registered = plugin;
}

/** The SDK's: the plugin. */
export function plugin(): Plugin {
  const plugin = registered;
  if (!plugin) throw new Error("sluicegate: no plugin is registered: call register");
  return plugin;
}
