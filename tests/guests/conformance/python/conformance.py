"""The conformance plugin: see ../README.md."""

from sluicegate import Fault, Plugin, export


class Conformance(Plugin):
    name, version, summary = "conformance", "1.0.0", "answers with what it was given"
    config_schema = {"type": ["object", "null"]}

    def configure(self, config):
        config = config or {}
        self.suffix, self.lanes = config.get("suffix", "~"), config.get("lanes", 3)
        if not isinstance(self.suffix, str):
            raise Fault("suffix must be a text")

    def plan(self, table):
        if table.name == "refused":
            raise Fault("refused on purpose")
        if table.name == "untouched":
            return
        self.rows, self.whole = [], []
        for column in table.columns:
            if column.name[:2] in ("c_", "v_"):
                table.read(column.name)
                table.add("copy_of_" + column.name, table.type_of(column.name))
                (self.rows if column.name[0] == "c" else self.whole).append(column.name)
        for column in ("id", "rule"):
            table.read(column)
        table.rewrite("rewritten")
        table.add("context", "text")
        table.rename("old_name", "new_name")
        table.drop_column("gone")
        table.set_key("rule")
        table.add_header("origin")
        table.copy_to_header("id", "source_id")
        table.send_to("elsewhere")
        table.choose_destinations()
        table.deliver("snapshot", "insert", "update", "delete")
        table.ask("images", "operations", "times", "partners")
        table.filter_rows()

    def batch(self, batch):
        for column in self.whole:
            batch["copy_of_" + column] = batch[column]
        super().batch(batch)

    def row(self, row):
        for column in self.rows:
            row["copy_of_" + column] = row[column]
        rule, old = row["rule"], row["rewritten"]
        if rule != "keep":
            row["rewritten"] = None if old is None else old + self.suffix
        other = row.other
        row["context"] = f"{row.image} {row.operation} {row.time} {other['id'] if other else 'none'}"
        if row.image == "after":
            row.set_header("origin", row.operation)
        lane = row["id"] % self.lanes
        if lane:
            row.send_to(f"lane-{lane}")
        if rule == "drop":
            row.drop()
        if rule == "reject":
            row.reject("rejected by rule")


Transform = export(Conformance)
