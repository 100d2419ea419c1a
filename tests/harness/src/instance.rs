//! A server's folder, driven by its start script in `tests/servers`.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    os::unix::process::parent_id,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::watchdog::{self, Watchdog};

/// A running server of some kind.
pub(crate) struct Instance {
    script: PathBuf,
    folder: PathBuf,
    options: Vec<String>,
    values: BTreeMap<String, String>,
    // in the order of dropping: the server has ended when its watchdog is told so, and then its folder goes
    own: Option<(Watchdog, TempDir)>,
}

impl Instance {
    /// A server of this test's own.
    pub(crate) fn start(script: &str, options: &[&str]) -> Self {
        let script = script_path(script);
        let folder = tempfile::Builder::new().prefix("sluicegate-server-").tempdir().expect("a temporary folder can be made");
        let watchdog = Watchdog::over_server(&script, folder.path());
        let options: Vec<String> = options.iter().map(|s| (*s).to_owned()).collect();
        let values = run_start(&script, folder.path(), &options);
        Self { folder: folder.path().to_owned(), script, options, values, own: Some((watchdog, folder)) }
    }

    /// This test run's shared server. The run is known by the process that runs the tests: our parent.
    pub(crate) fn shared(script: &str) -> Self {
        let owner = parent_id();
        let folder = env::temp_dir().join(format!("sluicegate-run-{owner}")).join(script.trim_end_matches(".sh"));
        let script = script_path(script);
        fs::create_dir_all(&folder).expect("the run's folder can be made");
        let lock = File::create(folder.join("lock")).expect("the lock file can be made");
        lock.lock().expect("the lock file can be locked");
        let (ready, server) = (folder.join("ready"), folder.join("server"));
        let mut values = parse(&fs::read_to_string(&ready).unwrap_or_default());
        // a running broker that was given from outside has no PID
        let alive = !values.is_empty() && values.get("PID").is_none_or(|pid| Path::new("/proc").join(pid).exists());
        if !alive {
            watchdog::until_owner_ends(owner, &script, &folder);
            // what a killed predecessor may have left half started
            let _ = run(&script, "kill", &server, &[]);
            let _ = fs::remove_dir_all(&server);
            values = run_start(&script, &server, &[]);
            let text: String = values.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            fs::write(&ready, text).expect("the run's folder can be written");
        }
        Self { script, folder: server, options: Vec::new(), values, own: None }
    }

    /// What the start script told about the server.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.values.get(name).unwrap_or_else(|| panic!("{} does not print {name}", self.script.display()))
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends it in order.
    pub(crate) fn stop(&self) {
        self.end("stop");
    }

    /// kill -9.
    pub(crate) fn kill9(&self) {
        self.end("kill");
    }

    /// Has the script do something with it that ends well, and gives what it printed.
    #[track_caller]
    pub(crate) fn run(&self, verb: &str, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|s| (*s).to_owned()).collect();
        let output = run(&self.script, verb, &self.folder, &arguments);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{verb} {arguments:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
        told
    }

    /// Goes on with the same data, port and options after `stop` or `kill9`.
    pub(crate) fn start_again(&mut self) {
        self.values = run_start(&self.script, &self.folder, &self.options);
    }

    fn end(&self, how: &str) {
        assert!(self.own.is_some(), "the run's shared server must not be ended: start one of the test's own");
        let output = run(&self.script, how, &self.folder, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.own.is_some() {
            let output = run(&self.script, "kill", &self.folder, &[]);
            if !output.status.success() {
                eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            }
        }
    }
}

fn script_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../servers").join(name)
}

fn run(script: &Path, verb: &str, folder: &Path, options: &[String]) -> Output {
    Command::new(script)
        .arg(verb)
        .arg(folder)
        .args(options)
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", script.display()))
}

/// What a script prints about this machine.
pub(crate) fn ask(script: &str, verb: &str) -> BTreeMap<String, String> {
    let script = script_path(script);
    let output = Command::new(&script).arg(verb).output().unwrap_or_else(|error| panic!("{} cannot be run: {error}", script.display()));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn run_start(script: &Path, folder: &Path, options: &[String]) -> BTreeMap<String, String> {
    let output = run(script, "start", folder, options);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
