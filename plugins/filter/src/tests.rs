//! Conditions against SQL's own rules: tables of cases, and a naive row-at-a-time evaluator.

use std::cmp::Ordering;

use proptest::prelude::*;
use sluicegate_plugin::{Column, ColumnBuilder, DataType, Instance, Operations, Place, Rows, Table, TableName, Value};

use super::*;

const COLUMNS: [(&str, DataType); 14] = [
    ("id", DataType::Int64),
    ("big", DataType::Uint64),
    ("price", DataType::Decimal),
    ("ratio", DataType::Float64),
    ("small", DataType::Float32),
    ("status", DataType::Text),
    ("active", DataType::Boolean),
    ("day", DataType::Date),
    ("at", DataType::Timestamp),
    ("raw", DataType::Bytes),
    ("doc", DataType::Json),
    ("span", DataType::Time),
    ("old_price", DataType::Decimal),
    ("founded", DataType::Int64),
];

fn table() -> Table {
    let column = |(name, data_type): &(&str, DataType)| Column {
        name: name.to_string(),
        data_type: *data_type,
        native_type: if *name == "founded" { "year".into() } else { String::new() },
        nullable: true,
        primary_key: *name == "id",
        place: Place::Value,
    };
    let name = TableName { database: "shop".into(), schema: None, table: "orders".into() };
    Table { name, destination: None, columns: COLUMNS.iter().map(column).collect() }
}

fn configured(config: &serde_json::Value) -> Result<Instance<Filter>, String> {
    Instance::configure(&config.to_string())
}

/// Which rows of `rows` (values of all columns) the condition keeps.
fn kept(condition: &str, rows: &[Vec<Value<'_>>]) -> Result<Vec<bool>, String> {
    let mut plugin = configured(&serde_json::json!({ "where": condition }))?;
    let plan = plugin.plan(1, table())?.ok_or("no plan")?;
    assert!(plan.filters);
    let columns = plan.reads.iter().map(|index| {
        let mut column = ColumnBuilder::new(COLUMNS[*index as usize].1, rows.len());
        rows.iter().for_each(|row| column.push(row[*index as usize].clone()).unwrap());
        column.finish()
    });
    let batch = Rows::new(rows.len() as u32, columns.collect());
    let outcome = plugin.apply(1, batch)?;
    assert_eq!(outcome.rejected, []);
    if outcome.keep.is_empty() {
        return Ok(vec![true; rows.len()]);
    }
    assert_eq!(outcome.keep.len(), rows.len().div_ceil(8));
    Ok((0..rows.len()).map(|i| outcome.keep[i / 8] >> (i % 8) & 1 == 1).collect())
}

fn row() -> Vec<Value<'static>> {
    vec![
        7i64.into(),
        u64::MAX.into(),
        "12.50".into(),
        0.5f64.into(),
        0.25f32.into(),
        "paid".into(),
        true.into(),
        "2024-02-29".into(),
        "2024-02-29T13:14:15.500000Z".into(),
        vec![0xff, 0x00].into(),
        r#"{"a": 1}"#.into(),
        "-01:30:00".into(),
        "12.5".into(),
        1999i64.into(),
    ]
}

