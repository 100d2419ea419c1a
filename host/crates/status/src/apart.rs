//! Whether an output goes with the others.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU8, Ordering},
};

use super::{Number, Status};

/// How an output stands to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It gets what they get, from the same stream.
    #[default]
    Together,
    /// It has a stream of its own, or waits for one.
    Apart,
    /// It waits until an operator lets it go on.
    Paused,
    /// Its own stream is where the others are: they wait until it has joined them.
    Joining,
}

impl Standing {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::Apart => "apart",
            Self::Paused => "paused",
            Self::Joining => "joining",
        }
    }
}

/// Nothing is known yet of what an output is asked for.
const UNKNOWN: u8 = 0;
/// It is asked to wait.
const WAIT: u8 = 1;
/// It is asked to go on.
const GO_ON: u8 = 2;

fn wish(paused: bool) -> u8 {
    if paused { WAIT } else { GO_ON }
}

/// The numbers of an output that may go apart.
#[derive(Debug, Default)]
pub struct Apart {
    /// Whether it may go apart at all: what it cannot do, it cannot be asked for.
    may: AtomicBool,
    /// What it is asked for: [`UNKNOWN`] until the checkpoint has been read or an operator has asked.
    wish: AtomicU8,
    standing: AtomicU8,
    /// Times that it went apart.
    pub departures: Number,
    /// Failures since the start.
    pub failures: Number,
    reason: Mutex<String>,
    /// The numbers of its own stream.
    stream: Mutex<Option<Arc<Status>>>,
}

impl Apart {
    /// How it stands to the others.
    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            0 => Standing::Together,
            1 => Standing::Apart,
            2 => Standing::Paused,
            _ => Standing::Joining,
        }
    }

    /// Notes how it stands to the others.
    pub fn stand(&self, standing: Standing) {
        self.standing.store(standing as u8, Ordering::Relaxed);
    }

    /// Notes that it may go apart.
    pub fn allow(&self) {
        self.may.store(true, Ordering::Relaxed);
    }

    /// Whether it may go apart.
    pub fn is_allowed(&self) -> bool {
        self.may.load(Ordering::Relaxed)
    }

    /// Asks it to wait, or to go on. It does so within a moment.
    pub fn pause(&self, paused: bool) {
        self.wish.store(wish(paused), Ordering::Relaxed);
    }

    /// Asks for what the checkpoint says, unless an operator has asked already.
    pub fn restore_pause(&self, paused: bool) {
        // what stands there otherwise is newer
        let _ = self.wish.compare_exchange(UNKNOWN, wish(paused), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether it is asked to wait.
    pub fn is_paused(&self) -> bool {
        self.paused() == Some(true)
    }

    /// Whether it is asked to wait; `None` before the checkpoint has been read.
    pub fn paused(&self) -> Option<bool> {
        match self.wish.load(Ordering::Relaxed) {
            UNKNOWN => None,
            wish => Some(wish == WAIT),
        }
    }

    /// Notes why it is apart.
    pub fn because(&self, reason: &str) {
        reason.clone_into(&mut self.reason.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Why it is apart, or was last.
    pub fn reason(&self) -> String {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the numbers of its own stream; `None` when that has ended.
    pub fn reads(&self, stream: Option<Arc<Status>>) {
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = stream;
    }

    /// How far behind the source its own stream is, in microseconds; `None` where it has none.
    pub fn lag_us(&self) -> Option<i64> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|stream| stream.source.lag_us())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_asks_for_goes_before_what_the_checkpoint_says() {
        for asked in [None, Some(true), Some(false)] {
            for stored in [true, false] {
                let apart = Apart::default();
                if let Some(asked) = asked {
                    apart.pause(asked);
                }
                assert_eq!(apart.paused(), asked);
                apart.restore_pause(stored);
                assert_eq!(apart.paused(), Some(asked.unwrap_or(stored)), "asked for {asked:?}, stored {stored}");
            }
        }
    }
}
