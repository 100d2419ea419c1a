//! Plans that no table can have.

use sluicegate_plugin::{Column, Context, DataType, Operations, Place, Plan, Table, TableName};

/// The wrong plan that `behaviour` names.
pub fn wrong(behaviour: &str, table: &Table) -> Option<Plan> {
    let lie = behaviour.strip_prefix("plan-")?;
    let width = table.columns.len() as u32;
    let keep = |from: u32, to: &str| (Column { name: to.into(), ..table.columns[from as usize].clone() }, Some(from));
    let add = |name: &str, data_type, place| (Column { place, ..Column::new(name, data_type) }, None);
    let plan = |outputs: Vec<(Column, Option<u32>)>| {
        let (columns, origins) = outputs.into_iter().unzip();
        Plan {
            delivers: Table { name: table.name.clone(), destination: None, columns },
            origins,
            operations: Operations::all(),
            reads: Vec::new(),
            context: Context::empty(),
            filters: true,
        }
    };
    let same = || plan(vec![keep(0, "id")]);
    let named = |name: TableName| Plan { delivers: Table { name, ..same().delivers }, ..same() };
    Some(match lie {
        "unknown-column" => plan(vec![(keep(0, "nowhere").0, Some(width + 7))]),
        "duplicate-names" => plan(vec![keep(0, "same"), keep(0, "same")]),
        "too-few-origins" => Plan { origins: Vec::new(), ..same() },
        "too-many-origins" => Plan { origins: vec![Some(0); 100_000], ..same() },
        "other-type" => plan(vec![(Column::new("id", DataType::Json), Some(0))]),
        "reads-nowhere" => Plan { reads: vec![u32::MAX], ..same() },
        "reads-twice" => Plan { reads: vec![0, 0], ..same() },
        "key-in-header" => plan(vec![(Column { place: Place::Header, ..table.columns[0].clone() }, Some(0))]),
        "destination-is-number" => plan(vec![add("to", DataType::Int64, Place::Destination)]),
        "destination-is-key" => plan(vec![(Column { place: Place::Destination, ..Column::new("to", DataType::Text).key() }, None)]),
        "two-destinations" => plan(vec![add("a", DataType::Text, Place::Destination), add("b", DataType::Text, Place::Destination)]),
        "empty-destination" => Plan { delivers: Table { destination: Some(String::new()), ..same().delivers }, ..same() },
        "destination-with-controls" => Plan { delivers: Table { destination: Some("a\nb".into()), ..same().delivers }, ..same() },
        "nameless" => named(TableName { table: String::new(), ..table.name.clone() }),
        "long-name" => plan(vec![keep(0, &"n".repeat(1 << 20))]),
        "name-with-controls" => plan(vec![keep(0, "a\0b")]),
        "many-columns" => plan((0..9000).map(|i| add(&i.to_string(), DataType::Text, Place::Value)).collect()),
        "unknown-context" => Plan { context: Context::from_bits_retain(0xff), ..same() },
        _ => return None,
    })
}
