//! `sluicegate plugin inspect`.

use std::{fmt::Write as _, path::Path};

use indicatif::HumanBytes;

use super::print_out;
use crate::{Result, plugin};

/// Prints what a component is.
pub(super) fn inspect(path: &Path) -> Result<()> {
    let found = plugin::inspect(path)?;
    let mut out = String::new();
    let mut row = |label: &str, value: &str| {
        // writing into a String cannot fail
        let _ = writeln!(out, "{label:<11}{value}");
    };
    row("name", &found.description.name);
    row("version", &found.description.version);
    row("summary", &found.description.summary);
    row("interface", &found.interface);
    row("size", &format!("{} ({} bytes)", HumanBytes(found.bytes as u64), found.bytes));
    row("sha256", &found.hash);
    row("memory", &format!("{} after start", HumanBytes(found.memory as u64)));
    row("compiled", &format!("in {} ms", found.compile.as_millis()));
    for (label, names) in [("imports", &found.imports), ("exports", &found.exports)] {
        if names.is_empty() {
            row(label, "nothing");
        }
        for (i, name) in names.iter().enumerate() {
            row(if i == 0 { label } else { "" }, name);
        }
    }
    print_out(&out)
}
