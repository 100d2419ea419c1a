//! `sluicegate plugin new`.

use std::path::PathBuf;

use clap::Args;

use super::{languages, print_out};
use sluicegate_authoring as authoring;
use sluicegate_model::{Error, ErrorKind, Result};

#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// What it is written in
    #[arg(long, short, value_parser = languages())]
    language: String,
    /// Its name: lower-case letters and digits, with `-` between words
    #[arg(value_name = "NAME")]
    name: String,
    /// Where to; default: a folder of the plugin's name
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl New {
    pub(super) fn run(self) -> Result<()> {
        let language = authoring::LANGUAGES.iter().find(|language| language.name == self.language).ok_or_else(|| {
            Error::new(ErrorKind::Config, "there is no template for this language").remedy("see `sluicegate plugin new --help`")
        })?;
        let folder = self.folder.unwrap_or_else(|| PathBuf::from(&self.name));
        let written = authoring::create(language, &self.name, &folder)?;
        let name = &self.name;
        print_out(&format!(
            "{} files in {}; {} says what is needed. Next:\n\n  cd {}\n  sluicegate plugin build\n  sluicegate plugin test {name}.wasm --rows rows.ndjson --expect expected.ndjson\n",
            written.len(),
            folder.display(),
            folder.join("README.md").display(),
            folder.display(),
        ))
    }
}
