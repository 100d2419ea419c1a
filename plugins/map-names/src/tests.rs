//! Names in, names out.

use sluicegate_plugin::{Column, DataType, Instance, Place, Plan, Table};

use super::*;

fn table(database: &str, schema: Option<&str>, table: &str, columns: &[&str]) -> Table {
    let column = |name: &&str| Column {
        name: name.to_string(),
        data_type: DataType::Text,
        native_type: String::new(),
        nullable: true,
        primary_key: false,
        place: Place::Value,
    };
    let name = TableName { database: database.into(), schema: schema.map(Into::into), table: table.into() };
    Table { name, destination: None, columns: columns.iter().map(column).collect() }
}

fn configured(config: serde_json::Value) -> Result<Instance<MapNames>, String> {
    Instance::configure(&config.to_string())
}

fn names(plan: &Plan) -> (String, Vec<&str>) {
    assert!(plan.reads.is_empty() && !plan.filters, "rows are never touched");
    (display_name(&plan.delivers.name), plan.delivers.columns.iter().map(|c| c.name.as_str()).collect())
}

#[test]
fn names_are_mapped_one_by_one_and_by_pattern() {
    let config = serde_json::json!({
        "databases": [{"from": "shop", "to": "sales"}, {"pattern": "tenant_(\\d+)", "to": "t$1"}],
        "schemas": [{"from": "dbo", "to": "main"}],
        "tables": [
            {"from": "shop.orders", "to": "crm.purchases"},
            {"pattern": ".*\\.tbl_(?<name>.+)", "to": "${name}"},
        ],
        "columns": [
            {"table": "shop.customers", "from": "mail", "to": "email"},
            {"pattern": "c_(.+)", "to": "$1"},
        ],
    });
    let mut plugin = configured(config).unwrap();
    for (arriving, expected) in [
        (table("shop", None, "orders", &["id", "c_total"]), ("crm.purchases", vec!["id", "total"])),
        (table("shop", None, "customers", &["id", "mail"]), ("sales.customers", vec!["id", "email"])),
        (table("shop", None, "tbl_items", &["id"]), ("sales.items", vec!["id"])),
        (table("tenant_12", None, "users", &["mail"]), ("t12.users", vec!["mail"])),
        (table("erp", Some("dbo"), "stock", &["c_id"]), ("erp.main.stock", vec!["id"])),
    ] {
        let plan = plugin.plan(1, arriving).unwrap().unwrap();
        assert_eq!(names(&plan), (expected.0.to_string(), expected.1));
    }
    assert_eq!(plugin.plan(9, table("other", None, "x", &["id"])), Ok(None), "an unchanged table is left alone");
}

#[test]
fn tables_whose_names_hold_dots_are_told_apart() {
    let config = serde_json::json!({
        "tables": [
            {"from": "shop.`eu.t`", "to": "shop.eu_t"},
            {"from": "`shop.eu`.t", "to": "`shop.eu`.`t.x`"},
            {"pattern": "log\\.(.+)", "to": "old.x_$1"},
        ],
    });
    let mut plugin = configured(config).unwrap();
    for (database, name, expected) in
        [("shop", "eu.t", "shop.eu_t"), ("shop.eu", "t", "`shop.eu`.`t.x`"), ("log", "a.b", "old.`x_a.b`"), ("log", "c", "old.x_c")]
    {
        let plan = plugin.plan(1, table(database, None, name, &["id"])).unwrap().unwrap();
        assert_eq!(names(&plan).0, expected);
    }
    // two tables of one displayed name would be taken for one
    let mut plugin = configured(serde_json::json!({"case": "upper"})).unwrap();
    plugin.plan(1, table("shop", None, "eu.t", &["id"])).unwrap();
    plugin.plan(2, table("shop.eu", None, "t", &["id"])).unwrap();
    let both = serde_json::json!({"tables": [{"from": "shop.eu.t", "to": "shop.t"}]});
    let mut plugin = configured(both).unwrap();
    plugin.plan(1, table("shop", None, "eu.t", &["id"])).unwrap();
    let error = plugin.plan(2, table("shop.eu", None, "t", &["id"])).unwrap_err();
    assert!(error.starts_with("tables shop.`eu.t` and `shop.eu`.t would both be called shop.t; give them"), "{error}");
}

#[test]
fn the_case_policy_comes_last() {
    let config = serde_json::json!({"tables": [{"from": "Shop.Orders", "to": "Shop.BigOrders"}], "case": {"databases": "lower", "tables": "lower", "columns": "upper"}});
    let plan = configured(config).unwrap().plan(1, table("Shop", None, "Orders", &["Id"])).unwrap().unwrap();
    assert_eq!(names(&plan), ("shop.bigorders".into(), vec!["ID"]));
    let plan = configured(serde_json::json!({"case": "upper"})).unwrap().plan(1, table("shop", None, "ä", &["é"])).unwrap().unwrap();
    assert_eq!(names(&plan), ("SHOP.Ä".into(), vec!["É"]));
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let mut plugin = configured(serde_json::json!({"case": "lower"})).unwrap();
    let error = plugin.plan(1, table("shop", None, "orders", &["Id", "ID"])).unwrap_err();
    assert_eq!(error, "columns `Id` and `ID` of table shop.orders would both be called `id`");
}

