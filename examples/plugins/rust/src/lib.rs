//! A whole plugin: masks the column `email` of every table that has one, and drops test rows.

use sluicegate_plugin::{Description, Plugin, Row, TablePlan, describe, export_plugin};

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
    use sluicegate_plugin::{Column, ColumnBuilder, DataType, Instance, Rows, Table, TableName, Value};

    #[test]
    fn an_address_keeps_its_domain_and_a_test_row_goes() {
        let mut plugin = Instance::<MaskEmail>::configure("null").unwrap();
        let column = |name: &str, data_type| Column { name: name.into(), data_type, native_type: String::new(), nullable: true, primary_key: false };
        let name = TableName { database: "shop".into(), schema: None, table: "customers".into() };
        let table = Table { name, columns: vec![column("id", DataType::Int64), column("email", DataType::Text)] };
        let plan = plugin.plan(0, table).unwrap().unwrap();
        assert_eq!(plan.reads, [1], "only the address enters the plugin");

        let mut emails = ColumnBuilder::new(DataType::Text, 3);
        for email in [Some("ada@example.org"), Some("x@test.invalid"), None] {
            emails.push(email).unwrap();
        }
        let outcome = plugin.apply(0, Rows { count: 3, images: vec![1; 3], columns: vec![emails.finish()] }).unwrap();
        assert_eq!(outcome.keep, [0b101]);
        assert_eq!(outcome.computed[0].value(0), Value::from("***@example.org"));
        assert_eq!(outcome.computed[0].value(2), Value::Null);
    }
}
