//! Sinks: where records go.

mod dead_letter;
mod destination;
mod file;
mod kafka;
mod policy;
#[cfg(test)]
mod samples;
mod stdout;

use std::sync::Arc;

#[cfg(any(test, fuzzing))]
pub(crate) use file::fuzz;

pub use dead_letter::DeadLetters;
use policy::Policy;

use crate::{
    Error, ErrorKind, Result,
    change::Batch,
    config::{PluginVersions, Sink as Settings, SinkKind},
    format::Encoder,
    limits::Limits,
    service::status::{SinkStatus, Status},
    state::SinkState,
};

/// A sink. It runs on a thread of its own and may block. The contract:
///
/// - `write` takes the batch's changes in order; it may keep them in a buffer that is bounded in records, bytes and time.
/// - `idle` says that no further batch waits: what was written is sent on its way and becomes visible to readers. Durability
///   is not its work. It is called again after [`SINK_IDLE_INTERVAL`](crate::limits::SINK_IDLE_INTERVAL) as long as nothing comes
///   and something is not flushed, and has to be cheap when there is nothing to do.
/// - `flush` returns only when every change written so far is durable; those that were set aside are in the dead-letter queue,
///   which the caller syncs. What it answers is stored, in one transaction with
///   the position after the last batch written, before `flush` is called again; the next `open` of the sink gets the last
///   stored state and makes everything undone that was written after it, if it can (then delivery is exactly-once).
/// - An error is final: the pipeline stops, and the checkpoint stays behind what was not durable.
pub trait Sink: Send {
    /// Takes a batch. An empty batch is never written.
    fn write(&mut self, batch: &Batch) -> Result<()>;

    /// Lets readers see everything written. There is nothing to do for a sink that keeps nothing back.
    fn idle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes everything written durable.
    fn flush(&mut self) -> Result<SinkState>;
}

/// Opens a sink, with the state that its last committed flush answered. `pipeline` and `connector` stand in the records;
/// `index` is the sink's place in `status.sinks`.
///
/// Records that cannot be delivered go to `dead_letters` if the sink's policy says so. They are durable there only after
/// [`DeadLetters::sync`], which has to come between a `flush` of the sink and the checkpoint.
///
/// # Errors
/// `Sink` or `State`: the place cannot be used, or no longer holds what the state says.
#[allow(clippy::too_many_arguments, reason = "called in one place, with what only that place has")]
pub fn open(
    sink: &Settings,
    pipeline: &str,
    connector: &str,
    state: Option<&str>,
    limits: &Limits,
    dead_letters: Arc<DeadLetters>,
    status: Arc<Status>,
    index: usize,
) -> Result<Box<dyn Sink>> {
    let mut encoder = Encoder::new(sink.format, pipeline, connector).bounded(limits);
    if sink.plugin_versions == PluginVersions::Member {
        encoder = encoder.with_versions();
    }
    let policy = Policy::new(&sink.name, sink.on_error, dead_letters);
    let numbers = Numbers::new(status, index)?;
    let state = state.filter(|s| !s.is_empty()); // a checkpoint made before the sink ever flushed
    Ok(match &sink.kind {
        SinkKind::Stdout => Final::boxed(stdout::StdoutSink::new(encoder, policy, limits.sink_buffer_bytes, numbers)),
        SinkKind::File(file) => Final::boxed(file::FileSink::open(file, encoder, policy, state, limits, numbers)?),
        SinkKind::Kafka(kafka) => {
            let versions = sink.plugin_versions == PluginVersions::Header;
            Final::boxed(kafka::KafkaSink::open(kafka, encoder.with_headers_beside(), versions, policy, limits, numbers)?)
        }
    })
}

/// Holds a sink to its contract: after an error nobody knows what is durable (a failed sync may even drop what it could not
/// write), so no later flush may answer that everything is.
struct Final<S> {
    sink: S,
    failed: bool,
}

impl<S: Sink + 'static> Final<S> {
    fn boxed(sink: S) -> Box<dyn Sink> {
        Box::new(Self { sink, failed: false })
    }

    fn guard<T>(&mut self, act: impl FnOnce(&mut S) -> Result<T>) -> Result<T> {
        if self.failed {
            return Err(Error::new(ErrorKind::Internal, "a sink was used after it had failed"));
        }
        act(&mut self.sink).inspect_err(|_| self.failed = true)
    }
}

impl<S: Sink + 'static> Sink for Final<S> {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        self.guard(|sink| sink.write(batch))
    }

    fn idle(&mut self) -> Result<()> {
        self.guard(S::idle)
    }

    fn flush(&mut self) -> Result<SinkState> {
        self.guard(S::flush)
    }
}

/// Checks, without a trace, that the sink can be used: the folder can be written, a broker answers.
///
/// # Errors
/// `Precheck`, with what to do about it.
pub fn precheck(sink: &Settings, limits: &Limits) -> Result<()> {
    match &sink.kind {
        SinkKind::Stdout => Ok(()),
        SinkKind::File(file) => file::precheck(file),
        SinkKind::Kafka(kafka) => kafka::precheck(kafka, limits),
    }
}

/// A sink's place in the pipeline's numbers.
#[derive(Clone)]
struct Numbers {
    status: Arc<Status>,
    index: usize,
}

impl Numbers {
    fn new(status: Arc<Status>, index: usize) -> Result<Self> {
        if index >= status.sinks.len() {
            return Err(Error::new(ErrorKind::Internal, format!("sink {index} has no place in the pipeline's numbers")));
        }
        Ok(Self { status, index })
    }

    fn get(&self) -> &SinkStatus {
        &self.status.sinks[self.index] // checked in `new`; the list never changes
    }

    fn count(&self, records: usize, bytes: usize) {
        self.get().records.add(records as u64);
        self.get().bytes.add(bytes as u64);
    }
}
