//! JSON records: what all formats of them have in common. CSV, the one format that is not JSON, is passed on to [`CsvFormat`].

use std::sync::Arc;

use super::{
    canal::Canal,
    cloud_events::CloudEvents,
    csv::CsvFormat,
    debezium::Debezium,
    dts::{self, Dts},
    encoder::{Encoder, Format, Records, TableEncoder},
    flat::Flat,
    flattened::{self, Flattened},
    format_options::{Options, Origin},
    head::Stamp,
    headers, heartbeat,
    key::Key,
    maxwell::Maxwell,
    record::{Context, Record, Written},
    schema_change, transaction,
    transaction::{InTransaction, TransactionBorder},
};
use sluicegate_config::{Format as Settings, RecordFormat, RecordKeys};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, NO_IMAGE, Place, SchemaChange, Table, TableRows, Truncate},
    limits::Limits,
    now_us,
};

/// What all tables' encoders have in common.
#[derive(Clone)]
pub struct JsonFormat {
    pub(super) options: Options,
    pub(super) clock: fn() -> i64,
    header_bounds: headers::Bounds,
    headers_inside: bool,
    pub(super) versions_inside: bool,
    tells_schema_changes: bool,
}

impl JsonFormat {
    /// One of the formats. `pipeline` is the name in the records; `connector` the kind of source.
    pub fn new(format: impl Into<Settings>, pipeline: &str, connector: &str) -> Self {
        let origin = Origin { pipeline: pipeline.to_owned(), connector: connector.to_owned() };
        Self {
            options: Options { format: format.into(), origin, keys: RecordKeys::default() },
            clock: now_us,
            header_bounds: headers::Bounds::from(&Limits::default()),
            headers_inside: true,
            versions_inside: false,
            tells_schema_changes: false,
        }
    }

    /// Holds the headers of a record to these bounds.
    pub fn bounded(mut self, limits: &Limits) -> Self {
        self.header_bounds = limits.into();
        self
    }

    /// Leaves header columns out of the records, because the sink delivers them beside: see [`TableEncoder::headers`].
    pub fn with_headers_beside(mut self) -> Self {
        self.headers_inside = false;
        self
    }

    /// Makes keys of the columns that these settings name.
    pub fn with_keys(mut self, keys: &RecordKeys) -> Self {
        self.options.keys = keys.clone();
        self
    }

    /// Makes the plugins' versions a member of the records.
    pub fn with_versions(mut self) -> Self {
        self.versions_inside = true;
        self
    }

    /// Has records of changed schemas.
    pub fn with_schema_changes(mut self) -> Self {
        self.tells_schema_changes = true;
        self
    }

    /// A sink's encoders of this format.
    pub fn encoder(self) -> Encoder {
        Encoder::of(self)
    }

    /// The names of the record's members that are not columns and stand beside columns.
    fn own_members(&self, table: &Table) -> Vec<String> {
        let headers = self.headers_inside && table.has_headers();
        match self.options.format.record {
            RecordFormat::DebeziumFlattened | RecordFormat::Plain => {
                flattened::own_members(&self.options.format, headers, self.versions_inside)
            }
            RecordFormat::Dts => dts::own_members(self.options.format.naming, headers, self.versions_inside),
            _ => Vec::new(),
        }
    }

    fn encoder_of<R: Record + 'static>(&self, table: &Table, record: R) -> Box<dyn TableEncoder> {
        Box::new(self.json_encoder(table, record))
    }

    /// The encoder of a table whose records are these.
    pub(super) fn json_encoder<R: Record>(&self, table: &Table, record: R) -> JsonEncoder<R> {
        JsonEncoder {
            record,
            key: Key::new(table, &self.options, |column| self.options.is_key(table, column)),
            row_key: Key::new(table, &self.options, |_| true),
            headers: headers::Plan::new(table),
            header_bounds: self.header_bounds,
            headers_inside: self.headers_inside && table.has_headers(),
            clock: self.clock,
            begun: None,
            versions_inside: self.versions_inside,
            versions: None,
        }
    }
}

