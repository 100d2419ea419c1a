//! The tests that stand in source files, for lists of what has to be tested.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A test, and the file that it stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// The file that it stands in.
    pub file: PathBuf,
    /// Its name, without modules.
    pub name: String,
}

/// The tests in the files of a folder and of those below it.
pub fn tests_in(folder: &Path) -> Vec<Test> {
    let mut tests = Vec::new();
    collect(folder, &mut tests);
    tests.sort();
    tests
}

fn collect(folder: &Path, tests: &mut Vec<Test>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let file = entry.expect("an entry").path();
        // what was built
        if file.is_dir() && file.file_name().is_some_and(|name| name != "target") {
            collect(&file, tests);
        } else if file.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&file).expect("text");
            tests.extend(names(&text).into_iter().map(|name| Test { file: file.clone(), name }));
        }
    }
}

/// The names of the functions behind the attribute of a test.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "#[test]" && !line.starts_with("#[tokio::test") {
            continue;
        }
        let name = lines.find_map(|line| line.trim_start_matches("async ").strip_prefix("fn ")?.split_once('('));
        names.extend(name.map(|(name, _)| name.to_owned()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_behind_the_attribute_of_a_test_are_tests() {
        let text = "fn helper() {}\n    #[test]\n    #[ignore = \"slow\"]\n    fn one() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn two() {}\n";
        assert_eq!(names(text), ["one", "two"]);
    }
}