#[test]
fn a_condition_keeps_the_row_for_which_it_is_true() {
    for (condition, expected) in [
        ("id = 7", true),
        ("7 = id", true),
        ("id <> 7", false),
        ("id != 8", true),
        ("id > 6.5", true),
        ("id < 6.5", false),
        ("id = 7.0", true),
        ("id = 7.5", false),
        ("id <> 7.5", true),
        ("8 > id", true),
        ("id BETWEEN 7 AND 7", true),
        ("id BETWEEN 8 AND 6", false),
        ("id NOT BETWEEN 1 AND 3", true),
        ("id IN (1, 7, 9.5)", true),
        ("id NOT IN (1, 2)", true),
        ("id > -1e30 AND id < 1e300", true),
        ("id < -99999999999999999999", false),
        ("big = 18446744073709551615", true),
        ("big > 18446744073709551614", true),
        ("big > 18446744073709551615", false),
        ("big >= -1", true),
        ("price = 12.5", true),
        ("price > 12.499999999999999999999999", true),
        ("price > 9", true),
        ("price IN (1, 12.500)", true),
        ("price = old_price", true),
        ("price < old_price", false),
        ("ratio >= 0.5", true),
        ("small = 0.25", true),
        ("status = 'paid'", true),
        ("status = \"paid\"", true),
        ("status = 'Paid'", false),
        ("status < 'q'", true),
        ("status IN ('new', 'paid')", true),
        ("status LIKE 'p%d'", true),
        ("status LIKE 'p__d'", true),
        ("status NOT LIKE '%x%'", true),
        ("status LIKE 'p|%' ESCAPE '|'", false),
        ("active", true),
        ("NOT active", false),
        ("active = TRUE AND active = 1", true),
        ("day = '2024-02-29'", true),
        ("day >= DATE '2024-03-01'", false),
        ("day LIKE '2024-%'", true),
        ("at > '2024-02-29 13:14:15'", true),
        ("at = '2024-02-29T13:14:15.5Z'", true),
        ("at < '2024-03-01'", true),
        ("raw = X'ff00'", true),
        ("raw IN (X'00')", false),
        ("doc LIKE '%\"a\"%'", true),
        ("span < '00:00:00'", true),
        ("`status` = 'paid'", true),
        ("orders.status = 'paid'", true),
        ("id IS NULL", false),
        ("id IS NOT NULL", true),
        ("(id = 1 OR status = 'paid') AND NOT (price < 1)", true),
        ("id = 7 IS TRUE", true),
        ("id <=> 7", true),
        ("TRUE", true),
        ("NOT status = 'new' AND NOT (id = 1)", true),
        ("id = 1 OR id = 2 OR status = 'paid' AND price > 1", true),
        ("(id) = (7)", true),
        ("founded = 1999 AND founded <> 0", true),
        ("founded BETWEEN 1999 AND 2024 AND founded IN (1999, 2000)", true),
        ("day = DATE '2024-02-29' AND span = TIME '-01:30'", true),
        // with an exponent it is a double, and so is what it is compared with
        ("price = 1.25e1 AND id = 7e0 AND id IN (1, 70e-1)", true),
        ("big = 18446744073709551616e0", true),
        ("id BETWEEN 1.5e0 AND 9", true),
        ("FALSE OR id = 7", true),
    ] {
        assert_eq!(kept(condition, &[row()]), Ok(vec![expected]), "{condition}");
    }
}

#[test]
fn unknown_is_not_true() {
    let nulls = vec![Value::Null; COLUMNS.len()];
    for (condition, expected) in [
        ("id = 7", false),
        ("NOT (id = 7)", false),
        ("id <> 7", false),
        ("id = 7 OR TRUE", true),
        ("id = 7 AND FALSE", false),
        ("NOT (id = 7 AND FALSE)", true),
        ("id IN (7)", false),
        ("id NOT IN (7)", false),
        ("status LIKE '%'", false),
        ("price = old_price", false),
        ("price > 1 OR at > '2024-01-01'", false),
        ("id IS NULL AND status IS NULL", true),
        ("(id = 7) IS UNKNOWN", true),
        ("(id = 7) IS NOT TRUE", true),
        ("id <=> NULL", true),
        ("id <=> 7", false),
        ("NOT (id <=> 7)", true),
    ] {
        assert_eq!(kept(condition, std::slice::from_ref(&nulls)), Ok(vec![expected]), "{condition}");
    }
    // A list with NULL: true for a member, never false.
    assert_eq!(kept("id IN (7, NULL)", &[row()]), Ok(vec![true]));
    assert_eq!(kept("id NOT IN (8, NULL)", &[row()]), Ok(vec![false]));
}

