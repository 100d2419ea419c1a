//! How the process's memory is shared out: plugins and buffers first, and batches get the rest.

mod found;

use sluicegate_config::{Delivery, OnError, Pipeline, SinkKind, Source, WhenSlow};
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{
        self as bounds, BATCHES_BYTES, CGROUP_SHARE, DUMP_QUEUE_BYTES, ENCODED_BYTES, HELD_BYTES, KAFKA_FETCH_BYTES, KAFKA_READ_BYTES,
        MACHINE_SHARE, PARQUET_GROUP_BYTES, PROCESS_BYTES, WHOLE_FILES_BYTES,
    },
};

/// The shares of a pipeline's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    total: usize,
    /// What the program itself and the buffers of source and sinks take.
    fixed: usize,
    /// The instances of one plugin, one for each worker.
    plugin: usize,
    /// Whether a new chain may come beside the one that runs.
    swaps: bool,
    /// Outputs that may go apart: each has a chain of its own then.
    apart: usize,
    /// An instance of a plugin in such a chain.
    plugin_apart: usize,
    /// What batches get, at most, and at least.
    most: usize,
    least: usize,
}

impl Memory {
    /// The shares that the pipeline's settings give on this machine.
    ///
    /// # Errors
    /// `Config`: what the settings ask for cannot be found out here.
    pub fn of(pipeline: &Pipeline, swaps: bool) -> Result<Self> {
        Self::from(pipeline, swaps, found::Found::here())
    }

    fn from(pipeline: &Pipeline, swaps: bool, found: found::Found) -> Result<Self> {
        let limits = &pipeline.limits;
        let share = |percent: u64| found.cgroup.or(found.machine).map(|bytes| bytes / 100 * percent);
        let (total, most) = match limits.memory {
            bounds::Memory::Bytes(bytes) => (Some(bytes), usize::MAX),
            bounds::Memory::Percent(percent) => (share(percent), usize::MAX),
            bounds::Memory::Unset if found.cgroup.is_some() => (share(CGROUP_SHARE), usize::MAX),
            // each worker may be given an answer at the same time
            bounds::Memory::Unset => (share(MACHINE_SHARE), BATCHES_BYTES.saturating_add(pipeline.workers * limits.plugin_output_bytes)),
        };
        let total = total.ok_or_else(|| {
            Error::new(ErrorKind::Config, "how much memory this machine has cannot be read from /proc/meminfo")
                .remedy("set `limits.memory` to a size, such as `1GiB`")
        })?;
        let sinks: usize = pipeline.sinks.iter().map(|sink| sink_bytes(&sink.kind, sink.on_error, limits)).sum();
        let source = match pipeline.source {
            Source::Generator(_) => 0,
            Source::DeadLetters(_) => limits.batch_bytes,
            // each reader fills a batch
            Source::SqlServer(ref settings) => settings.threads * limits.batch_bytes,
            // what waits to be read, and an answer of a broker beyond it
            Source::Kafka(_) => KAFKA_READ_BYTES + 2 * KAFKA_FETCH_BYTES,
            Source::MySql(_) => 2 * DUMP_QUEUE_BYTES + HELD_BYTES,
        };
        // those that may go apart have their share from the start, with a source and the batch that it fills
        let apart = pipeline.sinks.iter().filter(|sink| sink.when_slow == WhenSlow::Apart).count();
        let one_apart = of_one_apart(limits) + source + limits.batch_bytes;
        // the batch that the source fills, and the one that is kept for rehearsals, with the one that it replaces
        let copies = if swaps { 3 } else { 1 };
        Ok(Self {
            total: usize::try_from(total).unwrap_or(usize::MAX),
            fixed: PROCESS_BYTES + source + sinks + copies * limits.batch_bytes + apart * one_apart,
            apart,
            plugin_apart: limits.plugin_memory,
            plugin: pipeline.workers * limits.plugin_memory,
            swaps,
            most,
            least: limits.batch_bytes,
        })
    }

    /// What batches get beside a chain of so many plugins, and the next chain where there may be one.
    ///
    /// # Errors
    /// `Config`: less than one batch is left.
    pub fn of_batches(&self, plugins: usize) -> Result<usize> {
        // an instance that failed is made anew while the old one is still there
        let next = if self.swaps { plugins } else { plugins.min(1) };
        self.beside(plugins + next, plugins)
    }

    /// What they get beside the instances of so many plugins in the chains of all, and of so many in that of each output apart.
    ///
    /// # Errors
    /// As of [`Self::of_batches`].
    pub fn beside(&self, plugins: usize, apart: usize) -> Result<usize> {
        let apart = self.apart * (apart + apart.min(1));
        let taken = self.fixed.saturating_add(plugins.saturating_mul(self.plugin)).saturating_add(apart.saturating_mul(self.plugin_apart));
        match self.total.checked_sub(taken) {
            Some(rest) if rest >= self.least => Ok(rest.min(self.most)),
            _ => {
                let mib = |bytes: usize| bytes.div_ceil(1 << 20);
                let what = format!(
                    "{} MiB of memory are not enough: the program and its buffers take {} MiB, {plugins} plugin instances for each worker \
                     {} MiB (those of a swap included), and one batch {} MiB",
                    self.total >> 20,
                    mib(self.fixed),
                    mib(taken - self.fixed),
                    mib(self.least)
                );
                Err(Error::new(ErrorKind::Config, what)
                    .remedy("raise `limits.memory` or the memory limit of the container, or lower `limits.plugin_memory` or `workers`"))
            }
        }
    }
}

