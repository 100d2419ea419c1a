//! What a reader of MySQL and MariaDB has to do, by number, and the tests that show it. C is what comparable tools offer for MySQL, P what
//! users of such tools report, K the kinds of faults behind these reports. Each says what is shown, and no more. A number that is missing
//! has no test, or is something that only a hosted service has: its console, its instances, its prices.
//!
//! A test is named with its file, which stands below one of [`FOLDERS`]: `program/copies/keys::NAME` is in `tests/program/copies/keys.rs`.

mod offered;
mod reported;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use offered::OFFERED;
use reported::{KINDS, REPORTED};
use sluicegate_harness::sources::tests_in;

/// The number, what it asks, and the tests that show it.
type Requirement = (&'static str, &'static str, &'static [&'static str]);

const FOLDERS: [&str; 4] = ["tests", "host/crates", "host/src", "plugins"];

fn all() -> impl Iterator<Item = &'static Requirement> {
    OFFERED.iter().chain(REPORTED).chain(KINDS)
}

/// The tests that there are, as the requirements name them.
fn existing() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        for test in tests_in(&folder) {
            let file = test.file.strip_prefix(&folder).expect("a file of the folder").with_extension("");
            names.insert(format!("{}::{}", file.display(), test.name));
        }
    }
    names
}

#[test]
fn each_requirement_has_tests_and_all_of_them_exist() {
    let existing = existing();
    assert!(existing.len() > 1000, "{}", existing.len());
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (number, _, tests) in all() {
        assert!(!tests.is_empty(), "{number} has no test");
        let gone = tests.iter().filter(|test| !existing.contains(**test));
        gone.for_each(|test| missing.entry(number).or_default().push(test));
    }
    assert!(missing.is_empty(), "these tests are gone, or have another name or file: {missing:#?}");
}

#[test]
fn each_requirement_is_there_once_and_says_what_it_asks() {
    let mut numbers = BTreeSet::new();
    for (number, asks, tests) in all() {
        assert!(numbers.insert(number), "{number} is there twice");
        assert!(!asks.is_empty(), "{number} asks nothing");
        assert_eq!(tests.iter().collect::<BTreeSet<_>>().len(), tests.len(), "{number} names a test twice");
    }
}

/// A test that carries a number in its name is one that the requirement names.
#[test]
fn tests_with_a_number_in_their_name_are_those_of_the_requirement() {
    let numbers: BTreeMap<String, &[&str]> = all().map(|(number, _, tests)| (number.to_lowercase(), *tests)).collect();
    let existing = existing();
    // the other reader has numbers of its own
    let ours = existing.iter().filter(|test| !test.starts_with("sqlserver/"));
    let mut forgotten = Vec::new();
    for test in ours {
        let name = test.rsplit("::").next().expect("a name");
        let known = name.split('_').filter_map(|part| Some((part, numbers.get(part)?)));
        forgotten.extend(known.filter(|(_, tests)| !tests.contains(&test.as_str())).map(|(number, _)| format!("{number}: {test}")));
    }
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}
