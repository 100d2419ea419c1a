//! `/metrics`: the status in the OpenMetrics text format, which Prometheus reads.

use std::{collections::BTreeMap, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeCounterValue, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use sluicegate_status::{CopyNumbers, Number, PluginStatus, SinkStatus, Standing, Status, relaxed};

/// The content type of [`text`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that reads the status of `pipeline` at each scrape. All of it has the labels.
pub(super) fn registry(pipeline: &str, labels: &BTreeMap<String, String>, status: Arc<Status>) -> Registry {
    let labels = labels.iter().map(|(name, value)| (name.clone().into(), value.clone().into()));
    let mut registry = Registry::with_prefix_and_labels("sluicegate", labels);
    registry.register_collector(Box::new(StatusCollector { pipeline: pipeline.to_owned(), status }));
    registry
}

/// Everything in `registry` as text.
pub(super) fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::new();
    text::encode(&mut out, registry)?;
    Ok(out)
}

#[derive(Debug)]
struct StatusCollector {
    pipeline: String,
    status: Arc<Status>,
}

impl Collector for StatusCollector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families { encoder, pipeline: &self.pipeline };
        let source = &self.status.source;
        out.infos("build", "The program", [[("version", env!("CARGO_PKG_VERSION"))]].into_iter())?;
        out.gauge("started", "1 once plugins, source and sinks are ready", None, u64::from(relaxed(&self.status.started)) as f64)?;
        out.gauge("stopping", "1 once the pipeline drains", None, u64::from(relaxed(&self.status.stopping)) as f64)?;
        out.gauge("source_connected", "1 while the connection to the source stands", None, u64::from(source.is_connected()) as f64)?;
        out.gauge(
            "source_lag",
            "Age of the newest change read; 0 when everything has been read",
            Some(&Unit::Seconds),
            source.lag_us() as f64 / 1e6,
        )?;
        out.gauge(
            "source_last_heard_timestamp",
            "When something, be it a heartbeat, last came from the source (seconds since 1970)",
            Some(&Unit::Seconds),
            source.heard_us() as f64 / 1e6,
        )?;
        out.counter("source_changes", "Changes read", None, &source.changes)?;
        out.counter("source_read", "Source data read", Some(&Unit::Bytes), &source.bytes)?;
        out.counter("source_batches", "Batches read", None, &source.batches)?;
        out.counter("source_reconnects", "Connections made after the first", None, &source.reconnects)?;
        out.counter("source_heartbeats", "Times that the heartbeat statement was run", None, &source.heartbeats)?;
        out.counter("source_heartbeat_failures", "Times that the heartbeat statement failed", None, &source.heartbeat_failures)?;
        out.counter("source_skipped", "Statements or rows of the log skipped by policy", None, &source.skipped)?;
        self.log_margin(&mut out)?;
        out.counter("source_dead_lettered", "Records that could not be read and were set aside", None, &source.dead_lettered)?;
        out.gauge(
            "source_absent_tables",
            "Tables that are to be read, and are not there, not tracked, or not to be seen by the account",
            None,
            source.absent_tables.get() as f64,
        )?;
        out.counter("source_finished_tables", "Times that a table was read to its end", None, &source.finished_tables)?;
        out.counter("source_finished_schemas", "Times that all tables of a schema were read to their end", None, &source.finished_schemas)?;
        out.counter("source_no_more_data", "Times that all tables were read to their end", None, &source.no_more_data)?;
        out.counter("schema_changes", "Tables whose delivered name or columns a swap changed", None, &self.status.schema_changes)?;
        self.copies(&mut out)?;
        self.memory(&mut out)?;
        self.plugins(&mut out)?;
        self.sinks(&mut out)
    }
}

