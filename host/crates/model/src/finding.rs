//! What a check found, item by item.

use super::{Error, ErrorKind};

/// Whether what was found is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Pass,
    /// A run begins all the same, and may do something else than was meant.
    Warn,
    /// A run would stop, at its start or later.
    Fail,
}

impl Verdict {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }
}

/// One line of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: one of a small number of words.
    pub item: &'static str,
    /// Whether it is good.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it: SQL where it is SQL.
    pub remedy: Option<String>,
}

impl Finding {
    /// Something good.
    pub fn pass(item: &'static str, found: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Pass, found: found.into(), remedy: None }
    }

    /// Something to think about.
    pub fn warn(item: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Something that would stop a run.
    pub fn fail(item: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// An error that would stop a run.
    pub fn of(item: &'static str, error: &Error) -> Self {
        Self { item, verdict: Verdict::Fail, found: error.chain(), remedy: error.remedy_text().map(str::to_owned) }
    }

    /// The error that stands for everything that failed; `None` when nothing did.
    pub fn error(findings: &[Finding]) -> Option<Error> {
        let failed: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Fail).collect();
        match failed.as_slice() {
            [] => None,
            [one] => {
                let error = Error::new(ErrorKind::Precheck, one.found.clone());
                Some(match &one.remedy {
                    Some(remedy) => error.remedy(remedy),
                    None => error,
                })
            }
            many => {
                let line = |finding: &&Finding| {
                    let remedy = finding.remedy.as_ref().map(|remedy| format!("\n    remedy: {remedy}")).unwrap_or_default();
                    format!("\n  - {}{remedy}", finding.found)
                };
                Some(Error::new(
                    ErrorKind::Precheck,
                    format!("not ready, {} faults:{}", many.len(), many.iter().map(line).collect::<String>()),
                ))
            }
        }
    }
}

/// The first of `names`, and how many more there are.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>, most: usize) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
