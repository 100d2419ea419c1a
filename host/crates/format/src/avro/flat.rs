//! Rows without an envelope: what happened and where, and the row's columns, as [`super::super::flat`] has them.
//!
//! Every column may be null, whatever the table says: a table that was emptied has none, and what the source did not send is null, too,
//! with its name in `_absent`.

use serde_json::{Value, json};

use super::{
    super::head::{Head, Stamp},
    Plan,
    encoder::Body,
    row::{Misfit, Row},
    schema,
    value::{bytes, long, optional},
};
use sluicegate_config::Envelope;
use sluicegate_model::change::{Batch, Change, NO_IMAGE, Place, Table, TableRows};

/// Our own field for columns that the source did not send, without the leading underscore.
pub(super) const ABSENT: &str = "absent";

/// The records of a table version.
pub(super) struct Flat {
    row: Row,
    schema: Value,
    name: String,
    /// Database, schema if there is one, and table.
    table: Vec<u8>,
    /// From there to the row's number.
    head: Head,
    versions: Option<Option<String>>,
    /// The names of columns as `_absent` has them.
    names: Vec<String>,
}

impl Flat {
    pub(super) fn new(table: &Table, plan: &Plan) -> Self {
        let columns: Vec<usize> = (0..table.columns.len()).filter(|column| table.columns[*column].place == Place::Value).collect();
        let (row, row_fields) = Row::new(table, &columns, |column| plan.column(column), |_| true, &plan.values, Envelope::Flat);
        let string = |name: &str, optional: bool| schema::field(name, "string".into(), optional);
        let mut fields = vec![string("_op", false), string("_database", false)];
        fields.extend(table.name.schema.is_some().then(|| string("_schema", false)));
        fields.push(string("_table", false));
        fields.push(schema::field("_ts", json!({ "type": "long", "logicalType": "timestamp-micros" }), false));
        fields.extend(plan.versions.then(|| string("_plugins", true)));
        fields.extend([string("_gtid", true), string("_file", true)]);
        fields.extend([schema::field("_pos", "long".into(), false), schema::field("_row", "int".into(), false)]);
        fields.push(json!({ "name": format!("_{ABSENT}"), "type": { "type": "array", "items": "string" }, "default": [] }));
        fields.extend(row_fields);
        let mut front = Vec::new();
        bytes(table.name.database.as_bytes(), &mut front);
        if let Some(schema) = &table.name.schema {
            bytes(schema.as_bytes(), &mut front);
        }
        bytes(table.name.table.as_bytes(), &mut front);
        let name = format!("{}.Row", plan.base(table));
        Self {
            row,
            schema: schema::record(&name, fields, None, false),
            name,
            table: front,
            head: Head::default(),
            versions: plan.versions.then_some(None),
            names: table.columns.iter().map(|column| plan.column(column)).collect(),
        }
    }

    /// Appends the names of what is absent.
    #[cold]
    fn absent(&self, rows: &TableRows, row: u32, out: &mut Vec<u8>) {
        let count = self.row.absent(&rows.columns, row).count();
        if count > 0 {
            long(count as i64, out);
            self.row.absent(&rows.columns, row).for_each(|column| bytes(self.names[column].as_bytes(), out));
        }
        out.push(0);
    }
}

impl Body for Flat {
    fn schema(&self) -> (Value, String) {
        (self.schema.clone(), self.name.clone())
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions = Some(versions.map(str::to_owned));
        self.head.clear();
    }

    fn begin(&mut self, _now_us: i64) {}

    #[inline]
    fn write(&mut self, batch: &Batch, rows: &TableRows, change: &Change, absent: bool, out: &mut Vec<u8>) -> Result<(), Misfit> {
        bytes(&[super::super::code(change.operation)], out);
        let stamp = Stamp::new(batch, change);
        let Self { table, versions, head, .. } = self;
        head.append(&stamp, out, |text| place(table, versions.as_ref(), &stamp, text));
        long(change.row.into(), out);
        let image = if change.after == NO_IMAGE { change.before } else { change.after };
        if absent {
            self.absent(rows, image, out);
        } else {
            out.push(0);
        }
        self.row.write(&rows.columns, image, true, out)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        bytes(b"t", out);
        place(&self.table, self.versions.as_ref(), stamp, out);
        out.extend_from_slice(&[0, 0]);
        self.row.nulls(out);
    }
}

/// From the table's name to the row's number.
fn place(table: &[u8], versions: Option<&Option<String>>, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(table);
    long(stamp.time_us, out);
    if let Some(versions) = versions {
        optional(versions.as_ref().map(String::as_bytes), out);
    }
    optional(stamp.id.map(str::as_bytes), out);
    optional(Some(stamp.file).filter(|file| !file.is_empty()).map(str::as_bytes), out);
    long(stamp.position as i64, out);
}
