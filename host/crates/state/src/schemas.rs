//! Versions of tables' schemas. Schemas and places are the source's own texts; each text is stored once, whatever number of versions
//! share it.

use std::{collections::HashMap, sync::Arc};

use rusqlite::{OptionalExtension, Transaction, params};

use super::checkpoint::{Checkpoint, altered, checksum};
use sluicegate_model::{Error, Result, change::TableName};

pub(super) const TABLES: &str = "
CREATE TABLE schema_text (
    id       INTEGER PRIMARY KEY,
    content  TEXT NOT NULL,             -- a schema, or a place of the log (JSON)
    checksum INTEGER NOT NULL           -- CRC-32 of content
) STRICT;
CREATE INDEX schema_text_checksum ON schema_text (checksum);
CREATE TABLE schema_version (
    id         INTEGER PRIMARY KEY,     -- rises in the order in which they came
    database   TEXT NOT NULL,
    namespace  TEXT NOT NULL,           -- empty where the source has none between database and table
    name       TEXT NOT NULL,
    place      INTEGER NOT NULL REFERENCES schema_text (id), -- from where on it holds
    schema     INTEGER REFERENCES schema_text (id), -- NULL: not known
    checksum   INTEGER NOT NULL,        -- CRC-32 of all of these
    UNIQUE (database, namespace, name, place)
) STRICT;
CREATE INDEX schema_version_place ON schema_version (place);
CREATE INDEX schema_version_schema ON schema_version (schema);
CREATE TABLE schema_read_to (
    place    TEXT NOT NULL,             -- every change of a schema before it is above
    checksum INTEGER NOT NULL           -- CRC-32 of place
) STRICT;";

/// A version of a table that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The table.
    pub table: TableName,
    /// From where on it holds.
    pub place: Arc<str>,
    /// Whether its schema is known.
    pub known: bool,
}

/// A change of what is kept.
#[derive(Clone, Copy, Debug)]
pub enum SchemaChange<'a> {
    /// A version begins.
    Begin(&'a TableName, &'a str, Option<&'a str>),
    /// A version is needed no longer.
    Forget(&'a TableName, &'a str),
    /// None is.
    ForgetAll,
    /// Every change before the place is kept.
    ReadTo(&'a str),
}

impl Checkpoint {
    /// The versions of schemas that are kept, in the order in which they came.
    ///
    /// # Errors
    /// `State`: the file cannot be read or fails its checksums.
    pub fn schema_versions(&self) -> Result<Vec<SchemaVersion>> {
        let connection = self.connection();
        let read = || {
            let mut statement = connection.prepare_cached(
                "SELECT database, namespace, name, place, schema, v.checksum, t.content, t.checksum
                 FROM schema_version v JOIN schema_text t ON t.id = v.place ORDER BY v.id",
            )?;
            let mut places: HashMap<i64, Arc<str>> = HashMap::new();
            let mut versions = Vec::new();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (namespace, place, schema) = (row.get::<_, String>(1)?, row.get(3)?, row.get::<_, Option<i64>>(4)?);
                let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
                let table = TableName { database: row.get(0)?, schema: namespace, table: row.get(2)? };
                let mut whole = of_version(&table, place, schema) == row.get::<_, u32>(5)?;
                let place = match places.get(&place) {
                    Some(known) => known.clone(),
                    None => {
                        let content: Arc<str> = row.get::<_, String>(6)?.into();
                        whole &= checksum(&[&content]) == row.get::<_, u32>(7)?;
                        places.insert(place, content.clone());
                        content
                    }
                };
                versions.push((SchemaVersion { table, place, known: schema.is_some() }, whole));
            }
            Ok(versions)
        };
        let versions = read().map_err(|e| self.fault("cannot be read", e))?;
        let sound = |(version, whole): (SchemaVersion, bool)| if whole { Ok(version) } else { Err(self.altered(&version.table)) };
        versions.into_iter().map(sound).collect()
    }

    /// The schema of a version; `None` where it is not known.
    ///
    /// # Errors
    /// As of [`Self::schema_versions`].
    pub fn schema(&self, table: &TableName, place: &str) -> Result<Option<String>> {
        let connection = self.connection();
        let find = || {
            connection
                .prepare_cached(
                    "SELECT s.content, s.checksum FROM schema_version v JOIN schema_text t ON t.id = v.place
                     JOIN schema_text s ON s.id = v.schema WHERE v.database = ?1 AND v.namespace = ?2 AND v.name = ?3 AND t.content = ?4",
                )?
                .query_row(params![table.database, namespace(table), table.table, place], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))
                })
                .optional()
        };
        match find().map_err(|e| self.fault("cannot be read", e))? {
            Some((content, sum)) if checksum(&[&content]) != sum => Err(self.altered(table)),
            found => Ok(found.map(|(content, _)| content)),
        }
    }

    /// Up to where every change of a schema is kept.
    ///
    /// # Errors
    /// As of [`Self::schema_versions`].
    pub fn schemas_read_to(&self) -> Result<Option<String>> {
        let connection = self.connection();
        let found: Option<(String, u32)> = connection
            .query_row("SELECT place, checksum FROM schema_read_to", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(|e| self.fault("cannot be read", e))?;
        match found {
            Some((place, sum)) if checksum(&[&place]) != sum => Err(altered(self.path(), "the schemas")),
            found => Ok(found.map(|(place, _)| place)),
        }
    }

    /// Stores changes, all or none. Synced to disk when it returns.
    ///
    /// # Errors
    /// `State` when the file cannot be written.
    pub fn store_schemas<'a>(&self, changes: impl IntoIterator<Item = SchemaChange<'a>>) -> Result<()> {
        let mut connection = self.writing()?;
        let store = || {
            let transaction = connection.transaction()?;
            let mut forgotten = false;
            for change in changes {
                forgotten |= matches!(change, SchemaChange::Forget(..));
                apply(&transaction, change)?;
            }
            if forgotten {
                transaction.execute(
                    "DELETE FROM schema_text WHERE id NOT IN (SELECT place FROM schema_version)
                     AND id NOT IN (SELECT schema FROM schema_version WHERE schema IS NOT NULL)",
                    [],
                )?;
            }
            transaction.commit()
        };
        store().map_err(|e| self.fault("cannot be written", e))
    }

    fn altered(&self, table: &TableName) -> Error {
        altered(self.path(), &table.to_string())
    }
}

