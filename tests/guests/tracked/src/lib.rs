//! Reads what a source of tracked changes delivers beside a record, `change_operation` and `change_context_text`: leaves deletes out, and
//! says in the header `origin` who wrote the others.

use sluicegate_plugin::{DataType, Description, Plugin, Row, TablePlan, export_plugin};

struct Tracked;

impl Plugin for Tracked {
    fn describe() -> Description {
        let summary = "reads headers of a source, and sets one".into();
        Description { name: "tracked".into(), version: "1.0.0".into(), summary, config_schema: String::new() }
    }

    fn configure(_: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        table.read_header("change_operation")?;
        table.read_header("change_context_text")?;
        table.filter_rows();
        table.add_header("origin", DataType::Text);
        Ok(())
    }

    fn row(&mut self, row: &mut Row) {
        if row.int("change_operation") == Some(2) {
            row.drop();
        } else {
            row.set_header("origin", row.text("change_context_text").unwrap_or("nobody"));
        }
    }
}

export_plugin!(Tracked);
