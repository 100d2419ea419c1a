//! A plugin that reads every column and keeps every row: the boundary and nothing else. `sluicegate plugin bench` shows it
//! beside the plugin that it measures.

use sluicegate_plugin::{Batch, Description, Outcome, Plugin, TablePlan, describe, export_plugin};

/// The plugin.
#[derive(Debug)]
pub struct NoOp;

impl Plugin for NoOp {
    fn describe() -> Description {
        describe!("reads every column and changes nothing")
    }

    fn configure(_config: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        let names: Vec<String> = table.table().columns.iter().map(|column| column.name.clone()).collect();
        for name in names {
            if table.has(&name) {
                table.read(&name)?;
            }
        }
        // without this it would not be called at all
        table.filter_rows();
        Ok(())
    }

    fn apply(&mut self, _batch: Batch<'_>) -> Result<Outcome, String> {
        Ok(Outcome { keep: Vec::new(), computed: Vec::new(), rejected: Vec::new() })
    }
}

export_plugin!(NoOp);
