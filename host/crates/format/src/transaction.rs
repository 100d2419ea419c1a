//! Debezium's transaction metadata: which of the source's transactions a record belongs to, and the records of a topic that say where one
//! begins and ends (Debezium documentation, "MySQL connector", "Transaction metadata"; the schemas' names and the order of fields are those of
//! `io.debezium.schema.SchemaFactory`).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{format_options::Options, json::unsigned};
use sluicegate_model::json::string;

/// A record's place in its transaction.
#[derive(Clone, Debug)]
pub struct InTransaction {
    /// The transaction's name, as JSON.
    id: Arc<[u8]>,
    /// Which of its records this is, from 1.
    total_order: u64,
    /// Which of those of its table.
    collection_order: u64,
}

impl InTransaction {
    /// The name of a transaction, to be used for all of its records.
    pub fn id(name: &str) -> Arc<[u8]> {
        let mut id = Vec::new();
        string(name.as_bytes(), &mut id);
        id.into()
    }

    /// A place in the transaction that [`Self::id`] has named.
    pub fn new(id: Arc<[u8]>, total_order: u64, collection_order: u64) -> Self {
        Self { id, total_order, collection_order }
    }

    /// Appends the block of an envelope.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":");
        out.extend_from_slice(&self.id);
        out.extend_from_slice(b",\"total_order\":");
        unsigned(self.total_order, out);
        out.extend_from_slice(b",\"data_collection_order\":");
        unsigned(self.collection_order, out);
        out.push(b'}');
    }
}

/// The beginning or the end of a transaction.
#[derive(Clone, Copy, Debug)]
pub struct TransactionBorder<'a> {
    /// The transaction's name.
    pub id: &'a str,
    /// When it was, microseconds since 1970.
    pub time_us: i64,
    /// At the end: the tables with the numbers of their records.
    pub ends: Option<&'a [(String, u64)]>,
}

/// Appends key and value.
pub(super) fn write(options: &Options, border: &TransactionBorder<'_>, key: &mut Vec<u8>, value: &mut Vec<u8>) {
    let text = |name: &str| json!({ "type": "string", "optional": false, "field": name });
    append(options, "TransactionMetadataKey", json!([text("id")]), json!({ "id": border.id }), key);
    let counts = border.ends.map(|tables| {
        let count = |(table, events): &(String, u64)| json!({ "data_collection": table, "event_count": events });
        (tables.iter().map(|(_, events)| events).sum::<u64>(), tables.iter().map(count).collect::<Vec<_>>())
    });
    let (events, tables) = counts.unzip();
    let payload = json!({
        "status": if border.ends.is_some() { "END" } else { "BEGIN" },
        "id": border.id,
        "event_count": events,
        "data_collections": tables,
        "ts_ms": border.time_us.div_euclid(1000),
    });
    let number = |optional: bool, name: &str| json!({ "type": "int64", "optional": optional, "field": name });
    let table = json!({ "type": "struct", "fields": [text("data_collection"), number(false, "event_count")], "optional": true,
        "name": "event.collection", "version": 1 });
    let tables = json!({ "type": "array", "items": table, "optional": true, "field": "data_collections" });
    let fields = json!([text("status"), text("id"), number(true, "event_count"), tables, number(false, "ts_ms")]);
    append(options, "TransactionMetadataValue", fields, payload, value);
}

fn append(options: &Options, name: &str, fields: Value, payload: Value, out: &mut Vec<u8>) {
    let name = format!("io.debezium.connector.common.{name}");
    let record = match options.format.schemas {
        true => {
            json!({ "schema": { "type": "struct", "fields": fields, "optional": false, "name": name, "version": 1 }, "payload": payload })
        }
        false => payload,
    };
    out.extend_from_slice(record.to_string().as_bytes());
}
