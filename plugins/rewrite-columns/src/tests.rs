//! Steps on a small table of customers.

use proptest::prelude::*;
use sluicegate_plugin::{Column, ColumnBuilder, DataType, Instance, Place, Plan, Rows, Table, TableName, Value};

use super::*;

const COLUMNS: [(&str, DataType); 9] = [
    ("id", DataType::Int64),
    ("email", DataType::Text),
    ("name", DataType::Text),
    ("total", DataType::Decimal),
    ("big", DataType::Uint64),
    ("flag", DataType::Boolean),
    ("raw", DataType::Bytes),
    ("ratio", DataType::Float64),
    ("day", DataType::Date),
];

fn table() -> Table {
    let column = |(name, data_type): &(&str, DataType)| Column {
        name: name.to_string(),
        data_type: *data_type,
        native_type: String::new(),
        nullable: true,
        primary_key: *name == "id",
        place: Place::Value,
    };
    let name = TableName { database: "shop".into(), schema: None, table: "customers".into() };
    Table { name, destination: None, columns: COLUMNS.iter().map(column).collect() }
}

fn row() -> Vec<Value<'static>> {
    vec![
        7i64.into(),
        "ada@example.org".into(),
        "Ada Lovelace".into(),
        "12.50".into(),
        u64::MAX.into(),
        true.into(),
        vec![0xff].into(),
        1.5f64.into(),
        "2024-02-29".into(),
    ]
}

fn nulls() -> Vec<Value<'static>> {
    vec![Value::Null; COLUMNS.len()]
}

fn planned(steps: &serde_json::Value) -> Result<(Instance<RewriteColumns>, Option<Plan>), String> {
    let config = serde_json::json!({"tables": [{"table": "shop.customers", "columns": steps}]});
    let mut plugin = Instance::configure(&config.to_string())?;
    let plan = plugin.plan(1, table())?;
    Ok((plugin, plan))
}

fn applied(steps: &serde_json::Value, rows: &[Vec<Value<'_>>]) -> (Plan, Outcome) {
    let (mut plugin, plan) = planned(steps).unwrap();
    let plan = plan.unwrap();
    let columns = plan.reads.iter().map(|index| {
        let mut column = ColumnBuilder::new(COLUMNS[*index as usize].1, rows.len());
        rows.iter().for_each(|row| column.push(row[*index as usize].clone()).unwrap());
        column.finish()
    });
    let batch = Rows::new(rows.len() as u32, columns.collect());
    let outcome = plugin.apply(1, batch).unwrap();
    (plan, outcome)
}

/// The first computed column of the steps, over the rows.
fn computed(steps: &serde_json::Value, rows: &[Vec<Value<'_>>]) -> Vec<Value<'static>> {
    let (_, outcome) = applied(steps, rows);
    assert_eq!(outcome.rejected, []);
    (0..rows.len()).map(|i| owned(outcome.computed[0].value(i))).collect()
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::Text(text.into_owned().into()),
        Value::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
        Value::Null => Value::Null,
        Value::Bool(v) => v.into(),
        Value::Int(v) => v.into(),
        Value::UInt(v) => v.into(),
        Value::Float(v) => v.into(),
    }
}

#[test]
fn each_action_does_what_it_says_and_null_stays_null() {
    for (step, expected, of_null) in [
        (serde_json::json!({"column": "email", "mask": {"first": 2, "last": 4}}), "ad*********.org".into(), Value::Null),
        (serde_json::json!({"column": "email", "mask": {"first": 9, "last": 9}}), "***************".into(), Value::Null),
        (serde_json::json!({"column": "email", "mask": {"first": 1, "with": "•"}}), "a••••••••••••••".into(), Value::Null),
        (serde_json::json!({"column": "id", "mask": {}}), "*".into(), Value::Null),
        (serde_json::json!({"column": "name", "truncate": 3}), "Ada".into(), Value::Null),
        (serde_json::json!({"column": "total", "truncate": 2}), "12".into(), Value::Null),
        (serde_json::json!({"column": "name", "constant": "x"}), "x".into(), "x".into()),
        (serde_json::json!({"column": "name", "constant": 5}), 5i64.into(), 5i64.into()),
        (serde_json::json!({"column": "total", "constant": 5}), "5".into(), "5".into()),
        (serde_json::json!({"column": "name", "constant": null}), Value::Null, Value::Null),
        (serde_json::json!({"column": "new", "constant": true}), true.into(), true.into()),
        (serde_json::json!({"column": "name", "default": "?"}), "Ada Lovelace".into(), "?".into()),
        (serde_json::json!({"column": "big", "default": 1}), u64::MAX.into(), 1u64.into()),
        (serde_json::json!({"column": "day", "default": "1970-01-01"}), "2024-02-29".into(), "1970-01-01".into()),
        (
            serde_json::json!({"column": "label", "concat": {"of": ["name", {"text": "#"}, "id"], "separator": " "}}),
            "Ada Lovelace # 7".into(),
            "#".into(),
        ),
        (serde_json::json!({"column": "id", "cast": "text"}), "7".into(), Value::Null),
        (serde_json::json!({"column": "id", "cast": "uint"}), 7u64.into(), Value::Null),
        (serde_json::json!({"column": "id", "cast": "decimal"}), "7".into(), Value::Null),
        (serde_json::json!({"column": "total", "cast": "float"}), 12.5f64.into(), Value::Null),
        (serde_json::json!({"column": "flag", "cast": "int"}), 1i64.into(), Value::Null),
        (serde_json::json!({"column": "name", "cast": "bytes"}), b"Ada Lovelace".as_slice().into(), Value::Null),
        (serde_json::json!({"column": "day", "cast": "text"}), "2024-02-29".into(), Value::Null),
        (serde_json::json!({"column": "email", "hash": {"salt": "Jefe"}}), "9e4f5efcd1ee1dbf1a6a0e1a3c8c2dcd".into(), Value::Null),
    ] {
        let values = computed(&serde_json::json!([step]), &[row(), nulls()]);
        if step.get("hash").is_some() {
            assert!(matches!(&values[0], Value::Text(text) if text.len() == 64), "{step}");
        } else {
            assert_eq!(values[0], expected, "{step}");
        }
        assert_eq!(values[1], of_null, "{step} of null");
    }
}

#[test]
fn steps_run_in_order_under_their_current_names() {
    let steps = serde_json::json!([
        {"column": "name", "rename": "full_name"},
        {"column": "full_name", "truncate": 3},
        {"column": "full_name", "concat": {"of": ["full_name", "full_name"], "separator": "-"}},
        {"column": "email", "drop": true},
        {"column": "email", "concat": {"of": ["id", "big"]}},
    ]);
    let (plan, outcome) = applied(&steps, &[row()]);
    let names: Vec<_> = plan.delivers.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "full_name", "total", "big", "flag", "raw", "ratio", "day", "email"]);
    assert_eq!(plan.reads, [2, 0, 4], "only what is computed from is read");
    assert_eq!(outcome.computed[0].value(0), "Ada-Ada".into());
    assert_eq!(outcome.computed[1].value(0), "718446744073709551615".into());
}

