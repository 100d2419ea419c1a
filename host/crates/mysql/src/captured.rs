//! Which tables are captured.

use sluicegate_config::TablePatterns;
use sluicegate_model::change::TableName;

/// The captured tables, by the patterns that the pipeline file has.
#[derive(Clone, Debug)]
pub(super) struct Captured(pub(super) TablePatterns);

impl Captured {
    /// Whether the table is captured. The server's own databases are so only when a pattern names them.
    pub fn captures(&self, name: &TableName) -> bool {
        let own = matches!(name.database.as_str(), "mysql" | "sys" | "performance_schema" | "information_schema");
        let named = || self.0.include().iter().any(|p| p.names_database(&name.database));
        self.0.selects(name) && (!own || named())
    }

    /// Whether some table of the database may be captured: for statements whose tables are not easily told.
    pub fn may_capture_in(&self, database: &str) -> bool {
        let include = self.0.include();
        database.is_empty() || include.is_empty() || include.iter().any(|pattern| pattern.may_be_in(database))
    }
}
