//! A plugin that needs both grants. Its config is a number: `configure` refuses with the time and so many random bytes.

use sluicegate_plugin::{Description, Plugin, TablePlan, export_plugin, now, random_bytes};

struct Granted;

impl Plugin for Granted {
    fn describe() -> Description {
        sluicegate_plugin::describe!("reads the clock and random bytes")
    }

    fn configure(config: &str) -> Result<Self, String> {
        let count = config.parse().map_err(|_| "the config is a number".to_string())?;
        let bytes = random_bytes(count);
        let shown: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Err(format!("{} {} {shown}", now(), bytes.len()))
    }

    fn plan(&mut self, _table: &mut TablePlan) -> Result<(), String> {
        Ok(())
    }
}

export_plugin!(Granted);
