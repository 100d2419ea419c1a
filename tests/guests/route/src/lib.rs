//! Chooses where records go: rows with a status to a folder or topic of that status, with the status in a header, too; all
//! other tables to one of their own.

use sluicegate_plugin::{Description, Plugin, Row, TablePlan, export_plugin};

struct Route;

impl Plugin for Route {
    fn describe() -> Description {
        let summary = "chooses destinations and sets a header".into();
        Description { name: "route".into(), version: "1.0.0".into(), summary, config_schema: String::new() }
    }

    fn configure(_: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        if table.has("status") {
            table.read("status")?;
            table.choose_destinations();
            table.copy_to_header("status", "state")
        } else {
            let destination = format!("tables/{}", table.display_name());
            table.send_to(&destination);
            Ok(())
        }
    }

    fn row(&mut self, row: &mut Row) {
        match row.text("status") {
            // the table's own: the sink's folder
            None | Some("placed") => {}
            Some(status) => row.send_to(&format!("status={status}")),
        }
    }
}

export_plugin!(Route);
