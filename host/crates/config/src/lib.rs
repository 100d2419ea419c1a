//! The pipeline file: one file, one pipeline. [`pipeline`] holds the validated form that the rest of the program works
//! with; the raw form, as people write it, never leaves this module.
//!
//! YAML text becomes a tree that knows its lines, `${NAME}` is replaced in its texts, it is typed, and then checked as a whole. Each
//! step collects its faults, and an error names file, line and path, the reason and the remedy of each, never a value.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod document;
mod environment;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod kafka_option;
mod kafka_security;
mod kafka_source;
pub mod keys;
pub mod pipeline;
mod problem;
mod quantity;
mod raw;
mod reader;
mod registry;
mod schema;
mod secret;
pub mod server;
mod sqlserver;
pub mod template;
#[cfg(test)]
mod tests;
mod validate;

use std::{io, path::Path};

pub use document::MOST_BYTES;
pub use format::{
    AddedField, BigintUnsignedMode, BinaryMode, DecimalMode, Deletes, DtsNaming, Envelope, EnvelopeField, Format, GeometryMode, LabelMode,
    RecordFormat, TimeMode, ValueModes,
};
pub use kafka_option::{refused_option, refused_source_option};
pub use kafka_security::{KafkaConnection, KafkaSecurity, PasswordMechanism, Sasl, is_security_option};
pub use kafka_source::{KafkaSource, OnUnreadable, TopicFormat, TopicImages, TopicNumbers, TopicPatterns};
pub use keys::{KeyColumns, PartitionBy, RecordKeys, TableKeys};
pub use pipeline::{
    DeadLetterSource, Delivery, FileRecords, FileSink, GeneratorSource, Grants, Heartbeats, KafkaSink, Keyless, LetterTopic,
    LongTransactions, MySqlSource, OnError, PathTemplate, Pipeline, Plugin, PluginOrigin, PluginVersions, RecordHeaders, Roll, RowImage,
    Sink, SinkKind, Snapshot, SnapshotMode, Source, StartAt, TablePatterns, TopicCreation, TopicSettings, Transactions, Unlogged, WhenSlow,
};
pub use registry::{Registry, RegistryLogin, Subject};
pub use schema::schema;
pub use secret::Secret;
pub use server::{Address, ClientCertificate, Heartbeat, Rate, TlsMode};
pub use sqlserver::{ChangeHeaders, Isolation, SqlLogin, SqlServerSource, SqlTls, TrackedStart, TrackedTables, UnknownTypes, WholeName};
pub use template::{Field, NameCase, Part, Template, TemplateFault};

use serde::Deserialize as _;
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::file;

/// The plugins that are embedded in the program: `use: <name>`.
pub const STANDARD_PLUGINS: [&str; 3] = ["filter", "map-names", "rewrite-columns"];

/// Reads and checks a pipeline file. Relative paths in it start at its folder. Every error is of [`ErrorKind::Config`].
pub fn load(path: &Path) -> Result<Pipeline> {
    let shown = path.display().to_string();
    let text = file::read_text(path, MOST_BYTES).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::FileTooLarge => {
                return Error::new(ErrorKind::Config, format!("the pipeline file {shown} is larger than 1 MiB"))
                    .remedy("check the path: a pipeline file has a few lines for each plugin and sink");
            }
            io::ErrorKind::NotFound => "check the path; `sluicegate run --help` shows a first pipeline file",
            io::ErrorKind::InvalidData => "save the file as UTF-8",
            io::ErrorKind::InvalidInput => "save it as a file: it is watched, and read again when it changes",
            _ => "give the path of a file that this account can read",
        };
        Error::new(ErrorKind::Config, format!("the pipeline file {shown} cannot be read")).caused_by(error).remedy(remedy)
    })?;
    // an absolute base keeps every path valid whatever becomes of the working folder
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let base = std::path::absolute(folder).map_err(|error| {
        Error::new(ErrorKind::Config, format!("the folder of {shown} cannot be resolved")).caused_by(error).remedy("give an absolute path")
    })?;
    let pipeline = load_named(&shown, &text, &base, &|name| std::env::var(name).ok())?;
    Ok(Pipeline { file: path.file_name().map(|name| base.join(name)), ..pipeline })
}

/// Where a sink begins, written as its `start` in a pipeline file, in JSON.
///
/// # Errors
/// `Config`: it names no place.
pub fn start_at(start: serde_json::Value) -> Result<StartAt> {
    let remedy = "write \"now\", \"earliest\", \"copy\", { \"file\": \"binlog.000003\", \"position\": 4 } or { \"gtid\": \"…\" }";
    // the values of a request are not repeated
    let refused = || Error::new(ErrorKind::Config, "`start` does not name one place").remedy(remedy);
    let raw = raw::RawStart::deserialize(start).map_err(|_| refused())?;
    validate::start(raw).ok_or_else(refused)
}

/// Like [`load`], from text, with `base` for relative paths and `env` for `${NAME}`.
pub fn load_str(text: &str, base: &Path, env: impl Fn(&str) -> Option<String>) -> Result<Pipeline> {
    load_named("pipeline file", text, base, &env)
}

fn load_named(file: &str, text: &str, base: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Pipeline> {
    let mut root = document::Node::parse(text).map_err(|p| problem::error(file, vec![p]))?;
    let mut problems = Vec::new();
    environment::substitute(&mut root, env, &mut problems);
    if !problems.is_empty() {
        return Err(problem::error(file, problems));
    }
    let raw = reader::read(root.clone()).map_err(|p| problem::error(file, p))?;
    validate::validate(raw, base).map_err(|mut problems| {
        for problem in &mut problems {
            problem.line = root.line_of(&problem.path);
        }
        problem::error(file, problems)
    })
}
