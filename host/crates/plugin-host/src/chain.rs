//! A chain of plugins. The plan of a chain is the composition of its plugins' plans: columns that no plugin reads never
//! enter a guest, and a plugin that only renames is never called.

use std::{collections::HashMap, sync::Arc};

use super::{
    composition::{ChainPlan, compose, deliver},
    known::KnownTables,
    passage::{Passage, Passed},
    stage::{Member, Stage},
    surroundings::Surroundings,
    treatment::{RENAMED, Treatments, closed_rule},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Mark, MarkKind, Table, TableName},
};
use sluicegate_status::PluginStatus;

/// A chain of running plugins. It lives on one thread.
pub struct Chain {
    stages: Vec<Stage>,
    around: Surroundings,
    /// By the address of the source's table version, which the plan keeps alive.
    plans: HashMap<usize, Arc<ChainPlan>>,
    /// The state of the known tables at which all of them were planned.
    planned: Option<u64>,
    rehearsing: bool,
    /// The plugins with their versions, as batches carry them.
    versions: Option<Arc<str>>,
}

impl Chain {
    /// Instantiates and configures every plugin, and plans every known table. A plugin counts where one of its name already
    /// does.
    pub fn new(members: &[Member], around: Surroundings) -> Result<Self> {
        let running = around.status.plugins.all();
        let numbers = |member: &Member| {
            let name = &member.settings.name;
            running.iter().find(|p| p.name == *name).cloned().unwrap_or_else(|| Arc::new(PluginStatus::new(name)))
        };
        let numbers: Vec<_> = members.iter().map(numbers).collect();
        Self::counting(members, around, &numbers)
    }

    /// The same, counting in `numbers`, one for each member: chains that run side by side share them.
    pub fn counting(members: &[Member], around: Surroundings, numbers: &[Arc<PluginStatus>]) -> Result<Self> {
        let stages: Vec<Stage> = members
            .iter()
            .zip(numbers)
            .map(|(member, numbers)| Stage::new(member.clone(), around.limits.clone(), numbers.clone(), around.capabilities))
            .collect::<Result<_>>()?;
        let mut chain = Self { versions: versions(&stages), stages, around, plans: HashMap::new(), planned: None, rehearsing: false };
        chain.note_rules();
        chain.plan_known()?;
        Ok(chain)
    }

    /// Plans every known table that has not been planned yet. Costs nothing when none has come since.
    pub fn plan_known(&mut self) -> Result<()> {
        let changes = self.around.known.changes();
        if self.planned != Some(changes) {
            for table in self.around.known.all() {
                self.plan(&table, false)?;
            }
            self.planned = Some(changes);
        }
        Ok(())
    }

    /// Where the plugins count, in order.
    pub fn numbers(&self) -> Vec<Arc<PluginStatus>> {
        self.stages.iter().map(|s| s.numbers.clone()).collect()
    }

    /// Tries the chain on a batch, without a trace: nothing is delivered, counted or set aside. A trap, a timeout, a nonsense
    /// answer or the refusal of the batch is an error, whatever the plugin's policy; a rejected row is none.
    pub fn rehearse(&mut self, batch: Batch) -> Result<()> {
        let numbers = self.numbers();
        for stage in &mut self.stages {
            stage.numbers = Arc::new(PluginStatus::new(stage.name()));
            stage.rehearsing = true;
        }
        self.rehearsing = true;
        let result = self.apply(batch);
        self.rehearsing = false;
        for (stage, numbers) in self.stages.iter_mut().zip(numbers) {
            stage.numbers = numbers;
            stage.rehearsing = false;
        }
        result.map(drop)
    }

