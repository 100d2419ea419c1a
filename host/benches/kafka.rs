//! Records into a real broker: the whole program with both kinds of delivery, beside a bare producer that sends the same bytes.
//!
//! Cost model: a record of 740 bytes costs librdkafka about 1 us (its queue, the copy into a request, the acknowledgement), the kernel
//! as much again for both ends of the socket, and what the program does before it 0.4 us (generator, envelope; format.rs). The broker takes
//! most of the machine, so where it shares the cores, the wall time of all is close together, and the CPU of the process tells what
//! we add. A transaction costs a request for each partition that it begins in, one for its end and a marker in each partition; nothing is encoded
//! while it is committed. The clock starts when the stream does, as the bare producer is connected before.
//!
//! Each run is a process of its own, by turns, with topics of its own that are made before the clock starts. Starts a broker
//! (tests/servers/kafka.sh installs it). Run with `cargo bench --bench kafka [-- CHANGES]`.

mod usage;

use std::{
    path::Path,
    process::Command,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use sluicegate_config::{self as config, RecordFormat};
use sluicegate_format::Encoder;
use sluicegate_harness::kafka;
use sluicegate_model::change::{Item, NO_IMAGE};
use sluicegate_pipeline as pipeline;
use tokio_util::sync::CancellationToken;
use usage::{cpu_seconds, peak_megabytes};

/// How often each variant runs; the run in the middle counts.
const TURNS: usize = 3;
/// Changes before the clock starts, so that topics are there.
const WARM_UP: u64 = 1000;
/// How long everything that was sent may take to be acknowledged.
const PATIENCE: Duration = Duration::from_secs(120);

struct Variant {
    name: &'static str,
    /// The sink's `delivery`; nothing: the bare producer.
    delivery: &'static str,
    /// The part of the bare producer's rate.
    bar: Option<f64>,
}

const VARIANTS: [Variant; 3] = [
    Variant { name: "a bare producer", delivery: "", bar: None },
    Variant { name: "at-least-once", delivery: "at-least-once", bar: Some(0.85) },
    Variant { name: "exactly-once", delivery: "exactly-once", bar: Some(0.75) },
];

/// Wall seconds, CPU seconds, peak megabytes.
type Run = [f64; 3];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [run, index, changes, topics, brokers] = args.as_slice()
        && run == "--run"
    {
        let folder = tempfile::tempdir().unwrap();
        let [wall, cpu, peak] =
            measured(&VARIANTS[index.parse::<usize>().unwrap()], changes.parse().unwrap(), topics, brokers, folder.path());
        return println!("{wall} {cpu} {peak}");
    }
    let changes: u64 = args.first().map_or(400_000, |a| a.parse().unwrap());
    let broker = kafka::start(&[]);
    println!("{changes} changes of the generated shop as Debezium's envelopes; the middle of {TURNS} runs by turns\n");
    println!(
        "{:<18} {:>12} {:>14} {:>8} {:>8} {:>9} {:>9} {:>11}",
        "", "records/s", "records/CPU-s", "wall s", "CPU s", "peak MB", "to bare", "of the bar"
    );
    let mut runs: Vec<Vec<Run>> = VARIANTS.iter().map(|_| Vec::new()).collect();
    for turn in 0..TURNS {
        for (index, runs) in runs.iter_mut().enumerate() {
            let topics = format!("bench-{turn}-{index}");
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--run", &index.to_string(), &changes.to_string(), &topics, broker.brokers()]);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}: {}", VARIANTS[index].name, String::from_utf8_lossy(&output.stderr));
            let told = String::from_utf8(output.stdout).unwrap();
            let numbers: Vec<f64> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
            runs.push(numbers.try_into().unwrap());
        }
    }
    let middle: Vec<Run> = runs
        .into_iter()
        .map(|mut runs| {
            runs.sort_by(|a, b| a[0].total_cmp(&b[0]));
            runs[TURNS / 2]
        })
        .collect();
    for (variant, [wall, cpu, peak]) in VARIANTS.iter().zip(&middle) {
        let to_bare = middle[0][0] / wall;
        let bar = variant.bar.map_or_else(|| "-".to_owned(), |bar| format!("{:.2} x", to_bare / bar));
        let rate = |seconds: &f64| changes as f64 / seconds;
        println!(
            "{:<18} {:>12.0} {:>14.0} {wall:>8.2} {cpu:>8.2} {peak:>9.0} {to_bare:>9.2} {bar:>11}",
            variant.name,
            rate(wall),
            rate(cpu)
        );
    }
    println!("\nto bare: the bare producer's wall time / this one's. Its memory holds all records, made before the clock starts.");
}

