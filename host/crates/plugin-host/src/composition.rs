//! The plan of a chain for one table: the composition of its plugins' plans.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    plan::{Delivered, Origin, Plan},
    stage::Stage,
    treatment::{Hold, Treatments, pairs},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{BeforeImages, Capabilities, Column, ColumnInfo, Image, Operation, Place, Table, TableName, TableRows},
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
    /// For each delivered column, whether it says which row it is: see [`View::tells_row`].
    tells_row: Vec<bool>,
    /// Whether the source's table has a key.
    pub keyed: bool,
}

impl ChainPlan {
    /// Whether it is of one of these tables of the source.
    pub fn is_of(&self, names: &[TableName]) -> bool {
        names.contains(&self.source.name)
    }
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
    /// Whether all that it reads says which row it is: then it can also be told of an old row of which nothing else is known.
    pub reads_key: bool,
    /// Slots, filled when it has been called, whose values are delivered, or are read by a later step.
    pub needed: Vec<usize>,
}

/// A column of the table as it arrives at a plugin.
struct View {
    slot: usize,
    /// Whether it is of the source's key, or computed from that alone: images of one row that lack everything else have it. Of a
    /// table without a key, every column.
    tells_row: bool,
    /// The plugin that made it a column of the key, or the row's destination.
    placed_by: Option<usize>,
}

/// Asks every plugin in turn for its plan of the table as it arrives there. `treatments` takes note of them, unless this is a rehearsal.
/// `in_stream`: the version comes with rows or a mark, behind all that the log said of names; it is not one that was known before.
pub(super) fn compose(
    stages: &mut [Stage],
    source: &Arc<Table>,
    capabilities: Capabilities,
    treatments: Option<&Treatments>,
    in_stream: bool,
) -> Result<ChainPlan> {
    let mut view = Table::clone(source);
    let keyed = source.has_key();
    let column = |(slot, column): (usize, &ColumnInfo)| View { slot, tells_row: !keyed || column.primary_key, placed_by: None };
    let mut columns: Vec<View> = view.columns.iter().enumerate().map(column).collect();
    let mut next = columns.len();
    let mut steps: Vec<Step> = Vec::new();
    let mut ends = Vec::new();
    let (mut identity, mut truncates) = (true, true);
    let renamed = treatments.filter(|_| in_stream).map(|treatments| treatments.renamed(&source.name)).unwrap_or_default();
    let mut treated = false;
    for (index, stage) in stages.iter_mut().enumerate() {
        let sees = stage.sees(&view);
        let answer = if sees { stage.plan(&view)? } else { None };
        if let (Some(treatments), true) = (treatments, stage.is_closed()) {
            let held = held(source.columns.len(), &columns, answer.as_ref().map(|(_, plan)| &**plan));
            let renamed = pairs(&renamed, source, |at| vec![source.columns[at].name.clone()]);
            treated |= treatments.guard(stage.name(), source, &held, &renamed)?;
        }
        if !sees {
            continue;
        }
        if let Some(treatments) = treatments.filter(|_| !stage.is_closed()) {
            let plan = answer.as_ref().map(|(_, plan)| &**plan);
            let arrives = |at: usize| {
                let names = columns.iter().zip(&view.columns).filter(|(column, _)| column.slot == at);
                names.map(|(_, column)| column.name.clone()).collect()
            };
            let renamed = pairs(&renamed, source, arrives);
            let followed = treatments.follow(stage.rule(), &view, plan, &renamed);
            treated |= followed.map_err(|e| e.context(format_args!("plugin `{}`", stage.name())))?;
        }
        let Some((id, plan)) = answer else { continue };
        identity = false;
        truncates &= plan.operations.has_truncate();
        if plan.calls() || !plan.operations.is_all() {
            let reads = plan.reads.iter().map(|i| columns[*i].slot).collect();
            let reads_key = plan.reads.iter().all(|i| columns[*i].tells_row);
            steps.push(Step {
                stage: index,
                table: id,
                reads,
                operations: plan.operations,
                plan: plan.clone(),
                reads_key,
                needed: Vec::new(),
            });
            ends.push(next + plan.computed.len());
        }
        let reads_key = plan.reads.iter().all(|i| columns[*i].tells_row);
        columns = plan
            .origins
            .iter()
            .zip(&plan.output.columns)
            .map(|(origin, column)| {
                let (slot, tells_row, placed, placed_by) = match origin {
                    Origin::Input(i) => (columns[*i].slot, columns[*i].tells_row, places(&view.columns[*i]), columns[*i].placed_by),
                    Origin::Computed(i) => (next + i, reads_key, false, None),
                };
                View { slot, tells_row, placed_by: if places(column) && !placed { Some(index) } else { placed_by } }
            })
            .collect();
        next += plan.computed.len();
        view = plan.output.clone();
    }
    if let Some(treatments) = treatments.filter(|_| !renamed.is_empty()) {
        treatments.settle_renamed(source);
    }
    if let Some(treatments) = treatments.filter(|_| in_stream && treated) {
        treatments.keep_columns(source);
    }
    if capabilities.before_images != BeforeImages::Whole {
        let lost = columns.iter().zip(&view.columns).find(|(column, info)| places(info) && !column.tells_row);
        if let Some((column, info)) = lost {
            return Err(cannot_tell_old(source, info, column.placed_by.map(|stage| stages[stage].name())));
        }
    }
    let slots: Vec<usize> = columns.iter().map(|column| column.slot).collect();
    let mut needed: BTreeSet<usize> = slots.iter().copied().collect();
    for (step, end) in steps.iter_mut().zip(ends).rev() {
        step.needed = needed.iter().copied().filter(|slot| *slot < end).collect();
        needed.extend(&step.reads);
    }
    let tells_row = columns.iter().map(|column| column.tells_row).collect();
    Ok(ChainPlan { source: source.clone(), output: Arc::new(view), steps, slots, identity, truncates, tells_row, keyed })
}

