//! Which sinks an operator has paused: a pause lasts until it is taken back, also over starts.

use rusqlite::params;

use super::checkpoint::Checkpoint;
use sluicegate_model::Result;

const TABLE: &str = "
CREATE TABLE IF NOT EXISTS paused (
    sink TEXT NOT NULL PRIMARY KEY -- the sink's name in the pipeline file
) STRICT;";

impl Checkpoint {
    /// The names of the sinks that are paused.
    ///
    /// # Errors
    /// `State`: the file cannot be read.
    pub fn paused(&self) -> Result<Vec<String>> {
        let connection = self.connection();
        let read = || {
            if !connection.table_exists(None, "paused")? {
                return Ok(Vec::new());
            }
            connection.prepare("SELECT sink FROM paused ORDER BY sink")?.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(|e| self.fault("cannot be read", e))
    }

    /// Keeps whether a sink is paused. Synced to disk when it returns.
    ///
    /// # Errors
    /// `State` when the file cannot be written.
    pub fn keep_paused(&self, sink: &str, paused: bool) -> Result<()> {
        let mut connection = self.writing()?;
        let mut store = || {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLE)?;
            match paused {
                true => transaction.execute("INSERT INTO paused (sink) VALUES (?1) ON CONFLICT (sink) DO NOTHING", params![sink])?,
                false => transaction.execute("DELETE FROM paused WHERE sink = ?1", params![sink])?,
            };
            transaction.commit()
        };
        store().map_err(|e| self.fault("cannot be written", e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{Frontier, Lane, Offset};

    #[test]
    fn a_pause_lasts_until_it_is_taken_back_or_its_sink_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.db");
        let open = || Checkpoint::open(&path, "p").unwrap();
        assert!(open().paused().unwrap().is_empty());
        assert!(!open().drop_sink("a").unwrap(), "a file without pauses");
        let beginning = Frontier::of(Lane::new("l"), Offset::from_json("1"));
        open().begin([("a", &beginning), ("b", &beginning)]).unwrap();
        for sink in ["b", "a", "b"] {
            open().keep_paused(sink, true).unwrap();
        }
        assert_eq!(open().paused().unwrap(), ["a", "b"]);
        open().keep_paused("a", false).unwrap();
        assert_eq!(open().paused().unwrap(), ["b"]);
        assert!(open().drop_sink("b").unwrap());
        assert!(open().paused().unwrap().is_empty());
    }
}
