//! Where the source resumes, as JSON that an operator can read in the checkpoint.

use serde::{Deserialize, Serialize};

use super::gtid::GtidSet;
use sluicegate_model::{Error, ErrorKind, Result, change::Position};

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

/// What of the transaction at the position has been delivered already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skip {
    /// Rows events that were delivered whole, over all tables.
    pub events: u64,
    /// Rows of the next rows event that were delivered.
    pub rows: u64,
}

/// The form in which the position is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    flavor: Flavour,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    server_uuid: Option<String>,
    file: String,
    position: u64,
    gtid_set: Option<String>,
    #[serde(default)]
    skip: Skip,
}

/// A place in a binlog: the start of a transaction and how far into it delivery got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BinlogPosition {
    /// The server's flavour.
    pub flavour: Flavour,
    /// `@@server_uuid` of a MySQL server: file names mean nothing on another one.
    pub server_uuid: Option<String>,
    /// Binlog file.
    pub file: String,
    /// Byte position in it: the first event of the open transaction, or of the next one.
    pub position: u64,
    /// What was executed before; `None` without GTIDs. It wins over file and position.
    pub gtid_set: Option<GtidSet>,
    /// What of the open transaction was delivered.
    pub skip: Skip,
}

impl BinlogPosition {
    /// Reads a stored position.
    pub fn parse(position: &Position) -> Result<Self> {
        let unreadable = || {
            Error::new(ErrorKind::State, "the stored position is not one of a MySQL or MariaDB source")
                .remedy("Use the state file that belongs to this pipeline, or a new one.")
        };
        let stored: Stored = serde_json::from_str(&position.0).map_err(|e| unreadable().caused_by(e))?;
        if stored.position > LONGEST_FILE {
            return Err(unreadable());
        }
        let gtid_set = match (&stored.gtid_set, stored.flavor) {
            (None, _) => None,
            (Some(text), Flavour::MySql) => Some(GtidSet::parse_mysql(text).map_err(|e| unreadable().caused_by(e))?),
            (Some(text), Flavour::MariaDb) => Some(GtidSet::parse_mariadb(text).map_err(|e| unreadable().caused_by(e))?),
        };
        Ok(Self {
            flavour: stored.flavor,
            server_uuid: stored.server_uuid,
            file: stored.file,
            position: stored.position,
            gtid_set,
            skip: stored.skip,
        })
    }

    /// As it is stored.
    pub fn to_position(&self) -> Result<Position> {
        let stored = Stored {
            flavor: self.flavour,
            server_uuid: self.server_uuid.clone(),
            file: self.file.clone(),
            position: self.position,
            gtid_set: self.gtid_set.as_ref().map(ToString::to_string),
            skip: self.skip,
        };
        let json =
            serde_json::to_string(&stored).map_err(|e| Error::new(ErrorKind::Internal, "cannot write the position down").caused_by(e))?;
        Ok(Position::new(json))
    }

    /// The set to resume with; an empty one of MariaDB says nothing and gives way to file and position.
    pub fn resumable_gtids(&self) -> Option<&GtidSet> {
        self.gtid_set.as_ref().filter(|set| self.flavour == Flavour::MySql || !set.is_empty())
    }
}

impl std::fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.position)?;
        if let Some(set) = &self.gtid_set {
            write!(f, " (GTID set '{set}')")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_text() {
        let text = r#"{"flavor":"mysql","server_uuid":"u","file":"binlog.000003","position":1234,"gtid_set":"e3cecf61-e5c9-11f1-8ff0-02fc00000001:1-5:blue:7","skip":{"events":2,"rows":17}}"#;
        let position = BinlogPosition::parse(&Position::new(text)).unwrap();
        assert_eq!(position.skip, Skip { events: 2, rows: 17 });
        assert_eq!(&*position.to_position().unwrap().0, text);
        let text = r#"{"flavor":"mariadb","file":"b.1","position":4,"gtid_set":null,"skip":{"events":0,"rows":0}}"#;
        assert_eq!(&*BinlogPosition::parse(&Position::new(text)).unwrap().to_position().unwrap().0, text);
    }

    #[test]
    fn a_position_that_no_file_reaches_is_refused() {
        let stored = |position: u64| format!(r#"{{"flavor":"mariadb","file":"b.1","position":{position},"gtid_set":"0-1-2"}}"#);
        BinlogPosition::parse(&Position::new(stored(LONGEST_FILE))).unwrap();
        assert_eq!(BinlogPosition::parse(&Position::new(stored(u64::MAX))).unwrap_err().kind(), ErrorKind::State);
    }

    #[test]
    fn another_sources_position_is_refused() {
        let error = BinlogPosition::parse(&Position::new("{\"seed\":1}")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::State);
        assert!(error.remedy_text().is_some());
    }
}
