//! A plugin that misbehaves as its config says, to prove that the host survives it.
//!
//! Config: `{"behaviour": "trap-apply"}`, with `"value": 7` for the behaviours that take a number and `"column": "email"` for
//! another column than the first. Without a behaviour it is well-behaved: it rewrites that column with itself. Behaviours:
//!
//! | behaviour | what it does |
//! |---|---|
//! | `fail-…`, `trap-…`, `spin-…`, `deep-…`, `bomb-…` | answers with an error, traps, never returns, recurses without end, allocates without end, in `configure`, `plan` or `apply` |
//! | `plan-…` | answers a wrong plan: see `plans.rs` |
//! | `plan-changes` | its plan depends on how many it made before; traps on a batch of more than `value` rows |
//! | `trap-on-value` | traps on a batch in which the first column of type int64 or uint64 holds `value` |
//! | `trap-when-many` | traps on a batch of more than `value` rows |
//! | `leak` | keeps 1 MiB of each `apply` |
//! | `drip` | takes `value` rounds of work in each `apply` |
//! | `drip-and-trap` | the same, then traps |
//! | `wrong-count` | answers with a column that is one row short |
//! | `wrong-type` | answers with another type than planned |
//! | `wrong-nulls` | answers a bitmap of nulls that is too long |
//! | `bad-offsets` | answers text whose offsets point past its data |
//! | `bad-utf8` | answers text that is not UTF-8 |
//! | `short-keep`, `keep-unplanned` | answers a keep bitmap without bytes for all rows, or though its plan filters nothing |
//! | `missing-column` | answers no computed column |
//! | `reject-row`, `reject-odd` | rejects the first row of each batch; every second row |
//! | `reject-beyond` | rejects a row that is not in the batch |
//! | `reject-often` | rejects every row three times |
//! | `long-message` | rejects the first row with a message of 1 MiB |
//! | `log-flood` | writes 100,000 log lines in each `apply` |
//! | `huge-output` | answers 96 MiB of text |
//! | `large-alone` | refuses every batch of more than one row, and answers `value` bytes of text for one |

mod plans;

use sluicegate_plugin::{
    Batch, ColumnBuilder, DataType, Description, Guest, Instance, Outcome, Plan, Plugin, Rejection, Rows, Strings, Table, TablePlan, Value,
    Values, Vector, bindings::export, log,
};
use std::{cell::RefCell, hint::black_box};

struct Evil {
    behaviour: String,
    value: i64,
    column: Option<String>,
    hoard: Vec<Vec<u8>>,
    plans: u32,
}

fn spin() -> ! {
    loop {
        black_box(0);
    }
}

#[allow(unconditional_recursion, reason = "that is the point")]
fn deep(level: u64) -> u64 {
    black_box(deep(black_box(level + 1))) + 1
}

fn bomb() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// What `behaviour` does in `export`, if it is one of the faults that every export may have.
fn misbehave(behaviour: &str, export: &str) -> Result<(), String> {
    match behaviour.strip_suffix(export).unwrap_or_default() {
        "fail-" => Err("this is refused on purpose".into()),
        "trap-" => std::process::abort(),
        "spin-" => spin(),
        "deep-" => {
            black_box(deep(0));
            Ok(())
        }
        "bomb-" => bomb(),
        _ => Ok(()),
    }
}

impl Plugin for Evil {
    fn describe() -> Description {
        sluicegate_plugin::describe!("misbehaves")
    }

