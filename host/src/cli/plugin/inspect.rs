//! `sluicegate plugin inspect`.

use std::{fmt::Write as _, path::PathBuf};

use clap::Args;
use indicatif::HumanBytes;
use serde_json::{Value as Json, json};

use super::print_out;
use sluicegate_model::Result;
use sluicegate_plugin_host as plugin;

#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    /// The component, or a standard plugin: filter, map-names, rewrite-columns
    #[arg(value_name = "FILE.wasm")]
    path: PathBuf,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Inspect {
    /// Prints what a component is.
    pub(super) fn run(self) -> Result<()> {
        let found = plugin::inspect(&self.path)?;
        let schema: Option<Json> = serde_json::from_str(&found.description.config_schema).ok();
        if self.json {
            let all = json!({
                "name": found.description.name,
                "version": found.description.version,
                "summary": found.description.summary,
                "interface": found.interface,
                "bytes": found.bytes,
                "sha256": &*found.hash,
                "memory_bytes": found.memory,
                "compile_ms": found.compile.as_millis() as u64,
                "grants": found.grants,
                "imports": found.imports,
                "exports": found.exports,
                "config_schema": schema,
            });
            return print_out(&format!("{all:#}\n"));
        }
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
        let grants = if found.grants.is_empty() { "none needed".into() } else { format!("[{}]", found.grants.join(", ")) };
        row("grants", &grants);
        for (label, names) in [("imports", &found.imports), ("exports", &found.exports)] {
            if names.is_empty() {
                row(label, "nothing");
            }
            for (i, name) in names.iter().enumerate() {
                row(if i == 0 { label } else { "" }, name);
            }
        }
        match schema {
            Some(schema) => row("config", &format!("as this JSON Schema says:\n{schema:#}")),
            None => row("config", "no schema: anything goes"),
        }
        print_out(&out)
    }
}