fn apply(transaction: &Transaction<'_>, change: SchemaChange<'_>) -> rusqlite::Result<()> {
    match change {
        SchemaChange::Begin(table, place, schema) => {
            let place = text(transaction, place)?;
            let schema = schema.map(|schema| text(transaction, schema)).transpose()?;
            transaction
                .prepare_cached(
                    "INSERT INTO schema_version (database, namespace, name, place, schema, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (database, namespace, name, place) DO UPDATE SET schema = excluded.schema, checksum = excluded.checksum",
                )?
                .execute(params![table.database, namespace(table), table.table, place, schema, of_version(table, place, schema)])?;
        }
        SchemaChange::Forget(table, place) => {
            let mut forget = transaction.prepare_cached(
                "DELETE FROM schema_version WHERE database = ?1 AND namespace = ?2 AND name = ?3
                 AND place IN (SELECT id FROM schema_text WHERE checksum = ?4 AND content = ?5)",
            )?;
            forget.execute(params![table.database, namespace(table), table.table, checksum(&[place]), place])?;
        }
        SchemaChange::ForgetAll => {
            transaction.execute_batch("DELETE FROM schema_version; DELETE FROM schema_text; DELETE FROM schema_read_to")?;
        }
        SchemaChange::ReadTo(place) => {
            transaction.prepare_cached("DELETE FROM schema_read_to")?.execute([])?;
            let mut insert = transaction.prepare_cached("INSERT INTO schema_read_to (place, checksum) VALUES (?1, ?2)")?;
            insert.execute(params![place, checksum(&[place])])?;
        }
    }
    Ok(())
}