impl StatusCollector {
    fn log_margin(&self, out: &mut Families<'_, '_>) -> fmt::Result {
        let Some(margin) = self.status.source.log_margin.get() else { return Ok(()) };
        out.gauge("source_log_margin_files", "Log files that the source has before the sinks' oldest place", None, margin.files as f64)?;
        let seconds = Some(&Unit::Seconds);
        if let Some(left) = margin.left {
            out.gauge(
                "source_log_margin",
                "Time until the source may remove the log file with the sinks' oldest place",
                seconds,
                left.as_secs_f64(),
            )?;
        }
        if let Some(kept) = margin.kept {
            out.gauge("source_log_kept", "How long the source keeps its log files", seconds, kept.as_secs_f64())?;
        }
        Ok(())
    }

    fn copies(&self, out: &mut Families<'_, '_>) -> fmt::Result {
        let tables = self.status.copies.all();
        let mut each = |name: &str, help: &str, number: fn(&CopyNumbers) -> u64| {
            out.gauges(name, help, "table", tables.iter().map(|(table, numbers)| (table.as_str(), number(numbers) as f64)))
        };
        each("copy_rows", "Rows of the table's copy that were delivered, those of earlier runs included", |n| n.rows)?;
        each("copy_estimated_rows", "Rows that the table has, as its server estimates them", |n| n.estimate)?;
        let left = tables.iter().filter_map(|(table, numbers)| Some((table.as_str(), numbers.left()?.as_secs_f64())));
        out.gauges("copy_remaining_seconds", "How much longer the table's copy takes at its rate so far", "table", left)?;
        out.infos(
            "copy",
            "What the copy of the table is doing",
            tables.iter().map(|(table, n)| [("table", table.as_str()), ("state", n.state.name())]),
        )
    }

    fn memory(&self, out: &mut Families<'_, '_>) -> fmt::Result {
        let Some(budget) = self.status.budget.get() else { return Ok(()) };
        let bytes = Some(&Unit::Bytes);
        out.gauge("memory_budget", "What batches may take of the process's memory", bytes, budget.most() as f64)?;
        out.gauge("memory_in_flight", "What batches take now, from the source until the last sink", bytes, budget.in_flight() as f64)?;
        out.gauge("memory_peak", "The most that batches took at once", bytes, budget.peak() as f64)?;
        let mut family =
            out.encoder.encode_descriptor("memory_waits", "Times that a batch had to wait for memory", None, MetricType::Counter)?;
        family.encode_family(&[("pipeline", self.pipeline.as_str())])?.encode_counter::<NoLabelSet, u64, u64>(&budget.waits(), None)
    }

    fn plugins(&self, out: &mut Families<'_, '_>) -> fmt::Result {
        let plugins = self.status.plugins.all();
        let mut each = |name: &str, help: &str, number: fn(&PluginStatus) -> &Number| {
            out.counters(name, help, None, "plugin", plugins.iter().map(|p| (p.name.as_str(), number(p).get())))
        };
        each("plugin_calls", "Calls of apply", |p| &p.calls)?;
        each("plugin_rows", "Row images handed to apply", |p| &p.rows)?;
        each("plugin_filtered", "Changes filtered away", |p| &p.filtered)?;
        each("plugin_swaps", "Swaps that took over", |p| &p.swaps)?;
        each("plugin_refused_files", "New versions of the plugin that were refused", |p| &p.refused_files)?;
        each("plugin_skipped", "Changes skipped by policy", |p| &p.skipped)?;
        each("plugin_dead_lettered", "Changes set aside in the dead-letter file", |p| &p.dead_lettered)?;
        each("plugin_passed_through", "Changes delivered by policy although the plugin could not handle them", |p| &p.passed_through)?;
        each("plugin_restarts", "Starts after a failure", |p| &p.restarts)?;
        each("plugin_failures", "Traps, timeouts and wrong answers", |p| &p.failures)?;
        out.counters(
            "plugin_busy",
            "Time spent in apply, packing included",
            Some(&Unit::Seconds),
            "plugin",
            plugins.iter().map(|p| (p.name.as_str(), p.nanoseconds.get() as f64 / 1e9)),
        )?;
        let components: Vec<_> = plugins.iter().map(|p| (p.name.as_str(), p.component())).collect();
        out.infos(
            "plugin",
            "The plugin in force",
            components.iter().map(|(name, c)| [("plugin", *name), ("version", c.version.as_str()), ("sha256", c.sha256.as_str())]),
        )
    }

