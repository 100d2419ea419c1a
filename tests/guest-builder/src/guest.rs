//! The guests of the tests. These functions panic with the reason when a guest cannot be built: a test cannot go on.
#![allow(clippy::panic, reason = "for tests")]

use std::{fs, path::Path};

use crate::{Language, Manifest, build, repository, source_hash};

/// The marker in the stamp guest, and what replaces it.
const MARKER: &[u8] = b"VERSION-0000";

fn built(folder: &str) -> Vec<u8> {
    build(&repository().join(folder)).unwrap_or_else(|error| panic!("{error}"))
}

/// Builds all guests of the tests that are not there yet.
///
/// # Errors
/// As [`build()`].
pub fn build_guests() -> crate::Result<()> {
    crate::STANDARD.iter().for_each(|name| drop(standard(name)));
    ["absent", "context", "evil", "granted", "naive", "route", "stamp", "tracked", "wasi"]
        .iter()
        .map(|name| format!("tests/guests/{name}"))
        .try_for_each(|folder| build(&repository().join(folder)).map(drop))?;
    Language::C.build(&repository().join("tests/guests/wasi-c"))?;
    Language::Go.build(&repository().join("tests/guests/wasi-go"))?;
    ["faults", "host"]
        .iter()
        .try_for_each(|name| Language::AssemblyScript.build(&repository().join("tests/guests/assemblyscript").join(name)).map(drop))
}

/// A standard plugin, built from the sources as they are: the embedded component when it is that.
pub fn standard(name: &str) -> Vec<u8> {
    let folder = format!("plugins/{name}");
    let embedded = || {
        let recorded = Manifest::read().ok()?.components.remove(name)?;
        let fresh = source_hash(&repository().join(&folder)).ok()? == recorded.sources;
        fresh.then(|| fs::read(repository().join(Path::new("plugins/prebuilt")).join(format!("{name}.wasm"))).ok()).flatten()
    };
    embedded().unwrap_or_else(|| built(&folder))
}

/// The guest that adds a text column (`plugin_version`, or the `column` of its config) to every table, holding
/// `VERSION-0001` for version 1, and so on to 9999: the same component but for these twelve bytes.
pub fn stamp(version: u32) -> Vec<u8> {
    assert!(version <= 9999, "versions have four digits");
    let mut component = built("tests/guests/stamp");
    let place = component.windows(MARKER.len()).position(|window| window == MARKER).expect("the stamp guest holds its marker");
    component[place..place + MARKER.len()].copy_from_slice(format!("VERSION-{version:04}").as_bytes());
    assert!(!component.windows(MARKER.len()).any(|window| version != 0 && window == MARKER), "one marker only");
    component
}

/// The guest that misbehaves as its config says: see `tests/guests/evil`.
pub fn evil() -> Vec<u8> {
    built("tests/guests/evil")
}

/// The guest that is built for the draft of interface 1.1, and says what it sees of absent values: see `tests/guests/absent`.
pub fn absent() -> Vec<u8> {
    built("tests/guests/absent")
}

/// The guest that says what it is told about rows: see `tests/guests/context`.
pub fn context() -> Vec<u8> {
    built("tests/guests/context")
}

/// The guest that needs both grants, and refuses its configuration with what it was given: see `tests/guests/granted`.
pub fn granted() -> Vec<u8> {
    built("tests/guests/granted")
}

/// The guest that chooses destinations and sets a header: see `tests/guests/route`.
pub fn route() -> Vec<u8> {
    built("tests/guests/route")
}

/// The guest that reads headers of a source of tracked changes: see `tests/guests/tracked`.
pub fn tracked() -> Vec<u8> {
    built("tests/guests/tracked")
}

/// The guest that uses WASI as its config says: see `tests/guests/wasi`.
pub fn wasi() -> Vec<u8> {
    built("tests/guests/wasi")
}

/// The guest that leans on the C library: see `tests/guests/wasi-c`.
pub fn wasi_c() -> Vec<u8> {
    Language::C.build(&repository().join("tests/guests/wasi-c")).unwrap_or_else(|error| panic!("{error}"))
}

/// The guest that uses what is granted to it, or ends itself: see `tests/guests/assemblyscript/host`.
pub fn assemblyscript_host() -> Vec<u8> {
    Language::AssemblyScript.build(&repository().join("tests/guests/assemblyscript/host")).unwrap_or_else(|error| panic!("{error}"))
}

/// The guest that leans on Go's library: see `tests/guests/wasi-go`.
pub fn wasi_go() -> Vec<u8> {
    Language::Go.build(&repository().join("tests/guests/wasi-go")).unwrap_or_else(|error| panic!("{error}"))
}

/// A core module: WebAssembly, but no component.
pub fn core_module() -> Vec<u8> {
    b"\0asm\x01\0\0\0".to_vec()
}

/// The first half of a component, as a watcher may see it while it is being written.
pub fn truncated() -> Vec<u8> {
    let mut component = standard("filter");
    component.truncate(component.len() / 2);
    component
}

/// A valid component that exports everything but `plan`: it calls it `plam`.
pub fn without_export() -> Vec<u8> {
    // the name with its length before it, wherever it stands: the core module's export and the component's alias of it, too
    const EXPORT: &[u8] = b"\x04plan";
    let mut component = standard("filter");
    let places: Vec<_> = (0..component.len() - EXPORT.len()).filter(|i| component[*i..].starts_with(EXPORT)).collect();
    assert!(!places.is_empty(), "a component exports plan");
    for place in places {
        component[place + EXPORT.len() - 1] = b'm';
    }
    component
}
