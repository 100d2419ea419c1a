//! A file of dead letters as a source: its changes, as they were set aside, from the place on that was reached before, up to where the
//! file ends now.

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    closed,
    place::{InOneFile, LANE, LetterPlace},
};
use crate::blocking::blocking;
use sluicegate_config::DeadLetterSource;
use sluicegate_dead_letter::{Letter, Line, Lines};
use sluicegate_model::{
    Error, Result,
    change::{Batch, Capabilities, Change, Event, Frontier, Item, Lane, NO_IMAGE, Offset, Table, TableRows},
    limits::Limits,
    now_us,
};
use sluicegate_plugin_host::sha256;
use sluicegate_source::{Begin, Items, Ledger, Source};
use sluicegate_status::Status;

/// A file of letters.
pub struct Letters {
    file: Arc<Path>,
    /// Plugins that each letter has to have passed.
    passed: Arc<[String]>,
    limits: Limits,
    status: Arc<Status>,
    /// What the source of the changes is called.
    connector: &'static str,
    capabilities: Capabilities,
    /// Where it ends, once that has been looked up: what is set aside meanwhile is for the next replay.
    end: LetterPlace,
}

impl Letters {
    pub(crate) fn new(
        settings: &DeadLetterSource,
        limits: Limits,
        status: Arc<Status>,
        connector: &'static str,
        capabilities: Capabilities,
    ) -> Self {
        let end = LetterPlace { file: String::new(), offset: 0 };
        let (file, passed) = (settings.file.as_path().into(), settings.passed.as_slice().into());
        Self { file, passed, limits, status, connector, capabilities, end }
    }

    pub(crate) fn connector(&self) -> &'static str {
        self.connector
    }
}

impl Source for Letters {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(InOneFile)
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        let file = self.file.clone();
        self.end = blocking("letters", move || end_of(&file)).await?;
        let reached = sinks.iter().map(|begin| match begin {
            Begin::At(frontier) => frontier.get(LANE).map(LetterPlace::of).transpose(),
            Begin::First | Begin::Start(_) => Ok(None),
        });
        let places = reached.collect::<Result<Vec<_>>>()?.into_iter().map(|place| {
            // another file under the same name begins anew
            let offset = place.filter(|place| place.file == self.end.file).map_or(0, |place| place.offset.min(self.end.offset));
            Frontier::of(Lane::new(LANE), Offset::new(LetterPlace { file: self.end.file.clone(), offset }))
        });
        Ok(places.collect())
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let places = sinks.iter().filter_map(|frontier| frontier.get(LANE)).map(LetterPlace::of).collect::<Result<Vec<_>>>()?;
        let begin = places.into_iter().map(|place| place.offset).min().unwrap_or_default();
        self.status.source.connect();
        out.begin();
        let mut reading = Some(Reading {
            lines: Lines::open(&self.file, begin)?,
            next: None,
            end: self.end.clone(),
            passed: self.passed.clone(),
            limits: self.limits,
            number: 0,
        });
        while let Some(mut reader) = reading.take() {
            let (reader, batch) = blocking("letters", move || reader.batch().map(|batch| (reader, batch))).await?;
            let Some(batch) = batch else { break };
            let sent = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                sent = out.send(Item::Rows(batch)) => sent,
            };
            if sent.is_err() {
                break;
            }
            self.status.source.see_event(now_us());
            reading = Some(reader);
        }
        Ok(())
    }
}

/// Where a file ends now: behind its last whole line.
pub(super) fn end_of(file: &Path) -> Result<LetterPlace> {
    let mut lines = Lines::open(file, 0)?;
    let mut end = LetterPlace { file: String::new(), offset: 0 };
    while let Some(line) = lines.next_line()? {
        if line.begin == 0 {
            end.file = sha256(&line.text).get(..16).unwrap_or_default().to_owned();
        }
        end.offset = line.end;
    }
    Ok(end)
}

/// A file that is read, batch by batch.
pub(super) struct Reading {
    pub lines: Lines,
    /// A letter that did not go into the batch before.
    pub next: Option<(Line, Letter, Arc<Table>)>,
    pub end: LetterPlace,
    /// Plugins that each letter has to have passed.
    pub passed: Arc<[String]>,
    pub limits: Limits,
    /// Changes so far.
    pub number: u64,
}

impl Reading {
    /// The next batch; `None` at the end. It holds one version of each table.
    pub fn batch(&mut self) -> Result<Option<Batch>> {
        let place = |offset| Offset::new(LetterPlace { file: self.end.file.clone(), offset });
        let mut batch = Batch::empty(self.number, Lane::new(LANE), place(self.end.offset));
        let mut bytes = 0;
        loop {
            let (line, letter, table) = match self.next.take() {
                Some(next) => next,
                None => match self.lines.next_line()?.filter(|line| line.end <= self.end.offset) {
                    None => break,
                    Some(line) => {
                        let near = |error: Error| error.context(format_args!("the letter at byte {}", line.begin));
                        let letter = Letter::read(&line.text).map_err(near)?;
                        closed::has_passed(&letter, &self.passed).map_err(near)?;
                        let table = Arc::new(letter.described().map_err(near)?);
                        (line, letter, table)
                    }
                },
            };
            let known = batch.tables.iter().position(|rows| rows.table.name == table.name);
            let is_full = batch.changes.len() >= self.limits.batch_changes || bytes >= self.limits.batch_bytes;
            if is_full || known.is_some_and(|known| *batch.tables[known].table != *table) {
                batch.offset = place(line.begin);
                self.next = Some((line, letter, table));
                break;
            }
            bytes += line.text.len();
            let near = |error: Error| error.context(format_args!("the letter at byte {}", line.begin));
            append(&mut batch, known, table, &letter, line.begin).map_err(near)?;
        }
        batch.taken = batch.changes.len() as u32;
        batch.bytes = batch.measure();
        self.number += u64::from(batch.taken);
        Ok((!batch.changes.is_empty()).then_some(batch))
    }
}

/// Puts a letter into a batch, as a transaction of its own.
fn append(batch: &mut Batch, known: Option<usize>, table: Arc<Table>, letter: &Letter, begin: u64) -> Result<()> {
    let operation = letter.operation()?;
    let index = known.unwrap_or_else(|| {
        batch.tables.push(TableRows::new(table));
        batch.tables.len() - 1
    });
    let Some(rows) = batch.tables.get_mut(index) else { return Ok(()) };
    let first = rows.len() as u32;
    let (before, after) = letter.push(rows)?;
    let (event, transaction, row) = letter.place();
    batch.changes.push(Change {
        table: index as u32,
        before: if before { first } else { NO_IMAGE },
        after: if after { first + u32::from(before) } else { NO_IMAGE },
        operation,
        event: batch.events.len() as u32,
        row,
    });
    // what the places of a replay are compared by
    batch.events.push(Event { transaction: batch.transactions.len() as u32, rows_before: begin, first_row: row, ..event });
    batch.transactions.push(transaction);
    Ok(())
}
