//! What a run did, told at its end.

use std::fmt::Write as _;

use indicatif::{HumanBytes, HumanCount};

use sluicegate_config::{Pipeline, Sink, SinkKind, Source};
use sluicegate_pipeline::Summary;
use sluicegate_status::Status;

/// What there is to tell of a run that was stopped while it was starting.
const STOPPED: &str = "stopped before the stream began: nothing was delivered";

/// For people.
pub(super) fn text(settings: &Pipeline, status: &Status, done: &Summary) -> String {
    let seconds = done.elapsed.as_secs_f64();
    let rate = |n: u64| HumanCount((n as f64 / seconds.max(1e-3)) as u64);
    // writing into a String cannot fail
    if !done.began {
        return format!("{}: {STOPPED}\n", settings.name);
    }
    let mut out = format!("{}: done in {seconds:.1} s\n", settings.name);
    let _ = writeln!(out, "  in      {} changes, {}/s", HumanCount(done.changes), rate(done.changes));
    for plugin in status.plugins.all().iter() {
        let version = plugin.component().version;
        let _ = write!(out, "  plugin  {} {version}", plugin.name);
        for (number, what) in [
            (&plugin.filtered, "filtered away"),
            (&plugin.swaps, "swaps"),
            (&plugin.skipped, "skipped"),
            (&plugin.dead_lettered, "set aside as dead letters"),
            (&plugin.refused_files, "files refused"),
        ] {
            if number.get() > 0 {
                let _ = write!(out, ", {} {what}", HumanCount(number.get()));
            }
        }
        out.push('\n');
    }
    for (sink, number) in settings.sinks.iter().zip(&status.sinks) {
        let records = number.records.get();
        let _ = write!(out, "  out     {}: {} records, {}/s", sink.name, HumanCount(records), rate(records));
        if number.bytes.get() > 0 {
            let _ = write!(out, ", {}", HumanBytes(number.bytes.get()));
        }
        if number.skipped.get() > 0 {
            let _ = write!(out, ", {} skipped", HumanCount(number.skipped.get()));
        }
        if number.dead_lettered.get() > 0 {
            let _ = write!(out, ", {} set aside as dead letters", HumanCount(number.dead_lettered.get()));
        }
        let _ = writeln!(out, "{}", place(sink));
    }
    if set_aside(status) > 0 {
        let _ = writeln!(out, "  dead letters are in {}", settings.dead_letter.display());
    }
    let _ = writeln!(out, "  checkpoint in {}", done.state.display());
    if let Some(hint) = nothing_new(settings, done) {
        let _ = writeln!(out, "  {hint}");
    }
    out
}

/// For a JSON log.
pub(super) fn log(settings: &Pipeline, status: &Status, done: &Summary) {
    if !done.began {
        tracing::info!(pipeline = %settings.name, "{STOPPED}");
        return;
    }
    for sink in &status.sinks {
        tracing::info!(
            sink = %sink.name,
            records = sink.records.get(),
            bytes = sink.bytes.get(),
            skipped = sink.skipped.get(),
            dead_lettered = sink.dead_lettered.get(),
            "delivered"
        );
    }
    let filtered: u64 = status.plugins.all().iter().map(|p| p.filtered.get()).sum();
    if let Some(hint) = nothing_new(settings, done) {
        tracing::info!("{hint}");
    }
    tracing::info!(
        pipeline = %settings.name,
        changes = done.changes,
        filtered,
        seconds = done.elapsed.as_secs_f64(),
        state = %done.state.display(),
        "done"
    );
}

fn place(sink: &Sink) -> String {
    match &sink.kind {
        SinkKind::Stdout => String::new(),
        SinkKind::File(file) => format!(" in {}", file.folder.display()),
        SinkKind::Kafka(kafka) => format!(" to {}", kafka.brokers),
    }
}

fn set_aside(status: &Status) -> u64 {
    let plugins: u64 = status.plugins.all().iter().map(|p| p.dead_lettered.get()).sum();
    let sinks: u64 = status.sinks.iter().map(|s| s.dead_lettered.get()).sum();
    plugins + sinks + status.source.dead_lettered.get()
}

/// A generator that ends has nothing to do in a second run.
fn nothing_new(settings: &Pipeline, done: &Summary) -> Option<String> {
    match &settings.source {
        Source::Generator(generator) if done.changes == 0 => {
            let all = generator.changes.map(|n| format!("all {} changes", HumanCount(n)))?;
            Some(format!(
                "nothing new: {all} were delivered before; to start over, delete the checkpoint and what the sinks hold, or raise `changes`"
            ))
        }
        _ => None,
    }
}
