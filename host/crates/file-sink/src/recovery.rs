//! Opening: brings the folder back to what the checkpoint says is durable.

use std::{
    fs, io, iter,
    path::{Path, PathBuf},
};

use super::{
    fault,
    journal::Journal,
    naming::{Naming, is_folder},
    place::{self, Place, Start, State, cut},
    remove_file, retired,
    root::{begin_there, lock_path},
};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::{Lock, LockFault, file, folder};

/// Where writing goes on.
pub(super) struct Recovered {
    /// The records without a destination.
    pub plain: Start,
    /// Those with one.
    pub destinations: Vec<(String, Start)>,
    /// Keeps other processes off the files.
    pub lock: Lock,
    /// While this file exists, no checkpoint names any of our files, so a start removes them.
    pub uncommitted: Option<PathBuf>,
}

/// Looks whether the folder still holds what `state` says is durable. Changes nothing.
pub(super) fn look(root: &Path, state: Option<&str>) -> Result<()> {
    let Some((state, written)) = state.map(parse).transpose()? else { return Ok(()) };
    refuse_another_folder(root, &state, &written)?;
    let destinations = state.destinations.iter().map(|(destination, place)| (root.join(destination), place));
    for (folder, place) in iter::once((root.to_owned(), &state.plain)).chain(destinations) {
        let path = folder.join(&place.file);
        match fs::metadata(&path) {
            Ok(file) if file.len() < place.bytes => return Err(place::shorter(&path, file.len(), place.bytes)),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fault(&path, "the file's length cannot be read", e)),
            // one that is missing was taken away by its reader, or is the next one
            _ => {}
        }
    }
    Ok(())
}

/// Makes everything undone that was written after `state`, and says where to go on.
pub(super) fn recover(root: &Path, naming: &Naming, state: Option<&str>) -> Result<Recovered> {
    let state = state.map(parse).transpose()?;
    if let Some((state, written)) = &state {
        refuse_another_folder(root, state, written)?;
    }
    folder::make(root).map_err(|e| fault(root, "the folder cannot be made", e).not_ready())?;
    let lock = lock(root, naming)?;
    let mut plain = Start::new();
    let mut destinations = Vec::new();
    if let Some((state, written)) = &state {
        plain = restore(root, naming, &state.plain, written)?;
        for (destination, place) in &state.destinations {
            destinations.push((destination.clone(), restore(&root.join(destination), naming, place, written)?));
        }
    }
    let marker = root.join(format!(".{}.uncommitted", naming.prefix));
    let known = state.as_ref().is_some_and(|(_, written)| written.prefix == naming.prefix);
    if !known && !marker.try_exists().map_err(|e| fault(root, "the folder cannot be read", e))? {
        // files of a checkpoint that was lost: nothing may be removed
        refuse_others(root, naming, 0)?;
        for destination in Journal::new(root, naming).read()? {
            let folder = root.join(destination);
            refuse_others(&folder, naming, first_new(&folder, naming)?)?;
        }
    }
    undo_new(root, naming, state.as_ref())?;
    if let Some((_, written)) = state.as_ref().filter(|(_, written)| written.prefix != naming.prefix) {
        undo_new(root, written, state.as_ref())?;
    }
    if known {
        remove_file(&marker)?;
    } else {
        begin(root, naming, &marker)?;
    }
    plain.recorded = true; // by the marker, if not by the state
    folder::sync(root).map_err(|e| fault(root, "the folder cannot be synced", e))?;
    Ok(Recovered { plain, destinations, lock, uncommitted: (!known).then_some(marker) })
}

/// Makes sure that the folder is the one that `state` speaks of, if it does not hold the files that the state names. Files may
/// have been taken away, but the lock file is always there; without it, the file system may just not be mounted.
fn refuse_another_folder(root: &Path, state: &State, written: &Naming) -> Result<()> {
    let lock = lock_path(root, written);
    let there = |path: &Path| path.try_exists().map_err(|e| fault(path, "it cannot be told whether the file is there", e));
    if there(&lock)? {
        return Ok(());
    }
    let destinations = state.destinations.iter().map(|(destination, place)| (root.join(destination), place));
    for (folder, place) in iter::once((root.to_owned(), &state.plain)).chain(destinations) {
        let path = folder.join(&place.file);
        if place.bytes > 0 && !there(&path)? {
            let what = format!(
                "{} is missing, although the checkpoint says that {} bytes of it are durable, and so is {}: this is not the folder \
                 that the sink wrote to",
                path.display(),
                place.bytes,
                lock.display()
            );
            return Err(another_folder(root, &lock, what));
        }
    }
    // nothing durable in the newest files: complete ones may be gone, but then the lock file is there
    let has_written = iter::once(&state.plain).chain(state.destinations.values()).any(|place| place.number > 1);
    let mut folders = iter::once(root.to_owned()).chain(state.destinations.keys().map(|destination| root.join(destination)));
    let is_empty = |folder: &Path| Ok(list(folder, |n, _| n.prefix == written.prefix)?.is_empty());
    if has_written && folders.try_fold(true, |empty, folder| Ok::<_, Error>(empty && is_empty(&folder)?))? {
        let what = format!(
            "{} holds none of the files that were written before, and {} is missing: this is not the folder that the sink wrote to",
            root.display(),
            lock.display()
        );
        return Err(another_folder(root, &lock, what));
    }
    Ok(())
}

fn another_folder(root: &Path, lock: &Path, what: String) -> Error {
    Error::new(ErrorKind::Sink, what).remedy(format!("mount its file system, or set `folder` back; {}", begin_there(root, lock)))
}

