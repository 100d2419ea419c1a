//! The rows that every language is fed: all types, at their edges.

use std::sync::Arc;

use sluicegate_model::change::{
    Batch, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Table, TableName,
    TableRows, Transaction, Values,
};

/// One value, comparable bit by bit.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float32(u32),
    Float64(u64),
    Bytes(Vec<u8>),
}

impl Cell {
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.into())
    }

    /// Row `i` of a column.
    pub fn of(column: &Column, i: usize) -> Self {
        if column.nulls.get(i) {
            return Self::Null;
        }
        match &column.values {
            Values::Boolean(v) => Self::Bool(v[i] == 1),
            Values::Int64(v) => Self::Int(v[i]),
            Values::UInt64(v) => Self::UInt(v[i]),
            Values::Float32(v) => Self::Float32(v[i].to_bits()),
            Values::Float64(v) => Self::Float64(v[i].to_bits()),
            Values::Text(v) | Values::Bytes(v) => Self::Bytes(v.get(i).to_vec()),
        }
    }

    fn push_to(&self, column: &mut Column) {
        match (self, &mut column.values) {
            (Self::Null, _) => column.push_null(),
            (Self::Bool(v), Values::Boolean(column)) => column.push(u8::from(*v)),
            (Self::Int(v), Values::Int64(column)) => column.push(*v),
            (Self::UInt(v), Values::UInt64(column)) => column.push(*v),
            (Self::Float32(v), Values::Float32(column)) => column.push(f32::from_bits(*v)),
            (Self::Float64(v), Values::Float64(column)) => column.push(f64::from_bits(*v)),
            (Self::Bytes(v), Values::Text(column) | Values::Bytes(column)) => column.push(v),
            other => panic!("no such value in such a column: {other:?}"),
        }
    }
}

/// Which rows are null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nulls {
    None,
    Some,
    All,
}

/// How a batch is filled.
#[derive(Clone, Copy, Debug)]
pub struct Filling {
    pub changes: usize,
    pub nulls: Nulls,
    /// Whether all text is ASCII: the SDKs have a short cut for it.
    pub ascii: bool,
    /// Makes batches differ.
    pub seed: usize,
}

const TYPES: [(&str, DataType); 19] = [
    ("c_boolean", DataType::Boolean),
    ("c_int64", DataType::Int64),
    ("c_uint64", DataType::UInt64),
    ("c_float32", DataType::Float32),
    ("c_float64", DataType::Float64),
    ("c_decimal", DataType::Decimal),
    ("c_text", DataType::Text),
    ("c_bytes", DataType::Bytes),
    ("c_date", DataType::Date),
    ("c_time", DataType::Time),
    ("c_datetime", DataType::DateTime),
    ("c_timestamp", DataType::Timestamp),
    ("c_json", DataType::Json),
    ("v_boolean", DataType::Boolean),
    ("v_int64", DataType::Int64),
    ("v_uint64", DataType::UInt64),
    ("v_float64", DataType::Float64),
    ("v_text", DataType::Text),
    ("v_bytes", DataType::Bytes),
];

/// A table of all types.
pub fn table(name: &str) -> Arc<Table> {
    let column = |name: &str, data_type, native_type: &str, nullable, primary_key| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::parse(native_type),
        nullable,
        primary_key,
        place: Place::Value,
    };
    let mut columns = vec![
        column("id", DataType::Int64, "bigint", false, true),
        column("rule", DataType::Text, "varchar(10)", true, false),
        column("rewritten", DataType::Text, "tinytext", true, false),
        column("old_name", DataType::Text, "text", true, false),
        column("gone", DataType::Int64, "int", true, false),
        column("unread", DataType::Bytes, "blob", true, false),
    ];
    columns.extend(TYPES.iter().map(|(name, data_type)| column(name, *data_type, "some type", true, false)));
    Arc::new(Table { name: TableName::new("conformance", name), destination: None, columns })
}

const INTS: [i64; 8] = [0, -1, 1, i64::MIN, i64::MAX, 9_007_199_254_740_993, -9_007_199_254_740_993, 1 << 32];
const UINTS: [u64; 6] = [0, 1, u64::MAX, 1 << 63, 9_007_199_254_740_993, u32::MAX as u64];
const FLOATS: [f64; 11] =
    [0.0, -0.0, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, 5e-324, 0.1, 123_456_789.123_456_78];
