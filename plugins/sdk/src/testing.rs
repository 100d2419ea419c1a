//! A test kit: a table from a line of text, rows from JSON, and a plugin that is run over changes as the host would.
//!
//! ```
//! use serde_json::json;
//! use sluicegate_plugin::{Description, Plugin, Row, TablePlan, describe, testing};
//!
//! # struct Upper;
//! # impl Plugin for Upper {
//! #     fn describe() -> Description { describe!("upper case") }
//! #     fn configure(_: &str) -> Result<Self, String> { Ok(Upper) }
//! #     fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> { table.rewrite("name").map(drop) }
//! #     fn row(&mut self, row: &mut Row) { if let Some(name) = row.text("name") { row.set("name", name.to_uppercase()) } }
//! # }
//! let mut plugin = testing::start::<Upper>(json!(null), "shop.customers (id int64 key, name text)");
//! assert_eq!(plugin.insert(json!({ "id": 1, "name": "ada" })), Some(json!({ "id": 1, "name": "ADA" })));
//! ```
//!
//! Everything here panics when something is wrong, for that is how a test fails.
#![allow(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "the test kit: a fault is a failed test")]

use serde_json::{Map, Value as Json, json};

use crate::{
    Column, ColumnBuilder, Context, DataType, Instance, Operation, Operations, Place, Plan, Plugin, Rows, Table, TableName, Value, Vector,
    display_name, type_name,
};

const TYPES: [DataType; 13] = [
    DataType::Boolean,
    DataType::Int64,
    DataType::Uint64,
    DataType::Float32,
    DataType::Float64,
    DataType::Decimal,
    DataType::Text,
    DataType::Bytes,
    DataType::Date,
    DataType::Time,
    DataType::Datetime,
    DataType::Timestamp,
    DataType::Json,
];

/// A table from its text: `shop.customers (id int64 key, email text, balance decimal not null)`. The types are those of the
/// interface.
pub fn table(text: &str) -> Table {
    let (name, rest) = text.split_once('(').unwrap_or_else(|| panic!("`{text}`: write `database.table (column type, …)`"));
    let columns = rest.trim().strip_suffix(')').unwrap_or_else(|| panic!("`{text}` ends without `)`"));
    let parts: Vec<String> = name.trim().split('.').map(str::to_string).collect();
    let name = match parts.as_slice() {
        [database, table] => TableName { database: database.clone(), schema: None, table: table.clone() },
        [database, schema, table] => TableName { database: database.clone(), schema: Some(schema.clone()), table: table.clone() },
        _ => panic!("`{name}` is no table; write `database.table`"),
    };
    let column = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (name, kind, more) = match words.as_slice() {
            [name, kind, more @ ..] => (*name, *kind, more.join(" ")),
            _ => panic!("`{text}`: write `column type`"),
        };
        let data_type = TYPES.into_iter().find(|t| type_name(*t) == kind);
        let data_type = data_type.unwrap_or_else(|| panic!("`{kind}` is no type; write one of {}", TYPES.map(type_name).join(", ")));
        let column = Column::new(name, data_type);
        match more.as_str() {
            "" => column,
            "key" => column.key(),
            "not null" => Column { nullable: false, ..column },
            more => panic!("`{more}` after `{name} {kind}`: only `key` and `not null` are known"),
        }
    };
    let columns = columns.split(',').filter(|c| !c.trim().is_empty()).map(column).collect();
    Table { name, destination: None, columns }
}

/// One change: a row before and after.
#[derive(Clone, Debug)]
pub struct Change {
    /// What happened.
    pub operation: Operation,
    /// The row before, as a JSON object; columns that are left out are null.
    pub before: Option<Json>,
    /// The row after.
    pub after: Option<Json>,
    /// When the source executed it, microseconds since 1970 UTC.
    pub time_us: i64,
}

impl Change {
    /// An insert.
    pub fn insert(after: Json) -> Self {
        Self { operation: Operation::Insert, before: None, after: Some(after), time_us: 0 }
    }

    /// An update.
    pub fn update(before: Json, after: Json) -> Self {
        Self { operation: Operation::Update, before: Some(before), after: Some(after), time_us: 0 }
    }

    /// A delete.
    pub fn delete(before: Json) -> Self {
        Self { operation: Operation::Delete, before: Some(before), after: None, time_us: 0 }
    }
}

/// What became of a row image.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It is delivered, with these columns.
    Delivered {
        /// The columns of the record.
        row: Json,
        /// Headers that are set.
        headers: Map<String, Json>,
        /// Where the record goes, if the plugin says so.
        destination: Option<String>,
    },
    /// It is not delivered.
    Dropped,
    /// The plugin refused it, with this message.
    Rejected(String),
}

