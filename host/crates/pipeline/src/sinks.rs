//! Opens the sinks that the pipeline file names.

use std::sync::Arc;

use sluicegate_config::{PluginVersions, RecordFormat, Sink as Settings, SinkKind};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_file_sink::{FileResume, WholeFileResume};
use sluicegate_format::{AvroFormat, Encoder, Format, JsonFormat, JsonSchemaFormat, ParquetFormat, SchemaIds};
use sluicegate_kafka::Membership;
use sluicegate_kafka_sink::KafkaResume;
use sluicegate_model::{Result, change::Capabilities, limits::Limits};
use sluicegate_registry::{Registry, SchemaType};
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
    resume_in_group(sink, state, limits, dead_letters, status, index, None)
}

/// The same; with a `membership`, the offsets of the source's consumer group are its progress.
///
/// # Errors
/// As of [`resume`].
pub fn resume_in_group(
    sink: &Settings,
    state: Option<&str>,
    limits: &Limits,
    dead_letters: Arc<DeadLetters>,
    status: Arc<Status>,
    index: usize,
    membership: Option<Arc<Membership>>,
) -> Result<Box<dyn Resume>> {
    let policy = Policy::new(&sink.name, sink.on_error, dead_letters);
    let numbers = Numbers::new(status, index)?;
    // empty: a checkpoint made before the sink ever flushed, or set by hand
    let (row, state) = (state, state.filter(|s| !s.is_empty()));
    Ok(match &sink.kind {
        SinkKind::Stdout => Box::new(StdoutResume::new(policy, limits.sink_buffer_bytes, numbers)),
        SinkKind::File(file) if file.records.are_whole() => {
            Box::new(WholeFileResume::new(file, sink.plugin_versions == PluginVersions::Member, policy, state, limits, numbers))
        }
        SinkKind::File(file) => Box::new(FileResume::new(file, policy, state, limits, numbers)),
        SinkKind::Kafka(kafka) => {
            let resume = KafkaResume::new(kafka, sink.plugin_versions == PluginVersions::Header, policy, row, limits, numbers);
            Box::new(match membership {
                Some(membership) => resume.in_group(membership),
                None => resume,
            })
        }
    })
}

/// What a sink keeps beside its place when it goes on at another one. Files are written on behind what stands in them, unless a sink
/// of another kind wrote them; where Kafka holds the progress, what it holds no longer counts.
pub fn state_elsewhere(sink: &Settings, state: &str) -> String {
    match &sink.kind {
        SinkKind::File(file) if !sluicegate_file_sink::reads(file, state) => String::new(),
        SinkKind::File(_) | SinkKind::Stdout => state.to_owned(),
        SinkKind::Kafka(_) => String::new(),
    }
}

/// What makes the sink's records. `pipeline` and `connector` stand in them; `capabilities` are the source's.
pub fn encoder(sink: &Settings, pipeline: &str, connector: &str, capabilities: Capabilities, limits: &Limits) -> Encoder {
    Encoder::boxed(format(sink, pipeline, connector, capabilities, limits))
}

/// The format of the sink's records.
pub fn format(sink: &Settings, pipeline: &str, connector: &str, capabilities: Capabilities, limits: &Limits) -> Box<dyn Format> {
    let member = sink.plugin_versions == PluginVersions::Member;
    if sink.format.record == RecordFormat::Parquet {
        return Box::new(ParquetFormat);
    }
    if let (RecordFormat::Avro, SinkKind::File(_)) = (sink.format.record, &sink.kind) {
        let format = AvroFormat::in_files(&sink.format, pipeline, connector).bounded(limits);
        return Box::new(if member { format.with_versions() } else { format });
    }
    if let (Some(registry), SinkKind::Kafka(kafka)) = (registry(sink, limits), &sink.kind) {
        let ids: Arc<dyn SchemaIds> = Arc::new(registry);
        if sink.format.record == RecordFormat::Avro {
            let format = AvroFormat::new(&sink.format, pipeline, connector, ids).bounded(limits);
            return Box::new(if member { format.with_versions() } else { format });
        }
        let format = JsonSchemaFormat::new(&sink.format, pipeline, connector, capabilities, ids).bounded(limits).with_keys(&kafka.keys);
        return Box::new(if member { format.with_versions() } else { format });
    }
    let format = JsonFormat::new(sink.format.clone(), pipeline, connector).bounded(limits);
    let format = if member { format.with_versions() } else { format };
    let format = if sink.schema_changes { format.with_schema_changes() } else { format };
    Box::new(match &sink.kind {
        SinkKind::Kafka(kafka) => format.with_headers_beside().with_keys(&kafka.keys),
        SinkKind::Stdout | SinkKind::File(_) => format,
    })
}

/// The registry of a sink's schemas: it may be away for as long as a broker.
fn registry(sink: &Settings, limits: &Limits) -> Option<Registry> {
    match (&sink.format.registry, &sink.kind) {
        (Some(settings), SinkKind::Kafka(kafka)) => {
            let language = if sink.format.record == RecordFormat::Avro { SchemaType::Avro } else { SchemaType::Json };
            Some(Registry::new(settings, language, kafka.delivery_timeout, limits.connect_timeout))
        }
        _ => None,
    }
}

/// Checks, without a trace, that the sink can be used: the folder can be written, a broker answers, and a registry if there is one.
///
/// # Errors
/// `Precheck`, with what to do about it.
pub fn precheck(sink: &Settings, limits: &Limits) -> Result<()> {
    match &sink.kind {
        SinkKind::Stdout => Ok(()),
        SinkKind::File(file) => sluicegate_file_sink::precheck(file),
        SinkKind::Kafka(kafka) => {
            sluicegate_kafka_sink::precheck(kafka, limits)?;
            registry(sink, limits).map_or(Ok(()), |registry| registry.precheck())
        }
    }
}
