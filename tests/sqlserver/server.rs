//! A database of its own for each test, and pipelines that read it.

use std::{
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use sluicegate_harness::{
    files,
    host::{Process, Sluicegate},
};
use sluicegate_mssql_simulator::Simulator;
use sluicegate_state::Checkpoint;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::{net::TcpStream, runtime::Runtime};
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

pub const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the tests' server is.
struct Place {
    host: String,
    port: u16,
    user: String,
    password: String,
}

static REAL: LazyLock<Option<Place>> = LazyLock::new(|| {
    let text = std::env::var("SLUICEGATE_TEST_MSSQL").ok()?;
    let parts: Vec<&str> = text.splitn(3, ',').collect();
    let [address, user, password] = parts.as_slice() else { panic!("SLUICEGATE_TEST_MSSQL is host:port,user,password") };
    let (host, port) = address.rsplit_once(':').expect("host:port");
    let port = port.parse().expect("a port");
    Some(Place { host: host.to_owned(), port, user: (*user).to_owned(), password: (*password).to_owned() })
});

static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// A database with Change Tracking, and a session in it.
pub struct Database {
    pub name: String,
    place: Place,
    simulator: Option<Simulator>,
    runtime: Runtime,
    /// `None` where statements are run on the side of the simulator.
    client: Option<Client<Compat<TcpStream>>>,
}

/// A name that no other test has, of this run or another one, on this machine or another one.
fn unique_name() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos();
    format!("sluicegate_{since:x}_{}_{}", std::process::id(), DATABASES.fetch_add(1, Ordering::Relaxed))
}

impl Database {
    /// With SNAPSHOT isolation.
    pub fn new() -> Self {
        Self::with("ALTER DATABASE {name} SET ALLOW_SNAPSHOT_ISOLATION ON")
    }

    /// Without it.
    pub fn without_snapshot() -> Self {
        Self::with("")
    }

