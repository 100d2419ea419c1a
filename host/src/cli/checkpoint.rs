//! `sluicegate checkpoint`: what is stored of each sink, for operators.
//!
//! Commands that change it take the checkpoint's lock, so it never changes while the pipeline runs. What is given up is named, and
//! has to be confirmed.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::print_out;
use sluicegate_config::{self as config, Pipeline};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset},
};
use sluicegate_pipeline as pipeline;
use sluicegate_state::{Checkpoint, Progress};

#[derive(Debug, Subcommand)]
pub(super) enum CheckpointCommand {
    /// Print each sink with its lanes and offsets, as JSON; also while the pipeline runs
    Show(Show),
    /// Let a sink go on at another place
    #[command(after_help = "\
A sink that got another name goes on where it was:
  sluicegate checkpoint set pipeline.yaml --sink new --from old
A place is written as `show` prints it:
  sluicegate checkpoint set pipeline.yaml --sink files --lane binlog --offset '{\"flavor\":…}'

What a sink keeps beside its place goes with `--from`. With `--offset`, files are written on behind what stands in them, so changes that
the sink had stand there twice; what Kafka holds of a sink's progress no longer counts.")]
    Set(Set),
    /// Forget a sink and how far it was
    Drop(Drop),
    /// Give up the protection of a plugin that is `fail_closed`
    #[command(after_help = "\
The plugin may then be removed, lose its `fail_closed`, or treat fewer columns: what it hid is delivered as it is. As long as its entry
says `fail_closed: true`, the next start remembers it anew, with what its `config` treats then.")]
    Release(Release),
    /// Copy a table anew at the next start, for every sink
    #[command(after_help = "\
The copy begins with a truncate, unless the source's `snapshot` says `again: overwrite`. While the pipeline runs, ask it instead:
  curl -X POST http://127.0.0.1:8080/tables/shop.orders/copy    with http: { listen: '127.0.0.1:8080', admin: true }")]
    Copy(CopyTable),
}

#[derive(Debug, Args)]
pub(super) struct Release {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// The plugin, as `show` names it
    #[arg(long, value_name = "NAME")]
    plugin: String,
}

#[derive(Debug, Args)]
pub(super) struct CopyTable {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// The table, with its database
    #[arg(long, value_name = "DATABASE.TABLE")]
    table: String,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// The sink, as the pipeline file names it
    #[arg(long, value_name = "NAME")]
    sink: String,
    /// The sink that it goes on for: its place and state
    #[arg(long, value_name = "NAME", conflicts_with_all = ["lane", "offset"], required_unless_present = "offset")]
    from: Option<String>,
    /// The lane to set; the sink's other lanes stay
    #[arg(long, value_name = "LANE", requires = "offset")]
    lane: Option<String>,
    /// The place in that lane, as JSON
    #[arg(long, value_name = "JSON", requires = "lane")]
    offset: Option<String>,
    /// Also when the sink has a place: changes between the two may be lost or delivered again
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Drop {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// The sink
    #[arg(long, value_name = "NAME")]
    sink: String,
    /// Also when the pipeline file has the sink: it begins anew, as the pipeline file says
    #[arg(long)]
    force: bool,
}

/// Runs one of them.
pub(super) fn checkpoint(command: CheckpointCommand) -> Result<()> {
    match command {
        CheckpointCommand::Show(show) => self::show(&config::load(&show.path)?),
        CheckpointCommand::Set(set) => self::set(&config::load(&set.path)?, &set),
        CheckpointCommand::Drop(drop) => forget(&config::load(&drop.path)?, &drop),
        CheckpointCommand::Release(release) => self::release(&config::load(&release.path)?, &release.plugin),
        CheckpointCommand::Copy(copy) => copy_table(&config::load(&copy.path)?, &copy.table),
    }
}

fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, what).remedy(remedy)
}

/// There has to be a checkpoint: opening would make one.
fn exists(pipeline: &Pipeline) -> Result<()> {
    if pipeline.state.exists() {
        return Ok(());
    }
    Err(refused(
        format!("the pipeline has no checkpoint yet: {} is not there", pipeline.state.display()),
        "run the pipeline once, or correct `state` in the pipeline file",
    ))
}

fn show(pipeline: &Pipeline) -> Result<()> {
    exists(pipeline)?;
    let sinks = Checkpoint::look(&pipeline.state, &pipeline.name)?.into_iter().map(|(name, progress)| {
        let lanes: serde_json::Map<String, serde_json::Value> =
            progress.frontier.lanes().map(|(lane, offset)| (lane.name().to_owned(), as_json(&offset.to_json()))).collect();
        let used = pipeline.sinks.iter().any(|sink| sink.name == name);
        json!({ "sink": name, "in_pipeline": used, "lanes": lanes, "state": as_json(&progress.state) })
    });
    let closed = pipeline::closed(&pipeline.state)?.into_iter().map(|(plugin, tables)| json!({ "plugin": plugin, "tables": tables }));
    let mut shown = json!({ "pipeline": pipeline.name, "checkpoint": pipeline.state, "sinks": sinks.collect::<Vec<_>>() });
    if closed.len() > 0 {
        shown["fail_closed"] = closed.collect::<Vec<_>>().into();
    }
    print_out(&format!("{shown:#}\n"))
}

