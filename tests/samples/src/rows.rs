//! Tables and rows of all types that follow from numbers.

use std::sync::Arc;

use proptest::prelude::*;

use sluicegate_model::change::{
    Batch, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Table, TableName,
    TableRows, Transaction, Values,
};

/// 2024-02-29T13:14:15.123456Z
pub const TIME: i64 = 1_709_212_455_123_456;

/// A batch with one event of one table. Rows are given as columns; `None` is NULL.
pub fn batch(table: &Arc<Table>, columns: Vec<Column>, changes: &[(Operation, u32, u32)]) -> Batch {
    let mut rows = TableRows::new(table.clone());
    rows.images = vec![Image::After as u8; columns.first().map_or(2, Column::len)];
    rows.columns = columns;
    let mut batch = Batch::empty(0, Lane::new("binlog"), Offset::from_json("{}"));
    batch.tables.push(rows);
    batch.transactions.push(Transaction { file: "binlog.000003".into(), ..Transaction::default() });
    batch.events.push(Event { position: 484, time_us: TIME, server_id: 223_344, ..Event::default() });
    for (i, (operation, before, after)) in changes.iter().enumerate() {
        let i = i as u32;
        batch.changes.push(Change { table: 0, before: *before, after: *after, operation: *operation, event: 0, row: i });
    }
    batch.taken = changes.len() as u32;
    batch.validate().unwrap();
    batch
}

/// Columns of all kinds, each with values that its servers can hold.
pub const KINDS: [(&str, DataType); 36] = {
    use DataType::*;
    [
        ("tinyint", Int64),
        ("smallint", Int64),
        ("mediumint", Int64),
        ("int", Int64),
        ("bigint", Int64),
        ("tinyint unsigned", UInt64),
        ("int unsigned", UInt64),
        ("bigint unsigned", UInt64),
        ("bit(1)", UInt64),
        ("bit(10)", UInt64),
        ("year", UInt64),
        ("float", Float32),
        ("double", Float64),
        ("", Boolean),
        ("decimal(12,2)", Decimal),
        ("decimal(65,30)", Decimal),
        ("decimal(5,0)", Decimal),
        ("", Decimal),
        ("varchar(20)", Text),
        ("enum('a','b')", Text),
        ("set('a','b')", Text),
        ("uuid", Text),
        ("blob", Bytes),
        ("geometry", Bytes),
        ("vector(3)", Bytes),
        ("date", Date),
        ("time", Time),
        ("time(3)", Time),
        ("time(6)", Time),
        ("datetime", DateTime),
        ("datetime(3)", DateTime),
        ("datetime(6)", DateTime),
        ("timestamp", Timestamp),
        ("timestamp(6)", Timestamp),
        ("json", Json),
        ("", UInt64),
    ]
};

fn digits(seed: u64, count: usize) -> String {
    let mut rest = seed;
    (0..count)
        .map(|_| {
            rest = rest.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (rest >> 60) as u8 % 10)
        })
        .collect()
}

fn moment(seed: u64, fraction: usize) -> (String, String) {
    let date = format!("{:04}-{:02}-{:02}", 1000 + seed % 9000, 1 + seed / 7 % 12, 1 + seed / 91 % 28);
    let time = format!("{:02}:{:02}:{:02}", seed / 11 % 24, seed / 13 % 60, seed / 17 % 60);
    let fraction = if fraction > 0 { format!(".{}", digits(seed, fraction)) } else { String::new() };
    (date, format!("{time}{fraction}"))
}

