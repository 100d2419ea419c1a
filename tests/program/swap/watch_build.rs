//! `run --watch-build`: an author saves a source file, and the running pipeline has the new version.

use super::*;

#[test]
fn a_saved_source_is_built_and_taken_by_the_running_pipeline() {
    let zig = guests::tool("zig.sh").unwrap_or_else(|error| panic!("{error}"));
    let kept = guests::target_folder().join("zig").display().to_string();
    let host = host(&pipeline("  - { name: mask, file: mask/mask.wasm }"))
        .env("ZIG", &zig.display().to_string())
        .env("ZIG_GLOBAL_CACHE_DIR", &kept)
        .env("ZIG_LOCAL_CACHE_DIR", &kept);
    let made = host.run(&["plugin", "new", "--language", "c", "mask"], PATIENCE);
    assert_eq!(made.status.code(), Some(0), "{}", made.stderr);
    let source = host.path("mask/mask.c");
    let first = fs::read_to_string(&source).expect("the template");
    // there is no component yet: it is built before the pipeline file is read
    let mut process = host.spawn_with(&["--log-format", "json", "run", "pipeline.yaml", "--watch-build", "mask"]);
    more_records(&host, &mut process);
    assert_eq!(lines(&process, "plugin built").len(), 1);
    let plus = first.replace("***", "+++");
    assert_ne!(plus, first, "the template masks with stars");
    install(&source, plus.as_bytes());
    let swapped = wait_for_lines(&mut process, "plugin swapped", 1);
    assert_eq!(lines(&process, "plugin built").len(), 2);
    // what does not compile is told, with the folder, and the pipeline goes on
    fs::write(&source, "int main(").expect("written");
    let failed = wait_for_lines(&mut process, "the plugin is not built again", 1);
    assert_eq!(failed[0]["folder"], "mask");
    more_records(&host, &mut process);
    end(process);
    let place = swapped[0]["changes"].as_u64().expect("a number");
    let records = all_in_order(&host);
    let masked = records.iter().enumerate().filter_map(|(number, record)| Some((number as u64, record["email"].as_str()?)));
    let mut seen = 0;
    for (number, email) in masked {
        assert!(email.starts_with(if number < place { "***@" } else { "+++@" }), "change {number}, swapped at {place}");
        seen += 1;
    }
    assert!(seen > 0, "rows with an e-mail address");
}

#[test]
fn a_plugin_that_does_not_build_keeps_the_pipeline_from_starting() {
    let host = host(&pipeline("  - { file: stamp.wasm }"));
    let arguments = |folder| ["--log-format", "text", "run", "pipeline.yaml", "--watch-build", folder];
    let ended = host.run(&arguments("nowhere"), PATIENCE);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("nowhere is no folder"), "{}", ended.stderr);
    fs::create_dir(host.path("empty")).expect("made");
    let ended = host.run(&arguments("empty"), PATIENCE);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("holds no sources of a plugin"), "{}", ended.stderr);
}
