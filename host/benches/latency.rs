//! How long it takes from the commit of a change to its record in the file, where others can read it, or at a consumer of Kafka.
//!
//! Cost model: the server's dump thread wakes and sends the event (0.1-0.3 ms); the source waits for more changes, 5 ms at most
//! from the first one of a batch (`limits.batch_wait`); two queues are two wake-ups of a thread (50-100 us each); record and
//! `write` take some microseconds, as nothing else waits. At 1,000 changes a second, a batch has about five of them, each of
//! which has waited 0-5 ms: 3 ms in the middle, 6 ms for the last. What comes while a checkpoint is made waits for two syncs of
//! the disk, one of the file and one of the checkpoint: of a hundred changes, as many as a checkpoint takes milliseconds,
//! divided by five. Compressed records wait up to 100 ms longer (`limits.rs` says why). To Kafka, a request takes 1-2 ms, and a
//! transaction three: the partition is added, the records are sent, the end is marked.
//!
//! Starts a server and a broker of its own (tests/servers installs them). One connection inserts a row a millisecond, each a
//! transaction, and notes when the commit returns; a thread reads the file as it grows. Wall time: other work on the machine
//! counts. Run with `cargo bench --bench latency [-- CHANGES]`.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use mysql_async::{Conn, prelude::Queryable as _};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use sluicegate_config as config;
use sluicegate_harness::{database::Server, kafka, mariadb};
use sluicegate_pipeline as pipeline;
use tokio::runtime;
use tokio_util::sync::CancellationToken;

const RATE: f64 = 1000.0;
/// What topics begin with.
const TOPIC: &str = "latency";
/// Of a plain file, and of a consumer of transactions.
const BARS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(25)];
/// Changes at the start that are not counted: files are made, caches are cold.
const WARM_UP: usize = 500;
/// How long the last record may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the records go.
#[derive(Clone, Copy)]
enum To<'a> {
    /// A file, with this beside its settings, and what its name ends with.
    File(&'a str, &'a str),
    /// A topic of these brokers, with this delivery.
    Kafka(&'a str, &'a str),
}

fn main() {
    let changes: usize = std::env::args().skip(1).find(|a| a != "--bench").map_or(20_000, |a| a.parse().unwrap());
    let (server, broker) = (mariadb::start(&[]), kafka::start(&[]));
    println!("{changes} changes, {RATE} a second, as flat records; milliseconds from commit to visible\n");
    println!("{:<24} {:>9} {:>8} {:>8} {:>8} {:>12} {:>12}", "", "a second", "p50", "p99", "most", "p50/bar", "p99/bar");
    let variants = [
        ("plain", To::File("", ""), "500ms", BARS[0]),
        ("plain, no checkpoint", To::File("", ""), "10m", BARS[0]),
        ("zstd: 3", To::File(", zstd: 3", ".zst"), "500ms", BARS[0]),
        ("kafka, at-least-once", To::Kafka(broker.brokers(), "at-least-once"), "500ms", BARS[1]),
        ("kafka, exactly-once", To::Kafka(broker.brokers(), "exactly-once"), "500ms", BARS[1]),
    ];
    for (name, to, checkpoint, bar) in variants {
        let folder = tempfile::tempdir().unwrap();
        let (waits, rate) = measured(&server, folder.path(), to, checkpoint, changes);
        let part = |percent: usize| waits[(waits.len() * percent / 100).min(waits.len() - 1)].as_secs_f64() * 1e3;
        let ratio = |percent: usize| part(percent) / (bar.as_secs_f64() * 1e3);
        let [p50, p99, most] = [50, 99, 100].map(part);
        println!("{name:<24} {rate:>9.0} {p50:>8.2} {p99:>8.2} {most:>8.2} {:>11.2}x {:>11.2}x", ratio(50), ratio(99));
    }
    let folder = tempfile::tempdir().unwrap();
    println!("\na sync of a file here: {:.2} ms in the middle", sync(folder.path()).as_secs_f64() * 1e3);
    println!("bars: p99 of plain files at most {} ms, of transactions {} ms", BARS[0].as_millis(), BARS[1].as_millis());
}

/// What each change had to wait, sorted, and how many were committed in a second.
fn measured(server: &Server, folder: &Path, to: To<'_>, checkpoint: &str, changes: usize) -> (Vec<Duration>, f64) {
    server.sql(
        "CREATE OR REPLACE TABLE shop.latency (id BIGINT PRIMARY KEY, email VARCHAR(120) NOT NULL, amount DECIMAL(12,2) NOT NULL, \
         created_at DATETIME(6) NOT NULL, note VARCHAR(200) NULL) CHARSET utf8mb4",
    );
    let (port, user, password) = (server.port(), server.user(), server.password());
    let sink = match to {
        To::File(settings, _) => format!("type: file, folder: out{settings}"),
        To::Kafka(brokers, delivery) => format!("type: kafka, brokers: '{brokers}', topic: {TOPIC}-{delivery}, delivery: {delivery}"),
    };
    let text = format!(
        "name: bench
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: [shop.latency], start: now }}
sinks: [{{ {sink}, format: flat }}]
limits: {{ checkpoint_interval: {checkpoint} }}
"
    );
    let pipeline = config::load_str(&text, folder, |_| None).unwrap_or_else(|e| panic!("{e}"));
    let status = pipeline::status(&pipeline);
    let stop = CancellationToken::new();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let run = runtime.spawn(pipeline::run(pipeline, status.clone(), stop.clone()));
    while !status.started.load(std::sync::atomic::Ordering::Relaxed) {
        assert!(!run.is_finished(), "{:?}", runtime.block_on(run));
        thread::sleep(Duration::from_millis(1));
    }
    let reading = match to {
        To::File(_, end) => {
            let file = folder.join(format!("out/bench-00000001.ndjson{end}"));
            thread::spawn(move || read(&file, changes))
        }
        To::Kafka(brokers, delivery) => {
            let (brokers, topic) = (brokers.to_owned(), format!("{TOPIC}-{delivery}"));
            thread::spawn(move || consume(&brokers, &topic, changes))
        }
    };
    let began = Instant::now();
    let committed = commit(server, changes);
    let rate = changes as f64 / began.elapsed().as_secs_f64();
    let visible = reading.join().unwrap();
    stop.cancel();
    runtime.block_on(run).unwrap().unwrap_or_else(|e| panic!("{e}"));
    let waits = committed.iter().zip(&visible).skip(WARM_UP.min(changes / 2));
    let mut waits: Vec<Duration> = waits.map(|(committed, visible)| visible.saturating_duration_since(*committed)).collect();
    waits.sort_unstable();
    (waits, rate)
}

