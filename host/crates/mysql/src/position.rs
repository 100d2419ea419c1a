//! Where the source resumes, as JSON that an operator can read in the checkpoint.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{gtid::GtidSet, ledger, prepared::Prepared};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{LanePlace, Offset},
    limits::PREPARED_TRANSACTIONS,
};

/// The lane of a server's binlog.
pub const LANE: &str = "binlog";

/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// Oracle's MySQL, or a server that behaves like it.
    MySql,
    /// MariaDB.
    MariaDb,
}

impl Flavour {
    /// As Debezium names the connector.
    pub fn connector(self) -> &'static str {
        match self {
            Flavour::MySql => "mysql",
            Flavour::MariaDb => "mariadb",
        }
    }
}

/// No binlog file is longer than this, in bytes; so what is added to a position cannot overflow.
pub const LONGEST_FILE: u64 = i64::MAX as u64;

/// Transactions that an offset may have in part, and tables of one that it counts the rows of.
const MOST_PARTS: usize = 100_000;

/// How rows of the transaction at the position were counted by versions of the program before 0.2: by rows events, whatever
/// their table. Means something only for the first transaction behind the stored file and position of the same server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// Rows events that were delivered whole, over all tables.
    pub events: u64,
    /// Rows of the next rows event that were delivered.
    pub rows: u64,
}

impl Skip {
    fn is_none(skip: &Option<Self>) -> bool {
        skip.is_none_or(|skip| skip == Self::default())
    }
}

/// A transaction that was delivered in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Which transaction: its GTID, or `file:position` of its first event.
    pub transaction: Arc<str>,
    /// How many of its rows were delivered, by table.
    pub rows: BTreeMap<Box<str>, u64>,
}

/// The form in which the position is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    flavor: Flavour,
    #[serde(alias = "server_uuid", skip_serializing_if = "Option::is_none", default)]
    server: Option<Box<str>>,
    file: String,
    position: u64,
    gtid_set: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    open: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    prepared: Vec<Prepared>,
    #[serde(skip_serializing_if = "Skip::is_none", default)]
    skip: Option<Skip>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    created: Option<u32>,
}

/// A place in a binlog: what was executed before it, and how far into a transaction delivery got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinlogPosition {
    /// The server's flavour.
    pub flavour: Flavour,
    /// The server's own identity: `@@server_uuid` of MySQL, `@@server_uid` of MariaDB where it has one. File names mean nothing
    /// on another one.
    pub server: Option<Box<str>>,
    /// Binlog file; empty where it is not known, because the place is one of several servers.
    pub file: Arc<str>,
    /// Byte position in it: the first event of the open transaction, or of the next one.
    pub position: u64,
    /// What was executed before; `None` without GTIDs. It wins over file and position.
    pub gtid_set: Option<Arc<GtidSet>>,
    /// The transactions that were delivered in part: mostly none or the one at the position.
    pub open: Vec<Part>,
    /// XA transactions that were prepared and have not ended.
    pub prepared: Vec<Prepared>,
    /// From a version 1 checkpoint: what of the transaction at the position was delivered.
    pub skip: Option<Skip>,
    /// When the server began the file, in seconds since 1970, where that is known: after a RESET its name comes again.
    pub created: Option<u32>,
}

impl LanePlace for BinlogPosition {
    fn to_json(&self) -> String {
        let stored = Stored {
            flavor: self.flavour,
            server: self.server.clone(),
            file: self.file.to_string(),
            position: self.position,
            gtid_set: self.gtid_set.as_ref().map(ToString::to_string),
            open: self.open.clone(),
            prepared: self.prepared.clone(),
            skip: self.skip,
            created: self.created,
        };
        // strings, numbers and a map of strings: nothing of it can fail
        serde_json::to_string(&stored).unwrap_or_default()
    }
}

impl BinlogPosition {
    /// The position that an offset of the lane holds, or that its text says.
    pub fn of(offset: &Offset) -> Result<Self> {
        match offset.place::<Self>() {
            Some(position) => Ok(position.clone()),
            None => Self::parse(&offset.to_json()),
        }
    }

    /// Reads a stored position.
    pub fn parse(text: &str) -> Result<Self> {
        let unreadable = || {
            Error::new(ErrorKind::State, "the stored position is not one of a MySQL or MariaDB source")
                .remedy("Use the state file that belongs to this pipeline, or a new one.")
        };
        let stored: Stored = serde_json::from_str(text).map_err(|e| unreadable().caused_by(e))?;
        if stored.position > LONGEST_FILE || stored.open.len() > MOST_PARTS || stored.prepared.len() > PREPARED_TRANSACTIONS {
            return Err(unreadable());
        }
        let gtid_set = match (&stored.gtid_set, stored.flavor) {
            (None, _) => None,
            (Some(text), Flavour::MySql) => Some(GtidSet::parse_mysql(text).map_err(|e| unreadable().caused_by(e))?),
            (Some(text), Flavour::MariaDb) => Some(GtidSet::parse_mariadb(text).map_err(|e| unreadable().caused_by(e))?),
        };
        Ok(Self {
            flavour: stored.flavor,
            server: stored.server,
            file: stored.file.into(),
            position: stored.position,
            gtid_set: gtid_set.map(Arc::new),
            open: stored.open,
            prepared: stored.prepared,
            skip: stored.skip.filter(|skip| *skip != Skip::default()),
            created: stored.created,
        })
    }