    /// Of a simulator that takes nothing in clear, with one of the certificates of [`Simulator::secured`].
    pub fn secured(certificate: &str) -> Self {
        let simulator = Simulator::secured(certificate, true);
        let place = Place { host: "127.0.0.1".into(), port: simulator.port(), user: "sa".into(), password: Simulator::PASSWORD.into() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let name = unique_name();
        for text in ["CREATE DATABASE {name}", "ALTER DATABASE {name} SET CHANGE_TRACKING = ON"] {
            simulator.run("master", &text.replace("{name}", &name)).expect("a database");
        }
        Self { name, place, simulator: Some(simulator), runtime, client: None }
    }

    fn with(settings: &str) -> Self {
        let simulator = REAL.is_none().then(Simulator::start);
        let place = match (&*REAL, &simulator) {
            (Some(real), _) => Place { host: real.host.clone(), port: real.port, user: real.user.clone(), password: real.password.clone() },
            (None, Some(simulator)) => {
                Place { host: "127.0.0.1".into(), port: simulator.port(), user: "sa".into(), password: Simulator::PASSWORD.into() }
            }
            (None, None) => unreachable!("one of them"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let name = unique_name();
        let mut database = Self { name: name.clone(), place, simulator, runtime, client: None };
        database.connect("master");
        database.sql(&format!("CREATE DATABASE {name}"));
        database.sql(&format!("ALTER DATABASE {name} SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 7 DAYS, AUTO_CLEANUP = ON)"));
        if !settings.is_empty() {
            database.sql(&settings.replace("{name}", &name));
        }
        database.connect(&name);
        database
    }

    /// Connects the session anew.
    pub fn connect(&mut self, database: &str) {
        let mut config = Config::new();
        config.host(&self.place.host);
        config.port(self.place.port);
        config.database(database);
        config.authentication(AuthMethod::sql_server(&self.place.user, &self.place.password));
        config.encryption(if self.simulator.is_some() { EncryptionLevel::NotSupported } else { EncryptionLevel::Required });
        config.trust_cert();
        let client = self.runtime.block_on(async {
            let stream = TcpStream::connect((self.place.host.as_str(), self.place.port)).await.expect("the server listens");
            Client::connect(config, stream.compat_write()).await.expect("the login works")
        });
        self.client = Some(client);
    }

    /// Connects the session anew if it was broken off.
    pub fn connect_if_broken(&mut self) {
        let client = self.client.as_mut().expect("connected");
        let answered = self.runtime.block_on(async { client.simple_query("SELECT 1").await?.into_results().await.map(drop) });
        if answered.is_err() {
            let name = self.name.clone();
            self.connect(&name);
        }
    }

    /// Runs a batch.
    #[track_caller]
    pub fn sql(&mut self, text: &str) {
        let Some(client) = self.client.as_mut() else {
            let simulator = self.simulator.as_ref().expect("a simulator");
            simulator.run(&self.name, text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
            return;
        };
        let outcome = self.runtime.block_on(async { client.simple_query(text).await?.into_results().await });
        if let Err(error) = outcome {
            panic!("{error}\n{text}");
        }
    }

    /// A table `dbo.NAME` with these columns, tracked.
    #[track_caller]
    pub fn table(&mut self, name: &str, columns: &str) {
        self.sql(&format!("CREATE TABLE dbo.{name} ({columns})"));
        self.sql(&format!("ALTER TABLE dbo.{name} ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)"));
    }

    /// The rows of a query whose columns are texts.
    #[track_caller]
    pub fn texts(&mut self, query: &str) -> Vec<Vec<Option<String>>> {
        let client = self.client.as_mut().expect("connected");
        let rows = self.runtime.block_on(async { client.simple_query(query).await?.into_first_result().await });
        let rows = rows.unwrap_or_else(|error| panic!("{error}\n{query}"));
        let text = |row: &tiberius::Row, at: usize| row.try_get::<&str, _>(at).expect("a text").map(str::to_owned);
        rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect()
    }

    /// The simulator; `None` where a real server is asked, which cannot be made to misbehave.
    pub fn simulator(&self) -> Option<&Simulator> {
        self.simulator.as_ref()
    }

    /// A pipeline that writes flat records of this database into `out`; `settings` are further ones of the source, each on a line of its own.
    pub fn pipeline(&self, settings: &[&str]) -> Sluicegate {
        self.pipeline_with(settings, "{ type: file, format: flat, folder: out, prefix: t }", "")
    }

    /// With these sinks and further limits.
    pub fn pipeline_with(&self, settings: &[&str], sinks: &str, limits: &str) -> Sluicegate {
        Sluicegate::new(BINARY, &self.text(settings, sinks, limits)).env("MSSQL_PASSWORD", &self.place.password)
    }

    /// The text of the pipeline file.
    pub fn text(&self, settings: &[&str], sinks: &str, limits: &str) -> String {
        let Place { host, port, user, .. } = &self.place;
        let tls = if self.simulator.is_some() { "disabled" } else { "required" };
        let own = |name: &str| settings.iter().any(|line| line.trim_start().starts_with(&format!("{name}:")));
        let interval = if own("interval") { "" } else { "\n  interval: 20ms" };
        let database = if own("databases") { String::new() } else { format!("\n  database: {}", self.name) };
        let tls = if own("tls") { String::new() } else { format!("\n  tls: {tls}") };
        let settings: String = settings.iter().map(|line| format!("\n  {line}")).collect();
        format!(
            "name: t
source:
  type: sqlserver
  host: {host}
  port: {port}{database}
  user: {user}
  password: ${{MSSQL_PASSWORD}}{tls}{interval}{settings}
sinks: [{sinks}]
limits: {{ checkpoint_interval: 20ms, retry_window: 20s{limits} }}
"
        )
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.simulator.is_some() || std::thread::panicking() {
            return;
        }
        self.connect("master");
        let name = self.name.clone();
        self.sql(&format!("ALTER DATABASE {name} SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE {name}"));
    }
}

/// Starts the pipeline and waits until it reads.
pub fn start(host: &Sluicegate) -> Process {
    let mut process = host.spawn();
    process.wait_until("the first place in the checkpoint", PATIENCE, || !lanes(host).is_empty());
    process
}

/// Ends it in order.
#[track_caller]
pub fn stop(process: Process) {
    process.sigterm();
    let ended = process.wait(PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
}

/// Waits for so many records of the sink `t`.
pub fn wait_for(process: &mut Process, host: &Sluicegate, count: usize) {
    let folder = host.path("out");
    process.wait_until(&format!("{count} records"), PATIENCE, || files::count_so_far(&folder, "t") >= count);
}

/// Runs it until it has drained.
#[track_caller]
pub fn drain(host: &Sluicegate) -> String {
    let ended = host.run(&["--log-format", "json", "run", "--until-drained", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    ended.stderr
}

/// The places of all lanes in the checkpoint, by lane; the latest sink counts.
pub fn lanes(host: &Sluicegate) -> BTreeMap<String, Value> {
    // not there yet, or being made
    let Ok(progress) = Checkpoint::look(&host.path("sluicegate-state/t.db"), "t") else { return BTreeMap::new() };
    let lanes = progress.iter().flat_map(|(_, progress)| progress.frontier.lanes());
    lanes.map(|(lane, offset)| (lane.name().to_owned(), serde_json::from_str(&offset.to_json()).expect("JSON"))).collect()
}

/// What was written, in order.
pub fn records(host: &Sluicegate) -> Vec<Value> {
    files::records(&host.path("out"), "t")
}

/// Operation, and the columns of the record in short.
pub fn short(records: &[Value]) -> Vec<String> {
    let row = |record: &Value| {
        let members = record.as_object().expect("an object");
        let columns = members.iter().filter(|(name, _)| !name.starts_with('_'));
        let columns: Vec<String> = columns.map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {}", members["_op"].as_str().expect("an operation"), columns.join(" "))
    };
    records.iter().map(row).collect()
}

/// The rows that a consumer of the records has at the end, by the values of `key`.
pub fn replay(records: &[Value], table: &str, key: &[&str]) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for record in records.iter().filter(|record| record["_table"] == table) {
        let of_key: Vec<String> = key.iter().map(|name| record[*name].to_string()).collect();
        match record["_op"].as_str() {
            Some("t") => rows.clear(),
            Some("d") => drop(rows.remove(&of_key.join(","))),
            _ => {
                let columns = record.as_object().expect("an object").iter().filter(|(name, _)| !name.starts_with('_'));
                let row = columns.map(|(name, value)| (name.clone(), value.clone())).collect();
                rows.insert(of_key.join(","), Value::Object(row));
            }
        }
    }
    rows
}
