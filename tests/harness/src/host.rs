//! The program under test, as a process of its own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{wait::until_some, watchdog::Watchdog};

/// A pipeline file in a folder of its own, and the program that runs it. The folder is the working folder, so that relative
/// paths of the pipeline end up there; it goes with this value.
pub struct Sluicegate {
    binary: PathBuf,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Sluicegate {
    /// `binary` is `env!("CARGO_BIN_EXE_sluicegate")`; `pipeline` the text of `pipeline.yaml`.
    pub fn new(binary: impl Into<PathBuf>, pipeline: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sluicegate-test-").tempdir().expect("a temporary folder can be made");
        let this = Self { binary: binary.into(), folder, environment: Vec::new() };
        this.write_pipeline(pipeline);
        this
    }

    /// Sets an environment variable of the program.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The working folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the pipeline file, for the next [`Sluicegate::spawn`].
    pub fn write_pipeline(&self, pipeline: &str) {
        std::fs::write(self.path("pipeline.yaml"), pipeline).expect("the temporary folder can be written");
    }

    /// `sluicegate --log-format json run pipeline.yaml`.
    pub fn spawn(&self) -> Process {
        self.spawn_with(&["--log-format", "json", "run", "pipeline.yaml"])
    }

    /// With these arguments.
    pub fn spawn_with(&self, arguments: &[&str]) -> Process {
        let mut child = Command::new(&self.binary)
            .args(arguments)
            .current_dir(self.folder())
            .envs(self.environment.iter().map(|(n, v)| (n, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{} cannot be started: {error}", self.binary.display()));
        let watchdog = Watchdog::over_process(child.id());
        let (stdout, stderr) = (Lines::default(), Lines::default());
        let readers =
            [stdout.follow(child.stdout.take().expect("stdout is piped")), stderr.follow(child.stderr.take().expect("stderr is piped"))];
        Process { child, watchdog: Some(watchdog), stdout, stderr, readers: readers.into() }
    }

    /// Runs to the end with these arguments; panics when that takes longer than `deadline`.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], deadline: Duration) -> Ended {
        self.spawn_with(arguments).wait(deadline)
    }
}

/// A running program. Dropped, it is killed.
pub struct Process {
    child: Child,
    watchdog: Option<Watchdog>,
    stdout: Lines,
    stderr: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// How a program ended and what it wrote.
#[derive(Debug)]
pub struct Ended {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error: logs and the error message.
    pub stderr: String,
}

impl Process {
    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// The JSON log lines so far; other lines are left out.
    pub fn log(&self) -> Vec<Value> {
        self.stderr.0.lock().expect("the reader does not panic").iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for the first line of standard error that contains `text`; panics, with all it wrote, when the program ends
    /// or the deadline passes without it.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str, deadline: Duration) -> String {
        self.wait_for(&format!("a line with {text:?}"), deadline, |process| {
            process.stderr.0.lock().expect("the reader does not panic").iter().find(|line| line.contains(text)).cloned()
        })
    }

    /// Waits until `look` finds something; panics, with all it wrote, when the program ends or the deadline passes without it.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, deadline: Duration, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let end = std::time::Instant::now() + deadline;
        until_some(what, deadline + Duration::from_secs(5), || {
            let running = self.is_running();
            let found = look(self);
            if found.is_none() && (!running || std::time::Instant::now() > end) {
                if !running {
                    self.finish_reading();
                    if let Some(found) = look(self) {
                        return Some(found);
                    }
                }
                let how = if running { "not in time" } else { "the program ended" };
                panic!("waiting for {what}: {how}; it wrote:\n{}{}", self.stdout(), self.stderr());
            }
            found
        })
    }

    /// The same for a condition.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
        self.wait_for(what, deadline, |_| condition().then_some(()));
    }

    /// Asks it to end.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// kill -9, and waits until it is gone.
    pub fn kill9(mut self) -> Ended {
        self.signal(Signal::KILL);
        self.ended()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a child's id is not 0");
        kill_process(pid, signal).expect("a child that is not waited for can be signalled");
    }

    /// Waits for its end; panics, with all it wrote, when the deadline passes.
    #[track_caller]
    pub fn wait(mut self, deadline: Duration) -> Ended {
        let end = std::time::Instant::now() + deadline;
        until_some("the program's end", deadline + Duration::from_secs(5), || {
            if !self.is_running() {
                return Some(());
            }
            assert!(
                std::time::Instant::now() < end,
                "the program did not end within {deadline:?}; it wrote:\n{}{}",
                self.stdout(),
                self.stderr()
            );
            None
        });
        self.ended()
    }

    fn ended(&mut self) -> Ended {
        let status = self.child.wait().expect("a child can be waited for");
        self.watchdog = None;
        self.finish_reading();
        Ended { status, stdout: self.stdout(), stderr: self.stderr() }
    }

    fn finish_reading(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().expect("the reader does not panic");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // both fail only when it has ended and been waited for
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            self.finish_reading();
            eprintln!("--- the program wrote:\n{}{}---", self.stdout(), self.stderr());
        }
    }
}

/// Lines read so far from one of the program's outputs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn follow(&self, pipe: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n') {
                let Ok(line) = line else { return };
                lines.0.lock().expect("nobody panics holding it").push(String::from_utf8_lossy(&line).into_owned());
            }
        })
    }

    fn text(&self) -> String {
        let lines = self.0.lock().expect("nobody panics holding it");
        lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }
}

/// `GET path` of an HTTP server on 127.0.0.1: status code and body; `None` when it does not answer.
pub fn http_get(port: u16, path: &str) -> Option<(u16, String)> {
    http_request(port, "GET", path, &[], &[])
}

/// Any request; `headers` beside `Host`, `Connection` and `Content-Length`.
pub fn http_request(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
    // a test may lie about it
    let length = ("Content-Length", body.len().to_string());
    let own = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(length.0));
    let length = if own { String::new() } else { format!("{}: {}\r\n", length.0, length.1) };
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{length}{headers}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    // a refused body need not be read to its end
    let _ = stream.write_all(body);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// A metric's value from `/metrics`: `name` with its labels as printed, e.g. `sluicegate_source_changes_total{pipeline="shop"}`.
pub fn metric(port: u16, name: &str) -> Option<f64> {
    let (_, body) = http_get(port, "/metrics")?;
    body.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}
