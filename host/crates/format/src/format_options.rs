//! What the encoders of all tables of a sink have in common.

use super::{
    form::Form,
    json::{Field, Name},
    row::Row,
};
use sluicegate_config::{Format, KeyColumns, RecordKeys};
use sluicegate_model::change::{ColumnInfo, Place, Table};

/// The format with its options, and what stands in records beside rows.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) format: Format,
    pub(super) origin: Origin,
    pub(super) keys: RecordKeys,
}

/// Where the records come from.
#[derive(Clone)]
pub(super) struct Origin {
    /// The pipeline's name.
    pub(super) pipeline: String,
    /// The kind of source.
    pub(super) connector: String,
}

impl Origin {
    /// This program's version.
    pub(super) const VERSION: &'static str = env!("CARGO_PKG_VERSION");
}

impl Options {
    /// A row of these fields, in the forms that the options say.
    pub(super) fn row(&self, table: &Table, fields: Vec<Field>) -> Row {
        Row::new(fields, table, |column| Form::of(column, &self.format.values))
    }

    /// Whether a column of the table belongs to the keys of its records.
    pub(super) fn is_key(&self, table: &Table, column: &ColumnInfo) -> bool {
        match self.keys.key(&table.name) {
            KeyColumns::Primary => column.primary_key,
            KeyColumns::None => false,
            KeyColumns::Columns(names) => names.contains(&column.name),
        }
    }

    /// A row of all columns that are delivered in the record, in the forms that the options say.
    pub(super) fn whole_row(&self, table: &Table) -> Row {
        self.row(table, fields(table, |_| true, str::to_owned))
    }
}

/// The fields of the columns in the record that are `chosen`, under the names that `name` makes of theirs.
pub(super) fn fields(table: &Table, chosen: impl Fn(&ColumnInfo) -> bool, name: impl Fn(&str) -> String) -> Vec<Field> {
    let columns = table.columns.iter().enumerate().filter(|(_, column)| column.place == Place::Value && chosen(column));
    columns.map(|(index, column)| Field { column: index, name: Name::new(b',', &name(&column.name)) }).collect()
}
