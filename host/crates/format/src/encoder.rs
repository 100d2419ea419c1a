//! What formats are: encoders of tables, made by a format and kept by a sink.

use std::{collections::HashMap, sync::Arc};

use super::{
    json_format::JsonFormat,
    transaction::{InTransaction, TransactionBorder},
};
use sluicegate_config::Format as Settings;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, SchemaChange, Table, TableRows, Truncate},
    limits::ENCODER_PLANS,
};

/// A record format.
pub trait Format: Send {
    /// The encoder of one table version. It is asked for once for each, and kept as long as there is room for it.
    fn table(&self, table: &Arc<Table>) -> Box<dyn TableEncoder>;

    /// Appends the record of a changed schema and its key; nothing where there is none to be told.
    fn schema_change(&self, _change: &SchemaChange, _key: &mut Vec<u8>, _value: &mut Vec<u8>) {}

    /// Appends the record of a heartbeat and its key; nothing where there is none.
    fn heartbeat(&self, _key: &mut Vec<u8>, _value: &mut Vec<u8>) {}

    /// Appends the record of a transaction that begins or ends, and its key; nothing where there is none.
    fn transaction(&self, _border: &TransactionBorder<'_>, _key: &mut Vec<u8>, _value: &mut Vec<u8>) {}

    /// Whether it can write the table: what is wrong is known before the first row.
    ///
    /// # Errors
    /// `Sink`: it cannot. The encoder of the table gives the same error.
    fn check(&self, _table: &Table) -> Result<()> {
        Ok(())
    }

    /// Whether the record of an update names the row before it, at least its key. If not, sinks without keys of their own tell an update
    /// that changes the key as a delete and an insert.
    fn names_row_before(&self) -> bool {
        true
    }

    /// Bytes in front of each record and each key that name its schema. Then [`TableEncoder::aim`] has to be called.
    fn framing(&self) -> usize {
        0
    }
}

/// Turns the changes of one table version into records. Everything that is constant for the table is made with it, so that for each row
/// only values are written: no allocation but for the growth of the buffer.
///
/// Nothing is kept back between two calls, or a commit would be ahead of it. Which transactions end, and where, stands in the batch.
pub trait TableEncoder: Send {
    /// Encodes changes of a batch, which are all of this table, in their order. A change may have several records, and a record may
    /// stand for several changes. `changes` are a range of the batch's, or one that a sink has split into a delete and an insert.
    ///
    /// # Errors
    /// `Record`: the change behind those that `out` was told of cannot be encoded; nothing of it is given. Or what `out` answers.
    fn encode(&mut self, batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()>;

    /// The changes that this one is encoded as, where it has two records: each can be given to [`Self::encode`] by itself, by sinks that
    /// take one record at a time.
    fn split(&self, _change: &Change) -> Option<[Change; 2]> {
        None
    }

    /// The topic that what is encoded next goes to: of a format whose records depend on it.
    fn aim(&mut self, _topic: &Arc<str>) {}

    /// The place in its transaction of what is encoded next, until another one is given: of a format whose records tell it.
    fn number(&mut self, _place: Option<InTransaction>) {}

    /// What a file of such records begins with. Then a file holds records of tables with the same beginning only.
    fn file_header(&self) -> Option<&[u8]> {
        None
    }

    /// Gives the record that says that the table was emptied.
    ///
    /// # Errors
    /// As of [`Self::encode`]; `Sink`: the format has no such record.
    fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()>;

    /// Appends the key of a row. Answers `false`, and appends nothing, when the table has no key.
    ///
    /// # Errors
    /// `Record`: a value cannot be written as the format's options say; nothing is appended.
    fn key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<bool>;

    /// Appends a key made of all columns of the record, for a table without one.
    ///
    /// # Errors
    /// As of [`Self::key`].
    fn row_key(&mut self, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<()>;

    /// Appends the key of a row, or with `whole` that of [`Self::row_key`], without what names its schema: two of them can be compared
    /// before it is known which topics they go to.
    ///
    /// # Errors
    /// As of [`Self::key`].
    fn bare_key(&mut self, rows: &TableRows, row: u32, whole: bool, out: &mut Vec<u8>) -> Result<()> {
        if whole { self.row_key(rows, row, out) } else { self.key(rows, row, out).map(drop) }
    }

    /// Hands the headers of a row to `each`: name and value, those that are null left out.
    ///
    /// # Errors
    /// `Record`: they are beyond their bounds; `each` has seen some of them.
    fn headers(&mut self, rows: &TableRows, row: u32, each: &mut dyn FnMut(&str, &[u8])) -> Result<()>;
}

/// Where an encoder gives its records.
pub trait Records {
    /// What the next record is appended to.
    fn buffer(&mut self) -> &mut Vec<u8>;

    /// What was appended is a record. With it, so many more of the changes are encoded.
    ///
    /// # Errors
    /// It cannot be taken, and neither can what follows.
    fn end(&mut self, changes: usize) -> Result<()>;

    /// So many more of the changes have no record in this format.
    ///
    /// # Errors
    /// As of [`Self::end`].
    fn pass(&mut self, changes: usize) -> Result<()>;
}

/// One record and no more, for sinks that take one for each change.
struct Single<'a> {
    out: &'a mut Vec<u8>,
    records: usize,
}

impl Records for Single<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn end(&mut self, _changes: usize) -> Result<()> {
        self.records += 1;
        match self.records {
            1 => Ok(()),
            _ => Err(Error::new(ErrorKind::Internal, "a format gave several records for a sink that takes one")),
        }
    }

