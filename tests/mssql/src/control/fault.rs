//! What goes wrong on command.

use std::sync::{Mutex, PoisonError};

use crate::{engine::server::deadlock, error::SqlError};

/// What happens to a request instead of its answer, before it, or after it.
pub enum Fault {
    /// It fails with an error.
    Error(SqlError),
    /// The connection breaks off without an answer.
    Disconnect,
    /// The connection breaks off inside the result, after so many rows.
    DisconnectAfterRows(usize),
    /// It is not answered until the client cancels or goes: a command that runs into its timeout.
    Hang,
    /// Something else happens first: a cleanup between two queries, a TRUNCATE, a commit.
    Before(Box<dyn FnOnce() + Send>),
    /// Something else happens behind the request, before its answer is sent to the end.
    After(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Error(_) => "Error",
            Self::Disconnect => "Disconnect",
            Self::DisconnectAfterRows(_) => "DisconnectAfterRows",
            Self::Hang => "Hang",
            Self::Before(_) => "Before",
            Self::After(_) => "After",
        })
    }
}

impl Fault {
    /// The transaction is the victim of a deadlock (G92).
    pub fn deadlock() -> Self {
        Self::Error(deadlock(1))
    }
}

#[derive(Debug)]
struct Planned {
    containing: String,
    fault: Fault,
}

/// What is planned to go wrong, and what was asked for so far.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<Planned>>,
    seen: Mutex<Vec<(i64, String)>>,
    recording: std::sync::atomic::AtomicBool,
    route: Mutex<Option<(String, u16)>>,
}

impl Faults {
    /// Plans a fault for the next request whose SQL contains a text.
    pub fn plan(&self, containing: &str, fault: Fault) {
        let planned = Planned { containing: containing.to_owned(), fault };
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).push(planned);
    }

    /// How many planned faults have not happened yet.
    pub fn left(&self) -> usize {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The faults of a request: the first one planned for it, and what happens before and after it.
    pub(crate) fn due(&self, session: i64, sql: &str) -> Vec<Fault> {
        if self.recording.load(std::sync::atomic::Ordering::Relaxed) {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).push((session, sql.to_owned()));
        }
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        match planned.iter().position(|p| sql.contains(&p.containing)) {
            Some(at) => vec![planned.remove(at).fault],
            None => Vec::new(),
        }
    }

    /// Keeps the SQL of every request from now on.
    pub fn record(&self) {
        self.recording.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// The SQL of the requests since [`Self::record`], or since the last call.
    pub fn recorded(&self) -> Vec<String> {
        self.recorded_by_session().into_iter().map(|(_, sql)| sql).collect()
    }

    /// The same, with the number of the session that each came in.
    pub fn recorded_by_session(&self) -> Vec<(i64, String)> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends clients with read-only intent elsewhere, as an availability group's listener does.
    pub fn route_read_only(&self, to: Option<(String, u16)>) {
        *self.route.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    pub(crate) fn route(&self) -> Option<(String, u16)> {
        self.route.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
