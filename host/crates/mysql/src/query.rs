//! What statements in the log do to the stream.

mod reach;
mod retyped;
mod schema_change;
mod taken_back;
mod watch;

use mysql_async::binlog::events::Event as RawEvent;

use self::reach::Reached;
pub(super) use self::watch::Watch;
use super::{
    event::kind,
    history::Milestone,
    outcome::Outcome,
    savepoint,
    statement::{self, Change, Effect, Logged, Statement, Touched},
    stream::{Halt, Stream},
    survey::Spot,
};
use sluicegate_config::Unlogged;
use sluicegate_model::{ErrorKind, change::TableName};

/// Of a statement on a table whose changes a rollback does not take back.
const TAKEN_BACK: &str = " (in a transaction that is rolled back or may be, but a table without transactions keeps the change)";

impl Stream {
    /// Does what the statement says.
    pub(super) async fn on_query(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let compressed = event.header().event_type_raw() == kind::MARIADB_QUERY_COMPRESSED;
        let logged = Logged::read(event.data(), compressed, self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("a statement that cannot be read: {f}")))?;
        let statement = match &*logged.bytes {
            b"BEGIN" => Statement::Begin,
            b"COMMIT" => Statement::Commit,
            // whatever the client's character set is, servers write names of savepoints in UTF-8
            bytes => match savepoint::parse(&String::from_utf8_lossy(bytes)) {
                Some(savepoint) => return self.on_savepoint(savepoint).await,
                None => self.classify(&logged),
            },
        };
        if self.place.open.is_none() {
            // old servers log no GTID event before it
            self.place.begin(start, None, None, false);
            self.begin_group(false);
        }
        if std::mem::take(&mut self.half_alter) && matches!(statement, Statement::Ddl { .. }) {
            // the statement comes once more when the table has changed
            self.end_single(start);
            return Ok(());
        }
        let open = self.place.transaction(start);
        match statement {
            Statement::Begin => {
                open.begun = true;
                if !logged.bytes.eq_ignore_ascii_case(b"BEGIN") {
                    // or START TRANSACTION: it does no harm
                    self.begin_xa();
                }
            }
            Statement::Commit => self.end_transaction(),
            Statement::Rollback => {
                self.roll_back_group()?;
                self.end_transaction();
            }
            Statement::XaEnd { rolled_back } => self.on_xa_end(&String::from_utf8_lossy(&logged.bytes), start, rolled_back).await?,
            Statement::Ddl { opens, touched, effects } => {
                self.on_schema_change(event, start, &logged, opens, &touched, effects).await?;
                // a table that was emptied has ended it
                match &mut self.place.open {
                    Some(open) if opens => open.begun = true,
                    Some(open) if !open.begun => self.end_transaction(),
                    _ => {}
                }
            }
            Statement::Temporary { tables, dropped } => {
                self.reader.watch.temporary(logged.thread, tables, dropped);
                self.end_single(start);
            }
            Statement::Dml(change) => {
                self.on_change(start, &logged, &change).await?;
                self.end_single(start);
            }
            Statement::Unknown => {
                self.note_schema_change(None, &Touched::of_default(&logged.database), start).await?;
                self.reader.watch.forget_harmless();
                self.on_change(start, &logged, &Change::unknown()).await?;
                self.end_single(start);
            }
            Statement::Other => {
                // a function, trigger or view may be another one
                self.reader.watch.forget_harmless();
                self.end_single(start);
            }
        }
        Ok(())
    }

    /// Does what a statement says of a transaction that was prepared and is committed now. Only from here on a query sees what it changed.
    pub(super) async fn replay_statement(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let event_type = event.header().event_type_raw();
        if event_type == kind::EXECUTE_LOAD_QUERY {
            return self.on_load(event, start).await;
        }
        let compressed = event_type == kind::MARIADB_QUERY_COMPRESSED;
        let logged = Logged::read(event.data(), compressed, self.reader.limits.row_bytes)
            .map_err(|f| self.fault(format_args!("a statement that cannot be read: {f}")))?;
        match self.classify(&logged) {
            Statement::Dml(change) => self.on_change(start, &logged, &change).await,
            Statement::Unknown => self.on_change(start, &logged, &Change::unknown()).await,
            _ => Ok(()),
        }
    }

    /// A file's rows were loaded, and the log holds the file in place of the rows.
    pub(super) async fn on_load(&mut self, event: &RawEvent, start: u64) -> Result<(), Halt> {
        let logged = Logged::read_load(event.data()).map_err(|f| self.fault(format_args!("a LOAD DATA that cannot be read: {f}")))?;
        let change = match self.classify(&logged) {
            Statement::Dml(change) => change,
            _ => Change::unknown(),
        };
        self.on_change(start, &logged, &change).await
    }

    /// The same as servers before MySQL 5.0.3 logged it.
    pub(super) fn on_old_load(&self) -> Result<(), Halt> {
        Err(self
            .fault("a LOAD DATA in a form that servers before MySQL 5.0.3 logged")
            .remedy("Start at a position behind it, and copy or compare the table.")
            .into())
    }

    fn classify(&self, logged: &Logged<'_>) -> Statement {
        logged.classify(&self.server)
    }

    /// Notes that the schemas of tables may be others behind the statement, before anything from behind it is sent. `logged` is
    /// the statement, where it may be followed.
    async fn note_schema_change(&mut self, logged: Option<&Logged<'_>>, touched: &Touched, start: u64) -> Result<(), Halt> {
        let steps =
            logged.filter(|logged| !self.is_of_temporary(logged.thread, touched)).and_then(|logged| logged.definitions(&self.server));
        let open = self.place.transaction(start);
        let (gtid, single) = (open.gtid.clone(), !open.begun);
        let mut behind = self.place.clone();
        if single {
            behind.end();
        }
        self.reader.catalogue.schema_changed(touched);
        self.reread_copies(touched);
        let spot = Spot { file: self.place.file.clone(), position: self.place.position };
        let at = Milestone::new(behind.resume(), gtid);
        self.reader.catalogue.schemas.change(touched, steps, at, &self.server, &spot).await
    }

    /// Ends the transaction of a statement that is one by itself.
    fn end_single(&mut self, start: u64) {
        if !self.place.transaction(start).begun {
            self.end_transaction();
        }
    }

    /// Tables have another schema from here on, and rows may have gone with the old one.
    async fn on_schema_change(
        &mut self,
        event: &RawEvent,
        start: u64,
        logged: &Logged<'_>,
        opens: bool,
        touched: &Touched,
        effects: Vec<Effect>,
    ) -> Result<(), Halt> {
        self.reader.watch.forget_harmless();
        // rows may be gone with the same schema, too
        self.reread_copies(touched);
        let had = self.place.transaction(start).had;
        let same_schemas = statement::keeps_schemas(&effects);
        let told = self.reader.watch.schema_changes && !had && !schema_change::only_empties(&effects);
        let mut emptied = Vec::new();
        let effects = if had { Vec::new() } else { effects };
        let given: Vec<TableName> =
            effects.iter().filter_map(|effect| if let Effect::Renamed { to, .. } = effect { Some(to.clone()) } else { None }).collect();
        for effect in effects {
            if self.reader.watch.is_of_temporary(logged.thread, &effect, self.server.flavour) {
                continue;
            }
            match effect {
                Effect::Emptied { table, by } if self.reader.catalogue.captures(&table) => {
                    let latest = self.reader.catalogue.latest(&table).await?;
                    // of a table that nobody knows, nothing was delivered; only a log in full needs no version of it
                    let unknown = latest.columns.is_empty();
                    if if unknown { self.reader.catalogue.schemas.is_in_log() } else { by != "TRUNCATE" } {
                        self.reader.watch.tell(&table.to_string(), by, "the table was emptied or dropped: all its rows are removed");
                    }
                    if by == "DROP TABLE" {
                        self.reader.catalogue.forget(&table);
                    }
                    emptied.push(latest);
                }
                Effect::DatabaseDropped(database) if self.reader.catalogue.may_capture_in(&database) => {
                    self.reader.watch.tell(&database, "DROP DATABASE", "the database was dropped: all rows of its tables are removed");
                    emptied.extend(self.reader.catalogue.known_in(&database).await?);
                }
                Effect::Partly { table, by } if self.reader.catalogue.captures(&table) => self.on_partly(&table, by).await?,
                Effect::Retyped(table) if self.reader.catalogue.captures(&table) => self.on_retyped(logged, &table).await?,
                Effect::Renamed { from, to, .. } => self.on_rename(&from, &to, given.contains(&from)).await?,
                Effect::Filled(change) => self.on_change(start, logged, &change).await?,
                Effect::Emptied { .. } | Effect::DatabaseDropped(_) | Effect::Partly { .. } | Effect::Retyped(_) | Effect::ColumnsKept => {}
            }
        }
        // a table that was never seen and is gone by now has no columns that a record could be made for
        emptied.retain(|table| !table.columns.is_empty());
        if !same_schemas {
            self.note_schema_change(Some(logged), touched, start).await?;
            if !had {
                self.tell_renamed(logged, touched, start, event.header().timestamp()).await?;
            }
        }
        let header = event.header();
        self.tell(emptied, told.then_some((logged, touched)), start, opens, (header.timestamp(), header.server_id())).await
    }

    /// A schema change took rows of a captured table along, or gave it some.
    async fn on_partly(&mut self, table: &TableName, by: &'static str) -> Result<(), Halt> {
        let what = format!("a schema change ({by}) that removes rows of {table}, moves them, or gives it some, and does not name them");
        let told =
            "a schema change removed rows of the table, moved them, or gave it some, and does not name them: compare or copy the table";
        self.on_unnamed_rows(table, &table.to_string(), by, &what, told).await
    }

    /// A statement changed rows of a captured table, and does not name them. `of`: the table, for people; `what` it did, for an error;
    /// `told`: the same for a warning.
    async fn on_unnamed_rows(&mut self, table: &TableName, of: &str, by: &str, what: &str, told: &'static str) -> Result<(), Halt> {
        match self.reader.watch.rows_by_ddl {
            Unlogged::Copy => self.copy_instead(&Touched::Tables(vec![table.clone()]), what, by).await,
            Unlogged::Warn => {
                self.reader.status.source.skipped.add(1);
                self.reader.watch.tell(of, by, told);
                Ok(())
            }
            Unlogged::Stop => Err(self
                .fault(format_args!("{what}"))
                .remedy(
                    "Compare or copy the table, and move the sinks past this place with `sluicegate checkpoint set --force`; or set the \
                     source's rows_by_ddl to warn.",
                )
                .into()),
        }
    }

    /// Rows of a captured table go on under another name, or rows come with a name that is captured. `given`: the statement gives the name
    /// before to another table.
    async fn on_rename(&mut self, from: &TableName, to: &TableName, given: bool) -> Result<(), Halt> {
        self.reader.catalogue.forget(from);
        self.reader.catalogue.forget(to);
        let captured = self.reader.catalogue.captured();
        // a tool that changes a table online exchanges it for its copy, with the same rows
        if captured.leaves_out(to) && to.helps().as_ref() == Some(from) && given
            || captured.leaves_out(from) && from.helps().as_ref() == Some(to)
        {
            tracing::info!(from = %from, to = %to, "a tool that changes a table online exchanges it for its copy");
            return Ok(());
        }
        let (leaves, comes) = (captured.captures(from), captured.captures(to));
        if leaves || comes {
            let message = match (leaves, comes) {
                (true, true) => "a captured table was renamed: its rows stay with consumers under the old name",
                (true, false) => "a captured table was renamed to a name that is not captured: its changes end here",
                _ => "a table was renamed to a name that is captured: the rows that it has already do not come",
            };
            self.reader.watch.tell(&from.to_string(), &format!("RENAME TO {to}"), message);
        }
        if comes && self.reader.watch.rows_by_ddl == Unlogged::Copy {
            let what = format!("a table that was renamed to {to}, with the rows that it has already");
            self.copy_instead(&Touched::Tables(vec![to.clone()]), &what, "RENAME").await?;
        }
        Ok(())
    }

    /// Rows changed that the log does not name: by policy their tables are copied anew.
    async fn copy_instead(&mut self, touched: &Touched, what: &str, by: &str) -> Result<(), Halt> {
        let tables = self.copy_anew(touched).await.map_err(|halt| match halt {
            Halt::Failed(error) if error.kind() == ErrorKind::Precheck => {
                let remedy = error.remedy_text().unwrap_or_default();
                let remedy = format!(
                    "{remedy} Or compare the tables, and move the sinks past this place with `sluicegate checkpoint set --force`: what stands \
                     between is not delivered."
                );
                self.fault(format_args!("{what}, and the tables concerned cannot all be copied anew")).caused_by(error).remedy(remedy.trim_start()).into()
            }
            halt => halt,
        })?;
        if tables.is_empty() {
            self.reader.status.source.skipped.add(1);
            self.reader.watch.tell(what, by, "the table is not there any more: what changed in it is not delivered");
        }
        for table in tables {
            self.reader.watch.tell(&table.to_string(), by, "rows changed that the log does not name: the table is copied anew");
        }
        Ok(())
    }

    /// Changes that were logged as statements cannot be followed; elsewhere they do not concern us.
    async fn on_change(&mut self, start: u64, logged: &Logged<'_>, change: &Change) -> Result<(), Halt> {
        if self.place.transaction(start).had {
            return Ok(());
        }
        let statements = self.reader.watch.statements;
        let all = statements == Unlogged::Copy || self.group.may_be_taken_back();
        let Some(Reached { what, touched, mut doubt }) = self.captured_by(start, logged, change, all).await? else { return Ok(()) };
        if self.group.may_be_taken_back() {
            self.settle().await?;
            // the statements of an XA transaction are looked at again when it is committed
            if matches!(self.group.outcome(), Some(Outcome::Prepared(_) | Outcome::RolledBack)) {
                if self.are_transactional(&touched).await? {
                    return Ok(());
                }
                doubt = TAKEN_BACK;
            }
        }
        // other policies do no harm to a table that is as it was
        if statements == Unlogged::Stop && self.is_rolled_back_to_savepoint(start).await? {
            let whole = self.captured_by(start, logged, change, true).await?;
            if self.are_transactional(whole.as_ref().map_or(&touched, |whole| &whole.touched)).await? {
                return Ok(());
            }
            doubt = TAKEN_BACK;
        }
        self.reread_copies(&Touched::Any);
        match statements {
            Unlogged::Copy => self.copy_instead(&touched, &format!("a change of {what} as a statement instead of rows"), "statement").await,
            Unlogged::Warn => {
                self.reader.status.source.skipped.add(1);
                self.reader.watch.tell(&what, "statement", "a change was logged as a statement instead of rows, and is not delivered");
                Ok(())
            }
            Unlogged::Stop => Err(self
                .fault(format_args!("a change of {what} as a statement instead of rows{doubt}"))
                .remedy("Set binlog_format = ROW globally, have sessions that overrode it reconnect, and move the sinks past this place with `sluicegate checkpoint set --force`: \
                         what stands between is not delivered, so copy or compare the table.")
                .into()),
        }
    }
}
