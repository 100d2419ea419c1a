//! Connections to the HTTP address: only so many at a time, each for so long.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Accepts only so many connections at a time, each for so long. Where all places are taken, the connection that has been idle for the
/// longest gives way: clients that send nothing keep nobody from being answered.
pub(super) struct BoundedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    /// What is open, the oldest first.
    open: VecDeque<Weak<Place>>,
    time: Duration,
}

/// How long a connection waits for a place before it is looked again for one that is idle.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A connection's place.
#[derive(Debug, Default)]
struct Place {
    /// Whether a request is expected, and nothing of it has come.
    idle: AtomicBool,
    /// Cancelled when it has to give way.
    cut: CancellationToken,
}

impl BoundedListener {
    /// At most `connections` at a time, each for `time`.
    pub fn new(listener: TcpListener, connections: usize, time: Duration) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(connections)), open: VecDeque::new(), time }
    }

    fn cut_an_idle_one(&mut self) {
        self.open.retain(|place| place.strong_count() > 0);
        let idle = |place: &Arc<Place>| place.idle.load(Ordering::Acquire) && !place.cut.is_cancelled();
        if let Some(place) = self.open.iter().filter_map(Weak::upgrade).find(idle) {
            place.cut.cancel();
        }
    }

    /// A free slot, if need be that of an idle connection.
    async fn slot(&mut self) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(slot) = self.slots.clone().try_acquire_owned() {
                return Some(slot);
            }
            self.cut_an_idle_one();
            // the semaphore is never closed; without a slot the connection is served unbounded rather than never
            if let Ok(slot) = tokio::time::timeout(LOOK_AGAIN, self.slots.clone().acquire_owned()).await {
                return slot.ok();
            }
        }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // axum's own listener waits out errors such as too many open files
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let slot = self.slot().await;
        self.open.retain(|place| place.strong_count() > 0);
        let place = Arc::new(Place { idle: AtomicBool::new(true), cut: CancellationToken::new() });
        self.open.push_back(Arc::downgrade(&place));
        let (end, cut) = (Box::pin(tokio::time::sleep(self.time)), Box::pin(place.cut.clone().cancelled_owned()));
        (BoundedStream { stream, end, cut, place, time: self.time, clock: Clock::default(), _slot: slot }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after its time, or before when it is idle and its place is needed.
pub(super) struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    place: Arc<Place>,
    time: Duration,
    clock: Clock,
    _slot: Option<OwnedSemaphorePermit>,
}

impl BoundedStream {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        match self.clock.0.load(Ordering::Acquire) {
            STOPPED => return false,
            ANEW => {
                self.clock.0.store(RUNS, Ordering::Release);
                self.end.as_mut().reset(Instant::now() + self.time);
            }
            _ => {}
        }
        self.end.as_mut().poll(cx).is_ready()
    }

    /// Whether it is idle and has to give way. A request that came in the meantime is answered.
    fn gives_way(&mut self, cx: &mut Context<'_>) -> bool {
        // asked in any case: whoever is busy now is woken when it has become idle and is cut
        self.cut.as_mut().poll(cx).is_ready() && self.place.idle.load(Ordering::Acquire)
    }
}

/// The clock runs.
const RUNS: u8 = 0;
/// It stands still.
const STOPPED: u8 = 1;
/// It begins anew with the whole time.
const ANEW: u8 = 2;

/// A connection's clock, for the request that it serves at the moment: HTTP/1 has one at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<AtomicU8>);

impl Clock {
    /// The time stands still until the answer is dropped, and begins anew then: to be used while the work for a request that was
    /// read whole goes on, which has a bound of its own.
    pub fn stop(&self) -> Stopped {
        self.0.store(STOPPED, Ordering::Release);
        Stopped(self.clone())
    }
}

/// A clock that stands still.
pub(super) struct Stopped(Clock);

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.0.store(ANEW, Ordering::Release);
    }
}

impl Connected<IncomingStream<'_, BoundedListener>> for Clock {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        stream.io().clock.clone()
    }
}

fn over<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection's time is over")))
}

impl AsyncRead for BoundedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_over(cx) {
            return over();
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.place.idle.store(buf.filled().len() == before, Ordering::Release);
        } else if self.gives_way(cx) {
            return over();
        }
        read
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) {
            return over();
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        // what was taken may be the end of an answer; the rest of one that the client has no room for is still to be written
        self.place.idle.store(written.is_ready(), Ordering::Release);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
