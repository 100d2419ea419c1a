//! Files that are no plugins, or none that can be started.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sluicegate_config::OnError;
use sluicegate_guest_builder::{
    self as guests,
    handmade::{self, Handmade},
};
use sluicegate_model::limits::Limits;
use sluicegate_plugin_host as plugin;

use crate::workbench::{chain, chain_on, engine, inserts, limits, orders, texts, told};

/// Components in components, so many levels deep.
fn nested(levels: usize) -> Vec<u8> {
    const HEADER: &[u8] = b"\0asm\x0d\0\x01\0";
    (0..levels).fold(HEADER.to_vec(), |inner, _| handmade::with_section(HEADER.to_vec(), 4, &inner))
}

/// Types of types, each twice as large as the one before.
fn doubling_types() -> Vec<u8> {
    let types: String = (1..90).map(|i| format!("(type $t{i} (tuple $t{} $t{}))", i - 1, i - 1)).collect();
    handmade::component_text(&format!("(component (type $t0 (tuple u8 u8)) {types})"))
}

/// A plugin with so many further instances of an empty module.
fn with_instances(count: usize) -> Vec<u8> {
    let plugin = handmade::with_section(Handmade::default().build(), 1, b"\0asm\x01\0\0\0");
    // of the core module 1, the one just added, without arguments
    let instances: Vec<u8> = [handmade::leb(count), [0, 1, 0].repeat(count)].concat();
    handmade::with_section(plugin, 2, &instances)
}

const FOREIGN: &str =
    "package evil:place; world plugin { import host: interface { read-file: func(path: string) -> list<u8>; } export run: func(); }";

#[test]
fn a_file_that_is_no_plugin_is_refused_with_the_reason() {
    let foreign = r#"(module (import "host" "read-file" (func (param i32 i32 i32))) (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable) (func (export "run")))"#;
    let broken: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("text", b"#!/bin/sh\n".to_vec()),
        ("core module", guests::core_module()),
        ("truncated", guests::truncated()),
        ("another world", handmade::component(foreign, FOREIGN, "plugin")),
        ("without an export", guests::without_export()),
        ("a newer interface", Handmade { version: "2.0.0", ..Default::default() }.build()),
        ("a newer minor version", Handmade { version: "1.9.0", ..Default::default() }.build()),
        ("types that double", doubling_types()),
        ("nested a thousand times", nested(1000)),
        ("thousands of instances", with_instances(5000)),
        ("too large", vec![0; (64 << 20) + 1]),
    ];
    let texts: Vec<_> =
        broken.iter().map(|(name, bytes)| format!("{name}: {}", told(&engine().compile(bytes, &limits()).err().expect(name)))).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    empty: [Precheck] this is not a WebAssembly component
      remedy: check the path; a plugin is a .wasm component
    text: [Precheck] this is not a WebAssembly component
      remedy: check the path; a plugin is a .wasm component
    core module: [Precheck] this is a core WebAssembly module, not a component
      remedy: encode it as a component, e.g. with `wasm-tools component new`
    truncated: [Precheck] the component is damaged or uses features that are not enabled
      remedy: build it again; a truncated copy looks like this
    another world: [Precheck] the component is no plugin: it does not export sluicegate:plugin/transform
      remedy: build it for the world `plugin` of wit/plugin.wit
    without an export: [Precheck] the component exports sluicegate:plugin/transform with other functions or types than version 1.0.0 has
      remedy: build it against a released file of wit/, unchanged
    a newer interface: [Precheck] the component was built for version 2.0.0 of the plugin interface, this program has 1.0
      remedy: build the plugin against a version of wit/plugin.wit that this program has, or take a newer program
    a newer minor version: [Precheck] the component was built for version 1.9.0 of the plugin interface, this program has 1.0
      remedy: build the plugin against a version of wit/plugin.wit that this program has, or take a newer program
    types that double: [Precheck] the component is damaged or uses features that are not enabled
      remedy: build it again; a truncated copy looks like this
    nested a thousand times: [Precheck] the component is no plugin: it does not export sluicegate:plugin/transform
      remedy: build it for the world `plugin` of wit/plugin.wit
    thousands of instances: [Precheck] the component is damaged or uses features that are not enabled
      remedy: build it again; a truncated copy looks like this
    too large: [Precheck] the file has 67108865 bytes, the limit is 67108864
      remedy: make it smaller (release build, strip) or raise limits.plugin_file_bytes
    "#);
}

