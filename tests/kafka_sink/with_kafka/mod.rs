//! A sink under test, and batches of a small table.

mod aligned;
mod delivery;
mod exactly_once;
mod failures;
mod heartbeats;
mod keys;
mod letters;
mod meeting;
mod routing;
mod schema_changes;
mod security;
mod source;
mod start;
mod topics;
mod transactions_told;
mod whole;
mod with_registry;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use sluicegate_config::{
    Format, KafkaSink, Keyless, NameCase, OnError, PluginVersions, Rate, RecordFormat, RecordHeaders, RecordKeys, Secret, Sink as Settings,
    SinkKind, TopicCreation, WhenSlow,
};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_harness::kafka::{self, Broker, Record};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{
        Batch, Capabilities, Change, ColumnInfo, DataType, Event, Frontier, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place,
        Table, TableName, TableRows, Transaction, Values,
    },
    limits::Limits,
};
use sluicegate_pipeline::sinks;
use sluicegate_sink::Sink;
use sluicegate_status::{SinkStatus, Status};

/// A sink under test, with what stands around it.
struct Bench {
    sink: Box<dyn Sink>,
    status: Arc<Status>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn open(settings: KafkaSink, on_error: OnError) -> Result<Self> {
        Self::open_with(settings, on_error, PluginVersions::Omitted, &Limits::default())
    }

    fn open_with(settings: KafkaSink, on_error: OnError, plugin_versions: PluginVersions, limits: &Limits) -> Result<Self> {
        let folder = tempfile::tempdir().unwrap();
        let letters = Arc::new(DeadLetters::new(folder.path(), 16 << 20));
        let status = Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() });
        let settings = sink_settings(settings, on_error, plugin_versions);
        let mut sink = sinks::resume(&settings, None, limits, letters, status.clone(), 0)?;
        sink.resume()?;
        let sink = sink.begin(&Frontier::default(), sinks::encoder(&settings, "shop", "mysql", Capabilities::default(), limits))?;
        Ok(Self { sink, status, folder })
    }

    /// A sink whose records have this format.
    fn open_in(settings: KafkaSink, format: Format) -> Self {
        Self::open_settings(Settings { format, ..sink_settings(settings, OnError::Stop, PluginVersions::Omitted) })
    }

    fn open_settings(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let letters = Arc::new(DeadLetters::new(folder.path(), 16 << 20));
        let status = Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() });
        let limits = Limits::default();
        let mut sink = sinks::resume(&settings, None, &limits, letters, status.clone(), 0).unwrap();
        sink.resume().unwrap();
        let sink = sink.begin(&Frontier::default(), sinks::encoder(&settings, "shop", "mysql", Capabilities::default(), &limits)).unwrap();
        Self { sink, status, folder }
    }

    /// A sink that tells changes of schemas.
    fn open_telling(settings: KafkaSink) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let letters = Arc::new(DeadLetters::new(folder.path(), 16 << 20));
        let status = Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() });
        let limits = Limits::default();
        let settings = Settings { schema_changes: true, ..sink_settings(settings, OnError::Stop, PluginVersions::Omitted) };
        let mut sink = sinks::resume(&settings, None, &limits, letters, status.clone(), 0).unwrap();
        sink.resume().unwrap();
        let sink = sink.begin(&Frontier::default(), sinks::encoder(&settings, "shop", "mysql", Capabilities::default(), &limits)).unwrap();
        Self { sink, status, folder }
    }

    fn dead_letters(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("sink.kafka.ndjson")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn sink_settings(kafka: KafkaSink, on_error: OnError, plugin_versions: PluginVersions) -> Settings {
    Settings {
        name: "kafka".into(),
        start: None,
        format: RecordFormat::Flat.into(),
        plugin_versions,
        schema_changes: false,
        on_error,
        when_slow: WhenSlow::Hold,
        rate: Rate::default(),
        kind: SinkKind::Kafka(kafka),
    }
}

fn settings(broker: &Broker, topic: &str) -> KafkaSink {
    KafkaSink {
        brokers: broker.brokers().into(),
        security: None,
        topic: format!("{topic}.{{table}}").parse().unwrap(),
        schema_topic: None,
        align: None,
        transaction_topic: None,
        letter_topic: None,
        heartbeats: None,
        shared_topic: false,
        name_case: NameCase::AsIs,
        topics: TopicCreation::Automatic,
        keys: RecordKeys::default(),
        headers: RecordHeaders::default(),
        tombstones: true,
        keyless: Keyless::Stop,
        delivery: sluicegate_config::Delivery::AtLeastOnce,
        in_group: false,
        delivery_timeout: Duration::from_secs(60),
        options: BTreeMap::new(),
    }
}

/// `shop.{name} (id bigint [primary key], note text)`.
fn table(name: &str, key: bool) -> Arc<Table> {
    let column = |name: &str, data_type, primary_key| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: false,
        primary_key,
        place: Place::Value,
    };
    Arc::new(Table {
        name: TableName::new("shop", name),
        destination: None,
        columns: vec![column("id", DataType::Int64, key), column("note", DataType::Text, false)],
    })
}