    /// The set to resume with; an empty one of MariaDB says nothing and gives way to file and position.
    pub fn resumable_gtids(&self) -> Option<&GtidSet> {
        self.gtid_set.as_deref().filter(|set| self.flavour == Flavour::MySql || !set.is_empty())
    }

    /// Whether it was read from another server than this one. Servers that do not say who they are count as one.
    pub fn is_of_another_server(&self, server: Option<&str>) -> bool {
        matches!((self.server.as_deref(), server), (Some(own), Some(other)) if own != other)
    }

    /// Whether it was read from this server, for certain.
    pub fn is_of(&self, server: Option<&str>) -> bool {
        self.server.is_some() && self.server.as_deref() == server
    }

    /// Whether file and position say which of two places comes first, although there are GTIDs: both are of the log of one MariaDB
    /// server. Its numbers do not say that: with `gtid_strict_mode` off, lower ones may follow higher ones.
    pub fn shares_log(&self, other: &Self) -> bool {
        let series = |file: &str| ledger::file_number(file).and(file.rfind('.'));
        (self.flavour, other.flavour) == (Flavour::MariaDb, Flavour::MariaDb)
            && self.is_of(other.server.as_deref())
            && series(&self.file).is_some_and(|dot| series(&other.file) == Some(dot) && self.file.get(..dot) == other.file.get(..dot))
    }

    /// Whether the server's log was reset between them: their file has one name, and was begun at two times.
    pub fn is_across_reset(&self, other: &Self) -> bool {
        let begun_twice = matches!((self.created, other.created), (Some(own), Some(other)) if own != other);
        begun_twice && self.is_of(other.server.as_deref()) && self.has_file() && self.file == other.file
    }

    /// Prepares to go on with a server. Another one may have logged the rows of tables without a key in another order: how many of
    /// them were delivered means nothing there.
    pub fn go_on_with(&mut self, server: Option<&str>) {
        if !self.is_of_another_server(server) {
            return;
        }
        for part in &mut self.open {
            let before = part.rows.len();
            part.rows.retain(|table, _| !ledger::is_keyless(table));
            if part.rows.len() < before {
                tracing::warn!(
                    transaction = &*part.transaction,
                    "a transaction was delivered in part, and this server may have logged its rows of tables without a key in another \
                     order: these rows come again"
                );
            }
        }
        self.open.retain(|part| !part.rows.is_empty());
        // they stand elsewhere in its log: each is searched for when its end comes
        self.prepared.clear();
    }

    /// Whether file and position are known: then the server can be asked whether they still belong to the set.
    pub fn has_file(&self) -> bool {
        !self.file.is_empty()
    }
}

impl std::fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.has_file() {
            write!(f, "{}:{}", self.file, self.position)?;
        }
        if let Some(set) = &self.gtid_set {
            let space = if self.has_file() { " " } else { "" };
            write!(f, "{space}(GTID set '{set}')")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text() {
        let text = r#"{"flavor":"mysql","server":"u","file":"binlog.000003","position":1234,"gtid_set":"e3cecf61-e5c9-11f1-8ff0-02fc00000001:1-5:blue:7","open":[{"transaction":"e3cecf61-e5c9-11f1-8ff0-02fc00000001:6","rows":{"shop.orders":3}}],"prepared":[{"xid":"X'31',X'',1","transaction":"e3cecf61-e5c9-11f1-8ff0-02fc00000001:4","file":"binlog.000002","position":77}]}"#;
        let position = BinlogPosition::parse(text).unwrap();
        assert_eq!(position.open[0].rows["shop.orders"], 3);
        assert_eq!(position.to_json(), text);
        for text in [
            r#"{"flavor":"mariadb","file":"b.1","position":4,"gtid_set":null}"#,
            r#"{"flavor":"mariadb","server":"u","file":"b.1","position":4,"gtid_set":"0-1-9,0-1-5","created":1700000000}"#,
        ] {
            assert_eq!(BinlogPosition::parse(text).unwrap().to_json(), text);
        }
    }

    #[test]
    fn a_position_of_version_1_is_read() {
        let text = r#"{"flavor":"mysql","server_uuid":"u","file":"b.1","position":4,"gtid_set":null,"skip":{"events":2,"rows":17}}"#;
        let position = BinlogPosition::parse(text).unwrap();
        assert_eq!((position.server.as_deref(), position.skip), (Some("u"), Some(Skip { events: 2, rows: 17 })));
        let text = r#"{"flavor":"mariadb","file":"b.1","position":4,"gtid_set":"0-1-2","skip":{"events":0,"rows":0}}"#;
        assert_eq!(BinlogPosition::parse(text).unwrap().skip, None);
    }

    #[test]
    fn a_position_that_no_file_reaches_is_refused() {
        let stored = |position: u64| format!(r#"{{"flavor":"mariadb","file":"b.1","position":{position},"gtid_set":"0-1-2"}}"#);
        BinlogPosition::parse(&stored(LONGEST_FILE)).unwrap();
        assert_eq!(BinlogPosition::parse(&stored(u64::MAX)).unwrap_err().kind(), ErrorKind::State);
    }

    #[test]
    fn another_sources_position_is_refused() {
        let error = BinlogPosition::parse("{\"seed\":1}").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.remedy_text().is_some());
    }
}
