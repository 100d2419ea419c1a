//! What becomes of a change whose record cannot be delivered.

use std::sync::Arc;

use super::Numbers;
use sluicegate_config::OnError;
use sluicegate_dead_letter::DeadLetters;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change},
};

/// The sink's policy for single records.
pub struct Policy {
    sink: String,
    on_error: OnError,
    letters: Arc<DeadLetters>,
}

impl Policy {
    /// What `on_error` says of the sink of this name; changes are set aside in `letters`.
    pub fn new(sink: &str, on_error: OnError, letters: Arc<DeadLetters>) -> Self {
        Self { sink: sink.to_owned(), on_error, letters }
    }

    /// Whether a failed record stops the pipeline.
    pub fn stops(&self) -> bool {
        self.on_error == OnError::Stop
    }

    /// Makes what was set aside durable: for sinks that keep their progress themselves.
    pub fn sync(&self) -> Result<()> {
        self.letters.sync()
    }

    /// Sets the change aside, or answers the error that stops the pipeline: whatever is not of kind `Record` does.
    pub fn apply(&self, numbers: &Numbers, error: Error, batch: &Batch, change: &Change) -> Result<()> {
        if error.kind() != ErrorKind::Record {
            return Err(error);
        }
        let place = batch.place(change);
        let table = batch.tables.get(change.table as usize).map(|rows| rows.table.name.to_string()).unwrap_or_default();
        let count = match self.on_error {
            // the last is a plugin's policy: what a sink cannot take does not pass through it
            OnError::Stop | OnError::PassThrough => return Err(error.context(format_args!("a change of table {table} at {place}"))),
            OnError::Skip => {
                numbers.get().skipped.add(1);
                numbers.get().skipped.get()
            }
            OnError::DeadLetter => {
                self.letters.record_from_sink(&self.sink, &error, batch, change)?;
                numbers.get().dead_lettered.add(1);
                numbers.get().dead_lettered.get()
            }
        };
        // a flood of bad records is told with ever fewer lines
        if count.is_power_of_two() {
            tracing::warn!(sink = %self.sink, place, table, count, policy = ?self.on_error, "{}", error.chain());
        }
        Ok(())
    }
}
