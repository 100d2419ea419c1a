//! A component into its file, so that a running pipeline can take it from there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{build, engine, limits};
use sluicegate_model::{Error, ErrorKind, Result};

/// A component that stands in its file.
#[derive(Clone, Debug)]
pub struct Installed {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// Builds what is in `from` (a folder of sources, or a core module) into `output`, or into a file of the plugin's name beside the
/// sources. A component that the host would refuse is not written over one that it takes.
pub fn install(from: &Path, output: Option<PathBuf>) -> Result<Installed> {
    let built = build(from)?;
    engine()?.compile(&built.component, &limits())?;
    let folder = if from.is_dir() { from.to_owned() } else { from.parent().map(PathBuf::from).unwrap_or_default() };
    let path = output.unwrap_or_else(|| {
        let own = folder.join(format!("{}.wasm", built.name));
        // a core module is not overwritten by the component made of it
        if own == from { folder.join(format!("{}.component.wasm", built.name)) } else { own }
    });
    // by renaming: a running pipeline that watches the file sees the old one or the new one, never half of it
    let beside = path.with_extension("wasm.part");
    fs::write(&beside, &built.component).and_then(|()| fs::rename(&beside, &path)).map_err(|e| {
        Error::new(ErrorKind::Precheck, format!("{} cannot be written", path.display()))
            .caused_by(e)
            .remedy("check the folder and its permissions")
    })?;
    Ok(Installed { path, bytes: built.component.len() as u64 })
}