impl ChainPlan {
    /// Delivered columns whose values a delete never has, because the source sends the key of a deleted row alone.
    pub(super) fn lacking(&self, capabilities: Capabilities) -> Vec<usize> {
        let delivers = self.steps.iter().all(|step| step.operations.has(Operation::Delete));
        if capabilities.before_images != BeforeImages::Deletes || !delivers {
            return Vec::new();
        }
        self.tells_row.iter().enumerate().filter(|(_, tells_row)| !**tells_row).map(|(column, _)| column).collect()
    }
}

/// What a plugin does to each of the source's columns, of which there are `count`.
fn held(count: usize, arriving: &[View], plan: Option<&Plan>) -> Vec<Hold> {
    let mut held = vec![Hold::Hidden; count];
    for (index, column) in arriving.iter().enumerate() {
        let hold = match plan {
            None => Hold::Passes,
            Some(plan) if !plan.origins.contains(&Origin::Input(index)) => Hold::Hidden,
            Some(plan) if !plan.reads.contains(&index) => Hold::Passes,
            Some(plan) if plan.filters => Hold::Judged,
            Some(_) => Hold::Read,
        };
        if let Some(held) = held.get_mut(column.slot) {
            *held = hold.min(*held);
        }
    }
    held
}

/// Whether the column says where a record goes: it is of the key, or is the destination.
fn places(column: &ColumnInfo) -> bool {
    match column.place {
        Place::Value => column.primary_key,
        Place::Destination => true,
        Place::Header => false,
    }
}

fn cannot_tell_old(table: &Table, column: &ColumnInfo, plugin: Option<&str>) -> Error {
    let what = if column.place == Place::Destination { "the destination of a row" } else { "a column of the key" };
    let by = plugin.map_or_else(|| "the plugins make".to_owned(), |plugin| format!("plugin `{plugin}` makes"));
    Error::new(
        ErrorKind::Plugin,
        format!(
            "{}: {by} `{}` {what}, and the source does not send what it is made of with every update and delete: the old row could not be found",
            table.name, column.name
        ),
    )
    .remedy(
        "make it of the table's own key, by a plugin that reads nothing else; or let the source take whole rows only (mysql: `row_image: full`, \
         with binlog_row_image = FULL on the server)",
    )
}

/// The delivered columns, moved where each slot is delivered once. Of the rows `left`, which rise, only what tells the row is
/// delivered, as the image of a row that was deleted.
pub(super) fn deliver(rows: TableRows, plan: &ChainPlan, computed: Vec<Column>, left: &[u32]) -> TableRows {
    debug_assert!(Arc::ptr_eq(&rows.table, &plan.source));
    let mut held: Vec<Option<Column>> = rows.columns.into_iter().chain(computed).map(Some).collect();
    let mut uses = vec![0u32; held.len()];
    for slot in &plan.slots {
        uses[*slot] += 1;
    }
    let mut columns: Vec<Column> = plan
        .slots
        .iter()
        .map(|slot| {
            uses[*slot] -= 1;
            let column = if uses[*slot] == 0 { held[*slot].take() } else { held[*slot].clone() };
            column.unwrap_or_else(|| unreachable!("a slot is taken at its last use"))
        })
        .collect();
    let mut images = rows.images;
    if !left.is_empty() {
        left.iter().for_each(|row| images[*row as usize] = Image::Before as u8);
        columns.iter_mut().zip(&plan.tells_row).filter(|(_, tells)| !**tells).for_each(|(column, _)| column.withhold(left));
    }
    TableRows { table: plan.output.clone(), images, columns }
}
