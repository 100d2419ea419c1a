//! Standard plugin `filter`: keeps the rows that an SQL condition matches, and the operations that are wanted.
//!
//! ```yaml
//! - use: filter
//!   config:
//!     tables:
//!       - table: shop.orders            # a pattern or a list of them; `!` in front excludes
//!         where: total >= 10 AND status NOT IN ('test', 'draft')
//!         operations: [insert, update]  # of snapshot, insert, update, delete, truncate; left out: all
//! ```
//!
//! `where` and `operations` may also stand alone, without `tables`, for every table that the plugin sees. When several
//! entries stand for one table, all of them apply.
//!
//! A condition is for the tables that have all of its columns. Where a table is named without wildcards, and where `where` stands
//! without `tables`, a column that a table does not have is an error; a pattern leaves such a table as it is. `missing: error` or `ignore` beside `where` decides otherwise.
//!
//! Both images of an update are judged: a row that leaves the condition is delivered as a delete, one that enters it as an
//! insert. A row is kept when the condition is true, not when it is unknown (SQL's three-valued logic).
//!
//! Conditions: `=`, `<>`, `!=`, `<`, `<=`, `>`, `>=`, `<=>`, `AND`, `OR`, `NOT`, `[NOT] IN (…)`, `[NOT] LIKE … [ESCAPE …]`,
//! `[NOT] BETWEEN`, `IS [NOT] NULL`, `IS [NOT] TRUE | FALSE | UNKNOWN`, on columns and literals. Integers and decimals are
//! compared exactly; text byte by byte, so case counts; timestamps in UTC. `docs/conditions.md` has the rules: what a server would
//! judge otherwise is refused, but for text under collations that ignore case or trailing spaces.

// a guest that panics is dropped by the host: faults are answers (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod condition;
mod config;
mod decimal;
mod digits;
mod evaluate;
mod expression;
mod like;
mod literal;
mod temporal;

use std::collections::BTreeMap;

use sluicegate_plugin::{Batch, Description, Outcome, Plugin, TablePlan, describe, display_name, export_plugin, log};

pub use condition::Condition;
pub use config::Config;
pub use evaluate::keep;
pub use expression::parse;

/// The plugin.
#[derive(Debug)]
pub struct Filter {
    config: Config,
    /// Compiled conditions of the planned tables.
    conditions: BTreeMap<u32, Condition>,
}

impl Plugin for Filter {
    fn describe() -> Description {
        describe!("keeps the rows that an SQL condition matches", include_str!("../config.schema.json"))
    }

    fn configure(config: &str) -> Result<Self, String> {
        Ok(Self { config: Config::read(config)?, conditions: BTreeMap::new() })
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        self.conditions.remove(&table.id());
        let mut conditions = Vec::new();
        let name = table.table().name.clone();
        for entry in self.config.entries.iter().filter(|entry| entry.selects(&name)) {
            if let Some(operations) = entry.operations {
                table.deliver(table.operations() & operations);
            }
            if let Some(text) = &entry.condition {
                let of_table = |error| format!("the condition for table {}: {error}", display_name(&name));
                let expression = parse(text).map_err(of_table)?;
                let columns = expression.columns();
                let there = columns.iter().filter(|column| table.has(column)).count();
                if entry.leaves_out(&name, there, columns.len()) {
                    let lacks: Vec<_> = columns.into_iter().filter(|column| !table.has(column)).collect();
                    let (lacks, table) = (lacks.join("`, `"), display_name(&name));
                    match there {
                        0 => log!(Info, "table {table} has no column `{lacks}`: the condition for {} does not apply to it", entry.tables()),
                        // perhaps a slip: all its rows are kept
                        _ => log!(
                            Warn,
                            "table {table} has only some columns of the condition for {}, and no `{lacks}`: the condition does not apply to it; \
                             say `missing: error` beside `where` if it should",
                            entry.tables()
                        ),
                    }
                    continue;
                }
                conditions.push(condition::compile(&expression, table).map_err(of_table)?);
            }
        }
        if !conditions.is_empty() {
            table.filter_rows();
            self.conditions.insert(table.id(), Condition::and(conditions));
        }
        Ok(())
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        let condition = self.conditions.get(&batch.table_id).ok_or("a table without a condition")?;
        Ok(keep(condition, &batch.rows.columns, batch.rows.count as usize))
    }
}

export_plugin!(Filter);

#[cfg(test)]
mod tests;
