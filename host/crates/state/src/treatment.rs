//! What plugins did to the columns of tables, as it is kept between runs: rows of text whose meaning is the plugin host's.

use std::path::Path;

use rusqlite::{Connection, params};

use super::checkpoint::{Checkpoint, altered, checksum, fault};
use sluicegate_model::Result;

/// One plugin's treatment of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTreatment {
    /// Stands for the plugin and its configuration.
    pub rule: String,
    /// The table, as JSON.
    pub table: String,
    /// Its columns and what is done to them, as JSON; `None` = nothing is: the row is not kept.
    pub columns: Option<String>,
}

/// Also made in files of this version that were made before there was such a table.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS treatment (
    rule     TEXT NOT NULL,    -- the plugin's name, and a hash of its configuration
    source   TEXT NOT NULL,    -- the table, as it arrives at the plugin (JSON)
    columns  TEXT NOT NULL,    -- its columns, and those that the plugin treats (JSON)
    checksum INTEGER NOT NULL, -- CRC-32 of the three
    PRIMARY KEY (rule, source)
) STRICT;";

impl Checkpoint {
    /// What runs before this one stored.
    ///
    /// # Errors
    /// `State` when the file cannot be read, or was edited.
    pub fn treatments(&self) -> Result<Vec<StoredTreatment>> {
        treatments(&self.connection(), self.path())
    }

    /// The same, of the checkpoint of another process or of none: nothing is locked, made or changed.
    ///
    /// # Errors
    /// As of [`Checkpoint::treatments`].
    pub fn look_at_treatments(path: &Path) -> Result<Vec<StoredTreatment>> {
        treatments(&Self::looking(path)?, path)
    }

    /// Stores treatments, in place of those of the same rule and table. Synced to disk when it returns.
    ///
    /// # Errors
    /// `State` when the file cannot be written.
    pub fn store_treatments(&self, news: &[StoredTreatment]) -> Result<()> {
        let mut connection = self.writing()?;
        let mut store = || {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLE)?;
            for StoredTreatment { rule, table, columns } in news {
                match columns {
                    Some(columns) => transaction
                        .prepare_cached("INSERT OR REPLACE INTO treatment (rule, source, columns, checksum) VALUES (?1, ?2, ?3, ?4)")?
                        .execute(params![rule, table, columns, checksum(&[rule, table, columns])])?,
                    None => transaction
                        .prepare_cached("DELETE FROM treatment WHERE rule = ?1 AND source = ?2")?
                        .execute(params![rule, table])?,
                };
            }
            transaction.commit()
        };
        store().map_err(|e| fault(self.path(), "cannot be written", e))
    }

    /// Forgets the treatments of other rules than these: of plugins that the pipeline no longer has, or has with another
    /// configuration.
    ///
    /// # Errors
    /// As of [`Checkpoint::store_treatments`].
    pub fn keep_treatments(&self, rules: &[&str]) -> Result<()> {
        let stored = self.treatments()?;
        let gone: Vec<StoredTreatment> =
            stored.into_iter().filter(|t| !rules.contains(&&*t.rule)).map(|t| StoredTreatment { columns: None, ..t }).collect();
        if gone.is_empty() { Ok(()) } else { self.store_treatments(&gone) }
    }
}

fn treatments(connection: &Connection, path: &Path) -> Result<Vec<StoredTreatment>> {
    let read = || {
        if !connection.table_exists(None, "treatment")? {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare("SELECT rule, source, columns, checksum FROM treatment ORDER BY rule, source")?;
        let rows = statement.query_map([], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, u32>(3)?))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    let rows = read().map_err(|e| fault(path, "cannot be read", e))?;
    rows.into_iter()
        .map(|(rule, table, columns, sum)| match checksum(&[&rule, &table, &columns]) == sum {
            true => Ok(StoredTreatment { rule, table, columns: Some(columns) }),
            false => Err(altered(path, &rule)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn treatments_outlive_a_run_until_their_rule_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let of =
            |rule: &str, columns: Option<&str>| StoredTreatment { rule: rule.into(), table: "t".into(), columns: columns.map(Into::into) };
        let checkpoint = Checkpoint::open(&path, "p").unwrap();
        assert_eq!(checkpoint.treatments().unwrap(), []);
        checkpoint.store_treatments(&[of("a", Some("1")), of("b", Some("1"))]).unwrap();
        checkpoint.store_treatments(&[of("a", Some("2")), of("c", None)]).unwrap();
        assert_eq!(Checkpoint::look_at_treatments(&path).unwrap(), [of("a", Some("2")), of("b", Some("1"))]);
        drop(checkpoint);
        let checkpoint = Checkpoint::open(&path, "p").unwrap();
        checkpoint.keep_treatments(&["b"]).unwrap();
        assert_eq!(checkpoint.treatments().unwrap(), [of("b", Some("1"))]);
        checkpoint.store_treatments(&[of("b", None)]).unwrap();
        assert_eq!(checkpoint.treatments().unwrap(), []);
    }
}