    /// How many plugins there are.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    pub(super) fn stages(&mut self) -> &mut [Stage] {
        &mut self.stages
    }

    fn note_rules(&self) {
        if !self.stages.is_empty() {
            self.around.known.treatments().rule_by(self.rules());
        }
    }

    /// What stands for each plugin's name and configuration: see [`super::Treatment`].
    pub fn rules(&self) -> Vec<String> {
        let closed = self.stages.iter().filter(|stage| stage.is_closed()).map(|stage| closed_rule(stage.name()));
        self.stages.iter().map(|stage| stage.rule().to_owned()).chain(closed).chain([RENAMED.to_owned()]).collect()
    }

    /// Shares what is known of tables from now on: a chain that was prepared beside others noted what it does for itself.
    ///
    /// # Errors
    /// It would do what a plugin that is `fail_closed` forbids.
    pub fn share(&mut self, known: Arc<KnownTables>) -> Result<()> {
        self.around.known = known;
        self.note_rules();
        // the plugins have answered: their plans are only composed anew
        self.plans.clear();
        self.planned = None;
        self.plan_known()
    }

    /// Who the plugins say they are.
    pub fn descriptions(&self) -> impl Iterator<Item = &super::Description> {
        self.stages.iter().map(|s| &s.description)
    }

    /// Takes note of what the plugins do to the columns of a table as it is where the stream begins, although none of its rows has come
    /// yet: a change before the first of them counts. What cannot be planned is told when rows come.
    pub fn foresee(&mut self, table: &Arc<Table>) {
        let treatments = Treatments::default();
        if compose(&mut self.stages, table, self.around.capabilities, Some(&treatments), false).is_ok() {
            self.around.known.treatments().foresee(&treatments);
        }
    }

    /// The table as the chain delivers it.
    pub fn delivered(&mut self, table: &Arc<Table>) -> Result<Arc<Table>> {
        Ok(self.plan_for(table)?.output.clone())
    }

    /// The same, with those of its columns that a delete never has.
    pub(super) fn delivered_and_lacking(&mut self, table: &Arc<Table>) -> Result<(Arc<Table>, Vec<usize>)> {
        let plan = self.plan_for(table)?;
        Ok((plan.output.clone(), plan.lacking(self.around.capabilities)))
    }

    /// Passes a batch through all plugins. The result has the same lane and offset; its changes are those that stay,
    /// its tables carry the delivered names and columns. An error leaves nothing half done: the batch was not delivered.
    pub fn apply(&mut self, mut batch: Batch) -> Result<Batch> {
        batch.versions.clone_from(&self.versions);
        if self.stages.is_empty() || batch.changes.is_empty() {
            return Ok(batch);
        }
        self.forget_when_full()?;
        let plans = batch.tables.iter().map(|rows| self.plan_for(&rows.table)).collect::<Result<Vec<_>>>()?;
        if plans.iter().all(|p| p.identity) {
            return Ok(batch);
        }
        let mut changes = batch.changes.clone();
        let mut by_table: Vec<Vec<u32>> = vec![Vec::new(); plans.len()];
        for (index, change) in (0u32..).zip(&changes) {
            by_table[change.table as usize].push(index);
        }
        let mut computed: Vec<Passed> = Vec::with_capacity(plans.len());
        let mut filtered = false;
        let mut answered = vec![0; self.stages.len()];
        for ((plan, rows), mine) in plans.iter().zip(&batch.tables).zip(by_table) {
            if plan.steps.is_empty() {
                computed.push(Passed::default());
                continue;
            }
            let mut passage = Passage::new(&batch, rows, mine, &mut changes, &mut answered);
            passage.run(&mut self.stages, &self.around, plan)?;
            filtered |= passage.dropped();
            computed.push(passage.finish());
        }
        if filtered {
            changes.retain(|c| c.before != sluicegate_model::change::NO_IMAGE || c.after != sluicegate_model::change::NO_IMAGE);
        }
        for stage in &mut self.stages {
            if stage.is_bloated() {
                stage.restart()?;
            }
        }
        let tables = batch.tables.into_iter().zip(plans).zip(computed);
        let tables = tables.map(|((rows, plan), passed)| deliver(rows, &plan, passed.computed, &passed.left)).collect();
        let mut delivered = Batch { tables, changes, ..batch };
        delivered.bytes = delivered.measure();
        delivered.permit.measured(delivered.bytes);
        Ok(delivered)
    }

    /// Passes a mark through the plans of all plugins: what it says of a table is said of the table as it is delivered.
    pub fn mark(&mut self, mut mark: Mark) -> Result<Mark> {
        self.forget_when_full()?;
        match &mut mark.kind {
            MarkKind::Truncate(truncate) => {
                let plan = self.plan_for(&truncate.table)?;
                if plan.output.destination_column().is_some() {
                    return Err(Error::new(
                        ErrorKind::Plugin,
                        format!(
                            "the table {} was emptied by TRUNCATE, and a plugin chooses the destination of each of its rows: which ones to empty cannot be told",
                            truncate.table.name
                        ),
                    )
                    .remedy("let the plugin choose one destination for the table, or leave truncate out of its operations"));
                }
                if !plan.truncates {
                    mark.kind = MarkKind::Heartbeat;
                    return Ok(mark);
                }
                truncate.table = plan.output.clone();
            }
            MarkKind::Schema(change) => {
                if let Some(table) = &change.table {
                    change.table = Some(self.plan_for(table)?.output.clone());
                }
            }
            MarkKind::Copy { table, .. } => *table = self.plan_for(table)?.output.clone(),
            MarkKind::Renamed(renamed) => {
                // without plugins, nothing is treated
                if !self.stages.is_empty() {
                    let names = self.around.known.treatments().rename(renamed)?;
                    self.forget(&names);
                }
                mark.kind = MarkKind::Heartbeat;
            }
            _ => {}
        }
        Ok(mark)
    }

    /// Forgets the plans of tables, which are planned anew: names may have changed although nothing else did.
    pub fn forget(&mut self, tables: &[TableName]) {
        self.plans.retain(|_, plan| !plan.is_of(tables));
    }

    /// Forgets all plans once a plugin remembers more tables than it may: a server that creates tables without end, or
    /// changes their columns without end, must not fill the memory of the host or of the plugin. Tables that still have
    /// changes are planned again when these come.
    fn forget_when_full(&mut self) -> Result<()> {
        if self.stages.iter().any(|stage| stage.remembers() > self.around.limits.known_tables) {
            self.plans.clear();
            self.stages.iter_mut().try_for_each(Stage::forget)?;
        }
        Ok(())
    }

    fn plan_for(&mut self, table: &Arc<Table>) -> Result<Arc<ChainPlan>> {
        self.plan(table, true)
    }

    /// `in_stream`: it comes with rows or a mark.
    fn plan(&mut self, table: &Arc<Table>, in_stream: bool) -> Result<Arc<ChainPlan>> {
        let address = Arc::as_ptr(table) as usize;
        if let Some(plan) = self.plans.get(&address) {
            return Ok(plan.clone());
        }
        let treatments = (!self.rehearsing).then(|| self.around.known.treatments());
        let plan = Arc::new(compose(&mut self.stages, table, self.around.capabilities, treatments, in_stream)?);
        if self.plans.len() >= self.around.limits.known_tables {
            self.plans.clear();
        }
        self.plans.insert(address, plan.clone());
        // a rehearsal may see an older version of a table than the newest that is known
        if !self.rehearsing {
            self.around.known.add(table);
        }
        Ok(plan)
    }
}

/// The plugins in the order of the chain, each as `name@version+hash`: its name in the pipeline file, which no other plugin
/// of it has, the version that it says, and the first 12 hexadecimal digits of its component's SHA-256.
fn versions(stages: &[Stage]) -> Option<Arc<str>> {
    let texts: Vec<String> = stages.iter().map(Stage::version).collect();
    (!texts.is_empty()).then(|| texts.join(", ").into())
}
