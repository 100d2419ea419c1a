//! `sluicegate check`.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::{block_on, print_out};
use sluicegate_config as config;
use sluicegate_model::{
    Error, ErrorKind, Result,
    finding::{Finding, Verdict},
};
use sluicegate_pipeline::{self as pipeline, Report, TableReport};

/// What is looked at, in the order of the table.
const ITEMS: [&str; 32] = [
    "plugins",
    "sinks",
    "state",
    "http",
    "dead letters",
    "disk space",
    "connection",
    "binlog",
    "grants",
    "select",
    "retention",
    "log_replica_updates",
    "server_id",
    "time zone",
    "max_allowed_packet",
    "position",
    "column types",
    "primary keys",
    "cascades",
    "source",
    "tables",
    "views",
    "helper tables",
    "plan",
    "rules",
    "folders",
    "topics",
    "keyless tables",
    "row metadata",
    "row image",
    "sessions",
    "memory",
];

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
    /// Also print what becomes of each captured table: which columns are masked, dropped, renamed or added, and by which plugin
    #[arg(long)]
    effective: bool,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Leave out the warnings of this item, e.g. `cascades`. May be given several times
    #[arg(long, value_name = "ITEM")]
    ignore: Vec<String>,
}

/// Checks everything that a run needs, and prints what was found.
pub(super) fn check(arguments: &Check) -> Result<()> {
    let ignored: BTreeSet<&str> = arguments.ignore.iter().map(String::as_str).collect();
    if let Some(unknown) = ignored.iter().find(|item| !ITEMS.contains(item)) {
        return Err(Error::new(ErrorKind::Config, format!("`{unknown}` is no item of a check"))
            .remedy(format!("give --ignore one of {}", ITEMS.map(|item| format!("`{item}`")).join(", "))));
    }
    let settings = config::load(&arguments.path)?;
    let mut report = block_on(pipeline::check(settings))?;
    report.findings.retain(|finding| finding.verdict != Verdict::Warn || !ignored.contains(finding.item));
    print_out(&if arguments.json { document(&report) } else { table(&arguments.path, &report, arguments.effective) })?;
    report.into_error().map_or(Ok(()), Err)
}

fn count(report: &Report, verdict: Verdict) -> usize {
    report.findings.iter().filter(|finding| finding.verdict == verdict).count()
}

/// For people.
fn table(path: &Path, report: &Report, effective: bool) -> String {
    let mut out = format!("ok  {}: the pipeline file is right\n", path.display());
    // writing into a String cannot fail
    for Finding { item, verdict, found, remedy } in &report.findings {
        let _ = writeln!(out, "{}  {item}: {found}", verdict.word());
        if let (Some(remedy), true) = (remedy, *verdict != Verdict::Pass) {
            let _ = writeln!(out, "      remedy: {remedy}");
        }
    }
    if effective {
        out.push('\n');
        report.tables.iter().for_each(|table| out.push_str(&one(table)));
        if report.more > 0 {
            let _ = writeln!(out, "and {} more tables, which were not looked at", report.more);
        }
        out.push('\n');
    }
    let warnings = match count(report, Verdict::Warn) {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        several => format!(", {several} warnings"),
    };
    match count(report, Verdict::Fail) {
        0 if warnings.is_empty() => out.push_str("ready\n"),
        0 => {
            let _ = writeln!(out, "ready{warnings}");
        }
        failed => {
            let _ = writeln!(out, "not ready: {failed} failed{warnings}");
        }
    }
    out
}

/// What becomes of a table.
fn one(table: &TableReport) -> String {
    let TableReport { table, delivered, topics, columns, rows } = table;
    let mut out = table.clone();
    if delivered != table {
        let _ = write!(out, " as {delivered}");
    }
    for (sink, topic) in topics {
        let _ = write!(out, ", topic {topic} of `{sink}`");
    }
    if columns.is_empty() && rows.is_empty() {
        out.push_str(": as it is");
    }
    out.push('\n');
    for (column, what) in columns {
        let _ = writeln!(out, "  {column}: {what}");
    }
    for what in rows {
        let _ = writeln!(out, "  rows: {what}");
    }
    out
}

/// For programs.
fn document(report: &Report) -> String {
    let finding = |Finding { item, verdict, found, remedy }: &Finding| json!({ "item": item, "verdict": verdict.word(), "found": found, "remedy": remedy });
    let table = |TableReport { table, delivered, topics, columns, rows }: &TableReport| {
        let pairs = |pairs: &[(String, String)], name: &str, value: &str| {
            pairs.iter().map(|(n, v)| json!({ name: n, value: v })).collect::<Vec<Value>>()
        };
        json!({
            "table": table,
            "delivered": delivered,
            "topics": pairs(topics, "sink", "topic"),
            "columns": pairs(columns, "column", "effect"),
            "rows": rows,
        })
    };
    let document = json!({
        "ready": count(report, Verdict::Fail) == 0,
        "items": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "tables": report.tables.iter().map(table).collect::<Vec<_>>(),
        "more_tables": report.more,
    });
    format!("{document:#}\n")
}
