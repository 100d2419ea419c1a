//! Inputs for the bodies of the fuzz targets in `host/fuzz`. The tests run every body over its seeds and over generated inputs, so
//! that they hold without a fuzzer too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

/// The body of a fuzz target.
pub type Target = fn(&[u8]);

/// Runs the body of the fuzz target of this name over its seeds, and over generated inputs: for every 100 that proptest generates
/// by default (`PROPTEST_CASES`), `share` of them.
///
/// # Panics
/// When the body does, or when it has no seeds.
pub fn run(name: &str, target: Target, share: u32) {
    take_seeds(name, target);
    take_any_bytes(name, target, share);
}

fn seeds(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../host/fuzz/seeds").join(name)
}

fn take_seeds(name: &str, target: Target) {
    let seeds = seeds(name);
    assert!(seeds.exists(), "{name} has no seeds");
    for entry in fs::read_dir(seeds).unwrap() {
        target(&fs::read(entry.unwrap().path()).unwrap());
    }
}

fn take_any_bytes(name: &str, target: Target, share: u32) {
    let default = ProptestConfig::default();
    let mut runner = TestRunner::new(ProptestConfig { cases: default.cases.saturating_mul(share) / 100, ..default });
    // `~`: the way into a real component or checkpoint
    let inputs = (prop::bool::ANY, vec(any::<u8>(), 0..200)).prop_map(|(change, mut bytes)| {
        if change {
            bytes.insert(0, b'~');
        }
        bytes
    });
    let run = |bytes: Vec<u8>| {
        target(&bytes);
        Ok(())
    };
    runner.run(&inputs, run).unwrap_or_else(|e| panic!("{name}: {e}"));
}
