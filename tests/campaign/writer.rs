//! Sessions that write random transactions into the same tables, each with keys of its own.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use sluicegate_harness::database::{Client, Server};

use super::{
    PATIENCE,
    journal::{Journal, Operation, Step},
    random::Random,
};

pub const DATABASE: &str = "d";
pub const TABLES: [&str; 3] = ["a", "b", "c"];
/// One row for each round: when an output has it, it has what was committed before.
pub const FENCE: &str = "fence";
const SESSIONS: u64 = 3;
/// Keys of a session in a table.
const KEYS: u64 = 1_000_000;
/// Of these, keys that change often.
const BUSY: u64 = 60;
/// Rows of a large transaction.
const LARGE: u64 = 300;

pub fn create_tables(server: &Server) {
    server.sql(&format!("CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4"));
    for table in TABLES.iter().chain([&FENCE]) {
        server.sql(&format!(
            "CREATE TABLE {DATABASE}.{table} (id BIGINT PRIMARY KEY, v BIGINT NOT NULL, note VARCHAR(40) NOT NULL DEFAULT '', pad TEXT)"
        ));
    }
}

/// The key of the row that ends a round.
pub fn fence(round: u64) -> u64 {
    KEYS * 1000 + round
}

/// The sessions, writing until dropped.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    journal: Journal,
    transactions: u64,
    paused: bool,
    /// Sessions that are in a transaction.
    active: u64,
    over: bool,
}

impl Writers {
    pub fn start(server: &Server, seed: u64) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let session = |number| {
            let mut client = server.client();
            // without locks of gaps, or sessions would wait for each other's keys
            client.sql(&format!("USE {DATABASE}; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"));
            let random = Random::new(seed ^ (0x5e55_1000 + number));
            let session = Session { client, random, rows: Rows { number, keys: BTreeMap::new(), versions: BTreeMap::new() }, written: 0 };
            let shared = shared.clone();
            thread::spawn(move || session.write(&shared))
        };
        let threads = (0..SESSIONS).map(session).collect();
        Self { shared, threads }
    }

    /// Waits until so many transactions more have been committed: that is the campaign's clock.
    pub fn wait_for(&self, transactions: u64) {
        let state = self.shared.lock();
        let goal = state.transactions + transactions;
        self.wait_while(state, |state| state.transactions < goal);
    }

    /// Pauses them between two transactions.
    pub fn pause(&self) {
        let mut state = self.shared.lock();
        state.paused = true;
        self.wait_while(state, |state| state.active > 0);
    }

    pub fn go_on(&self) {
        self.shared.lock().paused = false;
        self.shared.changed.notify_all();
    }

    /// That were committed, or rolled back.
    pub fn transactions(&self) -> u64 {
        self.shared.lock().transactions
    }

    pub fn with_journal<T>(&self, look: impl FnOnce(&mut Journal) -> T) -> T {
        look(&mut self.shared.lock().journal)
    }

    fn wait_while(&self, state: MutexGuard<'_, State>, mut condition: impl FnMut(&State) -> bool) {
        let condition = |state: &mut State| !state.over && condition(state);
        let (state, waited) = self.shared.changed.wait_timeout_while(state, PATIENCE, condition).unwrap_or_else(PoisonError::into_inner);
        assert!(!state.over && !waited.timed_out(), "a writer failed, or did not get on");
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        // one that failed has told why
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // whoever finds a fault in the journal panics with it
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a session may begin a transaction; it waits while they are paused.
    fn begin(&self) -> bool {
        let mut state = self.changed.wait_while(self.lock(), |state| state.paused && !state.over).unwrap_or_else(PoisonError::into_inner);
        state.active += 1;
        !state.over
    }

    fn end(&self, changes: &[(u64, Step)]) {
        let mut state = self.lock();
        changes.iter().for_each(|(key, step)| state.journal.add(*key, *step));
        state.transactions += 1;
        state.active -= 1;
        self.changed.notify_all();
    }
}

struct EndsAll<'a>(&'a Shared);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

struct Session {
    client: Client,
    random: Random,
    rows: Rows,
    written: u64,
}

/// The rows of a session's keys.
#[derive(Clone)]
struct Rows {
    number: u64,
    /// The version of each row that is there.
    keys: BTreeMap<u64, u64>,
    /// The last version of each key.
    versions: BTreeMap<u64, u64>,
}

impl Session {
    fn write(mut self, shared: &Shared) {
        // also when a statement fails
        let _ends = EndsAll(shared);
        while shared.begin() {
            let changes = self.transaction();
            shared.end(&changes);
            let pause = 10 + self.random.below(40);
            self.client.sql(&format!("DO SLEEP({})", pause as f64 / 1000.0));
        }
    }