#[test]
fn dropping_and_renaming_never_read_a_row() {
    let (_, plan) = planned(&serde_json::json!([{"column": "email", "drop": true}, {"column": "name", "rename": "n"}])).unwrap();
    let plan = plan.unwrap();
    assert_eq!((plan.reads.len(), plan.filters, plan.delivers.columns.len()), (0, false, 8));
    let (_, plan) = planned(&serde_json::json!([])).unwrap();
    assert_eq!(plan, None);
}

#[test]
fn a_cast_that_would_lose_something_rejects_its_row_without_showing_the_value() {
    for (column, to, value) in [
        ("name", "int", "12x".into()),
        ("name", "int", "1.5".into()),
        ("name", "float", "inf".into()),
        ("name", "boolean", "maybe".into()),
        ("name", "decimal", "1e5".into()),
        ("big", "int", u64::MAX.into()),
        ("id", "uint", (-1i64).into()),
        ("id", "boolean", 2i64.into()),
        ("ratio", "int", 1.5f64.into()),
        ("raw", "text", Value::from(vec![0xff])),
    ] {
        let mut rows = [row(), row()];
        rows[1][COLUMNS.iter().position(|(name, _)| *name == column).unwrap()] = value;
        rows[0][COLUMNS.iter().position(|(name, _)| *name == column).unwrap()] = Value::Null;
        let (_, outcome) = applied(&serde_json::json!([{"column": column, "cast": to}]), &rows);
        assert_eq!(outcome.rejected.len(), 1, "{column} to {to}");
        assert_eq!(outcome.rejected[0].row, 1);
        assert!(outcome.rejected[0].message.starts_with(&format!("column `{column}` holds a value that is no ")));
    }
}