    fn pass(&mut self, _changes: usize) -> Result<()> {
        Ok(())
    }
}

/// A sink's encoders: one for each table version that it has met.
pub struct Encoder {
    format: Box<dyn Format>,
    tables: Vec<(Arc<Table>, Box<dyn TableEncoder>)>,
    /// Number of the encoder by the table's address, which stays taken while it is held here.
    by_address: HashMap<usize, usize>,
    /// The encoder that the table with this index had in the last batch: almost always right, and always checked.
    recent: Vec<usize>,
}

impl Encoder {
    /// The encoders of one of the program's own formats. `pipeline` is the name in the records; `connector` the kind of source
    /// (`mysql`, `mariadb`, `generator`).
    pub fn new(format: impl Into<Settings>, pipeline: &str, connector: &str) -> Self {
        Self::of(JsonFormat::new(format, pipeline, connector))
    }

    /// The encoders of a format.
    pub fn of(format: impl Format + 'static) -> Self {
        Self::boxed(Box::new(format))
    }

    /// The same.
    pub fn boxed(format: Box<dyn Format>) -> Self {
        Self { format, tables: Vec::new(), by_address: HashMap::new(), recent: Vec::new() }
    }

    /// As [`Format::names_row_before`].
    pub fn names_row_before(&self) -> bool {
        self.format.names_row_before()
    }

    /// As [`Format::framing`].
    pub fn framing(&self) -> usize {
        self.format.framing()
    }

    /// As [`TableEncoder::aim`], of a table.
    pub fn aim(&mut self, table: &Arc<Table>, topic: &Arc<str>) {
        let number = self.look_up(table, usize::MAX);
        self.tables[number].1.aim(topic);
    }

    /// The encoder of `batch.tables[index]`.
    #[inline]
    pub fn table(&mut self, batch: &Batch, index: u32) -> &mut dyn TableEncoder {
        let table = &batch.tables[index as usize].table;
        let known = self.recent.get(index as usize).copied();
        let found = known.filter(|number| self.tables.get(*number).is_some_and(|(held, _)| Arc::ptr_eq(held, table)));
        let number = found.unwrap_or_else(|| self.look_up(table, index as usize));
        &mut *self.tables[number].1
    }

    /// Appends the one record of a change. Answers `false`, and appends nothing, when the format has none for it.
    ///
    /// # Errors
    /// `Record`: it cannot be encoded; then nothing is appended.
    pub fn value(&mut self, batch: &Batch, change: &Change, out: &mut Vec<u8>) -> Result<bool> {
        let start = out.len();
        let encoder = self.table(batch, change.table);
        let mut single = Single { out, records: 0 };
        let encoded = encoder.encode(batch, std::slice::from_ref(change), &mut single).map(|()| single.records > 0);
        encoded.inspect_err(|_| out.truncate(start))
    }