#[test]
fn a_wrong_condition_is_refused_with_its_offending_part() {
    for (condition, expected) in [
        ("id = ", "is no SQL condition"),
        ("id = 1; DROP TABLE x", "goes on after the condition, at `;`"),
        ("id + 1 = 2", "`+` is not supported"),
        ("LOWER(status) = 'x'", "`LOWER(…)` is not supported"),
        ("id IN (SELECT 1)", "`SELECT` is not supported"),
        ("status REGEXP 'a'", "`REGEXP` is not supported"),
        ("id", "`id` alone is no condition; compare it, e.g. `id <> 0`"),
        ("statsu = 'x'", "table shop.orders has no column `statsu`; did you mean `status`?"),
        ("status = 5", "`status = 5` compares `status`, which is a text, with a number; write it in quotes"),
        ("id = '7'", "`id = '7'` compares `id`, which is an integer, with a text; write it without quotes"),
        ("id = NULL", "`id = NULL` is never true; write `id IS NULL`"),
        ("day = 'yesterday'", "`day` is a date; write 'YYYY-MM-DD'"),
        ("doc = '{}'", "JSON"),
        ("id = status", "compares an integer with a text"),
        ("1 = 1", "compares two literals"),
        ("customers.id = 1", "names another table"),
        ("id LIKE '7%'", "LIKE needs a text"),
        // what a server would judge otherwise
        ("at LIKE '2024-%'", "`at` is a timestamp, whose text depends on the session's time zone"),
        ("status LIKE 'aéb' ESCAPE 'é'", "ESCAPE takes one ASCII character"),
        ("status LIKE 'a%' ESCAPE ''", "ESCAPE takes one ASCII character"),
        ("day = '2023-02-29'", "`day` is a date; write 'YYYY-MM-DD'"),
        ("at > '2024-02-30 10:00:00'", "`at` is a timestamp; write"),
        ("at = '2024-02-29 13:14:15.0000004'", "`at` is a timestamp; write"),
        ("span = '838:59:59.5'", "`span` is a time; write 'HH:MM:SS', up to '838:59:59'"),
        ("span = ' 10:00'", "`span` is a time; write"),
        ("status = DATE '2024-02-29'", "with a date or time; write it in quotes"),
        ("big BETWEEN 1e0 AND 18446744073709551615", "servers do not agree on a range with an exponent"),
        ("price BETWEEN 1e0 AND 2", "servers do not agree on a range with an exponent"),
        ("founded = 99", "`founded` is a year; write it with four digits"),
        ("founded BETWEEN 70 AND 2024", "`founded` is a year"),
        ("founded IN (1999, 24)", "`founded` is a year"),
        ("founded < 1999e0", "`founded` is a year"),
        ("id NOT IN (7, 18446744073709551615)", "beyond the range of `id`"),
        ("big IN (-1)", "beyond the range of `big`"),
        ("price < 0.0000000000000000000000000000001", "more digits than a decimal of the server"),
        ("status LIKE 'x\\\\'", "ends with its escape character"),
        ("id = 1e999", "out of range"),
        ("raw = X'abc'", "hexadecimal"),
    ] {
        let error = kept(condition, &[]).unwrap_err();
        assert!(error.contains(expected), "{condition}: {error}");
    }
    assert_eq!(kept(&"(".repeat(5000), &[]).map_err(|e| e.contains("nested more than")), Err(true));
    let deep = format!("{}id = 1{}", "NOT (".repeat(60), ")".repeat(60));
    assert!(kept(&deep, &[]).is_err(), "deep nesting is an error, not a crash");
    let long = vec!["id = 1"; 3000].join(" OR ");
    assert!(kept(&long, &[]).unwrap_err().contains("use IN"), "a long chain is an error, not a crash");
    assert_eq!(kept(&vec!["id = 7"; 400].join(" AND "), &[row()]), Ok(vec![true]));
}

#[test]
fn a_condition_of_a_pattern_is_for_the_tables_that_have_its_columns() {
    let judges = |entry: serde_json::Value| {
        let mut plugin = configured(&serde_json::json!({ "tables": [entry] })).unwrap();
        plugin.plan(1, table()).map(|plan| plan.is_some_and(|plan| plan.filters))
    };
    let told = |entry| judges(entry).unwrap_err();
    for pattern in ["shop.*", "*.orders", "*"] {
        assert_eq!(judges(serde_json::json!({"table": pattern, "where": "tenant <> 'x'"})), Ok(false), "{pattern}");
        assert_eq!(judges(serde_json::json!({"table": pattern, "where": "STATUS <> 'x'"})), Ok(true), "{pattern}");
    }
    // nor because of another column that it names
    assert_eq!(judges(serde_json::json!({"table": "shop.*", "where": "status <> 'x' AND tenant IN ('y')"})), Ok(false));
    let half = "the condition for table shop.orders: table shop.orders has no column `tenant`";
    assert!(told(serde_json::json!({"table": "shop.orders", "where": "tenant <> 'x'"})).starts_with(half));
    assert!(told(serde_json::json!({"table": ["shop.*", "shop.orders"], "where": "tenant <> 'x'"})).starts_with(half));
    assert!(told(serde_json::json!({"table": "shop.*", "where": "tenant <> 'x' OR id = 1", "missing": "error"})).starts_with(half));
    assert!(told(serde_json::json!({"table": "shop.*", "where": "tenant <> 'x'", "missing_column": "stop"})).starts_with(half));
    let ignored = serde_json::json!({"table": "shop.orders", "where": "status <> 'x' AND tenant = 'y'", "missing": "ignore"});
    assert_eq!(judges(ignored.clone()), Ok(false));
    for word in ["missing", "missing_column"] {
        let mut alone = configured(&serde_json::json!({"where": "tenant <> 'x'", word: "ignore"})).unwrap();
        assert_eq!(alone.plan(1, table()), Ok(None));
    }
    let mut both = ignored;
    both["missing_column"] = "ignore".into();
    let error = configured(&serde_json::json!({"tables": [both]})).unwrap_err();
    assert!(error.contains("both `missing` and `missing_column`"), "{error}");
}

