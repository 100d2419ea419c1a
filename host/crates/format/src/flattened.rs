//! A row alone: what Debezium's transformation `ExtractNewRecordState` makes of the envelope, and the plain form, which is the same
//! without anything of its own.
//!
//! A record is an object of the row's columns, as they are after the change. With `delete_tombstone_handling_mode: rewrite`, each has
//! `__deleted`, which is `"false"`, and a delete has a record with the row as it was before and `"true"`; otherwise a delete has no
//! record of its own. The fields of the envelope that `add_fields` names follow.

use super::{
    debezium::nanoseconds,
    format_options::{Options, Origin},
    head::Stamp,
    json::{signed, unsigned},
    record::{Context, Record, Written},
    row::{Misfit, Row, close},
};
use sluicegate_config::{AddedField, Deletes, EnvelopeField, Format, RecordFormat};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{NO_IMAGE, Operation, Table, TableName},
    json::string,
};

const DELETED: &str = "__deleted";
const HEADERS: &str = "__headers";
const VERSIONS: &str = "__plugins";

/// The members that are not columns.
pub(super) fn own_members(format: &Format, headers: bool, versions: bool) -> Vec<String> {
    let given = [(format.deletes.rewrites(), DELETED), (headers, HEADERS), (versions, VERSIONS)];
    let own = given.into_iter().filter(|(given, _)| *given).map(|(_, name)| name.to_owned());
    own.chain(format.add_fields.iter().map(|added| added.name.clone())).collect()
}

/// What helps where a column has the name of one of [`own_members`].
pub(super) fn remedy(format: &Format, member: &str) -> &'static str {
    if format.add_fields.iter().any(|added| added.name == member) {
        return "rename the column with the `map-names` plugin, or give the field another name (`add_fields: ['op:OPERATION']`)";
    }
    match member {
        DELETED => {
            "rename the column with the `map-names` plugin, or write `delete_tombstone_handling_mode: drop` (to Kafka also `tombstone`), \
             which makes no such field"
        }
        _ => "rename the column with the `map-names` plugin",
    }
}

/// The records of a table version.
pub(super) struct Flattened {
    row: Row,
    deletes: Deletes,
    added: Vec<AddedField>,
    record: RecordFormat,
    origin: Origin,
    name: TableName,
    now_us: i64,
    /// The member that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
}

impl Flattened {
    pub(super) fn new(table: &Table, options: &Options) -> Self {
        Self {
            row: options.whole_row(table),
            deletes: options.format.deletes,
            added: options.format.add_fields.clone(),
            record: options.format.record,
            origin: options.origin.clone(),
            name: table.name.clone(),
            now_us: 0,
            versions: Vec::new(),
        }
    }

    /// Appends the fields of the envelope.
    fn add(&self, stamp: &Stamp<'_>, operation: u8, row: u32, out: &mut Vec<u8>) {
        for AddedField { field, name } in &self.added {
            out.push(b',');
            string(name.as_bytes(), out);
            out.push(b':');
            self.field(*field, stamp, operation, row, out);
        }
        out.extend_from_slice(&self.versions);
    }

    fn field(&self, field: EnvelopeField, stamp: &Stamp<'_>, operation: u8, row: u32, out: &mut Vec<u8>) {
        use EnvelopeField::*;
        let text = |text: &str, out: &mut Vec<u8>| string(text.as_bytes(), out);
        match field {
            Op => string(&[operation], out),
            TsMs => signed(self.now_us.div_euclid(1000), out),
            TsUs => signed(self.now_us, out),
            TsNs => nanoseconds(self.now_us, out),
            SourceTsMs => signed(stamp.time_us.div_euclid(1000), out),
            SourceTsUs => signed(stamp.time_us, out),
            SourceTsNs => nanoseconds(stamp.time_us, out),
            Version => text(Origin::VERSION, out),
            Connector => text(&self.origin.connector, out),
            Name => text(&self.origin.pipeline, out),
            Snapshot => text(if stamp.snapshot { "true" } else { "false" }, out),
            Db => text(&self.name.database, out),
            Table => text(&self.name.table, out),
            File => text(stamp.file, out),
            Schema => optional(self.name.schema.as_deref(), out),
            Gtid => optional(stamp.id, out),
            ServerId => unsigned(stamp.server_id.into(), out),
            Pos => unsigned(stamp.position, out),
            Row => unsigned(row.into(), out),
        }
    }
}

fn optional(text: Option<&str>, out: &mut Vec<u8>) {
    match text {
        Some(text) => string(text.as_bytes(), out),
        None => out.extend_from_slice(b"null"),
    }
}

impl Record for Flattened {
    fn headers_member(&self) -> &'static str {
        HEADERS
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.extend_from_slice(b",\"");
            self.versions.extend_from_slice(VERSIONS.as_bytes());
            self.versions.extend_from_slice(b"\":");
            string(versions.as_bytes(), &mut self.versions);
        }
    }

    fn begin(&mut self, now_us: i64) {
        self.now_us = now_us;
    }

    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { rows, change, stamp, .. } = context;
        let deleted = change.operation == Operation::Delete;
        if deleted && !self.deletes.rewrites() {
            return Ok(Written::Nothing);
        }
        let image = if change.after == NO_IMAGE { change.before } else { change.after };
        let start = out.len();
        self.row.members(&rows.columns, image, out)?;
        if self.deletes.rewrites() {
            out.extend_from_slice(if deleted { b",\"__deleted\":\"true\"" } else { b",\"__deleted\":\"false\"" });
        }
        self.add(stamp, super::code(change.operation), change.row, out);
        close(start, out);
        Ok(Written::Record)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        if !self.added.iter().any(|added| added.field == EnvelopeField::Op) {
            let format = self.record.name();
            let remedy = match self.record {
                RecordFormat::Plain => "use another format, or let a plugin leave `truncate` out of its operations",
                _ => "add `op` to the format's `add_fields`, or let a plugin leave `truncate` out of its operations",
            };
            return Err(Error::new(
                ErrorKind::Sink,
                format!("table {} was emptied, and a record of the format `{format}` cannot say so", self.name),
            )
            .remedy(remedy));
        }
        let start = out.len();
        self.add(stamp, b't', 0, out);
        close(start, out);
        Ok(())
    }
}
