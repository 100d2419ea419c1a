//! A queue from the thread that reads a dump to the task that takes its events.
//!
//! Events are many and small, so handing one over may cost little: the taking end takes all that is there at once, and is woken
//! only when it has found nothing. Both what waits and what was taken at once are within `DUMP_QUEUE_EVENTS` and
//! `DUMP_QUEUE_BYTES`; a larger event is alone in the queue, and the thread reads on only when it has been dealt with.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use sluicegate_model::limits::{DUMP_QUEUE_BYTES, DUMP_QUEUE_EVENTS};

/// The thread's end. Dropped, it ends the queue behind what is in it.
pub struct Sender<T>(Arc<Shared<T>>);

/// The task's end. Dropped, it sends the thread away.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    /// What was taken, and is given out one by one.
    batch: VecDeque<T>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// For the thread: there is room again.
    room: Condvar,
}

struct State<T> {
    events: VecDeque<T>,
    /// Bytes of these.
    bytes: usize,
    /// Bytes that were taken and not all dealt with yet.
    taken: usize,
    /// Of the task that has found nothing.
    waker: Option<Waker>,
    /// Whether the thread waits for room: waking it costs a system call.
    waiting: bool,
    ended: bool,
    abandoned: bool,
}

/// An empty queue.
pub fn new<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { events: VecDeque::new(), bytes: 0, taken: 0, waker: None, waiting: false, ended: false, abandoned: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), room: Condvar::new() });
    (Sender(shared.clone()), Receiver { shared, batch: VecDeque::new() })
}

impl<T> Shared<T> {
    /// Nothing panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while<'a>(&'a self, state: MutexGuard<'a, State<T>>, full: impl Fn(&State<T>) -> bool) -> MutexGuard<'a, State<T>> {
        let full = |state: &mut State<T>| {
            state.waiting = !state.abandoned && full(state);
            state.waiting
        };
        self.room.wait_while(state, full).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Waits for room for an event of so many bytes and hands it over; false when nobody takes it any more.
    pub fn send(&self, event: T, size: usize) -> bool {
        let large = size > DUMP_QUEUE_BYTES;
        let full = |state: &State<T>| {
            let held = state.bytes + if large { state.taken } else { 0 };
            (held > 0 && held + size > DUMP_QUEUE_BYTES) || state.events.len() >= DUMP_QUEUE_EVENTS
        };
        let mut state = self.0.wait_while(self.0.lock(), full);
        state.bytes += size;
        state.events.push_back(event);
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
            state = self.0.lock();
        }
        if large {
            state = self.0.wait_while(state, |state| state.bytes + state.taken > 0);
        }
        !state.abandoned
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next event; `None` at the end. Whoever asks has dealt with the one before.
    pub fn poll_next(&mut self, context: &Context<'_>) -> Poll<Option<T>> {
        if self.batch.is_empty() {
            let mut state = self.shared.lock();
            std::mem::swap(&mut self.batch, &mut state.events);
            state.taken = std::mem::take(&mut state.bytes);
            if self.batch.is_empty() && !state.ended {
                state.waker = Some(context.waker().clone());
            }
            let (ended, waiting) = (state.ended, state.waiting);
            drop(state);
            if waiting {
                self.shared.room.notify_one();
            }
            if self.batch.is_empty() && !ended {
                return Poll::Pending;
            }
        }
        Poll::Ready(self.batch.pop_front())
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.lock().abandoned = true;
        self.shared.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::runtime::Runtime;

    use super::*;

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    async fn next<T>(receiver: &mut Receiver<T>) -> Option<T> {
        poll_fn(|context| receiver.poll_next(context)).await
    }

    /// An event that counts itself while it is somewhere.
    struct Counted(usize, usize, Arc<AtomicUsize>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.2.fetch_sub(self.1, Ordering::SeqCst);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn events_come_in_order_and_no_more_of_them_are_held_than_the_bounds_say(
            sizes in prop::collection::vec(prop_oneof![9 => 0..2000_usize, 1 => 0..3 * DUMP_QUEUE_BYTES], 0..1500)
        ) {
            let held = Arc::new(AtomicUsize::new(0));
            let (sender, mut receiver) = new();
            let (count, counter) = (sizes.len(), held.clone());
            let largest = sizes.iter().copied().max().unwrap_or(0);
            let thread = thread::spawn(move || {
                for (number, size) in sizes.into_iter().enumerate() {
                    counter.fetch_add(size, Ordering::SeqCst);
                    assert!(sender.send(Counted(number, size, counter.clone()), size));
                }
            });
            runtime().block_on(async {
                for number in 0..count {
                    let event = next(&mut receiver).await.unwrap();
                    assert_eq!(event.0, number);
                    let around = held.load(Ordering::SeqCst);
                    // what waits, what was taken, and one that the thread holds
                    assert!(around <= 2 * DUMP_QUEUE_BYTES + largest, "{around}");
                    if event.1 > DUMP_QUEUE_BYTES {
                        assert_eq!(around, event.1, "a large one is alone");
                    }
                }
                assert!(next(&mut receiver).await.is_none());
            });
            thread.join().unwrap();
        }
    }

    #[test]
    fn a_task_that_found_nothing_is_woken_by_the_next_event_and_by_the_end() {
        let (sender, mut receiver) = new();
        runtime().block_on(async {
            assert!(next(&mut receiver).now_or_never().is_none());
            let (asked, begin) = std::sync::mpsc::channel();
            let thread = thread::spawn(move || {
                begin.recv().unwrap();
                assert!(sender.send(7, 1));
                begin.recv().unwrap();
            });
            for expected in [Some(7), None] {
                let mut waiting = Box::pin(next(&mut receiver));
                assert!(waiting.as_mut().now_or_never().is_none());
                asked.send(()).unwrap();
                assert_eq!(tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("woken"), expected);
            }
            thread.join().unwrap();
        });
    }

    #[test]
    fn a_thread_that_waits_for_room_is_sent_away_when_nobody_takes_any_more() {
        for size in [DUMP_QUEUE_BYTES, 2 * DUMP_QUEUE_BYTES] {
            let (sender, receiver) = new();
            let thread = thread::spawn(move || while sender.send((), size) {});
            drop(receiver);
            thread.join().unwrap();
        }
    }
}