impl Fate {
    /// The delivered columns; `None` when it was dropped.
    ///
    /// # Panics
    /// When it was rejected.
    pub fn row(self) -> Option<Json> {
        match self {
            Fate::Delivered { row, .. } => Some(row),
            Fate::Dropped => None,
            Fate::Rejected(message) => panic!("the row was rejected: {message}"),
        }
    }
}

/// What became of a change: of its image before, of its image after.
pub type Fates = (Option<Fate>, Option<Fate>);

/// A configured plugin with a planned table.
#[derive(Debug)]
pub struct Tester<P> {
    plugin: Instance<P>,
    table: Table,
    plan: Option<Plan>,
}

/// Configures a plugin (`json!(null)` = without `config`) and has it plan a table, written as for [`table`].
///
/// # Panics
/// When the plugin refuses either.
pub fn start<P: Plugin>(config: Json, table_text: &str) -> Tester<P> {
    let mut plugin = Instance::configure(&config.to_string()).unwrap_or_else(|error| panic!("configure: {error}"));
    let table = table(table_text);
    let plan = plugin.plan(0, table.clone()).unwrap_or_else(|error| panic!("plan: {error}"));
    Tester { plugin, table, plan }
}

impl<P: Plugin> Tester<P> {
    /// The plan for the table; `None` when it passes untouched.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The names of the columns that enter the plugin.
    pub fn reads(&self) -> Vec<&str> {
        let reads = self.plan.iter().flat_map(|plan| &plan.reads);
        reads.map(|index| self.table.columns[*index as usize].name.as_str()).collect()
    }

    /// The table's name and columns as delivered: `shop.customers (id int64 key, …)`.
    pub fn delivers(&self) -> String {
        let table = self.plan.as_ref().map_or(&self.table, |plan| &plan.delivers);
        let column = |c: &Column| format!("{} {}{}", c.name, type_name(c.data_type), if c.primary_key { " key" } else { "" });
        let columns: Vec<String> = table.columns.iter().filter(|c| c.place == Place::Value).map(column).collect();
        format!("{} ({})", display_name(&table.name), columns.join(", "))
    }

    /// An inserted row as it is delivered; `None` when it is not.
    pub fn insert(&mut self, row: Json) -> Option<Json> {
        self.one(Change::insert(row)).1.and_then(Fate::row)
    }

    /// The old row of a delete as it is delivered; `None` when it is not.
    pub fn delete(&mut self, row: Json) -> Option<Json> {
        self.one(Change::delete(row)).0.and_then(Fate::row)
    }

    /// Both rows of an update as they are delivered. Without the first it is delivered as an insert, without the second as a
    /// delete.
    pub fn update(&mut self, before: Json, after: Json) -> (Option<Json>, Option<Json>) {
        let (before, after) = self.one(Change::update(before, after));
        (before.and_then(Fate::row), after.and_then(Fate::row))
    }

    /// The message with which the plugin rejects an inserted row.
    pub fn rejects(&mut self, row: Json) -> String {
        match self.one(Change::insert(row)).1 {
            Some(Fate::Rejected(message)) => message,
            other => panic!("the row was not rejected: {other:?}"),
        }
    }

    fn one(&mut self, change: Change) -> Fates {
        self.run(&[change]).pop().unwrap_or_default()
    }

