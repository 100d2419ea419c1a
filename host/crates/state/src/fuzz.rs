//! Entrance for the fuzz target in `host/fuzz`: whatever a checkpoint's file holds, what was stored or an error; never a panic,
//! and never progress that nobody stored.

use std::{fs, path::Path, sync::OnceLock};

use super::{Checkpoint, Progress};
use sluicegate_model::change::{Frontier, Lane, Offset};

const PIPELINE: &str = "fuzz";
const SINKS: [&str; 2] = ["files", "kafka"];
const LANE: &str = "binlog";

fn progress(change: u64) -> Progress {
    let offset = Offset::from_json(format!("{{\"change\":{change}}}"));
    Progress { frontier: Frontier::of(Lane::new(LANE), offset), state: format!("state {change}") }
}

/// A checkpoint's file: arbitrary bytes, or, behind `~`, a real one with a byte changed for each three of the input (its place,
/// and what it becomes).
pub fn checkpoint(data: &[u8]) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let path = folder.path().join("checkpoint.db");
    let bytes = match data.split_first() {
        Some((b'~', changes)) => changed(changes),
        _ => data.to_vec(),
    };
    if fs::write(&path, &bytes).is_err() {
        return;
    }
    let looked = Checkpoint::look(&path, PIPELINE);
    let Ok(checkpoint) = Checkpoint::open(&path, PIPELINE) else { return };
    let Ok(all) = checkpoint.all() else { return };
    assert!(looked.is_ok_and(|looked| looked == all), "looking tells something else than opening");
    for (sink, stored) in &all {
        assert!([0, 77, 1000].iter().any(|change| *stored == progress(*change)), "progress of {sink} that nobody stored");
    }
    let last = progress(1 << 40);
    if checkpoint.commit("files", &last.frontier, &last.state).is_ok() {
        assert!(checkpoint.progress("files").is_ok_and(|stored| stored == Some(last)));
    }
}

fn changed(changes: &[u8]) -> Vec<u8> {
    static REAL: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = REAL.get_or_init(|| real().unwrap_or_default()).clone();
    let pieces = bytes.len();
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]]));
        if let Some(slot) = bytes.get_mut(place % pieces.max(1)) {
            *slot = change[2];
        }
    }
    bytes
}

/// The file of a checkpoint that was closed.
fn real() -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().ok()?;
    let path = folder.path().join("checkpoint.db");
    stored(&path)?;
    fs::read(path).ok()
}

fn stored(path: &Path) -> Option<()> {
    let checkpoint = Checkpoint::open(path, PIPELINE).ok()?;
    let begin = progress(0);
    checkpoint.begin(SINKS.map(|sink| (sink, &begin.frontier))).ok()?;
    for (sink, change) in SINKS.into_iter().zip([1000, 77]) {
        let Progress { frontier, state } = progress(change);
        checkpoint.commit(sink, &frontier, &state).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn checkpoint_takes_any_bytes() {
        fuzz::run("checkpoint", super::checkpoint, 10);
    }
}
