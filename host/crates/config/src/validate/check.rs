//! What every part of the check needs: faults collected, and values of one kind.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sluicegate_table_pattern::{HOW_TO_WRITE, TablePattern};

use super::super::{
    Secret, TablePatterns,
    problem::Problem,
    quantity::{Size, Time},
    raw::RawSecret,
    secret::MOST_SECRET_BYTES,
};

/// A name's length, at most: names become parts of file names.
const MOST_NAME_BYTES: usize = 64;

/// Collects faults. After one, the value handed on is a stand-in that never leaves [`super::validate`].
pub(super) struct Check<'a> {
    /// Where relative paths start.
    pub base: &'a Path,
    pub problems: Vec<Problem>,
}

impl Check<'_> {
    /// Notes a fault at `path`.
    pub(super) fn refuse(&mut self, path: impl Into<String>, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), line: 0, what: what.into(), remedy: remedy.into() });
    }

    /// A name for logs, labels and file names.
    pub(super) fn name(&mut self, path: &str, name: &str) {
        let fits = !name.is_empty()
            && name.len() <= MOST_NAME_BYTES
            && !name.starts_with(['.', '-'])
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !fits {
            self.refuse(
                path,
                "this is not usable as a name",
                format!("use letters, digits, `-`, `_` and `.`, at most {MOST_NAME_BYTES}, with a letter, a digit or `_` in front"),
            );
        }
    }

    pub(super) fn path(&mut self, at: &str, path: &str) -> PathBuf {
        if path.is_empty() || path.contains('\0') {
            self.refuse(at, "this is not a path", "write a path; a relative one starts at the pipeline file's folder");
        }
        // `./` in the middle says nothing
        self.base.join(path).components().collect()
    }

    pub(super) fn text(&mut self, path: String, text: String, example: &str) -> String {
        if text.trim().is_empty() {
            self.refuse(path, "this is empty", format!("write {example}"));
        }
        text
    }

    pub(super) fn secret(&mut self, path: &str, raw: RawSecret) -> Secret {
        let from = match raw {
            RawSecret::Text(text) => return Secret::new(text),
            RawSecret::File(file) => self.path(path, &file),
        };
        Secret::read(&from).unwrap_or_else(|error| {
            let (what, remedy) = match error.kind() {
                io::ErrorKind::FileTooLarge => {
                    (format!("has more than {}", Size(MOST_SECRET_BYTES)), "give the path of the file that holds only the secret")
                }
                // the error of bytes that are not UTF-8 does not quote them
                _ => (format!("cannot be read: {error}"), "give the path of a text file that this account can read"),
            };
            self.refuse(path, format!("the secret's file {} {what}", from.display()), remedy);
            Secret::new("")
        })
    }

    /// A time within bounds.
    pub(super) fn time(&mut self, path: &str, time: Option<Time>, default: Duration, least: Duration, most: Duration) -> Duration {
        let time = time.map_or(default, |t| t.0);
        if time < least || time > most {
            self.refuse(path, "this time is out of bounds", format!("write a time from {} to {}", Time(least), Time(most)));
        }
        time
    }

    /// A size within bounds.
    pub(super) fn size(&mut self, path: &str, size: Option<Size>, default: u64, least: u64, most: u64) -> u64 {
        let size = size.map_or(default, |s| s.0);
        if size < least || size > most {
            self.refuse(path, "this size is out of bounds", format!("write a size from {} to {}", Size(least), Size(most)));
        }
        size
    }

    /// A number within bounds.
    pub(super) fn count(&mut self, path: &str, count: Option<u64>, default: u64, least: u64, most: u64) -> u64 {
        let count = count.unwrap_or(default);
        if count < least || count > most {
            self.refuse(path, "this number is out of bounds", format!("write a number from {least} to {most}"));
        }
        count
    }

    pub(super) fn tables(&mut self, path: &str, patterns: &[String]) -> TablePatterns {
        for (i, pattern) in patterns.iter().enumerate() {
            let text = pattern.strip_prefix('!').unwrap_or(pattern);
            if let Err(fault) = TablePattern::new(text) {
                self.refuse(format!("{path}[{i}]"), format!("this is not a table pattern: {fault}"), HOW_TO_WRITE);
            }
        }
        TablePatterns::new(patterns).unwrap_or_default()
    }
}
