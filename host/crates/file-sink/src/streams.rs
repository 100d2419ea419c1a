//! All streams of a sink: found by their destination, bounded in number, in open files and in bytes held.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::{
    Written,
    journal::Journal,
    naming::is_folder,
    place::{Start, State},
    recovery::{self, Recovered},
    retired,
    stream::{Layout, Stream},
};
use sluicegate_format::{Durable, Records};
use sluicegate_model::{
    Result,
    limits::{COMPRESSED_VISIBLE_WITHIN, Limits, VISIBLE_WITHIN},
    now_us,
};
use sluicegate_sink::destination;

/// The stream of the records without a destination.
pub(super) const PLAIN: usize = 0;

/// The streams of a sink.
pub(super) struct Streams {
    layout: Layout,
    /// The first is that of the records without a destination. None is ever taken out.
    list: Vec<Stream>,
    by_destination: HashMap<String, usize>,
    journal: Journal,
    /// Bytes in all buffers, and how many there may be.
    buffered: usize,
    buffer_bytes: usize,
    open: usize,
    open_files: usize,
    most: usize,
    writes: u64,
    /// When the batch of the oldest record came that no reader can see yet.
    hidden_since: Option<Instant>,
    /// Whether streams are forgotten that nothing was written to for long, because new ones come with the time.
    retires: bool,
    /// The folders of those that were forgotten since [`Self::take_retired`].
    retired: Vec<String>,
    /// `writes` at the last flush.
    flushed: u64,
}

impl Streams {
    pub fn new(layout: Layout, recovered: &Recovered, limits: &Limits, retires: bool) -> Self {
        let mut streams = Self {
            list: vec![Stream::new("", &recovered.plain, &layout)],
            by_destination: HashMap::new(),
            journal: Journal::new(layout.root.path(), &layout.naming),
            layout,
            buffered: 0,
            buffer_bytes: limits.sink_buffer_bytes,
            open: 0,
            open_files: limits.open_files.max(1),
            most: limits.destinations,
            writes: 0,
            hidden_since: None,
            retires,
            retired: Vec::new(),
            flushed: 0,
        };
        for (destination, start) in &recovered.destinations {
            streams.add(destination, start);
        }
        streams
    }

    /// Has files of another form from now on.
    #[cfg(test)]
    pub fn set_format(&mut self, format: Box<dyn sluicegate_format::FileFormat>) {
        self.layout.format = format;
    }

