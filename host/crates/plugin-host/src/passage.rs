//! One batch's rows of one table on their way through a chain: calls the plugins on the rows that are still alive, turns
//! their answers into changes that stay, become another operation, or go.

use std::{
    collections::BTreeMap,
    ops::Range,
    time::{Duration, Instant},
};

use super::{
    bindings::sluicegate::plugin::types::Context as Asked,
    composition::{ChainPlan, Step},
    context::{Context, Rows},
    outcome::{Outcome, bit},
    stage::{Failure, Stage, nanoseconds},
    surroundings::Surroundings,
    verdict::{Refusal, Seen, Sight, Verdict},
};
use sluicegate_config::OnError;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Column, NO_IMAGE, Operation, TableRows},
    limits::ENCODED_GROWTH,
};

/// Rows of one table in one batch.
pub(super) struct Passage<'a> {
    batch: &'a Batch,
    rows: &'a TableRows,
    /// All changes of the batch, as they are by now; a change that is gone has no image left.
    changes: &'a mut Vec<Change>,
    /// Which of them are of this table.
    mine: Vec<u32>,
    /// Computed columns so far, each with an entry for every row.
    computed: Vec<Column>,
    /// Rows that are still alive, rising; `None` = all.
    alive: Option<Vec<u32>>,
    dropped: bool,
    /// Whether the source left values out.
    partial: bool,
    /// After images that are delivered as what was deleted, because there is no before image: only their keys count.
    left: Vec<u32>,
    /// By stage: bytes that it has answered with for the batch.
    answered: &'a mut [usize],
}

/// What came of the rows of one table.
#[derive(Default)]
pub(super) struct Passed {
    /// The computed columns.
    pub computed: Vec<Column>,
    /// After images that are delivered as deletes, rising.
    pub left: Vec<u32>,
}

/// The answer to all alive rows of a step.
struct Answer {
    /// By row of the table: bit set = stays. `None` = all stay.
    keep: Option<Vec<u8>>,
    rejected: BTreeMap<u32, Error>,
    /// Rows that were not handed over, because values that the plugin reads are absent; by row, what the plugin would have seen.
    withheld: BTreeMap<u32, Seen>,
}

impl<'a> Passage<'a> {
    /// The rows of one table; `mine` are the indices of its changes. `answered` counts the bytes of each stage's answers to the batch.
    pub fn new(batch: &'a Batch, rows: &'a TableRows, mine: Vec<u32>, changes: &'a mut Vec<Change>, answered: &'a mut [usize]) -> Self {
        let partial = rows.may_be_absent();
        Self { batch, rows, changes, mine, computed: Vec::new(), alive: None, dropped: false, partial, left: Vec::new(), answered }
    }

    /// Whether any change went, or lost an image.
    pub fn dropped(&self) -> bool {
        self.dropped
    }

    /// What came of them.
    pub fn finish(mut self) -> Passed {
        self.left.sort_unstable();
        Passed { computed: self.computed, left: self.left }
    }

    pub fn run(&mut self, stages: &mut [Stage], around: &Surroundings, plan: &ChainPlan) -> Result<()> {
        for step in &plan.steps {
            let answer = if step.plan.calls() {
                self.call_on_what_is_there(&mut stages[step.stage], around, step)?
            } else {
                Answer { keep: None, rejected: BTreeMap::new(), withheld: BTreeMap::new() }
            };
            let judged = answer.keep.is_some() || !answer.rejected.is_empty() || !answer.withheld.is_empty();
            if judged || !step.operations.is_all() || self.partial && step.plan.filters {
                self.judge(&stages[step.stage], around, step, plan.keyed, answer)?;
            }
        }
        Ok(())
    }

    /// Calls the plugin on the alive rows that have every value that it reads. An absent value never reaches a plugin that does
    /// not know what that is: what it computes for such a row is absent, too.
    fn call_on_what_is_there(&mut self, stage: &mut Stage, around: &Surroundings, step: &Step) -> Result<Answer> {
        let withheld = self.withheld(step);
        if withheld.is_empty() {
            return self.call(stage, around, step);
        }
        let alive = self.alive.take();
        let all = || (0..self.rows.len() as u32).collect();
        let there = alive.clone().unwrap_or_else(all).into_iter().filter(|row| !withheld.contains_key(row)).collect();
        self.alive = Some(there);
        let answer = self.call(stage, around, step);
        self.alive = alive;
        let rows: Vec<u32> = withheld.keys().copied().collect();
        let before = self.computed.len().saturating_sub(step.plan.computed.len());
        let answer = answer?;
        self.computed[before..].iter_mut().for_each(|column| column.withhold(&rows));
        Ok(Answer { withheld, ..answer })
    }

