//! The flat form: one object with what happened and where, and then the row's columns.
//!
//! | member | holds |
//! |---|---|
//! | `_op` | `c` created, `u` updated, `d` deleted, `r` read by a snapshot, `t` all rows of the table are gone (no columns follow) |
//! | `_database`, `_schema`, `_table` | the table's name; `_schema` only where the source has schemas |
//! | `_ts` | when the database executed the change, `2024-02-29T13:14:15.123456Z` |
//! | `_gtid` | the transaction's GTID, only where the source has one |
//! | `_file`, `_pos`, `_row` | log file, position of the event in it, number of the row in the event; `_file` only where the source has files |
//!
//! | `_headers` | header columns, an object of strings; only where the table has any and the sink has no headers of its own |
//! | `_plugins` | the plugins that made the record, with their versions; only where the sink says so |
//!
//! `_file`, `_pos` and `_row` together identify a change within its source. The columns are those of the after image; a delete carries its
//! before image.
//!
//! A column that has one of those names, with any number of `_` more in front, gets one `_` more: `_op` becomes `__op`
//! and `__op` becomes `___op`. So no two members ever share a name, and the reader can tell them apart.

use super::{
    format_options::Options,
    head::{Head, Stamp},
    json::{Field, Name, unsigned},
    record::{Context, Record, Written},
    row::{Misfit, Row},
};
use sluicegate_model::{
    Result,
    change::{NO_IMAGE, Place, Table, write_timestamp},
    json::string,
};

/// Our own members' names, without the leading underscore.
const RESERVED: [&str; 11] = ["op", "database", "schema", "table", "ts", "gtid", "file", "pos", "row", "headers", "plugins"];

/// The records of a table version.
pub(super) struct Flat {
    row: Row,
    /// `"_database":…,"_schema":…,"_table":…,"_ts":"` with the comma in front
    table: Vec<u8>,
    /// From the table's name to the row's number.
    head: Head,
    /// The member that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
}

impl Flat {
    pub(super) fn new(table: &Table, options: &Options) -> Self {
        let mut name = b",\"_database\":".to_vec();
        string(table.name.database.as_bytes(), &mut name);
        if let Some(schema) = &table.name.schema {
            name.extend_from_slice(b",\"_schema\":");
            string(schema.as_bytes(), &mut name);
        }
        name.extend_from_slice(b",\"_table\":");
        string(table.name.table.as_bytes(), &mut name);
        name.extend_from_slice(b",\"_ts\":\"");
        let columns = table.columns.iter().enumerate().filter(|(_, c)| c.place == Place::Value);
        let fields = columns.map(|(column, c)| Field { column, name: Name::new(b',', &member_name(&c.name)) }).collect();
        Self { row: options.row(table, fields), table: name, head: Head::default(), versions: Vec::new() }
    }
}

impl Record for Flat {
    fn headers_member(&self) -> &'static str {
        "_headers"
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.extend_from_slice(b",\"_plugins\":");
            string(versions.as_bytes(), &mut self.versions);
        }
        self.head.clear();
    }

    #[inline]
    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { rows, change, stamp, .. } = context;
        out.extend_from_slice(&[b'{', b'"', b'_', b'o', b'p', b'"', b':', b'"', super::code(change.operation), b'"']);
        let Self { row, table, head, versions } = self;
        head.append(stamp, out, |text| place(table, versions, stamp, text));
        unsigned(change.row.into(), out);
        let image = if change.after == NO_IMAGE { change.before } else { change.after };
        row.members(&rows.columns, image, out)?;
        out.push(b'}');
        Ok(Written::Record)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"_op\":\"t\"");
        place(&self.table, &self.versions, stamp, out);
        out.extend_from_slice(b"0}");
        Ok(())
    }
}

/// From the table's name to the row's number.
fn place(table: &[u8], versions: &[u8], stamp: &Stamp<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(table);
    write_timestamp(stamp.time_us, out);
    out.push(b'"');
    out.extend_from_slice(versions);
    if let Some(id) = stamp.id {
        out.extend_from_slice(b",\"_gtid\":");
        string(id.as_bytes(), out);
    }
    if !stamp.file.is_empty() {
        out.extend_from_slice(b",\"_file\":");
        string(stamp.file.as_bytes(), out);
    }
    out.extend_from_slice(b",\"_pos\":");
    unsigned(stamp.position, out);
    out.extend_from_slice(b",\"_row\":");
}

/// What a member of a flat record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlatMember<'a> {
    /// One of ours, without the underscore in front: `op`, `database`.
    Own(&'a str),
    /// A column of this name.
    Column(&'a str),
}

/// What the member of this name is: what the reader of a flat record makes of it.
pub fn flat_member(name: &str) -> FlatMember<'_> {
    let bare = name.trim_start_matches('_');
    match name.len() - bare.len() {
        1 if RESERVED.contains(&bare) => FlatMember::Own(bare),
        2.. if RESERVED.contains(&bare) => FlatMember::Column(&name[1..]),
        _ => FlatMember::Column(name),
    }
}

/// A column's name, moved out of the way of ours.
pub(super) fn member_name(column: &str) -> String {
    member_name_beside(column, &[])
}

/// The same beside further members of ours.
pub(super) fn member_name_beside(column: &str, further: &[&str]) -> String {
    let bare = column.trim_start_matches('_');
    let ours = RESERVED.contains(&bare) || further.contains(&bare);
    if bare.len() < column.len() && ours { format!("_{column}") } else { column.to_owned() }
}
