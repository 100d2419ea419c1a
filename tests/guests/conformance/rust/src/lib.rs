//! The conformance plugin: see `../../README.md`.

use sluicegate_plugin::{
    Batch, Context, DataType, Description, Image, Operation, Operations, Outcome, Plugin, Row, TablePlan, Value, export_plugin,
};

struct Conformance {
    suffix: String,
    lanes: i64,
    copied: Vec<(String, String)>,
}

impl Plugin for Conformance {
    fn describe() -> Description {
        Description {
            name: "conformance".into(),
            version: "1.0.0".into(),
            summary: "answers with what it was given".into(),
            config_schema: r#"{"type": ["object", "null"]}"#.into(),
        }
    }

    fn configure(config: &str) -> Result<Self, String> {
        let config: serde_json::Value = serde_json::from_str(config).map_err(|e| e.to_string())?;
        let suffix = match config.get("suffix") {
            None => "~",
            Some(given) => given.as_str().ok_or("suffix must be a text")?,
        };
        let lanes = config.get("lanes").and_then(serde_json::Value::as_i64).unwrap_or(3);
        Ok(Self { suffix: suffix.to_string(), lanes, copied: Vec::new() })
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        match table.table().name.table.as_str() {
            "refused" => return Err("refused on purpose".into()),
            "untouched" => return Ok(()),
            _ => {}
        }
        self.copied.clear();
        for column in table.table().columns.clone() {
            if column.name.starts_with("c_") || column.name.starts_with("v_") {
                let copy = format!("copy_of_{}", column.name);
                table.read(&column.name)?;
                table.add(&copy, column.data_type);
                self.copied.push((column.name, copy));
            }
        }
        table.read("id")?;
        table.read("rule")?;
        table.rewrite("rewritten")?;
        table.add("context", DataType::Text);
        table.rename("old_name", "new_name")?;
        table.drop_column("gone")?;
        table.set_key(&["rule"])?;
        table.add_header("origin", DataType::Text);
        table.copy_to_header("id", "source_id")?;
        table.send_to("elsewhere");
        table.choose_destinations();
        table.deliver(Operations::SNAPSHOT | Operations::INSERT | Operations::UPDATE | Operations::DELETE);
        table.ask(Context::all());
        table.filter_rows();
        Ok(())
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        // whole columns for `v_…`, rows for the rest
        let layout = batch.layout;
        let whole: Vec<_> = layout
            .reads
            .iter()
            .zip(&batch.rows.columns)
            .filter(|((name, _), _)| name.starts_with("v_"))
            .map(|((name, _), vector)| (format!("copy_of_{name}"), vector.clone()))
            .collect();
        let mut outcome = batch.each_row(|row| self.row(row))?;
        for (name, vector) in whole {
            let place = layout.computed.iter().position(|c| c.name == name).ok_or("no such column")?;
            outcome.computed[place] = vector;
        }
        Ok(outcome)
    }

    fn row(&mut self, row: &mut Row) {
        for (name, copy) in self.copied.iter().filter(|(name, _)| name.starts_with("c_")) {
            row.set(copy, row.value(name));
        }
        let rule = row.text("rule");
        if rule != Some("keep") {
            row.set("rewritten", row.text("rewritten").map(|old| format!("{old}{}", self.suffix)));
        }
        let operation = match row.operation() {
            Operation::Snapshot => "snapshot",
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
        };
        let image = if row.image() == Image::Before { "before" } else { "after" };
        let other = match row.other("id") {
            Some(Value::Int(id)) => id.to_string(),
            _ => "none".to_string(),
        };
        row.set("context", format!("{image} {operation} {} {other}", row.time()));
        if row.image() == Image::After {
            row.set_header("origin", operation);
        }
        let lane = row.int("id").unwrap_or(0) % self.lanes;
        if lane != 0 {
            row.send_to(&format!("lane-{lane}"));
        }
        match rule {
            Some("drop") => row.drop(),
            Some("reject") => row.reject("rejected by rule"),
            _ => {}
        }
    }
}

export_plugin!(Conformance);
