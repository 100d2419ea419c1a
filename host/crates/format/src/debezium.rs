//! Debezium's JSON envelope, with or without its schema part, in the field order of its MySQL connector: `before`, `after`, `source`,
//! `transaction`, `op`, `ts_ms`, `ts_us`, `ts_ns` (Debezium documentation, "MySQL connector", "Change events"; field order from
//! `SchemaFactory` and `BinlogSourceInfoStructMaker`).
//!
//! Values have the forms of [`super::form`]: what the options say, which have the names of Debezium's settings.
//!
//! - `op` is `c`, `u`, `d`, `t` for a table that was emptied (both images null), or `r` for a row that a snapshot read; then `source.snapshot` is `"true"`, otherwise `"false"`.
//! - `source.ts_*` is when the database executed the change, the outer `ts_*` when this program wrote the record (the
//!   clock is read once a batch). Both are known to the microsecond; `ts_ns` ends in `000`.
//! - `source.version` is this program's. `sequence`, `thread` and `query` are always null; so is `transaction` where the sink does not tell transactions.
//! - `source.schema` stands before `table` where the source has schemas.
//! - Two members at the end are not Debezium's: `plugins`, the plugins that made the record, where the sink says so, and
//!   `headers`, an object of strings, where the table has header columns and the sink has no headers of its own.

use super::{
    connect,
    format_options::{Options, Origin},
    head::{Head, Stamp},
    json::{signed, unsigned},
    record::{Context, Record, Written},
    row::{Misfit, Row},
    transaction::InTransaction,
};
use sluicegate_model::{
    Result,
    change::{NO_IMAGE, Operation, Table, TableName, TableRows},
    json::string,
};

/// What stands between the source block and the operation; and the same up to the transaction that the record belongs to.
const NO_TRANSACTION: &[u8] = b",\"thread\":null,\"query\":null},\"transaction\":null";
const TRANSACTION: &[u8] = b",\"thread\":null,\"query\":null},\"transaction\":";

/// The operation of a table that was emptied.
const TRUNCATE: u8 = b't';

/// The records of a table version.
pub(super) struct Debezium {
    row: Row,
    /// `{"schema":…,"payload":`, or nothing.
    schema: Vec<u8>,
    source: Source,
    head: Head,
    /// The member that tells the plugins' versions, with the comma in front; or nothing.
    versions: Vec<u8>,
    /// The end of the record for each operation at the current time.
    tails: [Vec<u8>; 5],
    /// Where in its transaction the next record stands, if it is to say so.
    place: Option<InTransaction>,
}

impl Debezium {
    pub(super) fn new(table: &Table, options: &Options) -> Self {
        let mut schema = Vec::new();
        if options.format.schemas {
            schema.extend_from_slice(b"{\"schema\":");
            connect::envelope(table, &options.format.values, &options.origin, &mut schema);
            schema.extend_from_slice(b",\"payload\":");
        }
        Self {
            row: options.whole_row(table),
            schema,
            source: Source::of(&table.name, &options.origin),
            head: Head::default(),
            versions: Vec::new(),
            tails: Default::default(),
            place: None,
        }
    }
}

impl Record for Debezium {
    fn is_wrapped(&self) -> bool {
        !self.schema.is_empty()
    }

    fn versions(&mut self, versions: Option<&str>) {
        self.versions.clear();
        if let Some(versions) = versions {
            self.versions.extend_from_slice(b",\"plugins\":");
            string(versions.as_bytes(), &mut self.versions);
        }
    }

    fn begin(&mut self, now_us: i64) {
        let codes = [Operation::Snapshot, Operation::Insert, Operation::Update, Operation::Delete].map(super::code);
        for (code, tail) in codes.into_iter().chain([TRUNCATE]).zip(&mut self.tails) {
            tail.clear();
            tail.extend_from_slice(NO_TRANSACTION);
            tail.extend_from_slice(b",\"op\":\"");
            tail.push(code);
            tail.extend_from_slice(b"\",\"ts_ms\":");
            signed(now_us.div_euclid(1000), tail);
            tail.extend_from_slice(b",\"ts_us\":");
            signed(now_us, tail);
            tail.extend_from_slice(b",\"ts_ns\":");
            nanoseconds(now_us, tail);
            tail.extend_from_slice(&self.versions);
            tail.push(b'}');
            if !self.schema.is_empty() {
                tail.push(b'}');
            }
        }
    }

