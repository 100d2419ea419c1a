//! Changes of a table's columns that no statement in the log explains: an ALTER with `sql_log_bin` off. Which column is which, nobody can
//! tell then: a plugin that treats one by its name may meet another one of that name.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    statement::Touched,
    stream::{Halt, Stream},
};
use sluicegate_model::change::{ColumnInfo, LogPlace, MarkKind, Renamed, Table, TableName};
use sluicegate_source::Followed;

/// The versions of tables that rows came with, as long as no statement may have changed them, and what else came.
#[derive(Debug, Default)]
pub(super) struct Unexplained {
    logged: HashMap<TableName, Arc<Table>>,
    /// What the plugins know of runs before this one, of tables of which nothing has come yet.
    followed: HashMap<TableName, Vec<String>>,
    /// How far the plugins were told of statements then.
    told: Vec<LogPlace>,
    follows: bool,
    found: Vec<Found>,
}

#[derive(Debug)]
struct Found {
    renamed: Renamed,
    /// Whether the columns before are of another run.
    followed: bool,
}

impl Unexplained {
    /// What the plugins know of runs before this one.
    pub fn follow(&mut self, Followed { columns, told }: Followed) {
        self.followed = columns.into_iter().collect();
        self.told = told;
        self.follows = true;
    }

    /// Whether it was told that.
    pub fn follows(&self) -> bool {
        self.follows
    }

    /// Rows of this version come. `kept`: the columns before, if the history has them and the rows contradict it.
    pub fn see(&mut self, table: &Arc<Table>, kept: Option<Vec<ColumnInfo>>) {
        let logged = self.logged.insert(table.name.clone(), table.clone());
        let followed = self.followed.remove(&table.name);
        let of_run = kept.as_deref().or(logged.as_ref().map(|logged| &*logged.columns));
        let names = |columns: &[ColumnInfo]| columns.iter().map(|column| column.name.to_lowercase()).collect();
        let before: HashSet<String> = match (of_run, &followed) {
            (Some(columns), _) => names(columns),
            (None, Some(columns)) => columns.iter().map(|column| column.to_lowercase()).collect(),
            (None, None) => return,
        };
        let is_new = |column: &&ColumnInfo| !before.contains(&column.name.to_lowercase());
        let columns: Vec<_> = table.columns.iter().filter(is_new).map(|column| (String::new(), column.name.clone())).collect();
        if !columns.is_empty() {
            // it counts only for tables of which plugins treat columns
            let renamed = Renamed { columns, far: true, ..Renamed::new(table.name.clone(), table.name.clone()) };
            self.found.push(Found { renamed, followed: of_run.is_none() });
        }
    }

    /// A statement that may have changed these tables was logged.
    pub fn explain(&mut self, touched: &Touched) {
        self.logged.retain(|name, _| !touched.may_be(name));
        self.followed.retain(|name, _| !touched.may_be(name));
    }

    /// Whatever was logged before says nothing of what comes.
    pub fn forget(&mut self) {
        self.logged.clear();
        self.followed.clear();
    }
}

impl Stream {
    /// Tells the plugins of changes that nothing explains, before the rows that showed them. Their table map stands at `start` and was
    /// written at `seconds` since 1970.
    pub(super) async fn tell_unexplained(&mut self, start: u64, seconds: u32) -> Result<(), Halt> {
        for Found { renamed, followed } in std::mem::take(&mut self.reader.catalogue.unexplained.found) {
            // the plugins know a later version, of a run that ended before its place was durable
            let at = if followed { self.log_place(start, 0, seconds) } else { None };
            if at.is_some_and(|at| self.reader.catalogue.unexplained.told.iter().any(|told| at.is_had(told))) {
                continue;
            }
            tracing::warn!(
                table = %renamed.to,
                "the table has columns that no statement in the log explains: it was changed with SET sql_log_bin = 0, or by a statement that was \
                 not logged"
            );
            self.mark(MarkKind::Renamed(Box::new(renamed))).await?;
        }
        Ok(())
    }

    /// Whether there is something to tell.
    pub(super) fn has_unexplained(&self) -> bool {
        !self.reader.catalogue.unexplained.found.is_empty()
    }
}
