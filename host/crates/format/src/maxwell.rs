//! Maxwell's JSON (its documentation, "Data format"; the order of members from its `RowMap`).
//!
//! Members: `database`, `table`, `type`, `ts` in seconds, `commit` with the last record of a transaction, `gtid` where there is one,
//! `data`, and of updates `old` with the old values of the columns that changed. `xid` is not known from what a source tells.

use super::{
    form::{Form, GeometryForm, is_geometry, labelled},
    format_options::fields,
    head::Stamp,
    json::signed,
    record::{Context, Record, Written},
    row::{Misfit, Row, close},
};
use sluicegate_config::BinaryMode;
use sluicegate_model::{
    Result,
    change::{Batch, Change, ColumnInfo, DataType, NO_IMAGE, Operation, Table},
    json::string,
};

/// The form in which Maxwell writes a column.
pub(super) fn form(column: &ColumnInfo) -> Form {
    match column.data_type {
        DataType::Decimal => Form::Literal,
        DataType::Timestamp => Form::SqlInstant,
        DataType::Json => Form::Document,
        _ if labelled(column) == Some(true) => Form::LabelList,
        _ if is_geometry(column) => Form::Geometry(GeometryForm::Wkt, BinaryMode::Base64),
        _ => Form::Own,
    }
}

/// The records of a table version.
pub(super) struct Maxwell {
    row: Row,
    /// `{"database":…,"table":…,"type":"`
    table: Vec<u8>,
    /// The member that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
}

impl Maxwell {
    pub(super) fn new(table: &Table) -> Self {
        let mut name = b"{\"database\":".to_vec();
        string(table.name.database.as_bytes(), &mut name);
        name.extend_from_slice(b",\"table\":");
        string(table.name.table.as_bytes(), &mut name);
        name.extend_from_slice(b",\"type\":\"");
        Self { row: Row::new(fields(table, |_| true, str::to_owned), table, form), table: name, versions: Vec::new() }
    }

    fn head(&self, kind: &[u8], stamp: &Stamp<'_>, commit: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.table);
        out.extend_from_slice(kind);
        out.extend_from_slice(b"\",\"ts\":");
        signed(stamp.time_us.div_euclid(1_000_000), out);
        if commit {
            out.extend_from_slice(b",\"commit\":true");
        }
        if let Some(id) = stamp.id {
            out.extend_from_slice(b",\"gtid\":");
            string(id.as_bytes(), out);
        }
        out.extend_from_slice(&self.versions);
    }
}

/// Whether a change is the last one of its transaction.
fn ends_transaction(batch: &Batch, change: &Change) -> bool {
    let transaction_of = |change: &Change| batch.events.get(change.event as usize).map(|event| event.transaction);
    let transaction = transaction_of(change);
    let complete = transaction.and_then(|number| batch.transactions.get(number as usize)).is_some_and(|t| t.complete);
    // the transactions of a batch follow one another
    let end = || batch.changes.partition_point(|other| transaction_of(other) <= transaction);
    complete
        && end()
            .checked_sub(1)
            .and_then(|last| batch.changes.get(last))
            .is_some_and(|last| (last.event, last.row) == (change.event, change.row))
}

impl Record for Maxwell {
    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.extend_from_slice(b",\"plugins\":");
            string(versions.as_bytes(), &mut self.versions);
        }
    }

    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { batch, rows, change, stamp } = context;
        let kind: &[u8] = match change.operation {
            Operation::Snapshot => b"bootstrap-insert",
            Operation::Insert => b"insert",
            Operation::Update => b"update",
            Operation::Delete => b"delete",
        };
        self.head(kind, stamp, change.operation != Operation::Snapshot && ends_transaction(batch, change), out);
        out.extend_from_slice(b",\"data\":");
        let image = if change.after == NO_IMAGE { change.before } else { change.after };
        self.row.object(&rows.columns, image, out)?;
        if change.operation == Operation::Update {
            out.extend_from_slice(b",\"old\":");
            let start = out.len();
            if change.before != NO_IMAGE && change.after != NO_IMAGE {
                self.row.changed(&rows.columns, change.before, change.after, out)?;
            }
            close(start, out);
        }
        out.push(b'}');
        Ok(Written::Record)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        self.head(b"table-truncate", stamp, true, out);
        out.push(b'}');
        Ok(())
    }
}
