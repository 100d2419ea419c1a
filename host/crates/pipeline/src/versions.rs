//! Copies of the components that run and that ran before, beside the checkpoint, so that a rollback can bring the previous
//! version back, also after a restart.
//!
//! A plugin's own file is no such copy: whoever deploys a version overwrites it. There are two files for a plugin,
//! `NAME.running.wasm` and `NAME.previous.wasm`, and a third, `NAME.coming.wasm`, while a swap is under way.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};
use sluicegate_plugin_host as plugin;
use sluicegate_storage::{file, folder};

const RUNNING: &str = ".running.wasm";
const PREVIOUS: &str = ".previous.wasm";
const COMING: &str = ".coming.wasm";

/// The folder of one pipeline's copies. The lock on the checkpoint keeps other processes off.
pub(super) struct Versions {
    folder: PathBuf,
}

impl Versions {
    /// The folder beside the checkpoint `state`; made when the first copy comes.
    pub fn beside(state: &Path) -> Self {
        let mut name = state.file_stem().unwrap_or_default().to_owned();
        name.push("-plugins");
        Self { folder: state.with_file_name(name) }
    }

    fn path(&self, plugin: &str, kind: &str) -> PathBuf {
        self.folder.join(format!("{plugin}{kind}"))
    }

    /// At the start: `bytes` are what runs as `plugin`. What ran last, if it was another version, becomes the previous one.
    /// Answers the SHA-256 of the previous one.
    pub fn settle(&self, plugin: &str, bytes: &[u8]) -> Result<Option<String>> {
        let running = self.path(plugin, RUNNING);
        let settle = || -> io::Result<()> {
            match file::read(&running, bytes.len() as u64) {
                Ok(before) if before == bytes => return Ok(()),
                Ok(_) => fs::rename(&running, self.path(plugin, PREVIOUS))?,
                Err(e) if e.kind() == io::ErrorKind::FileTooLarge => fs::rename(&running, self.path(plugin, PREVIOUS))?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            folder::make(&self.folder)?;
            write(&self.path(plugin, COMING), bytes)?;
            fs::rename(self.path(plugin, COMING), &running)?;
            folder::sync(&self.folder)
        };
        settle().map_err(|e| self.fault(e))?;
        match hash(&self.path(plugin, PREVIOUS)) {
            Ok(hash) => Ok(Some(hash)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.fault(e)),
        }
    }

    /// Before a swap: stores what is to run. A crash leaves a file that the next swap overwrites.
    pub fn prepare(&self, plugin: &str, bytes: &[u8]) -> Result<()> {
        folder::make(&self.folder).and_then(|()| write(&self.path(plugin, COMING), bytes)).map_err(|e| self.fault(e))
    }

    /// After it: what ran is the previous version, and what was prepared runs. A crash in between is put right by
    /// [`Self::settle`].
    pub fn promote(&self, plugin: &str) -> Result<()> {
        let running = self.path(plugin, RUNNING);
        let promote = || {
            match fs::rename(&running, self.path(plugin, PREVIOUS)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            fs::rename(self.path(plugin, COMING), &running)?;
            folder::sync(&self.folder)
        };
        promote().map_err(|e| self.fault(e))
    }

    /// The bytes of what runs.
    pub fn running(&self, plugin: &str, limits: &Limits) -> Result<Option<Vec<u8>>> {
        self.read(plugin, RUNNING, limits)
    }

    /// The bytes that a rollback brings back.
    pub fn previous(&self, plugin: &str, limits: &Limits) -> Result<Option<Vec<u8>>> {
        self.read(plugin, PREVIOUS, limits)
    }

    fn read(&self, plugin: &str, kind: &str, limits: &Limits) -> Result<Option<Vec<u8>>> {
        let path = self.path(plugin, kind);
        if path.exists() { plugin::read(&path, limits).map(Some) } else { Ok(None) }
    }

    /// Removes the copies of plugins that are no longer there.
    pub fn keep_only(&self, plugins: &BTreeSet<&str>) -> Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(self.fault(e)),
        };
        for entry in entries {
            let path = entry.map_err(|e| self.fault(e))?.path();
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let plugin = [RUNNING, PREVIOUS, COMING].iter().find_map(|kind| name.strip_suffix(kind));
            if plugin.is_some_and(|plugin| !plugins.contains(plugin)) {
                fs::remove_file(&path).map_err(|e| self.fault(e))?;
            }
        }
        Ok(())
    }

