//! A slow or failed output goes apart, and catches up exactly, while the others go on.

mod brokers;
mod edits;
mod lanes;
mod servers;

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;
use sluicegate_harness::host::{self, Sluicegate};

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);

/// A program whose standard output nobody reads until [`Self::read`]. Dropped, it is killed.
struct Unread {
    child: Child,
    log: PathBuf,
    out: Arc<Mutex<String>>,
}

impl Unread {
    fn start(host: &Sluicegate) -> Self {
        let log = host.path("log");
        let file = fs::File::create(&log).expect("made");
        let mut command = Command::new(BINARY);
        command.args(["--log-format", "json", "run", "pipeline.yaml"]).current_dir(host.folder());
        let child = command.stdout(Stdio::piped()).stderr(file).spawn().expect("started");
        Self { child, log, out: Arc::default() }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }

    /// Reads from now on.
    fn read(&mut self) {
        let (mut from, out) = (self.child.stdout.take().expect("piped"), self.out.clone());
        thread::spawn(move || {
            let mut part = vec![0; 64 << 10];
            while let Ok(bytes) = from.read(&mut part) {
                if bytes == 0 {
                    return;
                }
                out.lock().expect("nobody panics").push_str(std::str::from_utf8(&part[..bytes]).expect("text"));
            }
        });
    }

    /// The whole records that were read.
    fn records(&self) -> Vec<Value> {
        let out = self.out.lock().expect("nobody panics");
        let whole = out.rfind('\n').map_or("", |end| &out[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    #[track_caller]
    fn until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        sluicegate_harness::until_some(what, PATIENCE, || {
            let ended = self.child.try_wait().expect("waited for");
            assert!(ended.is_none(), "it ended before {what}:\n{}", self.log());
            condition(self).then_some(())
        });
    }

    /// Stops in order.
    #[track_caller]
    fn stop(mut self) -> Vec<Value> {
        let pid = rustix::process::Pid::from_raw(self.child.id() as i32).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
        let ended = sluicegate_harness::until_some("the end", PATIENCE, || self.child.try_wait().expect("waited for"));
        assert!(ended.success(), "{}", self.log());
        self.records()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // gone already where the test has passed
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the output of this name is apart.
fn is_apart(port: u16, pipeline: &str, sink: &str) -> bool {
    host::metric(port, &format!("sluicegate_sink_apart{{pipeline=\"{pipeline}\",sink=\"{sink}\"}}")) == Some(1.0)
}
