//! `sluicegate schema`.

use super::print_out;
use sluicegate_config as config;
use sluicegate_model::{Error, ErrorKind, Result};

/// Prints the pipeline file's JSON Schema.
pub(super) fn schema() -> Result<()> {
    let text = serde_json::to_string_pretty(&config::schema())
        .map_err(|e| Error::new(ErrorKind::Internal, "the schema cannot be written").caused_by(e))?;
    print_out(&(text + "\n"))
}
