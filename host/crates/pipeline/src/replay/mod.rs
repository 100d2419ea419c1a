//! Dead letters are replayed by a pipeline of its own: its source is a file of letters, its plugins are those of today where a plugin set
//! the letters aside, its sinks are the pipeline's, and its checkpoint stands beside the pipeline's. So a replay that is killed goes
//! on where it was, with the promise of each sink.

mod closed;
mod place;
mod source;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use tokio_util::sync::CancellationToken;

pub(crate) use self::source::Letters;
use self::{
    closed::Closed,
    place::{LANE, LetterPlace},
    source::Reading,
};
pub use crate::letters::fetch;
use crate::{Kept, blocking::blocking, prepare, run, status};
use sluicegate_config::{DeadLetterSource, Delivery, Pipeline, Sink, SinkKind, Source, StartAt, WhenSlow};
use sluicegate_dead_letter::DeadLetters;
pub use sluicegate_dead_letter::{Heading, Kind, Letter, LetterFile, Lines, files};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_state::Checkpoint;
use sluicegate_status::Status;

/// What a replay makes of the letters.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// Only to this sink; else to all of them.
    pub to: Option<String>,
    /// Letters of a plugin as they are, past all plugins.
    pub as_is: bool,
}

/// What became of letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Letters that were read.
    pub letters: u64,
    /// Those that a plugin or a sink set aside again.
    pub set_aside: u64,
    /// Those that policies or plugins passed over.
    pub skipped: u64,
}

/// What to do with records that the source could not read.
const UNREAD: &str = "`sluicegate dlq show --source --values` prints them: have their producer write them again as they have to be";

/// How far letters of a file have been replayed, in bytes: to the sink that is least far of those that are to have them.
///
/// # Errors
/// `State` when the replay's checkpoint cannot be read.
pub fn replayed(pipeline: &Pipeline, letters: &LetterFile) -> Result<u64> {
    let wanted = pipeline.sinks.iter().filter(|sink| match letters.kind {
        Kind::Plugin => true,
        Kind::Sink => sink.name == letters.stage,
        // nobody gets them
        Kind::Source => false,
    });
    reached(pipeline, letters, wanted)
}

/// How far the sink of these has come that is least far.
fn reached<'p>(pipeline: &Pipeline, letters: &LetterFile, sinks: impl Iterator<Item = &'p Sink>) -> Result<u64> {
    let state = state(pipeline, letters);
    if !state.exists() {
        return Ok(0);
    }
    let end = source::end_of(&letters.path)?;
    let progress = Checkpoint::look(&state, &pipeline.name)?;
    let offsets = sinks.map(|wanted| {
        let known = progress.iter().find(|(sink, _)| *sink == wanted.name);
        let place = known.and_then(|(_, progress)| progress.frontier.get(LANE)).map(LetterPlace::of).transpose()?;
        Ok(place.filter(|place| place.file == end.file).map_or(0, |place| place.offset))
    });
    let least = offsets.collect::<Result<Vec<u64>>>()?.into_iter().min();
    Ok(least.unwrap_or(0).min(end.offset))
}

/// The checkpoint of a replay.
fn state(pipeline: &Pipeline, letters: &LetterFile) -> PathBuf {
    let stem = pipeline.state.file_stem().unwrap_or_default().to_string_lossy();
    let name = letters.path.file_stem().unwrap_or_default().to_string_lossy();
    pipeline.state.with_file_name(format!("{stem}-replays")).join(format!("{name}.db"))
}

/// The pipeline that replays a file of letters.
///
/// # Errors
/// `Config`: what is asked cannot be done with these letters.
fn pipeline_of(pipeline: &Pipeline, letters: &LetterFile, replay: &Replay, closed: &Closed) -> Result<Pipeline> {
    let refused = |what: String, remedy: &str| Error::new(ErrorKind::Config, what).remedy(remedy);
    let mut sinks = pipeline.sinks.clone();
    let to = match letters.kind {
        Kind::Source => return Err(refused("records that could not be read are not replayed".into(), UNREAD)),
        Kind::Sink => Some(replay.to.as_ref().unwrap_or(&letters.stage)),
        Kind::Plugin => replay.to.as_ref(),
    };
    if let Some(to) = to {
        sinks.retain(|sink| sink.name == *to);
        if sinks.is_empty() {
            return Err(refused(format!("the pipeline file has no sink `{to}`"), "name one of its sinks with --to"));
        }
    }
    let past_plugins = letters.kind == Kind::Sink || replay.as_is;
    closed.admit(pipeline, letters, replay)?;
    let stem = letters.path.file_stem().unwrap_or_default().to_string_lossy();
    for sink in &mut sinks {
        sink.when_slow = WhenSlow::Hold;
        sink.start = Some(StartAt::Earliest);
        match &mut sink.kind {
            // the pipeline's own files belong to its own progress, those of another file of letters to that of its replay
            SinkKind::File(file) => {
                file.prefix.push_str("-replay-");
                file.prefix.push_str(&stem);
            }
            SinkKind::Kafka(kafka) => {
                // letters are no group's
                kafka.in_group = false;
                if let Delivery::ExactlyOnce(transactions) = &mut kafka.delivery {
                    transactions.transactional_id.push_str("-replay-");
                    transactions.transactional_id.push_str(letters.kind.name());
                    transactions.transactional_id.push('.');
                    transactions.transactional_id.push_str(&letters.stage);
                }
            }
            SinkKind::Stdout => {}
        }
    }
    // a plugin's letters pass the plugins of today; those of a sink have to have passed them
    let passed = if letters.kind == Kind::Sink { closed.plugins.iter().cloned().collect() } else { Vec::new() };
    let source = DeadLetterSource { file: letters.path.clone(), origin: pipeline.source.clone(), passed };
    Ok(Pipeline {
        file: None,
        source: Source::DeadLetters(Box::new(source)),
        sinks,
        plugins: if past_plugins { Vec::new() } else { pipeline.plugins.clone() },
        state: state(pipeline, letters),
        http: None,
        admin: false,
        ..pipeline.clone()
    })
}