    /// A transaction, and what it committed.
    fn transaction(&mut self) -> Vec<(u64, Step)> {
        self.written += 1;
        let (mut rows, mut changes) = (self.rows.clone(), Vec::new());
        if self.random.once_in(300) {
            self.client.sql("BEGIN");
            self.large(&mut rows, &mut changes);
            self.client.sql("COMMIT");
            self.rows = rows;
            return changes;
        }
        let name = format!("'{}-{}'", self.rows.number, self.written);
        let xa = self.random.once_in(15);
        self.client.sql(&if xa { format!("XA START {name}") } else { "BEGIN".to_owned() });
        for _ in 0..=self.random.below(6) {
            let savepoint = (!xa && self.random.once_in(10)).then(|| (rows.clone(), changes.len()));
            if savepoint.is_some() {
                self.client.sql("SAVEPOINT s");
            }
            self.change(&mut rows, &mut changes);
            if let Some((before, length)) = savepoint {
                self.client.sql("ROLLBACK TO s");
                rows = before;
                changes.truncate(length);
            }
        }
        let commits = !self.random.once_in(10);
        let end = if commits { "COMMIT" } else { "ROLLBACK" };
        self.client.sql(&if xa { format!("XA END {name}; XA PREPARE {name}; XA {end} {name}") } else { end.to_owned() });
        if !commits {
            return Vec::new();
        }
        self.rows = rows;
        changes
    }

    fn change(&mut self, rows: &mut Rows, changes: &mut Vec<(u64, Step)>) {
        let table = self.random.below(TABLES.len() as u64);
        let name = TABLES[table as usize];
        let key = rows.key(table, self.random.below(BUSY));
        let note = format!("{}-{}-{}", rows.number, self.written, changes.len());
        let most = if self.random.once_in(20) { 20_000 } else { 100 };
        let pad = 1 + self.random.below(most);
        let statement = match (rows.keys.contains_key(&key), self.random.below(8)) {
            (false, _) => {
                let version = rows.create(key);
                changes.push((key, Step { operation: Operation::Created, version }));
                format!("INSERT INTO {name} VALUES ({key}, {version}, '{note}', REPEAT('x', {pad}))")
            }
            (true, 0) => {
                let version = rows.remove(key);
                changes.push((key, Step { operation: Operation::Deleted, version }));
                format!("DELETE FROM {name} WHERE id = {key}")
            }
            (true, 1) => {
                let to = rows.key(table, self.random.below(BUSY));
                if rows.keys.contains_key(&to) {
                    return;
                }
                let before = rows.remove(key);
                rows.versions.entry(to).and_modify(|version| *version = before.max(*version)).or_insert(before);
                let version = rows.create(to);
                changes.push((key, Step { operation: Operation::MovedAway, version: before }));
                changes.push((to, Step { operation: Operation::MovedHere, version }));
                format!("UPDATE {name} SET id = {to}, v = {version}, note = '{note}' WHERE id = {key}")
            }
            (true, 2) => {
                // some rows in one event, in the order of their keys
                let last = key + self.random.below(10);
                let found: Vec<u64> = rows.keys.range(key..=last).map(|(key, _)| *key).collect();
                for key in found {
                    changes.push((key, Step { operation: Operation::Updated, version: rows.update(key) }));
                }
                format!("UPDATE {name} SET v = v + 1 WHERE id BETWEEN {key} AND {last}")
            }
            (true, _) => {
                let version = rows.update(key);
                changes.push((key, Step { operation: Operation::Updated, version }));
                format!("UPDATE {name} SET v = {version}, note = '{note}', pad = REPEAT('y', {pad}) WHERE id = {key}")
            }
        };
        self.client.sql(&statement);
    }

    /// Many rows of two tables, which are there, changed, or gone.
    fn large(&mut self, rows: &mut Rows, changes: &mut Vec<(u64, Step)>) {
        for table in 0..2 {
            let (name, first) = (TABLES[table as usize], rows.key(table, BUSY));
            let (last, rows_there) = (first + LARGE, rows.keys.contains_key(&first));
            let mut step = |key, operation, version| changes.push((key, Step { operation, version }));
            let statement = if !rows_there {
                let values: Vec<String> = (first..last)
                    .map(|key| {
                        let version = rows.create(key);
                        step(key, Operation::Created, version);
                        format!("({key}, {version}, 'large', 'x')")
                    })
                    .collect();
                format!("INSERT INTO {name} VALUES {}", values.join(", "))
            } else if self.random.once_in(3) {
                (first..last).for_each(|key| step(key, Operation::Deleted, rows.remove(key)));
                format!("DELETE FROM {name} WHERE id >= {first} AND id < {last}")
            } else {
                (first..last).for_each(|key| step(key, Operation::Updated, rows.update(key)));
                format!("UPDATE {name} SET v = v + 1, pad = REPEAT('z', 50) WHERE id >= {first} AND id < {last}")
            };
            self.client.sql(&statement);
        }
    }
}

impl Rows {
    fn key(&self, table: u64, number: u64) -> u64 {
        (table * SESSIONS + self.number + 1) * KEYS + number
    }

    fn create(&mut self, key: u64) -> u64 {
        let version = self.versions.entry(key).or_default();
        *version += 1;
        self.keys.insert(key, *version);
        *version
    }

    fn update(&mut self, key: u64) -> u64 {
        self.create(key)
    }

    fn remove(&mut self, key: u64) -> u64 {
        self.keys.remove(&key).expect("the row is there")
    }
}
