//! Edits of the pipeline file while the stream runs.

use std::io::Write as _;

use super::*;
use sluicegate_harness::host::metric;

#[test]
fn an_edit_of_configuration_and_order_takes_over_between_two_batches() {
    let port = free_port();
    let with_http = |plugins: &str| format!("http: 127.0.0.1:{port}\n{}", pipeline(plugins));
    let first = "  - { name: one, file: stamp.wasm, config: { column: a } }\n  - { use: map-names, config: { tables: [] } }";
    let host = host(&with_http(first));
    let mut process = started(&host);
    // an added plugin, a removed one, and one with another configuration
    let second = "  - { use: rewrite-columns, config: { tables: [{ table: '*', columns: [{ column: b, rename: c }] }] } }";
    let second = format!("  - {{ name: one, file: stamp.wasm, config: {{ column: b }} }}\n{second}");
    install(&host.path("pipeline.yaml"), with_http(&second).as_bytes());
    let edited = wait_for_lines(&mut process, "pipeline edited", 1);
    assert_eq!(edited[0]["added"], "rewrite-columns");
    assert_eq!(edited[0]["removed"], "map-names");
    assert_eq!(edited[0]["changed"], "one");
    let place = edited[0]["changes"].as_u64().expect("a number");
    let changes = wait_for_lines(&mut process, "schema change", 1);
    assert!(changes[0]["table"].as_str().is_some_and(|t| t.starts_with("shop.")), "{changes:?}");
    assert_eq!(changes[0]["added"], "c");
    assert_eq!(changes[0]["removed"], "a");
    assert_eq!(changes[0]["changes"], place);
    more_records(&host, &mut process);
    // the plugin that stayed kept its numbers, the list of plugins is the new one
    let calls = |name: &str| metric(port, &format!("sluicegate_plugin_calls_total{{pipeline=\"swap\",plugin=\"{name}\"}}"));
    assert!(calls("one").expect("there") > 1.0 && calls("map-names").is_none() && calls("rewrite-columns").is_some());
    assert!(metric(port, "sluicegate_schema_changes_total{pipeline=\"swap\"}").expect("counted") >= 1.0);
    end(process);
    for (number, record) in all_in_order(&host).iter().enumerate() {
        let is_new = number as u64 >= place;
        assert_eq!((record["a"].is_string(), record["c"].is_string()), (!is_new, is_new), "change {number}, edited at {place}");
    }
}

#[test]
fn what_only_a_start_takes_up_is_told_and_left() {
    let plugins = "  - { file: stamp.wasm }";
    let host = host(&pipeline(plugins));
    let mut process = started(&host);
    let edited = pipeline("  - { file: stamp.wasm, config: { column: b } }").replace("prefix: s", "prefix: other")
        + "workers: 2\ndead_letter: ./letters\n";
    install(&host.path("pipeline.yaml"), edited.as_bytes());
    let told = wait_for_lines(&mut process, "the pipeline file was edited: this takes effect at the next start", 1);
    // an edit of the sinks alone would start the pipeline over
    assert_eq!(told[0]["keys"], "sinks, dead_letter, workers");
    let boundary = wait_for_lines(&mut process, "pipeline edited", 1).remove(0);
    // a further save of the same tells nothing again
    install(&host.path("pipeline.yaml"), (edited + "# the end\n").as_bytes());
    more_records(&host, &mut process);
    records_after(&host, &mut process, &boundary);
    assert_eq!(lines(&process, "the pipeline file was edited").len(), 1);
    assert_eq!(lines(&process, "pipeline edited").len(), 1);
    end(process);
    assert!(files::list(&host.path("out"), "other").is_empty());
    assert!(all_in_order(&host).last().expect("records")["b"].is_string());
}

