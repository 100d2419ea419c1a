//! The `limits` section: what may be chosen, and how far.

use std::time::Duration;

use super::{
    super::{
        Rate,
        quantity::{Size, Time},
        raw::RawLimits,
    },
    check::Check,
};
use sluicegate_model::limits::{Limits, Memory};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The defaults, with what the file says instead.
pub(super) fn limits(check: &mut Check<'_>, raw: &RawLimits) -> Limits {
    let d = Limits::default();
    let mut sized = |key: &str, value: Option<Size>, default: u64, least: u64, most: u64| {
        check.size(&format!("limits.{key}"), value, default, least, most)
    };
    let batch_bytes = sized("batch_bytes", raw.batch_bytes, d.batch_bytes as u64, 64 * KIB, 256 * MIB);
    let plugin_memory = sized("plugin_memory", raw.plugin_memory, d.plugin_memory as u64, MIB, 4 * GIB);
    let watermark = sized("plugin_memory_watermark", raw.plugin_memory_watermark, plugin_memory / 2, 0, plugin_memory);
    let plugin_output = sized("plugin_output_bytes", raw.plugin_output_bytes, d.plugin_output_bytes as u64, 64 * KIB, GIB);
    let plugin_file = sized("plugin_file_bytes", raw.plugin_file_bytes, d.plugin_file_bytes, 64 * KIB, GIB);
    let message = sized("plugin_message_bytes", raw.plugin_message_bytes, d.plugin_message_bytes as u64, 64, 64 * KIB);
    let row = sized("row_bytes", raw.row_bytes, d.row_bytes as u64, 64 * KIB, GIB);
    let dead_letter = sized("dead_letter_bytes", raw.dead_letter_bytes, d.dead_letter_bytes, MIB, 1024 * GIB);
    let sink_buffer = sized("sink_buffer_bytes", raw.sink_buffer_bytes, d.sink_buffer_bytes as u64, 4 * KIB, GIB);
    let header_bytes = sized("record_header_bytes", raw.record_header_bytes, d.record_header_bytes as u64, 64, MIB);
    let kafka_bytes = sized("kafka_queue_bytes", raw.kafka_queue_bytes, d.kafka_queue_bytes as u64, MIB, 2 * GIB);
    let mut counted = |key: &str, value: Option<u64>, default: u64, least: u64, most: u64| {
        check.count(&format!("limits.{key}"), value, default, least, most)
    };
    let batch_changes = counted("batch_changes", raw.batch_changes, d.batch_changes as u64, 1, 65_536);
    let queue_batches = counted("queue_batches", raw.queue_batches, d.queue_batches as u64, 1, 1024);
    let kafka_records = counted("kafka_queue_records", raw.kafka_queue_records, d.kafka_queue_records as u64, 1, 10_000_000);
    let headers = counted("record_headers", raw.record_headers, d.record_headers as u64, 0, 1000);
    let destinations = counted("destinations", raw.destinations, d.destinations as u64, 0, 10_000);
    let open_files = counted("open_files", raw.open_files, d.open_files as u64, 1, 1000);
    let known_tables = counted("known_tables", raw.known_tables, d.known_tables as u64, 1, 1_000_000);
    let log_lines = counted("plugin_log_lines", raw.plugin_log_lines, d.plugin_log_lines.into(), 0, 100_000);
    let failed = counted("plugin_failed_changes", raw.plugin_failed_changes, d.plugin_failed_changes as u64, 1, 1_000_000_000);
    let memory = raw.memory.map_or(d.memory, |memory| memory.0);
    if matches!(memory, Memory::Bytes(bytes) if bytes < 64 * MIB) || matches!(memory, Memory::Percent(share) if share == 0 || share > 100) {
        check.refuse("limits.memory", "this amount of memory is out of bounds", "write a size from 64MiB on, or a share from 1% to 100%");
    }
    let mut timed = |key: &str, value: Option<Time>, default: Duration, least: Duration, most: Duration| {
        check.time(&format!("limits.{key}"), value, default, least, most)
    };
    let retry_window = timed("retry_window", raw.retry_window, d.retry_window, Duration::ZERO, 24 * 30 * HOUR);
    let other = d.other_retry_window.min(retry_window);
    let other_retry_window = timed("other_retry_window", raw.other_retry_window, other, Duration::ZERO, retry_window);
    Limits {
        memory,
        // each has just been held below a bound that fits
        batch_changes: batch_changes as usize,
        batch_bytes: batch_bytes as usize,
        queue_batches: queue_batches as usize,
        batch_wait: timed("batch_wait", raw.batch_wait, d.batch_wait, MS, 10 * SECOND),
        checkpoint_interval: timed("checkpoint_interval", raw.checkpoint_interval, d.checkpoint_interval, 10 * MS, 600 * SECOND),
        plugin_memory: plugin_memory as usize,
        plugin_memory_watermark: watermark as usize,
        plugin_call: timed("plugin_call", raw.plugin_call, d.plugin_call, 10 * MS, 300 * SECOND),
        plugin_start: timed("plugin_start", raw.plugin_start, d.plugin_start, 10 * MS, 300 * SECOND),
        plugin_compile: timed("plugin_compile", raw.plugin_compile, d.plugin_compile, 10 * MS, HOUR),
        plugin_output_bytes: plugin_output as usize,
        plugin_file_bytes: plugin_file,
        plugin_recovery: timed("plugin_recovery", raw.plugin_recovery, d.plugin_recovery, Duration::ZERO, HOUR),
        plugin_restart_pause: timed("plugin_restart_pause", raw.plugin_restart_pause, d.plugin_restart_pause, Duration::ZERO, 60 * SECOND),
        plugin_failed_changes: failed as usize,
        plugin_debounce: timed("plugin_debounce", raw.plugin_debounce, d.plugin_debounce, MS, 60 * SECOND),
        known_tables: known_tables as usize,
        plugin_log_lines: log_lines as u32,
        plugin_message_bytes: message as usize,
        row_bytes: row as usize,
        dead_letter_bytes: dead_letter,
        sink_buffer_bytes: sink_buffer as usize,
        record_headers: headers as usize,
        record_header_bytes: header_bytes as usize,
        destinations: destinations as usize,
        open_files: open_files as usize,
        kafka_queue_bytes: kafka_bytes as usize,
        kafka_queue_records: kafka_records as usize,
        connect_timeout: timed("connect_timeout", raw.connect_timeout, d.connect_timeout, 100 * MS, 600 * SECOND),
        retry_window,
        other_retry_window,
        http_connections: d.http_connections,
        http_connection_time: d.http_connection_time,
        stalled_after: timed("stalled_after", raw.stalled_after, d.stalled_after, SECOND, 24 * HOUR),
        apart_after: timed("apart_after", raw.apart_after, d.apart_after, 10 * MS, HOUR),
        drain_timeout: timed("drain_timeout", raw.drain_timeout, d.drain_timeout, SECOND, HOUR),
    }
}

/// Parts of a second's changes that make a batch for a sink with a rate, so that they come evenly.
const PARTS: u64 = 10;

/// Batches are small where a sink takes few changes a second.
pub(super) fn paced(limits: Limits, rates: impl Iterator<Item = Rate>) -> Limits {
    let part = |most: usize, least: u64, rate: Option<u64>| match rate {
        Some(rate) => usize::try_from((rate / PARTS).max(least)).map_or(most, |part| part.min(most)),
        None => most,
    };
    rates.fold(limits, |limits, rate| Limits {
        batch_changes: part(limits.batch_changes, 1, rate.rows),
        batch_bytes: part(limits.batch_bytes, 64 * KIB, rate.bytes),
        ..limits
    })
}
