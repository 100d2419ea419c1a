//! `sluicegate dlq`: changes that plugins or sinks set aside, and records that the source could not read, for operators.

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{block_on, print_out};
use sluicegate_config::{self as config, Pipeline};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_pipeline::replay::{self, Heading, Kind, LetterFile, Lines, Replay};

/// Reasons that are listed of a file, at most.
const MOST_REASONS: usize = 50;

#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// Count the letters, by who set them aside, table and reason; also while the pipeline runs
    List(List),
    /// Print one letter, without the row's values unless asked for
    Show(Show),
    /// Deliver what was set aside
    #[command(after_help = "\
Letters of a plugin pass all plugins of today, and go to every sink. Letters of a sink are as the plugins made them, and go to that
sink. Each is delivered once, whatever is killed: a replay goes on where the last one of the file ended, with the promise of each sink.
What fails again is set aside again, behind the letters that are replayed. Files are written as PREFIX-replay-plugin.NAME-…
or PREFIX-replay-sink.NAME-…. What a plugin hides that is `fail_closed` passes no replay. Records that the source could not read are not
replayed.

A replay may run beside the pipeline. A letter is as old as it is: rows may have changed since, and its change comes after theirs.")]
    Replay(Again),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Whose letters.
#[derive(Debug, Args)]
struct Stage {
    /// The plugin that set them aside
    #[arg(long, value_name = "NAME", conflicts_with = "sink")]
    plugin: Option<String>,
    /// The sink that set them aside
    #[arg(long, value_name = "NAME")]
    sink: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    #[command(flatten)]
    stage: Stage,
    /// A record that the source could not read
    #[arg(long, conflicts_with_all = ["plugin", "sink"])]
    source: bool,
    /// Which letter of the file: 1 is the first
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    letter: u64,
    /// With the values of the row or record, which plugins may be there to hide
    #[arg(long)]
    values: bool,
}

#[derive(Debug, Args)]
pub(super) struct Again {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    #[command(flatten)]
    stage: Stage,
    /// Only to this sink
    #[arg(long, value_name = "SINK")]
    to: Option<String>,
    /// Letters of a plugin as the source sent them, past all plugins: nothing is hidden. Refused with one that is `fail_closed`
    #[arg(long, requires = "plugin")]
    as_is: bool,
    /// Only tell what would become of the letters
    #[arg(long)]
    dry_run: bool,
}

/// Runs one of them.
pub(super) fn dlq(command: DlqCommand) -> Result<()> {
    let (DlqCommand::List(List { path, .. }) | DlqCommand::Show(Show { path, .. }) | DlqCommand::Replay(Again { path, .. })) = &command;
    let pipeline = config::load(path)?;
    replay::fetch(&pipeline)?;
    match command {
        DlqCommand::List(arguments) => list(&pipeline, arguments.json),
        DlqCommand::Show(arguments) => show(&pipeline, &arguments),
        DlqCommand::Replay(arguments) => replay(&pipeline, &arguments),
    }
}

/// Where letters are, in words.
fn place(pipeline: &Pipeline) -> String {
    match &pipeline.letter_topic {
        Some(letters) => format!("the topic `{}`, copied to {}", letters.topic, pipeline.dead_letter.display()),
        None => pipeline.dead_letter.display().to_string(),
    }
}

fn refused(what: impl Into<String>, remedy: &str) -> Error {
    Error::new(ErrorKind::Config, what).remedy(remedy)
}

/// The files that are asked for.
fn files(pipeline: &Pipeline, stage: &Stage, source: bool) -> Result<Vec<LetterFile>> {
    let mut files = replay::files(&pipeline.dead_letter)?;
    if source {
        files.retain(|file| file.kind == Kind::Source);
    }
    let asked = stage.plugin.as_ref().map(|name| (Kind::Plugin, name)).or(stage.sink.as_ref().map(|name| (Kind::Sink, name)));
    if let Some((kind, name)) = asked {
        files.retain(|file| file.kind == kind && file.stage == *name);
        if files.is_empty() {
            return Err(refused(
                format!("nothing was set aside by a {} `{name}` in {}", kind.name(), place(pipeline)),
                "`sluicegate dlq list` tells what was",
            ));
        }
    }
    Ok(files)
}

/// What a file holds.
#[derive(Default)]
struct Counted {
    letters: u64,
    waiting: u64,
    unreadable: u64,
    first: Option<String>,
    last: Option<String>,
    /// By table, or topic, and reason.
    reasons: BTreeMap<(String, String), u64>,
    /// Letters whose reason is not among these.
    others: u64,
}

fn count(pipeline: &Pipeline, file: &LetterFile) -> Result<Counted> {
    let replayed = replay::replayed(pipeline, file)?;
    let mut counted = Counted::default();
    let mut lines = Lines::open(&file.path, 0)?;
    while let Some(line) = lines.next_line()? {
        counted.letters += 1;
        counted.waiting += u64::from(line.begin >= replayed);
        let Ok(letter) = Heading::read(file.kind, &line.text) else {
            counted.unreadable += 1;
            continue;
        };
        let key = (letter.of, letter.error);
        let is_full = counted.reasons.len() >= MOST_REASONS;
        match counted.reasons.get_mut(&key) {
            Some(count) => *count += 1,
            None if !is_full => drop(counted.reasons.insert(key, 1)),
            None => counted.others += 1,
        }
        counted.first.get_or_insert_with(|| letter.time.clone());
        counted.last = Some(letter.time);
    }
    Ok(counted)
}

