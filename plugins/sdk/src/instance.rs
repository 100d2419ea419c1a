//! A configured plugin with the tables that it has planned: what the component holds, and what native tests run.

use std::collections::BTreeMap;

use crate::{Batch, Layout, Outcome, Plan, Plugin, Rows, Table, TablePlan};

/// A configured plugin and the layout of every table that it has planned.
#[derive(Debug)]
pub struct Instance<P> {
    plugin: P,
    layouts: BTreeMap<u32, Layout>,
}

impl<P: Plugin> Instance<P> {
    /// A configured plugin.
    pub fn configure(config: &str) -> Result<Self, String> {
        Ok(Self { plugin: P::configure(config)?, layouts: BTreeMap::new() })
    }

    /// What happens to a table. A number that was used before is given to the new table.
    pub fn plan(&mut self, table_id: u32, table: Table) -> Result<Option<Plan>, String> {
        self.layouts.remove(&table_id);
        let mut plan = TablePlan::new(table_id, table);
        self.plugin.plan(&mut plan)?;
        let layout = plan.layout();
        let plan = plan.finish()?;
        if plan.is_some() {
            self.layouts.insert(table_id, layout);
        }
        Ok(plan)
    }

    /// What happens to a batch of rows of a planned table.
    pub fn apply(&mut self, table_id: u32, rows: Rows) -> Result<Outcome, String> {
        let layout = self.layouts.get(&table_id).ok_or_else(|| format!("table {table_id} was not planned"))?;
        self.plugin.apply(Batch { table_id, layout, rows })
    }

    /// The plugin itself.
    pub fn plugin(&self) -> &P {
        &self.plugin
    }
}
