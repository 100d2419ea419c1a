//! CloudEvents 1.0 in structured mode, as Debezium's converter makes them (its documentation, "Exporting CloudEvents"): each member of
//! `source` is an attribute `iodebezium…` whose value is a string, and `data` holds the images.
//!
//! `id` has the row's number at its end, where Debezium's has none: the rows of one event of the log would have the same.

use super::{
    debezium::{image, nanoseconds},
    format_options::{Options, Origin},
    head::Stamp,
    json::{signed, unsigned},
    record::{Context, Record, Written},
    row::{Misfit, Row},
};
use sluicegate_model::{
    Result,
    change::{Table, write_timestamp},
    json::{escaped, string},
};

/// The records of a table version.
pub(super) struct CloudEvents {
    row: Row,
    /// `{"id":"name:…`
    id: Vec<u8>,
    /// `","source":…,"specversion":"1.0","type":…,"time":"`
    kind: Vec<u8>,
    /// `","iodebeziumversion":…,"iodebeziumconnector":…,"iodebeziumname":…,"iodebeziumtsms":"`
    origin: Vec<u8>,
    /// `","iodebeziumdb":…,"iodebeziumtsus":"`
    database: Vec<u8>,
    /// `","iodebeziumschema":…,"iodebeziumtable":…,"iodebeziumserverid":"`
    table: Vec<u8>,
    /// The attribute that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
}

impl CloudEvents {
    pub(super) fn new(table: &Table, options: &Options) -> Self {
        let Origin { pipeline, connector } = &options.origin;
        let mut id = b"{\"id\":\"name:".to_vec();
        escaped(pipeline.as_bytes(), 0, pipeline.len(), &mut id);
        let mut kind = b"\",\"source\":".to_vec();
        string(format!("/debezium/{connector}/{pipeline}").as_bytes(), &mut kind);
        kind.extend_from_slice(b",\"specversion\":\"1.0\",\"type\":");
        string(format!("io.debezium.connector.{connector}.DataChangeEvent").as_bytes(), &mut kind);
        kind.extend_from_slice(b",\"time\":\"");
        let mut origin = b"\",\"iodebeziumversion\":".to_vec();
        string(Origin::VERSION.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"iodebeziumconnector\":");
        string(connector.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"iodebeziumname\":");
        string(pipeline.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"iodebeziumtsms\":\"");
        let mut database = b",\"iodebeziumdb\":".to_vec();
        string(table.name.database.as_bytes(), &mut database);
        database.extend_from_slice(b",\"iodebeziumtsus\":\"");
        let mut name = b"\"".to_vec();
        if let Some(schema) = &table.name.schema {
            name.extend_from_slice(b",\"iodebeziumschema\":");
            string(schema.as_bytes(), &mut name);
        }
        name.extend_from_slice(b",\"iodebeziumtable\":");
        string(table.name.table.as_bytes(), &mut name);
        name.extend_from_slice(b",\"iodebeziumserverid\":\"");
        Self { row: options.whole_row(table), id, kind, origin, database, table: name, versions: Vec::new() }
    }

    /// The attributes, up to `"data":`.
    fn attributes(&self, stamp: &Stamp<'_>, operation: u8, row: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        if !stamp.file.is_empty() {
            out.extend_from_slice(b";file:");
            escaped(stamp.file.as_bytes(), 0, stamp.file.len(), out);
        }
        out.extend_from_slice(b";pos:");
        unsigned(stamp.position, out);
        out.extend_from_slice(b";row:");
        unsigned(row.into(), out);
        out.extend_from_slice(&self.kind);
        write_timestamp(stamp.time_us.div_euclid(1000) * 1000, out);
        // milliseconds: three digits less, and the `Z`
        out.truncate(out.len() - 4);
        out.extend_from_slice(b"Z\",\"datacontenttype\":\"application/json\",\"iodebeziumop\":\"");
        out.push(operation);
        out.extend_from_slice(&self.origin);
        signed(stamp.time_us.div_euclid(1000), out);
        out.extend_from_slice(if stamp.snapshot { b"\",\"iodebeziumsnapshot\":\"true\"" } else { b"\",\"iodebeziumsnapshot\":\"false\"" });
        out.extend_from_slice(&self.database);
        signed(stamp.time_us, out);
        out.extend_from_slice(b"\",\"iodebeziumtsns\":\"");
        nanoseconds(stamp.time_us, out);
        out.extend_from_slice(&self.table);
        unsigned(stamp.server_id.into(), out);
        out.push(b'"');
        if let Some(id) = stamp.id {
            out.extend_from_slice(b",\"iodebeziumgtid\":");
            string(id.as_bytes(), out);
        }
        if !stamp.file.is_empty() {
            out.extend_from_slice(b",\"iodebeziumfile\":");
            string(stamp.file.as_bytes(), out);
        }
        out.extend_from_slice(b",\"iodebeziumpos\":\"");
        unsigned(stamp.position, out);
        out.extend_from_slice(b"\",\"iodebeziumrow\":\"");
        unsigned(row.into(), out);
        out.push(b'"');
        out.extend_from_slice(&self.versions);
        out.extend_from_slice(b",\"data\":");
    }
}

impl Record for CloudEvents {
    /// Attributes are simple values: the headers belong to the data.
    fn is_wrapped(&self) -> bool {
        true
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.extend_from_slice(b",\"sluicegateplugins\":");
            string(versions.as_bytes(), &mut self.versions);
        }
    }

    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { rows, change, stamp, .. } = context;
        self.attributes(stamp, super::code(change.operation), change.row, out);
        out.extend_from_slice(b"{\"before\":");
        image(&self.row, rows, change.before, out)?;
        out.extend_from_slice(b",\"after\":");
        image(&self.row, rows, change.after, out)?;
        out.extend_from_slice(b"}}");
        Ok(Written::Record)
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        self.attributes(stamp, b't', 0, out);
        out.extend_from_slice(b"{\"before\":null,\"after\":null}}");
        Ok(())
    }
}
