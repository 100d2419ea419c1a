//! The source.

use super::{
    super::{
        GeneratorSource, MySqlSource, RowImage, Secret, StartAt, Unlogged,
        raw::{RawGenerator, RawMySql, RawRowImage, RawStart, RawStartWord, RawUnlogged},
    },
    check::Check,
};
use sluicegate_model::limits::GENERATOR_LANES;

fn unlogged(raw: Option<RawUnlogged>, default: Unlogged) -> Unlogged {
    match raw {
        Some(RawUnlogged::Stop) => Unlogged::Stop,
        Some(RawUnlogged::Warn) => Unlogged::Warn,
        Some(RawUnlogged::Copy) => Unlogged::Copy,
        None => default,
    }
}

impl Check<'_> {
    pub(super) fn generator(&mut self, raw: &RawGenerator) -> GeneratorSource {
        if raw.rate == Some(0) {
            self.refuse("source.rate", "no changes a second", "write 1 or more, or leave it out to go as fast as possible");
        }
        if raw.changes == Some(0) {
            self.refuse("source.changes", "no changes at all", "write 1 or more, or leave it out to go on without an end");
        }
        let lanes = raw.lanes.unwrap_or(1);
        if !(1..=GENERATOR_LANES).contains(&lanes) {
            let text = if lanes == 0 { "no lanes at all" } else { "too many lanes" };
            self.refuse("source.lanes", text, format!("write a number from 1 to {GENERATOR_LANES}, or leave it out"));
        }
        GeneratorSource { seed: raw.seed.unwrap_or(1), rate: raw.rate, changes: raw.changes, lanes, turbulence: raw.turbulence }
    }

    pub(super) fn mysql(&mut self, raw: RawMySql) -> MySqlSource {
        let addresses = self.addresses(&raw);
        if raw.server_id == Some(0) {
            self.refuse("source.server_id", "0 is not a replica's id", "write 1 or more, or leave it out");
        }
        let (tls, ca_file, client) = self.protection(&raw, &addresses);
        let tables = self.tables("source.tables", &raw.tables);
        let rate = self.rate(&raw);
        for (key, policy) in [("source.statements", raw.statements), ("source.rows_by_ddl", raw.rows_by_ddl)] {
            if matches!((policy, raw.row_image), (Some(RawUnlogged::Copy), Some(RawRowImage::Partial))) {
                self.refuse(key, "tables cannot be copied with `row_image: partial`", "write `stop` or `warn`, or `row_image: full`");
            }
        }
        MySqlSource {
            addresses,
            user: self.text("source.user".into(), raw.user, "the account's name"),
            password: raw.password.map_or_else(|| Secret::new(""), |s| self.secret("source.password", s)),
            tls,
            ca_file,
            client,
            server_id: raw.server_id,
            tables,
            start: self.start("source.start", raw.start.unwrap_or_default()),
            snapshot: self.snapshot(raw.snapshot),
            heartbeat: self.heartbeat(raw.heartbeat.unwrap_or_default()),
            rate,
            row_image: match raw.row_image {
                None | Some(RawRowImage::Full) => RowImage::Full,
                Some(RawRowImage::Partial) => RowImage::Partial,
            },
            statements: unlogged(raw.statements, Unlogged::Stop),
            rows_by_ddl: unlogged(raw.rows_by_ddl, Unlogged::Warn),
            schema_changes: false,
        }
    }

    pub(super) fn start(&mut self, path: &str, raw: RawStart) -> StartAt {
        match (raw.word, raw.position.file, raw.position.gtid) {
            (Some(RawStartWord::Earliest), ..) => StartAt::Earliest,
            (Some(RawStartWord::Now), ..) => StartAt::Now,
            (Some(RawStartWord::Copy), ..) => {
                if path == "source.start" {
                    self.refuse(path, "the copy of tables is no place in the log", "write `snapshot: initial` at the source");
                }
                StartAt::Copy
            }
            (None, Some(file), None) => StartAt::File {
                file: self.text(format!("{path}.file"), file, "a binlog file's name, e.g. `binlog.000003`"),
                position: match raw.position.position {
                    // a binlog file begins with four magic bytes
                    Some(position) if position < 4 => {
                        self.refuse(format!("{path}.position"), "no event begins here", "write 4, the file's first event, or more");
                        position
                    }
                    position => position.unwrap_or(4),
                },
            },
            (None, None, Some(gtid)) if raw.position.position.is_none() => {
                StartAt::Gtid(self.text(format!("{path}.gtid"), gtid, "GTIDs, e.g. `0-2001-5`"))
            }
            (None, None, None) if raw.position.position.is_none() => StartAt::Now,
            _ => {
                self.refuse(
                    path,
                    "this does not name one position",
                    "write `now`, `earliest`, `{ file: binlog.000003, position: 4 }` or `{ gtid: … }`",
                );
                StartAt::Now
            }
        }
    }
}
