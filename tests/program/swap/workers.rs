//! Several workers deliver the same bytes as one.

use super::*;

fn hashed(workers: usize) -> String {
    let plugins = "  - use: filter
    config: { tables: [{ table: shop.orders, where: \"status <> 'cancelled'\" }] }
  - use: rewrite-columns
    config: { tables: [{ table: '*.orders', columns: [{ column: email, hash: { salt: s3cret-and-long-enough } }] }] }
  - file: stamp.wasm";
    format!("workers: {workers}\n{}", pipeline(plugins))
}

/// The bytes of all files after a run with so many swaps.
fn delivered(workers: usize, swaps: u8) -> Vec<u8> {
    let host = host(&hashed(workers));
    let mut process = started(&host);
    for number in 1..=swaps {
        install(&host.path("stamp.wasm"), &variant(&guests::stamp(1), number));
        wait_for_lines(&mut process, "plugin swapped", number.into());
    }
    more_records(&host, &mut process);
    end(process);
    files::list(&host.path("out"), "s").iter().flat_map(|file| fs::read(file).expect("a file")).collect()
}

/// The generator makes the same changes each time, and the versions differ only in bytes that do nothing: the longer run
/// begins with all of the shorter one.
#[test]
fn one_two_and_four_workers_write_the_same_bytes_while_plugins_are_swapped() {
    let expected = delivered(1, 4);
    for workers in [1, 2, 4] {
        let found = delivered(workers, 4);
        let length = expected.len().min(found.len());
        assert!(length > 200_000, "{workers} workers: enough to compare");
        assert!(found[..length] == expected[..length], "{workers} workers write other bytes");
    }
}

#[test]
fn a_swap_takes_over_at_one_boundary_for_all_workers() {
    let text =
        pipeline("  - { name: a, file: stamp.wasm, config: { column: a } }\n  - { name: b, file: stamp.wasm, config: { column: b } }");
    let host = host(&format!("workers: 4\n{text}"));
    let mut process = started(&host);
    for version in 2..=6 {
        install(&host.path("stamp.wasm"), &guests::stamp(version));
        wait_for_lines(&mut process, "plugin swapped", 2 * (version as usize - 1));
    }
    let mut places: Vec<u64> = lines(&process, "plugin swapped").iter().map(|l| l["changes"].as_u64().expect("a number")).collect();
    places.dedup();
    assert_eq!(places.len(), 5, "both plugins of a file are swapped at once");
    end(process);
    for (number, record) in all_in_order(&host).iter().enumerate() {
        let version = format!("VERSION-{:04}", 1 + places.iter().filter(|place| number as u64 >= **place).count());
        assert_eq!(
            (&record["a"], &record["b"]),
            (&version.as_str().into(), &version.as_str().into()),
            "change {number}, swaps at {places:?}"
        );
    }
}

/// A failing batch stops the pipeline; nothing behind it is delivered, although other workers have done it already.
#[test]
fn the_first_batch_in_order_that_fails_is_the_last_word() {
    let run = |workers: usize| {
        let plugins = "  - { name: evil, file: evil.wasm, config: { behaviour: trap-on-value, value: 3000 } }";
        let text = format!("workers: {workers}\n{}", pipeline(plugins)).replace(", rate: 5000", "");
        let host = host(&text);
        fs::write(host.path("evil.wasm"), guests::evil()).expect("written");
        let ended = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("plugin `evil`"), "{}", ended.stderr);
        (all_in_order(&host), host)
    };
    let (one, _host) = run(1);
    let (four, _host) = run(4);
    assert!(!one.is_empty());
    assert!(one.iter().chain(&four).all(|r| r["id"] != 3000), "nothing of the failed batch");
    assert_eq!(one.len(), four.len());
}