#[test]
fn every_column_of_a_condition_is_found() {
    let condition = "a = 1 AND NOT (b IS NULL OR c IN (1, 2)) AND d BETWEEN 1 AND 2 AND e LIKE 'x' AND (f = g) IS TRUE AND a > 0";
    assert_eq!(parse(condition).unwrap().columns(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn a_value_that_cannot_be_read_rejects_its_row_without_showing_it() {
    let mut plugin = configured(&serde_json::json!({ "where": "price > 1" })).unwrap();
    plugin.plan(1, table()).unwrap();
    let mut prices = ColumnBuilder::new(DataType::Decimal, 2);
    prices.push("2").unwrap();
    prices.push("secret").unwrap();
    let outcome = plugin.apply(1, Rows::new(2, vec![prices.finish()])).unwrap();
    assert_eq!(outcome.rejected.len(), 1);
    assert_eq!((outcome.rejected[0].row, outcome.rejected[0].message.as_str()), (1, "column `price` holds no decimal"));
}

#[test]
fn only_the_columns_of_the_condition_are_read() {
    let mut plugin = configured(&serde_json::json!({ "where": "price > 1 AND status = 'x' AND price < 9" })).unwrap();
    let plan = plugin.plan(1, table()).unwrap().unwrap();
    assert_eq!(plan.reads, [2, 5]);
    assert_eq!(plan.delivers.columns.len(), COLUMNS.len(), "all columns are delivered");
}

#[test]
fn entries_apply_to_the_tables_that_they_select() {
    let config = serde_json::json!({"tables": [
        {"table": "shop.*", "operations": ["insert", "update"]},
        {"table": ["shop.order*", "!shop.orders_old"], "where": "id > 1", "operations": ["insert", "delete"]},
        {"table": "other.*", "where": "no_such_column = 1"},
    ]});
    let mut plugin = configured(&config).unwrap();
    let plan = plugin.plan(1, table()).unwrap().unwrap();
    assert_eq!(plan.operations, Operations::INSERT, "both entries apply");
    let mut unselected = table();
    unselected.name.database = "warehouse".into();
    assert_eq!(plugin.plan(2, unselected), Ok(None));
}

#[test]
fn a_wrong_configuration_says_what_is_wrong() {
    for (config, expected) in [
        (serde_json::json!(null), "nothing to filter"),
        (serde_json::json!({}), "nothing to filter"),
        (serde_json::json!({"were": "id = 1"}), "unknown field `were`"),
        (serde_json::json!({"operations": ["upsert"]}), "unknown variant `upsert`"),
        (serde_json::json!({"tables": [{"table": "shop."}]}), "is no table pattern"),
        (serde_json::json!({"tables": [{"table": "shop.x"}]}), "the entry for shop.x has neither"),
        (serde_json::json!({"tables": [{"table": "shop.x", "where": "id ="}]}), "the condition for shop.x: `id =` is no SQL condition"),
    ] {
        let error = configured(&config).unwrap_err();
        assert!(error.contains(expected), "{config}: {error}");
    }
}

/// A condition as a tree, printable as SQL and evaluated row by row by SQL's rules.
#[derive(Clone, Debug)]
enum Tree {
    Int(&'static str, i64),
    Price(&'static str, i64),
    Status(&'static str, String),
    InList(Vec<Option<i64>>, bool),
    Between(i64, i64),
    Null(&'static str, bool),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
}

#[derive(Clone, Debug)]
struct Naive {
    id: Option<i64>,
    price: Option<i64>,
    status: Option<String>,
}

fn cents(value: i64) -> String {
    format!("{}{}.{:02}", if value < 0 { "-" } else { "" }, value.abs() / 100, value.abs() % 100)
}

impl Tree {
    fn sql(&self) -> String {
        match self {
            Tree::Int(op, value) => format!("id {op} {value}"),
            Tree::Price(op, value) => format!("price {op} {}", cents(*value)),
            Tree::Status(op, value) => format!("status {op} '{value}'"),
            Tree::InList(list, negated) => {
                let list: Vec<_> = list.iter().map(|v| v.map_or("NULL".into(), |v| v.to_string())).collect();
                format!("id {}IN ({})", if *negated { "NOT " } else { "" }, list.join(", "))
            }
            Tree::Between(low, high) => format!("id BETWEEN {low} AND {high}"),
            Tree::Null(column, negated) => format!("{column} IS {}NULL", if *negated { "NOT " } else { "" }),
            Tree::Not(inner) => format!("NOT ({})", inner.sql()),
            Tree::And(a, b) => format!("({}) AND ({})", a.sql(), b.sql()),
            Tree::Or(a, b) => format!("({}) OR ({})", a.sql(), b.sql()),
        }
    }

    fn judge(&self, row: &Naive) -> Option<bool> {
        let holds = |op: &str, ordering: Ordering| match op {
            "=" => ordering.is_eq(),
            "<>" => ordering.is_ne(),
            "<" => ordering.is_lt(),
            "<=" => ordering.is_le(),
            ">" => ordering.is_gt(),
            _ => ordering.is_ge(),
        };
        match self {
            Tree::Int(op, value) => row.id.map(|id| holds(op, id.cmp(value))),
            Tree::Price(op, value) => row.price.map(|price| holds(op, price.cmp(value))),
            Tree::Status(op, value) => row.status.as_ref().map(|status| holds(op, status.cmp(value))),
            Tree::InList(list, negated) => row.id.and_then(|id| {
                let found = list.contains(&Some(id));
                if !found && list.contains(&None) { None } else { Some(found != *negated) }
            }),
            Tree::Between(low, high) => row.id.map(|id| *low <= id && id <= *high),
            Tree::Null("id", negated) => Some(row.id.is_none() != *negated),
            Tree::Null(_, negated) => Some(row.status.is_none() != *negated),
            Tree::Not(inner) => inner.judge(row).map(|value| !value),
            Tree::And(a, b) => match (a.judge(row), b.judge(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Tree::Or(a, b) => match (a.judge(row), b.judge(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let op = || prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        (op(), -5i64..5).prop_map(|(op, v)| Tree::Int(op, v)),
        (op(), -300i64..300).prop_map(|(op, v)| Tree::Price(op, v)),
        (op(), "[ab]{0,2}").prop_map(|(op, v)| Tree::Status(op, v)),
        (prop::collection::vec(prop::option::of(-5i64..5), 1..4), any::<bool>()).prop_map(|(list, n)| Tree::InList(list, n)),
        (-5i64..5, -5i64..5).prop_map(|(a, b)| Tree::Between(a, b)),
        (prop::sample::select(vec!["id", "status"]), any::<bool>()).prop_map(|(c, n)| Tree::Null(c, n)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| Tree::Not(Box::new(a))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Tree::Or(Box::new(a), Box::new(b))),
        ]
    })
}

proptest! {
    #[test]
    fn columns_are_judged_as_rows_would_be(
        tree in trees(),
        rows in prop::collection::vec(
            (prop::option::of(-5i64..5), prop::option::of(-300i64..300), prop::option::of("[ab]{0,2}")), 1..20),
    ) {
        let naive: Vec<_> = rows.iter().cloned().map(|(id, price, status)| Naive { id, price, status }).collect();
        let values: Vec<Vec<Value<'_>>> = naive.iter().map(|n| {
            let mut row = vec![Value::Null; COLUMNS.len()];
            row[0] = n.id.into();
            row[2] = n.price.map(cents).into();
            row[5] = n.status.clone().into();
            row
        }).collect();
        // A condition may read no column at all only when it is constant; these never are.
        let expected: Vec<bool> = naive.iter().map(|row| tree.judge(row) == Some(true)).collect();
        prop_assert_eq!(kept(&tree.sql(), &values), Ok(expected), "{}", tree.sql());
    }
}

#[test]
fn the_schema_in_the_repository_is_that_of_the_structs() {
    sluicegate_plugin::config::assert_schema::<config::Raw>(concat!(env!("CARGO_MANIFEST_DIR"), "/config.schema.json"));
}
