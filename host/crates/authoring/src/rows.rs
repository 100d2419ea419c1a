//! Change events from a file, one JSON object a line.
//!
//! ```json
//! {"table": "shop.customers", "columns": {"id": "int64", "email": "text", "balance": "decimal"}, "key": ["id"]}
//! {"table": "shop.customers", "op": "insert", "after": {"id": 1, "email": "ada@example.org", "balance": "1.50"}}
//! {"table": "shop.customers", "op": "update", "before": {"id": 1}, "after": {"id": 1}}
//! {"before": null, "after": {"id": 1}, "source": {"db": "shop", "table": "customers", "ts_ms": 0}, "op": "c"}
//! ```
//!
//! A line with `columns` declares a table, and stands before its changes; without one the types follow from the values: whole
//! numbers are int64 (uint64 beyond it), other numbers float64, objects and lists json, everything else text, and the key is
//! the column `id`. NaN and infinities, which JSON lacks, are the texts `NaN`, `inf` and `-inf` in a declared float column.
//! Records in Debezium's envelope are read as they are, with or without `payload` around them.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value as Json};
use sluicegate_storage::file;
use sluicegate_table_pattern::name_parts;

use super::record;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{
        Batch, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Table, TableName,
        TableRows, Transaction, Values,
    },
    limits::ROWS_FILE_BYTES,
};

type Object = Map<String, Json>;

/// One change, as it stands in the file.
#[derive(Clone, Debug)]
struct Entry {
    table: usize,
    operation: Operation,
    before: Option<Object>,
    after: Option<Object>,
    time_us: i64,
    line: usize,
}

/// Changes and their tables.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    tables: Vec<Arc<Table>>,
    changes: Vec<Entry>,
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    names: BTreeMap<TableName, usize>,
    declared: Vec<Option<Vec<ColumnInfo>>>,
    tables: Vec<TableName>,
    changes: Vec<Entry>,
}

impl Rows {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |what: &str| Error::new(ErrorKind::Config, format!("{}: {what}", path.display()));
        let content = file::read(path, ROWS_FILE_BYTES).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => fault("it is too large").caused_by(e).remedy("take a part of it, e.g. with `head`"),
            _ => fault("it cannot be read").caused_by(e).remedy("check the path"),
        })?;
        Self::parse(content.as_slice(), fault)
    }

    /// Reads what is in a file; `fault` makes the error of what is wrong with it.
    pub(super) fn parse(content: impl BufRead, fault: impl Fn(&str) -> Error) -> Result<Self> {
        let mut reader = Reader::default();
        for (line, text) in (1..).zip(content.lines()) {
            let text = text.map_err(|e| fault(&format!("line {line} cannot be read")).caused_by(e).remedy("write UTF-8"))?;
            if text.trim().is_empty() {
                continue;
            }
            reader.line(line, &text).map_err(|what| {
                fault(&format!("line {line}: {what}"))
                    .remedy("write one change a line, as `sluicegate plugin test --help` shows, or Debezium's envelope")
            })?;
        }
        reader.finish().and_then(|rows| rows.try_out().map(|()| rows)).map_err(|(line, what)| {
            fault(&format!("line {line}: {what}")).remedy("correct the value, or declare the column's type in a first line with `columns`")
        })
    }

    /// The changes of batches.
    pub fn from_batches<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Self {
        let mut rows = Self::default();
        for batch in batches {
            for change in &batch.changes {
                let from = &batch.tables[change.table as usize];
                let table = rows.tables.iter().position(|table| **table == *from.table).unwrap_or_else(|| {
                    rows.tables.push(from.table.clone());
                    rows.tables.len() - 1
                });
                let image = |row: u32| (row != NO_IMAGE).then(|| record::image(from, row, Place::Value));
                rows.changes.push(Entry {
                    table,
                    operation: change.operation,
                    before: image(change.before),
                    after: image(change.after),
                    time_us: batch.events[change.event as usize].time_us,
                    line: rows.changes.len() + 1,
                });
            }
        }
        rows
    }

    /// How many changes there are.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Where a change stands in its file, from 1.
    pub fn line(&self, index: usize) -> usize {
        self.changes.get(index).map_or(0, |change| change.line)
    }

    /// Every value fits its column.
    fn try_out(&self) -> Result<(), (usize, String)> {
        (0..self.changes.len()).try_for_each(|index| self.cut(index, 1).map(drop))
    }

    /// `count` changes from `from` on as a batch; behind the last comes the first again.
    pub fn batch(&self, from: usize, count: usize) -> Result<Batch> {
        self.cut(from, count)
            .map_err(|(line, what)| Error::new(ErrorKind::Internal, format!("the change of line {line} cannot be put in a batch: {what}")))
    }

    fn cut(&self, from: usize, count: usize) -> Result<Batch, (usize, String)> {
        let mut batch = Batch::empty(from as u64, Lane::new("rows"), Offset::from_json("{}"));
        batch.transactions.push(Transaction { id: None, file: "rows".into(), position: 0, complete: true });
        let mut places: BTreeMap<usize, u32> = BTreeMap::new();
        for (event, entry) in (0u32..).zip(self.changes.iter().cycle().skip(from % self.changes.len().max(1)).take(count)) {
            let table = *places.entry(entry.table).or_insert_with(|| {
                batch.tables.push(TableRows::new(self.tables[entry.table].clone()));
                batch.tables.len() as u32 - 1
            });
            let rows = &mut batch.tables[table as usize];
            let mut push = |image: &Option<Object>, which| match image {
                Some(row) => append(rows, row, which).map_err(|what| (entry.line, what)),
                None => Ok(NO_IMAGE),
            };
            let (before, after) = (push(&entry.before, Image::Before)?, push(&entry.after, Image::After)?);
            batch.events.push(Event { position: entry.line as u64, time_us: entry.time_us, ..Event::default() });
            batch.changes.push(Change { table, before, after, operation: entry.operation, event, row: 0 });
        }
        batch.taken = batch.changes.len() as u32;
        Ok(batch)
    }
}