/// The number of a text, which is stored once.
fn text(transaction: &Transaction<'_>, content: &str) -> rusqlite::Result<i64> {
    let sum = checksum(&[content]);
    let mut find = transaction.prepare_cached("SELECT id FROM schema_text WHERE checksum = ?1 AND content = ?2")?;
    if let Some(id) = find.query_row(params![sum, content], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    transaction.prepare_cached("INSERT INTO schema_text (content, checksum) VALUES (?1, ?2)")?.execute(params![content, sum])?;
    Ok(transaction.last_insert_rowid())
}

fn namespace(table: &TableName) -> &str {
    table.schema.as_deref().unwrap_or_default()
}

fn of_version(table: &TableName, place: i64, schema: Option<i64>) -> u32 {
    let schema = schema.map_or_else(String::new, |schema| schema.to_string());
    checksum(&[&table.database, namespace(table), &table.table, &place.to_string(), &schema])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &std::path::Path) -> Checkpoint {
        Checkpoint::open(&folder.join("checkpoint.db"), "p").unwrap()
    }

    fn texts(checkpoint: &Checkpoint) -> i64 {
        checkpoint.connection().query_row("SELECT count(*) FROM schema_text", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn equal_schemas_and_places_are_stored_once_and_go_with_their_last_version() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = open(folder.path());
        let tables: Vec<TableName> = (0..100).map(|n| TableName::new("d", format!("t{n}"))).collect();
        checkpoint.store_schemas(tables.iter().map(|table| SchemaChange::Begin(table, "here", Some("columns")))).unwrap();
        assert_eq!(texts(&checkpoint), 2);
        checkpoint.store_schemas([SchemaChange::Begin(&tables[0], "there", None), SchemaChange::ReadTo("there")]).unwrap();
        drop(checkpoint);
        let checkpoint = open(folder.path());
        let versions = checkpoint.schema_versions().unwrap();
        assert_eq!(versions.len(), 101);
        assert_eq!(versions[100], SchemaVersion { table: tables[0].clone(), place: "there".into(), known: false });
        assert_eq!(checkpoint.schema(&tables[0], "here").unwrap().as_deref(), Some("columns"));
        assert_eq!(checkpoint.schema(&tables[0], "there").unwrap(), None);
        assert_eq!(checkpoint.schemas_read_to().unwrap().as_deref(), Some("there"));
        checkpoint.store_schemas([SchemaChange::Begin(&tables[0], "there", Some("others"))]).unwrap();
        assert_eq!(checkpoint.schema(&tables[0], "there").unwrap().as_deref(), Some("others"));
        checkpoint.store_schemas(tables.iter().map(|table| SchemaChange::Forget(table, "here"))).unwrap();
        assert_eq!((checkpoint.schema_versions().unwrap().len(), texts(&checkpoint)), (1, 2));
        checkpoint.store_schemas([SchemaChange::ForgetAll]).unwrap();
        assert_eq!((checkpoint.schema_versions().unwrap().len(), texts(&checkpoint)), (0, 0));
        assert_eq!(checkpoint.schemas_read_to().unwrap(), None);
    }

    #[test]
    fn a_schema_that_was_edited_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = open(folder.path());
        let table = TableName::new("d", "t");
        checkpoint.store_schemas([SchemaChange::Begin(&table, "here", Some("columns")), SchemaChange::ReadTo("here")]).unwrap();
        checkpoint.connection().execute_batch("UPDATE schema_text SET content = 'column5' WHERE content = 'columns'").unwrap();
        assert!(checkpoint.schema(&table, "here").unwrap_err().message().contains("fails its checksum for `d.t`"));
        checkpoint.connection().execute_batch("UPDATE schema_version SET schema = NULL").unwrap();
        assert!(checkpoint.schema_versions().is_err());
        checkpoint.connection().execute_batch("UPDATE schema_read_to SET place = 'there'").unwrap();
        assert!(checkpoint.schemas_read_to().is_err());
    }

    #[test]
    fn a_checkpoint_of_version_2_gets_the_tables() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = open(folder.path());
        checkpoint
            .connection()
            .execute_batch("DROP TABLE schema_version; DROP TABLE schema_text; DROP TABLE schema_read_to; PRAGMA user_version = 2")
            .unwrap();
        drop(checkpoint);
        let checkpoint = open(folder.path());
        assert_eq!(checkpoint.schema_versions().unwrap(), []);
        checkpoint.store_schemas([SchemaChange::ReadTo("here")]).unwrap();
    }
}
