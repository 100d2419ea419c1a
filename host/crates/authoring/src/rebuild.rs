//! Builds plugins again when their sources change, while a pipeline runs: the pipeline takes the new component as it takes any
//! other. For authors; a component that fails to build changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Instant, SystemTime},
};

use super::install;
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{SOURCE_ENTRIES, SOURCE_QUIET},
};
use sluicegate_storage::watch::{Changes, Watch, WatchFault};

/// What tools write while they build, or keep beside the sources.
const NOT_SOURCES: [&str; 4] = ["target", "node_modules", "venv", "__pycache__"];

/// The sources of a folder as they are now.
#[derive(Debug, Default, PartialEq)]
struct Sources {
    folders: BTreeSet<PathBuf>,
    /// Length and time of change.
    files: BTreeMap<PathBuf, (u64, Option<SystemTime>)>,
}

/// Builds the plugin in each folder now, and again whenever its sources have changed and are quiet. Lasts as long as the process;
/// the error is that of the first builds, or that a folder cannot be watched.
pub fn rebuild(folders: &[PathBuf]) -> Result<()> {
    for folder in folders {
        if !folder.is_dir() {
            return Err(Error::new(ErrorKind::Config, format!("{} is no folder", folder.display()))
                .remedy("give --watch-build the folder of a plugin's sources, as `sluicegate plugin new` makes it"));
        }
        let (wake, woken) = mpsc::sync_channel(1);
        let changes = Changes::default();
        // a full channel has been told already
        let watch = Watch::new(changes.clone(), move || {
            let _ = wake.try_send(());
        })
        .map_err(fault)?;
        let mut watched = Watched { folder: folder.clone(), watch, changes, built: Sources::default() };
        // before the build: what is changed during it is built after it
        watched.look()?;
        watched.build()?;
        thread::Builder::new()
            .name("rebuild".into())
            .spawn(move || watched.run(&woken))
            .map_err(|e| Error::new(ErrorKind::Internal, "the thread that builds plugins cannot be started").caused_by(e))?;
    }
    Ok(())
}

struct Watched {
    folder: PathBuf,
    watch: Watch,
    changes: Changes,
    /// The sources that were built last, or failed to.
    built: Sources,
}

impl Watched {
    fn run(mut self, woken: &mpsc::Receiver<()>) {
        while let Ok(()) = woken.recv() {
            self.changes.until_quiet(SOURCE_QUIET, |quiet_at| {
                while woken.recv_timeout(quiet_at.saturating_duration_since(Instant::now())).is_ok() {}
                true
            });
            let outcome = match self.look() {
                Ok(true) => self.build(),
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                tracing::error!(
                    folder = %self.folder.display(),
                    error = %error.chain(),
                    remedy = error.remedy_text().unwrap_or(""),
                    "the plugin is not built again: the running version stays"
                );
            }
        }
    }

    fn build(&self) -> Result<()> {
        let installed = install(&self.folder, None)?;
        tracing::info!(file = %installed.path.display(), bytes = installed.bytes, "plugin built");
        Ok(())
    }

    /// Whether the sources are others than at the last look. New folders are watched from now on.
    fn look(&mut self) -> Result<bool> {
        let mut now = Sources::default();
        find(&self.folder, &mut now)?;
        self.watch.follow_folders(&now.folders).map_err(fault)?;
        let changed = now != self.built;
        self.built = now;
        Ok(changed)
    }
}

fn find(folder: &Path, found: &mut Sources) -> Result<()> {
    let unreadable = |e| Error::new(ErrorKind::Precheck, format!("{} cannot be read", folder.display())).caused_by(e);
    found.folders.insert(folder.to_owned());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || NOT_SOURCES.contains(&&*name) || is_output(&name) {
            continue;
        }
        if found.folders.len() + found.files.len() >= SOURCE_ENTRIES {
            return Err(Error::new(ErrorKind::Config, format!("the folder holds more than {SOURCE_ENTRIES} sources"))
                .remedy("give --watch-build the folder of one plugin"));
        }
        // a file that is gone meanwhile, as those of editors are, tells so with an event of its own
        match entry.metadata() {
            Ok(data) if data.is_dir() => find(&entry.path(), found)?,
            Ok(data) => drop(found.files.insert(entry.path(), (data.len(), data.modified().ok()))),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Files that a build writes among the sources.
fn is_output(name: &str) -> bool {
    name.ends_with(".wasm") || name.ends_with(".wasm.part") || name == "Cargo.lock" || name == "package-lock.json"
}

fn fault(WatchFault { folder, cause }: WatchFault) -> Error {
    Error::new(ErrorKind::Precheck, format!("the sources of a plugin cannot be watched: {}", folder.display()))
        .remedy("check that the folder is readable, and that the system's limit of inotify watches is not reached")
        .caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(folder: &Path) -> Sources {
        let mut found = Sources::default();
        find(folder, &mut found).unwrap();
        found
    }

    #[test]
    fn what_a_build_writes_is_no_change_of_its_sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("src")).unwrap();
        fs::write(path("src/lib.rs"), "").unwrap();
        let before = look(folder.path());
        assert_eq!((before.folders.len(), before.files.len()), (2, 1));
        for (name, file) in [("target", "x.o"), ("node_modules", "x.js"), (".venv", "x.py"), ("__pycache__", "x.pyc")] {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join(file), "").unwrap();
        }
        for name in ["mask.wasm", "mask.wasm.part", "Cargo.lock", ".lib.rs.swp"] {
            fs::write(path(name), "").unwrap();
        }
        assert_eq!(look(folder.path()), before);
        fs::write(path("src/lib.rs"), "fn f() {}").unwrap();
        assert_ne!(look(folder.path()), before);
    }

    #[test]
    fn a_folder_of_everything_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..SOURCE_ENTRIES {
            fs::write(folder.path().join(i.to_string()), "").unwrap();
        }
        assert_eq!(find(folder.path(), &mut Sources::default()).unwrap_err().kind(), ErrorKind::Config);
    }
}
