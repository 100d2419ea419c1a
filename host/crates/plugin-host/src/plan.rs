//! A plugin's plan for a table, checked against the table before anything relies on it.

use std::collections::HashSet;

use super::bindings::sluicegate::plugin::types as wit;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, NativeType, Operation, Place, Table, TableName},
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
    /// What `apply` is told beside its columns.
    pub context: wit::Context,
    /// Whether `apply` may drop or reject rows.
    pub filters: bool,
    /// Which operations are delivered.
    pub operations: Delivered,
    /// Whether `apply` knows what an absent value is.
    pub absent: bool,
}

impl Plan {
    /// The same, where what is computed may be left out: every computed column may be null. None may be of the key, which
    /// would then lead nowhere.
    pub fn with_nullable_results(mut self, input: &Table) -> Result<Self> {
        for (column, origin) in self.output.columns.iter_mut().zip(&self.origins) {
            if matches!(origin, Origin::Computed(_)) {
                if column.primary_key {
                    return Err(Error::new(
                        ErrorKind::Plugin,
                        format!(
                            "{}: it computes `{}`, a column of the key, which `pass-through` would deliver as null",
                            input.name, column.name
                        ),
                    )
                    .remedy("set `on_error` of the plugin to stop, skip or dead-letter, or take the table out of its `tables`"));
                }
                column.nullable = true;
            }
        }
        Ok(self)
    }

    /// Whether `apply` is called at all.
    pub fn calls(&self) -> bool {
        self.filters || !self.computed.is_empty()
    }
}

/// A set of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered(wit::Operations);

impl Delivered {
    /// Every operation.
    #[cfg(test)]
    pub fn all() -> Self {
        Self(wit::Operations::all())
    }

    /// Whether `operation` is delivered.
    pub fn has(self, operation: Operation) -> bool {
        self.0.contains(match operation {
            Operation::Snapshot => wit::Operations::SNAPSHOT,
            Operation::Insert => wit::Operations::INSERT,
            Operation::Update => wit::Operations::UPDATE,
            Operation::Delete => wit::Operations::DELETE,
        })
    }

