//! Bounds other than the defaults.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::quantity::{Amount, Size, Time};

/// Bounds; each has a default that suits most.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub(crate) struct RawLimits {
    /// The process's memory, in bytes or as a share (`75%`) of the cgroup's limit, or of the machine's memory where there is none: plugin
    /// instances and buffers are taken off first, and batches share the rest. Default: `90%` of the cgroup's limit; where there is none
    /// `50%` of the machine's memory, of which batches take at most 1 GiB and one `plugin_output_bytes` for each worker.
    pub memory: Option<Amount>,
    /// Changes in a batch, at most. Default: 1024.
    pub batch_changes: Option<u64>,
    /// Source data in a batch, at most. Default: `4MiB`.
    pub batch_bytes: Option<Size>,
    /// Batches that wait between two stages. Default: 4.
    pub queue_batches: Option<u64>,
    /// How long a batch may wait for more changes. Default: `5ms`.
    pub batch_wait: Option<Time>,
    /// Time between two checkpoints while records flow. Default: `500ms`.
    pub checkpoint_interval: Option<Time>,
    /// Memory of one plugin instance. Default: `64MiB`.
    pub plugin_memory: Option<Size>,
    /// An instance that has grown past this is replaced at the next batch. Default: half of `plugin_memory`.
    pub plugin_memory_watermark: Option<Size>,
    /// Time of one call into a plugin. Default: `1s`.
    pub plugin_call: Option<Time>,
    /// Time of each step of a plugin's start: instantiation, `describe`, `configure`. Default: `10s`.
    pub plugin_start: Option<Time>,
    /// Time in which a plugin's component has to be compiled. Default: `5m`.
    pub plugin_compile: Option<Time>,
    /// What a plugin may answer with for the rows of one batch. Default: `64MiB`.
    pub plugin_output_bytes: Option<Size>,
    /// Size of a plugin file. Default: `64MiB`.
    pub plugin_file_bytes: Option<Size>,
    /// How long it may take to find the rows of one batch that a plugin fails on. Default: `60s`.
    pub plugin_recovery: Option<Time>,
    /// The longest pause before a plugin is started again that handled nothing of batch after batch. Default: `1s`.
    pub plugin_restart_pause: Option<Time>,
    /// Changes in a row that a plugin may fail on before the pipeline stops, whatever its `on_error`. Default: 1000.
    pub plugin_failed_changes: Option<u64>,
    /// How long a plugin file has to be quiet before it is read. Default: `100ms`.
    pub plugin_debounce: Option<Time>,
    /// Tables whose plans are remembered. Default: 20,000.
    pub known_tables: Option<u64>,
    /// Log lines that a plugin may write in a second; more are counted, not printed. Default: 100.
    pub plugin_log_lines: Option<u64>,
    /// Length of one log line or message of a plugin. Default: `1KiB`.
    pub plugin_message_bytes: Option<Size>,
    /// A single row's image. An event in a compressed transaction may have two, and 1 MiB more. Default: `256MiB`.
    pub row_bytes: Option<Size>,
    /// What a dead-letter file may grow to; a full one stops the pipeline. Default: `1GiB`.
    pub dead_letter_bytes: Option<Size>,
    /// What a file sink holds in memory, as long as further batches wait, before it writes. Default: `256KiB`.
    pub sink_buffer_bytes: Option<Size>,
    /// Headers of one record, those that plugins set. Default: 64.
    pub record_headers: Option<u64>,
    /// Names and values of those headers. Default: `64KiB`.
    pub record_header_bytes: Option<Size>,
    /// Different destinations that plugins may choose for one sink, and folders that a file sink's `path` gives; one more stops the pipeline. Default: 1000.
    pub destinations: Option<u64>,
    /// Files that one file sink keeps open, one for each destination. Default: 64.
    pub open_files: Option<u64>,
    /// What a Kafka sink holds in memory until the brokers acknowledge it. Default: `32MiB`.
    pub kafka_queue_bytes: Option<Size>,
    /// Records that a Kafka sink holds until the brokers acknowledge them. Default: 100,000.
    pub kafka_queue_records: Option<u64>,
    /// How long connecting and single requests to a server may take. Default: `10s`.
    pub connect_timeout: Option<Time>,
    /// How long a server or broker that cannot be reached is tried again, at the start and later. Default: `12h`.
    pub retry_window: Option<Time>,
    /// How long whatever else may pass is tried again once the pipeline has streamed, by starting it over at its checkpoint: a server that
    /// refuses the login, a sink that cannot write. Not more than `retry_window`. Default: `10m`, or `retry_window` if that is shorter.
    pub other_retry_window: Option<Time>,
    /// How long the source may be away or silent, or a sink without progress, before `/readyz` says so. Default: `60s`.
    pub stalled_after: Option<Time>,
    /// How long, in all, an output with `when_slow: apart` may hold the others back before it goes apart. Default: `10s`.
    pub apart_after: Option<Time>,
    /// How long draining may take after SIGTERM. Default: `30s`.
    pub drain_timeout: Option<Time>,
}
