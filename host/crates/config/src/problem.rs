//! What is wrong in a pipeline file, and the error that lists it.

use std::fmt::Write as _;

use sluicegate_model::{Error, ErrorKind};

/// How many problems one error lists; a file that is wrong throughout is told so once.
pub(super) const MOST_PROBLEMS: usize = 20;

/// One fault, at one place. None of the texts holds a value from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Path of keys, e.g. `sinks[0].topic`; empty = the file as a whole.
    pub path: String,
    /// Line in the file, from 1; 0 = unknown.
    pub line: u64,
    /// What is wrong.
    pub what: String,
    /// What to do: an imperative sentence without a full stop.
    pub remedy: String,
}

impl Problem {
    fn place(&self) -> String {
        match (self.line, self.path.is_empty()) {
            (0, true) => String::new(),
            (0, false) => format!("{}: ", self.path),
            (line, true) => format!("line {line}: "),
            (line, false) => format!("line {line}, {}: ", self.path),
        }
    }
}

/// The error of a file with these problems: one is told in a sentence, several as a list with a remedy each.
pub(super) fn error(file: &str, mut problems: Vec<Problem>) -> Error {
    problems.sort_by_key(|p| p.line);
    if let [only] = problems.as_slice() {
        return Error::new(ErrorKind::Config, format!("{file}: {}{}", only.place(), only.what)).remedy(&only.remedy);
    }
    let mut text = format!("{file}: {} problems", problems.len());
    for problem in problems.iter().take(MOST_PROBLEMS) {
        // writing into a String cannot fail
        let _ = write!(text, "\n  - {}{}; remedy: {}", problem.place(), problem.what, problem.remedy);
    }
    if problems.len() > MOST_PROBLEMS {
        let _ = write!(text, "\n  - and {} more", problems.len() - MOST_PROBLEMS);
    }
    Error::new(ErrorKind::Config, text).remedy("correct each of them; `sluicegate schema` prints every key that there is")
}

/// The known word that `word` was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(word, k), k))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// `a`, `b` or `c`.
pub(super) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    joined(words, "or")
}

/// `a`, `b` and `c`.
pub(super) fn and<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    joined(words, "and")
}

fn joined<'a>(words: impl IntoIterator<Item = &'a str>, last_by: &str) -> String {
    let words: Vec<String> = words.into_iter().map(|w| format!("`{w}`")).collect();
    match words.split_last() {
        None => "nothing".into(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {last_by} {last}", rest.join(", ")),
    }
}
