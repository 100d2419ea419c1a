//! Plugin and pipeline files behind links: whatever changes on the way is taken.

use std::os::unix::fs::symlink;

use super::*;

/// Sooner than a person would look again.
const SOON: Duration = Duration::from_secs(5);

/// Puts a link in the place of another, as deploy tools do.
fn point(target: &str, link: &Path) {
    let new = link.with_file_name("next");
    symlink(target, &new).expect("linked");
    fs::rename(new, link).expect("renamed");
}

#[track_caller]
fn soon(process: &mut Process, message: &str, count: usize) {
    process.wait_for(message, SOON, |p| (lines(p, message).len() >= count).then_some(()));
}

#[test]
fn a_plugin_behind_links_is_taken_whatever_changes_on_the_way() {
    let host = host(&pipeline("  - { name: stamp, file: plugins/stamp.wasm }"));
    let stamp = guests::stamp(1);
    for folder in ["plugins", "build/1", "build/2"] {
        fs::create_dir_all(host.path(folder)).expect("made");
    }
    fs::write(host.path("build/1/stamp.wasm"), &stamp).expect("written");
    fs::write(host.path("build/2/stamp.wasm"), variant(&stamp, 1)).expect("written");
    fs::write(host.path("build/2/other.wasm"), variant(&stamp, 2)).expect("written");
    symlink("1", host.path("build/current")).expect("linked");
    symlink("../build/current/stamp.wasm", host.path("plugins/stamp.wasm")).expect("linked");
    let mut process = started(&host);
    // a folder on the way, the target by a rename, the target in place, the link itself, a link that was gone for a while
    point("2", &host.path("build/current"));
    soon(&mut process, "plugin swapped", 1);
    install(&host.path("build/2/stamp.wasm"), &variant(&stamp, 3));
    soon(&mut process, "plugin swapped", 2);
    fs::write(host.path("build/2/stamp.wasm"), variant(&stamp, 4)).expect("written");
    soon(&mut process, "plugin swapped", 3);
    point("../build/current/other.wasm", &host.path("plugins/stamp.wasm"));
    soon(&mut process, "plugin swapped", 4);
    fs::remove_file(host.path("build/current")).expect("removed");
    soon(&mut process, "the plugin file is gone", 1);
    symlink(host.path("build/1"), host.path("build/current")).expect("linked");
    fs::write(host.path("build/1/other.wasm"), variant(&stamp, 5)).expect("written");
    soon(&mut process, "plugin swapped", 5);
    // a folder that is no link, moved away and made anew, has no event of its own
    fs::rename(host.path("build/1"), host.path("build/old")).expect("renamed");
    fs::create_dir(host.path("build/1")).expect("made");
    fs::write(host.path("build/1/other.wasm"), variant(&stamp, 6)).expect("written");
    soon(&mut process, "plugin swapped", 6);
    more_records(&host, &mut process);
    end(process);
    all_in_order(&host);
}

#[test]
fn a_pipeline_file_that_is_mounted_as_kubernetes_does_is_taken_with_its_plugins() {
    let host = host("name: unused\nsource: { type: generator }\nsinks: [{ type: stdout }]\n");
    let stamp = guests::stamp(1);
    let text = |column: &str| {
        let text = pipeline(&format!("  - {{ name: stamp, file: stamp.wasm, config: {{ column: {column} }} }}"));
        text.replace("folder: out", &format!("folder: {}", host.path("out").display()))
            + &format!("state: {}\n", host.path("state.db").display())
    };
    for (version, column) in [("..1", "a"), ("..2", "b")] {
        fs::create_dir_all(host.path("config").join(version)).expect("made");
        fs::write(host.path("config").join(version).join("pipeline.yaml"), text(column)).expect("written");
        fs::write(host.path("config").join(version).join("stamp.wasm"), variant(&stamp, column.as_bytes()[0])).expect("written");
    }
    symlink("..1", host.path("config/..data")).expect("linked");
    for name in ["pipeline.yaml", "stamp.wasm"] {
        symlink(format!("..data/{name}"), host.path("config").join(name)).expect("linked");
    }
    let mut process = host.spawn_with(&["--log-format", "json", "run", "config/pipeline.yaml"]);
    more_records(&host, &mut process);
    point("..2", &host.path("config/..data"));
    soon(&mut process, "pipeline edited", 1);
    soon(&mut process, "plugin swapped", 1);
    let edited = lines(&process, "pipeline edited").remove(0);
    records_after(&host, &mut process, &edited);
    end(process);
    assert!(all_in_order(&host).last().expect("records")["b"].is_string());
}