#[test]
fn two_tables_of_one_name_are_refused_unless_they_may_merge() {
    let config = |merge| serde_json::json!({"tables": [{"pattern": "shop\\.orders_\\d+", "to": "orders", "merge": merge}]});
    let mut plugin = configured(config(false)).unwrap();
    plugin.plan(1, table("shop", None, "orders_1", &["id"])).unwrap();
    plugin.plan(2, table("shop", None, "orders_1", &["id", "x"])).unwrap();
    let error = plugin.plan(3, table("shop", None, "orders_2", &["id"])).unwrap_err();
    assert!(error.starts_with("tables shop.orders_1 and shop.orders_2 would both be called shop.orders; give them"), "{error}");

    let mut plugin = configured(config(true)).unwrap();
    for (id, name) in ["orders_1", "orders_2", "orders"].into_iter().enumerate() {
        plugin.plan(id as u32, table("shop", None, name, &["id"])).unwrap();
    }
}

#[test]
fn a_wrong_configuration_says_what_is_wrong() {
    for (config, expected) in [
        (serde_json::json!({"table": []}), "unknown field `table`"),
        (serde_json::json!({"tables": [{"to": "x"}]}), "needs either `from` or `pattern`"),
        (
            serde_json::json!({"tables": [{"from": "orders", "to": "x"}]}),
            "`from: orders` is no table: it does not say which database; write `database.table`",
        ),
        (serde_json::json!({"tables": [{"from": "shop.*", "to": "x"}]}), "`from: shop.*` names no single table; use `pattern`"),
        (serde_json::json!({"tables": [{"pattern": "(", "to": "x"}]}), "`(` is no regular expression"),
        (serde_json::json!({"columns": [{"pattern": "c_(.+)", "to": "$1_x"}]}), "refers to the group `1_x`"),
        (serde_json::json!({"columns": [{"pattern": "c_(.+)", "to": "${2}"}]}), "refers to the group `2`"),
        (serde_json::json!({"columns": [{"from": "a", "to": " "}]}), "`to` is empty"),
        (serde_json::json!({"case": "camel"}), "`case` is keep, lower or upper"),
    ] {
        let error = configured(config.clone()).unwrap_err();
        assert!(error.contains(expected), "{config}: {error}");
    }
}

#[test]
fn a_column_that_does_not_exist_is_refused_where_the_table_is_named() {
    let config = serde_json::json!({"columns": [{"table": "shop.orders", "from": "emial", "to": "mail"}]});
    let error = configured(config).unwrap().plan(1, table("shop", None, "orders", &["id", "email"])).unwrap_err();
    assert_eq!(error, "table shop.orders has no column `emial`; did you mean `email`?");
    let config = serde_json::json!({"columns": [{"table": "shop.*", "from": "emial", "to": "mail"}]});
    assert_eq!(configured(config).unwrap().plan(1, table("shop", None, "orders", &["id"])), Ok(None));
}

#[test]
fn a_renaming_is_for_the_tables_that_have_the_column_and_its_case_does_not_matter() {
    let renamed = |entry: serde_json::Value, columns: &[&str]| {
        let mut plugin = configured(serde_json::json!({"columns": [entry]}))?;
        let plan = plugin.plan(1, table("shop", None, "orders", columns))?;
        Ok::<_, String>(plan.map_or_else(|| columns.join(","), |plan| names(&plan).1.join(",")))
    };
    for pattern in [serde_json::json!("shop.*"), serde_json::json!(["crm.orders", "*"])] {
        let entry = serde_json::json!({"table": pattern, "from": "Mail", "to": "email"});
        assert_eq!(renamed(entry.clone(), &["id", "mail"]), Ok("id,email".into()));
        assert_eq!(renamed(entry, &["id"]), Ok("id".into()));
    }
    let stop = serde_json::json!({"table": "shop.*", "from": "mail", "to": "email", "missing": "error"});
    assert!(renamed(stop, &["id"]).unwrap_err().contains("no column `mail`"));
    let named = serde_json::json!({"table": ["*", "shop.orders"], "from": "mail", "to": "email"});
    assert!(renamed(named, &["id"]).unwrap_err().contains("no column `mail`"));
    for word in ["missing", "missing_column"] {
        let ignore = serde_json::json!({"table": "shop.orders", "from": "mail", "to": "email", word: "ignore"});
        assert_eq!(renamed(ignore, &["id"]), Ok("id".into()));
    }
    let both = serde_json::json!({"table": "shop.orders", "from": "mail", "to": "email", "missing": "error", "missing_column": "stop"});
    assert!(renamed(both, &["id"]).unwrap_err().contains("both `missing` and `missing_column`"));
}

#[test]
fn a_table_with_two_columns_of_one_name_in_different_case_is_not_refused_because_of_the_other_one() {
    let renamed = |from: &str, columns: &[&str]| {
        let mut plugin = configured(serde_json::json!({"columns": [{"table": "*", "from": from, "to": "address"}]})).unwrap();
        plugin.plan(1, table("shop", None, "orders", columns)).map(|plan| plan.map(|plan| names(&plan).1.join(",")))
    };
    assert_eq!(renamed("mail", &["id", "Mail", "mail"]), Ok(Some("id,Mail,address".into())));
    assert_eq!(renamed("MAIL", &["id", "Mail"]), Ok(Some("id,address".into())));
    // neither of them is meant more than the other
    assert_eq!(renamed("MAIL", &["id", "Mail", "mail"]), Ok(None));
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_structs() {
    sluicegate_plugin::config::assert_schema::<config::Raw>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