    fn configure(config: &str) -> Result<Self, String> {
        let config: serde_json::Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let behaviour = config.get("behaviour").and_then(|b| b.as_str()).unwrap_or_default().to_string();
        misbehave(&behaviour, "configure")?;
        let value = config.get("value").and_then(|v| v.as_i64()).unwrap_or_default();
        let column = config.get("column").and_then(|c| c.as_str()).map(Into::into);
        Ok(Self { behaviour, value, column, hoard: Vec::new(), plans: 0 })
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        misbehave(&self.behaviour, "plan")?;
        let columns = &table.table().columns;
        let numbers = |c: &&sluicegate_plugin::Column| matches!(c.data_type, DataType::Int64 | DataType::Uint64);
        let first = columns.first().map(|c| c.name.clone()).ok_or("a table without columns")?;
        let text = columns.iter().find(|c| sluicegate_plugin::is_textual(c.data_type)).map(|c| c.name.clone());
        let number = columns.iter().find(numbers).map(|c| c.name.clone());
        let column = self.column.clone().unwrap_or_else(|| first.clone());
        match self.behaviour.as_str() {
            "bad-offsets" | "bad-utf8" | "huge-output" | "large-alone" => {
                if let Some(name) = text {
                    table.rewrite_as(&name, DataType::Text)?;
                }
            }
            "trap-on-value" => {
                if let Some(name) = number {
                    table.read(&name)?;
                    table.rewrite(&self.column.clone().unwrap_or(name))?;
                }
            }
            "short-keep" => {
                table.filter_rows();
                table.read(&first)?;
            }
            "plan-changes" => {
                table.rewrite(&column)?;
                table.rename(&column, &format!("{column}_{}", self.plans))?;
                self.plans += 1;
            }
            _ => {
                table.rewrite(&column)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        let count = batch.rows.count as usize;
        let computed = batch.layout.computed.first().map(|c| c.data_type);
        // the column that is rewritten is read last
        let rewritten = batch.layout.reads.len().saturating_sub(1);
        let Batch { rows, .. } = batch;
        misbehave(&self.behaviour, "apply")?;
        let untouched = |rows: Rows| Outcome {
            keep: Vec::new(),
            computed: if computed.is_some() { rows.columns.into_iter().skip(rewritten).collect() } else { Vec::new() },
            rejected: Vec::new(),
        };
        let texts = |offsets: Vec<u32>, data: Vec<u8>| Outcome {
            keep: Vec::new(),
            computed: vec![Vector { values: Values::Texts(Strings { offsets, data }), nulls: Vec::new() }],
            rejected: Vec::new(),
        };
        let reject = |row: u32, rows: Rows| {
            let mut outcome = untouched(rows);
            outcome.rejected.push(Rejection { row, message: "this row is refused on purpose".into() });
            outcome
        };
        Ok(match self.behaviour.as_str() {
            "trap-on-value" => {
                let hit = |value: Value<'_>| match value {
                    Value::Int(v) => v == self.value,
                    Value::UInt(v) => i64::try_from(v) == Ok(self.value),
                    _ => false,
                };
                if rows.columns.first().is_some_and(|column| (0..count).any(|i| hit(column.value(i)))) {
                    std::process::abort();
                }
                untouched(rows)
            }
            "trap-when-many" | "plan-changes" if count as i64 > self.value => std::process::abort(),
            "leak" => {
                self.hoard.push(vec![1; 1 << 20]);
                untouched(rows)
            }
            "drip" | "drip-and-trap" => {
                (0..self.value).for_each(|round| {
                    black_box(round);
                });
                if self.behaviour == "drip-and-trap" {
                    std::process::abort();
                }
                untouched(rows)
            }
            "wrong-count" => {
                let mut column = ColumnBuilder::new(computed.unwrap_or(DataType::Text), count);
                (1..count).for_each(|_| column.push_null());
                Outcome { keep: Vec::new(), computed: vec![column.finish()], rejected: Vec::new() }
            }
            "wrong-type" => {
                let other = if computed == Some(DataType::Boolean) { DataType::Int64 } else { DataType::Boolean };
                let mut column = ColumnBuilder::new(other, count);
                (0..count).for_each(|_| column.push_null());
                Outcome { keep: Vec::new(), computed: vec![column.finish()], rejected: Vec::new() }
            }
            "wrong-nulls" => {
                let mut outcome = untouched(rows);
                outcome.computed.iter_mut().for_each(|column| column.nulls = vec![0; count + 1]);
                outcome
            }
            "keep-unplanned" => Outcome { keep: vec![0xff; count.div_ceil(8)], ..untouched(rows) },
            "bad-offsets" => texts((0..=count as u32).map(|i| i * 1000).collect(), vec![b'x'; 3]),
            "bad-utf8" => texts((0..=count as u32).collect(), vec![0xff; count]),
            "huge-output" => {
                const SIZE: usize = 96 << 20;
                let mut offsets = vec![SIZE as u32; count + 1];
                offsets[0] = 0;
                texts(offsets, vec![b'x'; SIZE])
            }
            "large-alone" if count > 1 => return Err("one row at a time, please".into()),
            "large-alone" => {
                let size = self.value as usize;
                texts(vec![0, size as u32], vec![b'x'; size])
            }
            "short-keep" => {
                Outcome { keep: if count > 8 { vec![0xff] } else { vec![0xff, 0xff, 0xff] }, computed: Vec::new(), rejected: Vec::new() }
            }
            "missing-column" => Outcome { keep: Vec::new(), computed: Vec::new(), rejected: Vec::new() },
            "reject-row" => reject(0, rows),
            "reject-odd" => {
                let mut outcome = untouched(rows);
                let odd = (0..count as u32).filter(|row| row % 2 == 1);
                outcome.rejected = odd.map(|row| Rejection { row, message: "this row is refused on purpose".into() }).collect();
                outcome
            }
            "reject-often" => {
                let mut outcome = untouched(rows);
                outcome.rejected = (0..3 * count as u32).map(|i| Rejection { row: i / 3, message: String::new() }).collect();
                outcome
            }
            "long-message" => {
                let mut outcome = untouched(rows);
                outcome.rejected.push(Rejection { row: 0, message: "é".repeat(1 << 19) });
                outcome
            }
            "reject-beyond" => reject(count as u32, rows),
            "log-flood" => {
                for line in 0..100_000 {
                    log!(Info, "line {line}");
                }
                untouched(rows)
            }
            _ => untouched(rows),
        })
    }
}

thread_local! {
    static INSTANCE: RefCell<Option<Instance<Evil>>> = const { RefCell::new(None) };
}

/// The exports by hand: the SDK would not let the wrong plans pass.
struct Component;

impl Guest for Component {
    fn describe() -> Description {
        Evil::describe()
    }

    fn configure(config: String) -> Result<(), String> {
        INSTANCE.set(Some(Instance::configure(&config)?));
        Ok(())
    }

    fn plan(table_id: u32, table: Table) -> Result<Option<Plan>, String> {
        let wrong = |behaviour: &str| plans::wrong(behaviour, &table);
        let behaviour = with(|instance| Ok(instance.plugin().behaviour.clone()))?;
        match wrong(&behaviour) {
            Some(plan) => Ok(Some(plan)),
            None => with(|instance| instance.plan(table_id, table)),
        }
    }

    fn apply(table_id: u32, rows: Rows) -> Result<Outcome, String> {
        with(|instance| instance.apply(table_id, rows))
    }
}

fn with<T>(run: impl FnOnce(&mut Instance<Evil>) -> Result<T, String>) -> Result<T, String> {
    INSTANCE.with_borrow_mut(|instance| instance.as_mut().map_or_else(|| Err("called before configure".into()), run))
}

export!(Component with_types_in sluicegate_plugin::bindings);
