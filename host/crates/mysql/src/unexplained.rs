//! Changes of a table's columns that no statement in the log explains: an ALTER with `sql_log_bin` off. Which column is which, nobody can
//! tell then: a plugin that treats one by its name may meet another one of that name.

use std::{collections::HashMap, sync::Arc};

use super::{
    statement::Touched,
    stream::{Halt, Stream},
};
use sluicegate_model::change::{ColumnInfo, MarkKind, Renamed, Table, TableName};

/// The versions of tables that rows came with, as long as no statement may have changed them, and what else came.
#[derive(Debug, Default)]
pub(super) struct Unexplained {
    logged: HashMap<TableName, Arc<Table>>,
    found: Vec<Renamed>,
}

impl Unexplained {
    /// Rows of this version come. `kept`: the columns before, if the history has them and the rows contradict it.
    pub fn see(&mut self, table: &Arc<Table>, kept: Option<Vec<ColumnInfo>>) {
        let logged = self.logged.insert(table.name.clone(), table.clone());
        let Some(before) = kept.as_deref().or(logged.as_ref().map(|logged| &*logged.columns)) else { return };
        let is_new = |column: &&ColumnInfo| !before.iter().any(|known| known.name.to_lowercase() == column.name.to_lowercase());
        let columns: Vec<_> = table.columns.iter().filter(is_new).map(|column| (String::new(), column.name.clone())).collect();
        if !columns.is_empty() {
            // it counts only for tables of which plugins treat columns
            self.found.push(Renamed { columns, far: true, ..Renamed::new(table.name.clone(), table.name.clone()) });
        }
    }

    /// A statement that may have changed these tables was logged.
    pub fn explain(&mut self, touched: &Touched) {
        self.logged.retain(|name, _| !touched.may_be(name));
    }

    /// Whatever was logged before says nothing of what comes.
    pub fn forget(&mut self) {
        self.logged.clear();
    }
}

impl Stream {
    /// Tells the plugins of changes that nothing explains, before the rows that showed them.
    pub(super) async fn tell_unexplained(&mut self) -> Result<(), Halt> {
        for renamed in std::mem::take(&mut self.reader.catalogue.unexplained.found) {
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