/// Replays a file of letters from where the last replay of it ended.
///
/// # Errors
/// As of [`run`], and `Config` where what is asked cannot be done with these letters.
pub async fn replay(pipeline: &Pipeline, letters: &LetterFile, replay: &Replay, stop: CancellationToken) -> Result<Replayed> {
    let settling = {
        let (pipeline, letters, replay) = (pipeline.clone(), letters.clone(), replay.clone());
        move || {
            let closed = Closed::of(&pipeline)?;
            let replaying = pipeline_of(&pipeline, &letters, &replay, &closed)?;
            if letters.kind == Kind::Plugin {
                closed.store(&replaying.state, &replaying.name)?;
            }
            Ok(replaying)
        }
    };
    let replaying = blocking("checkpoint", settling).await?;
    let status = status(&replaying);
    run(replaying, status.clone(), stop).await?;
    Ok(counted(&status))
}

fn counted(status: &Status) -> Replayed {
    let plugins = status.plugins.all();
    let set_aside = plugins.iter().map(|plugin| plugin.dead_lettered.get()).sum::<u64>();
    let skipped = plugins.iter().map(|plugin| plugin.skipped.get()).sum::<u64>();
    Replayed {
        letters: status.source.changes.get(),
        set_aside: set_aside + status.sinks.iter().map(|sink| sink.dead_lettered.get()).sum::<u64>(),
        skipped: skipped + status.sinks.iter().map(|sink| sink.skipped.get()).sum::<u64>(),
    }
}

/// Passes letters through the plugins as a replay would, and delivers nothing. Answers what would become of them, and how many changes
/// would be delivered.
///
/// # Errors
/// What would stop the replay.
pub fn rehearse(pipeline: &Pipeline, letters: &LetterFile, replay: &Replay) -> Result<(Replayed, u64)> {
    let closed = Closed::of(pipeline)?;
    let replaying = pipeline_of(pipeline, letters, replay, &closed)?;
    let begin = reached(pipeline, letters, replaying.sinks.iter())?;
    let scratch = Scratch(replaying.state.with_extension("rehearsal"));
    let status = status(&replaying);
    let dead_letters = Arc::new(DeadLetters::new(scratch.0.join("letters"), replaying.limits.dead_letter_bytes));
    let around = prepare::surroundings(&replaying, &status, &dead_letters);
    closed.tell(around.known.treatments())?;
    let mut ready = prepare::ready(&Pipeline { workers: 1, ..replaying.clone() }, &around, &Kept::default())?;
    if let Some(chain) = ready.chains.first() {
        prepare::note(chain, &ready.members, &status);
    }
    let passed = match &replaying.source {
        Source::DeadLetters(source) => source.passed.clone(),
        _ => Vec::new(),
    };
    let mut reading = Reading {
        lines: Lines::open(&letters.path, begin)?,
        next: None,
        end: source::end_of(&letters.path)?,
        passed: passed.into(),
        limits: replaying.limits,
        number: 0,
    };
    let mut delivered = 0;
    while let Some(batch) = reading.batch()? {
        status.source.changes.add(u64::from(batch.taken));
        delivered += match ready.chains.first_mut() {
            Some(chain) => chain.apply(batch)?.changes.len() as u64,
            None => batch.changes.len() as u64,
        };
    }
    status.stopping.store(true, Ordering::Relaxed);
    Ok((counted(&status), delivered))
}

/// A folder that goes with this value: what would be set aside again.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // at worst a folder with letters stays, which only this account can read
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
