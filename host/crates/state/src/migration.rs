//! From version 1 of the checkpoint to version 2.
//!
//! Version 1 had one row a sink, with a position of the pipeline's only lane and a count of changes. The position becomes the
//! lane's offset; the count goes, because it identified nothing. The file as it was stays beside the new one as `FILE.v1`: an older
//! program refuses version 2.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use rusqlite::{Connection, Row};

use super::{Progress, checkpoint};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Lane, Offset},
};
use sluicegate_storage::folder;

/// A sink's row in version 1.
struct Stored {
    name: String,
    sequence: i64,
    position: String,
    state: String,
    checksum: u32,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored { name: row.get(0)?, sequence: row.get(1)?, position: row.get(2)?, state: row.get(3)?, checksum: row.get(4)? })
}

/// What version 1 says of every sink.
pub(super) fn read(connection: &Connection, path: &Path) -> Result<Vec<(String, Progress)>> {
    let rows = || {
        let mut statement = connection.prepare("SELECT name, sequence, position, state, checksum FROM sink ORDER BY name")?;
        statement.query_map([], stored)?.collect::<rusqlite::Result<Vec<_>>>()
    };
    let rows = rows().map_err(|e| checkpoint::fault(path, "cannot be read", e))?;
    rows.into_iter().map(|row| row.progress(path)).collect()
}

impl Stored {
    fn progress(self, path: &Path) -> Result<(String, Progress)> {
        if self.checksum != checksum(&self.name, self.sequence, &self.position, &self.state) {
            return Err(checkpoint::altered(path, &self.name));
        }
        let frontier = Frontier::of(lane(&self.position, path)?, Offset::from_json(self.position));
        Ok((self.name, Progress { frontier, state: self.state }))
    }
}

/// The only lane of the source that wrote a position. There were two sources, and a position's members tell them apart.
fn lane(position: &str, path: &Path) -> Result<Lane> {
    let members: serde_json::Value = serde_json::from_str(position).map_err(|e| checkpoint::damaged(path).caused_by(e))?;
    match (members.get("flavor"), members.get("seed")) {
        (Some(_), _) => Ok(Lane::new("binlog")),
        (_, Some(_)) => Ok(Lane::new("generator")),
        _ => Err(checkpoint::damaged(path)),
    }
}

/// Version 1's checksum: CRC-32 over the fields, each behind its length.
fn checksum(name: &str, sequence: i64, position: &str, state: &str) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&sequence.to_le_bytes());
    for field in [name, position, state] {
        crc.update(&(field.len() as u64).to_le_bytes());
        crc.update(field.as_bytes());
    }
    crc.finalize()
}

/// Keeps the file as it is beside itself, once. What SQLite holds in its log is brought into the file first.
pub(super) fn keep(connection: &Connection, path: &Path) -> Result<()> {
    let mut kept = path.as_os_str().to_owned();
    kept.push(".v1");
    let kept = PathBuf::from(kept);
    let cannot = |e: std::io::Error| {
        Error::new(ErrorKind::State, format!("the checkpoint cannot be kept as {} before it gets its new form", kept.display()))
            .caused_by(e)
            .remedy("let the account that runs the pipeline write there, and free space if there is none; nothing was changed")
    };
    if kept.try_exists().map_err(cannot)? {
        return Ok(());
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(|e| checkpoint::fault(path, "cannot be read", e))?;
    // under another name first, so that a crash leaves no half copy under the right one
    let mut half = kept.as_os_str().to_owned();
    half.push(".new");
    let half = PathBuf::from(half);
    fs::copy(path, &half).and_then(|_| File::open(&half)?.sync_all()).map_err(cannot)?;
    fs::rename(&half, &kept).and_then(|()| folder::sync(folder::parent(path))).map_err(cannot)
}
