//! A plugin's plan for a table, checked against the table before anything relies on it.

use std::collections::HashSet;

use super::bindings::sluicegate::plugin::types as wit;
use crate::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, Operation, Place, Table, TableName},
};

/// Where a delivered column comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The input column with this index.
    Input(usize),
    /// The computed column with this number.
    Computed(usize),
}

/// A checked plan of one plugin for one table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// The table as it leaves the plugin.
    pub output: Table,
    /// For each delivered column where it comes from.
    pub origins: Vec<Origin>,
    /// Types of the computed columns.
    pub computed: Vec<DataType>,
    /// Input columns that `apply` gets.
    pub reads: Vec<usize>,
    /// Whether `apply` may drop rows.
    pub filters: bool,
    /// Which operations are delivered.
    pub operations: Delivered,
}

impl Plan {
    /// Whether `apply` is called at all.
    pub fn calls(&self) -> bool {
        self.filters || !self.computed.is_empty()
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered(wit::Operations);

impl Delivered {
    /// Whether `operation` is delivered.
    pub fn has(self, operation: Operation) -> bool {
        self.0.contains(match operation {
            Operation::Snapshot => wit::Operations::SNAPSHOT,
            Operation::Insert => wit::Operations::INSERT,
            Operation::Update => wit::Operations::UPDATE,
            Operation::Delete => wit::Operations::DELETE,
        })
    }

    /// Whether every operation on rows is delivered.
    pub fn is_all(self) -> bool {
        [Operation::Snapshot, Operation::Insert, Operation::Update, Operation::Delete].into_iter().all(|o| self.has(o))
    }
}

/// Columns that a delivered table may have: what any of the sources can have, with room for computed ones.
const MOST_COLUMNS: usize = 8192;
/// Bytes of a delivered name.
const LONGEST_NAME: usize = 1024;

/// Checks a plan against the table that it is for.
pub(super) fn check(input: &Table, plan: wit::Plan) -> Result<Plan> {
    let fault = |what: String| {
        Error::new(ErrorKind::Plugin, format!("its plan for {} cannot be used: {what}", input.name))
            .remedy("this is a fault of the plugin: its plan has to fit the table it was given")
    };
    let width = input.columns.len();
    let mut origins = Vec::with_capacity(plan.columns.len());
    let mut computed = Vec::new();
    let mut columns = Vec::with_capacity(plan.columns.len());
    let mut names = HashSet::new();
    if plan.columns.len() > MOST_COLUMNS {
        return Err(fault(format!("it delivers {} columns, the limit is {MOST_COLUMNS}", plan.columns.len())));
    }
    for column in plan.columns {
        let name = check_name(column.name).map_err(|e| fault(format!("a column's name {e}")))?;
        if !names.insert(name.clone()) {
            return Err(fault(format!("two delivered columns have the name `{name}`")));
        }
        columns.push(match column.origin {
            wit::Origin::Input(index) => {
                let index = index as usize;
                let info = input
                    .columns
                    .get(index)
                    .ok_or_else(|| fault(format!("column `{name}` comes from input column {index}, the table has {width} columns")))?;
                origins.push(Origin::Input(index));
                ColumnInfo { name, ..info.clone() }
            }
            wit::Origin::Computed(data_type) => {
                origins.push(Origin::Computed(computed.len()));
                let data_type = from_wit(data_type);
                computed.push(data_type);
                ColumnInfo { name, data_type, native_type: String::new(), nullable: true, primary_key: false, place: Place::Value }
            }
        });
    }
    let mut seen = HashSet::new();
    let mut reads = Vec::with_capacity(plan.reads.len());
    for index in plan.reads {
        let index = index as usize;
        if index >= width {
            return Err(fault(format!("it reads input column {index}, the table has {width} columns")));
        }
        if !seen.insert(index) {
            return Err(fault(format!("it reads input column {index} twice")));
        }
        reads.push(index);
    }
    let part = |text: String| check_name(text).map_err(|e| fault(format!("a table name {e}")));
    let name =
        TableName { database: part(plan.name.database)?, schema: plan.name.schema.map(part).transpose()?, table: part(plan.name.table)? };
    // a computed column that takes a key column's name stands in for it: a masked key is still the key
    for (column, origin) in columns.iter_mut().zip(&origins) {
        if matches!(origin, Origin::Computed(_)) {
            column.primary_key = input.columns.iter().any(|c| c.primary_key && c.name == column.name);
        }
    }
    Ok(Plan {
        output: Table { name, destination: None, columns },
        origins,
        computed,
        reads,
        filters: plan.filters,
        operations: Delivered(plan.operations),
    })
}

fn check_name(name: String) -> Result<String, &'static str> {
    if name.is_empty() {
        Err("is empty")
    } else if name.len() > LONGEST_NAME {
        Err("is too long")
    } else if name.chars().any(char::is_control) {
        Err("holds control characters")
    } else {
        Ok(name)
    }
}

/// The table in the form in which it crosses.
pub(super) fn with_wit_table<T>(table: &Table, f: impl FnOnce(wit::Table<'_>) -> T) -> T {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|c| wit::Column {
            name: &c.name,
            data_type: to_wit(c.data_type),
            native_type: &c.native_type,
            nullable: c.nullable,
            primary_key: c.primary_key,
        })
        .collect();
    let name = wit::TableNameParam { database: &table.name.database, schema: table.name.schema.as_deref(), table: &table.name.table };
    f(wit::Table { name, columns: &columns })
}