#[test]
fn a_clock_that_is_not_granted_is_refused_by_name() {
    let clock = Handmade {
        fields: r#"(import "sluicegate:plugin/clock@1.0.0" "now" (func $now (result i64)))"#,
        describe: "(drop (call $now)) i32.const 1024",
        ..Default::default()
    };
    let error = chain(&[(&clock.build(), "{}")], OnError::Skip).err().expect("not granted");
    assert_eq!(error.kind(), sluicegate_model::ErrorKind::Precheck);
    assert!(error.chain().contains("sluicegate:plugin/clock"), "{error}");
}

#[test]
fn a_file_of_100_mb_is_refused_before_it_is_read() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    file.as_file().set_len(100_000_000).expect("a sparse file");
    let error = plugin::read(file.path(), &Limits::default()).expect_err("too large");
    let text = told(&error).replace(&file.path().display().to_string(), "evil.wasm");
    insta::assert_snapshot!(text, @r#"
    [Precheck] the plugin file evil.wasm is too large
      remedy: make it smaller (release build, strip) or raise limits.plugin_file_bytes
    "#);
}

#[test]
fn what_fails_while_it_is_instantiated_says_why() {
    let start = |fields| Handmade { fields, ..Default::default() }.build();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a start function that spins", start("(func $start (loop (br 0))) (start $start)")),
        ("a start function that traps", start("(func $start unreachable) (start $start)")),
        ("a start function that recurses", start("(func $start (call $start)) (start $start)")),
        ("hundreds of instances", with_instances(500)),
        ("a table of a billion entries", start("(table 1000000000 funcref)")),
    ];
    let mut texts = Vec::new();
    for (name, component) in cases {
        let begin = Instant::now();
        texts.push(format!("{name}: {}", told(&chain(&[(&component, "{}")], OnError::Stop).err().expect(name))));
        assert!(begin.elapsed() < Duration::from_secs(30), "{name}: not held by the deadline");
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    a start function that spins: [Plugin] plugin `p0`: cannot be instantiated: no answer within 300 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_start
    a start function that traps: [Plugin] plugin `p0`: cannot be instantiated: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    a start function that recurses: [Plugin] plugin `p0`: cannot be instantiated: its stack overflowed
      remedy: look for endless recursion in the plugin
    hundreds of instances: [Plugin] plugin `p0`: cannot be instantiated: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    a table of a billion entries: [Plugin] plugin `p0`: cannot be instantiated: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    "#);
}

#[test]
fn a_handmade_plugin_without_a_fault_runs() {
    let mut bench = chain(&[(&Handmade { plan: "i32.const 2048", ..Default::default() }.build(), "{}")], OnError::Stop).expect("sound");
    let delivered = bench.chain.apply(inserts(&orders(), 3)).expect("passes");
    assert_eq!((delivered.changes.len(), delivered.tables[0].columns.len()), (3, 0), "its plan has no columns");
}

/// Compiling takes many times the memory of what comes out. A stream that goes on for months is not to keep that of its largest plugin.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[test]
fn compiling_gives_its_memory_back() {
    let resident_mib = || {
        let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line about resident memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") >> 10
    };
    let (filter, engine) = (guests::standard("filter"), plugin::Engine::new(None).expect("an engine"));
    // what the process takes once: the compiler's code, its tables, the threads
    engine.compile(&guests::standard("no-op"), &Limits::default()).expect("a plugin");
    let before = resident_mib();
    let compiled = engine.compile(&filter, &Limits::default()).expect("a plugin");
    let after = resident_mib();
    drop(compiled);
    assert!(after < before + 24, "{before} MiB before, {after} MiB after");
}

/// The version that a component stamps on a row, compiled by an engine of its own over the cache in `folder`.
fn version_from(folder: &Path, component: &[u8]) -> String {
    let engine = plugin::Engine::new(Some(folder)).expect("an engine");
    let mut bench = chain_on(&engine, limits(), &[(component, "")], OnError::Stop).expect("configured");
    let delivered = bench.chain.apply(inserts(&orders(), 1)).expect("passes");
    texts(&delivered, "plugin_version").remove(0).expect("a stamp")
}

/// The only compiled component in the cache.
fn cached(folder: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_none() && !entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                found.push(entry);
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn compiled_code_comes_from_the_cache_and_a_damaged_entry_is_compiled_anew() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    assert_eq!(version_from(first.path(), &guests::stamp(1)), "VERSION-0001");
    assert_eq!(version_from(second.path(), &guests::stamp(2)), "VERSION-0002");
    // code that was put in another's place is what runs: nothing was compiled
    fs::copy(cached(second.path()), cached(first.path())).expect("copied");
    assert_eq!(version_from(first.path(), &guests::stamp(1)), "VERSION-0002");
    fs::write(cached(first.path()), b"damaged").expect("written");
    assert_eq!(version_from(first.path(), &guests::stamp(1)), "VERSION-0001");
}
