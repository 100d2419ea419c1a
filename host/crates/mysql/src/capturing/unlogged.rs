//! Rows changed in a way that the log does not name: their tables are copied anew.

use super::super::{
    statement::Touched,
    stream::{Halt, Stream},
};
use sluicegate_model::{Result, change::TableName};

impl Stream {
    /// Rows of these tables, as far as they are captured, changed unseen at this place: they are copied anew behind the transaction. A
    /// table that is being copied, or waits for that, is so again behind that: the stream may have delivered what is void now.
    ///
    /// It is kept at once, so that no sink passes the place without it.
    ///
    /// # Errors
    /// `Precheck`: one of them cannot be copied.
    pub(crate) async fn copy_anew(&mut self, touched: &Touched) -> Result<Vec<TableName>, Halt> {
        if let Touched::Tables(tables) = touched {
            let tables: Vec<TableName> = tables.iter().filter(|table| self.reader.catalogue.captures(table)).cloned().collect();
            // the usual case of many statements one after the other
            if tables.iter().map(|table| self.capturing.is_to_be_emptied(table)).collect::<Result<Vec<_>>>()?.iter().all(|before| *before) {
                return Ok(tables);
            }
        }
        let captured = self.reader.catalogue.captured();
        let there = self.tables_there().await?.into_iter();
        let tables: Vec<TableName> = there.filter(|name| captured.captures(name) && touched.may_be(name)).collect();
        self.can_copy(self.capturing.snapshot(), &tables).await?;
        for table in &tables {
            if self.capturing.is_to_be_emptied(table)? {
                continue;
            }
            self.ask_for_copy(table).await?;
            if self.capturing.running.contains(table) {
                self.capturing.again.insert(table.clone());
            } else {
                self.capturing.due = true;
            }
        }
        Ok(tables)
    }
}
