//! Folders that have to be there after a power cut.

use std::{
    fs::{self, File},
    io,
    path::Path,
};

/// The folder that `path` stands in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes `folder` and its missing parents, and syncs each folder that got a new entry, so that they outlive a power cut.
pub fn make(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let above = parent(folder);
    if above != folder {
        make(above)?;
    }
    match fs::create_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(e) => Err(e),
        Ok(()) => sync(above),
    }
}

/// Syncs the entries of a folder: a new file is only there after a power cut when its folder was synced too.
pub fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
