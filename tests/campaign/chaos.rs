//! What happens to the pipeline, round after round.

mod action;

use std::{
    collections::{BTreeMap, VecDeque},
    env, fs,
    os::unix::process::ExitStatusExt as _,
    thread,
    time::Instant,
};

use action::{ACTIONS, Action};
use rustix::process::Signal;
use serde_json::Value;
use sluicegate_guest_builder as guests;
use sluicegate_harness::{
    database::Server,
    free_port,
    host::{self, Process, Sluicegate},
    kafka::{self, Broker},
    proxy::Proxy,
    within,
};

use super::{
    PATIENCE,
    journal::{Journal, Operation, Step},
    judge::Beginning,
    output::{Output, Place},
    random::Random,
    writer::{DATABASE, FENCE, TABLES, Writers, create_tables, fence},
};

/// Logs of earlier processes that a failure shows.
const LOGS: usize = 4;

pub struct Campaign {
    /// They end before their server does.
    writers: Writers,
    random: Random,
    server: Server,
    broker: Broker,
    to_database: Proxy,
    to_broker: Proxy,
    host: Sluicegate,
    http: u16,
    process: Option<Process>,
    logs: VecDeque<String>,
    outputs: Vec<Output>,
    /// The plugin's.
    version: u32,
    counts: BTreeMap<Action, u64>,
}

