//! The queues from a stream to its sinks, all under one lock: so a sink can leave them, and join them again, between two items.
//!
//! Each item goes to every sink that is attached. One that has no room holds the others back, unless it may go apart and has held them
//! too long: then its queue ends, and the others go on. It joins where both streams have been: with an own place that covers what
//! this stream has passed.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use sluicegate_model::{
    budget::Budget,
    change::{Frontier, Item, Offset},
    limits::JOIN_HOLD,
};
use sluicegate_source::Ledger;
use sluicegate_status::{Standing, Status};

/// The queues of a stream.
pub(super) struct Hub {
    state: Mutex<State>,
    /// Something changed that the sender may wait for.
    room: Condvar,
    /// Something came, or changed, for the sink of this index.
    ready: Box<[Condvar]>,
    /// Items that wait for a sink, at most.
    most: usize,
    /// How long a sink that may leave may hold the others.
    patience: Duration,
    ledger: Arc<dyn Ledger>,
    budget: Arc<Budget>,
    /// Where it is told that a sink is apart.
    status: Arc<Status>,
}

struct State {
    queues: Box<[Queue]>,
    /// Where the stream is, in each lane: what it passes next is behind that.
    passed: Frontier,
    /// The sender waits for room.
    sending: bool,
    /// No item comes any more.
    ended: bool,
    /// The run ends: no sink joins, and none is waited for that is apart.
    draining: bool,
}

/// The queue of one sink.
#[derive(Default)]
struct Queue {
    /// Whether it gets the stream's items.
    attached: bool,
    /// Whether it may go apart.
    may_leave: bool,
    /// Its reader has ended.
    gone: bool,
    items: VecDeque<Arc<Item>>,
    /// Whether the item that is being sent is still due to it.
    due: bool,
    /// What its reader is busy with.
    in_hand: Weak<Item>,
    /// How long it has held the others back since it last had nothing to do.
    held: Duration,
    /// Until when the stream waits for it to join.
    waited_for: Option<Instant>,
}

/// How a sink stands to the stream at its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub attached: bool,
    pub may_leave: bool,
}

/// What comes next for a sink.
#[derive(Debug)]
pub(super) enum Next {
    Item(Arc<Item>),
    /// Nothing has come yet.
    Nothing,
    /// Nothing comes any more.
    Ended,
    /// The stream goes on without the sink.
    Left,
}

impl Hub {
    /// The queues of a stream that begins at `begin`.
    pub fn new(
        seats: impl IntoIterator<Item = Seat>,
        begin: Frontier,
        most: usize,
        patience: Duration,
        ledger: Arc<dyn Ledger>,
        budget: Arc<Budget>,
        status: Arc<Status>,
    ) -> Arc<Self> {
        let queue = |Seat { attached, may_leave }| Queue { attached, may_leave, ..Queue::default() };
        let queues: Box<[Queue]> = seats.into_iter().map(queue).collect();
        let ready = queues.iter().map(|_| Condvar::new()).collect();
        let state = State { queues, passed: begin, sending: false, ended: false, draining: false };
        Arc::new(Self { state: Mutex::new(state), room: Condvar::new(), ready, most, patience, ledger, budget, status })
    }

    /// The way into the queues; dropped, it ends them.
    pub fn sender(self: &Arc<Self>) -> Sinks {
        Sinks(self.clone())
    }

    /// The queue of a sink; dropped, the sender learns that nobody reads it.
    pub fn reader(self: &Arc<Self>, index: usize) -> Reader {
        Reader { hub: self.clone(), index }
    }

