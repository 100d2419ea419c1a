//! A plugin that misbehaves as its config says, to prove that the host survives it.
//!
//! Config: `{"behaviour": "trap-apply"}`, and `"value": 7` for `trap-on-value`. Without a behaviour it is well-behaved:
//! it rewrites the first column of every table with itself. Behaviours:
//!
//! | behaviour | what it does |
//! |---|---|
//! | `fail-configure`, `trap-configure`, `spin-configure` | `configure` answers with an error, traps, never returns |
//! | `fail-plan`, `trap-plan` | `plan` answers with an error, traps |
//! | `plan-unknown-column` | delivers and reads an input column that does not exist |
//! | `plan-duplicate-names` | delivers two columns of one name |
//! | `trap-apply`, `spin-apply`, `fail-apply` | `apply` traps, never returns, answers with an error |
//! | `trap-on-value` | traps on a batch in which the first column of type int64 or uint64 holds `value` |
//! | `memory-bomb` | allocates without end |
//! | `wrong-count` | answers with a column that is one row short |
//! | `wrong-type` | answers with another type than planned |
//! | `bad-offsets` | answers text whose offsets point past its data |
//! | `bad-utf8` | answers text that is not UTF-8 |
//! | `short-keep` | answers a keep bitmap without bytes for all rows |
//! | `missing-column` | answers no computed column |
//! | `reject-row` | rejects the first row of each batch |
//! | `reject-beyond` | rejects a row that is not in the batch |
//! | `log-flood` | writes 100,000 log lines in each `apply` |
//! | `huge-output` | answers 96 MiB of text |

use sluicegate_plugin::{
    Batch, Column, ColumnBuilder, Context, DataType, Description, Guest, Instance, Operations, Outcome, Place, Plan, Plugin, Rejection,
    Rows, Strings, Table, TablePlan, Value, Values, Vector, bindings::export, log,
};
use std::cell::RefCell;

struct Evil {
    behaviour: String,
    value: Option<i64>,
}

#[allow(clippy::empty_loop, reason = "that is the point")]
fn spin() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

impl Plugin for Evil {
    fn describe() -> Description {
        sluicegate_plugin::describe!("misbehaves")
    }

    fn configure(config: &str) -> Result<Self, String> {
        let config: serde_json::Value = serde_json::from_str(config).map_err(|error| error.to_string())?;
        let behaviour = config.get("behaviour").and_then(|b| b.as_str()).unwrap_or_default().to_string();
        match behaviour.as_str() {
            "fail-configure" => Err("this configuration is refused on purpose".into()),
            "trap-configure" => std::process::abort(),
            "spin-configure" => spin(),
            _ => Ok(Self { behaviour, value: config.get("value").and_then(|v| v.as_i64()) }),
        }
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        match self.behaviour.as_str() {
            "fail-plan" => return Err("this table is refused on purpose".into()),
            "trap-plan" => std::process::abort(),
            _ => {}
        }
        let columns = &table.table().columns;
        let numbers = |c: &&sluicegate_plugin::Column| matches!(c.data_type, DataType::Int64 | DataType::Uint64);
        let first = columns.first().map(|c| c.name.clone()).ok_or("a table without columns")?;
        let text = columns.iter().find(|c| sluicegate_plugin::is_textual(c.data_type)).map(|c| c.name.clone());
        let number = columns.iter().find(numbers).map(|c| c.name.clone());
        match self.behaviour.as_str() {
            "bad-offsets" | "bad-utf8" | "huge-output" | "memory-bomb" => {
                if let Some(name) = text {
                    table.rewrite_as(&name, DataType::Text)?;
                }
            }
            "trap-on-value" => {
                if let Some(name) = number {
                    table.rewrite(&name)?;
                }
            }
            "short-keep" => {
                table.filter_rows();
                table.read(&first)?;
            }
            _ => {
                table.rewrite(&first)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        let count = batch.rows.count as usize;
        let computed = batch.layout.computed.first().map(|c| c.data_type);
        let Batch { rows, .. } = batch;
        let untouched = |rows: Rows| Outcome {
            keep: Vec::new(),
            computed: if computed.is_some() { rows.columns.into_iter().take(1).collect() } else { Vec::new() },
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
            "trap-apply" => std::process::abort(),
            "spin-apply" => spin(),
            "fail-apply" => return Err("this batch is refused on purpose".into()),
            "trap-on-value" => {
                let hit = |value: Value<'_>| match value {
                    Value::Int(v) => Some(v) == self.value,
                    Value::UInt(v) => i64::try_from(v).ok() == self.value,
                    _ => false,
                };
                if rows.columns.first().is_some_and(|column| (0..count).any(|i| hit(column.value(i)))) {
                    std::process::abort();
                }
                untouched(rows)
            }
            "memory-bomb" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(std::hint::black_box(vec![1u8; 1 << 20]));
                }
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
            "bad-offsets" => texts((0..=count as u32).map(|i| i * 1000).collect(), vec![b'x'; 3]),
            "bad-utf8" => texts((0..=count as u32).collect(), vec![0xff; count]),
            "huge-output" => {
                const SIZE: usize = 96 << 20;
                let mut offsets = vec![SIZE as u32; count + 1];
                offsets[0] = 0;
                texts(offsets, vec![b'x'; SIZE])
            }
            "short-keep" => Outcome { keep: if count > 8 { vec![0xff] } else { vec![0xff, 0xff, 0xff] }, computed: Vec::new(), rejected: Vec::new() },
            "missing-column" => Outcome { keep: Vec::new(), computed: Vec::new(), rejected: Vec::new() },
            "reject-row" => reject(0, rows),
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
        let columns = table.columns.len() as u32;
        let name = table.name.clone();
        let input = |name: &str| Column {
            name: name.into(),
            data_type: table.columns.first().map_or(DataType::Text, |c| c.data_type),
            native_type: String::new(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        };
        let columns_of = [input("same"), input("same"), input("nowhere")];
        let wrong = |columns: Vec<Column>, origins: Vec<Option<u32>>, reads: Vec<u32>| Plan {
            delivers: Table { name, destination: None, columns },
            origins,
            operations: Operations::all(),
            reads,
            context: Context::empty(),
            filters: true,
        };
        let plan = with(|instance| instance.plan(table_id, table))?;
        let behaviour = with(|instance| Ok(instance.plugin().behaviour.clone()))?;
        Ok(match behaviour.as_str() {
            "plan-unknown-column" => Some(wrong(columns_of[2..].to_vec(), vec![Some(columns + 7)], vec![columns + 7])),
            "plan-duplicate-names" => Some(wrong(columns_of[..2].to_vec(), vec![Some(0), Some(0)], vec![0])),
            _ => plan,
        })
    }

    fn apply(table_id: u32, rows: Rows) -> Result<Outcome, String> {
        with(|instance| instance.apply(table_id, rows))
    }
}

fn with<T>(run: impl FnOnce(&mut Instance<Evil>) -> Result<T, String>) -> Result<T, String> {
    INSTANCE.with_borrow_mut(|instance| instance.as_mut().map_or_else(|| Err("called before configure".into()), run))
}

export!(Component with_types_in sluicegate_plugin::bindings);
