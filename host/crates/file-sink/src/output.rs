//! One open file: plain bytes, or zstd frames.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

use sluicegate_storage::file::{Whereabouts, whereabouts};

/// The file being written. What is given to a plain one can be read at once, what is given to a compressed one after
/// [`Output::flush`]; only [`Output::sync`] makes it durable.
pub(super) struct Output {
    file: File,
    /// Length on disk.
    bytes: u64,
    frames: Option<Frames>,
}

/// The zstd encoder. A frame is ended at each sync, so a file that is cut to a synced length is whole.
struct Frames {
    encoder: Encoder<'static>,
    out: Vec<u8>,
    /// Whether a frame has been begun.
    open: bool,
    /// Whether a reader has to wait for something that the encoder holds.
    held: bool,
}

impl Output {
    /// Goes on in `file`, which holds `bytes` bytes and is appended to; compressed at the level, if any.
    pub fn new(file: File, bytes: u64, zstd: Option<i32>) -> io::Result<Self> {
        let frames = match zstd {
            None => None,
            Some(level) => {
                let mut encoder = Encoder::new(level)?;
                encoder.set_parameter(CParameter::ChecksumFlag(true))?;
                Some(Frames { encoder, out: Vec::with_capacity(64 << 10), open: false, held: false })
            }
        };
        Ok(Self { file, bytes, frames })
    }

    /// Bytes on disk so far. What the compressor still holds is not counted.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes whole records.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        let Some(frames) = &mut self.frames else {
            self.file.write_all(data)?;
            self.bytes += data.len() as u64;
            return Ok(());
        };
        let mut input = InBuffer::around(data);
        while input.pos() < data.len() {
            (frames.open, frames.held) = (true, true);
            frames.out.clear();
            frames.encoder.run(&mut input, &mut OutBuffer::around(&mut frames.out))?;
            self.file.write_all(&frames.out)?;
            self.bytes += frames.out.len() as u64;
        }
        Ok(())
    }

    /// Lets readers see everything written so far: ends the compressed block, but not the frame, which a later block refers to.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(frames) = self.frames.as_mut().filter(|f| f.held) {
            self.bytes += frames.drain(&mut self.file, |encoder, out| encoder.flush(out))?;
            frames.held = false;
        }
        Ok(())
    }

    /// Ends the frame, and returns when everything is on disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(frames) = self.frames.as_mut().filter(|f| f.open) {
            self.bytes += frames.drain(&mut self.file, |encoder, out| encoder.finish(out, true))?;
            frames.encoder.reinit()?;
            (frames.open, frames.held) = (false, false);
        }
        self.file.sync_data()
    }

    /// The length that the file has, if it is not the one that was written: somebody else cut it, or added to it.
    pub fn other_length(&self) -> io::Result<Option<u64>> {
        let length = self.file.metadata()?.len();
        Ok((length != self.bytes).then_some(length))
    }

    /// Where the file is now that was opened as `path`.
    pub fn whereabouts(&self, path: &Path) -> io::Result<Whereabouts> {
        whereabouts(&self.file, path)
    }
}

impl Frames {
    /// Writes what `step` brings out of the encoder until it has nothing left. Answers the bytes.
    fn drain(
        &mut self,
        file: &mut File,
        step: impl Fn(&mut Encoder<'static>, &mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
    ) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            self.out.clear();
            let left = step(&mut self.encoder, &mut OutBuffer::around(&mut self.out))?;
            file.write_all(&self.out)?;
            bytes += self.out.len() as u64;
            if left == 0 {
                return Ok(bytes);
            }
        }
    }
}
