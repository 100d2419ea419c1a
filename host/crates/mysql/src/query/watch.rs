//! What is remembered of statements from one to the next.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use mysql_async::Conn;

use super::super::{
    position::Flavour,
    statement::{Change, Effect},
};
use sluicegate_config::{MySqlSource, Unlogged};
use sluicegate_model::{
    change::TableName,
    limits::{HARMLESS_STATEMENTS, TEMPORARY_TABLES, TOLD_STATEMENTS},
};

/// How long a warning holds for what it names.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// What is to be done about changes without rows, and what was found out about them.
pub struct Watch {
    pub(super) statements: Unlogged,
    pub(super) rows_by_ddl: Unlogged,
    /// Whether a sink is told changes of schemas.
    pub(super) schema_changes: bool,
    /// Temporary tables that sessions with another binlog_format made, by the session's number.
    temporary: HashSet<(u32, TableName)>,
    /// Statements that were looked up on the server, and reach no captured table.
    harmless: HashSet<Vec<TableName>>,
    /// When it was last warned of what.
    told: HashMap<String, Instant>,
    /// To look statements up with.
    pub(super) conn: Option<Conn>,
}

impl Watch {
    /// As the settings have it.
    pub fn new(settings: &MySqlSource) -> Self {
        Self {
            statements: settings.statements,
            rows_by_ddl: settings.rows_by_ddl,
            schema_changes: settings.schema_changes,
            temporary: HashSet::new(),
            harmless: HashSet::new(),
            told: HashMap::new(),
            conn: None,
        }
    }

    /// A session made temporary tables, or dropped them.
    pub(super) fn temporary(&mut self, thread: u32, tables: Vec<TableName>, dropped: bool) {
        for table in tables {
            if dropped {
                self.temporary.remove(&(thread, table));
            } else if self.temporary.len() < TEMPORARY_TABLES {
                self.temporary.insert((thread, table));
            }
        }
    }

    /// Whether the effect is on a temporary table of the session, which hides a table of the same name. A new name is remembered.
    pub(super) fn is_of_temporary(&mut self, thread: u32, effect: &Effect, flavour: Flavour) -> bool {
        match effect {
            Effect::Emptied { table, .. } | Effect::Partly { table, .. } | Effect::Retyped(table) => self.is_temporary(thread, table),
            Effect::Renamed { altered: false, .. } if flavour == Flavour::MySql => false,
            Effect::Renamed { from, to, .. } => {
                let temporary = self.temporary.remove(&(thread, from.clone()));
                if temporary {
                    self.temporary.insert((thread, to.clone()));
                }
                temporary
            }
            Effect::DatabaseDropped(_) | Effect::Filled(_) | Effect::ColumnsKept => false,
        }
    }

    /// Whether the table is a temporary one of the session.
    pub(super) fn is_temporary(&self, thread: u32, table: &TableName) -> bool {
        !self.temporary.is_empty() && self.temporary.contains(&(thread, table.clone()))
    }

    /// Whether the change was found to reach no captured table.
    pub(super) fn is_harmless(&self, change: &Change) -> bool {
        change.complete && change.calls.is_empty() && self.harmless.contains(&change.tables)
    }

    /// Notes that the change reaches no captured table.
    pub(super) fn note_harmless(&mut self, change: &Change) {
        if change.complete && change.calls.is_empty() {
            if self.harmless.len() >= HARMLESS_STATEMENTS {
                self.harmless.clear();
            }
            self.harmless.insert(change.tables.clone());
        }
    }

    /// What was found out about statements may have changed.
    pub(super) fn forget_harmless(&mut self) {
        self.harmless.clear();
    }

    /// Warns, of each thing once a minute.
    pub(super) fn tell(&mut self, table: &str, by: &str, message: &str) {
        let now = Instant::now();
        let key = format!("{table} {by}");
        if self.told.get(&key).is_some_and(|told| now.duration_since(*told) < TOLD_FOR) {
            return;
        }
        if self.told.len() >= TOLD_STATEMENTS {
            self.told.retain(|_, told| now.duration_since(*told) < TOLD_FOR);
        }
        // only a few at a time are logged; all are counted
        if self.told.len() < TOLD_STATEMENTS {
            self.told.insert(key, now);
            tracing::warn!(table, by, "{message}");
        }
    }
}
