//! Standard output, one record a line. Nothing of it can be undone, so after a crash records may come again. There is one
//! place to write to: destinations that plugins choose are passed over.

use std::io::{self, Write};

use super::{Final, Numbers, Policy, Resume, Sink, SinkState};
use sluicegate_format::Encoder;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Frontier, Mark, MarkKind},
};

/// A sink that prints. `out` is standard output, which is not buffered a second time.
pub struct StdoutSink<W = io::Stdout> {
    encoder: Encoder,
    policy: Policy,
    numbers: Numbers,
    out: W,
    buffer: Vec<u8>,
    buffer_bytes: usize,
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
        Ok(Final::boxed(StdoutSink { encoder, policy, numbers, out: io::stdout(), buffer: Vec::new(), buffer_bytes }))
    }
}

impl<W: Write> StdoutSink<W> {
    fn write_out(&mut self) -> Result<()> {
        self.out.write_all(&self.buffer).and_then(|()| self.out.flush()).map_err(fault)?;
        self.buffer.clear();
        self.buffer.shrink_to(2 * self.buffer_bytes); // one huge record does not hold its memory for ever
        Ok(())
    }
}

impl<W: Write + Send> Sink for StdoutSink<W> {
    fn write(&mut self, batch: &Batch) -> Result<()> {
        let (mut records, mut bytes) = (0, 0);
        for change in &batch.changes {
            let before = self.buffer.len();
            if let Err(error) = self.encoder.value(batch, change, &mut self.buffer) {
                self.policy.apply(&self.numbers, error, batch, change)?;
                continue;
            }
            self.buffer.push(b'\n');
            records += 1;
            bytes += self.buffer.len() - before;
            if self.buffer.len() >= self.buffer_bytes {
                self.write_out()?;
            }
        }
        self.numbers.count(records, bytes);
        // people watch it: a batch is shown when it is there
        self.write_out()
    }

    fn mark(&mut self, mark: &Mark) -> Result<()> {
        let MarkKind::Truncate(truncate) = &mark.kind else { return Ok(()) };
        let before = self.buffer.len();
        self.encoder.truncate(truncate, &mut self.buffer);
        self.buffer.push(b'\n');
        self.numbers.count(1, self.buffer.len() - before);
        self.write_out()
    }

    fn commit(&mut self, _progress: &Frontier) -> Result<SinkState> {
        self.write_out()?;
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