const TEXTS: [&str; 12] = [
    "",
    "Zürich",
    "日本語",
    "😀 four bytes",
    "🏳️‍🌈",
    "\u{10ffff}",
    "\u{feff}with a mark",
    "nul\0byte",
    "e\u{301} combining",
    "plain",
    "line\nbreak \"quoted\" \\",
    "\u{fffd}",
];
const ASCII: [&str; 6] = ["", "plain", "nul\0byte", "line\nbreak \"quoted\" \\", "~", "an address@example.com, say"];

fn value(data_type: DataType, filling: Filling, row: usize, salt: usize) -> Cell {
    let at = row + salt + filling.seed;
    if filling.nulls == Nulls::All || (filling.nulls == Nulls::Some && at.is_multiple_of(5)) {
        return Cell::Null;
    }
    match data_type {
        DataType::Boolean => Cell::Bool(at.is_multiple_of(2)),
        DataType::Int64 => Cell::Int(INTS[at % INTS.len()]),
        DataType::UInt64 => Cell::UInt(UINTS[at % UINTS.len()]),
        DataType::Float32 => Cell::Float32((FLOATS[at % FLOATS.len()] as f32).to_bits()),
        DataType::Float64 => Cell::Float64(FLOATS[at % FLOATS.len()].to_bits()),
        DataType::Bytes => Cell::Bytes([&[] as &[u8], b"\0", b"\xff\xfe\x80", b"bytes", &[0xf0; 40]][at % 5].to_vec()),
        DataType::Decimal => Cell::text(["0", "-12.50", "99999999999999999999999999999999999.999999999999999999999999999999"][at % 3]),
        DataType::Date => Cell::text(["2024-02-29", "0000-00-00", "9999-12-31"][at % 3]),
        DataType::Time => Cell::text(["-838:59:59.000000", "00:00:00"][at % 2]),
        DataType::DateTime => Cell::text(["2024-02-29 13:14:15.123456", "0000-00-00 00:00:00"][at % 2]),
        DataType::Timestamp => Cell::text(["2024-02-29T13:14:15.123456Z", "1970-01-01T00:00:01Z"][at % 2]),
        DataType::Json if !filling.ascii => Cell::text(["{\"ü\": [1, null, \"😀\"]}", "null", "[]"][at % 3]),
        DataType::Json => Cell::text(["{\"u\": [1, null, 1e400]}", "null", "[]"][at % 3]),
        DataType::Text if filling.ascii => Cell::text(ASCII[at % ASCII.len()]),
        DataType::Text => Cell::text(TEXTS[at % TEXTS.len()]),
    }
}

/// A batch of snapshots, inserts, updates and deletes, in turn.
pub fn batch(table: &Arc<Table>, filling: Filling) -> Batch {
    let mut rows = TableRows::new(table.clone());
    let mut row = |image: Image| {
        let i = rows.images.len();
        rows.images.push(image as u8);
        for (salt, (info, column)) in table.columns.iter().zip(&mut rows.columns).enumerate() {
            let cell = match info.name.as_str() {
                // beyond what a double can hold
                "id" => Cell::Int(9_007_199_254_740_993 + i as i64),
                "rule" => match i % 11 {
                    3 => Cell::text("drop"),
                    5 => Cell::text("reject"),
                    7 => Cell::text("keep"),
                    9 => Cell::Null,
                    _ => Cell::text(""),
                },
                _ => value(info.data_type, filling, i, salt),
            };
            cell.push_to(column);
        }
        i as u32
    };
    let changes: Vec<_> = (0..filling.changes as u32)
        .map(|i| {
            let (operation, before, after) = match i % 4 {
                0 => (Operation::Snapshot, NO_IMAGE, row(Image::After)),
                1 => (Operation::Insert, NO_IMAGE, row(Image::After)),
                2 => (Operation::Update, row(Image::Before), row(Image::After)),
                _ => (Operation::Delete, row(Image::Before), NO_IMAGE),
            };
            Change { table: 0, before, after, operation, event: i % 4, row: i }
        })
        .collect();
    let times = [1_700_000_000_123_456, i64::MIN, i64::MAX, -1];
    let batch = Batch {
        taken: filling.changes as u32,
        tables: vec![rows],
        changes,
        events: times.map(|time_us| Event { position: 4, time_us, server_id: 1, ..Event::default() }).to_vec(),
        transactions: vec![Transaction { file: "binlog.000001".into(), ..Transaction::default() }],
        ..Batch::empty(0, Lane::new("rows"), Offset::from_json("{}"))
    };
    batch.validate().expect("a sound batch");
    batch
}