#[test]
fn a_wrong_step_is_refused_when_the_table_is_planned() {
    for (step, expected) in [
        (serde_json::json!({"column": "emial", "drop": true}), "table shop.customers: there is no column `emial`; did you mean `email`?"),
        (serde_json::json!({"column": "x", "concat": {"of": ["nam"]}}), "`concat` for `x`: there is no column `nam`; did you mean `name`?"),
        (serde_json::json!({"column": "raw", "mask": {}}), "`mask` needs a text; `raw` is bytes: cast it to text first"),
        (serde_json::json!({"column": "id", "default": "x"}), "the default for `id` does not fit its type, int64"),
        (serde_json::json!({"column": "day", "default": "29.02.2024"}), "the default for `day` does not fit its type"),
        (serde_json::json!({"column": "day", "cast": "int"}), "`day` is date, which cannot be cast to int64"),
        (serde_json::json!({"column": "new", "constant": null}), "the constant for `new` has to be"),
        (serde_json::json!({"column": "name", "rename": "email"}), "would have two columns `email`"),
        (serde_json::json!({"column": "name"}), "column `name`: nothing to do"),
        (serde_json::json!({"column": "name", "drop": true, "truncate": 1}), "several actions in one entry"),
        (serde_json::json!({"column": "name", "hash": {"salt": ""}}), "`salt` is empty"),
        (serde_json::json!({"column": "name", "hash": {}}), "missing field `salt`"),
        (serde_json::json!({"column": "name", "shout": true}), "unknown field `shout`"),
        (serde_json::json!({"column": "name", "cast": "money"}), "unknown variant `money`"),
    ] {
        let error = planned(&serde_json::json!([step])).unwrap_err();
        assert!(error.contains(expected), "{step}: {error}");
    }
}

/// What becomes of the columns of a table of this name: its column names as delivered, computed ones with a `*`.
fn delivered(entry: &serde_json::Value, table_name: &str, columns: &[&str]) -> Result<Vec<String>, String> {
    let config = serde_json::json!({"tables": [entry]});
    let mut plugin: Instance<RewriteColumns> = Instance::configure(&config.to_string())?;
    let column = |name: &&str| Column {
        name: name.to_string(),
        data_type: DataType::Text,
        native_type: String::new(),
        nullable: true,
        primary_key: *name == "id",
        place: Place::Value,
    };
    let name = TableName { database: "shop".into(), schema: None, table: table_name.into() };
    let plan = plugin.plan(1, Table { name, destination: None, columns: columns.iter().map(column).collect() })?;
    let Some(plan) = plan else { return Ok(columns.iter().map(ToString::to_string).collect()) };
    let star = |origin: &Option<u32>| if origin.is_some() { "" } else { "*" };
    Ok(plan.delivers.columns.iter().zip(&plan.origins).map(|(column, origin)| format!("{}{}", column.name, star(origin))).collect())
}

#[test]
fn a_step_of_a_pattern_is_for_the_tables_that_have_its_column() {
    let steps = serde_json::json!([
        {"column": "email", "mask": {}}, {"column": "phone", "hash": {"salt": "s"}}, {"column": "password", "drop": true},
        {"column": "name", "rename": "full_name"}, {"column": "full_name", "truncate": 3}, {"column": "label", "concat": {"of": ["name2", "id"]}},
        {"column": "country", "default": "??"}, {"column": "origin", "constant": "shop"},
    ]);
    let entry = |table: serde_json::Value| serde_json::json!({"table": table, "columns": steps});
    for table in [
        serde_json::json!("shop.*"),
        serde_json::json!(["crm.*", "shop.*", "!shop.x"]),
        serde_json::json!("*"),
        serde_json::json!(["crm.orders", "s?op.*"]),
    ] {
        let entry = entry(table);
        assert_eq!(delivered(&entry, "orders", &["id", "total"]).unwrap(), ["id", "total", "origin*"]);
        assert_eq!(delivered(&entry, "a", &["id", "email", "password", "name"]).unwrap(), ["id", "email*", "full_name*", "origin*"]);
        assert_eq!(
            delivered(&entry, "b", &["id", "phone", "country", "name2", "origin"]).unwrap(),
            ["id", "phone*", "country*", "name2", "origin*", "label*"]
        );
    }
}

#[test]
fn a_table_that_is_named_without_wildcards_has_to_have_the_column_also_beside_patterns() {
    let steps = serde_json::json!([{"column": "email", "mask": {}}]);
    for table in
        [serde_json::json!("shop.orders"), serde_json::json!(["shop.orders", "shop.*"]), serde_json::json!(["*", "shop.orders", "!crm.*"])]
    {
        let entry = serde_json::json!({"table": table, "columns": steps});
        assert_eq!(
            delivered(&entry, "orders", &["id", "emial"]).unwrap_err(),
            "table shop.orders: there is no column `email`; did you mean `emial`?"
        );
    }
    let entry = serde_json::json!({"table": ["shop.orders", "shop.*"], "columns": steps});
    assert_eq!(delivered(&entry, "others", &["id", "emial"]).unwrap(), ["id", "emial"]);
}

