//! The source.

use std::{net::IpAddr, time::Duration};

use super::{
    super::{
        GeneratorSource, MySqlSource, RowImage, Secret, StartAt, TlsMode, Unlogged,
        raw::{RawGenerator, RawMySql, RawRowImage, RawStart, RawStartWord, RawTls, RawUnlogged},
    },
    check::Check,
};
use sluicegate_model::limits::GENERATOR_LANES;

fn unlogged(raw: Option<RawUnlogged>, default: Unlogged) -> Unlogged {
    match raw {
        Some(RawUnlogged::Stop) => Unlogged::Stop,
        Some(RawUnlogged::Warn) => Unlogged::Warn,
        None => default,
    }
}

impl Check<'_> {
    pub(super) fn generator(&mut self, raw: &RawGenerator) -> GeneratorSource {
        if raw.rate == Some(0) {
            self.refuse("source.rate", "no changes a second", "write 1 or more, or leave it out to go as fast as possible");
        }
        if raw.changes == Some(0) {
            self.refuse("source.changes", "no changes at all", "write 1 or more, or leave it out to go on for ever");
        }
        let lanes = raw.lanes.unwrap_or(1);
        if !(1..=GENERATOR_LANES).contains(&lanes) {
            let text = if lanes == 0 { "no lanes at all" } else { "too many lanes" };
            self.refuse("source.lanes", text, format!("write a number from 1 to {GENERATOR_LANES}, or leave it out"));
        }
        GeneratorSource { seed: raw.seed.unwrap_or(1), rate: raw.rate, changes: raw.changes, lanes, turbulence: raw.turbulence }
    }

    pub(super) fn mysql(&mut self, raw: RawMySql) -> MySqlSource {
        let host = self.text("source.host".into(), raw.host, "a host name or address");
        let port = raw.port.unwrap_or(3306);
        if port == 0 {
            self.refuse("source.port", "0 is not a port", "write the server's TCP port, usually 3306");
        }
        if raw.server_id == Some(0) {
            self.refuse("source.server_id", "0 is not a replica's id", "write 1 or more, or leave it out");
        }
        let tls = match raw.tls {
            Some(RawTls::Disabled) => TlsMode::Disabled,
            Some(RawTls::Required) => TlsMode::Required,
            Some(RawTls::VerifyIdentity) => TlsMode::VerifyIdentity,
            None if is_loopback(&host) => TlsMode::Disabled,
            None => TlsMode::VerifyIdentity,
        };
        let ca_file = raw.ca_file.map(|path| self.path("source.ca_file", &path));
        if ca_file.is_some() && tls != TlsMode::VerifyIdentity {
            self.refuse(
                "source.ca_file",
                "certificates are not checked with this `tls`",
                "write `tls: verify-identity`, or leave this out",
            );
        }
        let tables = self.tables("source.tables", &raw.tables);
        MySqlSource {
            host,
            port,
            user: self.text("source.user".into(), raw.user, "the account's name"),
            password: raw.password.map_or_else(|| Secret::new(""), |s| self.secret("source.password", s)),
            tls,
            ca_file,
            server_id: raw.server_id,
            tables,
            start: self.start("source.start", raw.start.unwrap_or_default()),
            snapshot: self.snapshot(raw.snapshot),
            heartbeat: self.time(
                "source.heartbeat",
                raw.heartbeat,
                Duration::from_secs(5),
                Duration::from_millis(100),
                Duration::from_secs(3600),
            ),
            row_image: match raw.row_image {
                None | Some(RawRowImage::Full) => RowImage::Full,
                Some(RawRowImage::Partial) => RowImage::Partial,
            },
            statements: unlogged(raw.statements, Unlogged::Stop),
            rows_by_ddl: unlogged(raw.rows_by_ddl, Unlogged::Warn),
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

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
