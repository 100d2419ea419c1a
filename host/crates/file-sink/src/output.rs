//! One open file: plain bytes, or zstd frames.

use std::{
    fs::File,
    io::{self, Write},
};

use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// The file being written. What is given to it goes to the operating system at once; only [`Output::sync`] makes it durable.
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
}

impl Output {
    /// Goes on in `file`, which holds `bytes` bytes and stands at its end; compressed at the level, if any.
    pub fn new(file: File, bytes: u64, zstd: Option<i32>) -> io::Result<Self> {
        let frames = match zstd {
            None => None,
            Some(level) => {
                let mut encoder = Encoder::new(level)?;
                encoder.set_parameter(CParameter::ChecksumFlag(true))?;
                Some(Frames { encoder, out: Vec::with_capacity(64 << 10), open: false })
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
            frames.open = true;
            frames.out.clear();
            frames.encoder.run(&mut input, &mut OutBuffer::around(&mut frames.out))?;
            self.file.write_all(&frames.out)?;
            self.bytes += frames.out.len() as u64;
        }
        Ok(())
    }

    /// Ends the frame, and returns when everything is on disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if let Some(frames) = self.frames.as_mut().filter(|f| f.open) {
            loop {
                frames.out.clear();
                let left = frames.encoder.finish(&mut OutBuffer::around(&mut frames.out), true)?;
                self.file.write_all(&frames.out)?;
                self.bytes += frames.out.len() as u64;
                if left == 0 {
                    break;
                }
            }
            frames.encoder.reinit()?;
            frames.open = false;
        }
        self.file.sync_data()
    }
}