macro_rules! data_types {
    ($($ours:ident $theirs:ident),*) => {
        fn to_wit(data_type: DataType) -> wit::DataType {
            match data_type { $(DataType::$ours => wit::DataType::$theirs),* }
        }

        fn from_wit(data_type: wit::DataType) -> DataType {
            match data_type { $(wit::DataType::$theirs => DataType::$ours),* }
        }
    };
}
data_types!(
    Boolean Boolean, Int64 Int64, UInt64 Uint64, Float32 Float32, Float64 Float64, Decimal Decimal, Text Text, Bytes Bytes, Date Date,
    Time Time, DateTime Datetime, Timestamp Timestamp, Json Json
);

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Table {
        let column = |name: &str, data_type, primary_key| ColumnInfo {
            name: name.into(),
            data_type,
            native_type: String::new(),
            nullable: false,
            primary_key,
            place: Place::Value,
        };
        Table {
            name: TableName::new("shop", "orders"),
            destination: None,
            columns: vec![column("id", DataType::Int64, true), column("email", DataType::Text, false)],
        }
    }

    fn input(name: &str, index: u32) -> wit::OutputColumn {
        wit::OutputColumn { name: name.into(), origin: wit::Origin::Input(index) }
    }

    fn plan(columns: Vec<wit::OutputColumn>, reads: Vec<u32>) -> wit::Plan {
        wit::Plan {
            name: wit::TableNameResult { database: "shop".into(), schema: None, table: "orders".into() },
            columns,
            operations: wit::Operations::all(),
            reads,
            filters: false,
        }
    }

    #[test]
    fn a_plan_that_does_not_fit_its_table_is_refused() {
        let named = |database: &str, table: &str| wit::Plan {
            name: wit::TableNameResult { database: database.into(), schema: None, table: table.into() },
            ..plan(vec![input("id", 0)], vec![])
        };
        let cases = vec![
            plan(vec![input("id", 2)], vec![]),
            plan(vec![input("id", 0), input("id", 1)], vec![]),
            plan(vec![input("", 0)], vec![]),
            plan(vec![input("a\nb", 0)], vec![]),
            plan(vec![input(&"x".repeat(1025), 0)], vec![]),
            plan(vec![input("id", 0)], vec![2]),
            plan(vec![input("id", 0)], vec![1, 1]),
            named("", "orders"),
            named("shop", "a\0b"),
        ];
        let told: Vec<_> = cases.into_iter().map(|c| check(&orders(), c).expect_err("a faulty plan").message().to_owned()).collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        its plan for shop.orders cannot be used: column `id` comes from input column 2, the table has 2 columns
        its plan for shop.orders cannot be used: two delivered columns have the name `id`
        its plan for shop.orders cannot be used: a column's name is empty
        its plan for shop.orders cannot be used: a column's name holds control characters
        its plan for shop.orders cannot be used: a column's name is too long
        its plan for shop.orders cannot be used: it reads input column 2, the table has 2 columns
        its plan for shop.orders cannot be used: it reads input column 1 twice
        its plan for shop.orders cannot be used: a table name is empty
        its plan for shop.orders cannot be used: a table name holds control characters
        "#);
    }

    #[test]
    fn a_computed_column_under_the_name_of_a_key_column_is_the_key() {
        let masked = wit::OutputColumn { name: "id".into(), origin: wit::Origin::Computed(wit::DataType::Text) };
        let checked = check(&orders(), plan(vec![masked, input("mail", 1)], vec![0])).expect("a sound plan");
        assert!(checked.output.columns[0].primary_key && !checked.output.columns[1].primary_key);
        assert_eq!(checked.output.columns[1].name, "mail");
        assert_eq!(checked.computed, [DataType::Text]);
    }
}
