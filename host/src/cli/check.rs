//! `sluicegate check`.

use std::{fmt::Write as _, path::Path};

use super::{block_on, print_out};
use sluicegate_config as config;
use sluicegate_model::Result;
use sluicegate_pipeline as pipeline;

/// Checks everything that a run needs, and prints what was found good.
pub(super) fn check(path: &Path) -> Result<()> {
    let settings = config::load(path)?;
    let mut out = format!("ok  {}: the pipeline file is right\n", path.display());
    let report = block_on(pipeline::check(settings))?;
    for line in report.good {
        // writing into a String cannot fail
        let _ = writeln!(out, "ok  {line}");
    }
    out.push_str("ready\n");
    print_out(&out)
}
