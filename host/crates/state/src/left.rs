//! What a sink keeps beside its place, after an operator let it forget the place: the files that it wrote, say. It goes on with it where
//! it begins anew.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::checkpoint::{Checkpoint, altered, checksum};
use sluicegate_model::Result;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS left_state (
    sink     TEXT NOT NULL PRIMARY KEY, -- the sink's name in the pipeline file
    state    TEXT NOT NULL,             -- the sink's own state
    checksum INTEGER NOT NULL           -- CRC-32 of the two
) STRICT;";

impl Checkpoint {
    /// The state of each sink that forgot its place, by name.
    ///
    /// # Errors
    /// `State`: the file cannot be read, or fails its checksum.
    pub fn left(&self) -> Result<Vec<(String, String)>> {
        let connection = self.connection();
        let read = || {
            if !is_there(&connection)? {
                return Ok(Vec::new());
            }
            let mut statement = connection.prepare("SELECT sink, state, checksum FROM left_state ORDER BY sink")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, String, u32)>>>()
        };
        let rows = read().map_err(|e| self.fault("cannot be read", e))?;
        rows.into_iter()
            .map(|(sink, state, sum)| match checksum(&[&sink, &state]) == sum {
                true => Ok((sink, state)),
                false => Err(altered(self.path(), &sink)),
            })
            .collect()
    }

    /// Forgets where a sink is, and keeps what else it knows; answers whether it was there: for an operator.
    ///
    /// # Errors
    /// `State` when the file cannot be written.
    pub fn forget_place(&self, sink: &str, state: &str) -> Result<bool> {
        let mut connection = self.writing()?;
        let mut forget = || {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM frontier WHERE sink = ?1", [sink])?;
            let deleted = transaction.execute("DELETE FROM sink WHERE name = ?1", [sink])?;
            if deleted == 1 && !state.is_empty() {
                transaction.execute_batch(TABLE)?;
                let insert = "INSERT OR REPLACE INTO left_state (sink, state, checksum) VALUES (?1, ?2, ?3)";
                transaction.execute(insert, params![sink, state, checksum(&[sink, state])])?;
            }
            transaction.commit()?;
            Ok(deleted == 1)
        };
        forget().map_err(|e| self.fault("cannot be written", e))
    }
}

/// Takes the state of a sink out that forgot its place; empty if there is none.
pub(super) fn take(transaction: &Transaction<'_>, sink: &str) -> rusqlite::Result<String> {
    if !is_there(transaction)? {
        return Ok(String::new());
    }
    let state = transaction.query_row("SELECT state FROM left_state WHERE sink = ?1", [sink], |row| row.get(0)).optional()?;
    transaction.execute("DELETE FROM left_state WHERE sink = ?1", [sink])?;
    Ok(state.unwrap_or_default())
}

fn is_there(connection: &Connection) -> rusqlite::Result<bool> {
    connection.table_exists(None, "left_state")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{Frontier, Lane, Offset};

    #[test]
    fn a_sink_that_forgot_its_place_begins_anew_with_its_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.db");
        let open = || Checkpoint::open(&path, "p").unwrap();
        assert!(!open().forget_place("a", "files").unwrap(), "no such sink");
        assert!(open().left().unwrap().is_empty());
        let at = |place: &str| Frontier::of(Lane::new("l"), Offset::from_json(place));
        open().begin([("a", &at("1")), ("b", &at("1"))]).unwrap();
        open().commit("a", &at("2"), "files").unwrap();
        assert!(open().forget_place("a", "files").unwrap());
        assert!(open().forget_place("b", "").unwrap());
        assert!(open().all().unwrap().is_empty());
        assert_eq!(open().left().unwrap(), [("a".to_owned(), "files".to_owned())]);
        open().begin([("a", &at("0")), ("b", &at("0"))]).unwrap();
        let all = open().all().unwrap();
        assert_eq!((&*all[0].1.state, &*all[1].1.state), ("files", ""));
        assert_eq!(all[0].1.frontier, at("0"));
        assert!(open().left().unwrap().is_empty());
        // one that is dropped for good leaves nothing
        assert!(open().forget_place("a", "files").unwrap());
        assert!(!open().drop_sink("a").unwrap());
        assert!(open().left().unwrap().is_empty());
    }
}
