//! The live line on a terminal, and the progress lines in a log.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use indicatif::{FormattedDuration, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

use sluicegate_status::{Overall, Status};

/// How often the line is drawn.
const REDRAW: Duration = Duration::from_millis(250);
/// How often a log without a terminal gets a progress line.
const REPORT: Duration = Duration::from_secs(30);

/// Standard error, shared by the log and the live line: each log line is written with the live line taken away, so that
/// neither tears the other.
#[derive(Clone, Debug)]
pub struct Console {
    bar: ProgressBar,
}

impl Default for Console {
    fn default() -> Self {
        Self { bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()) }
    }
}

impl Console {
    /// Shows the numbers of `status` until `stop` is cancelled: on a live line, or as log lines.
    pub async fn follow(&self, status: Arc<Status>, live: bool, stop: CancellationToken) {
        let mut tick = tokio::time::interval(if live { REDRAW } else { REPORT });
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // the first tick comes at once
        tick.tick().await;
        if live {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(4));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                self.bar.set_style(style);
            }
        }
        let mut before = Sample::take(&status, Instant::now());
        let mut rates = Rates::default();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => break,
            }
            let now = Sample::take(&status, Instant::now());
            rates.update(&before, &now, live);
            before = now;
            if live {
                self.bar.set_message(line(&status, &rates));
                self.bar.tick();
            } else {
                tracing::info!(
                    changes = status.source.changes.get(),
                    changes_per_second = rates.changes.round(),
                    records_per_second = rates.records.round(),
                    lag_seconds = status.source.lag_us() as f64 / 1e6,
                    "progress"
                );
            }
        }
        self.bar.finish_and_clear();
    }

    /// Writes lines to standard error, the live line taken away meanwhile.
    pub fn print(&self, text: &str) {
        // there is nowhere to report that standard error is gone
        self.bar.suspend(|| drop(io::stderr().lock().write_all(text.as_bytes())));
    }
}

impl<'a> MakeWriter<'a> for Console {
    type Writer = ConsoleWriter<'a>;

    fn make_writer(&'a self) -> ConsoleWriter<'a> {
        ConsoleWriter { console: self }
    }
}

/// Writes whole log lines.
#[derive(Debug)]
pub struct ConsoleWriter<'a> {
    console: &'a Console,
}

impl io::Write for ConsoleWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.console.bar.suspend(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    changes: u64,
    records: u64,
}

impl Sample {
    fn take(status: &Status, at: Instant) -> Self {
        Self { at, changes: status.source.changes.get(), records: status.sinks.iter().map(|s| s.records.get()).sum() }
    }
}

/// Changes in and records out, a second.
#[derive(Clone, Copy, Debug, Default)]
struct Rates {
    changes: f64,
    records: f64,
    /// How long there have been changes, at most [`SMOOTHED`].
    seconds: f64,
}

/// Seconds over which the live line's rates are smoothed for the eye.
const SMOOTHED: f64 = 2.0;

impl Rates {
    /// From two samples. When `smooth`: the mean since the first change, and later the moving mean of [`SMOOTHED`], so that
    /// the first rates shown are not those of a stream that seems to speed up.
    fn update(&mut self, before: &Sample, now: &Sample, smooth: bool) {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(1e-3);
        self.seconds = if smooth && self.changes > 0.0 { (self.seconds + seconds).min(SMOOTHED) } else { seconds };
        let weight = (seconds / self.seconds).min(1.0);
        let mix = |old: f64, before: u64, now: u64| old + (now.saturating_sub(before) as f64 / seconds - old) * weight;
        self.changes = mix(self.changes, before.changes, now.changes);
        self.records = mix(self.records, before.records, now.records);
    }
}

/// The live line.
fn line(status: &Status, rates: &Rates) -> String {
    let count = |n: f64| HumanCount(n.round() as u64);
    let lag = status.source.lag_us() as f64 / 1e6;
    let mut out = format!("in {}/s · out {}/s · lag {lag:.1} s", count(rates.changes), count(rates.records));
    // writing into a String cannot fail
    if let Some(copies) = status.copies.overall() {
        copies_line(&copies, &mut out);
    }
    let plugins = status.plugins.all();
    for plugin in plugins.iter() {
        let component = plugin.component();
        let _ = match component.sha256.get(..7) {
            Some(hash) => write!(out, " · {} {} ({hash})", plugin.name, component.version),
            None => write!(out, " · {} is being compiled", plugin.name),
        };
    }
    let sum = |part: fn(&sluicegate_status::PluginStatus) -> u64| plugins.iter().map(|p| part(p)).sum::<u64>();
    let swaps = sum(|p| p.swaps.get());
    if swaps > 0 {
        let _ = write!(out, " · swaps {swaps}");
    }
    let errors = sum(|p| p.failures.get() + p.refused_files.get() + p.skipped.get() + p.dead_lettered.get() + p.passed_through.get())
        + status.sinks.iter().map(|s| s.skipped.get() + s.dead_lettered.get()).sum::<u64>()
        + status.source.skipped.get()
        + status.source.dead_lettered.get();
    if errors > 0 {
        let _ = write!(out, " · errors {errors}");
    }
    let state = |flag: &std::sync::atomic::AtomicBool| sluicegate_status::relaxed(flag);
    if state(&status.stopping) {
        out.push_str(" · draining");
    } else if !state(&status.started) {
        match status.waiting.all().first() {
            Some((who, _)) => drop(write!(out, " · waiting for {who}")),
            None => out.push_str(" · starting"),
        }
    } else if !status.source.is_connected() {
        out.push_str(" · reconnecting");
    }
    out
}

