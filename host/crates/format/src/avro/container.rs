//! Avro's object container file: the schema, then blocks of records, each with a marker behind it by which a reader knows where it is
//! (Apache Avro specification, "Object Container Files").

use std::io::{self, Write};

use super::value::{bytes, long};

/// What a file begins with.
const MAGIC: [u8; 4] = *b"Obj\x01";
/// Bytes of the marker.
const MARKER: usize = 16;

/// A file of records.
pub struct AvroFile<W> {
    file: W,
    marker: [u8; MARKER],
    zstd: Option<i32>,
    written: u64,
}

impl<W: Write> AvroFile<W> {
    /// Begins a file of records of one schema. `marker` has to be another one for each file; `zstd`: the level of its compression, if there
    /// is any.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(file: W, schema: &[u8], marker: [u8; MARKER], zstd: Option<i32>) -> io::Result<Self> {
        let mut header = MAGIC.to_vec();
        let codec: &[u8] = if zstd.is_some() { b"zstandard" } else { b"null" };
        let metadata: [(&[u8], &[u8]); 2] = [(b"avro.schema", schema), (b"avro.codec", codec)];
        long(metadata.len() as i64, &mut header);
        for (name, value) in metadata {
            bytes(name, &mut header);
            bytes(value, &mut header);
        }
        // no further entries
        header.push(0);
        header.extend_from_slice(&marker);
        let mut begun = Self { file, marker, zstd, written: 0 };
        begun.write_all(&header)?;
        Ok(begun)
    }

    /// Writes so many records as a block.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&mut self, count: u64, records: &[u8]) -> io::Result<()> {
        let packed = self.zstd.map(|level| zstd::bulk::compress(records, level)).transpose()?;
        let content = packed.as_deref().unwrap_or(records);
        let mut front = Vec::new();
        long(count as i64, &mut front);
        long(content.len() as i64, &mut front);
        self.write_all(&front)?;
        self.write_all(content)?;
        self.write_all(&self.marker.clone())
    }

    /// Bytes that the file has so far.
    pub fn bytes(&self) -> u64 {
        self.written
    }

    /// The file, which is whole behind each block.
    pub fn end(self) -> W {
        self.file
    }

    fn write_all(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.written += data.len() as u64;
        Ok(())
    }
}
