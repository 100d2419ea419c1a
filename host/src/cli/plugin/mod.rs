//! `sluicegate plugin …`: the author's commands.

mod bench;
mod build;
mod create;
mod inspect;
mod trial;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, builder::PossibleValuesParser};

use super::{Color, print_out};
use sluicegate_authoring as authoring;
use sluicegate_model::{Error, ErrorKind, Result, limits::CONFIG_FILE_BYTES};
use sluicegate_storage::file;

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Begin a plugin: a template that builds, with its tests, in a folder of its own
    #[command(after_help = "\
The template masks e-mail addresses, drops test accounts and renames a column: change it to what you need. The SDK of the
language is put beside it, so nothing else has to be fetched but the language's own tools; its README.md names them.

  sluicegate plugin new --language rust mask-email
  cd mask-email
  sluicegate plugin build
  sluicegate plugin test mask-email.wasm --rows rows.ndjson --expect expected.ndjson")]
    New(create::New),
    /// Make a component of a plugin's sources
    #[command(after_help = "\
What stands in the folder says which language it is:

  Cargo.toml      Rust: cargo and its target wasm32-unknown-unknown
  asconfig.json   AssemblyScript: asc from node_modules or PATH; the SDK in sdk/
  package.json    JavaScript: componentize-js from node_modules or PATH; `main` is the source
  go.mod          Go: go from PATH, 1.24 or later
  *.py            Python: componentize-py from .venv or PATH
  *.c, *.cpp      C, C++: zig from .venv (`pip install ziglang`) or PATH; the SDK in sdk/

A core module (.wasm) that another toolchain made for the interface is made into a component as it is; one built for WASI
gets the adapter. No WASI call reaches a file, a clock or the network: the host answers them all without giving anything.")]
    Build(build::Build),
    /// Run a plugin over change events, and show what it makes of them
    #[command(after_help = "\
ROWS.ndjson holds a change on each line, in this form or in Debezium's envelope:

  {\"table\": \"shop.customers\", \"op\": \"insert\", \"after\": {\"id\": 1, \"email\": \"ada@example.org\"}}
  {\"table\": \"shop.customers\", \"op\": \"update\", \"before\": {\"id\": 1, \"email\": null}, \"after\": {\"id\": 1, \"email\": \"x@y.z\"}}

Types follow from the values, and a column `id` is the key. To say them, put a line before a table's changes:

  {\"table\": \"shop.customers\", \"columns\": {\"id\": \"uint64\", \"email\": \"text\", \"born\": \"date\"}, \"key\": [\"id\"]}

types: boolean, int64, uint64, float32, float64, decimal, text, bytes (base64), date, time, datetime, timestamp, json.

With --expect the answer is compared with a file: 0 when it is the same, 1 when it differs; --update writes that file.
Without --expect it ends with 1 when the plugin refused a change or failed on it.")]
    Test(trial::Test),
    /// Measure what a plugin costs a row
    #[command(after_help = "\
Prints nanoseconds a change, in batches of 1, 16, 256 and 1024 changes: a copy of the rows in native code, a plugin that
reads every column and changes nothing, and the plugin. An idle stream sends small batches, a busy one large ones.

The fastest of seven rounds counts; how far the middle one was above it says how noisy the machine was.")]
    Bench(bench::Bench),
    /// Say what a component is: name, version, size, hash, imports and exports, grants, time to compile, configuration
    #[command(after_help = "Ends with 3 when the file is not a component of the plugin interface.")]
    Inspect(inspect::Inspect),
}

/// A plugin and its configuration.
#[derive(Debug, Args)]
struct Subject {
    /// The component, or a standard plugin: filter, map-names, rewrite-columns
    #[arg(value_name = "PLUGIN")]
    plugin: PathBuf,
    /// Its configuration: JSON, or `@` and a file that holds it
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,
}

impl Subject {
    fn load(&self) -> Result<authoring::Subject> {
        let text = match self.config.as_deref().map(|config| (config.strip_prefix('@'), config)) {
            None => "null".to_owned(),
            Some((None, json)) => json.to_owned(),
            Some((Some(path), _)) => file::read_text(Path::new(path), CONFIG_FILE_BYTES).map_err(|e| {
                Error::new(ErrorKind::Config, format!("the configuration {path} cannot be read"))
                    .caused_by(e)
                    .remedy("give the path of a JSON file")
            })?,
        };
        let config: serde_json::Value = serde_json::from_str(&text).map_err(|e| {
            Error::new(ErrorKind::Config, "the configuration is not JSON")
                .caused_by(e)
                .remedy("write JSON in single quotes, as in --config '{\"where\": \"id > 7\"}', or @FILE")
        })?;
        authoring::Subject::new(&self.plugin, &config.to_string())
    }
}

/// Does what was asked.
pub(super) fn plugin(command: PluginCommand, color: Color) -> Result<()> {
    match command {
        PluginCommand::New(new) => new.run(),
        PluginCommand::Build(build) => build.run(),
        PluginCommand::Test(test) => test.run(paint(color)),
        PluginCommand::Bench(bench) => bench.run(),
        PluginCommand::Inspect(inspect) => inspect.run(),
    }
}

/// Whether standard output is coloured.
fn paint(color: Color) -> bool {
    match color {
        Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        Color::Always => true,
        Color::Never => false,
    }
}

fn languages() -> PossibleValuesParser {
    PossibleValuesParser::new(authoring::LANGUAGES.map(|language| language.name))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).map_err(|e| {
        Error::new(ErrorKind::Precheck, format!("{} cannot be written", path.display()))
            .caused_by(e)
            .remedy("check the folder and its permissions")
    })
}
