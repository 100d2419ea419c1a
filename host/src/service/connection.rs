//! Connections to the HTTP address: only so many at a time, each for so long.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
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

/// Accepts only so many connections at a time, each for so long: a client that sends nothing keeps its slot for that time.
pub(super) struct BoundedListener {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    time: Duration,
}

impl BoundedListener {
    /// At most `connections` at a time, each for `time`.
    pub fn new(listener: TcpListener, connections: usize, time: Duration) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(connections)), time }
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // the semaphore is never closed; without a slot the connection is served unbounded rather than never
        let slot = self.slots.clone().acquire_owned().await.ok();
        // axum's own listener waits out errors such as too many open files
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let end = Box::pin(tokio::time::sleep(self.time));
        (BoundedStream { stream, end, time: self.time, clock: Clock::default(), _slot: slot }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after its time.
pub(super) struct BoundedStream {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
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
        if self.is_over(cx) { over() } else { Pin::new(&mut self.stream).poll_read(cx, buf) }
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_over(cx) { over() } else { Pin::new(&mut self.stream).poll_write(cx, buf) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