impl Reader {
    fn line(&mut self, line: usize, text: &str) -> Result<(), String> {
        let mut object: Object = serde_json::from_str(text).map_err(|e| format!("this is no JSON object: {e}"))?;
        if let Some(Json::Object(payload)) = object.get_mut("payload") {
            object = std::mem::take(payload);
        }
        let name = match (object.get("table"), object.get("source")) {
            (Some(Json::String(name)), _) => table_name(name)?,
            (None, Some(Json::Object(source))) => {
                let part = |key: &str| source.get(key).and_then(Json::as_str).filter(|part| !part.is_empty()).map(str::to_owned);
                let (Some(database), Some(table)) = (part("db"), part("table")) else {
                    return Err("`source` names no `db` and `table`".into());
                };
                TableName { database, schema: part("schema"), table }
            }
            _ => return Err("neither `table` nor `source` says which table it is".into()),
        };
        let table = *self.names.entry(name.clone()).or_insert_with(|| {
            self.tables.push(name);
            self.declared.push(None);
            self.tables.len() - 1
        });
        if let Some(Json::Object(columns)) = object.get("columns") {
            if self.changes.iter().any(|change| change.table == table) {
                return Err("a declaration has to stand before the table's changes".into());
            }
            self.declared[table] = Some(declared(columns, object.get("key"))?);
            return Ok(());
        }
        let mut image = |key: &str| match object.get_mut(key).map(Json::take) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(row)) => Ok(Some(row)),
            Some(_) => Err(format!("`{key}` is no object")),
        };
        let (before, after) = (image("before")?, image("after")?);
        let operation = match (object.get("op").and_then(Json::as_str), before.is_some(), after.is_some()) {
            (Some("insert" | "c") | None, false, true) => Operation::Insert,
            (Some("snapshot" | "r"), false, true) => Operation::Snapshot,
            (Some("update" | "u") | None, true, true) => Operation::Update,
            // of a source that sends no before images
            (Some("update" | "u"), false, true) => Operation::Update,
            (Some("delete" | "d") | None, true, false) => Operation::Delete,
            (Some("insert" | "c" | "snapshot" | "r" | "update" | "u" | "delete" | "d"), ..) => {
                return Err(
                    "`before` and `after` do not fit `op`: insert and snapshot have `after`, delete `before`, update both or only `after`"
                        .into(),
                );
            }
            (Some(_), ..) => return Err("`op` is none of insert, update, delete, snapshot, c, u, d, r".into()),
            (None, false, false) => return Err("neither `before` nor `after` is there".into()),
        };
        let source = object.get("source");
        let time = |key: &str, scale: i64| source.and_then(|s| s.get(key)).and_then(Json::as_i64).and_then(|t| t.checked_mul(scale));
        let time_us =
            object.get("time_us").and_then(Json::as_i64).or_else(|| time("ts_us", 1)).or_else(|| time("ts_ms", 1000)).unwrap_or(0);
        self.changes.push(Entry { table, operation, before, after, time_us, line });
        Ok(())
    }

    fn finish(self) -> Result<Rows, (usize, String)> {
        let mut tables = Vec::new();
        for (index, (name, declared)) in self.tables.into_iter().zip(self.declared).enumerate() {
            let columns = match declared {
                Some(columns) => columns,
                None => inferred(self.changes.iter().filter(|change| change.table == index))?,
            };
            tables.push(Arc::new(Table { name, destination: None, columns }));
        }
        Ok(Rows { tables, changes: self.changes })
    }
}

