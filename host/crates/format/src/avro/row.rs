//! The columns of a row as a record.

use super::{
    schema::{self, Typed},
    value::{self, SHORT, SOME, Write, Written},
};
use serde_json::Value;
use sluicegate_config::{Envelope, ValueModes};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Column, ColumnInfo, Table},
};

/// A column of a record.
struct Field {
    column: usize,
    write: Write,
    /// Whether its type is a union of null and the value's.
    optional: bool,
}

/// Columns, each with how it is written. Made once for a table version.
pub(super) struct Row(Vec<Field>);

/// What keeps a row from being written.
pub(super) enum Misfit {
    /// A value that its type cannot hold.
    Value(usize),
    /// NULL in a column that is told never to hold it.
    Null(usize),
    /// A value that the source did not send.
    Absent(usize),
}

impl Misfit {
    #[cold]
    pub(super) fn error(self, table: &Table) -> Error {
        let (Self::Value(column) | Self::Null(column) | Self::Absent(column)) = self;
        let name = table.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
        let (what, remedy) = match self {
            Self::Value(_) => (
                format!("a value of column `{name}` of table {} does not fit the type that it has in Avro", table.name),
                "let the format write such values as text (`decimal_handling_mode: string`, `time_precision_mode: text`), write \
                 `bigint_unsigned_handling_mode: precise`, or set `on_error`",
            ),
            Self::Null(_) => (
                format!("column `{name}` of table {} holds NULL, although its schema says that it never does", table.name),
                "let the plugin that delivers the column say that it may be null, or set `on_error`",
            ),
            Self::Absent(_) => (
                format!(
                    "the source did not send column `{name}` of a row of table {}, and Debezium's envelope in Avro has no place for that",
                    table.name
                ),
                "let the source send whole rows (mysql: binlog_row_image = FULL), write `envelope: flat`, or set `on_error`",
            ),
        };
        Error::new(ErrorKind::Record, what).remedy(remedy)
    }
}

impl Row {
    /// The columns `chosen` of a table, which are called `names` in the record, and the fields of its schema.
    pub(super) fn new(
        table: &Table,
        chosen: &[usize],
        names: impl Fn(&ColumnInfo) -> String,
        optional: impl Fn(&ColumnInfo) -> bool,
        modes: &ValueModes,
        envelope: Envelope,
    ) -> (Self, Vec<Value>) {
        let columns = chosen.iter().map(|column| (*column, &table.columns[*column]));
        let (fields, schemas) = columns
            .map(|(column, info)| {
                let Typed { schema, write } = Typed::of(info, modes, envelope);
                let optional = optional(info);
                (Field { column, write, optional }, schema::field(&names(info), schema, optional))
            })
            .unzip();
        (Self(fields), schemas)
    }

    /// Whether there are no columns.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the values of row `row`; one that is absent as null where `absent` says so.
    #[inline]
    pub(super) fn write(&self, columns: &[Column], row: u32, absent: bool, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let row = row as usize;
        // room for short values, so that each is written in place, and where the next one begins is known without a look at the vector
        let mut at = out.len();
        out.resize(at + self.0.len() * SHORT, 0);
        for (number, Field { column: index, write, optional }) in self.0.iter().enumerate() {
            let column = &columns[*index];
            let is_null = column.nulls.get(row);
            let short = out.get_mut(at..).and_then(|room| room.first_chunk_mut::<SHORT>());
            let written = match short {
                Some(short) if !is_null => write.short(column, row, *optional, short),
                Some([first, ..]) if *optional && (absent || !column.is_absent(row)) => {
                    *first = 0;
                    Some(1)
                }
                _ => None,
            };
            at = match written {
                Some(length) => at + length,
                None => {
                    out.truncate(at);
                    self.append(number, columns, row, absent, out)?;
                    let at = out.len();
                    out.resize(at + (self.0.len() - number) * SHORT, 0);
                    at
                }
            };
        }
        out.truncate(at);
        Ok(())
    }

    /// Appends the value of a field that is not short.
    #[inline(never)]
    fn append(&self, number: usize, columns: &[Column], row: usize, absent: bool, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let Field { column: index, write, optional } = &self.0[number];
        let column = &columns[*index];
        if column.nulls.get(row) {
            if !absent && column.is_absent(row) {
                return Err(Misfit::Absent(*index));
            }
            if !optional {
                return Err(Misfit::Null(*index));
            }
            out.push(0);
            return Ok(());
        }
        if *optional {
            out.push(SOME);
        }
        match write.value(column, row, *optional, out) {
            Written::Value => {}
            Written::NoDate if *optional => {
                out.pop();
                out.push(0);
            }
            Written::NoDate => value::epoch(write, out),
            Written::Misfit => return Err(Misfit::Value(*index)),
        }
        Ok(())
    }

    /// Appends a row of nulls, where every column may be null.
    pub(super) fn nulls(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().map(|_| 0));
    }

    /// The columns that are absent in row `row`.
    pub(super) fn absent<'a>(&'a self, columns: &'a [Column], row: u32) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().map(|field| field.column).filter(move |column| columns[*column].is_absent(row as usize))
    }
}