    /// Runs changes as one batch, and says what became of each.
    ///
    /// # Panics
    /// When a row does not fit the table, or the plugin fails on the batch.
    pub fn run(&mut self, changes: &[Change]) -> Vec<Fates> {
        let mut images: Vec<(usize, u8, &Json)> = Vec::new();
        for (index, change) in changes.iter().enumerate() {
            images.extend(change.before.iter().map(|row| (index, 0, row)));
            images.extend(change.after.iter().map(|row| (index, 1, row)));
        }
        let mut fates = vec![Fates::default(); changes.len()];
        let Some(plan) = self.plan.clone() else {
            for (index, image, row) in images {
                *place(&mut fates, index, image) = Some(self.untouched(row));
            }
            return fates;
        };
        let passes = |operation| match operation {
            Operation::Snapshot => plan.operations.contains(Operations::SNAPSHOT),
            Operation::Insert => plan.operations.contains(Operations::INSERT),
            Operation::Update => plan.operations.contains(Operations::UPDATE),
            Operation::Delete => plan.operations.contains(Operations::DELETE),
        };
        images.retain(|(index, ..)| passes(changes[*index].operation));
        let columns: Vec<Vector> = self.table.columns.iter().map(|column| vector(column, images.iter().map(|(.., row)| *row))).collect();
        let calls = plan.filters || plan.origins.iter().any(Option::is_none);
        let outcome = (calls && !images.is_empty()).then(|| {
            let mut rows = Rows::new(images.len() as u32, plan.reads.iter().map(|i| columns[*i as usize].clone()).collect());
            if plan.context.contains(Context::IMAGES) {
                rows.images = images.iter().map(|(_, image, _)| *image).collect();
            }
            if plan.context.contains(Context::OPERATIONS) {
                rows.operations = images.iter().map(|(index, ..)| changes[*index].operation as u8).collect();
            }
            if plan.context.contains(Context::TIMES) {
                rows.times = images.iter().map(|(index, ..)| changes[*index].time_us).collect();
            }
            if plan.context.contains(Context::PARTNERS) {
                let partner = |(row, (index, ..)): (usize, &(usize, u8, &Json))| {
                    let other = images.iter().enumerate().find(|(i, (other, ..))| other == index && *i != row);
                    other.map_or(u32::MAX, |(i, _)| i as u32)
                };
                rows.partners = images.iter().enumerate().map(partner).collect();
            }
            self.plugin.apply(0, rows).unwrap_or_else(|error| panic!("apply: {error}"))
        });
        for (row, (index, image, _)) in images.iter().enumerate() {
            let rejected = outcome.iter().flat_map(|o| &o.rejected).find(|r| r.row as usize == row);
            let kept = outcome.as_ref().is_none_or(|o| o.keep.is_empty() || o.keep[row / 8] >> (row % 8) & 1 == 1);
            *place(&mut fates, *index, *image) = Some(match rejected {
                Some(rejection) => Fate::Rejected(rejection.message.clone()),
                None if !kept => Fate::Dropped,
                None => {
                    let mut computed = outcome.iter().flat_map(|o| &o.computed);
                    let origin = |origin: &Option<u32>| match origin {
                        Some(input) => &columns[*input as usize],
                        None => computed.next().unwrap_or_else(|| panic!("a computed column is missing")),
                    };
                    let vectors: Vec<&Vector> = plan.origins.iter().map(origin).collect();
                    delivered(&plan.delivers, &vectors, row)
                }
            });
        }
        // an operation that is not delivered drops its images
        for (index, change) in changes.iter().enumerate().filter(|(_, change)| !passes(change.operation)) {
            fates[index] = (change.before.as_ref().map(|_| Fate::Dropped), change.after.as_ref().map(|_| Fate::Dropped));
        }
        fates
    }

    fn untouched(&self, row: &Json) -> Fate {
        let columns: Vec<Vector> = self.table.columns.iter().map(|column| vector(column, std::iter::once(row))).collect();
        delivered(&self.table, &columns.iter().collect::<Vec<_>>(), 0)
    }
}

fn place(fates: &mut [Fates], index: usize, image: u8) -> &mut Option<Fate> {
    if image == 0 { &mut fates[index].0 } else { &mut fates[index].1 }
}

/// One column of rows that are JSON objects.
fn vector<'a>(column: &Column, rows: impl ExactSizeIterator<Item = &'a Json>) -> Vector {
    let mut built = ColumnBuilder::new(column.data_type, rows.len());
    for row in rows {
        assert!(row.is_object(), "a row is a JSON object");
        let value = row.get(&column.name).unwrap_or(&Json::Null);
        let kind = built.push(value_of(column.data_type, value));
        assert!(kind.is_ok(), "column `{}` is {}, not {value}", column.name, type_name(column.data_type));
    }
    built.finish()
}

fn value_of(data_type: DataType, value: &Json) -> Value<'_> {
    match (data_type, value) {
        (_, Json::Null) => Value::Null,
        (DataType::Bytes, Json::String(text)) => text.as_bytes().into(),
        (DataType::Bytes, Json::Array(bytes)) => {
            bytes.iter().map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok()).expect("a byte")).collect::<Vec<u8>>().into()
        }
        (DataType::Json, Json::String(text)) => text.as_str().into(),
        (DataType::Json, document) => document.to_string().into(),
        (DataType::Decimal, Json::Number(number)) => number.to_string().into(),
        (DataType::Float32 | DataType::Float64, Json::Number(number)) => number.as_f64().into(),
        (_, Json::Bool(value)) => (*value).into(),
        (_, Json::String(text)) => text.as_str().into(),
        (_, Json::Number(number)) => {
            number.as_u64().map(Value::UInt).or_else(|| number.as_i64().map(Value::Int)).unwrap_or(number.as_f64().into())
        }
        (_, value) => panic!("{value} is no {}", type_name(data_type)),
    }
}