fn table_name(text: &str) -> Result<TableName, String> {
    match name_parts(text).map_err(|fault| format!("`table` is no table's name: {fault}"))?.as_slice() {
        [database, table] => Ok(TableName::new(database, table)),
        [database, schema, table] => Ok(TableName { database: database.into(), schema: Some(schema.into()), table: table.into() }),
        _ => Err("`table` is written `database.table` or `database.schema.table`, with backticks around a part that holds a dot".into()),
    }
}

const TYPES: [(&str, DataType); 13] = [
    ("boolean", DataType::Boolean),
    ("int64", DataType::Int64),
    ("uint64", DataType::UInt64),
    ("float32", DataType::Float32),
    ("float64", DataType::Float64),
    ("decimal", DataType::Decimal),
    ("text", DataType::Text),
    ("bytes", DataType::Bytes),
    ("date", DataType::Date),
    ("time", DataType::Time),
    ("datetime", DataType::DateTime),
    ("timestamp", DataType::Timestamp),
    ("json", DataType::Json),
];

fn name_of(data_type: DataType) -> &'static str {
    TYPES.iter().find(|(_, known)| *known == data_type).map_or("", |(name, _)| name)
}

fn column(name: &str, data_type: DataType, primary_key: bool) -> ColumnInfo {
    ColumnInfo {
        name: name.to_owned(),
        data_type,
        native_type: NativeType::default(),
        nullable: !primary_key,
        primary_key,
        place: Place::Value,
    }
}

/// The columns of a line that declares a table.
fn declared(columns: &Object, key: Option<&Json>) -> Result<Vec<ColumnInfo>, String> {
    let key: Vec<&str> = match key {
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        Some(_) => return Err("`key` is a list of columns".into()),
        None => vec!["id"],
    };
    let known = || TYPES.map(|(name, _)| name).join(", ");
    columns
        .iter()
        .map(|(name, kind)| {
            let data_type = TYPES.iter().find(|(known, _)| kind.as_str() == Some(known)).map(|(_, data_type)| *data_type);
            let data_type = data_type.ok_or_else(|| format!("column `{name}` has an unknown type; it is one of {}", known()))?;
            Ok(column(name, data_type, key.contains(&name.as_str())))
        })
        .collect()
}