#[test]
fn the_configuration_decides_what_a_missing_column_means() {
    let both = serde_json::json!({"table": "shop.orders", "missing": "ignore", "columns": [{"column": "email", "mask": {}}, {"column": "e_mail", "mask": {}}]});
    assert_eq!(delivered(&both, "orders", &["id", "email"]).unwrap(), ["id", "email*"]);
    assert_eq!(delivered(&both, "orders", &["id", "e_mail"]).unwrap(), ["id", "e_mail*"]);
    let one = serde_json::json!({"table": "shop.orders", "columns": [{"column": "email", "mask": {}, "missing": "ignore"}, {"column": "note", "drop": true}]});
    assert_eq!(delivered(&one, "orders", &["id", "note"]).unwrap(), ["id"]);
    assert!(delivered(&one, "orders", &["id", "email"]).unwrap_err().contains("no column `note`"));
    for (word, says) in [("missing", "error"), ("missing_column", "stop")] {
        let strict = serde_json::json!({"table": "shop.*", word: says, "columns": [{"column": "email", "mask": {}}]});
        assert!(delivered(&strict, "orders", &["id"]).unwrap_err().contains("no column `email`"));
    }
    let unknown = serde_json::json!({"table": "shop.*", "missing": "skip", "columns": []});
    assert!(
        delivered(&unknown, "orders", &["id"]).unwrap_err().contains("unknown variant `skip`, expected one of `error`, `stop`, `ignore`")
    );
    let twice = serde_json::json!({"table": "shop.*", "columns": [{"column": "email", "drop": true, "missing": "ignore", "missing_column": "ignore"}]});
    assert!(delivered(&twice, "orders", &["id"]).unwrap_err().contains("column `email`: both `missing` and `missing_column`"));
}

#[test]
fn a_pattern_never_lets_a_column_through_that_concat_was_to_replace() {
    let entry = serde_json::json!({"table": "shop.*", "columns": [{"column": "label", "concat": {"of": ["first", "last"]}}]});
    assert_eq!(delivered(&entry, "a", &["id", "last"]).unwrap(), ["id", "last"]);
    let error = delivered(&entry, "b", &["id", "last", "label"]).unwrap_err();
    assert_eq!(error, "table shop.b: `concat` for `label`: there is no column `first`");
}

#[test]
fn the_case_of_a_columns_name_does_not_matter_unless_it_tells_two_apart() {
    let entry = serde_json::json!({"table": "shop.a", "columns": [{"column": "EMail", "mask": {}}, {"column": "NOTE", "constant": "x"}, {"column": "Name", "drop": true}]});
    assert_eq!(delivered(&entry, "a", &["id", "email", "note", "name"]).unwrap(), ["id", "email*", "note*"]);
    let two = serde_json::json!({"table": "shop.a", "columns": [{"column": "EMAIL", "drop": true}]});
    assert_eq!(delivered(&two, "a", &["email", "EMAIL"]).unwrap(), ["email"]);
    assert!(delivered(&two, "a", &["email", "Email"]).is_err());
}

proptest! {
    #[test]
    fn a_mask_hides_by_characters(
        texts in prop_oneof![prop::collection::vec("[a-zé漢🦀]{0,8}", 1..10), prop::collection::vec("[a-z]{0,40}", 1..10)],
        first in 0usize..5, last in 0usize..5,
    ) {
        let rows: Vec<_> = texts.iter().map(|text| { let mut row = row(); row[2] = text.clone().into(); row }).collect();
        let masked = computed(&serde_json::json!([{"column": "name", "mask": {"first": first, "last": last, "with": "x"}}]), &rows);
        for (text, masked) in texts.iter().zip(masked) {
            let characters: Vec<char> = text.chars().collect();
            let n = characters.len();
            let shown = |i: usize| n > first + last && (i < first || i >= n - last);
            let expected: String = characters.iter().enumerate().map(|(i, c)| if shown(i) { *c } else { 'x' }).collect();
            prop_assert_eq!(masked, Value::from(expected));
        }
    }

    #[test]
    fn truncation_counts_characters(texts in prop::collection::vec("[a-zé漢🦀]{0,8}", 1..10), length in 0usize..9) {
        let rows: Vec<_> = texts.iter().map(|text| { let mut row = row(); row[2] = text.clone().into(); row }).collect();
        let cut = computed(&serde_json::json!([{"column": "name", "truncate": length}]), &rows);
        for (text, cut) in texts.iter().zip(cut) {
            prop_assert_eq!(cut, Value::from(text.chars().take(length).collect::<String>()));
        }
    }
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_structs() {
    sluicegate_plugin::config::assert_schema::<config::Raw>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
