//! The whole program: source, plugins, format, file. Rows per CPU-second and peak memory, beside the source alone.
//!
//! Cost model: a change is made or decoded into columns once (100-200 ns), each plugin costs about 10-30 ns for each row image
//! that it reads, a record costs about 1 ns a byte for its text (format.rs), and the file one copy and one `write` for each
//! 256 KiB. All of it is counted: the CPU time is that of the process with all its threads, the kernel's part included.
//!
//! Each variant runs in a process of its own, so that its peak memory is its own. Run with
//! `cargo bench --bench end_to_end [-- CHANGES]`.

mod process;

use std::{path::Path, sync::Arc};

use sluicegate_config as config;
use sluicegate_pipeline as pipeline;
use tokio_util::sync::CancellationToken;

use process::Variant;

const VARIANTS: [Variant; 6] = process::variants("source, then nothing", "nothing");

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [run, index, changes, folder, cache] = args.as_slice()
        && run == "--run"
    {
        return measured(VARIANTS[index.parse::<usize>().unwrap()], changes.parse().unwrap(), Path::new(folder), Path::new(cache));
    }
    let changes: u64 = args.first().map_or(2_000_000, |a| a.parse().unwrap());
    println!("{changes} changes of the generated shop into a file; CPU of the whole process;");
    process::compare(&VARIANTS, changes, &[]);
}

/// Runs one variant and prints CPU seconds, peak megabytes, megabytes written.
fn measured(variant: Variant, changes: u64, folder: &Path, cache: &Path) {
    let Variant { plugins, written, .. } = variant;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let text = |format: &str| {
        format!(
            "name: bench\nsource: {{ type: generator, seed: 1, changes: {changes} }}\n{plugins}\nstate: {0}/state.db\ncache: {1}\nsinks:\n  - {{ type: file, folder: {0}/out, format: {format} }}\n",
            folder.display(),
            cache.display()
        )
    };
    if written == "nothing" {
        let pipeline = config::load_str(&text("flat"), folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        let config::Source::Generator(settings) = pipeline.source else { unreachable!("the text says generator") };
        let mut source = sluicegate_generator::Generator::new(settings, pipeline.limits, status);
        runtime.block_on(async {
            let (out, mut items) = tokio::sync::mpsc::channel(4);
            let sinks = sluicegate_source::Source::check(&mut source, &[sluicegate_source::Begin::First]).await.unwrap();
            let drain = tokio::spawn(async move { while items.recv().await.is_some() {} });
            sluicegate_source::Source::run(source, sinks, out.into(), CancellationToken::new()).await.unwrap();
            drain.await.unwrap();
        });
    } else {
        let pipeline = config::load_str(&text(written), folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        runtime.block_on(pipeline::run(pipeline, Arc::clone(&status), CancellationToken::new())).unwrap();
    }
    process::tell(folder);
}
