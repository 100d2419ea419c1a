//! What a record costs, beside the naive way and the limit.
//!
//! Cost model: a record is written once, byte by byte, into a buffer, so no encoder is faster than `copy`, which moves the
//! finished records (`memcpy` of the same bytes). On the way there, every value costs a look at its null bit and its
//! type and a move of its name (3 ns), and its own text: an integer 5 ns, a text 3 ns for each 16 bytes, which are looked
//! at for escapes and moved. An event's place costs about 50 ns, once, and here every event has one row. So a flat record
//! of 8 columns should cost about 150 ns, an envelope with mostly two images 250 ns. `naive` builds a `serde_json::Value`
//! of the same members and prints it: those of the envelope, but for the flat form. Avro has no names and no digits: a value is its bytes,
//! 1 to 3 ns, so that an envelope should cost less than half of JSON's; `naive` is JSON there, too.
//!
//! Run with `cargo bench --bench format`. Times are of this thread's CPU, the best of several rounds.

mod clock;

use std::{hint::black_box, sync::Arc};

use serde_json::{Map, Value, json};
use sluicegate_config::{Envelope, Format, RecordFormat, ValueModes};
use sluicegate_format::{AvroFormat, Encoder, JsonSchemaFormat, Records, SchemaIds};
use sluicegate_model::{
    Result,
    change::{Batch, Capabilities, Change, NO_IMAGE, Operation, TableRows, Values},
};

fn main() {
    let batches = clock::orders(200_000);
    let rows: usize = batches.iter().map(|b| b.changes.len()).sum();
    println!("{rows} changes of the 8-column table `orders` from the generator; nanoseconds of CPU for each record\n");
    println!(
        "{:<22} {:>6} {:>9} {:>12} {:>9} {:>9} {:>8} {:>8}",
        "format", "bytes", "encode", "records/s", "naive", "copy", "gain", "to limit"
    );
    let debezium = Format { schemas: true, values: ValueModes::DEBEZIUM, ..RecordFormat::Debezium.into() };
    let with_schemas = ("debezium with schemas", debezium);
    let avro = |envelope, values| Format { envelope, values, ..RecordFormat::Avro.into() };
    let in_avro =
        [("avro, envelope", avro(Envelope::Debezium, ValueModes::DEBEZIUM)), ("avro, flat", avro(Envelope::Flat, ValueModes::TYPED))];
    let in_json_schema = ("json-schema, envelope", Format { values: ValueModes::DEBEZIUM, ..RecordFormat::JsonSchema.into() });
    let text = RecordFormat::ALL.into_iter().filter(|(_, record)| record.is_json() || *record == RecordFormat::Csv);
    let text = text.map(|(name, record)| (name, record.into()));
    for (name, format) in text.chain([with_schemas]).chain(in_avro).chain([in_json_schema]) {
        let flat = format.record == RecordFormat::Flat || format.envelope == Envelope::Flat;
        let mut encoder = match format.record {
            RecordFormat::Avro => AvroFormat::new(&format, "bench", "mysql", Arc::new(OneId)).encoder(),
            RecordFormat::JsonSchema => {
                JsonSchemaFormat::new(&format, "bench", "mysql", Capabilities::default(), Arc::new(OneId)).encoder()
            }
            _ => Encoder::new(format.clone(), "bench", "mysql"),
        };
        let topic: Arc<str> = "shop.orders".into();
        for batch in &batches {
            batch.tables.iter().for_each(|rows| encoder.aim(&rows.table, &topic));
        }
        let mut out = Vec::new();
        let mut bytes = 0;
        let encode = clock::best(rows, || {
            bytes = 0;
            for batch in &batches {
                out.clear();
                encode_all(&mut encoder, batch, &mut out);
                bytes += black_box(&out).len();
            }
        });
        let naive = clock::best(rows, || {
            for batch in &batches {
                out.clear();
                for change in &batch.changes {
                    let record = if flat { naive_flat(batch, change) } else { naive_debezium(batch, change) };
                    serde_json::to_writer(&mut out, &record).unwrap();
                    out.push(b'\n');
                }
                black_box(&out);
            }
        });
        let finished: Vec<Vec<u8>> = batches
            .iter()
            .map(|batch| {
                let mut out = Vec::new();
                encode_all(&mut encoder, batch, &mut out);
                out
            })
            .collect();
        let copy = clock::best(rows, || {
            for records in &finished {
                out.clear();
                out.extend_from_slice(black_box(records));
                black_box(&out);
            }
        });
        let per_second = 1e9 / encode;
        let (gain, limit) = (naive / encode, encode / copy);
        println!("{name:<22} {:>6} {encode:>9.1} {per_second:>12.0} {naive:>9.1} {copy:>9.1} {gain:>7.1}x {limit:>7.1}x", bytes / rows);
    }
    println!("\ngain: naive / encode. to limit: encode / copy.");
}