/// JSON text as what it says; other text as a string.
fn as_json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn set(pipeline: &Pipeline, set: &Set) -> Result<()> {
    exists(pipeline)?;
    if pipeline.sinks.iter().all(|sink| sink.name != set.sink) {
        return Err(refused(
            format!("the pipeline file has no sink `{}`", set.sink),
            "name the sink as the pipeline file does, after it got its new name there",
        ));
    }
    let checkpoint = Checkpoint::open(&pipeline.state, &pipeline.name)?;
    let known = checkpoint.progress(&set.sink)?;
    if let (Some(known), false) = (&known, set.force) {
        return Err(refused(
            format!("the sink `{}` has a place already: {}", set.sink, known.frontier),
            "with --force it goes on at the other place all the same: changes between the two may be lost or delivered again",
        ));
    }
    let progress = match (&set.from, &set.lane, &set.offset) {
        (Some(from), ..) => checkpoint.progress(from)?.ok_or_else(|| {
            refused(format!("the checkpoint has no sink `{from}`"), "`sluicegate checkpoint show` lists those that it has")
        })?,
        (None, Some(lane), Some(offset)) => {
            let offset = Offset::from_json(offset.as_str());
            pipeline::ledger(pipeline).check(lane, &offset).map_err(|e| e.with_kind(ErrorKind::Config))?;
            let Progress { mut frontier, state } = match known {
                Some(known) => Progress { state: state_elsewhere(pipeline, &set.sink, &known), ..known },
                None => Progress { frontier: Frontier::default(), state: left(&checkpoint, &set.sink)? },
            };
            frontier.set(Lane::new(lane.as_str()), offset);
            Progress { frontier, state }
        }
        _ => return Err(refused("neither a sink nor a place was named", "add --from NAME, or --lane LANE and --offset JSON")),
    };
    checkpoint.set(&set.sink, &progress)?;
    print_out(&format!("the sink `{}` goes on at {}\n", set.sink, progress.frontier))
}

/// What a sink keeps beside its place when that is another one; nothing of a sink that the pipeline file does not have.
fn state_elsewhere(pipeline: &Pipeline, sink: &str, known: &Progress) -> String {
    let settings = pipeline.sinks.iter().find(|settings| settings.name == sink);
    settings.map(|settings| pipeline::state_elsewhere(settings, &known.state)).unwrap_or_default()
}

/// What a sink keeps that has forgotten its place.
fn left(checkpoint: &Checkpoint, sink: &str) -> Result<String> {
    Ok(checkpoint.left()?.into_iter().find(|(name, _)| name == sink).map(|(_, state)| state).unwrap_or_default())
}

fn forget(pipeline: &Pipeline, drop: &Drop) -> Result<()> {
    exists(pipeline)?;
    if !drop.force && pipeline.sinks.iter().any(|sink| sink.name == drop.sink) {
        return Err(refused(
            format!("the pipeline file has the sink `{}`", drop.sink),
            "with --force its place is forgotten all the same: it begins where the pipeline file says, and changes before that are lost",
        ));
    }
    let checkpoint = Checkpoint::open(&pipeline.state, &pipeline.name)?;
    // files that a sink of the pipeline has written are written on where it begins anew
    let known = checkpoint.progress(&drop.sink)?;
    let state = known.map(|known| state_elsewhere(pipeline, &drop.sink, &known)).unwrap_or_default();
    let dropped = if state.is_empty() { checkpoint.drop_sink(&drop.sink)? } else { checkpoint.forget_place(&drop.sink, &state)? };
    if !dropped {
        return Err(refused(format!("the checkpoint has no sink `{}`", drop.sink), "`sluicegate checkpoint show` lists those that it has"));
    }
    print_out(&format!("the sink `{}` is forgotten\n", drop.sink))
}

fn release(pipeline: &Pipeline, plugin: &str) -> Result<()> {
    exists(pipeline)?;
    let checkpoint = Checkpoint::open(&pipeline.state, &pipeline.name)?;
    if !pipeline::release(&checkpoint, plugin)? {
        return Err(refused(
            format!("the checkpoint knows no plugin `{plugin}` that is `fail_closed`"),
            "`sluicegate checkpoint show` lists those that it knows",
        ));
    }
    print_out(&format!("the plugin `{plugin}` is released: what it hid may be delivered as it is\n"))
}

fn copy_table(pipeline: &Pipeline, table: &str) -> Result<()> {
    exists(pipeline)?;
    let checkpoint = Checkpoint::open(&pipeline.state, &pipeline.name)?;
    let number = pipeline::copy_anew(pipeline, &checkpoint, table)?;
    print_out(&format!("{table} is copied anew at the next start, as its copy number {number}\n"))
}