    #[inline]
    fn write(&mut self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<Written, Misfit> {
        let Context { rows, change, stamp, .. } = context;
        out.extend_from_slice(&self.schema);
        out.extend_from_slice(b"{\"before\":");
        image(&self.row, rows, change.before, out)?;
        out.extend_from_slice(b",\"after\":");
        image(&self.row, rows, change.after, out)?;
        let Self { source, head, .. } = self;
        head.append(stamp, out, |text| source.write(stamp, text));
        unsigned(change.row.into(), out);
        let tail = &self.tails[change.operation as usize];
        match &self.place {
            None => out.extend_from_slice(tail),
            Some(place) => {
                out.extend_from_slice(TRANSACTION);
                place.write(out);
                out.extend_from_slice(tail.get(NO_TRANSACTION.len()..).unwrap_or_default());
            }
        }
        Ok(Written::Record)
    }

    fn number(&mut self, place: Option<InTransaction>) {
        self.place = place;
    }

    fn truncate(&mut self, stamp: &Stamp<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.schema);
        out.extend_from_slice(b"{\"before\":null,\"after\":null");
        self.source.write(stamp, out);
        out.push(b'0');
        out.extend_from_slice(&self.tails[4]);
        Ok(())
    }
}

/// The constant parts of the `source` block.
pub(super) struct Source {
    /// `,"source":{"version":…,"connector":…,"name":…,"ts_ms":`
    origin: Vec<u8>,
    /// `,"db":…,"sequence":null,"ts_us":`
    database: Vec<u8>,
    /// `,"schema":…,"table":…,"server_id":`
    table: Vec<u8>,
}

impl Source {
    pub(super) fn of(table: &TableName, from: &Origin) -> Self {
        let mut origin = b",\"source\":{\"version\":".to_vec();
        string(Origin::VERSION.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"connector\":");
        string(from.connector.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"name\":");
        string(from.pipeline.as_bytes(), &mut origin);
        origin.extend_from_slice(b",\"ts_ms\":");
        let mut database = b",\"db\":".to_vec();
        string(table.database.as_bytes(), &mut database);
        database.extend_from_slice(b",\"sequence\":null,\"ts_us\":");
        let mut name = Vec::new();
        if let Some(schema) = &table.schema {
            name.extend_from_slice(b",\"schema\":");
            string(schema.as_bytes(), &mut name);
        }
        name.extend_from_slice(b",\"table\":");
        string(table.table.as_bytes(), &mut name);
        name.extend_from_slice(b",\"server_id\":");
        Self { origin, database, table: name }
    }

    /// The block up to the row's number.
    pub(super) fn write(&self, stamp: &Stamp<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.origin);
        signed(stamp.time_us.div_euclid(1000), out);
        out.extend_from_slice(if stamp.snapshot { b",\"snapshot\":\"true\"" } else { b",\"snapshot\":\"false\"" });
        out.extend_from_slice(&self.database);
        signed(stamp.time_us, out);
        out.extend_from_slice(b",\"ts_ns\":");
        nanoseconds(stamp.time_us, out);
        out.extend_from_slice(&self.table);
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
pub(super) fn nanoseconds(time_us: i64, out: &mut Vec<u8>) {
    signed(time_us, out);
    if time_us != 0 {
        out.extend_from_slice(b"000");
    }
}

/// Appends an image of a change, or null where it has none.
#[inline]
pub(super) fn image(plan: &Row, rows: &TableRows, row: u32, out: &mut Vec<u8>) -> Result<(), Misfit> {
    if row == NO_IMAGE {
        out.extend_from_slice(b"null");
        Ok(())
    } else {
        plan.object(&rows.columns, row, out)
    }
}