/// Row `row` as the table delivers it.
fn delivered(table: &Table, columns: &[&Vector], row: usize) -> Fate {
    let (mut values, mut headers, mut destination) = (Map::new(), Map::new(), table.destination.clone());
    for (column, vector) in table.columns.iter().zip(columns) {
        let value = match vector.value(row) {
            Value::Null => Json::Null,
            Value::Bool(value) => value.into(),
            Value::Int(value) => value.into(),
            Value::UInt(value) => value.into(),
            Value::Float(value) => value.into(),
            Value::Text(text) => text.into_owned().into(),
            Value::Bytes(bytes) => std::str::from_utf8(&bytes).map_or_else(|_| json!(bytes), Json::from),
        };
        match column.place {
            Place::Value => drop(values.insert(column.name.clone(), value)),
            Place::Header if value.is_null() => {}
            Place::Header => drop(headers.insert(column.name.clone(), value)),
            Place::Destination => destination = value.as_str().map(str::to_string).or(destination),
        }
    }
    Fate::Delivered { row: values.into(), headers, destination }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Description, Row, TablePlan};

    /// Doubles `n`, drops 0, rejects negative numbers, says in a header what happened, sends big ones elsewhere.
    struct Double;

    impl Plugin for Double {
        fn describe() -> Description {
            crate::describe!("doubles")
        }
        fn configure(_: &str) -> Result<Self, String> {
            Ok(Double)
        }
        fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
            if table.has("n") {
                table.rewrite("n")?;
                table.filter_rows();
                table.ask(Context::all());
                table.add_header("was", DataType::Text);
                table.choose_destinations();
            }
            Ok(())
        }
        fn row(&mut self, row: &mut Row<'_>) {
            match row.int("n") {
                Some(0) => row.drop(),
                Some(n) if n < 0 => row.reject("negative"),
                Some(n) => {
                    row.set("n", n * 2);
                    row.set_header("was", format!("{:?} {:?} {:?}", row.operation(), row.image(), row.other("n")));
                    if n > 100 {
                        row.send_to("big");
                    }
                }
                None => {}
            }
        }
    }

    fn tester() -> Tester<Double> {
        start(json!(null), "shop.orders (id int64 key, n int64, note text)")
    }

    #[test]
    fn rows_go_through_the_plugin_as_the_host_would_send_them() {
        let mut plugin = tester();
        assert_eq!(plugin.reads(), ["n"]);
        assert_eq!(plugin.delivers(), "shop.orders (id int64 key, n int64, note text)");
        assert_eq!(plugin.insert(json!({"id": 1, "n": 4, "note": "x"})), Some(json!({"id": 1, "n": 8, "note": "x"})));
        assert_eq!(plugin.insert(json!({"id": 1, "n": 0})), None);
        assert_eq!(plugin.delete(json!({"id": 1})), Some(json!({"id": 1, "n": null, "note": null})));
        assert_eq!(plugin.update(json!({"id": 1, "n": 0}), json!({"id": 1, "n": 1})), (None, Some(json!({"id": 1, "n": 2, "note": null}))));
        assert_eq!(plugin.rejects(json!({"id": 1, "n": -1})), "negative");
    }

    #[test]
    fn headers_destinations_and_context_are_told() {
        let fates = tester().run(&[Change::update(json!({"n": 1}), json!({"n": 101})), Change::delete(json!({"n": 5}))]);
        let told = |fate: &Option<Fate>| match fate {
            Some(Fate::Delivered { headers, destination, .. }) => (headers["was"].as_str().unwrap().to_string(), destination.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(told(&fates[0].0), ("Update Before Some(Int(101))".into(), None));
        assert_eq!(told(&fates[0].1), ("Update After Some(Int(1))".into(), Some("big".into())));
        assert_eq!(told(&fates[1].0), ("Delete Before None".into(), None));
    }

    #[test]
    fn every_type_is_read_and_shown() {
        let columns = TYPES.map(|t| format!("{0} {0}", type_name(t))).join(", ");
        let mut plugin = start::<Double>(json!(null), &format!("shop.all ({columns})"));
        assert_eq!(plugin.plan(), None);
        let row = json!({
            "boolean": true, "int64": i64::MIN, "uint64": u64::MAX, "float32": 0.5, "float64": -1.25, "decimal": "1.50", "text": "",
            "bytes": [255, 0], "date": "2024-02-29", "time": "-838:59:59", "datetime": "2024-02-29 01:02:03",
            "timestamp": "2024-02-29T01:02:03Z", "json": "{}",
        });
        assert_eq!(plugin.insert(row.clone()), Some(row));
    }
}
