//! How an error that ends the program is shown.

use std::{error::Error as _, fmt::Write as _};

use crate::service::live::Console;
use sluicegate_model::Error;

/// Prints it to standard error, or into a JSON log.
pub(super) fn print(error: &Error, console: &Console, json: bool) {
    if json {
        tracing::error!(
            kind = ?error.kind(),
            cause = causes(error).join(": "),
            remedy = error.remedy_text().unwrap_or_default(),
            "{}",
            error.message()
        );
    } else {
        console.print(&text(error));
    }
}

/// `error: …`, its causes, the remedy, each on lines of its own.
fn text(error: &Error) -> String {
    // writing into a String cannot fail
    let mut out = format!("error: {}\n", error.message());
    for cause in causes(error) {
        let _ = writeln!(out, "caused by: {cause}");
    }
    if let Some(remedy) = error.remedy_text() {
        let _ = writeln!(out, "remedy: {remedy}");
    }
    out
}

/// The causes that tell something new, outermost first.
fn causes(error: &Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // our own errors print their causes and remedy too: here only their message
        let text = inner.downcast_ref::<Error>().map_or_else(|| inner.to_string(), |e| e.message().to_owned());
        if !error.message().contains(&text) && !causes.last().is_some_and(|last| last.contains(&text)) {
            causes.push(text);
        }
        cause = inner.source();
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::ErrorKind;

    #[test]
    fn an_error_shows_its_causes_and_its_remedy() {
        let inner =
            Error::new(ErrorKind::Connection, "the server said no").caused_by(std::io::Error::other("connection refused")).remedy("x");
        let error = Error::new(ErrorKind::Source, "cannot read").caused_by(inner).remedy("start the server");
        insta::assert_snapshot!(text(&error), @r"
        error: cannot read
        caused by: the server said no
        caused by: connection refused
        remedy: start the server
        ");
        assert_eq!(text(&Error::new(ErrorKind::Internal, "plain")), "error: plain\n");
    }
}
