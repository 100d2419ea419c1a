//! The places on disk that a run writes to.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use sluicegate_config::{OnError, OnUnreadable, Pipeline, SinkKind, Source};
use sluicegate_model::{finding::Finding, limits::DISK_WARNING};
use sluicegate_state::Checkpoint;
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
    let running = lock_holder(&Checkpoint::lock_path(&pipeline.state));
    if let Some(process) = running {
        found.push(Finding::warn(
            "state",
            format!("the checkpoint {} is in use by process {process}: a second run beside it is refused", pipeline.state.display()),
            "stop that process before you start another one; an edit of the pipeline file needs no second run",
        ));
    }
    // the pipeline that is checked while it runs has it itself
    found.extend(pipeline.http.filter(|_| running.is_none()).and_then(address));
    found.extend(dead_letters(pipeline));
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

/// Whether the HTTP address can be had.
fn address(address: SocketAddr) -> Option<Finding> {
    let error = TcpListener::bind(address).err()?;
    let remedy = "stop the other process that has the port, or choose another address in the pipeline file's `http`";
    Some(Finding::fail("http", format!("the HTTP address {address} cannot be bound: {error}"), remedy))
}

/// Whether what is set aside can be written, where something may be.
fn dead_letters(pipeline: &Pipeline) -> Option<Finding> {
    let plugins = pipeline.plugins.iter().map(|plugin| plugin.on_error);
    let mut policies = plugins.chain(pipeline.sinks.iter().map(|sink| sink.on_error));
    let of_source = matches!(&pipeline.source, Source::Kafka(source) if source.on_unreadable == OnUnreadable::DeadLetter);
    // a run writes nothing there where letters have a topic
    if pipeline.letter_topic.is_some() || (!of_source && !policies.any(|policy| policy == OnError::DeadLetter)) {
        return None;
    }
    let folder = &pipeline.dead_letter;
    let error = try_folder(folder).err()?;
    Some(Finding::fail(
        "dead letters",
        format!("the folder {} cannot be made or written: {error}", folder.display()),
        "let the account that runs the pipeline write there, or set `dead_letter` to another folder",
    ))
}

/// Makes a folder where the first one would be made, and removes it again: permissions alone do not tell.
fn try_folder(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
    let trial = there.join(format!(".sluicegate-check-{}", std::process::id()));
    fs::create_dir(&trial)?;
    fs::remove_dir(&trial)
}

/// The nearest folder above that is there.
fn there(path: &Path) -> &Path {
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    if there.as_os_str().is_empty() { Path::new(".") } else { there }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_config as config;

    /// What is found of a pipeline file, and its verdict.
    fn found(folder: &Path, more: &str, item: &str) -> Option<Finding> {
        let path = folder.join("p.yaml");
        let text = format!("name: p\nsource: {{ type: generator }}\n{more}");
        fs::write(&path, text).unwrap();
        look(&config::load(&path).unwrap()).into_iter().find(|finding| finding.item == item)
    }

    #[test]
    fn a_port_that_another_process_has_is_told_by_a_check_unless_the_pipeline_itself_runs() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = format!("sinks: [{{ type: stdout }}]\nstate: state.db\nhttp: {{ listen: '{}' }}\n", taken.local_addr().unwrap());
        let told = found(folder.path(), &http, "http").unwrap();
        assert!(told.found.contains("cannot be bound"), "{told:?}");
        let running = Checkpoint::open(&folder.path().join("state.db"), "p").unwrap();
        assert_eq!(found(folder.path(), &http, "http"), None);
        drop((running, taken));
        assert_eq!(found(folder.path(), &http, "http"), None);
    }

    #[test]
    fn a_folder_of_dead_letters_that_cannot_be_written_is_told_where_something_may_be_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (dead_letter, policy, told) in [
            ("/proc/letters", "dead-letter", true),
            ("file/letters", "dead-letter", true),
            ("file", "dead-letter", true),
            ("file/letters", "stop", false),
            ("new/letters", "dead-letter", false),
        ] {
            let text = format!("sinks: [{{ type: stdout, on_error: {policy} }}]\ndead_letter: {dead_letter}\n");
            assert_eq!(found(folder.path(), &text, "dead letters").is_some(), told, "{dead_letter} {policy}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }
}
