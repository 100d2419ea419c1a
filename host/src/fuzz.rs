//! The bodies of the fuzz targets in `host/fuzz`, one for each, under its name. The tests run every one of them over its corpus
//! and over generated inputs, so that they hold without a fuzzer too.

pub use crate::{
    authoring::fuzz::rows_file,
    plugin::fuzz::{loader as plugin_loader, outcome as plugin_outcome, schema as plugin_schema},
    service::fuzz::http_request,
    sink::fuzz::file_sink,
    source::mysql::fuzz::{
        catalogue as mysql_catalogue, gtid as mysql_gtid, json as mysql_json, position, row as mysql_row, stream as mysql_stream,
    },
    state::fuzz::checkpoint,
};

/// A pipeline file, and behind a zero byte what every environment variable holds; without one there are none.
pub fn pipeline_file(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let (text, variable) = text.split_once('\0').map_or((text, None), |(text, variable)| (text, Some(variable.to_owned())));
        drop(crate::config::load_str(text, std::path::Path::new("/"), |_| variable.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use proptest::{collection::vec, prelude::*, test_runner::TestRunner};

    type Target = fn(&[u8]);

    /// Each target; for every 100 inputs that proptest generates by default (`PROPTEST_CASES`), so many are generated for it.
    const TARGETS: [(&str, Target, u32); 14] = [
        ("checkpoint", super::checkpoint, 10),
        ("file_sink", super::file_sink, 10),
        ("http_request", super::http_request, 100),
        ("mysql_catalogue", super::mysql_catalogue, 100),
        ("mysql_gtid", super::mysql_gtid, 100),
        ("mysql_json", super::mysql_json, 100),
        ("mysql_row", super::mysql_row, 100),
        ("mysql_stream", super::mysql_stream, 100),
        ("pipeline_file", super::pipeline_file, 100),
        ("plugin_loader", super::plugin_loader, 10),
        ("plugin_outcome", super::plugin_outcome, 1_000),
        ("plugin_schema", super::plugin_schema, 10),
        ("position", super::position, 100),
        ("rows_file", super::rows_file, 100),
    ];

    fn folder() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz"))
    }

    fn stems(folder: &Path) -> BTreeSet<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        fs::read_dir(folder).unwrap().map(name).collect()
    }

    #[test]
    fn every_fuzz_target_is_built_from_the_function_of_its_name() {
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        let named: BTreeSet<String> =
            manifest.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).map(str::to_owned).collect();
        let mut known: BTreeSet<String> = TARGETS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(stems(&folder().join("fuzz_targets")), known);
        assert!(stems(&folder().join("seeds")).is_subset(&known));
        for name in &known {
            let source = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
            let body = format!("#![no_main]\n\nlibfuzzer_sys::fuzz_target!(|data: &[u8]| sluicegate::fuzz::{name}(data));\n");
            assert_eq!(source, body);
        }
        known.insert("sluicegate-fuzz".into());
        assert_eq!(named, known);
    }

    #[test]
    fn every_fuzz_target_takes_its_seeds() {
        for (name, target, _) in TARGETS {
            let seeds = folder().join("seeds").join(name);
            assert!(seeds.exists(), "{name} has no seeds");
            for entry in fs::read_dir(seeds).unwrap() {
                target(&fs::read(entry.unwrap().path()).unwrap());
            }
        }
    }

    #[test]
    fn every_fuzz_target_takes_any_bytes() {
        for (name, target, share) in TARGETS {
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
    }
}