    /// The alive rows that lack values which the plugin reads.
    fn withheld(&self, step: &Step) -> BTreeMap<u32, Seen> {
        let mut withheld = BTreeMap::new();
        let lacking = step.reads.iter().map(|slot| self.slot(*slot)).filter(|column| !step.plan.absent && column.may_be_absent());
        let absent: Vec<&Column> = lacking.collect();
        if absent.is_empty() && (self.left.is_empty() || step.reads_key) {
            return withheld;
        }
        let together = step.plan.context.contains(Asked::PARTNERS);
        for index in &self.mine {
            let change = &self.changes[*index as usize];
            let images = [change.before, change.after].into_iter().filter(|row| *row != NO_IMAGE);
            let lacks = |row: u32| {
                let lacking = absent.iter().filter(|column| column.is_absent(row as usize)).count();
                match lacking {
                    0 if !step.reads_key && self.left.contains(&row) => Some(Seen::Part),
                    0 => None,
                    _ if lacking == step.reads.len() && step.plan.context == Asked::empty() => Some(Seen::Nothing),
                    _ => Some(Seen::Part),
                }
            };
            let seen: Vec<(u32, Option<Seen>)> = images.map(|row| (row, lacks(row))).collect();
            // a plugin that looks at both images would take one of them for all there is
            let with_partner = together && seen.iter().any(|(_, seen)| seen.is_some());
            for (row, seen) in seen {
                if let Some(seen) = if with_partner { Some(Seen::Part) } else { seen } {
                    withheld.insert(row, seen);
                }
            }
        }
        withheld
    }

    /// The column of the source, or the computed one, with this number.
    fn slot(&self, slot: usize) -> &Column {
        match slot.checked_sub(self.rows.columns.len()) {
            None => &self.rows.columns[slot],
            Some(computed) => &self.computed[computed],
        }
    }

    fn alive_rows(&self) -> usize {
        self.alive.as_ref().map_or(self.rows.len(), Vec::len)
    }

    /// Calls the plugin on the alive rows; when it fails and its policy is not to stop, on ever smaller parts of them, until
    /// the rows that it fails on are found.
    fn call(&mut self, stage: &mut Stage, around: &Surroundings, step: &Step) -> Result<Answer> {
        let total = self.alive_rows();
        let begin = Instant::now();
        stage.numbers.calls.add(1);
        stage.numbers.rows.add(total as u64);
        let mut parts: Vec<(Range<usize>, Outcome)> = Vec::new();
        let mut failed: Vec<(usize, Error)> = Vec::new();
        let mut waiting: Vec<Range<usize>> = Vec::new();
        if total > 0 {
            waiting.push(0..total);
        }
        // the batch as a whole may come after batches that failed altogether
        let mut pause = None;
        let most = around.limits.plugin_output_bytes;
        let permit = &self.batch.permit;
        // time spent on waiting for memory is not the plugin's
        let mut waited = Duration::ZERO;
        while let Some(part) = waiting.pop() {
            // counted before it is made; what is kept of it stays counted until the batch is measured
            let asked = Instant::now();
            let room = permit.hold(most);
            waited += asked.elapsed();
            let attempt = self.attempt(stage, step, &part).and_then(|outcome| {
                // one call has this bound already; small parts, and several tables, could answer with as much each
                let answered = &mut self.answered[step.stage];
                if *answered > 0 && *answered + outcome.bytes() > most {
                    return Err(too_much(stage, around));
                }
                *answered += outcome.bytes();
                Ok(outcome)
            });
            let failure = match attempt {
                Ok(outcome) => {
                    stage.recovery.succeeded();
                    pause = Some(Duration::ZERO);
                    room.keep(outcome.bytes());
                    parts.push((part, outcome));
                    continue;
                }
                Err(failure) => failure,
            };
            stage.numbers.failures.add(1);
            let (error, broken) = match failure {
                Failure::Refused(error) | Failure::Broken(error) if stage.rehearsing => return Err(self.placed(error, &part)),
                Failure::Final(error) => return Err(self.placed(error, &part)),
                Failure::Refused(error) => (error, false),
                Failure::Broken(error) => (error, true),
            };
            if stage.on_error() == OnError::Stop {
                return Err(self.placed(error, &part));
            }
            if broken {
                let before = pause.replace(Duration::ZERO).unwrap_or_else(|| stage.recovery.pause(&around.limits));
                stage.recover(around, before, &error)?;
            }
            drop(room);
            if begin.elapsed().saturating_sub(waited) > around.limits.plugin_recovery {
                return Err(self.placed(error, &part).context(format_args!(
                    "the plugin keeps failing: not found out in {} s which rows it fails on",
                    around.limits.plugin_recovery.as_secs()
                )));
            }
            match self.cut(step, &part) {
                Some(middle) => {
                    waiting.push(middle..part.end);
                    waiting.push(part.start..middle);
                }
                // of a change whose images stay together one stands for both
                None => {
                    let error = stage.recovery.failed(error, &around.limits).map_err(|e| self.placed(e, &part))?;
                    failed.push((part.start, error));
                }
            }
        }
        let copied: usize =
            if parts.len() > 1 || self.alive.is_some() { parts.iter().map(|(_, outcome)| outcome.bytes()).sum() } else { 0 };
        let asked = Instant::now();
        let _copies = (copied > 0).then(|| permit.hold(copied));
        waited += asked.elapsed();
        let answer = self.collect(stage, step, parts, failed);
        stage.numbers.nanoseconds.add(nanoseconds(begin + waited));
        Ok(answer)
    }

