//! Whether a pipeline does its work, as `/readyz` tells it.

use std::time::{Duration, Instant};

use serde::Serialize;

use sluicegate_model::now_us;
use sluicegate_status::{SinkStatus, Standing, Status, relaxed};

/// What a pipeline is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Plugins, source and sinks are being made ready, or cannot be reached yet.
    Starting,
    /// Changes flow.
    Streaming,
    /// The source is connected, everything has been read and delivered.
    Idle,
    /// The source's connection broke a short while ago and is being made again.
    Reconnecting,
    /// The source is connected but silent for too long, or a sink makes no progress.
    Stalled,
    /// The source has been away for too long.
    Down,
    /// The pipeline drains and ends.
    Stopping,
}

/// The body of `/readyz`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether the pipeline does its work: the response is 200, else 503.
    pub ready: bool,
    /// What it is doing.
    pub state: State,
    /// Why, in words.
    pub reason: String,
    /// Age of the newest change read, in seconds; 0 when everything has been read.
    pub lag_seconds: f64,
    /// Changes read.
    pub changes: u64,
    /// What of the configuration has no effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The outputs that do not go with the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<OutputApart>,
}

/// An output that does not go with the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputApart {
    /// The sink's name.
    pub sink: String,
    /// `apart`, or `joining`.
    pub state: &'static str,
    /// Why.
    pub reason: String,
    /// Age of the newest change that was read for it; none while it has no stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<f64>,
}

impl OutputApart {
    fn of(sink: &SinkStatus) -> Option<Self> {
        let standing = sink.apart.standing();
        (standing != Standing::Together).then(|| Self {
            sink: sink.name.clone(),
            state: standing.name(),
            reason: sink.apart.reason(),
            lag_seconds: sink.apart.lag_us().map(|lag| lag as f64 / 1e6),
        })
    }
}

/// Watches a status over time: only so can standing still be told from having nothing to do.
#[derive(Debug)]
pub(super) struct Watch {
    patience: Duration,
    changes: u64,
    /// When the number of changes last grew.
    grew: Option<Instant>,
    sinks: Vec<SinkWatch>,
}

#[derive(Debug)]
struct SinkWatch {
    durable: u64,
    /// Changes that had been read when the sink last advanced.
    changes: u64,
    /// Since when it owes something.
    owes_since: Option<Instant>,
}

impl Watch {
    pub fn new(status: &Status, patience: Duration) -> Self {
        let sinks = status.sinks.iter().map(|_| SinkWatch { durable: 0, changes: 0, owes_since: None }).collect();
        Self { patience, changes: 0, grew: None, sinks }
    }

    /// Notes the numbers as they are at `now`. To be called every second or so.
    pub fn look(&mut self, status: &Status, now: Instant) {
        let changes = status.source.changes.get();
        if changes > self.changes {
            self.changes = changes;
            self.grew = Some(now);
        }
        for (watch, sink) in self.sinks.iter_mut().zip(&status.sinks) {
            // it is told in another place, and the others do their work
            let durable = sink.durable.get();
            if sink.apart.standing() != Standing::Together {
                // what was read until it joins them, it has delivered from its own stream
                *watch = SinkWatch { durable, changes, owes_since: None };
                continue;
            }
            if durable != watch.durable {
                *watch = SinkWatch { durable, changes, owes_since: None };
            } else if changes > watch.changes {
                watch.owes_since.get_or_insert(now);
            }
        }
    }

    /// What the pipeline is doing at `now`.
    pub fn readiness(&self, status: &Status, now: Instant) -> Readiness {
        let source = &status.source;
        let silent = Duration::from_micros(now_us().saturating_sub(source.heard_us()).max(0).unsigned_abs());
        let patience = self.patience.as_secs();
        let stuck = self.sinks.iter().zip(&status.sinks).find(|(w, sink)| {
            let patience = self.patience + Duration::from_millis(sink.gathers_ms.get());
            w.owes_since.is_some_and(|since| now.duration_since(since) > patience)
        });
        let (state, reason) = if relaxed(&status.stopping) {
            (State::Stopping, "the pipeline drains and ends".to_owned())
        } else if !relaxed(&status.started) {
            (State::Starting, starting(status))
        } else if !source.is_connected() && silent > self.patience {
            (State::Down, format!("no connection to the source for more than {patience} s{}", why(status)))
        } else if let Some((_, sink)) = stuck {
            (State::Stalled, format!("the sink `{}` has made nothing durable for more than {patience} s although there is work", sink.name))
        } else if !source.is_connected() {
            (State::Reconnecting, format!("the connection to the source broke and is being made again{}", why(status)))
        } else if silent > self.patience {
            (State::Stalled, format!("nothing came from the source for more than {patience} s, not even a heartbeat"))
        } else if self.grew.is_some_and(|at| now.duration_since(at) < Duration::from_secs(5)) {
            (State::Streaming, "changes flow".to_owned())
        } else {
            (State::Idle, "connected, and there is nothing to do".to_owned())
        };
        let ready = matches!(state, State::Streaming | State::Idle | State::Reconnecting);
        Readiness {
            ready,
            state,
            reason,
            lag_seconds: source.lag_us() as f64 / 1e6,
            changes: source.changes.get(),
            warnings: status.warnings.all(),
            apart: status.sinks.iter().filter_map(OutputApart::of).collect(),
        }
    }
}

