//! A whole plugin: masks the column `email` of every table that has one, and drops test rows.

use sluicegate_plugin::{Description, Plan, Plugin, Row, TablePlace, describe, export_plugin};

struct MaskEmail;

impl Plugin for MaskEmail {
    fn describe() -> Description {
        describe!("masks e-mail addresses, drops test rows")
    }
    fn configure(_config: &str) -> Result<Self, String> {
        Ok(MaskEmail)
    }
    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        if table.has("email") {
            table.rewrite("email")?;
            table.filter_rows();
        }
        Ok(())
    }
    fn row(&mut self, row: &mut Row) {
        match row.text("email").and_then(|email| email.split_once('@')) {
            Some((_, "test.invalid")) => row.drop(),
            Some((_, domain)) => row.set("email", format!("***@{domain}")),
            None => {}
        }
    }
}

export_plugin!(MaskEmail);

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_plugin::{Column, ColumnBuilder, DataType, Instance, Rows, Table, Value};

    #[test]
    fn an_address_keeps_its_domain_and_a_test_row_goes() {
        let mut plugin = Instance::<MaskEmail>::configure("null").unwrap();
        let columns = vec![Column::new("id", DataType::Int64).key(), Column::new("email", DataType::Text)];
        let table = Table::new("shop", "customers", columns);
        let plan = plugin.plan(0, table).unwrap().unwrap();
        assert_eq!(plan.reads, [1], "only the address enters the plugin");

        let mut emails = ColumnBuilder::new(DataType::Text, 3);
        for email in [Some("ada@example.org"), Some("x@test.invalid"), None] {
            emails.push(email).unwrap();
        }
        let outcome = plugin.apply(0, Rows::new(3, vec![emails.finish()])).unwrap();
        assert_eq!(outcome.keep, [0b101]);
        assert_eq!(outcome.computed[0].value(0), Value::from("***@example.org"));
        assert_eq!(outcome.computed[0].value(2), Value::Null);
    }
}