    fn attempt(&self, stage: &mut Stage, step: &Step, part: &Range<usize>) -> Result<Outcome, Failure> {
        let context = |picked| {
            Context::of(step.plan.context, &Rows { batch: self.batch, rows: self.rows, changes: self.changes, mine: &self.mine, picked })
        };
        if self.alive.is_none() && part.len() == self.rows.len() {
            let columns: Vec<_> = step.reads.iter().map(|s| self.slot(*s)).collect();
            return stage.apply(step.table, &step.plan, part.len(), &context(None), &columns);
        }
        let picked: Vec<u32> = match &self.alive {
            Some(alive) => alive[part.clone()].to_vec(),
            None => (part.start as u32..part.end as u32).collect(),
        };
        let gathered: Vec<_> = step.reads.iter().map(|s| self.slot(*s).gather(&picked)).collect();
        stage.apply(step.table, &step.plan, picked.len(), &context(Some(&picked)), &gathered.iter().collect::<Vec<_>>())
    }

    /// Where a part on which the plugin fails is cut in two; `None` when there is nothing left to cut. Images of one change
    /// stay together if the plugin looks at them together.
    fn cut(&self, step: &Step, part: &Range<usize>) -> Option<usize> {
        let middle = part.start + part.len() / 2;
        if part.len() < 2 || !step.plan.context.contains(Asked::PARTNERS) {
            return (part.len() > 1).then_some(middle);
        }
        let row = |i: usize| self.alive.as_ref().map_or(i as u32, |alive| alive[i]);
        let (left, right) = (row(middle - 1), row(middle));
        // both images of a change stand next to each other
        if !self.mine.iter().any(|i| self.changes[*i as usize].before == left && self.changes[*i as usize].after == right) {
            return Some(middle);
        }
        if middle + 1 < part.end { Some(middle + 1) } else { (middle - 1 > part.start).then(|| middle - 1) }
    }