fn batch(number: u64, table: Arc<Table>) -> Batch {
    let mut batch = Batch::empty(number, Lane::new("rows"), Offset::from_json("{}"));
    batch.tables.push(TableRows::new(table));
    batch.events.push(Event { position: 4, time_us: 1_700_000_000_000_000, server_id: 1, ..Event::default() });
    batch.transactions.push(Transaction { file: "binlog.000001".into(), ..Transaction::default() });
    batch
}

type Row<'a> = Option<(i64, &'a str)>;

fn push(batch: &mut Batch, before: Row<'_>, after: Row<'_>) {
    let rows = &mut batch.tables[0];
    let mut image = |row: Row<'_>, image: Image| {
        let Some((id, note)) = row else { return NO_IMAGE };
        rows.images.push(image as u8);
        if let Values::Int64(v) = &mut rows.columns[0].values {
            v.push(id);
        }
        if let Values::Text(v) = &mut rows.columns[1].values {
            v.push(note.as_bytes());
        }
        rows.len() as u32 - 1
    };
    let (before, after) = (image(before, Image::Before), image(after, Image::After));
    let operation = match (before, after) {
        (NO_IMAGE, _) => Operation::Insert,
        (_, NO_IMAGE) => Operation::Delete,
        _ => Operation::Update,
    };
    batch.changes.push(Change { table: 0, before, after, operation, event: 0, row: batch.taken });
    batch.taken += 1;
    batch.bytes += 100;
}

fn inserts(number: u64, ids: impl IntoIterator<Item = i64>, note: &str) -> Batch {
    let mut batch = batch(number, table("orders", true));
    ids.into_iter().for_each(|id| push(&mut batch, None, Some((id, note))));
    batch
}

fn field(record: &Record, name: &str) -> Option<Value> {
    record.value.as_ref().map(|value| serde_json::from_str::<Value>(value).unwrap()[name].clone())
}

fn id(record: &Record) -> i64 {
    field(record, "id").unwrap().as_i64().unwrap()
}

/// Records of `id = n % 50, note = n`: every `n` once, ascending for each id, and each id in one partition.
fn assert_each_once_in_order(records: &[Record], count: usize) {
    let mut by_id: BTreeMap<i64, Vec<(i32, u64)>> = BTreeMap::new();
    for record in records {
        let note = field(record, "note").unwrap().as_str().unwrap().parse().unwrap();
        by_id.entry(id(record)).or_default().push((record.partition, note));
    }
    for (id, seen) in by_id {
        assert!(seen.windows(2).all(|w| w[0].0 == w[1].0 && w[0].1 < w[1].1), "key {id} is out of order");
    }
    assert_eq!(records.len(), count);
}

/// The error of a write or of the flush after it.
fn fails(bench: &mut Bench, batch: &Batch) -> Error {
    bench.sink.write(batch).and_then(|()| bench.sink.commit(&Frontier::default())).unwrap_err()
}
