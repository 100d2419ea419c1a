//! `sluicegate plugin bench`.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Subject, print_out};
use crate::cli::block_on;
use sluicegate_authoring::{Rows, SIZES, measure};
use sluicegate_config::GeneratorSource;
use sluicegate_generator::Generator;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Item},
    limits::Limits,
};
use sluicegate_source::{Begin, Source as _};
use sluicegate_status::Status;

/// Changes of the generator that are measured over.
const GENERATED: u64 = 4096;

#[derive(Debug, Args)]
pub(in crate::cli) struct Bench {
    #[command(flatten)]
    subject: Subject,
    /// The changes to measure it over, as for `plugin test`; default: those of the generator's shop
    #[arg(long, value_name = "ROWS.ndjson")]
    rows: Option<PathBuf>,
}

impl Bench {
    pub(super) fn run(self) -> Result<()> {
        let rows = match &self.rows {
            Some(path) => Rows::read(path)?,
            None => Rows::from_batches(&generated()?),
        };
        if rows.is_empty() {
            return Err(Error::new(ErrorKind::Config, "there are no changes to measure over").remedy("give a file with changes to --rows"));
        }
        let found = measure(&self.subject.load()?, &rows)?;
        let width = found.ways.iter().map(|way| way.name.chars().count()).max().unwrap_or_default() + 2;
        let mut out = format!("{} changes; nanoseconds a change\n\n{:width$}", rows.len(), "");
        // writing into a String cannot fail
        for size in SIZES {
            let _ = write!(out, "{:>12}", format!("batch {size}"));
        }
        out.push('\n');
        for way in &found.ways {
            let _ = write!(out, "{:width$}", way.name);
            for nanoseconds in way.nanoseconds {
                let _ = write!(out, "{nanoseconds:>12.1}");
            }
            out.push('\n');
        }
        let noise = found.noise * 100.0;
        let _ =
            writeln!(out, "\nfastest of 7 rounds; the middle one was up to {noise:.0} % slower, the copy before each call is not counted");
        if found.noise > 0.2 {
            out.push_str("this machine is busy: take differences of less than that for nothing\n");
        }
        if cfg!(debug_assertions) {
            out.push_str("this is a debug build of sluicegate: the host's part is many times slower than in a release\n");
        }
        print_out(&out)
    }
}

fn generated() -> Result<Vec<Batch>> {
    let settings = GeneratorSource { changes: Some(GENERATED), ..GeneratorSource::default() };
    block_on(async {
        let (out, mut items) = tokio::sync::mpsc::channel(4);
        let mut generator = Generator::new(settings, Limits::default(), Arc::new(Status::default()));
        let starts = generator.check(&[Begin::First]).await?;
        let run = generator.run(starts, out.into(), CancellationToken::new());
        let gather = async {
            let mut all = Vec::new();
            while let Some(item) = items.recv().await {
                if let Item::Rows(batch) = item {
                    all.push(batch);
                }
            }
            all
        };
        let (ended, all) = tokio::join!(run, gather);
        ended.map(|()| all)
    })
}
