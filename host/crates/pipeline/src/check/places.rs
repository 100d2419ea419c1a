//! The places on disk that a run writes to.

use std::path::Path;

use sluicegate_config::{Pipeline, SinkKind};
use sluicegate_model::{finding::Finding, limits::DISK_WARNING};
use sluicegate_storage::lock_holder;

/// Whether the folders of the checkpoint and of file sinks have room, and the checkpoint can be written.
pub(super) fn look(pipeline: &Pipeline) -> Vec<Finding> {
    let mut found = Vec::new();
    let folder = there(&pipeline.state);
    match rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) {
        Ok(()) => found.push(Finding::pass("state", format!("the checkpoint {} can be written", pipeline.state.display()))),
        Err(error) => found.push(Finding::fail(
            "state",
            format!("the checkpoint's folder {} cannot be written: {error}", folder.display()),
            "let the account that runs the pipeline write there, or set `state` to another file",
        )),
    }
    let mut lock = pipeline.state.clone().into_os_string();
    lock.push(".lock");
    if let Some(process) = lock_holder(Path::new(&lock)) {
        found.push(Finding::warn(
            "state",
            format!("the checkpoint {} is in use by process {process}: a second run beside it is refused", pipeline.state.display()),
            "stop that process before you start another one; an edit of the pipeline file needs no second run",
        ));
    }
    let files = pipeline.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::File(file) => Some((format!("sink `{}`", sink.name), file.folder.as_path())),
        _ => None,
    });
    for (whose, path) in files.chain([("the checkpoint".to_owned(), pipeline.state.as_path())]) {
        // a file system that does not say has no end that we know of
        let Ok(room) = rustix::fs::statvfs(there(path)) else { continue };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < DISK_WARNING {
            found.push(Finding::warn(
                "disk space",
                format!("{whose}: {} MiB are free at {}", free >> 20, path.display()),
                "free space, or choose a folder on another file system",
            ));
        }
    }
    if !found.iter().any(|finding| finding.item == "disk space") {
        found.push(Finding::pass("disk space", format!("at least {} MiB are free", DISK_WARNING >> 20)));
    }
    found
}

/// The nearest folder above that is there.
fn there(path: &Path) -> &Path {
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { Path::new(".") } else { there }
}
