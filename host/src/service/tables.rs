//! `GET /tables`: how far the copy of each table is.

use serde_json::{Value, json};

use sluicegate_status::{Copies, CopyNumbers};

/// All tables that this run copies, and all of them together as long as one is not done.
pub(super) fn described(copies: &Copies) -> Value {
    let tables: Vec<Value> = copies.all().iter().map(|(table, numbers)| one(table, numbers)).collect();
    let all = copies.overall().map(|all| {
        json!({
            "tables": all.tables,
            "done": all.done,
            "rows": all.rows,
            "estimated_rows": all.total,
            "remaining_seconds": all.left.map(|left| left.as_secs_f64()),
        })
    });
    json!({ "copies": tables, "all": all })
}

fn one(table: &str, numbers: &CopyNumbers) -> Value {
    json!({
        "table": table,
        "state": numbers.state.name(),
        "rows": numbers.rows,
        "estimated_rows": numbers.total(),
        "remaining_seconds": numbers.left().map(|left| left.as_secs_f64()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_status::CopyState;

    #[test]
    fn tables_are_told_with_their_states_and_what_is_left() {
        let copies = Copies::default();
        assert_eq!(described(&copies), json!({ "copies": [], "all": null }));
        copies.update("shop.a", |n| {
            *n = CopyNumbers { state: CopyState::Copying, rows: 100, estimate: 300, before: 0, began_us: 1, advanced_us: 10_000_001 };
        });
        copies.update("shop.b", |n| n.estimate = 100);
        let waiting = json!({ "table": "shop.b", "state": "waiting", "rows": 0, "estimated_rows": 100, "remaining_seconds": null });
        let told = described(&copies);
        assert_eq!(told["copies"][0]["remaining_seconds"], 20.0);
        assert_eq!(told["copies"][1], waiting);
        assert_eq!(told["all"], json!({ "tables": 2, "done": 0, "rows": 100, "estimated_rows": 400, "remaining_seconds": 30.0 }));
    }
}