impl Campaign {
    /// So many rounds, and the end.
    pub fn run(server: Server, seed: u64, rounds: u64) {
        eprintln!("seed: SLUICEGATE_SEED={seed}");
        let began = Instant::now();
        let mut campaign = Self::start(server, seed);
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}, {} s", began.elapsed().as_secs());
            campaign.round(round);
        }
        campaign.end(rounds, began);
    }

    fn start(server: Server, seed: u64) -> Self {
        guests::build_guests().expect("the guests can be built");
        let (to_database, to_broker) = (Proxy::listen(), Proxy::listen());
        let broker = kafka::start(&[&format!("+PROXY=PLAINTEXT@{}", to_broker.port())]);
        to_database.lead_to(server.port());
        let listener = broker.listener("PROXY").rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        to_broker.lead_to(listener.expect("a port"));
        create_tables(&server);
        let binary = env::var("SLUICEGATE_CAMPAIGN_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sluicegate").to_owned());
        let host = Sluicegate::new(binary, "");
        fs::write(host.path("stamp.wasm"), guests::stamp(1)).expect("written");
        let output = |name, place, apart| Output::new(&broker, host.folder(), name, place, apart);
        let outputs = vec![
            output("main", Place::Topics, false),
            output("files", Place::Files { zstd: false }, false),
            output("away", Place::Topic, true),
            output("archive", Place::Files { zstd: true }, true),
        ];
        let writers = Writers::start(&server, seed);
        let mut campaign = Self {
            random: Random::new(seed),
            server,
            broker,
            to_database,
            to_broker,
            host,
            http: 0,
            process: None,
            logs: VecDeque::new(),
            outputs,
            version: 1,
            writers,
            counts: BTreeMap::new(),
        };
        campaign.spawn();
        campaign
    }

    fn pipeline(&self) -> String {
        let (user, password) = (self.server.user(), self.server.password());
        let (port, brokers) = (self.to_database.port(), format!("127.0.0.1:{}", self.to_broker.port()));
        let outputs: String = self.outputs.iter().filter(|output| output.there).map(|output| output.entry(&brokers)).collect();
        format!(
            "name: campaign
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{DATABASE}.*'], start: earliest, heartbeat: 1s }}
plugins: [{{ name: stamp, file: stamp.wasm }}]
sinks:
{outputs}limits: {{ checkpoint_interval: 50ms, plugin_debounce: 20ms, connect_timeout: 2s, apart_after: 300ms, drain_timeout: 5s }}
http: {{ listen: '127.0.0.1:{}', admin: true }}
cache: {}
",
            self.http,
            guests::repository().join("target/test-compiled").display()
        )
    }

    fn spawn(&mut self) {
        // another one each time: a connection of somebody else's may have the old one by now
        self.http = free_port();
        self.host.write_pipeline(&self.pipeline());
        self.process = Some(self.host.spawn());
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs between two actions")
    }

    fn heard(&mut self, log: String) {
        self.logs.push_back(log);
        if self.logs.len() > LOGS {
            self.logs.pop_front();
        }
    }

    fn kill(&mut self) {
        self.is_running();
        let ended = self.process.take().expect("it runs").kill9();
        self.heard(ended.stderr);
    }

    fn restart(&mut self) {
        self.kill();
        self.spawn();
    }

    /// In order. What cannot be written within `drain_timeout` comes after the next start.
    fn stop(&mut self) {
        self.is_running();
        let process = self.process.take().expect("it runs");
        process.sigterm();
        let ended = process.wait(PATIENCE);
        // one that has just been started does not hear signals yet
        let unheard = ended.status.signal() == Some(Signal::TERM.as_raw());
        assert!(ended.status.success() || unheard, "{}: {}", ended.status, ended.stderr);
        self.heard(ended.stderr);
    }

    #[track_caller]
    fn is_running(&mut self) {
        if !self.process().is_running() {
            let ended = self.process.take().expect("it was started").wait(PATIENCE);
            panic!("the program ended by itself, {}:\n{}", ended.status, ended.stderr);
        }
    }

    fn round(&mut self, round: u64) {
        self.writers.go_on();
        let (mut actions, count) = (ACTIONS, 2 + self.random.below(3));
        self.random.shuffle(&mut actions);
        for action in actions.into_iter().take(count as usize) {
            eprintln!("  {action:?}");
            *self.counts.entry(action).or_default() += 1;
            self.act(action);
            let transactions = self.random.below(60);
            self.writers.wait_for(transactions);
        }
        self.drain(round);
    }

    /// The writers pause, and every output gets what it lacks, and is judged.
    fn drain(&mut self, round: u64) {
        self.let_outputs_go_on();
        self.new_outputs_begin();
        self.writers.pause();
        let key = fence(round);
        self.server.sql(&format!("INSERT INTO {DATABASE}.{FENCE} (id, v) VALUES ({key}, 1)"));
        self.writers.with_journal(|journal| journal.add(key, Step { operation: Operation::Created, version: 1 }));
        let began = Instant::now();
        let (mut records, mut told) = (0, 0);
        // as long as there is progress
        loop {
            let mut missing = Vec::new();
            let more = within(PATIENCE, || {
                self.is_running();
                let outputs = &mut self.outputs;
                missing = self.writers.with_journal(|journal| judge(outputs, journal, key));
                let now: u64 = self.outputs.iter().map(|output| output.judge.all()).sum();
                (missing.is_empty() || now > records).then_some(now)
            });
            if missing.is_empty() {
                break;
            }
            if began.elapsed().as_secs() >= told + 10 {
                told += 10;
                eprintln!("    after {told} s: {missing:?}");
            }
            records = more.unwrap_or_else(|| panic!("nothing came within {PATIENCE:?}: {missing:?}"));
        }
        eprintln!("  drained in {} ms", began.elapsed().as_millis());
    }

    /// What is committed from then on, outputs that begin at the present get, too.
    fn new_outputs_begin(&mut self) {
        let new: Vec<String> =
            self.outputs.iter().filter(|output| output.there && output.is_new()).map(|output| output.name.clone()).collect();
        if !new.is_empty() {
            self.process().wait_for("new outputs begin", PATIENCE, |process| {
                let log = process.log();
                let begun =
                    |name: &String| log.iter().any(|line| line["message"] == "streaming from this position on" && line["sink"] == **name);
                new.iter().all(begun).then_some(())
            });
        }
    }

    /// Ends every pause.
    fn let_outputs_go_on(&mut self) {
        let http = self.http;
        let resumed = within(PATIENCE, || {
            self.is_running();
            let (_, body) = host::http_get(http, "/outputs")?;
            let all: Value = serde_json::from_str(&body).ok()?;
            let outputs = all["outputs"].as_array()?;
            // null: the program has not read yet whether it is
            if outputs.iter().any(|output| output["paused"].is_null()) {
                return None;
            }
            let paused: Vec<&str> =
                outputs.iter().filter(|output| output["paused"] == true).filter_map(|output| output["name"].as_str()).collect();
            for output in &paused {
                host::http_request(http, "POST", &format!("/outputs/{output}/resume"), &[], &[]);
            }
            paused.is_empty().then_some(())
        });
        assert!(resumed.is_some(), "an output stays paused: {:?}", host::http_get(http, "/outputs"));
    }

    fn end(mut self, rounds: u64, began: Instant) {
        self.stop();
        let key = fence(rounds);
        let mut tables = BTreeMap::new();
        for table in TABLES.iter().chain([&FENCE]) {
            for row in self.server.query(&format!("SELECT id, v, note, pad FROM {DATABASE}.{table}")) {
                let number = |at: usize| row[at].as_ref().and_then(|text| text.parse::<u64>().ok()).expect("a number");
                tables.insert(number(0), (number(1), row[2].clone().expect("a text"), row[3].clone()));
            }
        }
        let (broker, outputs) = (&self.broker, &mut self.outputs);
        let (changes, transactions) = (self.writers.with_journal(|journal| journal.records()), self.writers.transactions());
        let (mut records, mut copies) = (0, 0);
        self.writers.with_journal(|journal| {
            let missing = judge(outputs, journal, key);
            assert!(missing.is_empty(), "{missing:?}");
            for output in outputs.iter() {
                let judged = output.judged_as_a_whole(broker, journal, key);
                let judged = judged.unwrap_or_else(|why| panic!("the output `{}`, judged as a whole: {why}", output.name));
                records += judged.records();
                copies += judged.copies();
                if output.there && output.beginning != Beginning::Now {
                    has_rows(&output.name, judged.rows(), &tables);
                }
            }
        });
        let seconds = began.elapsed().as_secs();
        eprintln!(
            "{:?}, {rounds} rounds in {seconds} s: {transactions} transactions, {changes} changes, {records} records, {copies} of them of copies",
            self.server.flavor()
        );
        eprintln!("{:?}", self.counts);
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        if thread::panicking() {
            for log in &self.logs {
                eprintln!("--- an earlier process wrote:\n{log}");
            }
            for output in &self.outputs {
                eprintln!(
                    "--- output `{}`: there {}, {} records, {:?}",
                    output.name,
                    output.there,
                    output.judge.records(),
                    output.beginning
                );
            }
        }
    }
}

/// What outputs lack, after reading what has come. `fence`: the key of the change that was committed last.
fn judge(outputs: &mut [Output], journal: &Journal, fence: u64) -> Vec<String> {
    let mut missing = Vec::new();
    for output in outputs {
        if let Err(why) = output.read(journal) {
            panic!("the output `{}`: {why}", output.name);
        }
        if output.there
            && let Some(why) = output.judge.missing(journal, fence)
        {
            missing.push(format!("{}: {why}", output.name));
        }
    }
    missing
}

type Rows = BTreeMap<u64, (u64, String, Option<String>)>;

/// Whoever applies an output's records has the rows of the tables.
#[track_caller]
fn has_rows(output: &str, found: &Rows, tables: &Rows) {
    assert_eq!(found.len(), tables.len(), "rows of `{output}`");
    for ((key, row), (expected_key, expected)) in found.iter().zip(tables) {
        assert!(key == expected_key && row == expected, "`{output}` has {key} {row:?}, the table {expected_key} {expected:?}");
    }
}
