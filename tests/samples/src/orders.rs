//! Small batches of a shop's orders, for the tests of the sinks.

use std::sync::Arc;

use sluicegate_model::change::{
    Batch, Change, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Table, TableName, TableRows,
    Transaction, Values,
};

/// `shop.orders (id bigint primary key, note text)`.
pub fn orders() -> Arc<Table> {
    let column = |name: &str, data_type, primary_key: bool| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: !primary_key,
        primary_key,
        place: Place::Value,
    };
    Arc::new(Table {
        name: TableName::new("shop", "orders"),
        destination: None,
        columns: vec![column("id", DataType::Int64, true), column("note", DataType::Text, false)],
    })
}

/// A batch with this number, in which nothing has happened yet.
pub fn batch(number: u64) -> Batch {
    let mut batch = Batch::empty(number, Lane::new("binlog"), Offset::from_json("{}"));
    batch.tables.push(TableRows::new(orders()));
    batch.events.push(Event { position: 4, time_us: 1_700_000_000_000_000, server_id: 1, ..Event::default() });
    batch.transactions.push(Transaction { id: None, file: "binlog.000001".into(), position: 4, complete: false });
    batch
}

/// Inserts of orders with these ids, each with its note.
pub fn inserts(number: u64, ids: impl IntoIterator<Item = i64>, note: &str) -> Batch {
    let mut batch = batch(number);
    for id in ids {
        let after = row(&mut batch, id, note, Image::After);
        push(&mut batch, Operation::Insert, NO_IMAGE, after);
    }
    batch
}

/// Adds a row image; answers its number.
pub fn row(batch: &mut Batch, id: i64, note: &str, image: Image) -> u32 {
    let rows = &mut batch.tables[0];
    rows.images.push(image as u8);
    match &mut rows.columns[0].values {
        Values::Int64(v) => v.push(id),
        _ => unreachable!(),
    }
    match &mut rows.columns[1].values {
        Values::Text(v) => v.push(note.as_bytes()),
        _ => unreachable!(),
    }
    rows.len() as u32 - 1
}

/// Adds a change of the first table.
pub fn push(batch: &mut Batch, operation: Operation, before: u32, after: u32) {
    batch.changes.push(Change { table: 0, before, after, operation, event: 0, row: batch.taken });
    batch.taken += 1;
}

/// Inserts of orders into a table whose rows choose their destinations: id and destination of each.
pub fn routed<'a>(number: u64, rows: impl IntoIterator<Item = (i64, Option<&'a str>)>) -> Batch {
    let mut table = Table::clone(&orders());
    table.columns[1].place = Place::Destination;
    let mut batch = batch(number);
    batch.tables[0].table = Arc::new(table);
    for (id, destination) in rows {
        let after = routed_row(&mut batch, id, destination, Image::After);
        push(&mut batch, Operation::Insert, NO_IMAGE, after);
    }
    batch
}

/// Adds a row image to such a batch; answers its number.
pub fn routed_row(batch: &mut Batch, id: i64, destination: Option<&str>, image: Image) -> u32 {
    let number = row(batch, id, destination.unwrap_or_default(), image);
    if destination.is_none() {
        batch.tables[0].columns[1].nulls.set(number as usize);
    }
    number
}
