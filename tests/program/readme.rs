//! What the README shows works.

use std::path::Path;

use sluicegate_config as config;

#[test]
fn the_readmes_pipeline_is_a_valid_pipeline_file() {
    let readme = include_str!("../../README.md");
    let blocks: Vec<&str> = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!blocks.is_empty(), "the README shows a pipeline");
    for block in blocks {
        let pipeline = config::load_str(block, Path::new("/tmp"), |name| (name == "MYSQL_PASSWORD").then(|| "secret".into()));
        let pipeline = pipeline.unwrap_or_else(|e| panic!("{e}\n{block}"));
        assert!(!format!("{pipeline:?}").contains("secret"));
    }
}
