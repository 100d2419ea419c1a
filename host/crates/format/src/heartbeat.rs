//! The record of a heartbeat, as Debezium writes it: the key names the pipeline, the value says when it was (Debezium documentation, "MySQL
//! connector", `heartbeat.interval.ms`; the schemas' names are those of `io.debezium.schema.SchemaFactory`).

use serde_json::json;

use super::format_options::Options;

/// Appends key and value.
pub(super) fn write(options: &Options, now_us: i64, key: &mut Vec<u8>, value: &mut Vec<u8>) {
    let payload = json!({ "serverName": options.origin.pipeline });
    append(options, "ServerNameKey", json!({ "type": "string", "optional": false, "field": "serverName" }), payload, key);
    let payload = json!({ "ts_ms": now_us.div_euclid(1000) });
    append(options, "Heartbeat", json!({ "type": "int64", "optional": false, "field": "ts_ms" }), payload, value);
}

fn append(options: &Options, name: &str, field: serde_json::Value, payload: serde_json::Value, out: &mut Vec<u8>) {
    let name = format!("io.debezium.connector.common.{name}");
    let record = match options.format.schemas {
        true => {
            json!({ "schema": { "type": "struct", "fields": [field], "optional": false, "name": name, "version": 1 }, "payload": payload })
        }
        false => payload,
    };
    out.extend_from_slice(record.to_string().as_bytes());
}
