//! One plugin in a chain: its instance, the plans it gave, and what happens when it fails.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    config_schema,
    context::Context,
    engine::{Compiled, sha256},
    instance::{Description, Instance},
    interface::Handed,
    outcome::{self, Outcome},
    plan::{self, Plan},
    recovery::{self, Recovery},
    surroundings::Surroundings,
};
use sluicegate_config::OnError;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Capabilities, Column, Table, TableName},
    limits::Limits,
};
use sluicegate_status::PluginStatus;

/// A plugin as the pipeline file names it, compiled.
#[derive(Clone)]
pub struct Member {
    /// The pipeline file's entry.
    pub settings: Arc<sluicegate_config::Plugin>,
    /// Its component.
    pub compiled: Compiled,
}

/// A plugin in a chain.
pub(super) struct Stage {
    member: Member,
    limits: Arc<Limits>,
    instance: Instance,
    fresh_memory: usize,
    /// Who it says it is.
    pub description: Description,
    /// Where it counts.
    pub numbers: Arc<PluginStatus>,
    /// Whether this is a rehearsal: nothing is set aside, and a failure is never worked around.
    pub rehearsing: bool,
    /// By table id: the table as it arrives, and the plan for it.
    plans: Vec<(Table, Option<Arc<Plan>>)>,
    /// The table ids of each name: one for each version of its columns.
    ids: HashMap<TableName, Vec<u32>>,
    /// By table id: whether this very instance has planned it. One that was made anew plans a table when its rows come.
    planned: Vec<bool>,
    /// What the source gives, as every plan is told.
    capabilities: Capabilities,
    /// Its failures since it last handled anything.
    pub recovery: Recovery,
    /// Stands for its name and configuration.
    rule: String,
}

/// How an attempt to apply ended.
pub(super) enum Failure {
    /// The instance is gone or cannot be trusted: it has to be made anew.
    Broken(Error),
    /// The plugin said no.
    Refused(Error),
    /// It cannot go on, whatever the policy.
    Final(Error),
}

