//! What a chain does to a table, plugin by plugin, in words: for checks. Nothing of a row is looked at.

use std::sync::Arc;

use super::{
    chain::Chain,
    plan::{Origin, Plan},
};
use sluicegate_model::{
    Result,
    change::{Table, TableName},
};

/// What a chain does to a table.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The table as the source has it.
    pub source: Arc<Table>,
    /// As it is delivered.
    pub delivered: Arc<Table>,
    /// For each plugin, in order, what it does; `None` where the plugin does not see the table.
    pub steps: Vec<Option<StepEffect>>,
    /// The table as it arrives at each plugin.
    pub arriving: Vec<Table>,
    /// Delivered columns whose values a delete never has.
    pub lacking: Vec<usize>,
}

/// What one plugin does to a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepEffect {
    /// Columns that get other values.
    pub rewritten: Vec<String>,
    /// Columns that are new.
    pub added: Vec<String>,
    /// Columns that are not delivered.
    pub dropped: Vec<String>,
    /// Columns that get another name, with it.
    pub renamed: Vec<(String, String)>,
    /// The table's new name.
    pub table: Option<TableName>,
    /// Whether rows may be left out.
    pub filters: bool,
    /// Whether some kinds of change are left out.
    pub operations: bool,
}

impl StepEffect {
    /// Whether the plugin leaves the table as it is.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    fn of(input: &Table, plan: &Plan) -> Self {
        let mut effect = StepEffect {
            table: (plan.output.name != input.name).then(|| plan.output.name.clone()),
            filters: plan.filters,
            operations: !plan.operations.is_all() || !plan.operations.has_truncate(),
            ..StepEffect::default()
        };
        let has = |name: &str| input.columns.iter().any(|column| column.name == name);
        for (column, origin) in plan.output.columns.iter().zip(&plan.origins) {
            match origin {
                Origin::Computed(_) if has(&column.name) => effect.rewritten.push(column.name.clone()),
                Origin::Computed(_) => effect.added.push(column.name.clone()),
                Origin::Input(index) => match input.columns.get(*index) {
                    Some(from) if from.name != column.name => effect.renamed.push((from.name.clone(), column.name.clone())),
                    _ => {}
                },
            }
        }
        let delivered = |index: usize| plan.origins.contains(&Origin::Input(index));
        let gone =
            input.columns.iter().enumerate().filter(|(index, column)| !delivered(*index) && !effect.rewritten.contains(&column.name));
        effect.dropped = gone.map(|(_, column)| column.name.clone()).collect();
        effect
    }
}

impl Chain {
    /// What the chain does to a table.
    ///
    /// # Errors
    /// A plugin cannot plan it.
    pub fn effect(&mut self, table: &Arc<Table>) -> Result<Effect> {
        let (delivered, lacking) = self.delivered_and_lacking(table)?;
        let mut view = Table::clone(table);
        let (mut steps, mut arriving) = (Vec::new(), Vec::new());
        for stage in self.stages() {
            arriving.push(view.clone());
            if !stage.sees(&view) {
                steps.push(None);
                continue;
            }
            let plan = stage.plan(&view)?;
            steps.push(Some(plan.as_ref().map(|(_, plan)| StepEffect::of(&view, plan)).unwrap_or_default()));
            if let Some((_, plan)) = plan {
                view = plan.output.clone();
            }
        }
        Ok(Effect { source: table.clone(), delivered, steps, arriving, lacking })
    }
}
