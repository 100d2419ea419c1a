//! `sluicegate plugin build`.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;

use super::print_out;
use sluicegate_authoring as authoring;
use sluicegate_model::Result;

#[derive(Debug, Args)]
pub(in crate::cli) struct Build {
    /// The folder of its sources, or a core module
    #[arg(value_name = "DIR", default_value = ".")]
    from: PathBuf,
    /// The component's file; default: the plugin's name with `.wasm`, in the folder
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(self) -> Result<()> {
        let installed = authoring::install(&self.from, self.output)?;
        print_out(&format!("{}: {}\n", installed.path.display(), HumanBytes(installed.bytes)))
    }
}