/// The columns that the images of some changes have.
fn inferred<'a>(changes: impl Iterator<Item = &'a Entry>) -> Result<Vec<ColumnInfo>, (usize, String)> {
    let mut columns: Vec<(String, Option<DataType>)> = Vec::new();
    for change in changes {
        for (name, value) in change.before.iter().chain(&change.after).flatten() {
            let place = columns.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                columns.push((name.clone(), None));
                columns.len() - 1
            });
            let found = match value {
                Json::Null => continue,
                Json::Bool(_) => DataType::Boolean,
                Json::Number(n) if n.is_i64() => DataType::Int64,
                Json::Number(n) if n.is_u64() => DataType::UInt64,
                Json::Number(_) => DataType::Float64,
                Json::String(_) => DataType::Text,
                Json::Array(_) | Json::Object(_) => DataType::Json,
            };
            let kind = &mut columns[place].1;
            *kind = Some(match (*kind, found) {
                (None, found) => found,
                (Some(known), found) if known == found => found,
                (Some(DataType::Int64 | DataType::UInt64), DataType::UInt64) | (Some(DataType::UInt64), DataType::Int64) => {
                    DataType::UInt64
                }
                (Some(DataType::Int64 | DataType::UInt64), DataType::Float64)
                | (Some(DataType::Float64), DataType::Int64 | DataType::UInt64) => DataType::Float64,
                (Some(known), found) => {
                    let what = format!("column `{name}` is {} here and {} before", name_of(found), name_of(known));
                    return Err((change.line, what));
                }
            });
        }
    }
    Ok(columns.into_iter().map(|(name, kind)| column(&name, kind.unwrap_or(DataType::Text), name == "id")).collect())
}

/// Appends a row image; answers its number.
fn append(rows: &mut TableRows, row: &Object, image: Image) -> Result<u32, String> {
    if let Some(unknown) = row.keys().find(|key| !rows.table.columns.iter().any(|column| column.name == **key)) {
        return Err(format!("column `{unknown}` was not declared"));
    }
    for (info, column) in rows.table.columns.iter().zip(&mut rows.columns) {
        let value = row.get(&info.name).unwrap_or(&Json::Null);
        push(column, info.data_type, value).ok_or_else(|| format!("column `{}` is no {}", info.name, name_of(info.data_type)))?;
    }
    rows.images.push(image as u8);
    Ok(rows.images.len() as u32 - 1)
}

/// Appends a value; `None` when it is not of the column's type.
fn push(column: &mut Column, data_type: DataType, value: &Json) -> Option<()> {
    if value.is_null() {
        column.push_null();
        return Some(());
    }
    match &mut column.values {
        Values::Boolean(v) => v.push(match value {
            Json::Bool(b) => u8::from(*b),
            other => u8::try_from(other.as_u64()?).ok().filter(|b| *b < 2)?,
        }),
        Values::Int64(v) => v.push(value.as_i64()?),
        Values::UInt64(v) => v.push(value.as_u64()?),
        Values::Float32(v) => {
            let double = float(value)?;
            v.push(Some(double as f32).filter(|single| single.is_finite() || !double.is_finite())?);
        }
        Values::Float64(v) => v.push(float(value)?),
        Values::Bytes(v) => v.push(&STANDARD.decode(value.as_str()?).ok()?),
        Values::Text(v) => match (data_type, value) {
            (_, Json::String(text)) => v.push(text.as_bytes()),
            (DataType::Json, document) => v.push(document.to_string().as_bytes()),
            (DataType::Decimal, Json::Number(number)) => v.push(number.to_string().as_bytes()),
            _ => return None,
        },
    }
    Some(())
}