/// The last reason why the source could not be reached.
fn why(status: &Status) -> String {
    let reasons: Vec<_> = status.waiting.all().into_iter().map(|(_, reason)| reason).collect();
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) }
}

/// What the start is about.
fn starting(status: &Status) -> String {
    let waiting: Vec<_> = status.waiting.all().into_iter().map(|(who, reason)| format!("waiting for {who}: {reason}")).collect();
    if waiting.is_empty() { "plugins, source and sinks are being made ready".to_owned() } else { waiting.join("; ") }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn started() -> Status {
        let status = Status { sinks: vec![SinkStatus { name: "file".into(), ..Default::default() }], ..Default::default() };
        status.started.store(true, Ordering::Relaxed);
        status
    }

    #[test]
    fn idle_streaming_stalled_and_down_are_told_apart() {
        let status = started();
        let begin = Instant::now();
        let mut watch = Watch::new(&status, PATIENCE);
        let state = |watch: &Watch, after: u64| watch.readiness(&status, begin + Duration::from_secs(after)).state;
        // never connected, never heard
        assert_eq!(state(&watch, 0), State::Down);
        status.source.connect();
        assert_eq!(state(&watch, 0), State::Idle);
        status.source.changes.add(10);
        watch.look(&status, begin);
        assert_eq!(state(&watch, 1), State::Streaming);
        // nothing became durable for longer than the patience
        assert_eq!(state(&watch, 61), State::Stalled);
        assert!(watch.readiness(&status, begin + Duration::from_secs(61)).reason.contains("`file`"));
        // one that gathers for longer is given that time, too
        status.sinks[0].gathers_ms.set(100_000);
        assert_eq!((state(&watch, 160), state(&watch, 161)), (State::Idle, State::Stalled));
        status.sinks[0].durable.set(10);
        watch.look(&status, begin + Duration::from_secs(62));
        assert_eq!(state(&watch, 300), State::Idle);
        status.source.disconnect();
        assert_eq!(state(&watch, 300), State::Reconnecting);
        status.stopping.store(true, Ordering::Relaxed);
        assert_eq!(state(&watch, 300), State::Stopping);
    }

    #[test]
    fn an_output_that_is_apart_is_told_and_the_pipeline_is_ready() {
        let status = started();
        let begin = Instant::now();
        let mut watch = Watch::new(&status, PATIENCE);
        status.source.connect();
        status.source.changes.add(10);
        watch.look(&status, begin);
        status.sinks[0].apart.because("it failed");
        status.sinks[0].apart.stand(Standing::Apart);
        watch.look(&status, begin);
        let readiness = watch.readiness(&status, begin + Duration::from_secs(100));
        let apart = OutputApart { sink: "file".into(), state: "apart", reason: "it failed".into(), lag_seconds: None };
        assert_eq!((readiness.state, readiness.ready, readiness.apart), (State::Idle, true, vec![apart]));
        // it joins the others with everything that was read, and owes what is read from then on
        status.sinks[0].apart.stand(Standing::Together);
        watch.look(&status, begin + Duration::from_secs(101));
        assert_eq!(watch.readiness(&status, begin + Duration::from_secs(200)).state, State::Idle);
        status.source.changes.add(1);
        watch.look(&status, begin + Duration::from_secs(201));
        let state = |after| watch.readiness(&status, begin + Duration::from_secs(after)).state;
        assert_eq!((state(210), state(270)), (State::Idle, State::Stalled));
    }

    #[test]
    fn before_the_start_it_is_not_ready() {
        let status = Status::default();
        let readiness = Watch::new(&status, PATIENCE).readiness(&status, Instant::now());
        assert_eq!((readiness.ready, readiness.state), (false, State::Starting));
    }

    #[test]
    fn a_start_that_waits_says_for_what_and_why() {
        let status = Status::default();
        let reason = || Watch::new(&status, PATIENCE).readiness(&status, Instant::now()).reason;
        status.waiting.begin("the source", "cannot connect to db:3306");
        status.waiting.begin("the sink `kafka`", "no broker answered");
        assert_eq!(reason(), "waiting for the sink `kafka`: no broker answered; waiting for the source: cannot connect to db:3306");
        assert!(status.waiting.end("the sink `kafka`") && !status.waiting.end("the sink `kafka`"));
        assert_eq!(reason(), "waiting for the source: cannot connect to db:3306");
        assert!(status.waiting.end("the source"));
        assert_eq!(reason(), "plugins, source and sinks are being made ready");
    }
}
