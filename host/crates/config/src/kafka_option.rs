//! The librdkafka settings that are not free.

/// Why a librdkafka option cannot be chosen, if it cannot: it would break order, durability or a bound, or has a key of
/// its own in the pipeline file.
pub fn refused_option(name: &str) -> Option<&'static str> {
    Some(match name {
        "enable.idempotence" | "enable.gapless.guarantee" => "retries without it could repeat or reorder records",
        "acks" | "request.required.acks" => "an acknowledgement has to mean that the record is durable",
        "max.in.flight" | "max.in.flight.requests.per.connection" => "more requests in flight could reorder records",
        "queuing.strategy" => "records have to leave in the order in which they came",
        "retries" | "message.send.max.retries" => "giving up early would lose records",
        "transactional.id" => "`transactional_id` sets it",
        "transaction.timeout.ms" => "it follows from `delivery_timeout`",
        "message.timeout.ms" | "delivery.timeout.ms" => "`delivery_timeout` sets it",
        "bootstrap.servers" | "metadata.broker.list" => "`brokers` sets it",
        "queue.buffering.max.messages" | "queue.buffering.max.kbytes" => "the program bounds what waits for the broker",
        "partitioner" => "the key decides the partition, or order per key would depend on it",
        "delivery.report.only.error" => "without the reports nobody knows what is durable",
        "plugin.library.paths" => "it would load foreign code into the program",
        "dr_cb" | "dr_msg_cb" | "error_cb" | "log_cb" | "stats_cb" | "opaque" => "the program has its own",
        _ if name.starts_with("test.mock.") => "records would go nowhere",
        _ => return None,
    })
}

/// The same for a source: what would break order, progress or a bound, or has a key of its own in the pipeline file.
pub fn refused_source_option(name: &str) -> Option<&'static str> {
    Some(match name {
        "bootstrap.servers" | "metadata.broker.list" => "`brokers` sets it",
        "group.id" => "`group` sets it",
        "group.protocol" | "partition.assignment.strategy" | "group.instance.id" => {
            "the program gives all partitions back before it takes others"
        }
        "enable.auto.commit" | "enable.auto.offset.store" | "auto.commit.interval.ms" => "the checkpoint holds the progress",
        "auto.offset.reset" => "records that are gone have to be told; `start` says where the first start begins",
        "isolation.level" => "what a transaction took back must not be read",
        "check.crcs" => "records that were damaged must not be read",
        "allow.auto.create.topics" => "the source makes no topics",
        "enable.partition.eof" => "the program has no use for it",
        "queued.min.messages"
        | "queued.max.messages.kbytes"
        | "fetch.max.bytes"
        | "fetch.message.max.bytes"
        | "max.partition.fetch.bytes" => "the program bounds what waits to be read",
        "receive.message.max.bytes" => "the program bounds what it receives",
        "plugin.library.paths" => "it would load foreign code into the program",
        "consume_cb" | "rebalance_cb" | "offset_commit_cb" | "error_cb" | "log_cb" | "stats_cb" | "opaque" => "the program has its own",
        _ if name.starts_with("test.mock.") => "records would come from nowhere",
        _ => return None,
    })
}