    /// As [`TableEncoder::split`].
    pub fn split(&mut self, batch: &Batch, change: &Change) -> Option<[Change; 2]> {
        self.table(batch, change.table).split(change)
    }

    /// As [`TableEncoder::file_header`], of a table.
    pub fn file_header(&mut self, table: &Arc<Table>) -> Option<&[u8]> {
        let number = self.look_up(table, usize::MAX);
        self.tables[number].1.file_header()
    }

    /// Appends the record of a changed schema and its key. Answers `false`, and appends nothing, when there is none to be told.
    pub fn schema_change(&self, change: &SchemaChange, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        let before = value.len();
        self.format.schema_change(change, key, value);
        value.len() > before
    }

    /// Appends the record of a heartbeat and its key. Answers `false`, and appends nothing, when there is none.
    pub fn heartbeat(&self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        let before = value.len();
        self.format.heartbeat(key, value);
        value.len() > before
    }

    /// Appends the record of a transaction that begins or ends, and its key. Answers `false`, and appends nothing, when there is none.
    pub fn transaction(&self, border: &TransactionBorder<'_>, key: &mut Vec<u8>, value: &mut Vec<u8>) -> bool {
        let before = value.len();
        self.format.transaction(border, key, value);
        value.len() > before
    }

    /// Gives the record that says that a table was emptied.
    ///
    /// # Errors
    /// As of [`TableEncoder::truncate`].
    pub fn truncate(&mut self, truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        let number = self.look_up(&truncate.table, usize::MAX);
        self.tables[number].1.truncate(truncate, out)
    }

    /// Appends the one record that says that a table was emptied.
    ///
    /// # Errors
    /// As of [`Self::value`].
    pub fn truncate_value(&mut self, truncate: &Truncate, out: &mut Vec<u8>) -> Result<()> {
        self.truncate(truncate, &mut Single { out, records: 0 })
    }

    /// As [`TableEncoder::headers`], of row `row` of `batch.tables[table]`.
    ///
    /// # Errors
    /// `Record`: they are beyond their bounds; `each` has seen some of them.
    pub fn headers(&mut self, batch: &Batch, table: u32, row: u32, mut each: impl FnMut(&str, &[u8])) -> Result<()> {
        self.table(batch, table).headers(&batch.tables[table as usize], row, &mut each)
    }

    /// As [`TableEncoder::key`], of row `row` of `batch.tables[table]`.
    ///
    /// # Errors
    /// `Record`, as there.
    pub fn key(&mut self, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) -> Result<bool> {
        self.table(batch, table).key(&batch.tables[table as usize], row, out)
    }

    /// As [`TableEncoder::row_key`], of row `row` of `batch.tables[table]`.
    ///
    /// # Errors
    /// `Record`, as there.
    pub fn row_key(&mut self, batch: &Batch, table: u32, row: u32, out: &mut Vec<u8>) -> Result<()> {
        self.table(batch, table).row_key(&batch.tables[table as usize], row, out)
    }

    /// As [`TableEncoder::bare_key`], of row `row` of `batch.tables[table]`.
    ///
    /// # Errors
    /// `Record`, as there.
    pub fn bare_key(&mut self, batch: &Batch, table: u32, row: u32, whole: bool, out: &mut Vec<u8>) -> Result<()> {
        self.table(batch, table).bare_key(&batch.tables[table as usize], row, whole, out)
    }

    /// How many encoders are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.tables.len()
    }

    #[cold]
    fn look_up(&mut self, table: &Arc<Table>, index: usize) -> usize {
        let address = Arc::as_ptr(table) as usize;
        let number = match self.by_address.get(&address) {
            Some(&number) => number,
            None => {
                if self.tables.len() >= ENCODER_PLANS {
                    self.tables.clear();
                    self.by_address.clear();
                    self.recent.clear();
                }
                self.tables.push((table.clone(), self.format.table(table)));
                self.by_address.insert(address, self.tables.len() - 1);
                self.tables.len() - 1
            }
        };
        if index < ENCODER_PLANS {
            if self.recent.len() <= index {
                self.recent.resize(index + 1, usize::MAX);
            }
            self.recent[index] = number;
        }
        number
    }
}