/// A registry that gives every schema the same id.
struct OneId;

impl SchemaIds for OneId {
    fn id(&self, _subject: &str, _schema: &str) -> Result<u32> {
        Ok(1)
    }
}

/// Appends all records of a batch as a file sink does: the changes of one table in one call.
fn encode_all(encoder: &mut Encoder, batch: &Batch, out: &mut Vec<u8>) {
    for changes in batch.changes.chunk_by(|one, other| one.table == other.table) {
        encoder.table(batch, changes[0].table).encode(batch, changes, &mut Lines(out)).unwrap();
    }
}

/// Records with a line's end behind each.
struct Lines<'a>(&'a mut Vec<u8>);

impl Records for Lines<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.0
    }

    fn end(&mut self, _changes: usize) -> Result<()> {
        self.0.push(b'\n');
        Ok(())
    }

    fn pass(&mut self, _changes: usize) -> Result<()> {
        Ok(())
    }
}

fn code(operation: Operation) -> &'static str {
    match operation {
        Operation::Snapshot => "r",
        Operation::Insert => "c",
        Operation::Update => "u",
        Operation::Delete => "d",
    }
}

fn naive_row(rows: &TableRows, row: u32, members: &mut Map<String, Value>) {
    let row = row as usize;
    for (column, info) in rows.columns.iter().zip(&rows.table.columns) {
        let value = match &column.values {
            _ if column.nulls.get(row) => Value::Null,
            Values::Boolean(v) => json!(v[row] != 0),
            Values::Int64(v) => json!(v[row]),
            Values::UInt64(v) => json!(v[row]),
            Values::Float32(v) => json!(v[row]),
            Values::Float64(v) => json!(v[row]),
            Values::Text(v) | Values::Bytes(v) => json!(String::from_utf8_lossy(v.get(row))),
        };
        members.insert(info.name.clone(), value);
    }
}

fn naive_flat(batch: &Batch, change: &Change) -> Value {
    let rows = &batch.tables[change.table as usize];
    let event = &batch.events[change.event as usize];
    let mut members = Map::new();
    members.insert("_op".into(), json!(code(change.operation)));
    members.insert("_database".into(), json!(rows.table.name.database));
    members.insert("_table".into(), json!(rows.table.name.table));
    let mut time = Vec::new();
    sluicegate_model::change::write_timestamp(event.time_us, &mut time);
    members.insert("_ts".into(), json!(String::from_utf8_lossy(&time)));
    members.insert("_file".into(), json!(&*batch.transactions[event.transaction as usize].file));
    members.insert("_pos".into(), json!(event.position));
    members.insert("_row".into(), json!(change.row));
    naive_row(rows, if change.after == NO_IMAGE { change.before } else { change.after }, &mut members);
    Value::Object(members)
}

fn naive_debezium(batch: &Batch, change: &Change) -> Value {
    let rows = &batch.tables[change.table as usize];
    let event = &batch.events[change.event as usize];
    let transaction = &batch.transactions[event.transaction as usize];
    let image = |row| {
        if row == NO_IMAGE {
            return Value::Null;
        }
        let mut members = Map::new();
        naive_row(rows, row, &mut members);
        Value::Object(members)
    };
    let now = sluicegate_model::now_us();
    json!({
        "before": image(change.before), "after": image(change.after),
        "source": {
            "version": env!("CARGO_PKG_VERSION"), "connector": "mysql", "name": "bench", "ts_ms": event.time_us / 1000,
            "snapshot": "false", "db": rows.table.name.database, "sequence": null, "ts_us": event.time_us,
            "ts_ns": event.time_us * 1000, "table": rows.table.name.table, "server_id": event.server_id,
            "gtid": transaction.id.as_deref(), "file": &*transaction.file, "pos": event.position, "row": change.row,
            "thread": null, "query": null
        },
        "transaction": null, "op": code(change.operation), "ts_ms": now / 1000, "ts_us": now, "ts_ns": now * 1000
    })
}
