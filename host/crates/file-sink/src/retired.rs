//! Folders that the checkpoint has forgotten, because the path template gives new ones with the time: a hidden file in each says which
//! number its next file has. All files below that number are complete.

use std::{fs, io, io::Write as _, path::Path};

use super::{fault, naming::Naming, remove_file};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::{file, folder};

/// The longest number, with its line end.
const MOST_BYTES: u64 = 21;

fn path(of: &Path, naming: &Naming) -> std::path::PathBuf {
    of.join(format!(".{}.next", naming.prefix))
}

/// The number of the next file of a folder that was forgotten; `None`: it was not.
pub(super) fn next_number(of: &Path, naming: &Naming) -> Result<Option<u64>> {
    let path = path(of, naming);
    let bytes = match file::read(&path, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fault(&path, "the file cannot be read", e)),
    };
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim_end().parse().ok()).filter(|number| *number <= u64::MAX / 2);
    number.map(Some).ok_or_else(|| {
        Error::new(ErrorKind::Sink, format!("{} does not hold what a file sink writes there", path.display()))
            .remedy("move the folder's files and this one away, then start again: nothing is lost")
    })
}

/// Notes, durably, which number the next file has. A folder that was removed with its files needs no note: it begins anew.
pub(super) fn note(of: &Path, naming: &Naming, number: u64) -> Result<()> {
    let path = path(of, naming);
    let new = path.with_extension("next-new");
    // left by a crash
    remove_file(&new)?;
    let write = || {
        let mut file = file::make(&new)?;
        file.write_all(format!("{number}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        folder::sync(of)
    };
    match write() {
        Err(e) if e.kind() == io::ErrorKind::NotFound && matches!(of.try_exists(), Ok(false)) => Ok(()),
        other => other.map_err(|e| fault(&new, "the file cannot be written", e)),
    }
}