/// What batches of an output that is apart may take.
pub(super) fn of_one_apart(limits: &bounds::Limits) -> usize {
    limits.queue_batches.saturating_mul(limits.batch_bytes)
}

/// Buffers of a sink.
fn sink_bytes(kind: &SinkKind, on_error: OnError, limits: &bounds::Limits) -> usize {
    match kind {
        // what is gathered, and once more while a row group or a block is written
        SinkKind::File(file) if file.records.are_whole() => WHOLE_FILES_BYTES + PARQUET_GROUP_BYTES,
        SinkKind::Stdout | SinkKind::File(_) => 2 * limits.sink_buffer_bytes + ENCODED_BYTES,
        // in a transaction, and where a record may fail without stopping the pipeline, the batches are kept, too
        SinkKind::Kafka(kafka) => {
            let kept = on_error != OnError::Stop || kafka.delivery != Delivery::AtLeastOnce;
            limits.kafka_queue_bytes * if kept { 2 } else { 1 } + ENCODED_BYTES
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{found::Found, *};
    use sluicegate_config::load_str;

    const MIB: usize = 1 << 20;

    fn pipeline(limits: &str) -> Pipeline {
        let text = format!(
            "name: p\nsource: {{ type: generator }}\nplugins: [{{ use: filter, config: {{ tables: [] }} }}]\nsinks: [{{ type: stdout }}]\nworkers: 2\n{limits}\n"
        );
        load_str(&text, std::path::Path::new("/"), |_| None).unwrap()
    }

    fn memory(limits: &str, cgroup: Option<u64>, swaps: bool) -> Memory {
        let machine = Some(16 << 30);
        Memory::from(&pipeline(limits), swaps, Found { cgroup, machine }).unwrap()
    }

    #[test]
    fn plugins_buffers_and_the_next_chain_are_taken_off_first() {
        // 48 for the program, 2.5 for the sink, 4 for each batch at the source and of the rehearsal
        let left = |swaps, plugins| memory("limits: { memory: 1GiB }", None, swaps).of_batches(plugins).unwrap();
        let base = 1024 * MIB - 48 * MIB - 5 * MIB / 2;
        assert_eq!(left(false, 0), base - 4 * MIB);
        assert_eq!(left(true, 0), base - 12 * MIB);
        assert_eq!(left(true, 2), base - 12 * MIB - 2 * 2 * 2 * 64 * MIB, "two plugins, two workers, two chains");
        assert_eq!(left(false, 2), base - 4 * MIB - 3 * 2 * 64 * MIB, "an instance that is made anew");
    }

    #[test]
    fn an_output_that_may_go_apart_has_its_share_from_the_start() {
        let left = |when_slow: &str| {
            let text = format!(
                "name: p\nsource: {{ type: generator }}\nplugins: [{{ use: filter, config: {{ tables: [] }} }}]\nsinks:\n  - {{ type: stdout }}\n  \
                 - {{ type: file, folder: out, when_slow: {when_slow} }}\nworkers: 2\nlimits: {{ memory: 1GiB }}\n"
            );
            let pipeline = load_str(&text, std::path::Path::new("/"), |_| None).unwrap();
            Memory::from(&pipeline, true, Found { cgroup: None, machine: None }).unwrap().of_batches(1).unwrap()
        };
        // four batches and the one that its source fills, an instance, and one that is made anew
        assert_eq!(left("hold") - left("apart"), 5 * 4 * MIB + 2 * 64 * MIB);
    }

    #[test]
    fn the_total_is_what_the_settings_say_or_a_share_of_what_there_is() {
        let total = |limits, cgroup| memory(limits, cgroup, false).total;
        assert_eq!(total("limits: { memory: 300MiB }", Some(1 << 30)), 300 * MIB);
        assert_eq!(total("limits: { memory: 50% }", Some(1 << 30)), (1 << 30) / 100 * 50);
        assert_eq!(total("limits: { memory: 50% }", None), (16 << 30) / 100 * 50);
        assert_eq!(total("", Some(1 << 30)), (1 << 30) / 100 * 90);
        assert_eq!(total("", None), (16 << 30) / 100 * 50);
        assert_eq!(memory("", None, false).of_batches(1).unwrap(), BATCHES_BYTES + 2 * 64 * MIB, "an unlimited machine is not filled");
    }

    #[test]
    fn too_little_memory_is_an_error_that_says_what_takes_it() {
        let error = memory("limits: { memory: 256MiB }", None, true).of_batches(1).unwrap_err();
        insta::assert_snapshot!(error, @"
        256 MiB of memory are not enough: the program and its buffers take 63 MiB, 2 plugin instances for each worker 256 MiB (those of a swap included), and one batch 4 MiB
          remedy: raise `limits.memory` or the memory limit of the container, or lower `limits.plugin_memory` or `workers`
        ");
    }
}
