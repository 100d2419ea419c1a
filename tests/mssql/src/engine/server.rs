//! What the sessions of a server share.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    database::{Database, World},
    lock::{Locks, Want},
    table::same,
};
use crate::{
    control::fault::Faults,
    error::{Ends, Result, SqlError},
    value::{Datum, Kind, time},
};

/// How often a wait looks whether its client has gone or cancels.
const GLANCE: Duration = Duration::from_millis(5);

/// A login.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
    /// May it do everything?
    pub administrator: bool,
}

/// What is guarded by the server's mutex.
#[derive(Debug)]
pub struct State {
    /// What is committed.
    pub world: Arc<World>,
    /// The locks.
    pub locks: Locks,
    /// Who may log in.
    pub logins: BTreeMap<String, Login>,
}

/// A server.
#[derive(Debug)]
pub struct Server {
    state: Mutex<State>,
    changed: Condvar,
    next_transaction: AtomicU64,
    row_version: AtomicU64,
    /// What goes wrong on command.
    pub faults: Faults,
    /// CHANGETABLE gives its rows in no order (G19).
    pub shuffles: AtomicBool,
    /// Rows that CHANGETABLE has gone through.
    pub tracked_rows: AtomicU64,
    /// `ProductVersion`
    pub version: Mutex<String>,
}

/// Does the client of a waiting session cancel, or has it gone?
pub type Interrupted<'a> = &'a dyn Fn() -> bool;

impl Server {
    /// A server with its own databases and the login `sa`.
    pub fn new(password: &str) -> Self {
        let created = now();
        let names = ["master", "tempdb", "model", "msdb"];
        let databases = (1..).zip(names).map(|(id, name)| (id, Arc::new(Database::new(id, name, created.clone())))).collect();
        let administrator = Login { name: "sa".to_owned(), password: password.to_owned(), administrator: true };
        Self {
            state: Mutex::new(State {
                world: Arc::new(World { databases, last_object: 885_578_193, last_stamp: 0 }),
                locks: Locks::default(),
                logins: [("sa".to_owned(), administrator)].into(),
            }),
            changed: Condvar::new(),
            next_transaction: AtomicU64::new(1),
            row_version: AtomicU64::new(2000),
            faults: Faults::default(),
            shuffles: AtomicBool::new(false),
            tracked_rows: AtomicU64::new(0),
            version: Mutex::new("17.0.4065.4".to_owned()),
        }
    }

    /// The state, for as long as it is held.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is committed.
    pub fn world(&self) -> Arc<World> {
        self.lock().world.clone()
    }

    /// Changes what is committed, outside of any transaction.
    pub fn alter<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        let mut state = self.lock();
        let result = change(Arc::make_mut(&mut state.world));
        drop(state);
        self.changed.notify_all();
        result
    }

    /// `ProductVersion`
    pub fn product_version(&self) -> String {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of a new transaction.
    pub fn next_transaction(&self) -> u64 {
        self.next_transaction.fetch_add(1, Ordering::Relaxed)
    }

    /// The next value of a rowversion column.
    pub fn next_row_version(&self) -> u64 {
        self.row_version.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last value of a rowversion column.
    pub fn last_row_version(&self) -> u64 {
        self.row_version.load(Ordering::Relaxed)
    }

    /// Gives back the locks of a transaction.
    pub fn release(&self, transaction: u64) {
        self.lock().locks.release(transaction);
        self.changed.notify_all();
    }

    /// Wakes those who wait, after something changed under the lock.
    pub fn notify(&self) {
        self.changed.notify_all();
    }

    /// Takes a lock, waiting while others are in the way. Says whether it had to wait, so that the caller reads again.
    pub fn take<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        transaction: u64,
        table: i64,
        want: &Want,
        timeout: i64,
        interrupted: Interrupted<'_>,
    ) -> Result<(MutexGuard<'a, State>, bool)> {
        let until = u64::try_from(timeout).ok().map(|ms| Instant::now() + Duration::from_millis(ms));
        let mut waited = false;
        loop {
            match state.locks.take(transaction, table, want) {
                Ok(()) => return Ok((state, waited)),
                Err(others) if others.is_empty() => return Err(deadlock(transaction)),
                Err(_) => {}
            }
            waited = true;
            if until.is_some_and(|until| Instant::now() >= until) {
                state.locks.give_up(transaction);
                return Err(SqlError::new(1222, "Lock request time out period exceeded.").state(51));
            }
            state = self.changed.wait_timeout(state, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
            drop(state);
            let stop = interrupted();
            state = self.lock();
            if stop {
                state.locks.give_up(transaction);
                return Err(cancelled());
            }
        }
    }

    /// Waits until something says that it is over, or the client cancels.
    pub fn wait(&self, until: impl Fn() -> bool, interrupted: Interrupted<'_>) -> Result<()> {
        loop {
            if until() {
                return Ok(());
            }
            if interrupted() {
                return Err(cancelled());
            }
            drop(self.changed.wait_timeout(self.lock(), GLANCE).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The login of that name and password.
    pub fn login(&self, name: &str, password: &str) -> Option<Login> {
        let state = self.lock();
        state.logins.values().find(|l| same(&l.name, name) && l.password == password).cloned()
    }
}

/// The transaction is the victim of a deadlock.
pub fn deadlock(transaction: u64) -> SqlError {
    let text = format!(
        "Transaction (Process ID {}) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.",
        50 + transaction % 200
    );
    SqlError::new(1205, text).class(13).state(51).ends(Ends::Transaction)
}

/// The client cancelled; it is told so by the end of the answer, not by a message (G117).
pub fn cancelled() -> SqlError {
    SqlError::new(0, "Operation cancelled by user.").class(11).ends(Ends::Batch)
}

/// The time of the clock, as datetime.
pub fn now() -> Datum {
    time::make(time::now(), Kind::DateTime).unwrap_or(Datum::Null)
}
