//! The rows that Data Transmission Service (DTS) writes: a row's columns and the added columns of DTS, every value a string.
//!
//! An update is two rows, first the one before it (`before_flag` `Y`, `after_flag` `N`) and then the one after it (`N`, `Y`); both have
//! the same record id, operation flag and timestamp. The record id is a number that follows from the change's place in the log: the log
//! file's number, the position of the event in 12 digits, and the row's number in 8. It grows with the log, and is the same when the
//! change is read again.

use super::{
    form::Form,
    format_options::fields,
    head::Stamp,
    json::{signed, unsigned},
    record::{Context, Record, Written},
    row::{Misfit, Row},
};
use sluicegate_config::DtsNaming;
use sluicegate_model::{
    Result,
    change::{Change, ColumnInfo, DataType, NO_IMAGE, Operation, Table},
    json::string,
};

/// The added columns, under the previous rule.
const ADDED: [&str; 8] = [
    "dts_record_id",
    "dts_operation_flag",
    "dts_instance_id",
    "dts_db_name",
    "dts_table_name",
    "dts_utc_timestamp",
    "dts_before_flag",
    "dts_after_flag",
];
const NEW: &str = "new_dts_sync_";
const PREVIOUS: &str = "dts_";

/// A column's name in a record.
pub(super) fn column(naming: DtsNaming, name: &str) -> String {
    match naming {
        DtsNaming::New => name.to_owned(),
        DtsNaming::Previous => format!("{PREVIOUS}{name}"),
    }
}

fn added(naming: DtsNaming, name: &str) -> String {
    match naming {
        DtsNaming::New => format!("{NEW}{name}"),
        DtsNaming::Previous => name.to_owned(),
    }
}

/// The members that are not columns of the table.
pub(super) fn own_members(naming: DtsNaming, headers: bool, versions: bool) -> Vec<String> {
    let beside = [(headers, headers_member(naming)), (versions, versions_member(naming))];
    let beside = beside.into_iter().filter(|(given, _)| *given).map(|(_, name)| name.to_owned());
    ADDED.iter().map(|name| added(naming, name)).chain(beside).collect()
}

fn headers_member(naming: DtsNaming) -> &'static str {
    match naming {
        DtsNaming::New => "new_dts_sync_headers",
        DtsNaming::Previous => "headers",
    }
}

fn versions_member(naming: DtsNaming) -> &'static str {
    match naming {
        DtsNaming::New => "new_dts_sync_plugins",
        DtsNaming::Previous => "plugins",
    }
}

fn form(column: &ColumnInfo) -> Form {
    match column.data_type {
        DataType::Timestamp => Form::SqlInstant,
        _ => Form::Text,
    }
}

/// The records of a table version.
pub(super) struct Dts {
    row: Row,
    naming: DtsNaming,
    /// `{"dts_record_id":"`
    id: Vec<u8>,
    /// `","dts_operation_flag":"`
    operation: Vec<u8>,
    /// `","dts_instance_id":"`
    instance: Vec<u8>,
    /// `","dts_db_name":…,"dts_table_name":…,"dts_utc_timestamp":"`
    table: Vec<u8>,
    /// `","dts_before_flag":"`
    before: Vec<u8>,
    /// `","dts_after_flag":"`
    after: Vec<u8>,
    /// The member that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
}

impl Dts {
    pub(super) fn new(table: &Table, naming: DtsNaming) -> Self {
        let member = |front: &str, name: &str, behind: &str| format!("{front}\"{}\":{behind}", added(naming, name)).into_bytes();
        let mut names = member("\",", "dts_db_name", "");
        string(table.name.database.as_bytes(), &mut names);
        names.extend_from_slice(&member(",", "dts_table_name", ""));
        string(table.name.table.as_bytes(), &mut names);
        names.extend_from_slice(&member(",", "dts_utc_timestamp", "\""));
        Self {
            row: Row::new(fields(table, |_| true, |name| column(naming, name)), table, form),
            naming,
            id: member("{", "dts_record_id", "\""),
            operation: member("\",", "dts_operation_flag", "\""),
            instance: member("\",", "dts_instance_id", "\""),
            table: names,
            before: member("\",", "dts_before_flag", "\""),
            after: member("\",", "dts_after_flag", "\""),
            versions: Vec::new(),
        }
    }

    fn added(&self, stamp: &Stamp<'_>, row: u32, operation: u8, before: bool, after: bool, out: &mut Vec<u8>) {
        let flag = |flag| if flag { b'Y' } else { b'N' };
        out.extend_from_slice(&self.id);
        record_id(stamp, row, out);
        out.extend_from_slice(&self.operation);
        out.push(operation);
        out.extend_from_slice(&self.instance);
        unsigned(stamp.server_id.into(), out);
        out.extend_from_slice(&self.table);
        signed(stamp.time_us.div_euclid(1000), out);
        out.extend_from_slice(&self.before);
        out.push(flag(before));
        out.extend_from_slice(&self.after);
        out.push(flag(after));
        out.push(b'"');
        out.extend_from_slice(&self.versions);
    }
}

/// Appends the number of a change in the log.
fn record_id(stamp: &Stamp<'_>, row: u32, out: &mut Vec<u8>) {
    const POSITION_DIGITS: usize = 12;
    const ROW_DIGITS: usize = 8;
    let digits = stamp.file.bytes().rev().take_while(u8::is_ascii_digit).count();
    let number = stamp.file[stamp.file.len() - digits..].trim_start_matches('0');
    out.extend_from_slice(number.as_bytes());
    let mut padded = |value: u64, width: usize| {
        let digits = value.checked_ilog10().unwrap_or(0) as usize + 1;
        if !number.is_empty() || width == ROW_DIGITS {
            out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits)));
        }
        unsigned(value, out);
    };
    padded(stamp.position, POSITION_DIGITS);
    padded(row.into(), ROW_DIGITS);
}

impl Record for Dts {
    fn headers_member(&self) -> &'static str {
        headers_member(self.naming)
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.push(b',');
            string(versions_member(self.naming).as_bytes(), &mut self.versions);
            self.versions.push(b':');
            string(versions.as_bytes(), &mut self.versions);
        }
    }

    fn split(&self, change: &Change) -> Option<[Change; 2]> {
        let both = change.operation == Operation::Update && change.before != NO_IMAGE && change.after != NO_IMAGE;
        both.then_some([Change { after: NO_IMAGE, ..*change }, Change { before: NO_IMAGE, ..*change }])
    }

    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { rows, change, stamp, .. } = context;
        let operation = match change.operation {
            Operation::Snapshot => b'F',
            Operation::Insert => b'I',
            Operation::Update => b'U',
            Operation::Delete => b'D',
        };
        let after = change.after != NO_IMAGE;
        self.added(stamp, change.row, operation, !after, after, out);
        self.row.members(&rows.columns, if after { change.after } else { change.before }, out)?;
        out.push(b'}');
        Ok(Written::Record)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        self.added(stamp, 0, b'T', true, false, out);
        out.push(b'}');
        Ok(())
    }
}
