//! The plan of a chain for one table: the composition of its plugins' plans.

use std::sync::Arc;

use super::{
    plan::{Delivered, Origin, Plan},
    stage::Stage,
    treatment::Treatments,
};
use sluicegate_model::{
    Result,
    change::{Column, Table, TableRows},
};

/// The composed plan for one table version.
pub(super) struct ChainPlan {
    /// Keeps the address that this plan is found by from being used again.
    source: Arc<Table>,
    /// The table as it is delivered.
    pub output: Arc<Table>,
    /// The stages that have something to do with rows.
    pub steps: Vec<Step>,
    /// For each delivered column its slot: first the source's columns, then the computed ones in the order of the steps.
    slots: Vec<usize>,
    /// Whether rows pass untouched under their own names.
    pub identity: bool,
    /// Whether every plugin lets pass that the table was emptied.
    pub truncates: bool,
}

/// What one plugin does with the rows of one table.
pub(super) struct Step {
    /// Index of the stage.
    pub stage: usize,
    /// The id that the plugin knows the table by.
    pub table: u32,
    pub plan: Arc<Plan>,
    /// Slots of the columns that it reads.
    pub reads: Vec<usize>,
    pub operations: Delivered,
}

/// Asks every plugin in turn for its plan of the table as it arrives there. `treatments` takes note of them, unless this is a rehearsal.
pub(super) fn compose(stages: &mut [Stage], source: &Arc<Table>, treatments: Option<&Treatments>) -> Result<ChainPlan> {
    let mut view = Table::clone(source);
    let mut slots: Vec<usize> = (0..view.columns.len()).collect();
    let mut next = slots.len();
    let mut steps = Vec::new();
    let (mut identity, mut truncates) = (true, true);
    for (index, stage) in stages.iter_mut().enumerate() {
        if !stage.sees(&view) {
            continue;
        }
        let answer = stage.plan(&view)?;
        if let Some(treatments) = treatments {
            let plan = answer.as_ref().map(|(_, plan)| &**plan);
            treatments.follow(stage.rule(), &view, plan).map_err(|e| e.context(format_args!("plugin `{}`", stage.name())))?;
        }
        let Some((id, plan)) = answer else { continue };
        identity = false;
        truncates &= plan.operations.has_truncate();
        if plan.calls() || !plan.operations.is_all() {
            let reads = plan.reads.iter().map(|i| slots[*i]).collect();
            steps.push(Step { stage: index, table: id, reads, operations: plan.operations, plan: plan.clone() });
        }
        slots = plan
            .origins
            .iter()
            .map(|origin| match origin {
                Origin::Input(i) => slots[*i],
                Origin::Computed(i) => next + i,
            })
            .collect();
        next += plan.computed.len();
        view = plan.output.clone();
    }
    Ok(ChainPlan { source: source.clone(), output: Arc::new(view), steps, slots, identity, truncates })
}

/// The delivered columns, moved where each slot is delivered once.
pub(super) fn deliver(rows: TableRows, plan: &ChainPlan, computed: Vec<Column>) -> TableRows {
    debug_assert!(Arc::ptr_eq(&rows.table, &plan.source));
    let mut held: Vec<Option<Column>> = rows.columns.into_iter().chain(computed).map(Some).collect();
    let mut uses = vec![0u32; held.len()];
    for slot in &plan.slots {
        uses[*slot] += 1;
    }
    let columns = plan
        .slots
        .iter()
        .map(|slot| {
            uses[*slot] -= 1;
            let column = if uses[*slot] == 0 { held[*slot].take() } else { held[*slot].clone() };
            column.unwrap_or_else(|| unreachable!("a slot is taken at its last use"))
        })
        .collect();
    TableRows { table: plan.output.clone(), images: rows.images, columns }
}
