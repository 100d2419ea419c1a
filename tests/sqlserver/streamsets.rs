//! What docs/streamsets.md tells: how a pipeline goes on where one of StreamSets stopped.

use super::server::*;
use serde_json::Value;

const SINK: &str = "{ type: file, name: files, format: flat, folder: out, prefix: t }";

/// Where it begins that goes on from an offset of StreamSets, whose version was `version`; and what it then delivers.
fn goes_on_from(version: i64) -> Vec<String> {
    let mut database = Database::new();
    database.table("t", "id int NOT NULL PRIMARY KEY, v int NULL");
    database.sql("INSERT dbo.t VALUES (1, 0)");
    // the other one stopped behind the first row of this version
    database.sql("INSERT dbo.t VALUES (2, 0), (3, 0), (4, 0)");
    database.sql("INSERT dbo.t VALUES (5, 0)");
    let host = database.pipeline_with(&["tables: [{ start: now }]", "headers: none"], SINK, "");
    drain(&host);
    assert_eq!(records(&host).len(), 0);
    let shown = host.run(&["checkpoint", "show", "pipeline.yaml"], PATIENCE);
    let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let lane = format!("ct:{}.dbo.t", database.name);
    let mut place = shown["sinks"][0]["lanes"][&lane].clone();
    assert_eq!(place["version"], 3);
    place["version"] = version.into();
    let place = place.to_string();
    let set = ["checkpoint", "set", "pipeline.yaml", "--sink", "files", "--lane", &lane, "--force", "--offset", &place];
    let ended = host.run(&set, PATIENCE);
    assert!(ended.status.success(), "{}", ended.stderr);
    drain(&host);
    short(&records(&host))
}

#[test]
fn a16_a_pipeline_goes_on_at_the_offset_of_another_minus_one() {
    assert_eq!(goes_on_from(2 - 1), ["c id=2 v=0", "c id=3 v=0", "c id=4 v=0", "c id=5 v=0"]);
}

#[test]
fn a16_from_the_offset_itself_the_rest_of_its_version_would_be_lost() {
    assert_eq!(goes_on_from(2), ["c id=5 v=0"]);
}

#[test]
fn each_setting_that_the_page_names_is_one() {
    let page = include_str!("../../docs/streamsets.md");
    let settings = include_str!("../../host/crates/config/src/raw/sqlserver.rs");
    let rows = page.lines().skip_while(|line| !line.starts_with("| there")).skip(2).take_while(|line| line.starts_with('|'));
    let mut named = 0;
    for row in rows {
        let here = row.split('|').nth(2).expect("two columns");
        for name in here.split('`').skip(1).step_by(2) {
            let name = name.split(':').next().unwrap_or(name);
            let is_setting = |name: &str| settings.contains(&format!("pub {name}: "));
            let is_other = name == "on_error" || name.contains('.') || name.contains('-') || !name.contains('_');
            if !is_other || is_setting(name) {
                assert!(is_setting(name), "{name}");
                named += 1;
            }
        }
    }
    assert!(named >= 20, "{named}");
}
