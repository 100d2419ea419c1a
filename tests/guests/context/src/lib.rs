//! Does with `shop.orders(id, email)` everything that a plan may say beside columns, and says in a header what it is told
//! about each row: `operation image time other`, where `other` is the id of the change's other image.
//!
//! - The table goes to `everything`, rows with an even id to `even`.
//! - The header `seen` holds the above, the header `mail` the e-mail address; the key is the e-mail address.
//! - Rows with an id that is divisible by 10 are dropped, those with a negative id rejected.
//! - A batch that holds the id 666 traps.

use sluicegate_plugin::{Batch, Context, DataType, Description, Outcome, Plugin, Row, TablePlan, export_plugin};

struct Told;

impl Plugin for Told {
    fn describe() -> Description {
        sluicegate_plugin::describe!("says what it is told about rows")
    }

    fn configure(_: &str) -> Result<Self, String> {
        Ok(Self)
    }

    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        table.read("id")?;
        table.ask(Context::all());
        table.filter_rows();
        table.send_to("everything");
        table.choose_destinations();
        table.add_header("seen", DataType::Text);
        table.copy_to_header("email", "mail")?;
        table.set_key(&["email"])
    }

    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        batch.each_row(|row| self.row(row))
    }

    fn row(&mut self, row: &mut Row<'_>) {
        let id = row.int("id").unwrap_or_default();
        if id == 666 {
            std::process::abort();
        }
        if id < 0 {
            row.reject("a negative id");
        }
        if id % 10 == 0 {
            row.drop();
        }
        if id % 2 == 0 {
            row.send_to("even");
        }
        let other = row.other("id").map(|other| match other {
            sluicegate_plugin::Value::Int(id) => id,
            _ => i64::MIN,
        });
        let other = other.map_or("-".into(), |id| id.to_string());
        row.set_header("seen", format!("{:?} {:?} {} {other}", row.operation(), row.image(), row.time()));
    }
}

export_plugin!(Told);
