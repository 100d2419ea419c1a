//! Standard plugin `rewrite-columns`: drops, renames, masks, hashes and computes columns.
//!
//! ```yaml
//! - use: rewrite-columns
//!   config:
//!     tables:
//!       - table: shop.customers              # a pattern or a list of them; `!` in front excludes
//!         columns:
//!           - { column: email,    mask: { first: 2, last: 4, with: "*" } }
//!           - { column: phone,    hash: { salt: "…" } }
//!           - { column: password, drop: true }
//!           - { column: name,     rename: full_name }
//!           - { column: note,     truncate: 80 }
//!           - { column: origin,   constant: shop }        # a new column when there is none of that name
//!           - { column: country,  default: "??" }         # in place of NULL
//!           - { column: label,    concat: { of: [name, { text: "#" }, id], separator: " " } }
//!           - { column: total,    cast: decimal }         # boolean, int, uint, float, decimal, text, bytes
//! ```
//!
//! A step is for the tables that have its column. Where a table is named without wildcards, a column that it does not have is an
//! error; a pattern leaves such a table as it is. `missing: error` or `ignore`, at an entry or a step, decides otherwise: with `ignore`, one configuration may name the column as it was called before and after a change of the table.
//!
//! Steps run in order; each sees what the ones before it made, under its current name. `mask` keeps the first and last
//! characters, or none of a value that is not longer than both together; `hash` is HMAC-SHA-256 with the salt as its key, as
//! 64 hexadecimal digits. They and `truncate` and `concat` work on the text of a value and deliver text. NULL stays NULL,
//! and `concat` leaves it out. A value that a cast cannot represent exactly rejects its row.

// a guest that panics is dropped by the host: faults are answers (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cast;
mod config;
mod constant;
mod evaluate;
mod hash;
mod program;
mod text;

use std::collections::BTreeMap;

use sluicegate_plugin::{Batch, Description, Outcome, Plugin, TablePlan, describe, export_plugin};

pub use config::Config;
use program::Program;

/// The plugin.
#[derive(Debug)]
pub struct RewriteColumns {
    config: Config,
    /// What is computed for the planned tables.
    programs: BTreeMap<u32, Program>,
}

impl Plugin for RewriteColumns {
    fn describe() -> Description {
        describe!("drops, renames, masks, hashes and computes columns", include_str!("../config.schema.json"))
    }

    fn configure(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::read(config)?, programs: BTreeMap::new() })
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        self.programs.remove(&table.id());
        let name = table.table().name.clone();
        let entries = self.config.entries.iter().filter(|entry| entry.tables.selects(&name));
        let steps: Vec<_> = entries.flat_map(|entry| entry.steps.iter().map(|step| (step, entry.missing(step, &name)))).collect();
        let program = Program::compile(&steps, table).map_err(|error| format!("table {}: {error}", table.display_name()))?;
        self.programs.insert(table.id(), program);
        Ok(())
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        let program = self.programs.get(&batch.table_id).ok_or("a table without a program")?;
        Ok(evaluate::run(program, batch.rows))
    }
}

export_plugin!(RewriteColumns);

#[cfg(test)]
mod tests;
