//! What the server says of itself, its database and its tables.

use std::sync::Arc;

use super::{
    column::CatalogueColumn,
    connection::Conn,
    fault::Fault,
    place::Identity,
    row::{Cells, unexpected},
    sql,
    table::TrackedTable,
    value::Parameter,
};
use sluicegate_config::{SqlServerSource, TrackedStart, TrackedTables};
use sluicegate_model::{Error, ErrorKind, change::TableName};

/// The server and its database.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) version: String,
    pub(super) edition: String,
    pub(super) database: String,
    /// The database's id and when it was made.
    pub(super) identity: Arc<str>,
    /// 1 = SNAPSHOT is allowed.
    pub(super) snapshot: i64,
    pub(super) compatibility: i64,
    pub(super) writable: bool,
    /// The current version; `None` where Change Tracking is off.
    pub(super) current: Option<i64>,
}

/// Asks for the server's facts.
pub(super) async fn facts(conn: &mut Conn) -> Result<Facts, Fault> {
    let row = conn.rows(sql::FACTS, &[]).await?.into_iter().next().ok_or_else(unexpected)?;
    let row = Cells::from(row);
    let version = row.text(0)?.unwrap_or("unknown").to_owned();
    conn.protects = protects(&version, row.number(2)?);
    Ok(Facts {
        version,
        edition: row.text(1)?.unwrap_or("unknown").to_owned(),
        database: row.some_text(3)?.to_owned(),
        identity: format!("{} {}", row.some_number(4)?, row.text(5)?.unwrap_or_default()).into(),
        snapshot: row.some_number(6)?,
        compatibility: row.some_number(7)?,
        writable: row.text(8)? != Some("READ_ONLY"),
        current: row.number(9)?,
    })
}

/// Whether a server knows encrypted and masked columns and row-level security: SQL Server 2016, and the services of Azure, whatever version
/// they say.
fn protects(version: &str, edition: Option<i64>) -> bool {
    let major = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
    matches!(edition, Some(5 | 8)) || major.is_some_and(|major| major >= 13)
}

/// The current version of the database.
pub(super) async fn current(conn: &mut Conn) -> Result<i64, Fault> {
    let row = conn.rows(sql::CURRENT, &[]).await?.into_iter().next().ok_or_else(unexpected)?;
    Cells::from(row).number(0)?.ok_or_else(|| Fault::Final(off()))
}

/// Change Tracking is off for the database.
pub(super) fn off() -> Error {
    Error::new(ErrorKind::Precheck, "Change Tracking is off for the database").remedy(ENABLE_DATABASE)
}

pub(super) const ENABLE_DATABASE: &str = "ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON);";

/// Since when a table is tracked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tracking {
    /// The version at which it began.
    pub(super) begin: i64,
    /// The minimum valid version; `None` where the account may not know.
    pub(super) minimum: Option<i64>,
}

impl Tracking {
    /// The place from which on it is read that was at a version when that was asked for. Its tracking may have begun since.
    pub(super) fn first(self, version: i64) -> i64 {
        version.max(self.begin).max(self.minimum.unwrap_or_default())
    }
}

/// A table that an entry of the settings matches.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub(super) name: TableName,
    pub(super) object: i32,
    /// `None` where it is not tracked.
    pub(super) tracked: Option<Tracking>,
    /// Where it begins without progress.
    pub(super) start: TrackedStart,
}

/// What the entries of the settings match.
#[derive(Clone, Debug, Default)]
pub(super) struct Discovered {
    /// The tables, in the order of the entries; a table belongs to the first entry that matches it.
    pub(super) tables: Vec<Listed>,
    /// The entries that match none.
    pub(super) without: Vec<usize>,
}

