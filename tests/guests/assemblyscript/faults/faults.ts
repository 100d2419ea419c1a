/* A plugin with the fault that its config names, and one that leaves much to the garbage collector. */
import { Batch, Context, DataType, Json, Plugin, Row, Table, register } from "../../../../plugins/sdk-assemblyscript/sluicegate";

const HALF = "half " + String.fromCharCode(0xd83d);

class Faults extends Plugin {
  private fault: string = "";
  private seen: Map<string, i32> = new Map();

  configure(config: Json): string | null {
    const fault = config.get("fault").text();
    this.fault = fault == null ? "none" : fault;
    if (this.fault == "none, but tell") return told(config.get("values"));
    return this.fault == "half a pair in an error" ? HALF : null;
  }
  plan(table: Table): void {
    table.read("id");
    table.rewrite("c_text");
    table.rewrite("c_int64");
    table.rewrite("c_uint64");
    table.rewrite("c_boolean");
    table.ask(Context.Partners);
    table.filterRows();
    if (this.fault == "half a pair in a name") table.rename("rule", HALF);
    if (this.fault == "half a pair in a header's name") table.addHeader(HALF);
    if (this.fault == "half a pair in a destination") table.sendTo(HALF);
    if (this.fault == "an unknown column") table.rewrite("nothing");
    if (this.fault == "an unknown header") table.readHeader("nothing");
    if (this.fault == "a column that was dropped") {
      table.dropColumn("rule");
      table.rename("rule", "law");
    }
    if (this.fault == "whole columns") table.add("more", DataType.Text);
  }
  batch(batch: Batch): void {
    if (this.fault == "too few values") batch.column("c_text").push("one");
    else if (this.fault == "too many values") for (let i: u32 = 0; i <= batch.count; i++) batch.column("c_int64").push(1);
    else if (this.fault == "another type of column") batch.column("c_text").pushAll(batch.input("c_int64"));
    else if (this.fault == "not asked for, in the last row") batch.time(batch.count - 1);
    else batch.eachRow();
  }
  row(row: Row): void {
    const fault = this.fault;
    if (fault == "half a pair") row.set("c_text", HALF);
    if (fault == "half a pair at the start") row.set("c_text", String.fromCharCode(0xdc00) + "text that is longer than sixteen units");
    if (fault == "halves in the wrong order") row.set("c_text", String.fromCharCodes([0xdc00, 0xd83d]));
    if (fault == "half a pair in a message") row.reject(HALF);
    if (fault == "read as another type") row.int("c_text");
    if (fault == "bytes as text") row.set("c_text", new Uint8Array(1));
    if (fault == "set to another type") row.set("c_text", 7);
    if (fault == "a number for a boolean") row.set("c_boolean", 1);
    if (fault == "a float for an integer") row.set("c_int64", 1.0);
    if (fault == "below the range") row.set("c_uint64", -1);
    if (fault == "above the range") row.set("c_int64", u64.MAX_VALUE);
    if (fault == "an address") row.set("c_uint64", changetype<usize>(fault));
    if (fault == "not read") row.isNull("rule");
    if (fault == "not computed") row.set("id", 7);
    if (fault == "no such header") row.setHeader("origin", "x");
    if (fault == "no destinations") row.sendTo("x");
    if (fault == "not asked for") row.time;
    if (fault == "another row") new Row(row.batch, row.index + 1).set("c_int64", 1);
    if (fault == "set anew") {
      // what was set last counts
      row.setNull("c_text");
      row.set("c_text", "once");
      row.set("c_text", "twice and longer");
      row.set("c_text", row.int("id").toString());
      row.set("c_int64", 1);
      row.setNull("c_int64");
      row.setNull("c_boolean");
      row.set("c_boolean", true);
      row.set("c_uint64", u64.MAX_VALUE);
    }
    if (fault == "garbage") {
      let text = "";
      for (let i = 0; i < 64; i++) text += "0123456789abcdef";
      const id = row.int("id").toString();
      this.seen.set(id, this.seen.has(id) ? this.seen.get(id) + 1 : 1);
      row.set("c_text", id + " " + this.seen.get(id).toString() + " " + text.length.toString());
    }
  }
}

/** A value as the plugin sees it. */
function told(json: Json): string {
  const text = json.text();
  if (text != null) return "text " + text.length.toString() + " " + text;
  if (json.isObject) return "{a: " + told(json.get("a")) + ", b c: " + told(json.get('b"c')) + ", d: " + told(json.get("d")) + "}";
  if (json.isBool) return "bool " + json.bool().toString();
  if (json.isInt) return "int " + json.int().toString();
  if (json.isNull) return "null " + json.int(-1).toString() + " " + json.bool(true).toString();
  if (!json.isArray) return "raw " + json.raw;
  let all = "[";
  const items = json.items();
  for (let i = 0; i < items.length; i++) all += (i ? ", " : "") + told(items[i]);
  return all + "]";
}

register(new Faults("faults", "1.0.0", "does what no plugin should do"));
