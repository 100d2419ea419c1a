//! Debezium's envelope, with the fields of [`super::super::debezium`] in the same order.

use serde_json::Value;

use super::{
    super::{
        connect,
        format_options::Origin,
        head::{Head, Stamp},
    },
    Plan,
    encoder::Body,
    row::{Misfit, Row},
    schema,
    value::{bytes, long, optional},
};
use sluicegate_config::Envelope;
use sluicegate_model::change::{Batch, Change, NO_IMAGE, Operation, Place, Table, TableRows};

/// The operation of a table that was emptied.
const TRUNCATE: u8 = b't';
/// Neither the source's thread nor its query nor a transaction's block is told.
const NOT_TOLD: [u8; 3] = [0; 3];

/// The records of a table version.
pub(super) struct Debezium {
    row: Row,
    schema: Value,
    name: String,
    source: Source,
    head: Head,
    versions: Option<Option<String>>,
    /// The end of the record for each operation at the current time.
    tails: [Vec<u8>; 5],
}

impl Debezium {
    pub(super) fn new(table: &Table, plan: &Plan) -> Self {
        let columns: Vec<usize> = (0..table.columns.len()).filter(|column| table.columns[*column].place == Place::Value).collect();
        let (row, fields) =
            Row::new(table, &columns, |column| plan.column(column), |column| column.nullable, &plan.values, Envelope::Debezium);
        let base = plan.base(table);
        let value = schema::record(&format!("{base}.Value"), fields, None, true);
        let schema = schema::envelope(&base, &value, &plan.origin.connector, table.name.schema.is_some(), plan.versions);
        Self {
            row,
            schema,
            name: format!("{base}.Envelope"),
            source: Source::new(table, &plan.origin),
            head: Head::default(),
            versions: plan.versions.then_some(None),
            tails: Default::default(),
        }
    }

    fn image(&self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<(), Misfit> {
        if row == NO_IMAGE {
            out.push(0);
            return Ok(());
        }
        out.push(2);
        self.row.write(&rows.columns, row, false, out)
    }
}

impl Body for Debezium {
    fn schema(&self) -> (Value, String) {
        (self.schema.clone(), self.name.clone())
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions = Some(versions.map(str::to_owned));
    }

    fn begin(&mut self, now_us: i64) {
        let codes = [Operation::Snapshot, Operation::Insert, Operation::Update, Operation::Delete].map(super::super::code);
        for (code, tail) in codes.into_iter().chain([TRUNCATE]).zip(&mut self.tails) {
            tail.clear();
            tail.extend_from_slice(&NOT_TOLD);
            bytes(&[code], tail);
            for time in [Some(now_us.div_euclid(1000)), Some(now_us), now_us.checked_mul(1000)] {
                optional_long(time, tail);
            }
            if let Some(versions) = &self.versions {
                optional(versions.as_ref().map(String::as_bytes), tail);
            }
        }
    }

    #[inline]
    fn write(&mut self, batch: &Batch, rows: &TableRows, change: &Change, _absent: bool, out: &mut Vec<u8>) -> Result<(), Misfit> {
        self.image(rows, change.before, out)?;
        self.image(rows, change.after, out)?;
        let stamp = Stamp::new(batch, change);
        let Self { source, head, .. } = self;
        head.append(&stamp, out, |text| source.write(&stamp, text));
        long(change.row.into(), out);
        out.extend_from_slice(&self.tails[change.operation as usize]);
        Ok(())
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0, 0]);
        self.source.write(stamp, out);
        out.push(0);
        out.extend_from_slice(&self.tails[4]);
    }
}

fn optional_long(value: Option<i64>, out: &mut Vec<u8>) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(2);
            long(value, out);
        }
    }
}

/// The constant parts of the `source` block, as [`connect::SOURCE`] and those that follow order them.
struct Source {
    /// Version, connector and name.
    origin: Vec<u8>,
    /// Database, and no sequence.
    database: Vec<u8>,
    /// Schema, if there is one, and table.
    table: Vec<u8>,
}

impl Source {
    fn new(table: &Table, from: &Origin) -> Self {
        debug_assert_eq!(connect::SOURCE.len() + connect::TIMES.len() + connect::PLACE.len(), 16, "what `write` writes");
        let mut origin = Vec::new();
        for text in [Origin::VERSION, &from.connector, &from.pipeline] {
            bytes(text.as_bytes(), &mut origin);
        }
        let mut database = Vec::new();
        bytes(table.name.database.as_bytes(), &mut database);
        database.push(0);
        let mut name = Vec::new();
        if let Some(schema) = &table.name.schema {
            bytes(schema.as_bytes(), &mut name);
        }
        optional(Some(table.name.table.as_bytes()), &mut name);
        Self { origin, database, table: name }
    }

    /// The block up to the row's number.
    fn write(&self, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.origin);
        long(stamp.time_us.div_euclid(1000), out);
        // the first part of its union is the string
        out.push(0);
        bytes(if stamp.snapshot { b"true" } else { b"false" }, out);
        out.extend_from_slice(&self.database);
        optional_long(Some(stamp.time_us), out);
        optional_long(stamp.time_us.checked_mul(1000), out);
        out.extend_from_slice(&self.table);
        long(stamp.server_id.into(), out);
        optional(stamp.id.map(str::as_bytes), out);
        bytes(stamp.file.as_bytes(), out);
        long(stamp.position as i64, out);
    }
}
