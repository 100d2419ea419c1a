//! A session: its database, transaction and settings.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    ResultSet,
    scope::{Globals, Run},
    write::Outcome,
};
use crate::{
    engine::{
        Server, Transaction, World,
        lock::Want,
        server::{self, Login},
        transaction::View,
    },
    error::{Ends, Result, SqlError},
    sql::ast::Isolation,
    value::{Datum, Type},
};

/// A parameter of a statement: its name with `@`, its type, its value.
pub type Parameter = (String, Type, Datum);

/// Where a session's answers go.
pub trait Answer {
    /// The rows of a query.
    fn rows(&mut self, set: &ResultSet) -> Result<()>;
    /// A statement is done, and changed or gave so many rows.
    fn done(&mut self, count: Option<u64>);
    /// A message that is no error.
    fn info(&mut self, number: i32, text: &str);
    /// An error.
    fn error(&mut self, error: &SqlError);
    /// A transaction began (its number), was committed, or was rolled back.
    fn transaction(&mut self, change: TransactionChange);
    /// The session is in another database.
    fn database(&mut self, old: &str, new: &str);
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionChange {
    /// It is open, under this number.
    Begun(u64),
    /// It is committed.
    Committed(u64),
    /// It is rolled back.
    RolledBack(u64),
}

/// Variables by their names in lower case.
pub type Variables = BTreeMap<String, (Type, Datum)>;

/// A session.
pub struct Session {
    /// The server.
    pub server: Arc<Server>,
    /// Who it is.
    pub login: Login,
    /// The database that it is in.
    pub database: i64,
    /// Its number.
    pub id: i64,
    pub(super) transaction: Option<Transaction>,
    /// `@@TRANCOUNT`
    pub(super) count: i64,
    pub(super) began: Isolation,
    pub(super) isolation: Isolation,
    pub(super) xact_abort: bool,
    pub(super) no_count: bool,
    pub(super) implicit: bool,
    pub(super) lock_timeout: i64,
    pub(super) row_count: i64,
    pub(super) error: i64,
    /// Does the client cancel, or has it gone?
    pub(super) interrupted: Box<dyn Fn() -> bool + Send>,
}

impl Session {
    /// A session of a login in a database.
    pub fn new(server: Arc<Server>, login: Login, database: i64, id: i64, interrupted: Box<dyn Fn() -> bool + Send>) -> Self {
        Self {
            server,
            login,
            database,
            id,
            transaction: None,
            count: 0,
            began: Isolation::ReadCommitted,
            isolation: Isolation::ReadCommitted,
            xact_abort: false,
            no_count: false,
            implicit: false,
            lock_timeout: -1,
            row_count: 0,
            error: 0,
            interrupted,
        }
    }

    /// The number of the open transaction; 0 when none is.
    pub fn transaction_number(&self) -> u64 {
        if self.count > 0 { self.transaction.as_ref().map_or(0, |t| t.id) } else { 0 }
    }

    /// Waits until the client cancels or goes. What XACT_ABORT says of an open transaction holds for this, too (G117).
    pub fn hang(&mut self, answer: &mut dyn Answer) {
        let _ = self.server.wait(|| false, &*self.interrupted);
        if self.xact_abort {
            self.rollback(answer);
        }
    }

    /// Settings as a new session has them; an open transaction is rolled back. The isolation level stays, as on a real server.
    pub fn reset(&mut self, answer: &mut dyn Answer) {
        self.rollback(answer);
        (self.xact_abort, self.no_count, self.implicit, self.lock_timeout) = (false, false, false, -1);
    }

