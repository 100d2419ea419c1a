//! Standard output, one record a line. Nothing of it can be undone, so after a crash records may come again. There is one
//! place to write to: destinations that plugins choose are passed over.

use std::io::{self, Write};

use super::{Final, Numbers, Policy, Resume, Sink, SinkState, key_change};
use sluicegate_format::{Encoder, FileFormat as _, Lines, Records};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Frontier, Mark, MarkKind},
};

/// A sink that prints. `out` is standard output, which is not buffered a second time.
pub struct StdoutSink<W = io::Stdout> {
    encoder: Encoder,
    policy: Policy,
    numbers: Numbers,
    print: Print<W>,
}

/// The same before it begins.
pub struct StdoutResume {
    policy: Policy,
    numbers: Numbers,
    buffer_bytes: usize,
}

impl StdoutResume {
    /// A sink that writes when `buffer_bytes` are gathered, and after each batch.
    pub fn new(policy: Policy, buffer_bytes: usize, numbers: Numbers) -> Self {
        Self { policy, numbers, buffer_bytes }
    }
}

impl Resume for StdoutResume {
    fn resume(&mut self) -> Result<Option<Frontier>> {
        Ok(None)
    }

    fn begin(self: Box<Self>, _frontier: &Frontier, encoder: Encoder) -> Result<Box<dyn Sink>> {
        let Self { policy, numbers, buffer_bytes } = *self;
        Ok(Final::boxed(StdoutSink { encoder, policy, numbers, print: Print::new(io::stdout(), buffer_bytes) }))
    }
}

/// What is printed.
struct Print<W> {
    out: W,
    lines: Lines,
    buffer: Vec<u8>,
    buffer_bytes: usize,
    /// How much of the buffer are whole records.
    whole: usize,
    records: usize,
    bytes: usize,
}

impl<W: Write> Print<W> {
    fn new(out: W, buffer_bytes: usize) -> Self {
        Self { out, lines: Lines, buffer: Vec::new(), buffer_bytes, whole: 0, records: 0, bytes: 0 }
    }

    fn write_out(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).map_err(fault)?;
        self.buffer.clear();
        self.buffer.shrink_to(2 * self.buffer_bytes); // one huge record does not keep its memory
        self.whole = 0;
        Ok(())
    }

    /// Forgets a record that was begun.
    fn undo(&mut self) {
        self.buffer.truncate(self.whole);
    }
}

/// The records of one call of an encoder.
struct Printing<'a, W> {
    print: &'a mut Print<W>,
    /// Changes that are printed.
    done: usize,
}

impl<W: Write> Records for Printing<'_, W> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.print.buffer
    }

    fn end(&mut self, changes: usize) -> Result<()> {
        let print = &mut *self.print;
        print.lines.end_record(&mut print.buffer);
        print.records += 1;
        print.bytes += print.buffer.len() - print.whole;
        print.whole = print.buffer.len();
        self.done += changes;
        if print.whole >= print.buffer_bytes { print.write_out() } else { Ok(()) }
    }

    fn pass(&mut self, changes: usize) -> Result<()> {
        self.done += changes;
        Ok(())
    }
}

impl<W: Write> Printing<'_, W> {
    /// Prints an update that changes the key as a delete and an insert: both, or none.
    fn print_moved(&mut self, encoder: &mut Encoder, batch: &Batch, change: &Change) -> Result<()> {
        let parts = key_change::parts(change);
        let mut records = Vec::new();
        for part in &parts {
            let mut record = Vec::new();
            if encoder.value(batch, part, &mut record)? {
                records.push(record);
            }
        }
        for record in records {
            self.buffer().extend_from_slice(&record);
            self.end(0)?;
        }
        self.pass(1)
    }
}

fn dangling() -> Error {
    Error::new(ErrorKind::Internal, "an encoder told of another number of changes than it was given")
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        // where the run of changes of one table ends
        let (mut place, mut end) = (0, 0);
        let Self { encoder, policy, numbers, print } = self;
        while let Some(change) = batch.changes.get(place) {
            let from = place;
            if from == end {
                end += batch.changes[from..].iter().take_while(|other| other.table == change.table).count();
            }
            let mut printing = Printing { print, done: 0 };
            let changes = key_change::before(encoder, batch, &batch.changes[from..end]);
            let encoded = match changes {
                [] => printing.print_moved(encoder, batch, change),
                changes => encoder.table(batch, change.table).encode(batch, changes, &mut printing),
            };
            place += printing.done;
            if let Err(error) = encoded {
                print.undo();
                // what fails behind the last change is not about a change
                let Some(change) = batch.changes[..end].get(place) else { return Err(error) };
                policy.apply(numbers, error, batch, change)?;
                place += 1;
            }
            if place == from || place > end {
                return Err(dangling());
            }
        }
        numbers.count(std::mem::take(&mut print.records), std::mem::take(&mut print.bytes));
        // people watch it: a batch is shown when it is there
        print.write_out()
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        let Self { encoder, numbers, print, .. } = self;
        match &mark.kind {
            MarkKind::Truncate(truncate) => encoder.truncate(truncate, &mut Printing { print, done: 0 })?,
            MarkKind::Schema(change) => {
                let mut printing = Printing { print, done: 0 };
                if encoder.schema_change(change, &mut Vec::new(), printing.buffer()) {
                    printing.end(0)?;
                }
            }
            _ => return Ok(()),
        }
        numbers.count(std::mem::take(&mut print.records), std::mem::take(&mut print.bytes));
        print.write_out()
    }

    fn commit(&mut self, _progress: &Frontier) -> Result<SinkState> {
        self.print.write_out()?;
        Ok("{}".to_owned())
    }
}

fn fault(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::new(ErrorKind::Sink, "the program that read standard output has gone away")
            .remedy("start again: what it did not read is written again")
            .caused_by(error),
        _ => Error::new(ErrorKind::Sink, "standard output cannot be written")
            .remedy("check where it is redirected to, then start again")
            .caused_by(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_goes_away_and_a_full_disk_are_told_apart() {
        insta::assert_snapshot!(fault(io::ErrorKind::BrokenPipe.into()), @r"
the program that read standard output has gone away: broken pipe
  remedy: start again: what it did not read is written again
");
        insta::assert_snapshot!(fault(io::Error::from_raw_os_error(28)), @r"
standard output cannot be written: No space left on device (os error 28)
  remedy: check where it is redirected to, then start again
");
    }
}
