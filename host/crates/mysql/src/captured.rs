//! Which tables are captured.

use super::connection::Server;
use sluicegate_config::TablePatterns;
use sluicegate_model::change::TableName;

/// The captured tables, by the patterns that the pipeline file has.
#[derive(Clone, Debug)]
pub(super) struct Captured {
    patterns: TablePatterns,
    /// Whether the server does not tell the names of tables apart by case.
    ignores_case: bool,
}

impl Captured {
    /// Those that the patterns take.
    pub fn new(patterns: TablePatterns) -> Self {
        Self { patterns, ignores_case: false }
    }

    /// Those that the patterns take on this server.
    pub fn on(server: &Server, patterns: TablePatterns) -> Self {
        let mut captured = Self::new(patterns);
        if server.ignores_case {
            captured.ignore_case();
        }
        captured
    }

    /// The patterns.
    pub fn patterns(&self) -> &TablePatterns {
        &self.patterns
    }

    /// Names are compared without case from here on, because the server does not tell them apart by it.
    pub fn ignore_case(&mut self) {
        if self.ignores_case {
            return;
        }
        self.ignores_case = true;
        let include = self.patterns.include().iter().map(|pattern| pattern.as_str().to_lowercase());
        let exclude = self.patterns.exclude().iter().map(|pattern| format!("!{}", pattern.as_str().to_lowercase()));
        // a pattern is one in lower case, too
        if let Ok(patterns) = TablePatterns::new(&include.chain(exclude).collect::<Vec<_>>()) {
            self.patterns = patterns;
        }
    }

    /// Whether the table is captured. The server's own databases are so only when a pattern names them.
    pub fn captures(&self, name: &TableName) -> bool {
        let lower = self.ignores_case.then(|| TableName::new(name.database.to_lowercase(), name.table.to_lowercase()));
        let name = lower.as_ref().unwrap_or(name);
        let named = || self.patterns.include().iter().any(|p| p.names_database(&name.database));
        self.patterns.selects(name) && (!is_own(&name.database) || named())
    }

    /// Whether some table of the database may be captured: for statements whose tables are not easily told.
    pub fn may_capture_in(&self, database: &str) -> bool {
        let include = self.patterns.include();
        let database = if self.ignores_case { &database.to_lowercase() } else { database };
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
