//! The encoder of one table version: what its records and keys have in common, whatever the envelope.

use std::sync::Arc;

use serde_json::Value;

use super::{
    super::{
        encoder::{Records, TableEncoder},
        head::Stamp,
        headers,
        registration::{FRAMING, Registered, SchemaIds},
    },
    Plan,
    row::{Misfit, Row},
    schema,
};
use sluicegate_config::Envelope;
use sluicegate_model::{
    Result,
    change::{Batch, Change, ColumnInfo, Place, Table, TableRows, Truncate},
};

/// What an envelope adds to [`AvroEncoder`].
pub(super) trait Body: Send {
    /// Its schema and the full name of its record.
    fn schema(&self) -> (Value, String);

    /// The plugins' versions that the following records tell.
    fn versions(&mut self, versions: Option<&str>);

    /// Renders what is the same for all records of a batch.
    fn begin(&mut self, now_us: i64);

    /// Appends the record of a change. `absent`: whether values of the rows may be absent.
    fn write(&mut self, batch: &Batch, rows: &TableRows, change: &Change, absent: bool, out: &mut Vec<u8>) -> Result<(), Misfit>;

    /// Appends the record of a table that was emptied.
    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>);
}

/// Everything but the body.
pub(super) struct Common {
    ids: Option<Arc<dyn SchemaIds>>,
    topic: Option<Arc<str>>,
    key: Key,
    row_key: Key,
    headers: headers::Plan,
    header_bounds: headers::Bounds,
    clock: fn() -> i64,
    begun: Option<u64>,
    versions_inside: bool,
    versions: Option<Arc<str>>,
    subject: sluicegate_config::Subject,
}

/// What stands in front of a record or a key: nothing where there are no ids.
#[inline]
fn front(registered: &mut Registered, topic: Option<&Arc<str>>, ids: Option<&Arc<dyn SchemaIds>>) -> Result<Option<[u8; FRAMING]>> {
    ids.map(|ids| registered.front(topic, &**ids)).transpose()
}

struct Key {
    row: Row,
    registered: Registered,
}

impl Key {
    fn new(table: &Table, plan: &Plan, chosen: impl Fn(&ColumnInfo) -> bool) -> Self {
        let columns = table.columns.iter().enumerate().filter(|(_, column)| column.place == Place::Value && chosen(column));
        let columns: Vec<usize> = columns.map(|(index, _)| index).collect();
        let optional = |column: &ColumnInfo| column.nullable && !column.primary_key;
        let (row, fields) = Row::new(table, &columns, |column| super::name::field(&column.name), optional, &plan.values, plan.envelope);
        let name = format!("{}.Key", plan.base(table));
        let schema = schema::record(&name, fields, None, plan.envelope == Envelope::Debezium);
        Self { row, registered: Registered::new(schema::text(schema), name, "key", plan.subject) }
    }
}

impl Common {
    pub(super) fn new(table: &Table, plan: &Plan, ids: Option<Arc<dyn SchemaIds>>, header_bounds: headers::Bounds) -> Self {
        Self {
            ids,
            topic: None,
            key: Key::new(table, plan, |column| column.primary_key),
            row_key: Key::new(table, plan, |_| true),
            headers: headers::Plan::new(table),
            header_bounds,
            clock: plan.clock,
            begun: None,
            versions_inside: plan.versions,
            versions: None,
            subject: plan.subject,
        }
    }
}

/// The encoder of a table version.
pub(super) struct AvroEncoder<B> {
    common: Common,
    body: B,
    value: Registered,
}

impl<B: Body> AvroEncoder<B> {
    pub(super) fn new(common: Common, body: B) -> Self {
        let (schema, name) = body.schema();
        let value = Registered::new(schema::text(schema), name, "value", common.subject);
        Self { common, body, value }
    }

    /// Renders what is the same for all records of a batch.
    #[cold]
    fn begin(&mut self, batch: &Batch) {
        self.common.begun = Some(batch.number);
        if self.common.versions_inside && self.common.versions != batch.versions {
            self.common.versions = batch.versions.clone();
            self.body.versions(self.common.versions.as_deref());
        }
        self.body.begin((self.common.clock)());
    }
}

impl Key {
    /// Appends it without its schema's id; nothing where it cannot be written.
    fn write(&self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.row.write(&rows.columns, row, false, out).map_err(|misfit| {
            out.truncate(start);
            misfit.error(&rows.table)
        })
    }
}

/// Appends a key, or nothing.
fn write_key(
    key: &mut Key,
    topic: Option<&Arc<str>>,
    ids: Option<&Arc<dyn SchemaIds>>,
    rows: &TableRows,
    row: u32,
    out: &mut Vec<u8>,
) -> Result<()> {
    let start = out.len();
    out.extend(front(&mut key.registered, topic, ids)?.into_iter().flatten());
    key.write(rows, row, out).inspect_err(|_| out.truncate(start))
}

impl<B: Body> TableEncoder for AvroEncoder<B> {
    fn encode(&mut self, batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()> {
        if self.common.begun != Some(batch.number) {
            self.begin(batch);
        }
        let front = front(&mut self.value, self.common.topic.as_ref(), self.common.ids.as_ref())?;
        let front = front.as_ref().map_or(&[] as &[u8], |front| front);
        let mut last = None;
        for change in changes {
            let rows = &batch.tables[change.table as usize];
            let absent = match last {
                Some((table, absent)) if table == change.table => absent,
                _ => rows.may_be_absent(),
            };
            last = Some((change.table, absent));
            let buffer = out.buffer();
            let start = buffer.len();
            buffer.extend_from_slice(front);
            if let Err(misfit) = self.body.write(batch, rows, change, absent, buffer) {
                buffer.truncate(start);
                return Err(misfit.error(&rows.table));
            }
            out.end(1)?;
        }
        Ok(())
    }

    fn aim(&mut self, topic: &Arc<str>) {
        if !self.common.topic.as_ref().is_some_and(|known| Arc::ptr_eq(known, topic)) {
            self.common.topic = Some(topic.clone());
        }
    }

    fn file_header(&self) -> Option<&[u8]> {
        self.common.ids.is_none().then(|| self.value.schema().as_bytes())
    }

    fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        let stamp = Stamp::of_event(&truncate.event, &truncate.transaction);
        let front = front(&mut self.value, self.common.topic.as_ref(), self.common.ids.as_ref())?;
        self.common.begun = None;
        self.body.begin((self.common.clock)());
        let buffer = out.buffer();
        buffer.extend(front.into_iter().flatten());
        self.body.truncate(&stamp, buffer);
        out.end(0)
    }

    fn key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<bool> {
        let Common { key, topic, ids, .. } = &mut self.common;
        if key.row.is_empty() {
            return Ok(false);
        }
        write_key(key, topic.as_ref(), ids.as_ref(), rows, row, out).map(|()| true)
    }

    fn row_key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<()> {
        let Common { row_key, topic, ids, .. } = &mut self.common;
        write_key(row_key, topic.as_ref(), ids.as_ref(), rows, row, out)
    }

    fn bare_key(&mut self, rows: &TableRows, row: u32, whole: bool, out: &mut Vec<u8>) -> Result<()> {
        let key = if whole { &self.common.row_key } else { &self.common.key };
        if key.row.is_empty() { Ok(()) } else { key.write(rows, row, out) }
    }

    fn headers(&mut self, rows: &TableRows, row: u32, each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        self.common.headers.each(&rows.columns, row, self.common.header_bounds, |name, value, _| each(name, value))
    }
}
