//! Entrance for the fuzz target in `host/fuzz`: whatever the checkpoint, the journal and the folder of a file sink hold, a sink
//! that goes on where its state says, or an error. What is not the sink's is left alone.

use std::{
    fs, io,
    path::{Component, Path},
};

use super::{
    naming::Naming,
    recovery::recover,
    root::Root,
    stream::Layout,
    streams::{PLAIN, Streams},
};
use sluicegate_config::{FileRecords, Roll};
use sluicegate_format::Lines;
use sluicegate_model::{Result, limits::Limits};

const RECORD: &[u8] = b"{\"id\":1}\n";

/// The state, the journal, and names of files that are there, with a zero byte behind each. Each file holds its own name, as
/// often as the name has bytes. No state: empty.
pub fn file_sink(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0);
    let (Some(Ok(state)), journal) = (parts.next().map(std::str::from_utf8), parts.next().unwrap_or_default()) else { return };
    let Ok(folder) = tempfile::tempdir() else { return };
    let (root, foreign) = (folder.path().join("sink"), folder.path().join("x-00000001.ndjson"));
    if lay_out(&root, &foreign, journal, parts).is_err() {
        return;
    }
    let state = Some(state).filter(|state| !state.is_empty());
    if let Ok(next) = go_on(&root, state) {
        assert!(go_on(&root, Some(&next)).is_ok(), "a sink cannot go on from its own state");
    }
    assert!(fs::read(&foreign).is_ok_and(|content| content == b"foreign"), "a file outside the sink's folder was touched");
}

fn lay_out<'a>(root: &Path, foreign: &Path, journal: &[u8], names: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
    fs::create_dir(root)?;
    fs::write(foreign, b"foreign")?;
    fs::write(root.join(".x.destinations"), journal)?;
    for name in names.filter_map(|name| std::str::from_utf8(name).ok()).take(8) {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !inside {
            continue;
        }
        let path = root.join(name);
        if let Some(above) = path.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(path, name.repeat(name.len()))?;
    }
    Ok(())
}

/// Opens the sink, writes a record for two streams, and answers the state after it.
fn go_on(root: &Path, state: Option<&str>) -> Result<String> {
    let limits = Limits::default();
    let naming = Naming { prefix: "x".into(), records: FileRecords::Lines, zstd: false };
    let recovered = recover(root, &naming, state)?;
    let opened = Root::open(root.to_owned(), &naming)?;
    let layout = Layout { root: opened, naming, roll: Roll { bytes: 1 << 20, every: None }, zstd: None, format: Box::new(Lines) };
    let mut streams = Streams::new(layout, &recovered, &limits, false);
    let eu = streams.find("eu")?;
    for stream in [Some(PLAIN), eu].into_iter().flatten() {
        streams.append(stream, |out| {
            out.extend_from_slice(&RECORD[..RECORD.len() - 1]);
            Ok(true)
        })?;
    }
    streams.idle()?;
    let state = streams.flush()?;
    let plain = root.join(&state.plain.file);
    // a full file was closed, and the state names the next one
    assert!(
        state.plain.bytes == 0 || fs::read(plain).is_ok_and(|content| content.ends_with(RECORD)),
        "a flushed record is not in its file"
    );
    Ok(serde_json::to_string(&state).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn file_sink_takes_any_bytes() {
        fuzz::run("file_sink", super::file_sink, 10);
    }
}