    /// Runs something with what the statement sees; again, when it has to wait for locks meanwhile.
    pub(super) fn read<T>(&mut self, variables: &Variables, mut body: impl FnMut(&Run<'_>) -> Result<T>) -> Result<T> {
        loop {
            let world = self.server.world();
            let (result, touched, read, holds) = self.run(&world, variables, &mut body)?;
            let locks = holds || matches!(self.isolation, Isolation::RepeatableRead | Isolation::Serializable);
            if let (true, true, Some(transaction)) = (locks, self.count > 0, &self.transaction) {
                let mut stale = false;
                let id = transaction.id;
                for table in read {
                    let state = self.server.lock();
                    let (state, waited) = self.server.take(state, id, table, &Want::Shared, self.lock_timeout, &*self.interrupted)?;
                    stale |= waited || !Arc::ptr_eq(&state.world, &world);
                }
                if stale {
                    continue;
                }
            }
            // a statement that failed on its data accessed them
            if touched
                && self.isolation == Isolation::Snapshot
                && self.count > 0
                && let Some(transaction) = &mut self.transaction
            {
                transaction.pinned.get_or_insert(world);
            }
            return result;
        }
    }

    pub(super) fn run<T>(
        &mut self,
        world: &Arc<World>,
        variables: &Variables,
        body: &mut dyn FnMut(&Run<'_>) -> Result<T>,
    ) -> Result<(Result<T>, bool, BTreeSet<i64>, bool)> {
        let mixed = self.count > 0 && self.isolation == Isolation::Snapshot && self.began != Isolation::Snapshot;
        let globals = self.globals();
        let view = match &mut self.transaction {
            Some(transaction) => transaction.view(world),
            None => View::of(world.clone()),
        };
        let catalog = if Arc::ptr_eq(&view.world, world) { view.clone() } else { view.over(world.clone()) };
        let run = Run {
            server: &self.server,
            login: &self.login,
            database: self.database,
            view: &view,
            catalog: &catalog,
            now: world,
            isolation: self.isolation,
            mixed,
            variables,
            globals,
            with: RefCell::default(),
            touched: Cell::new(false),
            read: RefCell::default(),
            holds: Cell::new(false),
        };
        let result = body(&run);
        Ok((result, run.touched.get(), run.read.take(), run.holds.get()))
    }

    fn globals(&self) -> Globals {
        Globals {
            row_count: self.row_count,
            transactions: self.count,
            error: self.error,
            session: self.id,
            state: i64::from(self.count > 0),
        }
    }

    /// Runs a statement that changes rows; in a transaction of its own where none is open.
    pub(super) fn write(
        &mut self,
        variables: &Variables,
        answer: &mut dyn Answer,
        mut body: impl FnMut(&Run<'_>) -> Result<Outcome>,
    ) -> Result<u64> {
        let alone = self.open(answer);
        let written = self.write_in_transaction(variables, &mut body);
        self.close(alone, written.is_ok());
        written
    }

    fn write_in_transaction(&mut self, variables: &Variables, body: &mut dyn FnMut(&Run<'_>) -> Result<Outcome>) -> Result<u64> {
        let server = self.server.clone();
        loop {
            let state = server.lock();
            let world = state.world.clone();
            let (outcome, touched, ..) = self.run(&world, variables, body)?;
            let outcome = outcome?;
            let snapshot = self.isolation == Isolation::Snapshot;
            let Some(transaction) = &mut self.transaction else { return Err(SqlError::unsupported("a write without a transaction")) };
            let keys = outcome.changes.iter().map(|c| c.key.clone()).collect();
            let table = outcome.at.1;
            let (state, waited) = server.take(state, transaction.id, table, &Want::Keys(keys), self.lock_timeout, &*self.interrupted)?;
            if waited {
                continue;
            }
            if touched && snapshot {
                transaction.pinned.get_or_insert(world.clone());
            }
            if snapshot && outcome.changes.iter().any(|c| transaction.conflicts(&state.world, outcome.at, &c.key)) {
                let definition = &outcome.table.definition;
                let text = format!(
                    "Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to access table '{}' directly or indirectly in database '{}' to update, delete, or insert the row that has been modified or deleted by another transaction. Retry the transaction or change the isolation level for the update/delete statement.",
                    definition.full_name(),
                    world.databases.get(&outcome.at.0).map_or("", |d| d.name.as_str())
                );
                return Err(SqlError::new(3960, text).state(2).ends(Ends::Transaction));
            }
            outcome.check_keys()?;
            transaction.change(outcome.at, &outcome.table, &outcome.changes, outcome.context.as_ref(), outcome.counters)?;
            return Ok(outcome.count);
        }
    }

    /// Opens a transaction for one statement where none is open. Implicit ones stay open.
    pub(super) fn open(&mut self, answer: &mut dyn Answer) -> bool {
        if self.count > 0 {
            return false;
        }
        if self.implicit {
            self.begin(answer);
            return false;
        }
        self.transaction = Some(Transaction::new(self.server.next_transaction()));
        self.began = self.isolation;
        true
    }

    /// Ends the transaction of one statement.
    pub(super) fn close(&mut self, alone: bool, succeeded: bool) {
        if !alone {
            return;
        }
        if let Some(transaction) = self.transaction.take() {
            self.end(transaction, succeeded);
        }
    }

    fn end(&self, transaction: Transaction, commit: bool) {
        let id = transaction.id;
        let mut state = self.server.lock();
        if commit && transaction.wrote() {
            transaction.commit(Arc::make_mut(&mut state.world), &server::now());
        }
        state.locks.release(id);
        drop(state);
        self.server.notify();
    }

    /// BEGIN TRANSACTION
    pub fn begin(&mut self, answer: &mut dyn Answer) {
        self.count += 1;
        if self.count == 1 {
            let id = self.server.next_transaction();
            self.transaction = Some(Transaction::new(id));
            self.began = self.isolation;
            answer.transaction(TransactionChange::Begun(id));
        }
    }

    /// COMMIT
    pub fn commit(&mut self, answer: &mut dyn Answer) -> Result<()> {
        if self.count == 0 {
            let text = "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.";
            return Err(SqlError::new(3902, text));
        }
        self.count -= 1;
        if self.count == 0
            && let Some(transaction) = self.transaction.take()
        {
            let id = transaction.id;
            self.end(transaction, true);
            answer.transaction(TransactionChange::Committed(id));
        }
        Ok(())
    }

    /// ROLLBACK of the whole transaction, when one is open.
    pub fn rollback(&mut self, answer: &mut dyn Answer) {
        self.count = 0;
        if let Some(transaction) = self.transaction.take() {
            let id = transaction.id;
            self.end(transaction, false);
            answer.transaction(TransactionChange::RolledBack(id));
        }
    }

    /// ROLLBACK as a statement: of the transaction, or to a savepoint.
    pub fn rollback_to(&mut self, name: Option<&str>, answer: &mut dyn Answer) -> Result<()> {
        if self.count == 0 {
            return Err(SqlError::new(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION."));
        }
        let Some(name) = name else {
            self.rollback(answer);
            return Ok(());
        };
        let back = self.transaction.as_mut().is_some_and(|t| t.go_back(name));
        if back {
            return Ok(());
        }
        let text = format!("Cannot roll back {name}. No transaction or savepoint of that name was found.");
        Err(SqlError::new(6401, text))
    }

    /// SAVE TRANSACTION
    pub fn save(&mut self, name: &str) -> Result<()> {
        match &mut self.transaction {
            Some(transaction) if self.count > 0 => {
                transaction.save(name);
                Ok(())
            }
            _ => Err(SqlError::new(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.")),
        }
    }

    /// The name of the database that the session is in.
    pub fn database_name(&self) -> String {
        self.server.world().databases.get(&self.database).map_or_else(String::new, |d| d.name.clone())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            self.end(transaction, false);
        }
    }
}