/// Appends a value of a kind that follows from a number.
fn push(values: &mut Values, native: &str, data_type: DataType, seed: u64) {
    let fraction = if native.contains("(3)") {
        3
    } else if native.contains("(6)") {
        6
    } else {
        0
    };
    match values {
        Values::Boolean(v) => v.push((seed & 1) as u8),
        Values::Int64(v) => v.push(match native {
            "tinyint" => i64::from(seed as i8),
            "smallint" => i64::from(seed as i16),
            "mediumint" => i64::from(seed as i32 >> 8),
            "int" => i64::from(seed as i32),
            _ => seed as i64,
        }),
        Values::UInt64(v) => v.push(match native {
            "bit(1)" => seed & 1,
            "tinyint unsigned" => seed & 0xff,
            "bit(10)" => seed & 0x3ff,
            "year" => 1901 + seed % 255,
            "int unsigned" => seed & 0xffff_ffff,
            _ => seed,
        }),
        Values::Float32(v) => v.push((seed as i32) as f32 / 7.0),
        Values::Float64(v) => v.push((seed as i64) as f64 / 7.0),
        Values::Text(v) => {
            let sign = if seed & 1 == 1 { "-" } else { "" };
            let (date, time) = moment(seed, fraction);
            let text = match data_type {
                DataType::Decimal => match native {
                    "decimal(12,2)" => format!("{sign}{}.{}", seed % 10_000_000_000, digits(seed, 2)),
                    "decimal(65,30)" => format!("{sign}1{}.{}", digits(seed, (seed % 35) as usize), digits(seed, 30)),
                    "decimal(5,0)" => format!("{sign}{}", seed % 100_000),
                    _ => format!("{sign}{}.5", seed % 1000),
                },
                DataType::Date => date,
                DataType::Time => format!("{sign}{}{time}", seed % 8),
                DataType::DateTime => format!("{date} {time}"),
                DataType::Timestamp => format!("{date}T{time}Z"),
                DataType::Json => format!("{{\"a\": {seed}}}"),
                _ => match native {
                    "enum('a','b')" => ["a", "b"][seed as usize % 2].to_owned(),
                    "set('a','b')" => ["", "a", "b", "a,b"][seed as usize % 4].to_owned(),
                    "uuid" => format!("123e4567-e89b-12d3-a456-{:012x}", seed >> 16),
                    _ => "Zoë \"😀\u{1}".chars().cycle().take(seed as usize % 200).collect(),
                },
            };
            v.push(text.as_bytes());
        }
        Values::Bytes(v) => match native {
            "geometry" => v.push(&[&((seed & 1) as u32 * 4326).to_le_bytes()[..], &[1, 1, 0, 0, 0], &seed.to_le_bytes(), &[0; 8]].concat()),
            "vector(3)" => v.push(&[1f32, -2.5, (seed as i16).into()].map(f32::to_le_bytes).concat()),
            _ => v.push(&seed.to_le_bytes()[..seed as usize % 9]),
        },
    }
}

/// A table of these kinds of columns with these rows, an update between each two of them.
pub fn random(kinds: &[(usize, bool)], rows: &[Vec<u64>]) -> Batch {
    let columns = kinds.iter().enumerate().map(|(i, (kind, nullable))| {
        let (native, data_type) = KINDS[*kind];
        ColumnInfo {
            native_type: NativeType::parse(native),
            nullable: *nullable && i > 0,
            primary_key: i == 0,
            name: format!("c{i}"),
            data_type,
            place: Place::Value,
        }
    });
    let table = Arc::new(Table { name: TableName::new("shop", "orders"), destination: None, columns: columns.collect() });
    let values = kinds.iter().enumerate().map(|(i, (kind, _))| {
        let (native, data_type) = KINDS[*kind];
        let mut column = Column::new(data_type);
        for row in rows {
            let seed = row[i % row.len()].wrapping_add(i as u64);
            if table.columns[i].nullable && seed % 5 == 0 {
                column.push_null();
            } else {
                push(&mut column.values, native, data_type, seed);
            }
        }
        column
    });
    let values = values.collect();
    let last = rows.len() as u32 - 1;
    let mut changes = vec![(Operation::Snapshot, NO_IMAGE, 0)];
    changes.extend((0..last).map(|row| (Operation::Update, row, row + 1)));
    changes.push((Operation::Delete, last, NO_IMAGE));
    batch(&table, values, &changes)
}

/// Kinds of columns by their places in [`KINDS`], whether each may be null, and rows of numbers for [`random`].
pub fn random_table() -> impl Strategy<Value = (Vec<(usize, bool)>, Vec<Vec<u64>>)> {
    let kinds = proptest::collection::vec((0..KINDS.len(), any::<bool>()), 1..12);
    (kinds, proptest::collection::vec(proptest::collection::vec(any::<u64>(), 1..4), 1..5))
}
