//! The memory that batches may take, all together: a semaphore of bytes that cannot deadlock.
//!
//! A batch in flight has a [`Permit`] for its real size, from the source until the last sink has let go of it. Whoever needs more
//! for a batch (a plugin's answer, encoded records) takes a [`Hold`] on it first. The rules that make waiting safe:
//!
//! - The oldest batch in flight never waits: it may overdraw. It can therefore always be delivered, and lets go of its memory.
//! - All others wait, the older ones first, until there is room. Nobody passes over an older one that waits.
//! - What alone is larger than the budget passes alone, since it is then the oldest.
//!
//! So no more is taken than the budget and what one batch may take. Costs a lock and no allocation where nobody waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

/// The budget of a process.
#[derive(Debug)]
pub struct Budget {
    book: Mutex<Book>,
    /// How many wait: read for each batch, without the lock.
    waiting: AtomicUsize,
    /// Times that somebody had to wait.
    waits: AtomicU64,
}

#[derive(Debug)]
struct Book {
    /// Bytes that batches may take.
    most: usize,
    used: usize,
    /// The most that was used at once.
    peak: usize,
    closed: bool,
    /// The number of the next batch.
    next: u64,
    /// Bytes of each batch in flight.
    batches: BTreeMap<u64, usize>,
    /// Batches that other memory answers for: see [`Permit::set_aside`].
    aside: BTreeSet<u64>,
    /// Who waits, by the batch's number and a number of its own.
    waiting: BTreeMap<(u64, u64), Waiter>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    waker: Waker,
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(most: usize) -> Arc<Self> {
        let (batches, aside, waiting) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        let book = Book { most, used: 0, peak: 0, closed: false, next: 0, batches, aside, waiting, tickets: 0 };
        Arc::new(Self { book: Mutex::new(book), waiting: AtomicUsize::new(0), waits: AtomicU64::new(0) })
    }

    /// One that nobody ever waits for.
    pub fn unlimited() -> Arc<Self> {
        Self::new(usize::MAX)
    }

    /// Waits for room for a new batch. A batch that is made later counts as younger.
    pub fn acquire(self: &Arc<Self>, bytes: usize) -> Acquire {
        Acquire { budget: self.clone(), batch: None, bytes, state: State::New }
    }

    /// The same, blocking. Not to be called in a runtime.
    pub fn acquire_blocking(self: &Arc<Self>, bytes: usize) -> Permit {
        Permit(Some(Account { budget: self.clone(), batch: block_on(self.acquire(bytes)) }))
    }

    /// Nobody waits any more: what is under way ends, and nothing more comes.
    pub fn close(&self) {
        let mut book = self.book();
        book.closed = true;
        self.grant(book);
    }

    /// Sets what batches may take. Those in flight keep what they have.
    pub fn resize(&self, most: usize) {
        let mut book = self.book();
        book.most = most;
        self.grant(book);
    }

    /// Bytes that batches may take.
    pub fn most(&self) -> usize {
        self.book().most
    }

    /// Bytes that batches take now.
    pub fn in_flight(&self) -> usize {
        self.book().used
    }

    /// The most that they took at once.
    pub fn peak(&self) -> usize {
        self.book().peak
    }

    /// How often somebody had to wait.
    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Whether somebody waits: then sinks commit, whatever their interval, if that frees memory.
    pub fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    // a panic elsewhere leaves no entry half done
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets those go on, the oldest first, for whom there is room now.
    fn grant(&self, mut book: MutexGuard<'_, Book>) {
        let mut wakers = Vec::new();
        // those that were set aside have the way free, whoever else waits
        let aside = |book: &Book| book.waiting.iter().find(|((batch, _), _)| book.aside.contains(batch)).map(|(key, w)| (*key, w.bytes));
        let next = |book: &Book| {
            book.waiting.first_key_value().map(|(key, w)| (*key, w.bytes)).filter(|((batch, _), bytes)| book.may(*batch, *bytes))
        };
        while let Some(((batch, ticket), bytes)) = aside(&book).or_else(|| next(&book)) {
            book.take(batch, bytes);
            wakers.extend(book.waiting.remove(&(batch, ticket)).map(|waiter| waiter.waker));
        }
        self.waiting.store(book.waiting.len(), Ordering::Relaxed);
        drop(book);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Gives back `bytes` of a batch, or all of it and its place.
    fn release(&self, batch: u64, bytes: Option<usize>) {
        let mut book = self.book();
        let freed = match bytes {
            None => {
                book.aside.remove(&batch);
                book.batches.remove(&batch).unwrap_or_default()
            }
            // a batch that is gone has given back everything
            Some(bytes) => match book.batches.get_mut(&batch) {
                Some(held) => {
                    let freed = bytes.min(*held);
                    *held -= freed;
                    freed
                }
                None => 0,
            },
        };
        book.used -= freed;
        self.grant(book);
    }
}

impl Book {
    /// Whether a batch may take so much more now.
    fn may(&self, batch: u64, bytes: usize) -> bool {
        let oldest = self.batches.first_key_value().is_none_or(|(oldest, _)| *oldest >= batch);
        self.closed || oldest || self.aside.contains(&batch) || self.used.saturating_add(bytes) <= self.most
    }

