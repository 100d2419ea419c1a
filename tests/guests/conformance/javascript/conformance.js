/* The conformance plugin: see ../README.md. */
import { Fault, plugin } from "../../../../plugins/sdk-js/sluicegate.js";

let suffix, lanes;
const columns = { c: [], v: [] };

export const transform = plugin({
  name: "conformance",
  version: "1.0.0",
  summary: "answers with what it was given",
  configSchema: { type: ["object", "null"] },
  configure(config) {
    suffix = config?.suffix ?? "~";
    lanes = BigInt(config?.lanes ?? 3);
    if (typeof suffix !== "string") throw new Fault("suffix must be a text");
  },
  plan(table) {
    if (table.name === "refused") throw new Fault("refused on purpose");
    if (table.name === "untouched") return;
    columns.c = [];
    columns.v = [];
    for (const { name, dataType } of table.columns) {
      if (!/^[cv]_/.test(name)) continue;
      table.read(name);
      table.add(`copy_of_${name}`, dataType);
      columns[name[0]].push(name);
    }
    table.read("id");
    table.read("rule");
    table.rewrite("rewritten");
    table.add("context", "text");
    table.rename("old_name", "new_name");
    table.dropColumn("gone");
    table.setKey("rule");
    table.addHeader("origin");
    table.copyToHeader("id", "source_id");
    table.sendTo("elsewhere");
    table.chooseDestinations();
    table.deliver("snapshot", "insert", "update", "delete");
    table.ask("images", "operations", "times", "partners");
    table.filterRows();
  },
  batch(batch) {
    for (const name of columns.v) batch.set(`copy_of_${name}`, batch.get(name));
    batch.eachRow(eachRow);
  },
});

function eachRow(row) {
  for (const name of columns.c) row.set(`copy_of_${name}`, row.get(name));
  const rule = row.get("rule");
  const old = row.get("rewritten");
  if (rule !== "keep") row.set("rewritten", old === null ? null : old + suffix);
  row.set("context", `${row.image} ${row.operation} ${row.time} ${row.other?.get("id") ?? "none"}`);
  if (row.image === "after") row.setHeader("origin", row.operation);
  const lane = row.get("id") % lanes;
  if (lane !== 0n) row.sendTo(`lane-${lane}`);
  if (rule === "drop") row.drop();
  if (rule === "reject") row.reject("rejected by rule");
}
