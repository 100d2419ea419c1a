//! Which tables are captured.

use sluicegate_config::TablePatterns;
use sluicegate_model::change::TableName;

/// The captured tables, by the patterns that the pipeline file has.
#[derive(Clone, Debug)]
pub(super) struct Captured(pub(super) TablePatterns);

impl Captured {
    /// Whether the table is captured. The server's own databases are so only when a pattern names them.
    pub fn captures(&self, name: &TableName) -> bool {
        let named = || self.0.include().iter().any(|p| p.names_database(&name.database));
        self.0.selects(name) && (!is_own(&name.database) || named())
    }

    /// Whether some table of the database may be captured: for statements whose tables are not easily told.
    pub fn may_capture_in(&self, database: &str) -> bool {
        let include = self.0.include();
        if is_own(database) {
            return include.iter().any(|pattern| pattern.names_database(database));
        }
        database.is_empty() || include.is_empty() || include.iter().any(|pattern| pattern.may_be_in(database))
    }
}

/// Whether the database is one of the server's own.
fn is_own(database: &str) -> bool {
    matches!(database, "mysql" | "sys" | "performance_schema" | "information_schema")
}
