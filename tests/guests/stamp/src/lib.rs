//! Adds a text column with this component's version to every table. The tests patch the marker in the built bytes, so a
//! new version needs no compiler.

use sluicegate_plugin::{Batch, DataType, Description, Outcome, Plugin, Strings, TablePlan, Values, Vector, export_plugin};

/// Replaced in the built component by the guest builder's `stamp(version)`. Read through `black_box`, or the compiler would
/// take it apart into immediate values.
static VERSION: [u8; 12] = *b"VERSION-0000";

struct Stamp {
    column: String,
}

impl Plugin for Stamp {
    fn describe() -> Description {
        let version = String::from_utf8_lossy(&std::hint::black_box(&VERSION)[..]).into_owned();
        let summary = "adds a column with the version of the plugin".into();
        Description { name: "stamp".into(), version, summary, config_schema: String::new() }
    }

    /// Config: `{"column": "name"}`, or nothing for `plugin_version`. No JSON parser here, to keep the guest small.
    fn configure(config: &str) -> Result<Self, String> {
        let column = match config.split('"').collect::<Vec<_>>().as_slice() {
            [_, "column", _, column, _] => *column,
            [_] => "plugin_version",
            _ => return Err("stamp takes {\"column\": \"name\"} or no config".into()),
        };
        Ok(Self { column: column.to_string() })
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        table.add(&self.column, DataType::Text);
        Ok(())
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        let version = std::hint::black_box(&VERSION);
        let offsets = (0..=batch.rows.count).map(|row| row * version.len() as u32).collect();
        let data = version.repeat(batch.rows.count as usize);
        let column = Vector { values: Values::Texts(Strings { offsets, data }), nulls: Vec::new() };
        Ok(Outcome { keep: Vec::new(), computed: vec![column], rejected: Vec::new() })
    }
}

export_plugin!(Stamp);