fn list(pipeline: &Pipeline, as_json: bool) -> Result<()> {
    let files = files(pipeline, &Stage { plugin: None, sink: None }, false)?;
    let counted = files.iter().map(|file| count(pipeline, file)).collect::<Result<Vec<_>>>()?;
    if as_json {
        let document = files.iter().zip(&counted).map(|(file, counted)| {
            let of = if file.kind == Kind::Source { "topic" } else { "table" };
            let reasons = counted.reasons.iter().map(|((name, error), count)| json!({ of: name, "error": error, "letters": count }));
            json!({
                file.kind.name(): file.stage, "file": file.path, "letters": counted.letters, "waiting": counted.waiting,
                "unreadable": counted.unreadable, "first": counted.first, "last": counted.last,
                "reasons": reasons.collect::<Vec<_>>(), "other_reasons": counted.others,
            })
        });
        let mut document = json!({ "folder": pipeline.dead_letter, "files": document.collect::<Vec<_>>() });
        if let Some(letters) = &pipeline.letter_topic {
            document["topic"] = letters.topic.as_str().into();
        }
        return print_out(&format!("{document:#}\n"));
    }
    if files.is_empty() {
        return print_out(&format!("nothing was set aside: there are no letters in {}\n", place(pipeline)));
    }
    let mut out = String::new();
    for (file, counted) in files.iter().zip(&counted) {
        // writing into a String cannot fail
        let _ = writeln!(out, "{} `{}`: {} letters, {} not replayed", file.kind.name(), file.stage, counted.letters, counted.waiting);
        let _ = writeln!(out, "  {}", file.path.display());
        if let (Some(first), Some(last)) = (&counted.first, &counted.last) {
            let _ = writeln!(out, "  from {first} to {last}");
        }
        for ((of, error), count) in &counted.reasons {
            let _ = writeln!(out, "  {count} of {of}: {error}");
        }
        if counted.others > 0 {
            let _ = writeln!(out, "  {} for other reasons", counted.others);
        }
        if counted.unreadable > 0 {
            let _ = writeln!(out, "  {} lines are no letters", counted.unreadable);
        }
    }
    print_out(&out)
}

fn show(pipeline: &Pipeline, arguments: &Show) -> Result<()> {
    let files = files(pipeline, &arguments.stage, arguments.source)?;
    let [file] = files.as_slice() else {
        return Err(match files.is_empty() {
            true => refused("nothing was set aside", "`sluicegate dlq list` tells what was"),
            false => refused("several plugins or sinks, or the source, set something aside", "name one with --plugin, --sink or --source"),
        });
    };
    let mut lines = Lines::open(&file.path, 0)?;
    let mut number = 0;
    while let Some(line) = lines.next_line()? {
        number += 1;
        if number < arguments.letter {
            continue;
        }
        Heading::read(file.kind, &line.text)?;
        let mut letter: Value = serde_json::from_slice(&line.text)
            .map_err(|e| Error::new(ErrorKind::Internal, "a letter was read and cannot be").caused_by(e))?;
        if !arguments.values {
            hide(&mut letter);
        }
        return print_out(&format!("{letter:#}\n"));
    }
    Err(refused(format!("{} has {number} letters", file.path.display()), "name one of them with --letter"))
}

/// Takes the values of the row or record out; its columns stay.
fn hide(letter: &mut Value) {
    for image in ["before", "after"] {
        if let Some(columns) = letter.get_mut(image).and_then(Value::as_object_mut) {
            columns.values_mut().for_each(hide_value);
        }
    }
    for part in ["key", "value", "key_base64", "value_base64"] {
        letter.get_mut(part).into_iter().for_each(hide_value);
    }
}

fn hide_value(value: &mut Value) {
    *value = if value.is_null() { Value::Null } else { "…".into() };
}

fn replay(pipeline: &Pipeline, arguments: &Again) -> Result<()> {
    let wished = Replay { to: arguments.to.clone(), as_is: arguments.as_is };
    let (unread, files): (Vec<_>, Vec<_>) =
        files(pipeline, &arguments.stage, false)?.into_iter().partition(|file| file.kind == Kind::Source);
    for file in &unread {
        let letters = count(pipeline, file)?.letters;
        print_out(&format!("source `{}`: {letters} letters are records that could not be read; they are not replayed\n", file.stage))?;
    }
    if files.is_empty() {
        return if unread.is_empty() { print_out("nothing was set aside\n") } else { Ok(()) };
    }
    for file in files {
        let of = format!("{} `{}`", file.kind.name(), file.stage);
        let line = if arguments.dry_run {
            let (done, delivered) = replay::rehearse(pipeline, &file, &wished)?;
            format!(
                "{of}: {} letters would be replayed: {delivered} delivered, {} set aside again, {} passed over\n",
                done.letters,
                done.set_aside,
                done.letters.saturating_sub(delivered + done.set_aside)
            )
        } else {
            let done = block_on(replay::replay(pipeline, &file, &wished, CancellationToken::new()))?;
            format!(
                "{of}: {} letters replayed, {} of them set aside again, {} skipped by a policy\n",
                done.letters, done.set_aside, done.skipped
            )
        };
        print_out(&line)?;
    }
    Ok(())
}