    /// Puts the parts together again, by row of the table.
    fn collect(&mut self, stage: &Stage, step: &Step, parts: Vec<(Range<usize>, Outcome)>, failed: Vec<(usize, Error)>) -> Answer {
        let count = self.rows.len();
        let row = |i: usize| self.alive.as_ref().map_or(i as u32, |alive| alive[i]);
        let mut rejected: BTreeMap<u32, Error> = failed.into_iter().map(|(i, error)| (row(i), error)).collect();
        let mut keep: Option<Vec<u8>> = None;
        let whole = self.alive.is_none() && parts.len() == 1 && parts[0].0.len() == count;
        let mut joined: Vec<Column> = step.plan.computed.iter().map(|t| Column::new(*t)).collect();
        let mut rows: Vec<u32> = Vec::new();
        for (part, outcome) in parts {
            for (i, message) in outcome.rejected {
                let name = stage.name();
                let error = Error::new(ErrorKind::Record, format!("plugin `{name}` rejects the row: {message}"))
                    .remedy("correct the data or the plugin, or set `on_error` of the plugin");
                rejected.insert(row(part.start + i as usize), error);
            }
            if whole {
                keep = outcome.keep;
                joined = outcome.computed;
                break;
            }
            if let Some(bits) = outcome.keep {
                let all = keep.get_or_insert_with(|| vec![0xff; count.div_ceil(8)]);
                for i in (0..part.len()).filter(|i| !bit(&bits, *i)) {
                    let row = row(part.start + i) as usize;
                    all[row >> 3] &= !(1 << (row & 7));
                }
            }
            rows.extend(part.map(row));
            for (to, from) in joined.iter_mut().zip(outcome.computed) {
                to.append(from);
            }
        }
        if whole {
            self.computed.extend(joined);
        } else {
            self.computed.extend(joined.into_iter().map(|column| column.scatter(&rows, count)));
        }
        Answer { keep, rejected, withheld: BTreeMap::new() }
    }

    /// Lets changes go, or lose an image, as the answer says. A row that leaves a filter becomes a delete, one that enters
    /// it an insert.
    fn judge(&mut self, stage: &Stage, around: &Surroundings, step: &Step, keyed: bool, mut answer: Answer) -> Result<()> {
        let mut filtered = 0;
        let mut erased = Vec::new();
        let mut alive = Vec::with_capacity(self.alive_rows());
        for index in &self.mine {
            let was = self.changes[*index as usize];
            let images = [was.before, was.after];
            if images == [NO_IMAGE; 2] {
                continue;
            }
            let mut rejected = if answer.rejected.is_empty() { None } else { images.iter().find_map(|row| answer.rejected.remove(row)) };
            let verdict = if rejected.is_none() { self.verdict(step, keyed, &answer, &was) } else { Verdict::Stays };
            if let Verdict::Refused(refusal) = verdict {
                rejected = Some(self.refused(stage, step, refusal, &was));
            }
            let change = &mut self.changes[*index as usize];
            if let Some(error) = rejected {
                // the other image of the same change may have been rejected too: one decision for both
                images.iter().for_each(|row| drop(answer.rejected.remove(row)));
                let original = &self.batch.changes[*index as usize];
                set_aside(stage, around, self.batch, original, error)?;
                if stage.on_error() != OnError::PassThrough {
                    (change.before, change.after) = (NO_IMAGE, NO_IMAGE);
                    self.dropped = true;
                    continue;
                }
                // what could not be computed is absent already
                if verdict == Verdict::Stays {
                    erased.extend(images.into_iter().filter(|row| *row != NO_IMAGE && !answer.withheld.contains_key(row)));
                }
            } else if verdict != Verdict::Stays {
                match verdict {
                    Verdict::Enters => (change.before, change.operation) = (NO_IMAGE, Operation::Insert),
                    Verdict::Leaves => (change.after, change.operation) = (NO_IMAGE, Operation::Delete),
                    Verdict::LeavesByKey => {
                        self.left.push(change.after);
                        (change.before, change.after, change.operation) = (change.after, NO_IMAGE, Operation::Delete);
                    }
                    _ => (change.before, change.after) = (NO_IMAGE, NO_IMAGE),
                }
                self.dropped = true;
            }
            if !step.operations.has(change.operation) {
                (change.before, change.after) = (NO_IMAGE, NO_IMAGE);
                self.dropped = true;
            }
            if change.before == NO_IMAGE && change.after == NO_IMAGE {
                filtered += 1;
            }
            alive.extend([change.before, change.after].into_iter().filter(|row| *row != NO_IMAGE));
        }
        stage.numbers.filtered.add(filtered);
        if !erased.is_empty() {
            erased.sort_unstable();
            let before = self.computed.len() - step.plan.computed.len();
            self.computed[before..].iter_mut().for_each(|column| column.erase(&erased));
        }
        if self.dropped {
            if !alive.is_sorted() {
                alive.sort_unstable();
            }
            self.alive = Some(alive);
        }
        Ok(())
    }