impl Format for JsonFormat {
    fn names_row_before(&self) -> bool {
        !matches!(
            self.options.format.record,
            RecordFormat::Flat | RecordFormat::Plain | RecordFormat::DebeziumFlattened | RecordFormat::Csv
        )
    }

    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder> {
        if self.check(table).is_err() {
            return Box::new(Refused { format: self.clone(), table: table.clone() });
        }
        let options = &self.options;
        match options.format.record {
            RecordFormat::Debezium => self.encoder_of(table, Debezium::new(table, options)),
            RecordFormat::Flat => self.encoder_of(table, Flat::new(table, options)),
            RecordFormat::DebeziumFlattened | RecordFormat::Plain => self.encoder_of(table, Flattened::new(table, options)),
            RecordFormat::Maxwell => self.encoder_of(table, Maxwell::new(table)),
            RecordFormat::Canal => self.encoder_of(table, Canal::new(table)),
            RecordFormat::CloudEvents => self.encoder_of(table, CloudEvents::new(table, options)),
            RecordFormat::Dts => self.encoder_of(table, Dts::new(table, options.format.naming)),
            RecordFormat::Csv => CsvFormat.table(table),
            RecordFormat::Avro | RecordFormat::JsonSchema | RecordFormat::Parquet => {
                Box::new(Refused { format: self.clone(), table: table.clone() })
            }
        }
    }

    fn schema_change(&self, change: &SchemaChange, key: &mut Vec<u8>, value: &mut Vec<u8>) {
        if let Some(statement) = change.statement.as_ref().filter(|_| self.tells_schema_changes) {
            schema_change::key(&self.options, change, key);
            schema_change::write(&self.options, change, statement, (self.clock)(), value);
        }
    }

    fn heartbeat(&self, key: &mut Vec<u8>, value: &mut Vec<u8>) {
        if self.options.format.record.tells_heartbeats() {
            heartbeat::write(&self.options, (self.clock)(), key, value);
        }
    }

    fn transaction(&self, border: &TransactionBorder<'_>, key: &mut Vec<u8>, value: &mut Vec<u8>) {
        if self.options.format.record == RecordFormat::Debezium {
            transaction::write(&self.options, border, key, value);
        }
    }

    fn check(&self, table: &Table) -> Result<()> {
        if self.options.format.record == RecordFormat::Csv {
            return CsvFormat.check(table);
        }
        let own = self.own_members(table);
        let column = |column: &str| match self.options.format.record {
            RecordFormat::Dts => dts::column(self.options.format.naming, column),
            _ => column.to_owned(),
        };
        let mut columns = table.columns.iter().filter(|c| c.place == Place::Value);
        match columns.find(|c| own.contains(&column(&c.name))) {
            None => Ok(()),
            Some(clash) => Err(Error::new(
                ErrorKind::Sink,
                format!(
                    "column `{}` of table {} would have the same name in the record as a field of the format `{}`",
                    clash.name,
                    table.name,
                    self.options.format.record.name()
                ),
            )
            .remedy(match self.options.format.record {
                RecordFormat::Dts => "rename the column with the `map-names` plugin, or set the other `naming` of the format",
                _ => flattened::remedy(&self.options.format, &clash.name),
            })),
        }
    }
}

/// The encoder of a table that the format cannot write.
struct Refused {
    format: JsonFormat,
    table: Arc<Table>,
}

impl Refused {
    fn error(&self) -> Result<()> {
        self.format.check(&self.table).and(Err(Error::new(ErrorKind::Internal, "a table was refused that the format can write")))
    }
}

impl TableEncoder for Refused {
    fn encode(&mut self, _batch: &Batch, _changes: &[Change], _out: &mut dyn Records) -> Result<()> {
        self.error()
    }

    fn truncate(&mut self, _truncate: &Truncate, _out: &mut dyn Records) -> Result<()> {
        self.error()
    }

    fn key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<bool> {
        self.error().map(|()| false)
    }

    fn row_key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<()> {
        self.error()
    }

    fn headers(&mut self, _rows: &TableRows, _row: u32, _each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        self.error()
    }
}

