//! Columns that get another type, a primary key or another column of their name: rows that are there may get other values, and the log names none of them.

use super::super::{
    definition::{self, Step},
    statement::Logged,
    stream::{Halt, Stream},
};
use sluicegate_model::{change::TableName, finding::listed, limits::CHECK_NAMES};

/// What the statement did, for people.
const BY: &str = "ALTER TABLE";

impl Stream {
    /// A statement changed what columns of a captured table are.
    pub(super) async fn on_retyped(&mut self, logged: &Logged<'_>, table: &TableName) -> Result<(), Halt> {
        let strict = logged.is_strict();
        let columns = match logged.definitions(&self.server) {
            // what is not understood may do anything that the server does not refuse
            None => (!strict).then(Vec::new),
            Some(steps) => {
                let before = self.reader.catalogue.before(table).await?;
                let clauses = steps.iter().filter_map(|step| match step {
                    Step::Alter { table: of, clauses, .. } if of == table => Some(clauses.as_slice()),
                    _ => None,
                });
                let session = definition::values::Session { strict };
                let changed: Vec<String> =
                    clauses.flat_map(|clauses| definition::values::changed(clauses, before.as_deref(), session)).collect();
                (!changed.is_empty()).then_some(changed)
            }
        };
        let Some(columns) = columns else { return Ok(()) };
        let which = match columns.is_empty() {
            true => table.to_string(),
            false => format!("{table} ({})", listed(columns.iter().map(String::as_str), CHECK_NAMES)),
        };
        let what = format!("a change of columns that may have changed values of rows of {which}, and does not name them");
        let told = "a change of columns may have changed values of the table's rows, and does not name them: compare or copy the table";
        self.on_unnamed_rows(table, &which, BY, &what, told).await
    }
}
