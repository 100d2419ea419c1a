//! Which tables are captured.

use std::borrow::Cow;

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

    /// Whether the table is captured. The server's own databases are so only when a pattern names them, helper tables of online schema
    /// changes only when they are named themselves.
    pub fn captures(&self, name: &TableName) -> bool {
        let name = &*self.in_case(name);
        self.selects(name) && !self.is_helper(name)
    }

    /// Whether a table is left out that the patterns take: a helper of a tool that changes another table online. One that is named without
    /// wildcards is captured.
    pub fn leaves_out(&self, name: &TableName) -> bool {
        let name = &*self.in_case(name);
        self.selects(name) && self.is_helper(name)
    }

    /// Whether the schemas of the table are kept: a helper that is left out may take the place of a captured table.
    pub fn follows(&self, name: &TableName) -> bool {
        self.selects(&self.in_case(name))
    }

    /// A name as the patterns have it.
    fn in_case<'n>(&self, name: &'n TableName) -> Cow<'n, TableName> {
        match self.ignores_case {
            true => Cow::Owned(TableName::new(name.database.to_lowercase(), name.table.to_lowercase())),
            false => Cow::Borrowed(name),
        }
    }

    fn selects(&self, name: &TableName) -> bool {
        let named = || self.patterns.include().iter().any(|p| p.names_database(&name.database));
        self.patterns.selects(name) && (!is_own(&name.database) || named())
    }

    fn is_helper(&self, name: &TableName) -> bool {
        let include = self.patterns.include();
        // also of a table that is excluded: its copy has the same rows
        let is_meant = |changed: &TableName| include.is_empty() || include.iter().any(|pattern| pattern.matches(changed));
        name.helps().is_some_and(|changed| !self.patterns.names(name) && is_meant(&changed))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helper_tables_of_online_schema_changes_are_captured_only_by_their_name() {
        let captured = |patterns: &[&str]| Captured::new(TablePatterns::new(patterns).unwrap());
        let all = captured(&["shop.*", "shop._b_new"]);
        let name = |table: &str| TableName::new("shop", table);
        for helper in ["_a_gho", "_a_ghc", "_a_del", "_a_20261127101500_del", "_a_new", "__a_new", "_a_old"] {
            assert!(!all.captures(&name(helper)) && all.leaves_out(&name(helper)), "{helper}");
        }
        for table in ["_b_new", "a", "a_new", "_a", "_new", "__old", "_a_newer", "a_gho"] {
            assert!(all.captures(&name(table)) && !all.leaves_out(&name(table)), "{table}");
        }
        // of a table that is not captured
        assert!(captured(&["shop._*"]).captures(&name("_a_new")));
        // of one that is excluded
        let without = captured(&["shop.*", "!shop.a"]);
        assert!(!without.captures(&name("_a_new")) && without.leaves_out(&name("_a_new")) && without.follows(&name("_a_new")));
        // and where names have no case
        let mut shouted = all;
        shouted.ignore_case();
        assert!(shouted.captures(&name("_B_NEW")) && shouted.leaves_out(&name("_A_GHO")));
    }
}