    fn fault(&self, error: io::Error) -> Error {
        Error::new(ErrorKind::State, format!("the versions of the plugins cannot be kept in {}", self.folder.display()))
            .caused_by(error)
            .remedy("let the account that runs the pipeline write there, and see that its file system has room")
    }
}

/// Puts `bytes` in the place of the file at `path`, whole or not at all. What stands there by a link is replaced where the
/// link leads.
pub(super) struct Replacement {
    new: PathBuf,
    target: PathBuf,
}

impl Replacement {
    /// Writes the bytes beside the file; only renaming is left to do.
    pub fn prepare(path: &Path, bytes: &[u8]) -> Result<Self> {
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = std::ffi::OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".coming");
        let new = target.with_file_name(name);
        let written = write(&new, bytes).and_then(|()| match fs::metadata(&target) {
            Ok(data) => fs::set_permissions(&new, data.permissions()),
            Err(_) => Ok(()),
        });
        written.map_err(|e| stored(&target, e))?;
        Ok(Self { new, target })
    }

    /// Takes the file's place.
    pub fn commit(self) -> Result<()> {
        fs::rename(&self.new, &self.target).and_then(|()| folder::sync(folder::parent(&self.target))).map_err(|e| stored(&self.target, e))
    }

    /// Leaves the file as it is.
    pub fn abandon(self) {
        if let Err(error) = fs::remove_file(&self.new) {
            tracing::warn!(file = %self.new.display(), error = %error, "a file that is not needed cannot be removed");
        }
    }
}

fn stored(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::State, format!("the plugin file {} cannot be written", path.display()))
        .caused_by(error)
        .remedy("let the account that runs the pipeline write there, or install the file yourself: it is watched")
}

/// SHA-256 of a file, hexadecimal; of what it held when it was opened, should it grow.
fn hash(path: &Path) -> io::Result<String> {
    let file = file::open(path)?;
    let length = file.metadata()?.len();
    let mut hasher = Sha256::new();
    io::copy(&mut file.take(length), &mut hasher)?;
    Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Writes a file that is there after a power cut.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_plugin_host::sha256;

    fn previous(versions: &Versions) -> Option<Vec<u8>> {
        versions.previous("mask", &Limits::default()).unwrap()
    }

    #[test]
    fn one_version_before_is_kept_over_swaps_and_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let versions = Versions::beside(&folder.path().join("shop.db"));
        assert_eq!(versions.settle("mask", b"one").unwrap(), None);
        versions.prepare("mask", b"two").unwrap();
        assert_eq!(previous(&versions), None);
        versions.promote("mask").unwrap();
        assert_eq!(previous(&versions).unwrap(), b"one");
        // a restart with the same file, then one with a file that was changed meanwhile
        assert_eq!(versions.settle("mask", b"two").unwrap(), Some(sha256(b"one")));
        assert_eq!(versions.settle("mask", b"three").unwrap(), Some(sha256(b"two")));
        // a crash between the two renames of a swap
        versions.prepare("mask", b"four").unwrap();
        fs::rename(versions.path("mask", RUNNING), versions.path("mask", PREVIOUS)).unwrap();
        assert_eq!(versions.settle("mask", b"four").unwrap(), Some(sha256(b"three")));
        assert_eq!(fs::read_dir(folder.path().join("shop-plugins")).unwrap().count(), 2);
        // a shorter one
        assert_eq!(versions.settle("mask", b"5").unwrap(), Some(sha256(b"four")));
        versions.keep_only(&BTreeSet::from(["filter"])).unwrap();
        assert_eq!(previous(&versions), None);
    }

    #[test]
    fn a_file_is_replaced_whole_where_its_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("mask-1.wasm"), folder.path().join("mask.wasm"));
        fs::write(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Replacement::prepare(&link, b"two").unwrap().abandon();
        assert_eq!(fs::read(&link).unwrap(), b"one");
        Replacement::prepare(&link, b"two").unwrap().commit().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
