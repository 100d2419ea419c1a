//! Which tables are captured, changed while the stream runs: by an edit of the pipeline file, or by a request to copy one anew.
//!
//! What the file asks for is tried first, as a start would: the source checks itself, and every table that comes is planned by the
//! plugins. Only then the source is asked. A table that is refused leaves everything as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{Part, Reload, take_over::Candidates};
use crate::{
    any_source::AnySource,
    check::{self, Report},
    prepare,
    request::{CopyRequest, CopyTaken, Reason, Refusal},
    schema_store, treatments,
};
use sluicegate_config::{self as config, Pipeline, Source};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName, finding::listed, limits::CHECK_NAMES};
use sluicegate_plugin_host::Member;
use sluicegate_source::{Begin, Control, Effective, Inventory, Request, Source as _};
use sluicegate_state::Checkpoint;

/// Characters of a name that is none in an error, at most.
pub(super) const ECHOED: usize = 64;

/// The way to the source.
pub(in super::super) struct Capture {
    pub control: Option<Control>,
    /// Not held: when the run has ended, the next one may begin.
    pub checkpoint: Weak<Checkpoint>,
    pub runtime: Handle,
}

/// Other tables, as the pipeline file wants them.
pub(super) struct Tables {
    /// The source as it runs, with these tables.
    pub source: Source,
    /// Hash of the pipeline file.
    pub content: String,
}

/// The running source with what of an edited one can take effect while it runs.
pub(in super::super) fn live(running: &Source, edited: &Source) -> Source {
    match (running, edited) {
        (Source::MySql(running), Source::MySql(edited)) => {
            let snapshot = config::Snapshot {
                tables: edited.snapshot.tables.clone(),
                added: edited.snapshot.added,
                overwrites: edited.snapshot.overwrites,
                ..running.snapshot.clone()
            };
            Source::MySql(config::MySqlSource { tables: edited.tables.clone(), snapshot, ..running.clone() })
        }
        _ => running.clone(),
    }
}

pub(super) fn ending() -> Error {
    Error::new(ErrorKind::Source, "the pipeline is ending").remedy("the next start takes the edited pipeline file up")
}

fn names(tables: &[TableName]) -> String {
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    listed(names.iter().map(String::as_str), CHECK_NAMES)
}

/// What the source has with the tables that are captured, and with those of `pipeline`, which it has checked.
async fn look_at_source(pipeline: Pipeline, running: Pipeline, checkpoint: Arc<Checkpoint>) -> Result<(Inventory, Inventory)> {
    let status = crate::status(&pipeline);
    let progress = checkpoint.all()?;
    let begins = pipeline.sinks.iter().filter_map(|sink| {
        let (_, progress) = progress.iter().find(|(name, _)| *name == sink.name)?;
        Some(Begin::At(progress.frontier.clone()))
    });
    let begins: Vec<Begin> = begins.collect();
    let mut source = AnySource::new(&pipeline, &status);
    source.keep_schemas(Arc::new(schema_store::InCheckpoint(checkpoint)));
    source.check(&begins).await?;
    let after = source.inventory(usize::MAX).await?.unwrap_or_default();
    let before = AnySource::new(&running, &status).inventory(usize::MAX).await?.unwrap_or_default();
    Ok((before, after))
}

