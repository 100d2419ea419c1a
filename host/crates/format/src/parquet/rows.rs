//! The rows of a row group, gathered until it is written.

use std::io::Write;

use bytes::Bytes;
use parquet::{
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type},
    file::writer::{SerializedColumnWriter, SerializedRowGroupWriter},
};

use super::{
    super::head::Stamp,
    column::{END_BYTES, Gathered, LEVEL_BYTES, Texts, texts_of},
    plan::ParquetTable,
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, NO_IMAGE, Truncate},
    limits::{PARQUET_GROUP_BYTES, PARQUET_GROUP_ROWS},
};

/// A text that some rows have.
#[derive(Default)]
struct OptionalTexts {
    texts: Texts,
    levels: Vec<i16>,
}

impl OptionalTexts {
    /// Answers how many bytes it takes.
    fn push(&mut self, text: Option<&[u8]>) -> usize {
        self.levels.push(i16::from(text.is_some()));
        let Some(text) = text else { return LEVEL_BYTES };
        self.texts.push(text);
        LEVEL_BYTES + END_BYTES + text.len()
    }
}

/// An operation's code, a time, a position and a number, with what the writer makes of them.
const HEAD_BYTES: usize = 32;

/// Rows of one table version.
pub struct ParquetRows {
    operations: Vec<u8>,
    times: Vec<i64>,
    positions: Vec<i64>,
    numbers: Vec<i32>,
    ids: OptionalTexts,
    files: OptionalTexts,
    versions: OptionalTexts,
    absent: Texts,
    /// Levels of definition and of repetition of `absent`.
    absent_levels: (Vec<i16>, Vec<i16>),
    columns: Vec<Gathered>,
    bytes: usize,
}