/// Everything that is constant for a table version, and what changes rarely.
pub(super) struct JsonEncoder<R> {
    pub(super) record: R,
    key: Key,
    row_key: Key,
    headers: headers::Plan,
    header_bounds: headers::Bounds,
    /// Whether they stand in the record.
    headers_inside: bool,
    clock: fn() -> i64,
    /// `number` of the batch that was begun.
    begun: Option<u64>,
    versions_inside: bool,
    /// The plugins' versions that the parts which are kept were made with.
    versions: Option<Arc<str>>,
}

impl<R: Record> JsonEncoder<R> {
    /// Renders what is the same for all records of a batch.
    #[cold]
    fn begin(&mut self, batch: &Batch) {
        self.begun = Some(batch.number);
        if self.versions_inside && self.versions != batch.versions {
            self.versions = batch.versions.clone();
            self.record.versions(self.versions.as_deref());
        }
        self.record.begin((self.clock)());
    }

    /// Gives the record of a change, with which `changes` are encoded.
    #[inline]
    fn give(&mut self, batch: &Batch, change: &Change, changes: usize, out: &mut dyn Records) -> Result<()> {
        let rows = &batch.tables[change.table as usize];
        let context = Context { batch, rows, change, stamp: Stamp::new(batch, change) };
        let buffer = out.buffer();
        let start = buffer.len();
        match self.record.write(&context, buffer) {
            Ok(Written::Record) => {}
            Ok(Written::Nothing) => return out.pass(changes),
            Err(misfit) => {
                buffer.truncate(start);
                return Err(misfit.error(&rows.table));
            }
        }
        if self.headers_inside {
            self.insert_headers(rows, change, start, buffer)?;
        }
        out.end(changes)
    }

    /// Puts the headers into the record at `out[start..]`.
    #[cold]
    fn insert_headers(&self, rows: &TableRows, change: &Change, start: usize, out: &mut Vec<u8>) -> Result<()> {
        let wrapped = self.record.is_wrapped();
        if wrapped {
            out.pop();
        }
        let inserted = self.headers.insert(self.record.headers_member(), &rows.columns, image(change), self.header_bounds, out);
        inserted.inspect_err(|_| out.truncate(start))?;
        if wrapped {
            out.push(b'}');
        }
        Ok(())
    }
}

/// The row that a record is about.
fn image(change: &Change) -> u32 {
    if change.after == NO_IMAGE { change.before } else { change.after }
}

impl<R: Record> TableEncoder for JsonEncoder<R> {
    fn encode(&mut self, batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()> {
        if self.begun != Some(batch.number) {
            self.begin(batch);
        }
        for change in changes {
            match self.record.split(change) {
                None => self.give(batch, change, 1, out)?,
                Some([first, second]) => {
                    if self.headers_inside {
                        // all records of a change, or none
                        let columns = &batch.tables[change.table as usize].columns;
                        self.headers.each(columns, image(&second), self.header_bounds, |_, _, _| {})?;
                    }
                    self.give(batch, &first, 0, out)?;
                    self.give(batch, &second, 1, out)?;
                }
            }
        }
        Ok(())
    }

    fn split(&self, change: &Change) -> Option<[Change; 2]> {
        self.record.split(change)
    }

    fn number(&mut self, place: Option<InTransaction>) {
        self.record.number(place);
    }

    fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        let stamp = Stamp::of_event(&truncate.event, &truncate.transaction);
        self.record.begin((self.clock)());
        let buffer = out.buffer();
        let start = buffer.len();
        self.record.truncate(&stamp, buffer).inspect_err(|_| buffer.truncate(start))?;
        out.end(0)
    }

    fn key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<bool> {
        if self.key.is_empty() {
            return Ok(false);
        }
        self.key.write(rows, row, out).map(|()| true)
    }

    fn row_key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<()> {
        self.row_key.write(rows, row, out)
    }

    fn headers(&mut self, rows: &TableRows, row: u32, each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        self.headers.each(&rows.columns, row, self.header_bounds, |name, value, _| each(name, value))
    }
}