#[test]
fn a_pipeline_file_is_read_when_its_writer_has_closed_it() {
    let plugins = "  - { file: stamp.wasm }";
    let host = host(&pipeline(plugins));
    let mut process = started(&host);
    // the first part is a good file by itself, and has no plugins
    let text = format!("{}\nplugins:\n  - {{ file: stamp.wasm, config: {{ column: b }} }}\n", pipeline("").replace("plugins:\n", ""));
    let (begin, end_of_it) = text.split_at(text.find("plugins:").expect("there"));
    let mut file = fs::File::create(host.path("pipeline.yaml")).expect("opened");
    file.write_all(begin.as_bytes()).expect("written");
    wait_for_lines(&mut process, "the file is being written", 1);
    more_records(&host, &mut process);
    assert!(lines(&process, "pipeline edited").is_empty());
    file.write_all(end_of_it.as_bytes()).expect("written");
    drop(file);
    let edited = wait_for_lines(&mut process, "pipeline edited", 1);
    assert_eq!((&edited[0]["removed"], &edited[0]["changed"]), (&Value::from(""), &Value::from("stamp")));
    more_records(&host, &mut process);
    end(process);
    assert!(all_in_order(&host).iter().all(|record| record["plugin_version"].is_string() || record["b"].is_string()));
}

#[test]
fn a_broken_pipeline_file_leaves_the_old_plugins_running_and_is_told_once() {
    let good = pipeline("  - { file: stamp.wasm }");
    let host = host(&good);
    let mut process = started(&host);
    let file = host.path("pipeline.yaml");
    let broken = [
        "plugins: [".to_owned(),
        pipeline("  - { use: filtre }"),
        // good to read, but the plugin refuses it
        pipeline("  - { file: stamp.wasm, config: { columns: 7 } }"),
        pipeline("  - { file: nowhere.wasm }"),
        // the plugin's schema refuses it
        pipeline("  - { use: filter, config: { tables: [{ table: shop.orders, whence: id > 7 }] } }"),
    ];
    for (i, text) in broken.iter().enumerate() {
        install(&file, text.as_bytes());
        let told = wait_for_lines(&mut process, "the edited pipeline file is refused", i + 1);
        assert!(!told[i]["error"].as_str().expect("a reason").is_empty() && !told[i]["remedy"].as_str().expect("a remedy").is_empty());
    }
    let refused = lines(&process, "the edited pipeline file is refused");
    let reason = refused.last().expect("a line")["error"].as_str().expect("a reason").to_owned();
    assert!(reason.contains("its configuration is wrong") && reason.contains("whence"), "{reason}");
    fs::remove_file(&file).expect("removed");
    wait_for_lines(&mut process, "the pipeline file is gone", 1);
    install(&file, good.as_bytes());
    more_records(&host, &mut process);
    assert_eq!(lines(&process, "the edited pipeline file is refused").len(), broken.len());
    assert!(lines(&process, "pipeline edited").is_empty());
    end(process);
    assert!(all_in_order(&host).iter().all(|r| r["plugin_version"] == "VERSION-0001"));
}

/// A new version that needs a new configuration, and the other way round: whichever is written first waits for the other.
#[test]
fn a_version_and_a_configuration_that_need_each_other_take_over_together() {
    let host = host(&pipeline("  - { name: p, file: stamp.wasm }"));
    let mut process = started(&host);
    install(&host.path("stamp.wasm"), &guests::standard("rewrite-columns"));
    let refused = wait_for_lines(&mut process, "the new plugin file is refused", 1);
    let reason = refused[0]["error"].as_str().expect("a reason");
    assert!(reason.contains("its configuration is wrong"), "the schema of the new version is asked: {reason}");
    let mask = "  - { name: p, file: stamp.wasm, config: { tables: [{ table: shop.orders, columns: [{ column: email, mask: {} }] }] } }";
    install(&host.path("pipeline.yaml"), pipeline(mask).as_bytes());
    let swapped = wait_for_lines(&mut process, "plugin swapped", 1);
    let edited = wait_for_lines(&mut process, "pipeline edited", 1);
    assert_eq!(swapped[0]["changes"], edited[0]["changes"]);
    more_records(&host, &mut process);
    end(process);
}