/// A number, or one of those that JSON lacks, as [`record`] writes it.
fn float(value: &Json) -> Option<f64> {
    match value.as_str() {
        Some("NaN") => Some(f64::NAN),
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        _ => value.as_f64(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(lines: &[Json]) -> Rows {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.iter().fold(String::new(), |text, line| format!("{text}{line}\n"))).unwrap();
        Rows::read(file.path()).unwrap()
    }

    fn told(rows: &Rows) -> Vec<Json> {
        let batch = rows.batch(0, rows.len()).unwrap();
        batch.validate().unwrap();
        batch.changes.iter().map(|change| record::change(&batch, change).into()).collect()
    }

    #[test]
    fn every_type_is_told_as_it_was_read() {
        let columns: Object = TYPES.iter().map(|(name, _)| ((*name).to_owned(), json!(name))).collect();
        let row = json!({
            "boolean": true, "int64": i64::MIN, "uint64": u64::MAX, "float32": 0.1, "float64": -1e300, "decimal": "-12.50",
            "text": "\u{1f40b}\n\"", "bytes": "/wA=", "date": "0000-00-00", "time": "-838:59:59.000000",
            "datetime": "2024-02-29 13:14:15", "timestamp": "2024-02-29T13:14:15Z", "json": "{\"a\":1}",
        });
        let nulls: Object = TYPES.iter().map(|(name, _)| ((*name).to_owned(), Json::Null)).collect();
        let change = json!({ "table": "erp.dbo.all", "op": "update", "before": nulls, "after": row });
        let rows = read(&[json!({ "table": "erp.dbo.all", "columns": columns, "key": [] }), change.clone()]);
        assert_eq!(told(&rows), [change]);
        // and once more from the batch itself
        assert_eq!(told(&Rows::from_batches(&[rows.batch(0, 1).unwrap()])), told(&rows));
    }

    #[test]
    fn floats_that_json_lacks_are_texts_and_too_large_ones_are_refused() {
        let declared = json!({ "table": "a.b", "columns": { "f": "float32", "d": "float64" }, "key": [] });
        let lacking = ["NaN", "inf", "-inf"].map(|word| json!({ "table": "a.b", "op": "insert", "after": { "f": word, "d": word } }));
        let rows = read(&[std::slice::from_ref(&declared), lacking.as_slice()].concat());
        assert_eq!(told(&rows), lacking);
        assert_eq!(told(&Rows::from_batches(&[rows.batch(0, 3).unwrap()])), lacking);
        for wrong in [json!({ "f": 1e300 }), json!({ "d": "nan" })] {
            let content = format!("{declared}\n{}", json!({ "table": "a.b", "after": wrong }));
            assert!(Rows::parse(content.as_bytes(), |what| Error::new(ErrorKind::Config, what)).is_err());
        }
    }

    #[test]
    fn types_follow_from_all_values_of_a_column() {
        let rows = read(&[
            json!({ "table": "a.b", "after": { "id": 1, "n": -1, "big": 1, "f": 1, "doc": { "x": [1] }, "none": null } }),
            json!({ "table": "a.b", "after": { "id": 2, "n": 2, "big": u64::MAX, "f": 0.5, "late": "x" } }),
        ]);
        let types: Vec<_> = rows.tables[0].columns.iter().map(|c| (c.name.as_str(), name_of(c.data_type), c.primary_key)).collect();
        let expected = [("id", "int64", true), ("n", "int64", false), ("big", "uint64", false), ("f", "float64", false)];
        assert_eq!(types[..4], expected);
        assert_eq!(types[4..], [("doc", "json", false), ("none", "text", false), ("late", "text", false)]);
    }

    #[test]
    fn records_in_the_envelope_of_debezium_are_read_with_and_without_their_schema() {
        let record =
            |op: &str| json!({ "before": null, "after": { "id": 7 }, "source": { "db": "shop", "table": "orders", "ts_ms": 5 }, "op": op });
        let rows = read(&[record("c"), json!({ "schema": {}, "payload": record("r") })]);
        assert_eq!(told(&rows)[1], json!({ "table": "shop.orders", "op": "snapshot", "after": { "id": 7 } }));
        assert_eq!(rows.batch(0, 1).unwrap().events[0].time_us, 5000);
    }

    #[test]
    fn a_batch_begins_anew_behind_the_last_change() {
        let rows = read(&[json!({ "table": "a.b", "after": { "id": 1 } }), json!({ "table": "a.c", "before": { "id": 2 } })]);
        let batch = rows.batch(1, 5).unwrap();
        batch.validate().unwrap();
        assert_eq!((batch.changes.len(), batch.tables.len(), batch.taken), (5, 2, 5));
        assert_eq!(batch.changes[0].operation, Operation::Delete);
    }
}
