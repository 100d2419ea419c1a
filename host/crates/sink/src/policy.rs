//! What becomes of a change whose record cannot be delivered.

use std::sync::Arc;

use super::Numbers;
use sluicegate_config::OnError;
use sluicegate_dead_letter::{DeadLetters, Outgoing, Queue};
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

    /// The queue of dead letters, if the sink sends its own ones there by itself.
    pub fn queue(&self) -> Option<&Arc<dyn Queue>> {
        self.letters.queue_of(&self.sink)
    }

    /// Sets the change aside, or answers the error that stops the pipeline: whatever is not of kind `Record` does.
    pub fn apply(&self, numbers: &Numbers, error: Error, batch: &Batch, change: &Change) -> Result<()> {
        self.apply_with(numbers, error, batch, change, |error| self.letters.record_from_sink(&self.sink, error, batch, change))
    }

    /// The same for a sink that sends its letters by itself: a letter is added to these.
    pub fn apply_to(&self, numbers: &Numbers, error: Error, batch: &Batch, change: &Change, letters: &mut Vec<Outgoing>) -> Result<()> {
        self.apply_with(numbers, error, batch, change, |error| {
            letters.push(self.letters.letter_of_sink(&self.sink, error, batch, change)?);
            Ok(())
        })
    }

    fn apply_with(
        &self,
        numbers: &Numbers,
        error: Error,
        batch: &Batch,
        change: &Change,
        set_aside: impl FnOnce(&Error) -> Result<()>,
    ) -> Result<()> {
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
                set_aside(&error)?;
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
