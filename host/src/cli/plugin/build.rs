//! `sluicegate plugin build`.

use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;

use super::{print_out, write};
use crate::{Result, authoring};

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
        let built = authoring::build(&self.from)?;
        // a component that the host would refuse is not written over one that it takes
        authoring::engine()?.compile(&built.component, &authoring::limits())?;
        let folder = if self.from.is_dir() { self.from.clone() } else { self.from.parent().map(PathBuf::from).unwrap_or_default() };
        let output = self.output.unwrap_or_else(|| {
            let own = folder.join(format!("{}.wasm", built.name));
            // a core module is not overwritten by the component made of it
            if own == self.from { folder.join(format!("{}.component.wasm", built.name)) } else { own }
        });
        // by renaming: a running pipeline that watches the file sees the old one or the new one, never half of it
        let beside = output.with_extension("wasm.part");
        write(&beside, &built.component)?;
        std::fs::rename(&beside, &output).map_err(|e| {
            crate::Error::new(crate::ErrorKind::Precheck, format!("{} cannot be written", output.display()))
                .caused_by(e)
                .remedy("check the folder and its permissions")
        })?;
        print_out(&format!("{}: {}\n", output.display(), HumanBytes(built.component.len() as u64)))
    }
}
