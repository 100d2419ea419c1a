//! Opens the sinks that the pipeline file names.

use std::sync::Arc;

use sluicegate_config::{PluginVersions, Sink as Settings, SinkKind};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_file_sink::FileSink;
use sluicegate_format::Encoder;
use sluicegate_kafka_sink::KafkaSink;
use sluicegate_model::{Result, limits::Limits};
use sluicegate_sink::{Final, Numbers, Policy, Sink, StdoutSink};
use sluicegate_status::Status;

/// Opens a sink, with the state that its last committed flush answered. `pipeline` and `connector` stand in the records;
/// `index` is the sink's place in `status.sinks`.
///
/// Records that cannot be delivered go to `dead_letters` if the sink's policy says so. They are durable there only after
/// [`DeadLetters::sync`], which a sink calls in its `commit`.
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
        SinkKind::Stdout => Final::boxed(StdoutSink::new(encoder, policy, limits.sink_buffer_bytes, numbers)),
        SinkKind::File(file) => Final::boxed(FileSink::open(file, encoder, policy, state, limits, numbers)?),
        SinkKind::Kafka(kafka) => {
            let versions = sink.plugin_versions == PluginVersions::Header;
            Final::boxed(KafkaSink::open(kafka, encoder.with_headers_beside(), versions, policy, limits, numbers)?)
        }
    })
}

/// Checks, without a trace, that the sink can be used: the folder can be written, a broker answers.
///
/// # Errors
/// `Precheck`, with what to do about it.
pub fn precheck(sink: &Settings, limits: &Limits) -> Result<()> {
    match &sink.kind {
        SinkKind::Stdout => Ok(()),
        SinkKind::File(file) => sluicegate_file_sink::precheck(file),
        SinkKind::Kafka(kafka) => sluicegate_kafka_sink::precheck(kafka, limits),
    }
}
