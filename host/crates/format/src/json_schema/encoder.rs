//! The encoder of one table version: documents of JSON with their schemas' ids in front.

use std::sync::Arc;

use super::{
    super::{
        encoder::{Records, TableEncoder},
        head::Stamp,
        json_format::JsonEncoder,
        record::{Context, Record, Written},
        registration::{FRAMING, Registered, SchemaIds},
        row::Misfit,
    },
    JsonSchemaFormat,
    never_null::NeverNull,
    schema::{self, Names},
};
use sluicegate_config::RecordFormat;
use sluicegate_model::{
    Result,
    change::{Batch, Change, ColumnInfo, Place, Table, TableRows, Truncate},
};

/// A record with the id of its schema in front.
struct Framed<R> {
    front: [u8; FRAMING],
    record: R,
}

impl<R: Record> Record for Framed<R> {
    fn versions(&mut self, versions: Option<&str>) {
        self.record.versions(versions);
    }

    fn begin(&mut self, now_us: i64) {
        self.record.begin(now_us);
    }

    #[inline]
    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        out.extend_from_slice(&self.front);
        self.record.write(context, out)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.front);
        self.record.truncate(stamp, out)
    }
}

/// What is constant of the keys of a table version, beside their documents.
struct Key {
    registered: Registered,
    never_null: NeverNull,
    is_empty: bool,
}

impl Key {
    fn new(table: &Table, format: &JsonSchemaFormat, chosen: impl Fn(&ColumnInfo) -> bool) -> Self {
        let optional = |column: &ColumnInfo| column.nullable && !column.primary_key;
        let columns: Vec<&ColumnInfo> = table.columns.iter().filter(|column| column.place == Place::Value && chosen(column)).collect();
        let title = format!("{}.Key", format.base(table));
        let schema = schema::key(&title, &columns, optional, &format.json.options.format.values);
        Self {
            registered: Registered::new(schema, title, "key", format.subject),
            never_null: NeverNull::new(table, chosen, optional),
            is_empty: columns.is_empty(),
        }
    }

    /// Appends a key, or nothing.
    fn write(
        &mut self,
        (topic, ids): (Option<&Arc<str>>, &dyn SchemaIds),
        rows: &TableRows,
        row: u32,
        out: &mut Vec<u8>,
        document: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.never_null.check(rows, row)?;
        let start = out.len();
        out.extend_from_slice(&self.registered.front(topic, ids)?);
        document(out).inspect_err(|_| out.truncate(start))
    }
}

/// The encoder of a table version.
pub(super) struct JsonSchemaEncoder<R> {
    json: JsonEncoder<Framed<R>>,
    ids: Arc<dyn SchemaIds>,
    topic: Option<Arc<str>>,
    value: Registered,
    never_null: NeverNull,
    key: Key,
    row_key: Key,
}

impl<R: Record> JsonSchemaEncoder<R> {
    /// `record` makes the documents.
    pub(super) fn new(table: &Table, format: &JsonSchemaFormat, record: R) -> Self {
        let options = &format.json.options;
        let names = Names { base: format.base(table), connector: &options.origin.connector };
        let versions = format.json.versions_inside;
        let optional = |column: &ColumnInfo| column.nullable || format.absent;
        let (schema, title, never_null) = if options.format.record == RecordFormat::Flat {
            let (schema, title) = schema::flat(table, &names, versions, &options.format.values);
            (schema, title, NeverNull::none())
        } else {
            let (schema, title) = schema::envelope(table, &names, versions, optional, &options.format.values);
            (schema, title, NeverNull::new(table, |_| true, optional))
        };
        Self {
            json: format.json.json_encoder(table, Framed { front: [0; FRAMING], record }),
            ids: format.ids.clone(),
            topic: None,
            value: Registered::new(schema, title, "value", format.subject),
            never_null,
            key: Key::new(table, format, |column| options.is_key(table, column)),
            row_key: Key::new(table, format, |_| true),
        }
    }

    /// Has the id of the value's schema in front of what is written next.
    #[inline]
    fn aimed(&mut self) -> Result<()> {
        self.json.record.front = self.value.front(self.topic.as_ref(), &*self.ids)?;
        Ok(())
    }
}

impl<R: Record> TableEncoder for JsonSchemaEncoder<R> {
    fn encode(&mut self, batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()> {
        let Some(first) = changes.first() else { return Ok(()) };
        self.aimed()?;
        let (sound, rest) = self.never_null.split(&batch.tables[first.table as usize], changes);
        self.json.encode(batch, sound, out)?;
        rest
    }

    fn aim(&mut self, topic: &Arc<str>) {
        if !self.topic.as_ref().is_some_and(|known| Arc::ptr_eq(known, topic)) {
            self.topic = Some(topic.clone());
        }
    }

    fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        self.aimed()?;
        self.json.truncate(truncate, out)
    }

    fn key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<bool> {
        let Self { json, key, topic, ids, .. } = self;
        if key.is_empty {
            return Ok(false);
        }
        key.write((topic.as_ref(), &**ids), rows, row, out, |out| json.key(rows, row, out).map(drop))?;
        Ok(true)
    }

    fn row_key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<()> {
        let Self { json, row_key, topic, ids, .. } = self;
        row_key.write((topic.as_ref(), &**ids), rows, row, out, |out| json.row_key(rows, row, out))
    }

    fn bare_key(&mut self, rows: &TableRows, row: u32, whole: bool, out: &mut Vec<u8>) -> Result<()> {
        self.json.bare_key(rows, row, whole, out)
    }

    fn headers(&mut self, rows: &TableRows, row: u32, each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        self.json.headers(rows, row, each)
    }
}