fn measured(variant: &Variant, changes: u64, topics: &str, brokers: &str, folder: &Path) -> Run {
    let process = std::process::id();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if variant.delivery.is_empty() {
        return bare(&runtime, changes, topics, brokers);
    }
    let run = |changes: u64| -> [f64; 2] {
        // a name of its own: the progress stands in the broker under it
        let text = format!(
            "name: {topics}\nsource: {{ type: generator, seed: 1, changes: {changes} }}\nsinks: [{{ type: kafka, brokers: '{brokers}', delivery: {}, topic: '{topics}.{{database}}.{{table}}' }}]\n",
            variant.delivery
        );
        let pipeline = config::load_str(&text, folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        let run = runtime.spawn(pipeline::run(pipeline, status.clone(), CancellationToken::new()));
        while !status.started.load(Ordering::Relaxed) && !run.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (began, before) = (Instant::now(), cpu_seconds(process));
        runtime.block_on(run).unwrap().unwrap();
        [began.elapsed().as_secs_f64(), cpu_seconds(process) - before]
    };
    run(WARM_UP);
    // goes on behind the first ones
    let [wall, cpu] = run(changes + WARM_UP);
    [wall, cpu, peak_megabytes(process)]
}

/// Sends the same records with a producer that has the sink's settings.
fn bare(runtime: &tokio::runtime::Runtime, changes: u64, topics: &str, brokers: &str) -> Run {
    let process = std::process::id();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let records = records(runtime, changes + WARM_UP, topics);
    let (first, rest) = records.split_at(WARM_UP as usize);
    let send = |records: &[(Arc<str>, Vec<u8>, Vec<u8>)]| {
        for (topic, key, value) in records {
            let mut record = BaseRecord::to(topic).key(key).payload(value);
            // the queue is full until something is acknowledged
            while let Err((error, back)) = producer.send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(rdkafka::error::RDKafkaErrorCode::QueueFull));
                producer.poll(Duration::from_millis(1));
                record = back;
            }
        }
        producer.flush(PATIENCE).unwrap();
    };
    send(first);
    let (began, before) = (Instant::now(), cpu_seconds(process));
    send(rest);
    [began.elapsed().as_secs_f64(), cpu_seconds(process) - before, peak_megabytes(process)]
}

/// The generator's changes as topic, key and value.
fn records(runtime: &tokio::runtime::Runtime, changes: u64, topics: &str) -> Vec<(Arc<str>, Vec<u8>, Vec<u8>)> {
    let text = format!("name: bench\nsource: {{ type: generator, seed: 1, changes: {changes} }}\nsinks: [{{ type: stdout }}]\n");
    let pipeline = config::load_str(&text, Path::new("/"), |_| None).unwrap();
    let status = pipeline::status(&pipeline);
    let config::Source::Generator(settings) = pipeline.source else { unreachable!("the text says generator") };
    let mut source = sluicegate_generator::Generator::new(settings, pipeline.limits, status);
    let items: Vec<Item> = runtime.block_on(async {
        let (out, mut items) = tokio::sync::mpsc::channel(4);
        let sinks = sluicegate_source::Source::check(&mut source, &[sluicegate_source::Begin::First]).await.unwrap();
        let drain = tokio::spawn(async move {
            let mut all = Vec::new();
            while let Some(item) = items.recv().await {
                all.push(item);
            }
            all
        });
        sluicegate_source::Source::run(source, sinks, out.into(), CancellationToken::new()).await.unwrap();
        drain.await.unwrap()
    });
    let mut encoder = Encoder::new(RecordFormat::Debezium, "bench", "generator");
    let mut records = Vec::new();
    for item in items {
        let Item::Rows(batch) = item else { continue };
        for change in &batch.changes {
            let (mut key, mut value) = (Vec::new(), Vec::new());
            let row = if change.after == NO_IMAGE { change.before } else { change.after };
            encoder.key(&batch, change.table, row, &mut key).unwrap();
            encoder.value(&batch, change, &mut value).unwrap();
            let name = &batch.tables[change.table as usize].table.name;
            let topic: Arc<str> = format!("{topics}.{}.{}", name.database, name.table).into();
            records.push((topic, key, value));
        }
    }
    records
}
