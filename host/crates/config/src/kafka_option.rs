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