impl Reload {
    /// Tries these tables with these plugins (`None`: those that run). Nothing is changed.
    pub(super) fn rehearse_tables(
        &self,
        source: &Source,
        plugins: Option<&[config::Plugin]>,
        contents: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> Result<()> {
        let Candidates { members, .. } = self.candidates(plugins, contents)?;
        let plugins = members.iter().map(|member| config::Plugin::clone(&member.settings)).collect();
        let started = &self.setup.started;
        let pipeline = Pipeline { source: source.clone(), plugins, workers: 1, ..started.clone() };
        let checkpoint = self.setup.capture.checkpoint.upgrade().ok_or_else(ending)?;
        let looking = look_at_source(pipeline.clone(), started.clone(), checkpoint.clone());
        let (before, mut after) = self.setup.capture.wait(looking)??;
        let known: BTreeSet<&TableName> = before.captured.iter().map(|table| &table.name).collect();
        after.captured.retain(|table| !known.contains(&table.name));
        let report = self.plan(&pipeline, &members, &after, &checkpoint)?;
        match report.into_error() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// What the plugins and the sinks say of tables.
    fn plan(&self, pipeline: &Pipeline, members: &[Member], tables: &Inventory, checkpoint: &Checkpoint) -> Result<Report> {
        // numbers and known tables of its own: those of the pipeline are of what runs
        let status = crate::status(pipeline);
        let around = prepare::surroundings(pipeline, &status, &self.setup.around.dead_letters);
        around.known.treatments().remember(treatments::read(checkpoint.treatments()?)?);
        let mut chains = prepare::chains(members, &around, 1)?;
        let mut report = Report::default();
        if let Some(chain) = chains.first_mut() {
            let sinks = (0..pipeline.sinks.len()).collect();
            check::tables(&mut report, pipeline, tables, Some((members, chain)), &around, &sinks);
        }
        Ok(report)
    }

    /// Lets the source capture other tables, which have been tried.
    pub(super) fn take_tables(&mut self) {
        let Some(Tables { source, content }) = self.tables.take() else { return };
        let (Source::MySql(settings), Some(control)) = (&source, self.setup.capture.control.clone()) else { return };
        let (tables, snapshot) = (settings.tables.clone(), settings.snapshot.clone());
        let asked = self.setup.capture.ask(self.setup.around.limits.swap_answer(), async move {
            control.ask(|answer| Request::Capture { tables, snapshot, answer }).await
        });
        match asked {
            Ok(effective) => {
                self.setup.started.source = source;
                self.note_running();
                self.accept(&self.file.clone().unwrap_or_default());
                self.look_at_effect();
                match effective {
                    Some(effective) => tracing::info!(
                        added = names(&effective.added),
                        removed = names(&effective.removed),
                        copied = names(&effective.copied.into_iter().map(|(table, _)| table).collect::<Vec<_>>()),
                        position = effective.place,
                        "tables edited: they are captured so from this position on"
                    ),
                    None => tracing::warn!("tables edited: they take effect once the source has room for it"),
                }
            }
            Err(error) => self.report(&Part::Edit, content, &error),
        }
    }

    /// Copies a table anew on request, or says why not.
    pub(super) fn grant_copy(&mut self, request: CopyRequest) {
        let CopyRequest { table, answer } = request;
        let granted = self.copied(&table);
        if let Err(refusal) = &granted {
            tracing::warn!(error = %refusal.error.chain(), "a request to copy a table is refused");
        }
        // who asked may have gone
        let _ = answer.send(granted);
    }

    fn copied(&self, table: &str) -> Result<CopyTaken, Refusal> {
        let refusal = |reason| move |error| Refusal { reason, error };
        let unknown =
            |what: String, remedy: &str| Refusal { reason: Reason::Unknown, error: Error::new(ErrorKind::Config, what).remedy(remedy) };
        let Some(name) = TableName::parse(table) else {
            let remedy = "write `database.table`, with backticks around a part that holds a dot";
            // what stood in a request is not echoed at any length
            let text: String = table.chars().take(ECHOED).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            return Err(unknown(format!("'{text}' is not a table with its database"), remedy));
        };
        let (Source::MySql(settings), Some(control)) = (&self.setup.started.source, self.setup.capture.control.clone()) else {
            return Err(unknown(
                "this pipeline copies no tables while it runs: its source has none, or a sink may go apart".to_owned(),
                "stop it, run `sluicegate checkpoint copy`, and start it again",
            ));
        };
        if !settings.snapshot.overwrites {
            self.can_be_emptied(&name).map_err(refusal(Reason::Unusable))?;
        }
        let requested = name.clone();
        let asked = self.setup.capture.ask(self.setup.around.limits.swap_answer(), async move {
            control.ask(|answer| Request::Copy { table: requested, answer }).await
        });
        let effective = asked.map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::Config => Reason::Unknown,
                ErrorKind::Precheck => Reason::Unusable,
                _ => Reason::Away,
            };
            Refusal { reason, error }
        })?;
        let effective = effective.unwrap_or_default();
        let number = effective.copied.first().map_or(0, |(_, number)| *number);
        tracing::info!(table = %name, copy = number, position = effective.place, "the table is copied anew from this position on");
        Ok(CopyTaken { table: name.to_string(), copy: number, position: effective.place })
    }

    /// Refuses a table whose rows a plugin sends to destinations of their own: a truncate has none.
    fn can_be_emptied(&self, name: &TableName) -> Result<()> {
        let checkpoint = self.setup.capture.checkpoint.upgrade().ok_or_else(ending)?;
        let pipeline = &self.setup.started;
        let status = crate::status(pipeline);
        let source = AnySource::new(pipeline, &status);
        let inventory = self.setup.capture.wait(async move { source.inventory(usize::MAX).await })??.unwrap_or_default();
        let Some(table) = inventory.captured.iter().find(|table| table.name == *name) else { return Ok(()) };
        let around = prepare::surroundings(pipeline, &status, &self.setup.around.dead_letters);
        around.known.treatments().remember(treatments::read(checkpoint.treatments()?)?);
        let mut chains = prepare::chains(&self.setup.members, &around, 1)?;
        let Some(chain) = chains.first_mut() else { return Ok(()) };
        if chain.delivered(table)?.destination_column().is_none() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Plugin,
            format!("a plugin chooses the destination of each row of {name}: which ones to empty cannot be told"),
        )
        .remedy("write `again: overwrite` in the source's `snapshot`: rows that were deleted unseen then stay with consumers"))
    }
}

impl Capture {
    /// Waits for an answer of the source. `None`: it takes longer, and comes all the same.
    fn ask(&self, most: Duration, asking: impl Future<Output = Result<Effective>> + Send + 'static) -> Result<Option<Effective>> {
        let asking = self.runtime.spawn(asking);
        match self.wait(async move { tokio::time::timeout(most, asking).await })? {
            Ok(Ok(answered)) => answered.map(Some),
            Ok(Err(_)) => Err(ending()),
            Err(_) => Ok(None),
        }
    }

    /// Waits for what has to be done in the runtime, which may end before.
    pub(super) fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (done, answer) = std::sync::mpsc::sync_channel(1);
        self.runtime.spawn(async move { done.try_send(work.await) });
        answer.recv().map_err(|_| ending())
    }
}
