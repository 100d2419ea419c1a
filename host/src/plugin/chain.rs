//! A chain of plugins. The plan of a chain is the composition of its plugins' plans: columns that no plugin reads never
//! enter a guest, and a plugin that only renames is never called.

use std::{collections::HashMap, sync::Arc};

use super::{
    known::KnownTables,
    passage::Passage,
    plan::{Delivered, Origin, Plan},
    stage::{Member, Stage},
};
use crate::{
    Result,
    change::{Batch, Column, Table, TableRows},
    limits::Limits,
    service::Status,
    sink::DeadLetters,
};

/// What a chain needs beside its plugins.
#[derive(Clone)]
pub struct Surroundings {
    /// Bounds.
    pub limits: Arc<Limits>,
    /// Where it counts.
    pub status: Arc<Status>,
    /// Where changes go that a plugin cannot handle, if its policy says so.
    pub dead_letters: Arc<DeadLetters>,
    /// Tables that have been seen; a swap plans them before it takes over.
    pub known: Arc<KnownTables>,
}

/// A chain of running plugins. It lives on one thread.
pub struct Chain {
    pub(super) stages: Vec<Stage>,
    pub(super) around: Surroundings,
    /// By the address of the source's table version, which the plan keeps alive.
    plans: HashMap<usize, Arc<ChainPlan>>,
}

/// The composed plan for one table version.
pub(super) struct ChainPlan {
    /// Keeps the address that this plan is found by from being used again.
    source: Arc<Table>,
    /// The table as it is delivered.
    output: Arc<Table>,
    /// The stages that have something to do with rows.
    pub steps: Vec<Step>,
    /// For each delivered column its slot: first the source's columns, then the computed ones in the order of the steps.
    slots: Vec<usize>,
    /// Whether rows pass untouched under their own names.
    identity: bool,
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

impl Chain {
    /// Instantiates and configures every plugin, and plans every known table.
    pub fn new(members: &[Member], around: Surroundings) -> Result<Self> {
        let stages = members.iter().map(|m| Stage::new(m.clone(), around.limits.clone())).collect::<Result<_>>()?;
        let mut chain = Self { stages, around, plans: HashMap::new() };
        chain.plan_known()?;
        Ok(chain)
    }

    /// Plans every known table that has not been planned yet.
    pub fn plan_known(&mut self) -> Result<()> {
        for table in self.around.known.all() {
            self.plan_for(&table)?;
        }
        Ok(())
    }

    /// How many plugins there are.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Who the plugins say they are.
    pub fn descriptions(&self) -> impl Iterator<Item = &super::Description> {
        self.stages.iter().map(|s| &s.description)
    }

    /// The table as the chain delivers it.
    pub fn delivered(&mut self, table: &Arc<Table>) -> Result<Arc<Table>> {
        Ok(self.plan_for(table)?.output.clone())
    }

    /// Passes a batch through all plugins. The result has the same position and sequence; its changes are those that stay,
    /// its tables carry the delivered names and columns. An error leaves nothing half done: the batch was not delivered.
    pub fn apply(&mut self, batch: Batch) -> Result<Batch> {
        if self.stages.is_empty() || batch.changes.is_empty() {
            return Ok(batch);
        }
        let plans = batch.tables.iter().map(|rows| self.plan_for(&rows.table)).collect::<Result<Vec<_>>>()?;
        if plans.iter().all(|p| p.identity) {
            return Ok(batch);
        }
        let mut changes = batch.changes.clone();
        let mut by_table: Vec<Vec<u32>> = vec![Vec::new(); plans.len()];
        for (index, change) in (0u32..).zip(&changes) {
            by_table[change.table as usize].push(index);
        }
        let mut computed: Vec<Vec<Column>> = Vec::with_capacity(plans.len());
        let mut filtered = false;
        for ((plan, rows), mine) in plans.iter().zip(&batch.tables).zip(by_table) {
            if plan.steps.is_empty() {
                computed.push(Vec::new());
                continue;
            }
            let mut passage = Passage::new(&batch, rows, mine, &mut changes);
            passage.run(self, plan)?;
            filtered |= passage.dropped();
            computed.push(passage.finish());
        }
        if filtered {
            changes.retain(|c| c.before != crate::change::NO_IMAGE || c.after != crate::change::NO_IMAGE);
        }
        for stage in &mut self.stages {
            if stage.is_bloated() {
                stage.restart()?;
            }
        }
        let tables =
            batch.tables.into_iter().zip(plans).zip(computed).map(|((rows, plan), computed)| deliver(rows, &plan, computed)).collect();
        Ok(Batch { tables, changes, ..batch })
    }

    fn plan_for(&mut self, table: &Arc<Table>) -> Result<Arc<ChainPlan>> {
        let address = Arc::as_ptr(table) as usize;
        if let Some(plan) = self.plans.get(&address) {
            return Ok(plan.clone());
        }
        let plan = Arc::new(self.compose(table)?);
        if self.plans.len() >= self.around.limits.known_tables {
            self.plans.clear();
        }
        self.plans.insert(address, plan.clone());
        self.around.known.add(table);
        Ok(plan)
    }

    fn compose(&mut self, source: &Arc<Table>) -> Result<ChainPlan> {
        let mut view = Table::clone(source);
        let mut slots: Vec<usize> = (0..view.columns.len()).collect();
        let mut next = slots.len();
        let mut steps = Vec::new();
        let mut identity = true;
        for (index, stage) in self.stages.iter_mut().enumerate() {
            if !stage.sees(&view) {
                continue;
            }
            let Some((id, plan)) = stage.plan(&view)? else { continue };
            identity = false;
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
        Ok(ChainPlan { source: source.clone(), output: Arc::new(view), steps, slots, identity })
    }
}

/// The delivered columns, moved where each slot is delivered once.
fn deliver(rows: TableRows, plan: &ChainPlan, computed: Vec<Column>) -> TableRows {
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