/// Removes the files of the prefix from destinations that its journal names, but not the state: they were begun after it.
fn undo_new(root: &Path, naming: &Naming, state: Option<&(State, Naming)>) -> Result<()> {
    let journal = Journal::new(root, naming);
    let known = |destination: &str| {
        state.is_some_and(|(state, written)| written.prefix == naming.prefix && state.destinations.contains_key(destination))
    };
    for destination in journal.read()?.iter().filter(|d| !known(d)) {
        let folder = root.join(destination);
        let first = first_new(&folder, naming)?;
        remove(&folder, |n, number| n.prefix == naming.prefix && number >= first)?;
        if folder.is_dir() {
            folder::sync(&folder).map_err(|e| fault(&folder, "the folder cannot be synced", e))?;
        }
    }
    journal.clear()
}

/// The number of the first file in a folder that the checkpoint does not name which came after it.
fn first_new(folder: &Path, naming: &Naming) -> Result<u64> {
    Ok(retired::next_number(folder, naming)?.unwrap_or_default())
}

/// Brings one stream's folder back to its place. `written` is how the files of the place were called, which may have been
/// changed since.
fn restore(folder: &Path, naming: &Naming, place: &Place, written: &Naming) -> Result<Start> {
    // with nothing durable in the place's file, one of the same number but other compression came after it, too
    let from = if place.bytes == 0 { place.number } else { place.number.saturating_add(1) };
    remove(folder, |n, number| n.prefix == written.prefix && number >= from)?;
    let recorded = written.prefix == naming.prefix;
    let fresh = Start { number: place.number, recorded, ..Start::new() };
    if place.bytes == 0 {
        return Ok(fresh);
    }
    let path = folder.join(&place.file);
    let gone = cut(&path, place.bytes)?.is_none();
    if gone {
        // a removed file cannot be put back, and what came after its durable bytes comes again
        tracing::error!(
            file = %path.display(), bytes = place.bytes, records = place.records,
            "the file that was written to is missing, with these records; writing goes on in the next file. If it was moved away, \
             cut it to these bytes: the changes behind them are written again"
        );
    }
    if gone || written != naming {
        // or the prefix or the compression was changed: the old file is complete as it is
        return Ok(Start { number: place.number + 1, ..fresh });
    }
    Ok(Start { bytes: place.bytes, records: place.records, opened_us: place.opened_us, ..fresh })
}

pub(super) fn lock(folder: &Path, naming: &Naming) -> Result<Lock> {
    let path = lock_path(folder, naming);
    Lock::take(&path).map_err(|e| match e {
        LockFault::Held(pid) => Error::new(
            ErrorKind::Sink,
            format!("the files {} in {} are written{} already", naming.file_pattern(), folder.display(), LockFault::holder(pid)),
        )
        .remedy("give each file sink a `folder` or `prefix` of its own, or stop the other process"),
        LockFault::Io(e) => fault(&path, "the lock file cannot be used", e),
    })
}

/// Whether a sink of this kind wrote the state.
pub(super) fn reads(text: &str) -> bool {
    parse(text).is_ok()
}

fn parse(text: &str) -> Result<(State, Naming)> {
    let bad = || {
        Error::new(ErrorKind::State, "the checkpoint holds a state that no file sink wrote").remedy(
            "set the sink's kind back; or begin it anew: `sluicegate checkpoint drop --force` it and give it a `start`, which may lose changes",
        )
    };
    let state: State = serde_json::from_str(text).map_err(|e| bad().caused_by(e))?;
    let (naming, _) = Naming::parse(&state.plain.file).ok_or_else(bad)?;
    // half of all numbers: whatever is counted on from there stays one
    let counts = |place: &Place| place.number <= u64::MAX / 2 && place.records <= u64::MAX / 2;
    let fits = |place: &Place| counts(place) && !place.file.contains('/') && place.file == naming.file(place.number);
    if fits(&state.plain) && state.destinations.iter().all(|(destination, place)| is_folder(destination) && fits(place)) {
        Ok((state, naming))
    } else {
        Err(bad())
    }
}

/// Begins with a prefix that no checkpoint knows yet. Files under it are left over from a start that was cut short before
/// its first checkpoint, if the marker is there; otherwise they are somebody else's.
fn begin(folder: &Path, naming: &Naming, marker: &Path) -> Result<()> {
    if marker.try_exists().map_err(|e| fault(folder, "the folder cannot be read", e))? {
        return remove(folder, |n, _| n.prefix == naming.prefix);
    }
    refuse_others(folder, naming, 0)?;
    file::make(marker).and_then(|f| f.sync_all()).map_err(|e| fault(marker, "the file cannot be made", e))
}

/// Makes sure that there are no files of the sink's prefix, from number `first` on, in a folder that it does not know yet.
pub(super) fn refuse_others(folder: &Path, naming: &Naming, first: u64) -> Result<()> {
    let first = if first == 1 { 0 } else { first };
    match list(folder, |n, number| n.prefix == naming.prefix && number >= first)?.into_iter().min() {
        None => Ok(()),
        Some(found) => {
            Err(Error::new(ErrorKind::Sink, format!("{} is there already, but the checkpoint knows nothing of it", found.display()))
                .remedy("move the files of an earlier run away, set another `folder` or `prefix`, or put that run's checkpoint back"))
        }
    }
}

/// The folder's files that bear one of our names and are `wanted`; none if there is no such folder.
fn list(folder: &Path, wanted: impl Fn(&Naming, u64) -> bool) -> Result<Vec<PathBuf>> {
    let cannot_read = |e| fault(folder, "the folder cannot be read", e);
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other.map_err(cannot_read)?,
    };
    for entry in entries {
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