    fn take(&mut self, batch: u64, bytes: usize) {
        if self.aside.contains(&batch) {
            return;
        }
        *self.batches.entry(batch).or_default() += bytes;
        self.used += bytes;
        self.peak = self.peak.max(self.used);
    }
}

/// Waits for room. Dropped before it is done, it takes nothing.
#[derive(Debug)]
pub struct Acquire {
    budget: Arc<Budget>,
    /// The batch that needs more; `None` = a new one.
    batch: Option<u64>,
    bytes: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    New,
    Waiting(u64, u64),
    Done,
}

impl Acquire {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<u64> {
        let mut book = self.budget.book();
        match self.state {
            State::New => {
                let batch = self.batch.unwrap_or(book.next);
                if self.batch.is_none() {
                    book.next += 1;
                }
                let first = book.waiting.first_key_value().is_none_or(|((waits, _), _)| *waits > batch) || book.aside.contains(&batch);
                if first && book.may(batch, self.bytes) {
                    book.take(batch, self.bytes);
                    self.state = State::Done;
                    return Poll::Ready(batch);
                }
                let ticket = book.tickets;
                book.tickets += 1;
                book.waiting.insert((batch, ticket), Waiter { bytes: self.bytes, waker: context.waker().clone() });
                self.budget.waiting.store(book.waiting.len(), Ordering::Relaxed);
                self.budget.waits.fetch_add(1, Ordering::Relaxed);
                self.state = State::Waiting(batch, ticket);
                Poll::Pending
            }
            State::Waiting(batch, ticket) => match book.waiting.get_mut(&(batch, ticket)) {
                Some(waiter) => {
                    waiter.waker.clone_from(context.waker());
                    Poll::Pending
                }
                None => {
                    self.state = State::Done;
                    Poll::Ready(batch)
                }
            },
            State::Done => Poll::Pending,
        }
    }
}

impl Future for Acquire {
    /// The number of the batch.
    type Output = u64;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<u64> {
        self.get_mut().poll_batch(context)
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let State::Waiting(batch, ticket) = self.state else { return };
        let mut book = self.budget.book();
        match book.waiting.remove(&(batch, ticket)) {
            Some(_) => self.budget.grant(book),
            // granted, and nobody takes it
            None => {
                drop(book);
                self.budget.release(batch, self.batch.map(|_| self.bytes));
            }
        }
    }
}

/// The memory of one batch. Dropped, it is given back, with all holds on it. A copy of a batch has none: whoever copies one
/// answers for it.
#[derive(Debug, Default)]
pub struct Permit(Option<Account>);

#[derive(Debug)]
struct Account {
    budget: Arc<Budget>,
    batch: u64,
}

impl Clone for Permit {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl Permit {
    /// The permit for what [`Budget::acquire`] has waited for.
    pub fn of(budget: &Arc<Budget>, batch: u64) -> Self {
        Self(Some(Account { budget: budget.clone(), batch }))
    }

    /// Waits, blocking, until the batch may take so many bytes more. Not to be called in a runtime.
    pub fn hold(&self, bytes: usize) -> Hold<'_> {
        if let Some(Account { budget, batch }) = self.0.as_ref() {
            block_on(Acquire { budget: budget.clone(), batch: Some(*batch), bytes, state: State::New });
        }
        Hold { permit: self, bytes }
    }

    /// The batch has just been measured: it takes so many bytes, which were counted before.
    pub fn measured(&self, bytes: usize) {
        let Some(Account { budget, batch }) = &self.0 else { return };
        let mut book = budget.book();
        if book.aside.contains(batch) {
            return;
        }
        let before = book.batches.insert(*batch, bytes).unwrap_or_default();
        book.used = book.used - before + bytes;
        book.peak = book.peak.max(book.used);
        budget.grant(book);
    }
}

impl Permit {
    /// Other memory answers for the batch from now on, whatever it still takes: a sink that holds it has gone apart, and those that go
    /// on do not wait for it.
    pub fn set_aside(&self) {
        let Some(Account { budget, batch }) = &self.0 else { return };
        let mut book = budget.book();
        if let Some(bytes) = book.batches.remove(batch) {
            book.used -= bytes;
            book.aside.insert(*batch);
        }
        budget.grant(book);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.release(self.batch, None);
    }
}

/// More memory for a batch, for a while. Dropped, it is given back.
#[derive(Debug)]
pub struct Hold<'a> {
    permit: &'a Permit,
    bytes: usize,
}

impl Hold<'_> {
    /// Leaves so many bytes of it to the batch, until that is measured or gone.
    pub fn keep(mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        if let Some(Account { budget, batch }) = self.permit.0.as_ref().filter(|_| self.bytes > 0) {
            budget.release(*batch, Some(self.bytes));
        }
    }
}

/// Wakes a thread.
struct Parked(thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(acquire: Acquire) -> u64 {
    let mut acquire = pin!(acquire);
    // mostly nobody waits, and then nothing is allocated
    if let Poll::Ready(batch) = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return batch;
    }
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    loop {
        match acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(batch) => return batch,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests;
