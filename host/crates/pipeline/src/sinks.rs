//! Opens the sinks that the pipeline file names.

use std::sync::Arc;

use sluicegate_config::{PluginVersions, Sink as Settings, SinkKind};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_file_sink::FileResume;
use sluicegate_format::{Encoder, JsonFormat};
use sluicegate_kafka_sink::KafkaResume;
use sluicegate_model::{Result, limits::Limits};
use sluicegate_sink::{Numbers, Policy, Resume, StdoutResume};
use sluicegate_status::Status;

/// The sink before it begins, with the state that its last stored commit answered. `index` is its place in `status.sinks`.
///
/// Records that cannot be delivered go to `dead_letters` if the sink's policy says so. They are durable there only after
/// [`DeadLetters::sync`], which follows each commit.
///
/// # Errors
/// `Internal`: it has no place in `status.sinks`.
pub fn resume(
    sink: &Settings,
    state: Option<&str>,
    limits: &Limits,
    dead_letters: Arc<DeadLetters>,
    status: Arc<Status>,
    index: usize,
) -> Result<Box<dyn Resume>> {
    let policy = Policy::new(&sink.name, sink.on_error, dead_letters);
    let numbers = Numbers::new(status, index)?;
    // empty: a checkpoint made before the sink ever flushed, or set by hand
    let (row, state) = (state, state.filter(|s| !s.is_empty()));
    Ok(match &sink.kind {
        SinkKind::Stdout => Box::new(StdoutResume::new(policy, limits.sink_buffer_bytes, numbers)),
        SinkKind::File(file) => Box::new(FileResume::new(file, policy, state, limits, numbers)),
        SinkKind::Kafka(kafka) => {
            Box::new(KafkaResume::new(kafka, sink.plugin_versions == PluginVersions::Header, policy, row, limits, numbers))
        }
    })
}

/// What makes the sink's records. `pipeline` and `connector` stand in them.
pub fn encoder(sink: &Settings, pipeline: &str, connector: &str, limits: &Limits) -> Encoder {
    format(sink, pipeline, connector, limits).encoder()
}

/// The format of the sink's records.
pub fn format(sink: &Settings, pipeline: &str, connector: &str, limits: &Limits) -> JsonFormat {
    let format = JsonFormat::new(sink.format.clone(), pipeline, connector).bounded(limits);
    let format = if sink.plugin_versions == PluginVersions::Member { format.with_versions() } else { format };
    match &sink.kind {
        SinkKind::Kafka(kafka) => format.with_headers_beside().with_keys(&kafka.keys),
        SinkKind::Stdout | SinkKind::File(_) => format,
    }
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