    /// Whether it is delivered that the table was emptied as a whole.
    pub fn has_truncate(self) -> bool {
        self.0.contains(wit::Operations::TRUNCATE)
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
    let wit::Plan { delivers, origins: sources, operations, reads: asked, context, filters } = plan;
    if delivers.columns.len() > MOST_COLUMNS {
        return Err(fault(format!("it delivers {} columns, the limit is {MOST_COLUMNS}", delivers.columns.len())));
    }
    if sources.len() != delivers.columns.len() {
        return Err(fault(format!("it has {} origins for {} columns", sources.len(), delivers.columns.len())));
    }
    let mut origins = Vec::with_capacity(sources.len());
    let mut computed = Vec::new();
    let mut columns = Vec::with_capacity(sources.len());
    let mut names = HashSet::new();
    let mut chosen = 0;
    for (column, origin) in delivers.columns.into_iter().zip(sources) {
        let from = origin.and_then(|index| input.columns.get(index as usize));
        let column = column_from_wit(column, from).map_err(|e| fault(format!("a column's {e}")))?;
        let name = &column.name;
        if !names.insert((column.place, name.clone())) {
            return Err(fault(format!("two delivered columns have the name `{name}`")));
        }
        if column.primary_key && column.place != Place::Value {
            return Err(fault(format!("`{name}` is of the key, but delivered outside the record")));
        }
        if column.place == Place::Destination {
            chosen += 1;
            if column.data_type != DataType::Text {
                return Err(fault(format!("`{name}` chooses the destination, but is not of the type text")));
            }
        }
        match origin {
            Some(index) => {
                let index = index as usize;
                let from = input
                    .columns
                    .get(index)
                    .ok_or_else(|| fault(format!("column `{name}` comes from input column {index}, the table has {width} columns")))?;
                if from.data_type != column.data_type {
                    return Err(fault(format!(
                        "column `{name}` is input column {index}, untouched, but has the type {:?} instead of {:?}",
                        column.data_type, from.data_type
                    )));
                }
                origins.push(Origin::Input(index));
            }
            None => {
                origins.push(Origin::Computed(computed.len()));
                computed.push(column.data_type);
            }
        }
        columns.push(column);
    }
    if chosen > 1 {
        return Err(fault(format!("{chosen} columns choose the destination of a row")));
    }
    let mut seen = HashSet::new();
    let mut reads = Vec::with_capacity(asked.len().min(width));
    for index in asked {
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
    let wit::TableNameResult { database, schema, table } = delivers.name;
    let name = TableName { database: part(database)?, schema: schema.map(part).transpose()?, table: part(table)? };
    let destination = delivers.destination.map(check_name).transpose().map_err(|e| fault(format!("its destination {e}")))?;
    let output = Table { name, destination, columns };
    Ok(Plan { output, origins, computed, reads, context, filters, operations: Delivered(operations), absent: false })
}

/// A delivered column; `from` is the input column that it is, untouched.
fn column_from_wit(column: wit::ColumnResult, from: Option<&ColumnInfo>) -> Result<ColumnInfo, String> {
    let wit::ColumnResult { name, data_type, native_type, nullable, primary_key, place } = column;
    let name = check_name(name).map_err(|e| format!("name {e}"))?;
    let native_type = match from {
        // the source's own type, of which the text does not say all
        Some(from) if from.native_type.to_string() == native_type => from.native_type.clone(),
        _ if native_type.len() > LONGEST_NAME || native_type.chars().any(char::is_control) => {
            return Err(format!("native type is too long or holds control characters: `{name}`"));
        }
        _ => NativeType::parse(&native_type),
    };
    let place = match place {
        wit::Place::Value => Place::Value,
        wit::Place::Header => Place::Header,
        wit::Place::Destination => Place::Destination,
    };
    Ok(ColumnInfo { name, data_type: from_wit(data_type), native_type, nullable, primary_key, place })
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
pub(super) fn with_wit_table<T>(table: &Table, f: impl FnOnce(wit::TableParam<'_>) -> T) -> T {
    let native_types: Vec<String> = table.columns.iter().map(|c| c.native_type.to_string()).collect();
    let columns: Vec<_> = table
        .columns
        .iter()
        .zip(&native_types)
        .map(|(c, native_type)| wit::ColumnParam {
            name: &c.name,
            data_type: to_wit(c.data_type),
            native_type,
            nullable: c.nullable,
            primary_key: c.primary_key,
            place: match c.place {
                Place::Value => wit::Place::Value,
                Place::Header => wit::Place::Header,
                Place::Destination => wit::Place::Destination,
            },
        })
        .collect();
    let name = wit::TableNameParam { database: &table.name.database, schema: table.name.schema.as_deref(), table: &table.name.table };
    f(wit::TableParam { name, destination: table.destination.as_deref(), columns: &columns })
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
            native_type: NativeType::default(),
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

    type Output = (wit::ColumnResult, Option<u32>);

    fn output(name: &str, data_type: wit::DataType, place: wit::Place, origin: Option<u32>) -> Output {
        let (native_type, primary_key) = (String::new(), name == "id");
        (wit::ColumnResult { name: name.into(), data_type, native_type, nullable: true, primary_key, place }, origin)
    }

    fn input(name: &str, index: u32) -> Output {
        output(name, if index == 1 { wit::DataType::Text } else { wit::DataType::Int64 }, wit::Place::Value, Some(index))
    }

    fn plan(outputs: Vec<Output>, reads: Vec<u32>) -> wit::Plan {
        let (columns, origins) = outputs.into_iter().unzip();
        let name = wit::TableNameResult { database: "shop".into(), schema: None, table: "orders".into() };
        wit::Plan {
            delivers: wit::TableResult { name, destination: None, columns },
            origins,
            operations: wit::Operations::all(),
            reads,
            context: wit::Context::empty(),
            filters: false,
        }
    }

    #[test]
    fn a_plan_that_does_not_fit_its_table_is_refused() {
        use wit::{DataType::Text, Place};
        let named = |database: &str, table: &str, destination: Option<&str>| {
            let mut plan = plan(vec![input("id", 0)], vec![]);
            plan.delivers.name = wit::TableNameResult { database: database.into(), schema: None, table: table.into() };
            plan.delivers.destination = destination.map(Into::into);
            plan
        };
        let short = wit::Plan { origins: vec![None], ..plan(vec![input("id", 0), input("email", 1)], vec![]) };
        let mut native = plan(vec![input("id", 0)], vec![]);
        native.delivers.columns[0].native_type = "int\0".into();
        let chooses = |name: &str, data_type| output(name, data_type, Place::Destination, None);
        let cases = vec![
            plan(vec![input("id", 2)], vec![]),
            plan(vec![input("id", 0), output("id", Text, Place::Value, Some(1))], vec![]),
            plan(vec![input("", 0)], vec![]),
            plan(vec![input("a\nb", 0)], vec![]),
            plan(vec![input(&"x".repeat(1025), 0)], vec![]),
            plan(vec![input("id", 0)], vec![2]),
            plan(vec![input("id", 0)], vec![1, 1]),
            plan(vec![output("mail", wit::DataType::Json, Place::Value, Some(1))], vec![]),
            plan(vec![output("id", Text, Place::Header, None)], vec![]),
            plan(vec![chooses("a", wit::DataType::Int64)], vec![]),
            plan(vec![chooses("a", Text), chooses("b", Text)], vec![]),
            short,
            native,
            named("", "orders", None),
            named("shop", "a\0b", None),
            named("shop", "orders", Some("")),
        ];
        let told: Vec<_> = cases.into_iter().map(|c| check(&orders(), c).expect_err("a faulty plan").message().to_owned()).collect();
        insta::assert_snapshot!(told.join("\n").replace("its plan for shop.orders cannot be used: ", ""), @r#"
        column `id` comes from input column 2, the table has 2 columns
        two delivered columns have the name `id`
        a column's name is empty
        a column's name holds control characters
        a column's name is too long
        it reads input column 2, the table has 2 columns
        it reads input column 1 twice
        column `mail` is input column 1, untouched, but has the type Json instead of Text
        `id` is of the key, but delivered outside the record
        `a` chooses the destination, but is not of the type text
        2 columns choose the destination of a row
        it has 1 origins for 2 columns
        a column's native type is too long or holds control characters: `id`
        a table name is empty
        a table name holds control characters
        its destination is empty
        "#);
    }

    #[test]
    fn a_plan_may_change_the_key_and_deliver_a_column_twice() {
        let masked = output("id", wit::DataType::Text, wit::Place::Value, None);
        let header = output("mail", wit::DataType::Text, wit::Place::Header, Some(1));
        let checked = check(&orders(), plan(vec![masked, input("mail", 1), header], vec![0])).expect("a sound plan");
        let columns = &checked.output.columns;
        assert!(columns[0].primary_key && !columns[1].primary_key);
        assert_eq!((columns[1].name.as_str(), columns[2].place), ("mail", Place::Header));
        assert_eq!(checked.computed, [DataType::Text]);
        assert_eq!(checked.origins, [Origin::Computed(0), Origin::Input(1), Origin::Input(1)]);
    }

    #[test]
    fn an_untouched_column_keeps_the_sources_type_and_others_have_the_one_they_name() {
        let labels = (0..200).map(|i| format!("label\n{i}").into()).collect();
        let mut orders = orders();
        orders.columns[0].native_type = NativeType::with_labels("enum", labels).in_character_set(Some("latin1"));
        orders.columns[1].native_type = NativeType::with_number("varchar", 20).in_character_set(Some("latin1"));
        let own: Vec<_> = orders.columns.iter().map(|c| c.native_type.clone()).collect();
        let text = wit::DataType::Text;
        let mut outputs =
            vec![input("key", 0), input("mail", 1), input("short", 1), output("hash", text, wit::Place::Value, None), input("none", 1)];
        for ((column, _), native) in
            outputs.iter_mut().zip([own[0].to_string(), own[1].to_string(), "char(5)".into(), "varchar(20)".into(), String::new()])
        {
            column.native_type = native;
        }
        let checked = check(&orders, plan(outputs, vec![])).expect("a sound plan");
        let delivered: Vec<_> = checked.output.columns.into_iter().map(|c| c.native_type).collect();
        let parsed = NativeType::parse;
        assert_eq!(delivered, [own[0].clone(), own[1].clone(), parsed("char(5)"), parsed("varchar(20)"), parsed("")]);
        assert_eq!(with_wit_table(&orders, |table| table.columns[1].native_type.to_owned()), "varchar(20)");
    }
}
