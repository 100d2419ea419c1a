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
    use serde_json::json;
    use sluicegate_plugin::testing;

    #[test]
    fn an_address_keeps_its_domain_and_a_test_account_goes() {
        let mut plugin = testing::start::<MaskEmail>(json!(null), "shop.customers (id int64 key, email text, phone text)");
        assert_eq!(plugin.reads(), ["email"]);
        let masked = json!({ "id": 1, "email": "***@example.org", "telephone": "555" });
        assert_eq!(plugin.insert(json!({ "id": 1, "email": "ada@example.org", "phone": "555" })), Some(masked));
        assert_eq!(plugin.delete(json!({ "id": 2, "email": "x@test.invalid" })), None);
        assert_eq!(plugin.insert(json!({ "id": 3 })), Some(json!({ "id": 3, "email": null, "telephone": null })));
    }
}