/// Cells of the bar that shows how much has been copied.
const BAR_CELLS: u64 = 10;

/// How much of the tables has been copied: `copying [####------] 41 % of 120,000 rows, 00:01:05 left · shop.orders, 3 of 7 tables done`.
fn copies_line(copies: &Overall, out: &mut String) {
    let share = |parts: u64| (copies.rows * parts).checked_div(copies.total).unwrap_or_default().min(parts);
    let full = usize::try_from(share(BAR_CELLS)).unwrap_or_default();
    let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR_CELLS as usize - full));
    let about = HumanCount(copies.total);
    // writing into a String cannot fail
    let _ = write!(out, " · copying [{bar}] {} % of about {about} rows", share(100));
    if copies.paused {
        out.push_str(", waiting for the server's load");
    } else if let Some(left) = copies.left {
        let _ = write!(out, ", {} left", FormattedDuration(left));
    }
    if let Some(table) = copies.current.first() {
        let more = if copies.current.len() > 1 { format!(" and {} more", copies.current.len() - 1) } else { String::new() };
        let _ = write!(out, " · {table}{more}");
    }
    if copies.tables > 1 {
        let _ = write!(out, ", {} of {} tables done", copies.done, copies.tables);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use sluicegate_status::{ComponentId, CopyNumbers, CopyState, PluginStatus, SinkStatus};

    #[test]
    fn a_steady_stream_has_its_rate_from_the_first_moment() {
        let status = Status { sinks: vec![SinkStatus::default()], ..Default::default() };
        let begin = Instant::now();
        let mut before = Sample::take(&status, begin);
        let mut rates = Rates::default();
        for tick in 1..=20 {
            // the stream begins in the middle of the first interval
            status.source.changes.add(if tick == 1 { 375 } else { 750 });
            let now = Sample::take(&status, begin + tick * REDRAW);
            rates.update(&before, &now, true);
            before = now;
            let least = if tick < 4 { 1500.0 } else { 2600.0 };
            assert!((least..=3000.0).contains(&rates.changes), "{tick}: {}", rates.changes);
        }
        assert!(rates.changes > 2900.0, "{}", rates.changes);
    }

    #[test]
    fn the_line_shows_how_much_has_been_copied_and_how_long_it_takes() {
        let status = Status { sinks: vec![SinkStatus::default()], ..Default::default() };
        status.source.connect();
        status.started.store(true, Ordering::Relaxed);
        let numbers =
            |rows, estimate| CopyNumbers { state: CopyState::Copying, rows, estimate, began_us: 1, advanced_us: 30_000_001, before: 0 };
        status.copies.update("shop.orders", |n| *n = numbers(50_000, 120_000));
        status.copies.update("shop.lines", |n| n.estimate = 80_000);
        let rates = Rates::default();
        insta::assert_snapshot!(
            line(&status, &rates),
            @"in 0/s · out 0/s · lag 0.0 s · copying [##--------] 25 % of about 200,000 rows, 00:01:30 left · shop.orders, 0 of 2 tables done"
        );
        status.copies.update("shop.orders", |n| n.state = CopyState::Paused);
        assert!(line(&status, &rates).contains("25 % of about 200,000 rows, waiting for the server's load · shop.orders"));
        status.copies.update("shop.orders", |n| n.advance(120_000, true));
        status.copies.update("shop.lines", |n| n.advance(80_000, true));
        assert_eq!(line(&status, &rates), "in 0/s · out 0/s · lag 0.0 s");
    }

    #[test]
    fn the_line_shows_rates_versions_swaps_and_errors() {
        let status = Status {
            plugins: [PluginStatus::new("filter")].into_iter().collect(),
            sinks: vec![SinkStatus::default(), SinkStatus::default()],
            ..Default::default()
        };
        let filter = status.plugins.named("filter").unwrap();
        filter.set_component(ComponentId { version: "0.1.0".into(), sha256: "0123456789abcdef".into(), ..Default::default() });
        status.source.connect();
        let begin = Instant::now();
        let before = Sample::take(&status, begin);
        status.source.changes.add(20_000);
        status.sinks[0].records.add(9_000);
        status.sinks[1].records.add(1_000);
        let mut rates = Rates::default();
        rates.update(&before, &Sample::take(&status, begin + Duration::from_secs(2)), true);
        insta::assert_snapshot!(line(&status, &rates), @"in 10,000/s · out 5,000/s · lag 0.0 s · filter 0.1.0 (0123456) · starting");
        status.waiting.begin("the source", "cannot connect");
        assert!(line(&status, &rates).ends_with(" · waiting for the source"));
        status.started.store(true, Ordering::Relaxed);
        filter.swaps.add(2);
        status.sinks[0].dead_lettered.add(3);
        insta::assert_snapshot!(
            line(&status, &rates),
            @"in 10,000/s · out 5,000/s · lag 0.0 s · filter 0.1.0 (0123456) · swaps 2 · errors 3"
        );
    }
}
