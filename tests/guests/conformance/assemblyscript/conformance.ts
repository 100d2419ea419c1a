/* The conformance plugin: see ../README.md. */
import {
  Batch,
  Context,
  DataType,
  Image,
  Json,
  Operations,
  Plugin,
  Row,
  Table,
  register,
} from "../../../../plugins/sdk-assemblyscript/sluicegate";

const OPERATIONS = ["snapshot", "insert", "update", "delete"];

class Conformance extends Plugin {
  private suffix: string = "";
  private lanes: i64 = 0;

  configure(config: Json): string | null {
    const given = config.get("suffix");
    const suffix = given.isNull ? "~" : given.text();
    if (suffix == null) return "suffix must be a text";
    this.suffix = suffix;
    this.lanes = config.get("lanes").int(3);
    return null;
  }
  plan(table: Table): void {
    if (table.name == "refused") table.refuse("refused on purpose");
    if (table.name == "refused" || table.name == "untouched") return;
    for (let i = 0; i < table.columns.length; i++) {
      const column = table.columns[i];
      if (!column.name.startsWith("c_") && !column.name.startsWith("v_")) continue;
      table.read(column.name);
      table.add("copy_of_" + column.name, column.type);
    }
    table.read("id");
    table.read("rule");
    table.rewrite("rewritten");
    table.add("context", DataType.Text);
    table.rename("old_name", "new_name");
    table.dropColumn("gone");
    table.setKey(["rule"]);
    table.addHeader("origin");
    table.copyToHeader("id", "source_id");
    table.sendTo("elsewhere");
    table.chooseDestinations();
    table.deliver(Operations.Snapshot | Operations.Insert | Operations.Update | Operations.Delete);
    table.ask(Context.Images | Context.Operations | Context.Times | Context.Partners);
    table.filterRows();
  }
  batch(batch: Batch): void {
    for (let i = 0; i < batch.inputs.length; i++) {
      const input = batch.inputs[i];
      if (input.name.startsWith("v_")) batch.column("copy_of_" + input.name).pushAll(input);
    }
    batch.eachRow();
  }
  row(row: Row): void {
    for (let i = 0; i < row.batch.inputs.length; i++) {
      const name = row.batch.inputs[i].name;
      if (name.startsWith("c_")) copy(row, row.batch.inputs[i].type, name);
    }
    const rule = row.text("rule");
    const old = row.text("rewritten");
    if (rule != "keep") {
      if (old == null) row.setNull("rewritten");
      else row.set("rewritten", old + this.suffix);
    }
    const operation = OPERATIONS[row.operation];
    const other = row.other;
    const partner = other ? other.int("id").toString() : "none";
    const image = row.image == Image.Before ? "before" : "after";
    row.set("context", image + " " + operation + " " + row.time.toString() + " " + partner);
    if (row.image == Image.After) row.setHeader("origin", operation);
    const lane = row.int("id") % this.lanes;
    if (lane != 0) row.sendTo("lane-" + lane.toString());
    if (rule == "drop") row.drop();
    if (rule == "reject") row.reject("rejected by rule");
  }
}

/** Copies a value through the language's own types, so that their conversions are tested, too. */
function copy(row: Row, type: DataType, name: string): void {
  const to = "copy_of_" + name;
  if (row.isNull(name)) row.setNull(to);
  else if (type == DataType.Boolean) row.set(to, row.bool(name));
  else if (type == DataType.Int64) row.set(to, row.int(name));
  else if (type == DataType.UInt64) row.set(to, row.uint(name));
  else if (type == DataType.Float32 || type == DataType.Float64) row.set(to, row.float(name));
  else if (type == DataType.Bytes) row.set(to, row.bytes(name));
  else row.set(to, row.text(name));
}

register(new Conformance("conformance", "1.0.0", "answers with what it was given", '{"type": ["object", "null"]}'));
