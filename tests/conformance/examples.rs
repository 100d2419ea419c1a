//! The example plugin does the same in every language.

use std::sync::Arc;

use sluicegate_config::OnError;
use sluicegate_guest_builder::Language;
use sluicegate_model::change::{
    Batch, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Table, TableName,
    TableRows, Transaction, Values,
};

fn customers(columns: &[(&str, DataType)]) -> Arc<Table> {
    let column = |(name, data_type): &(&str, DataType)| ColumnInfo {
        name: (*name).into(),
        data_type: *data_type,
        native_type: NativeType::default(),
        nullable: true,
        primary_key: *name == "id",
        place: Place::Value,
    };
    Arc::new(Table { name: TableName::new("shop", "customers"), destination: None, columns: columns.iter().map(column).collect() })
}

/// Inserts of these addresses; every other column holds the row's number.
fn inserts(table: &Arc<Table>, emails: &[Option<&str>]) -> Batch {
    let mut rows = TableRows::new(table.clone());
    for (i, email) in emails.iter().enumerate() {
        for (info, column) in table.columns.iter().zip(&mut rows.columns) {
            let number = i.to_string();
            let text = if info.name == "email" { *email } else { Some(number.as_str()) };
            match (text, &mut column.values) {
                (Some(_), Values::Int64(column)) => column.push(i as i64),
                (Some(text), Values::Text(column)) => column.push(text.as_bytes()),
                _ => column.push_null(),
            }
        }
        rows.images.push(Image::After as u8);
    }
    let change = |i| Change { table: 0, before: NO_IMAGE, after: i, operation: Operation::Insert, event: 0, row: i };
    Batch {
        taken: emails.len() as u32,
        tables: vec![rows],
        changes: (0..emails.len() as u32).map(change).collect(),
        events: vec![Event { position: 4, time_us: 0, server_id: 1, ..Event::default() }],
        transactions: vec![Transaction { file: "binlog.000001".into(), ..Transaction::default() }],
        ..Batch::empty(0, Lane::new("rows"), Offset::from_json("{}"))
    }
}

fn text(column: &Column, row: u32) -> Option<String> {
    let Values::Text(texts) = &column.values else { panic!("a text column") };
    (!column.nulls.get(row as usize)).then(|| String::from_utf8_lossy(texts.get(row as usize)).into_owned())
}

fn masks(language: Language) {
    let component = language.example().unwrap_or_else(|error| panic!("{error}"));
    let compiled = crate::engine().compile(&component, &crate::limits()).unwrap_or_else(|e| panic!("{}", e.chain()));
    let mut plugin = crate::chain(&compiled, "null", OnError::Stop).unwrap_or_else(|e| panic!("{}", e.chain()));
    let description = plugin.descriptions().next().expect("a plugin").clone();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("mask-email", "1.0.0"));
    assert_eq!(description.summary, "masks e-mail addresses, drops test accounts");

    // a table with a phone only gets its new name
    let phones = customers(&[("id", DataType::Int64), ("phone", DataType::Text)]);
    assert_eq!(plugin.delivered(&phones).expect("a plan").columns[1].name, "telephone");

    let table = customers(&[("id", DataType::Int64), ("email", DataType::Text), ("phone", DataType::Text)]);
    let emails = ["ada@example.org", "x@test.invalid", "nobody", "ü😀@bücher.example", "a@b@c.example", "", "test.invalid"];
    let emails: Vec<_> = emails.into_iter().map(Some).chain([None, Some("y@test.invalid"), Some("z@not-test.invalid")]).collect();
    let delivered = plugin.apply(inserts(&table, &emails)).unwrap_or_else(|e| panic!("{}", e.chain()));
    delivered.validate().expect("a sound batch");
    let rows = &delivered.tables[0];
    let names: Vec<_> = rows.table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "email", "telephone"]);
    let found: Vec<_> =
        delivered.changes.iter().map(|c| (text(&rows.columns[1], c.after), text(&rows.columns[2], c.after).expect("a number"))).collect();
    let expected = [
        (Some("***@example.org"), "0"),
        (Some("nobody"), "2"),
        (Some("***@bücher.example"), "3"),
        (Some("***@c.example"), "4"),
        (Some(""), "5"),
        (Some("test.invalid"), "6"),
        (None, "7"),
        (Some("***@not-test.invalid"), "9"),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(email, number)| (email.map(str::to_owned), number.to_owned())).collect();
    assert_eq!(found, expected);

    // one with neither column is left alone
    let orders = customers(&[("id", DataType::Int64)]);
    assert_eq!(*plugin.delivered(&orders).expect("a plan"), *orders);
}

#[test]
fn rust_masks() {
    masks(Language::Rust);
}

#[test]
fn c_masks() {
    masks(Language::C);
}

#[test]
fn javascript_masks() {
    masks(Language::JavaScript);
}

#[test]
fn python_masks() {
    masks(Language::Python);
}

#[test]
fn assemblyscript_masks() {
    masks(Language::AssemblyScript);
}

#[test]
fn go_masks() {
    masks(Language::Go);
}
