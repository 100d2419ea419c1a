//! The sink's folder as it was opened. Complete files may be taken out of it, but the folder itself has to stay: another one of the same
//! name may be an empty mount point, and nobody sees what is in that once the file system is mounted again.

use std::{
    fs::File,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{fault, naming::Naming};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_storage::file::{Whereabouts, whereabouts};

/// The folder of a sink.
pub(super) struct Root {
    path: PathBuf,
    folder: File,
    lock: PathBuf,
}

/// The lock file of a sink. It stays when the sink ends, so a folder without one is another folder.
pub(super) fn lock_path(root: &Path, naming: &Naming) -> PathBuf {
    root.join(format!(".{}.lock", naming.prefix))
}

/// How to begin in a folder that is not the one that was written to.
pub(super) fn begin_there(root: &Path, lock: &Path) -> String {
    format!("to go on in new files there, run `mkdir -p '{}' && touch '{}'`", root.display(), lock.display())
}

impl Root {
    /// The folder, which is there.
    pub fn open(path: PathBuf, naming: &Naming) -> Result<Self> {
        let folder = File::open(&path).map_err(|e| fault(&path, "the folder cannot be opened", e))?;
        let lock = lock_path(&path, naming);
        Ok(Self { path, folder, lock })
    }

    /// Whether its file system takes capital letters for small ones.
    pub fn ignores_case(&self) -> Result<bool> {
        let Some(name) = self.lock.file_name().map(|name| name.to_string_lossy().to_uppercase()) else { return Ok(false) };
        let other = self.path.join(name);
        if other == self.lock {
            return Ok(false);
        }
        let told = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino()));
        match (told(&self.lock), told(&other)) {
            (Ok(lock), Ok(other)) => Ok(lock == other),
            (_, Err(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
            (Err(e), _) | (_, Err(e)) => Err(fault(&self.path, "it cannot be told whether the file system ignores case", e)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether its path still leads to it.
    fn is_in_place(&self) -> Result<bool> {
        let now = whereabouts(&self.folder, &self.path).map_err(|e| fault(&self.path, "it cannot be told where the folder is", e))?;
        Ok(now == Whereabouts::InPlace)
    }

    fn remedy(&self) -> String {
        format!(
            "put the folder back, or mount its file system, and start again; {} and start again: what came after the last checkpoint is \
             then written again there, also where a file that was moved away holds it",
            begin_there(&self.path, &self.lock)
        )
    }

    /// Stops where the path leads to another folder, or to none.
    pub fn check(&self) -> Result<()> {
        if self.is_in_place()? {
            return Ok(());
        }
        let what = format!(
            "{} is no longer the folder that the sink began to write to: it was moved, removed, replaced or unmounted",
            self.path.display()
        );
        Err(Error::new(ErrorKind::Sink, what).remedy(self.remedy()))
    }

    /// The remedy for a file that is not in the folder any longer, where that is because of the folder.
    pub fn remedy_if_gone(&self) -> Result<Option<String>> {
        Ok((!self.is_in_place()?).then(|| self.remedy()))
    }
}