    // a panic elsewhere leaves no queue half changed
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(on: &Condvar, state: MutexGuard<'a, State>, most: Option<Duration>) -> MutexGuard<'a, State> {
        match most {
            Some(most) => on.wait_timeout(state, most).unwrap_or_else(PoisonError::into_inner).0,
            None => on.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn send(&self, item: &Arc<Item>) -> bool {
        let mut state = self.state();
        // a sink joins between two items
        while let Some(most) = state.pause(Instant::now()) {
            state = Self::wait(&self.room, state, most);
        }
        state.passed.set(item.lane().clone(), item.offset().clone());
        state.queues.iter_mut().for_each(|queue| queue.due = queue.attached);
        state.sending = true;
        loop {
            for (queue, ready) in state.queues.iter_mut().zip(&self.ready).filter(|(queue, _)| queue.due) {
                if queue.gone {
                    return false;
                }
                if queue.items.len() < self.most {
                    queue.items.push_back(item.clone());
                    queue.due = false;
                    ready.notify_one();
                }
            }
            if state.queues.iter().all(|queue| !queue.due) {
                state.sending = false;
                return true;
            }
            let begin = Instant::now();
            let may_leave = |queue: &Queue| queue.due && queue.may_leave;
            let patience = state.queues.iter().filter(|queue| may_leave(queue)).map(|queue| self.patience.saturating_sub(queue.held)).min();
            // the only one is waited for without a bound: one that joins wakes the sender
            let patience = patience.filter(|_| state.attached() > 1).map(|patience| patience.max(Duration::from_millis(1)));
            state = Self::wait(&self.room, state, patience);
            let waited = begin.elapsed();
            if state.attached() > 1 {
                state.queues.iter_mut().filter(|queue| queue.due).for_each(|queue| queue.held += waited);
            }
            self.part_with_the_slow(&mut state, |queue| queue.due && queue.items.len() >= self.most);
        }
    }

    /// Lets sinks go that have held the others too long, and still do.
    fn part_with_the_slow(&self, state: &mut State, holds: impl Fn(&Queue) -> bool) {
        for index in 0..state.queues.len() {
            let alone = state.attached() <= 1;
            let Some(queue) = state.queues.get_mut(index) else { continue };
            if !alone && queue.attached && queue.may_leave && queue.held >= self.patience && holds(queue) {
                queue.leave();
                // its thread may be stuck in a call, and tells nothing
                departs(&self.status, index, &format!("it held the others back for more than {:?}", self.patience));
                self.wake(index);
            }
        }
    }

    fn wake(&self, index: usize) {
        if let Some(ready) = self.ready.get(index) {
            ready.notify_one();
        }
    }

    /// Lets sinks go that are to wait, and that hold the others back by the memory of their batches: `waited` has passed since the last
    /// call.
    pub fn look(&self, waited: Duration) {
        let mut state = self.state();
        for (index, (queue, sink)) in state.queues.iter_mut().zip(&self.status.sinks).enumerate() {
            if queue.attached && queue.may_leave && sink.apart.is_paused() {
                queue.leave();
                departs(&self.status, index, "it is paused");
                self.wake(index);
                self.room.notify_one();
            }
        }
        if state.sending || !self.budget.is_waited_for() {
            return;
        }
        let holds = |queue: &Queue| queue.attached && (!queue.items.is_empty() || queue.in_hand.strong_count() > 0);
        state.queues.iter_mut().filter(|queue| holds(queue)).for_each(|queue| queue.held += waited);
        self.part_with_the_slow(&mut state, holds);
    }

    /// Where the stream is.
    pub fn passed(&self) -> Frontier {
        self.state().passed.clone()
    }

    /// Makes the stream wait between two items, so that a sink can come to the same place.
    pub fn hold(&self, index: usize) {
        if let Some(queue) = self.state().queues.get_mut(index) {
            queue.waited_for = Some(Instant::now() + JOIN_HOLD);
        }
    }

    /// The stream goes on.
    pub fn release(&self, index: usize) {
        if let Some(queue) = self.state().queues.get_mut(index) {
            queue.waited_for = None;
        }
        self.room.notify_one();
    }

    /// Attaches a sink, if it has everything that the stream has passed: it gets what comes next, and passes over what it has of it.
    /// `false`: it has not, or nothing comes next.
    pub fn attach(&self, index: usize, own: &Frontier) -> bool {
        let mut state = self.state();
        if state.ended || state.draining || !covers(&*self.ledger, own, &state.passed) {
            return false;
        }
        if let Some(queue) = state.queues.get_mut(index) {
            *queue = Queue { attached: true, may_leave: queue.may_leave, ..Queue::default() };
        }
        // here, since it may leave again before its thread runs
        if let Some(sink) = self.status.sinks.get(index) {
            sink.apart.stand(Standing::Together);
        }
        drop(state);
        self.room.notify_one();
        true
    }

    /// The run ends.
    pub fn drain(&self) {
        self.state().draining = true;
        self.room.notify_one();
    }

    /// Whether a sink is apart that has not ended.
    pub fn is_one_apart(&self) -> bool {
        self.state().queues.iter().any(|queue| !queue.attached && !queue.gone)
    }

    /// Whether the stream has ended, or is about to: no sink joins it.
    pub fn is_over(&self) -> bool {
        let state = self.state();
        state.ended || state.draining
    }
}

/// Notes and tells that the others go on without a sink.
pub(super) fn departs(status: &Status, index: usize, reason: &str) {
    let Some(sink) = status.sinks.get(index) else { return };
    sink.apart.because(reason);
    sink.apart.departures.add(1);
    sink.apart.stand(Standing::Apart);
    tracing::warn!(
        sink = %sink.name,
        reason,
        "the output goes apart: the others go on, and it reads on by itself until it has caught up"
    );
}

/// Whether a place is known to have everything that another one has. Of two that cannot be compared, such as two keys in the copy of a
/// table, that is not known.
pub(super) fn covers(ledger: &dyn Ledger, own: &Frontier, other: &Frontier) -> bool {
    let has = |own: &Offset, other| ledger.covers(own, other).unwrap_or(false);
    other.lanes().all(|(lane, offset)| own.get(lane.name()).is_some_and(|own| has(own, offset)))
}

impl State {
    fn attached(&self) -> usize {
        self.queues.iter().filter(|queue| queue.attached).count()
    }

    /// Whether the stream waits before its next item, and how long at most.
    fn pause(&self, now: Instant) -> Option<Option<Duration>> {
        if self.draining || self.queues.iter().any(|queue| queue.gone && queue.attached) || self.queues.iter().all(|queue| queue.gone) {
            return None;
        }
        // all are apart: the first one that joins wakes the sender
        if self.attached() == 0 {
            return Some(None);
        }
        let until = self.queues.iter().filter_map(|queue| queue.waited_for).max()?;
        (until > now).then(|| Some(until - now))
    }
}

impl Queue {
    /// The stream goes on without it. Other memory answers for what it has in hand.
    fn leave(&mut self) {
        let in_hand = self.in_hand.upgrade();
        if let Some(Item::Rows(batch)) = in_hand.as_deref() {
            batch.permit.set_aside();
        }
        *self = Self { may_leave: self.may_leave, gone: self.gone, ..Self::default() };
    }
}

/// The way into the queues of all sinks.
pub(super) struct Sinks(Arc<Hub>);

impl Sinks {
    /// Hands an item to every sink; `false` when one has ended (its own error says why).
    pub fn send(&self, item: &Arc<Item>) -> bool {
        self.0.send(item)
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.ready.iter().for_each(Condvar::notify_one);
    }
}

/// The queue of one sink.
pub(super) struct Reader {
    hub: Arc<Hub>,
    index: usize,
}

impl Reader {
    /// What comes next, waiting for it at most `most`; without an end where that is `None`.
    pub fn next(&self, most: Option<Duration>) -> Next {
        let until = most.map(|most| Instant::now() + most);
        let mut state = self.hub.state();
        loop {
            let ended = state.ended;
            let Some(queue) = state.queues.get_mut(self.index) else { return Next::Ended };
            queue.in_hand = Weak::new();
            if !queue.attached {
                return Next::Left;
            }
            if let Some(item) = queue.items.pop_front() {
                queue.in_hand = Arc::downgrade(&item);
                drop(state);
                self.hub.room.notify_one();
                return Next::Item(item);
            }
            queue.held = Duration::ZERO;
            if ended {
                return Next::Ended;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Next::Nothing;
            }
            let Some(ready) = self.hub.ready.get(self.index) else { return Next::Ended };
            state = Hub::wait(ready, state, left);
        }
    }

    /// Leaves the stream, which goes on without this sink. What waits for it is let go.
    pub fn leave(&self) {
        if let Some(queue) = self.hub.state().queues.get_mut(self.index) {
            queue.leave();
        }
        self.hub.room.notify_one();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(queue) = self.hub.state().queues.get_mut(self.index) {
            queue.gone = true;
            queue.items.clear();
        }
        self.hub.room.notify_one();
    }
}

#[cfg(test)]
mod tests;
