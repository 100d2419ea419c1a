//! What a reader of Change Tracking has to do, by number: A is what StreamSets' reader offers, D what Change Tracking itself asks of its
//! readers. Each has a test with its number in the test's name. A34, A37, D9 and D14 are left out: drivers of Java, auto-commit, a cleanup
//! that only an administrator runs, and conflict checks of readers that write back.

use std::path::Path;

use sluicegate_harness::sources::tests_in;

const REQUIREMENTS: &[(&str, &str)] = &[
    ("A1", "changes come from Change Tracking alone"),
    ("A2", "existing rows first, then their changes"),
    ("A3", "missing grants are named"),
    ("A4", "tables are found at the start, and while it runs"),
    ("A5", "several threads, each with a table"),
    ("A6", "changes of a table keep their order"),
    ("A7", "threads without work wait"),
    ("A8", "tables are switched after some batches"),
    ("A9", "or each is read to its end"),
    ("A10", "a bound on the changes of a batch"),
    ("A11", "a bound on the batches of a visit"),
    ("A12", "a bound on open results"),
    ("A13", "tables by schema"),
    ("A14", "tables by a LIKE pattern"),
    ("A15", "tables left out by a regular expression"),
    ("A16", "an initial version"),
    ("A17", "several entries"),
    ("A18", "the order of the first pass"),
    ("A19", "changes with the row as it is"),
    ("A20", "changes with the key alone"),
    ("A21", "the operation"),
    ("A22", "what is tracked of a change"),
    ("A23", "types of columns"),
    ("A24", "plugins read and write both"),
    ("A25", "events"),
    ("A26", "a run that ends once everything is read"),
    ("A27", "what is done with records that fail"),
    ("A28", "retries"),
    ("A29", "time between queries"),
    ("A30", "rows of a query"),
    ("A31", "large values"),
    ("A32", "secrets apart from the address"),
    ("A33", "options of the driver, by a list"),
    ("A35", "the number of connections"),
    ("A36", "how long connections wait and live"),
    ("A38", "nothing is written"),
    ("A39", "isolation levels"),
    ("A40", "names"),
    ("A41", "keys of several columns and of any type"),
    ("D1", "net changes"),
    ("D2", "the page says what is not there"),
    ("D3", "one way"),
    ("D4", "changes that came back are told by their context"),
    ("D5", "what is not enabled is told with its statement"),
    ("D6", "keys, operations, and rows by a join"),
    ("D7", "updates that change nothing"),
    ("D8", "cleanup is noticed"),
    ("D10", "retention"),
    ("D11", "the current version"),
    ("D12", "the minimum valid version, by table"),
    ("D13", "all changes behind a version"),
    ("D15", "changed columns"),
    ("D16", "contexts"),
    ("D17", "rounds under SNAPSHOT"),
    ("D18", "rounds without it"),
    ("D19", "copies behind a version"),
    ("D20", "databases that were restored"),
    ("D21", "TRUNCATE, columns that come and go"),
    ("D22", "grants by table"),
    ("D23", "what tracking costs"),
];

#[test]
fn each_requirement_has_a_test_with_its_number_in_its_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["tests/sqlserver", "host/crates/sqlserver/src"];
    let names: Vec<String> = folders.iter().flat_map(|folder| tests_in(&root.join(folder))).map(|test| test.name).collect();
    assert!(names.len() > 50, "{names:?}");
    let without: Vec<_> = REQUIREMENTS
        .iter()
        .filter(|(number, _)| {
            let number = number.to_lowercase();
            !names.iter().any(|name| name.split('_').any(|part| part == number))
        })
        .collect();
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn d2_d23_the_page_says_what_change_tracking_cannot_do_and_what_it_costs() {
    let page = include_str!("../../docs/sqlserver.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["needs Change Data Capture", "There are no old values", "Tracking costs the server about what an index does"] {
        assert!(page.contains(part), "{part}");
    }
}