    fn add(&mut self, destination: &str, start: &Start) -> usize {
        self.list.push(Stream::new(destination, start, &self.layout));
        self.by_destination.insert(destination.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }

    /// The stream of a destination; `None` when it cannot be a folder.
    ///
    /// # Errors
    /// `Sink` when it is one too many.
    pub fn find(&mut self, destination: &str) -> Result<Option<usize>> {
        if let Some(&stream) = self.by_destination.get(destination) {
            return Ok(Some(stream));
        }
        if !is_folder(destination) {
            return Ok(None);
        }
        if self.by_destination.len() >= self.most {
            return Err(destination::too_many(self.most));
        }
        let next = match self.retires {
            true => retired::next_number(&self.layout.folder(destination), &self.layout.naming)?,
            false => None,
        };
        let start = next.map_or_else(Start::new, |number| Start { number, ..Start::new() });
        Ok(Some(self.add(destination, &start)))
    }

    /// The folders of the streams that were forgotten since the last call.
    pub fn take_retired(&mut self) -> Vec<String> {
        std::mem::take(&mut self.retired)
    }

    /// Completes the files of the streams that were written to longest ago, and forgets them, so that there is room for as many new ones.
    /// What no checkpoint names yet stays: a start after a crash would take its files for new ones.
    fn retire(&mut self) -> Result<()> {
        let excess = self.by_destination.len().saturating_sub(self.most / 2);
        if !self.retires || excess == 0 {
            return Ok(());
        }
        let mut idle: Vec<usize> = (PLAIN + 1..self.list.len())
            .filter(|number| self.list[*number].used <= self.flushed && !self.journal.holds(&self.list[*number].destination))
            .collect();
        idle.sort_by_key(|number| self.list[*number].used);
        idle.truncate(excess);
        for number in &idle {
            let stream = &mut self.list[*number];
            if stream.has_begun() {
                self.open -= usize::from(stream.is_open());
                stream.roll(&self.layout)?;
            }
            if stream.recorded {
                retired::note(&self.layout.folder(&stream.destination), &self.layout.naming, stream.number)?;
            }
            self.retired.push(stream.destination.clone());
        }
        let mut number = 0;
        self.list.retain(|_| {
            number += 1;
            !idle.contains(&(number - 1))
        });
        self.by_destination = self.list.iter().enumerate().skip(1).map(|(number, stream)| (stream.destination.clone(), number)).collect();
        Ok(())
    }

    /// Lets `write` append a record to a stream's buffer, and ends its line. Answers its bytes; 0 when `write` answers that there is
    /// none. [`Self::settle`] has to follow, or [`Self::undo`].
    #[inline]
    pub fn append(&mut self, stream: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<bool>) -> Result<usize> {
        let stream = &mut self.list[stream];
        let before = stream.buffer.len();
        if !write(&mut stream.buffer)? {
            return Ok(0);
        }
        self.layout.format.end_record(&mut stream.buffer);
        stream.records += 1;
        let bytes = stream.buffer.len() - before;
        self.buffered += bytes;
        Ok(bytes)
    }

    /// Sees to it that the stream's file begins with `header`: one that begins otherwise is ended.
    pub fn begin_with(&mut self, stream: usize, header: &[u8]) -> Result<()> {
        if self.list[stream].header == header {
            return Ok(());
        }
        self.write_out(stream)?;
        let stream = &mut self.list[stream];
        if stream.has_begun() {
            self.open -= usize::from(stream.is_open());
            stream.roll(&self.layout)?;
        }
        stream.header = header.to_vec();
        Ok(())
    }

    /// Where an encoder gives records of a stream.
    pub fn appending<'a>(&'a mut self, stream: usize, written: &'a mut Written) -> Appending<'a> {
        let whole = self.list[stream].buffer.len();
        Appending { streams: self, stream, whole, written }
    }

    /// Takes back the last record appended, of so many bytes, if there was one.
    pub fn undo(&mut self, stream: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let stream = &mut self.list[stream];
        stream.buffer.truncate(stream.buffer.len() - bytes);
        stream.records -= 1;
        self.buffered -= bytes;
    }

    /// Writes what has become too much: of this stream, or of all.
    #[inline]
    pub fn settle(&mut self, stream: usize) -> Result<()> {
        if self.list[stream].buffer.len() >= self.list[stream].room {
            self.write_out(stream)?;
        }
        if self.buffered >= self.buffer_bytes { self.write_all() } else { Ok(()) }
    }

    fn write_all(&mut self) -> Result<()> {
        (0..self.list.len()).try_for_each(|stream| self.write_out(stream))?;
        if self.layout.zstd.is_none() {
            self.hidden_since = None;
        }
        Ok(())
    }

    /// Ends a batch that came at `came`: shows what was hidden for too long. A stream of batches that fills the buffers in less
    /// time is written in whole buffers.
    pub fn end_batch(&mut self, came: Instant) -> Result<()> {
        if self.buffered > 0 || self.layout.zstd.is_some() {
            self.hidden_since.get_or_insert(came);
        }
        self.show_after(if self.layout.zstd.is_some() { COMPRESSED_VISIBLE_WITHIN } else { VISIBLE_WITHIN })
    }

    /// No further batch waits: shows what is hidden.
    pub fn idle(&mut self) -> Result<()> {
        self.show_after(if self.layout.zstd.is_some() { COMPRESSED_VISIBLE_WITHIN } else { Duration::ZERO })
    }

    fn show_after(&mut self, patience: Duration) -> Result<()> {
        if self.hidden_since.is_none_or(|since| since.elapsed() < patience) {
            return Ok(());
        }
        self.write_all()?;
        for stream in self.list.iter_mut().filter(|stream| stream.is_open()) {
            stream.show(&self.layout)?;
            self.open -= usize::from(!stream.is_open());
        }
        self.hidden_since = None;
        Ok(())
    }

    /// Gives a stream's buffer to its file.
    fn write_out(&mut self, number: usize) -> Result<()> {
        let stream = &self.list[number];
        if stream.buffer.is_empty() {
            return Ok(());
        }
        self.buffered -= stream.buffer.len();
        if !stream.is_open() {
            self.layout.root.check()?;
            self.make_room()?;
            self.record(number)?;
            self.list[number].open(&self.layout)?;
            self.open += 1;
        }
        self.writes += 1;
        let stream = &mut self.list[number];
        stream.used = self.writes;
        stream.write_out(&self.layout, 2 * self.buffer_bytes)?;
        self.open -= usize::from(!stream.is_open());
        Ok(())
    }

    /// Closes the file that was written longest ago when there are as many as there may be.
    fn make_room(&mut self) -> Result<()> {
        if self.open < self.open_files {
            return Ok(());
        }
        if let Some(stream) = self.list.iter_mut().filter(|s| s.is_open()).min_by_key(|s| s.used) {
            stream.close(&self.layout)?;
            self.open -= 1;
        }
        Ok(())
    }

    /// Sees to it that a crash finds the files of a new destination, before there are any.
    fn record(&mut self, number: usize) -> Result<()> {
        let stream = &mut self.list[number];
        if !stream.recorded {
            recovery::refuse_others(&self.layout.folder(&stream.destination), &self.layout.naming, stream.number)?;
            self.journal.add(&stream.destination)?;
            stream.recorded = true;
        }
        Ok(())
    }

    /// Closes for good what is older than it may get.
    pub fn roll_aged(&mut self) -> Result<()> {
        if self.layout.roll.every.is_none() {
            return Ok(());
        }
        let now = now_us();
        for number in 0..self.list.len() {
            if self.list[number].aged(&self.layout, now) {
                self.write_out(number)?;
                // writing may have filled and rolled it
                let stream = &mut self.list[number];
                if stream.aged(&self.layout, now) {
                    self.open -= usize::from(stream.is_open());
                    stream.roll(&self.layout)?;
                }
            }
        }
        Ok(())
    }

    /// Makes everything durable, and answers what the checkpoint has to keep.
    pub fn flush(&mut self) -> Result<State> {
        self.write_all()?;
        for stream in &mut self.list {
            let open = stream.is_open();
            stream.sync(&self.layout)?;
            stream.roll_full(&self.layout)?;
            if self.layout.format.durable() == Durable::AtEnd && stream.has_begun() {
                stream.roll(&self.layout)?;
            }
            self.open -= usize::from(open && !stream.is_open());
        }
        self.hidden_since = None;
        self.roll_aged()?;
        // also where all files were complete
        self.layout.root.check()?;
        self.journal.settle()?;
        self.retire()?;
        self.flushed = self.writes;
        let plain = self.list[PLAIN].place(&self.layout);
        let places = self.list.iter_mut().skip(1).filter(|s| s.recorded);
        Ok(State { plain, destinations: places.map(|s| (s.destination.clone(), s.place(&self.layout))).collect() })
    }
}

/// The records of one call of an encoder, on their way into a stream.
pub(super) struct Appending<'a> {
    streams: &'a mut Streams,
    stream: usize,
    /// How much of the stream's buffer are whole records.
    whole: usize,
    written: &'a mut Written,
}

impl Appending<'_> {
    /// Forgets a record that was begun.
    pub fn undo(&mut self) {
        self.streams.list[self.stream].buffer.truncate(self.whole);
    }
}

impl Records for Appending<'_> {
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.streams.list[self.stream].buffer
    }

    fn end(&mut self, changes: usize) -> Result<()> {
        let Streams { list, layout, buffered, .. } = &mut *self.streams;
        let stream = &mut list[self.stream];
        layout.format.end_record(&mut stream.buffer);
        stream.records += 1;
        let bytes = stream.buffer.len() - self.whole;
        *buffered += bytes;
        self.written.changes += changes;
        self.written.records += 1;
        self.written.bytes += bytes;
        self.streams.settle(self.stream)?;
        self.whole = self.streams.list[self.stream].buffer.len();
        Ok(())
    }

    fn pass(&mut self, changes: usize) -> Result<()> {
        self.written.changes += changes;
        Ok(())
    }
}
