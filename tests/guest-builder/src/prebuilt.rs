//! The standard plugins as they stand in the repository, built, for the program to embed: `plugins/prebuilt`.

use std::{collections::BTreeMap, fs};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Doing, Result, build, repository, source::hex, source_hash};

/// The standard plugins; each is the crate `plugins/{name}`.
pub const STANDARD: [&str; 3] = ["filter", "map-names", "rewrite-columns"];

/// All plugins that the program embeds: the standard ones, and what `plugin bench` measures against.
const EMBEDDED: [&str; 4] = ["filter", "map-names", "no-op", "rewrite-columns"];

const REMEDY: &str = "run `cargo run -p sluicegate-guest-builder -- embed` and commit plugins/prebuilt";

/// One built plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// SHA-256 of the component.
    pub sha256: String,
    /// SHA-256 of what it was built from; see [`source_hash`].
    pub sources: String,
    /// Its size.
    pub bytes: usize,
}

/// `plugins/prebuilt/manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The components by name.
    pub components: BTreeMap<String, Component>,
}

impl Manifest {
    /// The manifest in the repository.
    pub fn read() -> Result<Self> {
        let path = repository().join("plugins/prebuilt/manifest.json");
        let text = fs::read(&path).doing(format_args!("reading {} ({REMEDY})", path.display()))?;
        serde_json::from_slice(&text).doing(format_args!("reading {} ({REMEDY})", path.display()))
    }
}

/// Builds the embedded plugins and writes them with their manifest into `plugins/prebuilt`.
pub fn embed() -> Result<Manifest> {
    let folder = repository().join("plugins/prebuilt");
    fs::create_dir_all(&folder).doing("making plugins/prebuilt")?;
    let mut components = BTreeMap::new();
    for name in EMBEDDED {
        let sources = repository().join("plugins").join(name);
        let component = build(&sources)?;
        fs::write(folder.join(format!("{name}.wasm")), &component).doing(format_args!("writing {name}.wasm"))?;
        let sha256 = hex(&Sha256::digest(&component));
        components.insert(name.to_string(), Component { sha256, sources: source_hash(&sources)?, bytes: component.len() });
    }
    let manifest = Manifest { components };
    let text = serde_json::to_string_pretty(&manifest).doing("writing the manifest")?;
    fs::write(folder.join("manifest.json"), text + "\n").doing("writing the manifest")?;
    Ok(manifest)
}

/// Checks that the components in `plugins/prebuilt` are those of the manifest, and were built from the sources that stand
/// in the repository now.
pub fn verify() -> Result<()> {
    let manifest = Manifest::read()?;
    let known: Vec<&str> = manifest.components.keys().map(String::as_str).collect();
    if known != EMBEDDED {
        return Err(format!("the manifest lists {known:?}, not {EMBEDDED:?}; {REMEDY}"));
    }
    for (name, recorded) in &manifest.components {
        let path = repository().join("plugins/prebuilt").join(format!("{name}.wasm"));
        let component = fs::read(&path).doing(format_args!("reading {} ({REMEDY})", path.display()))?;
        if hex(&Sha256::digest(&component)) != recorded.sha256 {
            return Err(format!("{} is not the component that the manifest records; {REMEDY}", path.display()));
        }
        if source_hash(&repository().join("plugins").join(name))? != recorded.sources {
            return Err(format!("plugins/prebuilt/{name}.wasm was built from other sources than these; {REMEDY}"));
        }
    }
    Ok(())
}
