//! `sluicegate schema`: the pipeline file's JSON Schema; and the schema of a table at a place of the source's log, from a dump.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print_out;
use sluicegate_config as config;
use sluicegate_model::{Error, ErrorKind, Result, limits::SCHEMA_DUMP_BYTES};
use sluicegate_pipeline as pipeline;
use sluicegate_state::{Checkpoint, SchemaChange};
use sluicegate_storage::file;

#[derive(Debug, Subcommand)]
pub(super) enum SchemaCommand {
    /// Tell a pipeline the schema that a table had at a place of the source's log
    #[command(after_help = "\
Where a row was logged for a version of its table that nobody knows any more, the pipeline stops, and its error names the table
and the place. A dump of the schema from then, or a SHOW CREATE TABLE that somebody kept, tells it:
  sluicegate schema import pipeline.yaml --table shop.orders --place '{\"behind\":…}' schema.sql
The dump is read, never executed.")]
    Import(Import),
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// The table, with its database: shop.orders
    #[arg(long, value_name = "DATABASE.TABLE")]
    table: String,
    /// From where on the schema holds, as the error says it (JSON)
    #[arg(long, value_name = "JSON")]
    place: String,
    /// The dump
    #[arg(value_name = "DUMP.sql")]
    dump: PathBuf,
}

/// Prints the pipeline file's JSON Schema, or does what the command says.
pub(super) fn schema(command: Option<SchemaCommand>) -> Result<()> {
    if let Some(SchemaCommand::Import(import)) = command {
        return self::import(&import);
    }
    let text = serde_json::to_string_pretty(&config::schema())
        .map_err(|e| Error::new(ErrorKind::Internal, "the schema cannot be written").caused_by(e))?;
    print_out(&(text + "\n"))
}

fn import(import: &Import) -> Result<()> {
    let pipeline = config::load(&import.path)?;
    if !pipeline.state.exists() {
        return Err(Error::new(
            ErrorKind::Config,
            format!("the pipeline has no checkpoint yet: {} is not there", pipeline.state.display()),
        )
        .remedy("run the pipeline once, or correct `state` in the pipeline file"));
    }
    let dump = file::read_text(&import.dump, SCHEMA_DUMP_BYTES).map_err(|e| {
        Error::new(ErrorKind::Config, format!("the dump {} cannot be read", import.dump.display()))
            .caused_by(e)
            .remedy("name a dump of the schema alone, in UTF-8")
    })?;
    let (table, schema) = pipeline::schema_of_dump(&pipeline, &import.table, &import.place, &dump)?;
    let checkpoint = Checkpoint::open(&pipeline.state, &pipeline.name)?;
    checkpoint.store_schemas([SchemaChange::Begin(&table, &import.place, Some(&schema))])?;
    print_out(&format!("{table} has the schema of the dump from that place on, until its next change in the log\n"))
}
