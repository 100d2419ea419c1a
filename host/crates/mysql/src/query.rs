//! What statements in the log do to the stream.

use mysql_async::binlog::events::Event as RawEvent;

use super::{
    event::{self, Query, kind},
    history::Milestone,
    savepoint,
    statement::{self, Statement},
    stream::{Halt, Stream},
};
use sluicegate_model::change::{Event, MarkKind, TableName, Transaction, Truncate};

impl Stream {
    /// Does what the statement says.
    pub(super) async fn on_query(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let compressed = event.header().event_type_raw() == kind::MARIADB_QUERY_COMPRESSED;
        let Query { database, text } = event::query(event.data(), compressed, self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("a statement that cannot be read: {f}")))?;
        let statement = match &*text {
            "BEGIN" => Statement::Begin,
            "COMMIT" => Statement::Commit,
            text => match savepoint::parse(text) {
                Some(savepoint) => return self.on_savepoint(savepoint).await,
                None => statement::classify(&database, text),
            },
        };
        if self.place.open.is_none() {
            // old servers log no GTID event before it
            self.place.begin(start, None, None, false);
            self.begin_group(false);
        }
        let open = self.place.transaction(start);
        match statement {
            Statement::Begin => {
                open.begun = true;
                if !text.eq_ignore_ascii_case("BEGIN") {
                    // or START TRANSACTION: it does no harm
                    self.begin_xa();
                }
            }
            Statement::Commit => self.end_transaction(),
            Statement::Rollback => {
                self.roll_back_group()?;
                self.end_transaction();
            }
            Statement::XaEnd { rolled_back } => self.on_xa_end(&text, start, rolled_back).await?,
            Statement::Ddl { opens, touched } => {
                let gtid = open.gtid.clone();
                if opens {
                    open.begun = true;
                } else if !open.begun {
                    self.end_transaction();
                }
                self.reader.catalogue.schema_changed(&touched);
                if let Some(copying) = &mut self.copying {
                    copying.schema_changed(&touched);
                }
                let behind = Milestone::new(self.place.resume(), gtid);
                self.reader.catalogue.schemas.change(&touched, behind).await?;
            }
            Statement::Truncate { table } => self.on_truncate(table, start, event.header().server_id()).await?,
            Statement::Dml { table } => {
                let begun = open.begun;
                self.check_statement(&database, table)?;
                if !begun {
                    self.end_transaction();
                }
            }
            Statement::Other if !open.begun => self.end_transaction(),
            Statement::Other => {}
        }
        Ok(())
    }

    /// A table was emptied, in a transaction of its own.
    async fn on_truncate(&mut self, name: TableName, start: u64, server_id: u32) -> Result<(), Halt> {
        let open = self.place.transaction(start);
        let time_us = open.time_us.unwrap_or_default();
        let transaction = Transaction { id: open.id.clone(), file: open.file.clone(), position: open.position, complete: true };
        let had = open.had;
        self.end_transaction();
        if had || !self.reader.catalogue.captures(&name) {
            return Ok(());
        }
        let table = self.reader.catalogue.latest(&name).await?;
        let event = Event { position: start, time_us, server_id, ..Event::default() };
        self.mark(MarkKind::Truncate(Truncate { table, event, transaction })).await
    }

    /// Changes that were logged as statements cannot be followed; elsewhere they do not concern us.
    fn check_statement(&self, database: &str, table: Option<TableName>) -> Result<(), Halt> {
        let concerned = match &table {
            Some(table) => self.reader.catalogue.captures(table),
            None => self.reader.catalogue.may_capture_in(database),
        };
        if !concerned {
            return Ok(());
        }
        let what = table.map_or_else(|| format!("the database {database}"), |t| t.to_string());
        Err(self
            .fault(format_args!("a change of {what} as a statement instead of rows"))
            .remedy("Set binlog_format = ROW globally, have sessions that overrode it reconnect, and move the sinks past this place with `sluicegate checkpoint set --force`: \
                     what stands between is not delivered, so copy or compare the table.")
            .into())
    }
}
