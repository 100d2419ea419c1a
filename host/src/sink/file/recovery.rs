//! Opening: brings the folder back to what the checkpoint says is durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{fault, naming::Naming};
use crate::{
    Error, ErrorKind, Result,
    state::{Lock, LockFault, folder},
};

/// What the checkpoint keeps for a file sink. Files with a lower number are complete, and may be moved away; this one is
/// still written to, or comes next.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct State {
    /// The file's name in the folder.
    pub file: String,
    /// Its number.
    pub number: u64,
    /// Its durable length; 0 = it need not be there yet.
    pub bytes: u64,
    /// Records in it.
    pub records: u64,
    /// When it was begun, microseconds since 1970 UTC; 0 = not yet.
    #[serde(default)]
    pub opened_us: i64,
}

/// Where writing goes on.
pub(super) struct Recovered {
    /// Number of the file that is open or comes next.
    pub number: u64,
    /// The file to go on in, at its end, with its state.
    pub file: Option<(File, State)>,
    /// Keeps other processes off the files.
    pub lock: Lock,
    /// While this file exists, no checkpoint names any of our files: all of them were written in vain.
    pub uncommitted: Option<PathBuf>,
}

/// Makes everything undone that was written after `state`, and says where to go on.
pub(super) fn recover(folder: &Path, naming: &Naming, state: Option<&str>) -> Result<Recovered> {
    folder::make(folder).map_err(|e| fault(folder, "the folder cannot be made", e))?;
    let lock = lock(folder, naming)?;
    let mut recovered = Recovered { number: 1, file: None, lock, uncommitted: None };
    let known = match state {
        None => false,
        Some(text) => {
            let (state, written) = parse(text)?;
            // with nothing durable in the state's file, one of the same number but other compression came after it, too
            let from = if state.bytes == 0 { state.number } else { state.number.saturating_add(1) };
            remove(folder, |n, number| n.prefix == written.prefix && number >= from)?;
            let same = written == *naming;
            let known = written.prefix == naming.prefix;
            recovered.number = state.number;
            match cut(folder, &state)? {
                Some(file) if same => recovered.file = Some((file, state)),
                // the prefix or the compression was changed: the old file is complete as it is
                Some(_) => recovered.number = state.number + 1,
                None => {}
            }
            known
        }
    };
    let marker = folder.join(format!(".{}.uncommitted", naming.prefix));
    if known {
        remove_file(&marker)?;
    } else {
        begin(folder, naming, &marker)?;
        recovered.uncommitted = Some(marker);
    }
    folder::sync(folder).map_err(|e| fault(folder, "the folder cannot be synced", e))?;
    Ok(recovered)
}

fn lock(folder: &Path, naming: &Naming) -> Result<Lock> {
    let path = folder.join(format!(".{}.lock", naming.prefix));
    Lock::take(&path).map_err(|e| match e {
        LockFault::Held(pid) => Error::new(
            ErrorKind::Sink,
            format!("the files {} in {} are written{} already", naming.file_pattern(), folder.display(), LockFault::holder(pid)),
        )
        .remedy("give each file sink a `folder` or `prefix` of its own, or stop the other process"),
        LockFault::Io(e) => fault(&path, "the lock file cannot be used", e),
    })
}

fn parse(text: &str) -> Result<(State, Naming)> {
    let bad = || {
        Error::new(ErrorKind::State, "the checkpoint holds a state that no file sink wrote")
            .remedy("give a sink whose kind was changed a new `name`, or set its kind back")
    };
    let state: State = serde_json::from_str(text).map_err(|e| bad().caused_by(e))?;
    match Naming::parse(&state.file) {
        Some((naming, number)) if number == state.number && !state.file.contains('/') => Ok((state, naming)),
        _ => Err(bad()),
    }
}

/// Cuts the state's file to its durable length; `None` when nothing of it is durable.
fn cut(folder: &Path, state: &State) -> Result<Option<File>> {
    if state.bytes == 0 {
        return Ok(None);
    }
    let path = folder.join(&state.file);
    let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::new(
            ErrorKind::Sink,
            format!("{} is gone, but the checkpoint says that it is still written to, with {} bytes", path.display(), state.bytes),
        )
        .remedy("put the file back (only files with a lower number than the checkpoint's are complete and may be moved away)"),
        _ => fault(&path, "the file cannot be opened", e),
    })?;
    let length = file.metadata().map_err(|e| fault(&path, "the file's length cannot be read", e))?.len();
    if length < state.bytes {
        return Err(Error::new(
            ErrorKind::Sink,
            format!("{} holds {length} bytes, but the checkpoint says that {} are durable", path.display(), state.bytes),
        )
        .remedy("restore the file: somebody edited or replaced it, or the disk lost what it had confirmed"));
    }
    if length > state.bytes {
        tracing::info!(file = %path.display(), bytes = length - state.bytes, "cut off what was written after the checkpoint");
        file.set_len(state.bytes).and_then(|()| file.sync_all()).map_err(|e| fault(&path, "the file cannot be cut", e))?;
    }
    file.seek(SeekFrom::End(0)).map_err(|e| fault(&path, "the file cannot be used", e))?;
    Ok(Some(file))
}

/// Sets out with a prefix that no checkpoint knows yet. Files under it are left over from a start that was cut short before
/// its first checkpoint, if the marker is there; otherwise they are somebody else's.
fn begin(folder: &Path, naming: &Naming, marker: &Path) -> Result<()> {
    let cannot_read = |e| fault(folder, "the folder cannot be read", e);
    let ours = |n: &Naming, _| n.prefix == naming.prefix;
    if marker.try_exists().map_err(cannot_read)? {
        return remove(folder, ours);
    }
    if let Some(found) = list(folder, ours)?.into_iter().min() {
        return Err(Error::new(ErrorKind::Sink, format!("{} is there already, but the checkpoint knows nothing of it", found.display()))
            .remedy("move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back"));
    }
    File::create(marker).and_then(|f| f.sync_all()).map_err(|e| fault(marker, "the file cannot be made", e))
}

/// The folder's files that bear one of our names and are `wanted`.
fn list(folder: &Path, wanted: impl Fn(&Naming, u64) -> bool) -> Result<Vec<PathBuf>> {
    let cannot_read = |e| fault(folder, "the folder cannot be read", e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot_read)? {
        let entry = entry.map_err(cannot_read)?;
        if entry.file_name().to_str().and_then(Naming::parse).is_some_and(|(naming, number)| wanted(&naming, number)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

fn remove(folder: &Path, wanted: impl Fn(&Naming, u64) -> bool) -> Result<()> {
    for path in list(folder, wanted)? {
        tracing::info!(file = %path.display(), "removed: it was written after the checkpoint");
        remove_file(&path)?;
    }
    Ok(())
}

/// Removes a file that may be gone already.
pub(super) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(fault(path, "the file cannot be removed", e)),
        _ => Ok(()),
    }
}
