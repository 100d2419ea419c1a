//! The whole program: source, plugins, format, file. Rows per CPU-second and peak memory, beside the source alone.
//!
//! Cost model: a change is made or decoded into columns once (100-200 ns), each plugin costs about 10-30 ns for each row image
//! that it reads, a record costs about 1 ns a byte for its text (format.rs), and the file one copy and one `write` for each
//! 256 KiB. All of it is counted: the CPU time is that of the process with all its threads, the kernel's part included.
//!
//! Each variant runs in a process of its own, so that its peak memory is its own. Run with
//! `cargo bench --bench end_to_end [-- CHANGES]`.

mod process;

use std::{path::Path, process::Command, sync::Arc};

use sluicegate::{config, pipeline};
use tokio_util::sync::CancellationToken;

const PLUGINS: &str = r#"
plugins:
  - use: filter
    config: { tables: [ { table: shop.orders, where: "status <> 'cancelled' AND amount >= 10" } ] }
  - use: map-names
    config: { tables: [ { from: shop.orders, to: sales.orders } ] }
  - use: rewrite-columns
    config: { tables: [ { table: sales.orders, columns: [ { column: email, mask: { first: 1, last: 4 } } ] } ] }
"#;

/// Name, plugins, sink.
const VARIANTS: [(&str, &str, &str, Option<f64>); 5] = [
    ("source, then nothing", "", "nothing", None),
    ("flat, no plugins", "", "flat", Some(600e3)),
    ("flat, three plugins", PLUGINS, "flat", Some(400e3)),
    ("debezium, no plugins", "", "debezium", Some(300e3)),
    ("debezium, three plugins", PLUGINS, "debezium", None),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [run, index, changes, folder] = args.as_slice()
        && run == "--run"
    {
        return measured(VARIANTS[index.parse::<usize>().unwrap()], changes.parse().unwrap(), Path::new(folder));
    }
    let changes: u64 = args.first().map_or(2_000_000, |a| a.parse().unwrap());
    println!("{changes} changes of the generated shop into a file; CPU of the whole process\n");
    println!(
        "{:<26} {:>12} {:>9} {:>9} {:>8} {:>9} {:>12}",
        "variant", "changes/CPU-s", "CPU s", "wall s", "peak MB", "MB out", "of the bar"
    );
    for (index, (name, ..)) in VARIANTS.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let begin = std::time::Instant::now();
        let args = ["--run", &index.to_string(), &changes.to_string(), folder.path().to_str().unwrap()];
        let output = Command::new(std::env::current_exe().unwrap()).args(args).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let told = String::from_utf8(output.stdout).unwrap();
        let numbers: Vec<f64> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
        let (cpu, peak, out) = (numbers[0], numbers[1], numbers[2]);
        let rate = changes as f64 / cpu;
        let bar = VARIANTS[index].3.map_or_else(|| "-".to_owned(), |bar| format!("{:.2} x", rate / bar));
        println!("{name:<26} {rate:>12.0} {cpu:>9.2} {:>9.2} {peak:>8.0} {out:>9.0} {bar:>12}", begin.elapsed().as_secs_f64());
    }
}

/// Runs one variant and prints CPU seconds, peak megabytes, megabytes written.
fn measured((_, plugins, sink, _): (&str, &str, &str, Option<f64>), changes: u64, folder: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let text = |sink: &str| {
        format!(
            "name: bench\nsource: {{ type: generator, seed: 1, changes: {changes} }}\n{plugins}\nstate: {0}/state.db\nsinks:\n  - {{ type: file, folder: {0}/out, format: {sink} }}\n",
            folder.display()
        )
    };
    if sink == "nothing" {
        let pipeline = config::load_str(&text("flat"), folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        let config::Source::Generator(settings) = pipeline.source else { unreachable!("the text says generator") };
        let source = sluicegate::source::generator::Generator::new(settings, pipeline.limits, status);
        runtime.block_on(async {
            let (out, mut batches) = tokio::sync::mpsc::channel(4);
            let start = sluicegate::source::Start { position: None, sequence: 0 };
            let drain = tokio::spawn(async move { while batches.recv().await.is_some() {} });
            sluicegate::source::Source::run(source, start, out, CancellationToken::new()).await.unwrap();
            drain.await.unwrap();
        });
    } else {
        let pipeline = config::load_str(&text(sink), folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        runtime.block_on(pipeline::run(pipeline, Arc::clone(&status), CancellationToken::new())).unwrap();
    }
    let out = folder.join("out");
    let written: u64 = std::fs::read_dir(out).map_or(0, |files| files.map(|f| f.unwrap().metadata().unwrap().len()).sum());
    println!("{} {} {}", process::cpu_seconds(), process::peak_megabytes(), written as f64 / 1e6);
}
