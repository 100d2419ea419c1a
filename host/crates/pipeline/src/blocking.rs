//! Work that blocks (compiling, files, SQLite, a library that waits for the network) on threads of its own: meanwhile the
//! runtime hears signals and answers HTTP.

use std::thread;

use tokio::sync::oneshot;

use sluicegate_model::{Error, ErrorKind, Result};

/// Does `work` on a thread of its own. Whoever stops waiting for it leaves it to itself: what it answers is then dropped there.
/// Not one of the runtime's own threads, since a runtime waits for those when it ends.
pub(super) async fn blocking<T: Send + 'static>(name: &str, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let (answer, answered) = oneshot::channel();
    thread::Builder::new()
        .name(name.chars().take(15).collect())
        .spawn(move || {
            // nobody waits any more when the pipeline was stopped
            let _ = answer.send(work());
        })
        .map_err(|e| Error::new(ErrorKind::Internal, format!("the thread {name} cannot be started")).caused_by(e))?;
    answered.await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Internal, format!("the thread {name} panicked"))
            .remedy("this is a fault of this program: please report it with the log"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_runtime_goes_on_while_work_blocks() {
        let (send, receive) = std::sync::mpsc::channel();
        let blocked = blocking("test", move || receive.recv().map_err(|e| Error::new(ErrorKind::Internal, "nothing came").caused_by(e)));
        // on the runtime's only thread: nothing would ever be sent if the work stood there
        let (received, ()) = tokio::join!(blocked, async { send.send(7).unwrap() });
        assert_eq!(received.unwrap(), 7);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_panic_is_an_error() {
        let error = blocking::<()>("test", || panic!("on purpose")).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "the thread test panicked"));
    }
}
