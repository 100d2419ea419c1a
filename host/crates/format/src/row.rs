//! A row as members of a JSON object, each column in its form.

use super::{
    form::Form,
    json::{self, Field},
};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Column, ColumnInfo, Table},
};

/// The columns of a table that stand in an object.
pub(super) struct Row {
    fields: Vec<Field>,
    /// The forms of the fields; `None`: all have [`json`]'s own, which costs nothing.
    forms: Option<Box<[Formed]>>,
}

struct Formed {
    form: Form,
    nullable: bool,
}

/// The column whose value has not the form that the format writes it in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Misfit {
    pub(super) column: usize,
}

impl Misfit {
    /// The error of the record.
    #[cold]
    pub(super) fn error(self, table: &Table) -> Error {
        let column = table.columns.get(self.column).map(|column| column.name.as_str()).unwrap_or_default();
        Error::new(
            ErrorKind::Record,
            format!("a value of column `{column}` of table {} cannot be written in the form that the format's options ask for", table.name),
        )
        .remedy("let the format write such values as text (`decimal_handling_mode: string`, `time_precision_mode: text`, `geometry_handling_mode: native`), or set `on_error`")
    }
}

impl Row {
    /// The fields, each with its column's form.
    pub(super) fn new(fields: Vec<Field>, table: &Table, form: impl Fn(&ColumnInfo) -> Form) -> Self {
        let formed = |field: &Field| {
            let column = &table.columns[field.column];
            Formed { form: form(column), nullable: column.nullable }
        };
        let forms: Box<[Formed]> = fields.iter().map(formed).collect();
        let own = forms.iter().all(|formed| matches!(formed.form, Form::Own));
        Self { fields, forms: (!own).then_some(forms) }
    }

    /// Whether there are no columns.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Appends the members with the values of row `row`.
    #[inline]
    pub(super) fn members(&self, columns: &[Column], row: u32, out: &mut Vec<u8>) -> Result<(), Misfit> {
        match &self.forms {
            None => {
                json::members(&self.fields, columns, row, out);
                Ok(())
            }
            Some(forms) => self.formed(forms, columns, row, out),
        }
    }

    fn formed(&self, forms: &[Formed], columns: &[Column], row: u32, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let row = row as usize;
        for (Field { column: index, name }, Formed { form, nullable }) in self.fields.iter().zip(forms) {
            let column = &columns[*index];
            if column.nulls.get(row) {
                if !column.is_absent(row) {
                    json::null(name, out);
                }
            } else if !form.write(column, row, *nullable, name, out) {
                return Err(Misfit { column: *index });
            }
        }
        Ok(())
    }

    /// Appends the members of the columns whose value in row `before` is another than in row `after`: with the value of `before`.
    pub(super) fn changed(&self, columns: &[Column], before: u32, after: u32, out: &mut Vec<u8>) -> Result<(), Misfit> {
        for (i, Field { column: index, name }) in self.fields.iter().enumerate() {
            let column = &columns[*index];
            let (old, new) = (before as usize, after as usize);
            if column.is_absent(old) || column.same(old, new) {
                continue;
            }
            if column.nulls.get(old) {
                json::null(name, out);
            } else {
                match self.forms.as_ref().and_then(|forms| forms.get(i)) {
                    None => json::value(&column.values, old, name, out),
                    Some(Formed { form, nullable }) if !form.write(column, old, *nullable, name, out) => {
                        return Err(Misfit { column: *index });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Appends an object of the members.
    #[inline]
    pub(super) fn object(&self, columns: &[Column], row: u32, out: &mut Vec<u8>) -> Result<(), Misfit> {
        let start = out.len();
        self.members(columns, row, out)?;
        close(start, out);
        Ok(())
    }
}

/// Makes an object of members that begin at `start`, each with a comma in front.
#[inline]
pub(super) fn close(start: usize, out: &mut Vec<u8>) {
    // the first member may be any of them, or there is none
    match out.get_mut(start) {
        Some(lead) => *lead = b'{',
        None => out.push(b'{'),
    }
    out.push(b'}');
}