impl ParquetRows {
    /// None yet.
    pub fn new(table: &ParquetTable) -> Self {
        Self {
            operations: Vec::new(),
            times: Vec::new(),
            positions: Vec::new(),
            numbers: Vec::new(),
            ids: OptionalTexts::default(),
            files: OptionalTexts::default(),
            versions: OptionalTexts::default(),
            absent: Texts::default(),
            absent_levels: (Vec::new(), Vec::new()),
            columns: table.columns.iter().map(|(_, cast)| Gathered::new(*cast)).collect(),
            bytes: 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Bytes of memory that they take, what their vectors keep in reserve left out.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether they are as many as a row group may have.
    pub fn is_full(&self) -> bool {
        self.operations.len() >= PARQUET_GROUP_ROWS || self.bytes >= PARQUET_GROUP_BYTES
    }

    /// Appends the row of a change: as it is after it, for a delete as it was before.
    ///
    /// # Errors
    /// `Record`: a value does not fit its type; nothing is appended.
    pub fn push(&mut self, table: &ParquetTable, batch: &Batch, change: &Change) -> Result<()> {
        let rows = &batch.tables[change.table as usize];
        let image = if change.after == NO_IMAGE { change.before } else { change.after } as usize;
        self.bytes += self.gather(table, batch, change)?;
        let absent = if rows.may_be_absent() {
            let names = table.columns.iter().zip(&table.names).filter(|((index, _), _)| rows.columns[*index].is_absent(image));
            names.map(|(_, name)| name.as_str()).collect()
        } else {
            Vec::new()
        };
        self.head(super::super::code(change.operation), &Stamp::new(batch, change), change.row, &absent, batch.versions.as_deref());
        Ok(())
    }

    /// Whether the row of a change could be appended. Nothing is.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub fn fits(&mut self, table: &ParquetTable, batch: &Batch, change: &Change) -> Result<()> {
        self.gather(table, batch, change)?;
        let before = self.operations.len();
        self.columns.iter_mut().for_each(|column| column.truncate(before));
        Ok(())
    }

    /// Appends the values of a row, all or none. Answers how many bytes they take.
    fn gather(&mut self, table: &ParquetTable, batch: &Batch, change: &Change) -> Result<usize> {
        let rows = &batch.tables[change.table as usize];
        let image = if change.after == NO_IMAGE { change.before } else { change.after } as usize;
        let (before, mut bytes) = (self.operations.len(), 0);
        for (number, ((index, _), gathered)) in table.columns.iter().zip(&mut self.columns).enumerate() {
            let Some(taken) = gathered.push(&rows.columns[*index], image) else {
                self.columns[..number].iter_mut().for_each(|column| column.truncate(before));
                return Err(misfit(table, *index));
            };
            bytes += taken;
        }
        Ok(bytes)
    }

    /// Appends a row that says that the table was emptied.
    pub fn push_truncate(&mut self, truncate: &Truncate) {
        self.bytes += self.columns.iter_mut().map(Gathered::push_null).sum::<usize>();
        self.head(b't', &Stamp::of_event(&truncate.event, &truncate.transaction), 0, &[], None);
    }

    fn head(&mut self, operation: u8, stamp: &Stamp<'_>, row: u32, absent: &[&str], versions: Option<&str>) {
        self.operations.push(operation);
        self.times.push(stamp.time_us);
        self.positions.push(stamp.position as i64);
        self.numbers.push(row as i32);
        let mut bytes = HEAD_BYTES + 2 * LEVEL_BYTES * absent.len().max(1);
        bytes += self.ids.push(stamp.id.map(str::as_bytes));
        bytes += self.files.push(Some(stamp.file).filter(|file| !file.is_empty()).map(str::as_bytes));
        bytes += self.versions.push(versions.map(str::as_bytes));
        let (definition, repetition) = &mut self.absent_levels;
        if absent.is_empty() {
            definition.push(0);
            repetition.push(0);
        }
        for (i, name) in absent.iter().enumerate() {
            definition.push(1);
            repetition.push(i16::from(i > 0));
            self.absent.push(name.as_bytes());
            bytes += END_BYTES + name.len();
        }
        self.bytes += bytes;
    }

    /// Writes them as a row group, and forgets them.
    pub(super) fn write<W: Write + Send>(
        &mut self,
        table: &ParquetTable,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> parquet::errors::Result<()> {
        let count = self.operations.len();
        let name = &table.table.name;
        let codes: [(u8, Bytes); 5] = [b"c", b"u", b"d", b"r", b"t"].map(|code: &'static [u8; 1]| (code[0], Bytes::from_static(code)));
        let code = |operation: &u8| {
            codes.iter().find(|(code, _)| code == operation).map(|(_, text)| ByteArray::from(text.clone())).unwrap_or_default()
        };
        let operations: Vec<ByteArray> = self.operations.iter().map(code).collect();
        self.operations.clear();
        next(group, |to| to.typed::<ByteArrayType>().write_batch(&operations, None, None).map(drop))?;
        for text in [Some(&name.database), name.schema.as_ref(), Some(&name.table)].into_iter().flatten() {
            let all = vec![ByteArray::from(Bytes::copy_from_slice(text.as_bytes())); count];
            next(group, |to| to.typed::<ByteArrayType>().write_batch(&all, None, None).map(drop))?;
        }
        let (times, positions, numbers) =
            (std::mem::take(&mut self.times), std::mem::take(&mut self.positions), std::mem::take(&mut self.numbers));
        next(group, |to| to.typed::<Int64Type>().write_batch(&times, None, None).map(drop))?;
        for optional in [&mut self.ids, &mut self.files] {
            next(group, |to| texts_of(&mut optional.texts, to, Some(&std::mem::take(&mut optional.levels))))?;
        }
        next(group, |to| to.typed::<Int64Type>().write_batch(&positions, None, None).map(drop))?;
        next(group, |to| to.typed::<Int32Type>().write_batch(&numbers, None, None).map(drop))?;
        let (definition, repetition) = std::mem::take(&mut self.absent_levels);
        let absent: Vec<ByteArray> = self.absent.take_all();
        next(group, |to| to.typed::<ByteArrayType>().write_batch(&absent, Some(&definition), Some(&repetition)).map(drop))?;
        let versions = std::mem::take(&mut self.versions);
        if table.versions {
            let OptionalTexts { mut texts, levels } = versions;
            next(group, |to| texts_of(&mut texts, to, Some(&levels)))?;
        }
        for column in &mut self.columns {
            next(group, |to| column.write(to))?;
        }
        self.bytes = 0;
        Ok(())
    }
}

/// Writes the next column of a row group.
fn next<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    write: impl FnOnce(&mut SerializedColumnWriter<'_>) -> parquet::errors::Result<()>,
) -> parquet::errors::Result<()> {
    let Some(mut column) = group.next_column()? else {
        return Err(parquet::errors::ParquetError::General("a schema with fewer columns than are written".into()));
    };
    write(&mut column)?;
    column.close()
}

#[cold]
fn misfit(table: &ParquetTable, column: usize) -> Error {
    let name = table.table.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
    Error::new(
        ErrorKind::Record,
        format!("a value of column `{name}` of table {} does not fit the type that it has in Parquet", table.table.name),
    )
    .remedy("let a plugin deliver the column as text, or set `on_error`")
}