/// The tables that the settings match. At most `most`.
pub(super) async fn discover(conn: &mut Conn, database: &str, entries: &[TrackedTables], most: usize) -> Result<Discovered, Fault> {
    let (mut found, mut without): (Vec<Listed>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut objects = std::collections::HashSet::new();
    for (at, entry) in entries.iter().enumerate() {
        let mut matches = false;
        let parameters = [Parameter::Text(entry.schema.as_str().into()), Parameter::Text(entry.like.as_str().into())];
        for row in conn.rows(sql::DISCOVERY, &parameters).await? {
            let row = Cells::from(row);
            let (schema, table) = (row.some_text(0)?, row.some_text(1)?);
            let object = row.small(2)?;
            if entry.exclude.as_ref().is_some_and(|exclude| exclude.matches(table)) {
                continue;
            }
            matches = true;
            if !objects.insert(object) {
                continue;
            }
            let minimum = row.number(4)?;
            let tracked = row.number(3)?.map(|begin| Tracking { begin, minimum });
            let name = TableName { database: database.to_owned(), schema: Some(schema.to_owned()), table: table.to_owned() };
            found.push(Listed { name, object, tracked, start: entry.start });
            if found.len() > most {
                return Err(Fault::Final(
                    Error::new(ErrorKind::Config, format!("the source's `tables` match more than {most} tables"))
                        .remedy("Name fewer of them, or raise `limits.known_tables`."),
                ));
            }
        }
        if !matches {
            without.push(at);
        }
    }
    Ok(Discovered { tables: found, without })
}

/// Whether an entry of the settings matches a table that may not be there.
pub(super) async fn matches(conn: &mut Conn, entries: &[TrackedTables], name: &TableName) -> Result<bool, Fault> {
    let schema = name.schema.as_deref().unwrap_or_default();
    let wanted = |entry: &&TrackedTables| entry.exclude.as_ref().is_none_or(|exclude| !exclude.matches(&name.table));
    for entry in entries.iter().filter(wanted) {
        let texts = [schema, &entry.schema, &name.table, &entry.like];
        let row = conn.rows(sql::MATCHES, &texts.map(|text| Parameter::Text(text.into()))).await?.into_iter().next();
        if Cells::from(row.ok_or_else(unexpected)?).number(0)? == Some(1) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How a table stands now.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// The current version of the database; `None` where Change Tracking is off.
    pub(super) current: Option<i64>,
    pub(super) object: i32,
    /// `None` where it is not tracked.
    pub(super) begin: Option<i64>,
    /// `None` where it is not tracked, or the account may not know.
    pub(super) minimum: Option<i64>,
    pub(super) tracks_columns: bool,
    pub(super) modified: Box<str>,
}

/// How a table stands; `None` where it is gone, or the account cannot see it.
pub(super) async fn standing(conn: &mut Conn, quoted: &str) -> Result<Option<Standing>, Fault> {
    let Some(row) = conn.rows(sql::STANDING, &[Parameter::Text(quoted.into())]).await?.into_iter().next() else { return Ok(None) };
    let row = Cells::from(row);
    Ok(Some(Standing {
        current: row.number(0)?,
        object: row.small(1)?,
        begin: row.number(2)?,
        minimum: row.number(3)?,
        tracks_columns: row.number(4)? == Some(1),
        modified: row.text(5)?.unwrap_or_default().into(),
    }))
}

/// The columns of a table.
pub(super) async fn columns(conn: &mut Conn, object: i32) -> Result<Vec<CatalogueColumn>, Fault> {
    let mut columns = Vec::new();
    for row in conn.rows(&sql::columns(conn.protects), &[Parameter::Small(object)]).await? {
        let row = Cells::from(row);
        columns.push(CatalogueColumn {
            id: row.small(0)?,
            name: row.some_text(1)?.to_owned(),
            declared: row.some_text(2)?.to_owned(),
            base: row.text(3)?.map(str::to_owned),
            length: row.small(4)?,
            precision: row.small(5)?,
            scale: row.small(6)?,
            nullable: row.number(7)? == Some(1),
            computed: row.number(8)? == Some(1),
            collation: row.text(9)?.map(str::to_owned),
            key: row.number(10)?.filter(|ordinal| *ordinal > 0).map(|_| row.small(10)).transpose()?,
            encrypted: row.number(11)?.is_some(),
            masked: row.number(12)? == Some(1),
        });
    }
    Ok(columns)
}

/// A table's version of now.
pub(super) async fn table(
    conn: &mut Conn,
    name: &TableName,
    standing: &Standing,
    settings: &SqlServerSource,
    row_bytes: usize,
) -> Result<TrackedTable, Fault> {
    let columns = columns(conn, standing.object).await?;
    let mut table = TrackedTable::new(name, &columns, standing.tracks_columns, &standing.modified, settings, row_bytes)?;
    table.numbered.table = standing.object.into();
    Ok(table)
}

/// The identity of a table that is tracked from `begin` on.
pub(super) fn identity(facts: &Facts, object: i32, begin: i64) -> Identity {
    Identity { database: facts.identity.clone(), object, begin }
}