/// Inserts the rows 0, 1, … at the rate; when each commit returned.
fn commit(server: &Server, changes: usize) -> Vec<Instant> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(Conn::new(server.opts())).unwrap();
    let began = Instant::now();
    let commits = (0..changes).map(|id| {
        thread::sleep((began + Duration::from_secs_f64(id as f64 / RATE)).saturating_duration_since(Instant::now()));
        let insert = format!(
            "INSERT INTO shop.latency VALUES ({id}, 'customer{}@mail.example.org', {}.99, '2024-01-01 10:00:00.123456', 'leave it at the door')",
            id % 5000,
            id % 1000
        );
        runtime.block_on(connection.query_drop(insert)).unwrap();
        Instant::now()
    });
    let commits = commits.collect();
    runtime.block_on(connection.disconnect()).unwrap();
    commits
}

/// Reads what is committed of the topic's one partition, until all rows have come; when the record of each was there.
fn consume(brokers: &str, topic: &str, changes: usize) -> Vec<Instant> {
    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", brokers).set("group.id", "latency").set("isolation.level", "read_committed");
    let consumer: BaseConsumer = settings.set("fetch.wait.max.ms", "5").set("topic.metadata.refresh.interval.ms", "100").create().unwrap();
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partition).unwrap();
    let (mut seen, began) = (Vec::with_capacity(changes), Instant::now());
    while seen.len() < changes {
        // a topic that is not there yet is an error that passes
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
            let id = id_of(record.payload().unwrap());
            assert_eq!(id, seen.len(), "in the order of the commits");
            seen.push(Instant::now());
        }
        let since = seen.last().copied().unwrap_or(began);
        assert!(since.elapsed() < PATIENCE, "{} of {changes} records came", seen.len());
    }
    seen
}

/// The id in a record.
fn id_of(record: &[u8]) -> usize {
    let id = memchr::memmem::find(record, b"\"id\":").map(|at| at + 5).unwrap();
    let digits = record[id..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&record[id..id + digits]).unwrap().parse().unwrap()
}

/// Reads the file as it grows, until it holds all rows; when the record of each was there.
fn read(path: &Path, changes: usize) -> Vec<Instant> {
    let mut file = None;
    let mut decoder = path.extension().is_some_and(|e| e == "zst").then(|| zstd::stream::raw::Decoder::new().unwrap());
    let (mut packed, mut line, mut seen) = (Vec::new(), Vec::new(), Vec::with_capacity(changes));
    let mut last = Instant::now();
    while seen.len() < changes {
        assert!(last.elapsed() < PATIENCE, "{} of {changes} records came", seen.len());
        let Some(open) = file.as_mut() else {
            file = File::open(path).ok();
            thread::sleep(Duration::from_micros(200));
            continue;
        };
        packed.clear();
        if open.read_to_end(&mut packed).unwrap() == 0 {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        let text = match &mut decoder {
            Some(decoder) => decode(decoder, &packed),
            None => packed.clone(),
        };
        last = Instant::now();
        for byte in text {
            line.push(byte);
            if byte == b'\n' {
                assert_eq!(id_of(&line), seen.len(), "in the order of the commits");
                seen.push(last);
                line.clear();
            }
        }
    }
    seen
}

/// As much as can be decoded of what has come of one or several frames.
fn decode(decoder: &mut zstd::stream::raw::Decoder<'_>, packed: &[u8]) -> Vec<u8> {
    use zstd::stream::raw::{InBuffer, Operation as _, OutBuffer};
    let mut text = Vec::new();
    let mut input = InBuffer::around(packed);
    let mut out = vec![0; 256 << 10];
    loop {
        let mut output = OutBuffer::around(out.as_mut_slice());
        decoder.run(&mut input, &mut output).unwrap();
        let bytes = output.pos();
        text.extend_from_slice(&out[..bytes]);
        if input.pos() == packed.len() && bytes < out.len() {
            return text;
        }
    }
}

/// What it takes to make a few written bytes durable, the middle of some.
fn sync(folder: &Path) -> Duration {
    let mut file = File::create(folder.join("x")).unwrap();
    let mut times: Vec<Duration> = (0..31)
        .map(|_| {
            std::io::Write::write_all(&mut file, &[b'x'; 10_000]).unwrap();
            let began = Instant::now();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