impl Stage {
    /// Instantiates and configures.
    pub fn new(member: Member, limits: Arc<Limits>, numbers: Arc<PluginStatus>, capabilities: Capabilities) -> Result<Self> {
        let (instance, description) = start(&member, &limits)?;
        Ok(Self {
            fresh_memory: instance.memory(),
            rule: rule(&member.settings),
            member,
            limits,
            instance,
            description,
            numbers,
            rehearsing: false,
            plans: Vec::new(),
            ids: HashMap::new(),
            planned: Vec::new(),
            capabilities,
            recovery: Recovery::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.member.settings.name
    }

    /// What stands for the plugin's name and configuration, also in later runs.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Whether what it treats never passes untreated, whatever becomes of its entry.
    pub fn is_closed(&self) -> bool {
        self.member.settings.fail_closed
    }

    /// Which plugin this is: `name@version+hash`. What a version should not have in it becomes `_`.
    pub fn version(&self) -> String {
        const MOST: usize = 64;
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_') { c } else { '_' };
        let version: String = self.description.version.chars().take(MOST).map(plain).collect();
        let hash = self.member.compiled.hash.get(..12).unwrap_or_default();
        format!("{}@{version}+{hash}", self.name())
    }

    pub fn on_error(&self) -> OnError {
        self.member.settings.on_error
    }

    /// Whether the plugin sees this table.
    pub fn sees(&self, table: &Table) -> bool {
        self.member.settings.tables.selects(&table.name)
    }

    /// The plan for a table as it arrives here, with the id that the plugin knows it by; `None` leaves the table as it is.
    pub fn plan(&mut self, table: &Table) -> Result<Option<(u32, Arc<Plan>)>> {
        for id in self.ids.get(&table.name).into_iter().flatten() {
            match self.plans.get(*id as usize) {
                Some((known, plan)) if known == table => return Ok(plan.clone().map(|plan| (*id, plan))),
                _ => {}
            }
        }
        let id = self.plans.len() as u32;
        let plan = self.ask(id, table)?.map(Arc::new);
        self.plans.push((table.clone(), plan.clone()));
        self.planned.push(true);
        self.ids.entry(table.name.clone()).or_default().push(id);
        Ok(plan.map(|plan| (id, plan)))
    }

    /// Makes the instance anew after a failure, or because its memory has grown.
    pub fn restart(&mut self) -> Result<()> {
        let (instance, _) = start(&self.member, &self.limits)?;
        self.fresh_memory = instance.memory();
        self.instance = instance;
        self.planned.fill(false);
        Ok(())
    }

    /// How many table versions it has planned and remembers, here and in the plugin.
    pub fn remembers(&self) -> usize {
        self.plans.len()
    }

    /// Forgets every table. Where the plugin's interface has no call that forgets one, or it fails, the instance is made anew: what
    /// the plugin keeps of its tables goes with it. The ids that [`Stage::plan`] gave before are void.
    pub fn forget(&mut self) -> Result<()> {
        let ids = 0..self.plans.len() as u32;
        self.plans.clear();
        self.ids.clear();
        self.planned.clear();
        for id in ids {
            match self.instance.forget(id) {
                Ok(true) => {}
                Ok(false) => return self.restart(),
                Err(error) => {
                    self.numbers.failures.add(1);
                    return self.recover_from(&error);
                }
            }
        }
        Ok(())
    }

    fn recover_from(&mut self, error: &Error) -> Result<()> {
        tracing::warn!(plugin = self.name(), "the plugin is started again after: {}", error.chain());
        self.numbers.restarts.add(1);
        self.restart().map_err(|e| e.context(format_args!("restarting after: {}", error.chain())))
    }

    /// [`Stage::restart`] after a failure: counted, told, and not at once when nothing but failures came before.
    pub fn recover(&mut self, around: &Surroundings, pause: Duration, error: &Error) -> Result<()> {
        recovery::wait(pause, &around.status.stopping);
        self.numbers.restarts.add(1);
        let count = self.numbers.restarts.get();
        // a flood of restarts is told with ever fewer lines
        if count.is_power_of_two() {
            let pause_ms = pause.as_millis() as u64;
            tracing::warn!(plugin = self.name(), restarts = count, pause_ms, "the plugin is started again after: {}", error.chain());
        }
        self.restart().map_err(|e| e.context(format_args!("restarting after: {}", error.chain())))
    }

    /// Has an instance that was made anew plan a table that is known. It has to give the same plan again.
    fn replan(&mut self, id: u32) -> Result<()> {
        let Some((table, plan)) = self.plans.get(id as usize).cloned() else { return Ok(()) };
        if self.ask(id, &table)?.as_ref() != plan.as_deref() {
            return Err(Error::new(
                ErrorKind::Plugin,
                format!("plugin `{}` gave another plan for {} after a restart", self.name(), table.name),
            )
            .remedy("this is a fault of the plugin: the same table and configuration have to give the same plan"));
        }
        if let Some(planned) = self.planned.get_mut(id as usize) {
            *planned = true;
        }
        Ok(())
    }

    fn ask(&mut self, id: u32, table: &Table) -> Result<Option<Plan>> {
        let answer = plan::with_wit_table(table, |t| self.instance.plan(id, t, self.capabilities)).map_err(|e| e.context(arriving(table)));
        answer
            .and_then(|answer| {
                let checked = answer.map(|answer| plan::check(table, answer.plan).map(|plan| Plan { absent: answer.absent, ..plan }));
                checked.transpose()
            })
            .and_then(|plan| match plan {
                Some(plan) if self.on_error() == OnError::PassThrough => plan.with_nullable_results(table).map(Some),
                plan => Ok(plan),
            })
            .map_err(|e| self.label(e))
    }

    /// Whether the instance's memory has grown past the watermark, so that it should be made anew.
    pub fn is_bloated(&self) -> bool {
        self.instance.memory() > self.limits.plugin_memory_watermark.max(self.fresh_memory.saturating_mul(2))
    }

    /// Hands `columns` (those that the plan reads, each with `count` entries) and their context to the plugin.
    pub fn apply(&mut self, id: u32, plan: &Plan, count: usize, context: &Context<'_>, columns: &[&Column]) -> Result<Outcome, Failure> {
        if self.planned.get(id as usize) == Some(&false) {
            self.replan(id).map_err(Failure::Final)?;
        }
        match self.instance.apply(id, &Handed { count, columns, context }) {
            Err(error) => Err(Failure::Broken(self.label(error))),
            Ok(Err(error)) => Err(Failure::Refused(self.label(error))),
            Ok(Ok(answer)) => outcome::check(plan, count, answer.outcome, self.limits.plugin_message_bytes)
                .and_then(|mut outcome| outcome::check_absent(plan, count, &mut outcome, answer.absent).map(|()| outcome))
                .map_err(|what| {
                    Failure::Broken(
                        self.label(
                            Error::new(ErrorKind::Plugin, format!("its answer cannot be used: {what}"))
                                .remedy("this is a fault of the plugin or of its SDK"),
                        ),
                    )
                }),
        }
    }

    fn label(&self, error: Error) -> Error {
        error.context(format_args!("plugin `{}`", self.name()))
    }
}

/// A hash, because a configuration may hold secrets.
fn rule(settings: &sluicegate_config::Plugin) -> String {
    let hash = sha256(format!("{}\n{:?}\n{}", settings.name, settings.tables, settings.config).as_bytes());
    format!("{} {}", settings.name, hash.get(..16).unwrap_or_default())
}

/// A table as it arrives, for messages: versions of a table differ in their columns.
fn arriving(table: &Table) -> String {
    const NAMED: usize = 20;
    let names = table.columns.iter().take(NAMED).map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let more = if table.columns.len() > NAMED { ", …" } else { "" };
    format!("{} ({names}{more})", table.name)
}

fn start(member: &Member, limits: &Limits) -> Result<(Instance, Description)> {
    let name = &member.settings.name;
    let begin = || {
        let mut instance = Instance::new(&member.compiled, name, member.settings.grants, limits)?;
        let description = instance.describe()?;
        config_schema::check(&description, &member.settings.config)?;
        instance.configure(&member.settings.config)?;
        Ok((instance, description))
    };
    begin().map_err(|e: Error| e.context(format_args!("plugin `{name}`")))
}

/// Time spent since `begin`, in nanoseconds.
pub(super) fn nanoseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
