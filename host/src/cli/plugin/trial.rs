//! `sluicegate plugin test`.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use serde_json::{Map, Value as Json};
use similar::{ChangeTag, TextDiff};

use super::{Subject, print_out, write};
use sluicegate_authoring::{Fate, Outcome, Rows, Trial};
use sluicegate_model::{Error, ErrorKind, Result, limits::ROWS_FILE_BYTES};
use sluicegate_storage::file;

#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    #[command(flatten)]
    subject: Subject,
    /// The changes to run it over
    #[arg(long, value_name = "ROWS.ndjson")]
    rows: PathBuf,
    /// What it should make of them
    #[arg(long, value_name = "EXPECTED.ndjson")]
    expect: Option<PathBuf>,
    /// Write what it makes of them into the file of --expect
    #[arg(long, requires = "expect")]
    update: bool,
}

impl Test {
    pub(super) fn run(self, paint: bool) -> Result<()> {
        let rows = Rows::read(&self.rows)?;
        let trial = Trial::run(&self.subject.load()?, &rows)?;
        let records: Vec<String> = trial.records().iter().map(Json::to_string).collect();
        let mut out = String::new();
        trial.outcomes.iter().for_each(|outcome| show(outcome, paint, &mut out));
        let count = |wanted: fn(&Fate) -> bool| trial.outcomes.iter().filter(|outcome| wanted(&outcome.fate)).count();
        let failed = count(|fate| matches!(fate, Fate::Failed(_)));
        let (all, dropped) = (trial.outcomes.len(), count(|fate| *fate == Fate::Dropped));
        // writing into a String cannot fail
        let _ = writeln!(out, "{all} changes: {} delivered, {dropped} dropped, {failed} failed", all - dropped - failed);
        let Some(expect) = self.expect else {
            print_out(&out)?;
            return if failed == 0 {
                Ok(())
            } else {
                Err(failure(format!("the plugin failed on {failed} changes"), "look at what is said about each above"))
            };
        };
        if self.update {
            let text = records.iter().fold(String::new(), |text, record| text + record + "\n");
            write(&expect, text.as_bytes())?;
            let _ = writeln!(out, "{} records written to {}", records.len(), expect.display());
            return print_out(&out);
        }
        let text = file::read_text(&expect, ROWS_FILE_BYTES).map_err(|e| {
            Error::new(ErrorKind::Config, format!("{} cannot be read", expect.display())).caused_by(e).remedy("write it with --update")
        })?;
        let expected = text.lines().filter(|line| !line.trim().is_empty()).map(normal).collect::<Result<Vec<_>>>()?;
        if expected == records {
            let _ = writeln!(out, "as {} expects", expect.display());
            return print_out(&out);
        }
        let _ = writeln!(out, "\n{} (-) and what came (+):", expect.display());
        difference(&lines(&expected), &lines(&records), paint, &mut out);
        print_out(&out)?;
        Err(failure(
            format!("the plugin's answers differ from {}", expect.display()),
            "correct the plugin, or accept its answers with --update",
        ))
    }
}

fn failure(what: String, remedy: &str) -> Error {
    Error::new(ErrorKind::Plugin, what).remedy(remedy)
}

fn lines(records: &[String]) -> String {
    records.iter().fold(String::new(), |text, record| text + record + "\n")
}

/// A line of the expected file in the form of the answer: blanks between its parts do not count.
fn normal(line: &str) -> Result<String> {
    let value: Json = serde_json::from_str(line).map_err(|e| {
        Error::new(ErrorKind::Config, "the expected records hold a line that is not JSON").caused_by(e).remedy("write them with --update")
    })?;
    Ok(value.to_string())
}

/// A change with what the plugin made of it.
fn show(outcome: &Outcome, paint: bool, out: &mut String) {
    let word = |key: &str| outcome.read.get(key).and_then(Json::as_str).unwrap_or_default();
    let head = format!("line {}: {} {}", outcome.line, word("op"), word("table"));
    // writing into a String cannot fail
    match &outcome.fate {
        Fate::Failed(message) => {
            let _ = writeln!(out, "{}\n", colored(&format!("{head}\n! {message}"), "1;31", paint));
        }
        Fate::Dropped => {
            let _ = writeln!(out, "{head}: dropped");
            difference(&text(&outcome.read), "", paint, out);
            out.push('\n');
        }
        Fate::Delivered(record) => {
            let _ = writeln!(out, "{head}");
            difference(&text(&outcome.read), &text(record), paint, out);
            out.push('\n');
        }
    }
}

/// A change as lines, one for each column.
fn text(record: &Map<String, Json>) -> String {
    let mut text = String::new();
    for (key, value) in record {
        // writing into a String cannot fail
        let _ = match value {
            Json::Object(columns) => {
                let _ = writeln!(text, "{key}");
                columns.iter().try_for_each(|(name, value)| writeln!(text, "  {name}: {value}"))
            }
            Json::String(word) => writeln!(text, "{key}: {word}"),
            other => writeln!(text, "{key}: {other}"),
        };
    }
    text
}

/// The lines of both, `-` where only the old has them and `+` where only the new does.
fn difference(old: &str, new: &str, paint: bool, out: &mut String) {
    for change in TextDiff::from_lines(old, new).iter_all_changes() {
        let (sign, color) = match change.tag() {
            ChangeTag::Equal => (' ', ""),
            ChangeTag::Delete => ('-', "31"),
            ChangeTag::Insert => ('+', "32"),
        };
        let line = format!("  {sign} {}", change.value().trim_end_matches('\n'));
        let _ = writeln!(out, "{}", colored(&line, color, paint));
    }
}

/// In a colour of ANSI terminals (ECMA-48, Select Graphic Rendition).
fn colored(text: &str, color: &str, paint: bool) -> String {
    if paint && !color.is_empty() { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
}
