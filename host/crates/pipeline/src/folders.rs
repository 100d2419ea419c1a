//! Folders of file sinks that are the same, or lie one inside the other, once the links on the way to them are followed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sluicegate_config::{Sink, SinkKind};
use sluicegate_model::{Error, ErrorKind, Result};

/// Refuses two sinks that would write the same files. The pipeline file was compared as it is written; here counts what is on disk.
///
/// # Errors
/// `Precheck`, which names both sinks.
pub(super) fn differ(sinks: &[Sink]) -> Result<()> {
    let mut seen: Vec<(&Sink, &str, PathBuf)> = Vec::new();
    for sink in sinks {
        let SinkKind::File(file) = &sink.kind else { continue };
        let (prefix, folder) = (file.prefix.as_str(), real(&file.folder));
        for (other, _, known) in seen.iter().filter(|(_, known, _)| *known == prefix) {
            let how = match (*known == folder, known.starts_with(&folder) || folder.starts_with(known)) {
                (true, _) => "are the same one",
                (false, true) => "lie one inside the other, where plugins may choose subfolders",
                (false, false) => continue,
            };
            let what = format!(
                "the folders of sinks `{}` and `{}`, which both write files of the prefix `{prefix}`, {how}: {} and {}",
                other.name,
                sink.name,
                known.display(),
                folder.display()
            );
            return Err(Error::new(ErrorKind::Precheck, what).remedy("give one of the sinks another `folder` or `prefix`"));
        }
        seen.push((sink, prefix, folder));
    }
    Ok(())
}

/// Where a folder really is. What is not there yet is made in the nearest folder that is.
fn real(folder: &Path) -> PathBuf {
    let there = folder.ancestors().find_map(|above| {
        let real = fs::canonicalize(if above.as_os_str().is_empty() { Path::new(".") } else { above }).ok()?;
        Some(match folder.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            _ => real,
        })
    });
    there.unwrap_or_else(|| folder.to_owned())
}