    fn sinks(&self, out: &mut Families<'_, '_>) -> fmt::Result {
        let sinks = &self.status.sinks;
        let mut each = |name: &str, help: &str, unit: Option<&Unit>, number: fn(&SinkStatus) -> &Number| {
            out.counters(name, help, unit, "sink", sinks.iter().map(|s| (s.name.as_str(), number(s).get())))
        };
        each("sink_records", "Records written", None, |s| &s.records)?;
        each("sink_written", "Data written", Some(&Unit::Bytes), |s| &s.bytes)?;
        each("sink_checkpoints", "Checkpoints made", None, |s| &s.checkpoints)?;
        each("sink_skipped", "Records skipped by policy", None, |s| &s.skipped)?;
        each("sink_dead_lettered", "Records set aside in the dead-letter file", None, |s| &s.dead_lettered)?;
        each("sink_cut_transactions", "Transactions of the source that were too long to be committed whole", None, |s| {
            &s.cut_transactions
        })?;
        each("sink_departures", "Times that the output went apart from the others", None, |s| &s.apart.departures)?;
        each("sink_failures", "Failures of the output while it was apart", None, |s| &s.apart.failures)?;
        out.gauges(
            "sink_apart",
            "1 while the output is apart from the others",
            "sink",
            sinks.iter().map(|s| (s.name.as_str(), u64::from(s.apart.standing() != Standing::Together) as f64)),
        )?;
        // one that goes with the others is where they are, and one that waits for another attempt has no stream
        let lag = sinks.iter().filter_map(|s| Some((s.name.as_str(), s.apart.lag_us()? as f64 / 1e6)));
        out.gauges("sink_apart_lag_seconds", "Age of the newest change that was read for the output that is apart", "sink", lag)?;
        out.gauges(
            "sink_durable_changes",
            "Changes read in this run that are durable in the sink",
            "sink",
            sinks.iter().map(|s| (s.name.as_str(), s.durable.get() as f64)),
        )
    }
}

/// Writes families of metrics; each has the pipeline's label.
struct Families<'e, 'p> {
    encoder: DescriptorEncoder<'e>,
    pipeline: &'p str,
}

impl Families<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, number: &Number) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        family.encode_family(&[("pipeline", self.pipeline)])?.encode_counter::<NoLabelSet, u64, u64>(&number.get(), None)
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        family.encode_family(&[("pipeline", self.pipeline)])?.encode_gauge(&value)
    }

    /// One counter for each part, told apart by `label`.
    fn counters<'b>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        label: &str,
        parts: impl Iterator<Item = (&'b str, impl EncodeCounterValue)>,
    ) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
        for (part, value) in parts {
            family.encode_family(&[("pipeline", self.pipeline), (label, part)])?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges<'b>(&mut self, name: &str, help: &str, label: &str, parts: impl Iterator<Item = (&'b str, f64)>) -> fmt::Result {
        let mut family = self.encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (part, value) in parts {
            family.encode_family(&[("pipeline", self.pipeline), (label, part)])?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// Gauges that are always 1 and say what is there in their labels.
    fn infos<'b, const N: usize>(&mut self, name: &str, help: &str, sets: impl Iterator<Item = [(&'b str, &'b str); N]>) -> fmt::Result {
        let name = format!("{name}_info");
        let mut family = self.encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
        for set in sets {
            let mut labels = vec![("pipeline", self.pipeline)];
            labels.extend(set);
            family.encode_family(&labels.as_slice())?.encode_gauge(&1u64)?;
        }
        Ok(())
    }
}
