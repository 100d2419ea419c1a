//! Which tables are captured from which place on, as the source itself writes it.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::checkpoint::{Checkpoint, altered, checksum, fault};
use sluicegate_model::Result;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS captured (
    content  TEXT NOT NULL,    -- which tables are captured from where on, and copied anew (JSON)
    checksum INTEGER NOT NULL  -- CRC-32 of content
) STRICT;";

impl Checkpoint {
    /// What was kept; `None` when nothing was.
    ///
    /// # Errors
    /// `State`: the file cannot be read or fails its checksum.
    pub fn captured(&self) -> Result<Option<String>> {
        captured(&self.connection(), self.path())
    }

    /// The same of the checkpoint of another process: nothing is locked, made or changed.
    ///
    /// # Errors
    /// As of [`Checkpoint::captured`].
    pub fn look_at_captured(path: &Path) -> Result<Option<String>> {
        captured(&Self::looking(path)?, path)
    }

    /// Keeps a text in place of the one before. Synced to disk when it returns.
    ///
    /// # Errors
    /// `State` when the file cannot be written.
    pub fn keep_captured(&self, content: &str) -> Result<()> {
        let mut connection = self.writing()?;
        let mut store = || {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLE)?;
            transaction.execute("DELETE FROM captured", [])?;
            transaction.execute("INSERT INTO captured (content, checksum) VALUES (?1, ?2)", params![content, checksum(&[content])])?;
            transaction.commit()
        };
        store().map_err(|e| self.fault("cannot be written", e))
    }
}

fn captured(connection: &Connection, path: &Path) -> Result<Option<String>> {
    let read = || {
        if !connection.table_exists(None, "captured")? {
            return Ok(None);
        }
        let query = "SELECT content, checksum FROM captured";
        connection.query_row(query, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))).optional()
    };
    match read().map_err(|e| fault(path, "cannot be read", e))? {
        Some((content, sum)) if checksum(&[&content]) != sum => Err(altered(path, "the captured tables")),
        found => Ok(found.map(|(content, _)| content)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_text_is_kept_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.db");
        let open = || Checkpoint::open(&path, "p").unwrap();
        assert_eq!(open().captured().unwrap(), None);
        open().keep_captured("one").unwrap();
        let checkpoint = open();
        checkpoint.keep_captured("two").unwrap();
        assert_eq!(checkpoint.captured().unwrap().as_deref(), Some("two"));
        assert_eq!(Checkpoint::look_at_captured(&path).unwrap().as_deref(), Some("two"));
        checkpoint.connection().execute("UPDATE captured SET content = 'three'", []).unwrap();
        assert!(checkpoint.captured().is_err());
    }
}