    /// What becomes of a change of which no image was rejected.
    #[inline]
    fn verdict(&self, step: &Step, keyed: bool, answer: &Answer, change: &Change) -> Verdict {
        let seen = |row: u32| {
            (row != NO_IMAGE).then(|| match answer.withheld.get(&row) {
                Some(seen) => *seen,
                None if answer.keep.as_ref().is_none_or(|keep| bit(keep, row as usize)) => Seen::Stays,
                None => Seen::Goes,
            })
        };
        let whole = || step.needed.iter().all(|slot| !self.slot(*slot).is_absent(change.after as usize));
        Sight {
            operation: change.operation,
            before: seen(change.before),
            after: seen(change.after),
            filters: step.plan.filters,
            whole: !self.partial || change.after == NO_IMAGE || whole(),
            keyed,
        }
        .verdict()
    }

    /// The error of a change that cannot be decided. Names columns, never values.
    fn refused(&self, stage: &Stage, step: &Step, refusal: Refusal, change: &Change) -> Error {
        let name = stage.name();
        let lacks = |slots: &[usize]| {
            let slot = slots.iter().copied().find(|slot| self.slot(*slot).is_absent(change.after as usize));
            match slot.and_then(|slot| self.rows.table.columns.get(slot)) {
                Some(column) => format!("column `{}`", column.name),
                None => "a column that an earlier plugin computes".to_owned(),
            }
        };
        let table = &self.rows.table.name;
        let what = match refusal {
            Refusal::Unread => {
                format!("plugin `{name}` reads {} of {table}, which the source did not send with this row", lacks(&step.reads))
            }
            Refusal::Incomplete => format!(
                "plugin `{name}` lets a row of {table} pass that was not delivered before, and the source did not send {} of it",
                lacks(&step.needed)
            ),
            Refusal::NoOldRow => format!(
                "plugin `{name}` drops an updated row of {table}, which has no key, and the source did not send the row as it was before"
            ),
        };
        Error::new(ErrorKind::Record, what).remedy(
            "let the source send whole rows (mysql: binlog_row_image = FULL), take the table out of the plugin's `tables`, or set `on_error` of the plugin",
        )
    }

    /// Says where in the log a failure happened.
    fn placed(&self, error: Error, part: &Range<usize>) -> Error {
        let row = self.alive.as_ref().map_or(part.start as u32, |alive| alive[part.start]);
        let near = self.mine.iter().map(|i| &self.batch.changes[*i as usize]).find(|c| c.before == row || c.after == row);
        error.context(near.map_or_else(|| self.rows.table.name.to_string(), |change| place(self.batch, change)))
    }
}

/// The table of a change, and where in the log it stands.
fn place(batch: &Batch, change: &Change) -> String {
    let table = &batch.tables[change.table as usize].table.name;
    match batch.event(change) {
        Some((event, transaction)) => format!("{table} near {}:{}", transaction.file, event.position),
        None => table.to_string(),
    }
}

/// The answers to the parts of one batch are more than one answer may be.
fn too_much(stage: &Stage, around: &Surroundings) -> Failure {
    let most = around.limits.plugin_output_bytes;
    Failure::Refused(
        Error::new(ErrorKind::Plugin, format!("plugin `{}`: answers with more than {most} bytes for the rows of one batch", stage.name()))
            .remedy("let the plugin answer with less, or raise limits.plugin_output_bytes"),
    )
}

/// What the plugin's policy says about a change that it cannot handle.
fn set_aside(stage: &Stage, around: &Surroundings, batch: &Batch, change: &Change, error: Error) -> Result<()> {
    if stage.rehearsing {
        return Ok(());
    }
    let number = match stage.on_error() {
        OnError::Stop => return Err(error.context(place(batch, change))),
        OnError::Skip => &stage.numbers.skipped,
        OnError::PassThrough => &stage.numbers.passed_through,
        OnError::DeadLetter => {
            let _record = batch.permit.hold(batch.change_bytes(change).saturating_mul(ENCODED_GROWTH));
            around.dead_letters.record_from_plugin(stage.name(), &error, batch, change)?;
            &stage.numbers.dead_lettered
        }
    };
    number.add(1);
    let count = number.get();
    // a flood of bad rows is told with ever fewer lines
    if count.is_power_of_two() {
        tracing::warn!(plugin = stage.name(), place = place(batch, change), count, policy = ?stage.on_error(), "{}", error.chain());
    }
    Ok(())
}
