//! Debezium's JSON envelope, without its schema part (`schemas.enable=false`), in the field order of its MySQL connector:
//! `before`, `after`, `source`, `transaction`, `op`, `ts_ms`, `ts_us`, `ts_ns` (Debezium documentation, "MySQL connector",
//! "Change events"; field order from `SchemaFactory` and `BinlogSourceInfoStructMaker`).
//!
//! Values have the forms of [`json`], which is what Debezium writes with `decimal.handling.mode=string`,
//! `binary.handling.mode=base64` and `time.precision.mode=isostring`, but for: datetimes keep a space instead of `T`,
//! times of day and durations keep MySQL's `-838:59:59.000000`, and unsigned 64-bit integers are exact numbers.
//!
//! - `op` is `c`, `u`, `d`, `t` for a table that was emptied (both images null), or `r` for a row that a snapshot read; then `source.snapshot` is `"true"`, otherwise `"false"`.
//! - `source.ts_*` is when the database executed the change, the outer `ts_*` when this program wrote the record (the
//!   clock is read once a batch). Both are known to the microsecond; `ts_ns` ends in `000`.
//! - `source.version` is this program's. `sequence`, `thread`, `query` and `transaction` are always null.
//! - `source.schema` stands before `table` where the source has schemas.
//! - Two members at the end are not Debezium's: `plugins`, the plugins that made the record, where the sink says so, and
//!   `headers`, an object of strings, where the table has header columns and the sink has no headers of its own.

use super::{
    head::{Head, Stamp},
    json::{self, Field, signed, unsigned},
};
use sluicegate_model::{
    change::{Change, NO_IMAGE, Operation, Table, TableRows},
    json::string,
};

/// What is constant for a table version.
pub(super) struct Plan {
    row: Vec<Field>,
    /// `,"db":…,"sequence":null,"ts_us":`
    database: Vec<u8>,
    /// `,"schema":…,"table":…,"server_id":`
    table: Vec<u8>,
}

impl Plan {
    pub(super) fn new(table: &Table) -> Self {
        let mut database = b",\"db\":".to_vec();
        string(table.name.database.as_bytes(), &mut database);
        database.extend_from_slice(b",\"sequence\":null,\"ts_us\":");
        let mut name = Vec::new();
        if let Some(schema) = &table.name.schema {
            name.extend_from_slice(b",\"schema\":");
            string(schema.as_bytes(), &mut name);
        }
        name.extend_from_slice(b",\"table\":");
        string(table.name.table.as_bytes(), &mut name);
        name.extend_from_slice(b",\"server_id\":");
        Self { row: super::object_fields(table, |_| true), database, table: name }
    }
}

/// The operation of a table that was emptied.
const TRUNCATE: u8 = b't';

/// What is constant for an encoder, and what changes rarely.
#[derive(Clone)]
pub(super) struct Envelope {
    /// `,"source":{"version":…,"connector":…,"name":…,"ts_ms":`
    origin: Vec<u8>,
    /// The end of the record for each operation at the current time.
    tails: [Vec<u8>; 5],
}

impl Envelope {
    pub(super) fn new(pipeline: &str, connector: &str) -> Self {
        let mut origin = b",\"source\":{\"version\":".to_vec();
        string(env!("CARGO_PKG_VERSION").as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"connector\":");
        string(connector.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"name\":");
        string(pipeline.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"ts_ms\":");
        Self { origin, tails: Default::default() }
    }

    /// Sets the processing time, in microseconds since 1970, and the member that tells the plugins' versions, with the comma
    /// in front; or nothing.
    pub(super) fn begin(&mut self, now_us: i64, versions: &[u8]) {
        let codes = [Operation::Snapshot, Operation::Insert, Operation::Update, Operation::Delete].map(super::code);
        for (code, tail) in codes.into_iter().chain([TRUNCATE]).zip(&mut self.tails) {
            tail.clear();
            tail.extend_from_slice(b",\"thread\":null,\"query\":null},\"transaction\":null,\"op\":\"");
            tail.push(code);
            tail.extend_from_slice(b"\",\"ts_ms\":");
            signed(now_us.div_euclid(1000), tail);
            tail.extend_from_slice(b",\"ts_us\":");
            signed(now_us, tail);
            tail.extend_from_slice(b",\"ts_ns\":");
            nanoseconds(now_us, tail);
            tail.extend_from_slice(versions);
            tail.push(b'}');
        }
    }

    pub(super) fn write(&self, plan: &Plan, head: &mut Head, stamp: &Stamp<'_>, rows: &TableRows, change: &Change, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"before\":");
        image(plan, rows, change.before, out);
        out.extend_from_slice(b",\"after\":");
        image(plan, rows, change.after, out);
        head.append(stamp, out, |text| self.source(plan, stamp, text));
        unsigned(change.row.into(), out);
        out.extend_from_slice(&self.tails[change.operation as usize]);
    }

    /// The record of a table that was emptied.
    pub(super) fn truncate(&self, plan: &Plan, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"before\":null,\"after\":null");
        self.source(plan, stamp, out);
        out.push(b'0');
        out.extend_from_slice(&self.tails[4]);
    }

    /// The `source` block up to the row's number.
    fn source(&self, plan: &Plan, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.origin);
        signed(stamp.time_us.div_euclid(1000), out);
        out.extend_from_slice(if stamp.snapshot { b",\"snapshot\":\"true\"" } else { b",\"snapshot\":\"false\"" });
        out.extend_from_slice(&plan.database);
        signed(stamp.time_us, out);
        out.extend_from_slice(b",\"ts_ns\":");
        nanoseconds(stamp.time_us, out);
        out.extend_from_slice(&plan.table);
        unsigned(stamp.server_id.into(), out);
        out.extend_from_slice(b",\"gtid\":");
        match stamp.id {
            Some(id) => string(id.as_bytes(), out),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"file\":");
        string(stamp.file.as_bytes(), out);
        out.extend_from_slice(b",\"pos\":");
        unsigned(stamp.position, out);
        out.extend_from_slice(b",\"row\":");
    }
}

/// Appends microseconds as nanoseconds. By the digits: the product of a time after the year 2262 is beyond 64 bits.
fn nanoseconds(time_us: i64, out: &mut Vec<u8>) {
    signed(time_us, out);
    if time_us != 0 {
        out.extend_from_slice(b"000");
    }
}

#[inline]
fn image(plan: &Plan, rows: &TableRows, row: u32, out: &mut Vec<u8>) {
    if row == NO_IMAGE {
        out.extend_from_slice(b"null");
    } else {
        json::object(&plan.row, &rows.columns, row, out);
    }
}
