//! Masks e-mail addresses, drops test accounts, and calls `phone` `telephone`.

use sluicegate_plugin::{Description, Plugin, Row, TablePlan, describe, export_plugin};

struct MaskEmail;

impl Plugin for MaskEmail {
    fn describe() -> Description {
        describe!("masks e-mail addresses, drops test accounts")
    }
    fn configure(_config: &str) -> Result<Self, String> {
        Ok(MaskEmail)
    }
    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
        if table.has("email") {
            table.rewrite("email")?;
            table.filter_rows();
        }
        if table.has("phone") {
            table.rename("phone", "telephone")?;
        }
        Ok(())
    }
    fn row(&mut self, row: &mut Row) {
        match row.text("email").and_then(|email| email.rsplit_once('@')) {
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
    fn an_address_keeps_its_domain_and_a_test_account_goes() {
        let mut plugin = Instance::<MaskEmail>::configure("null").unwrap();
        let columns =
            vec![Column::new("id", DataType::Int64).key(), Column::new("email", DataType::Text), Column::new("phone", DataType::Text)];
        let table = Table::new("shop", "customers", columns);
        let plan = plugin.plan(0, table).unwrap().unwrap();
        assert_eq!(plan.reads, [1], "only the address enters the plugin");
        assert_eq!(plan.delivers.columns[2].name, "telephone");

        let mut emails = ColumnBuilder::new(DataType::Text, 4);
        for email in [Some("ada@example.org"), Some("x@test.invalid"), None, Some("nobody")] {
            emails.push(email).unwrap();
        }
        let outcome = plugin.apply(0, Rows::new(4, vec![emails.finish()])).unwrap();
        assert_eq!(outcome.keep, [0b1101]);
        assert_eq!(outcome.computed[0].value(0), Value::from("***@example.org"));
        assert_eq!(outcome.computed[0].value(2), Value::Null);
        assert_eq!(outcome.computed[0].value(3), Value::from("nobody"));
    }
}
