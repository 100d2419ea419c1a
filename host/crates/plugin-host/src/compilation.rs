//! Compiling within a time. Cranelift cannot be interrupted, so a component is compiled on a thread of its own; one that
//! takes too long is given up, though the thread goes on. One component is compiled at a time: there is never more than one
//! such straggler, and the next component waits for it within its own time.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use wasmtime::component::Component;

use sluicegate_model::{Error, ErrorKind, Result};

/// Compilers recurse over what they compile.
const STACK: usize = 8 << 20;

/// The place at the compiler, one for each engine.
#[derive(Clone, Default)]
pub(super) struct Place(Arc<(Mutex<bool>, Condvar)>);

impl Place {
    /// Compiles `bytes` within `time`. The inner error is the compiler's.
    pub fn compile(&self, engine: &wasmtime::Engine, bytes: Vec<u8>, time: Duration) -> Result<wasmtime::Result<Component>> {
        let deadline = Instant::now() + time;
        let taken = self.take(deadline, time)?;
        let engine = engine.clone();
        let (answer, compiled) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("compile".into())
            .stack_size(STACK)
            .spawn(move || {
                let result = Component::from_binary(&engine, &bytes);
                drop(bytes);
                give_back();
                drop(taken);
                // nobody waits any more when it took too long
                let _ = answer.send(result);
            })
            .map_err(|e| Error::new(ErrorKind::Internal, "the thread that compiles plugins cannot be started").caused_by(e))?;
        match compiled.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(result) => Ok(result),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(Error::new(ErrorKind::Precheck, format!("the component was not compiled within {} ms", time.as_millis()))
                    .remedy("make it smaller (release build, fewer dependencies) or raise limits.plugin_compile"))
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(Error::new(ErrorKind::Precheck, "the compiler failed on the component").remedy("build the component again"))
            }
        }
    }

    fn take(&self, deadline: Instant, time: Duration) -> Result<Taken> {
        let (taken, freed) = &*self.0;
        let mut guard = taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *guard {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = format!("an earlier component was still being compiled after {} ms", time.as_millis());
                return Err(Error::new(ErrorKind::Precheck, what).remedy("wait and try again, or raise limits.plugin_compile"));
            }
            guard = freed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *guard = true;
        Ok(Taken(self.clone()))
    }
}

/// Returns the compiler's memory to the system. A compilation takes many times what stays of it, on threads that allocate
/// nothing later: without this, the GNU allocator keeps it for them.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: takes a number, locks the allocator's own structures as `malloc` does, and touches only memory that is free.
    #[allow(unsafe_code, reason = "the one call of the C library that has no safe form")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Gives the place back when it is dropped, also by a panic of the compiler.
struct Taken(Place);

impl Drop for Taken {
    fn drop(&mut self) {
        let (taken, freed) = &*self.0.0;
        *taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        freed.notify_one();
    }
}
