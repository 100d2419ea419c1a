//! The copy of tables.

use std::collections::BTreeMap;

use sluicegate_table_pattern::name_parts;

use super::{
    super::{
        Snapshot, SnapshotMode,
        quantity::Size,
        raw::{RawAddedTables, RawCopyAgain, RawSnapshot, RawSnapshotMode},
    },
    check::Check,
};
use sluicegate_model::limits::MOST_COPY_READERS;

impl Check<'_> {
    pub(super) fn snapshot(&mut self, raw: Option<RawSnapshot>) -> Snapshot {
        let Some(RawSnapshot { settings }) = raw else { return Snapshot::default() };
        let fast = "write 1 or more, or leave it out to go as fast as possible";
        if settings.rows_per_second == Some(0) {
            self.refuse("source.snapshot.rows_per_second", "no rows at all", fast);
        }
        if settings.bytes_per_second == Some(Size(0)) {
            self.refuse("source.snapshot.bytes_per_second", "no rows at all", fast);
        }
        if settings.queries_per_second == Some(0) {
            self.refuse("source.snapshot.queries_per_second", "no rows at all", fast);
        }
        if settings.readers.is_some_and(|readers| !(1..=MOST_COPY_READERS).contains(&readers)) {
            let what = format!("a number of readers that is not from 1 to {MOST_COPY_READERS}");
            self.refuse("source.snapshot.readers", what, format!("write 1 to {MOST_COPY_READERS}, e.g. 4"));
        }
        let pause = settings.pause_above.unwrap_or_default();
        if pause.threads_running == Some(0) {
            let way = "write 1 or more: the statement that asks for it is one of them";
            self.refuse("source.snapshot.pause_above.threads_running", "the copy would always wait", way);
        }
        let mut conditions = BTreeMap::new();
        for (table, condition) in settings.conditions {
            let path = format!("source.snapshot.where.{table}");
            match name_parts(&table).map(<[String; 2]>::try_from) {
                Ok(Ok([database, name])) if !condition.trim().is_empty() => drop(conditions.insert((database, name), condition)),
                Ok(Ok(_)) => self.refuse(path, "an empty condition", "write one in the server's SQL, or leave the table out"),
                _ => self.refuse(path, "not the name of one table", "write its database and its name, e.g. `shop.orders`"),
            }
        }
        let mode = match settings.mode {
            Some(RawSnapshotMode::Never) => SnapshotMode::Never,
            Some(RawSnapshotMode::Only) => SnapshotMode::Only,
            Some(RawSnapshotMode::WhenNeeded) => SnapshotMode::WhenNeeded,
            Some(RawSnapshotMode::Initial) | None => SnapshotMode::Initial,
        };
        let added = match settings.added {
            Some(RawAddedTables::SnapshotFirst) => true,
            Some(RawAddedTables::ChangesOnly) => false,
            None => mode != SnapshotMode::Never,
        };
        Snapshot {
            mode,
            added,
            overwrites: matches!(settings.again, Some(RawCopyAgain::Overwrite)),
            tables: self.tables("source.snapshot.tables", &settings.tables),
            rows_per_second: settings.rows_per_second,
            bytes_per_second: settings.bytes_per_second.map(|size| size.0),
            queries_per_second: settings.queries_per_second,
            readers: settings.readers,
            most_threads_running: pause.threads_running,
            most_replication_lag: pause.replication_lag.map(|time| time.0),
            conditions,
            share_locks: settings.share_locks.unwrap_or_default(),
        }
    }
}
