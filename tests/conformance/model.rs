//! What the conformance plugin has to answer: see `tests/guests/conformance/README.md`.

use sluicegate_model::change::{Batch, ColumnInfo, DataType, NO_IMAGE, NativeType, Operation, Place, Table};

use crate::rows::Cell;

/// The plugin's configuration.
pub struct Config {
    pub suffix: &'static str,
    pub lanes: i64,
}

/// A delivered change: its row in the log, what it is, and its images.
#[derive(Debug, PartialEq)]
pub struct Delivered {
    pub row: u32,
    pub operation: Operation,
    pub before: Option<Vec<Cell>>,
    pub after: Option<Vec<Cell>>,
}

fn copied(table: &Table) -> impl Iterator<Item = (usize, &ColumnInfo)> {
    table.columns.iter().enumerate().filter(|(_, c)| c.name.starts_with("c_") || c.name.starts_with("v_"))
}

/// The table as it is delivered.
pub fn table(input: &Table) -> Table {
    let mut columns: Vec<ColumnInfo> = input.columns.iter().filter(|c| c.name != "gone").cloned().collect();
    for column in &mut columns {
        column.primary_key = column.name == "rule";
        if column.name == "old_name" {
            column.name = "new_name".into();
        }
    }
    let computed = |name: &str, data_type, place| ColumnInfo {
        name: name.into(),
        data_type,
        native_type: NativeType::default(),
        nullable: true,
        primary_key: false,
        place,
    };
    columns.extend(copied(input).map(|(_, c)| computed(&format!("copy_of_{}", c.name), c.data_type, Place::Value)));
    columns.push(computed("context", DataType::Text, Place::Value));
    columns.push(computed("origin", DataType::Text, Place::Header));
    let id = input.columns[0].clone();
    columns.push(ColumnInfo { name: "source_id".into(), primary_key: false, place: Place::Header, ..id });
    columns.push(computed("destination", DataType::Text, Place::Destination));
    Table { destination: Some("elsewhere".into()), columns, ..input.clone() }
}

fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::Snapshot => "snapshot",
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

/// The changes that stay, as they are delivered.
pub fn changes(batch: &Batch, config: &Config) -> Vec<Delivered> {
    let rows = &batch.tables[0];
    let place = |name: &str| rows.table.columns.iter().position(|c| c.name == name).expect("a column");
    let (id, rule, rewritten) = (place("id"), place("rule"), place("rewritten"));
    let cell = |column: usize, row: u32| Cell::of(&rows.columns[column], row as usize);
    let id_of = |row: u32| match cell(id, row) {
        Cell::Int(id) => id,
        _ => unreachable!("ids are integers"),
    };
    let delivered_row = |row: u32, other: u32, operation: Operation, time: i64| {
        let mut cells = Vec::new();
        for (i, column) in rows.table.columns.iter().enumerate().filter(|(_, c)| c.name != "gone") {
            cells.push(match cell(i, row) {
                Cell::Bytes(mut text) if i == rewritten && cell(rule, row) != Cell::text("keep") => {
                    assert_eq!(column.name, "rewritten");
                    text.extend_from_slice(config.suffix.as_bytes());
                    Cell::Bytes(text)
                }
                other => other,
            });
        }
        cells.extend(copied(&rows.table).map(|(i, _)| cell(i, row)));
        let after = rows.images[row as usize] == 1;
        let image = if after { "after" } else { "before" };
        let partner = if other == NO_IMAGE { "none".to_owned() } else { id_of(other).to_string() };
        cells.push(Cell::text(&format!("{image} {} {time} {partner}", name_of(operation))));
        cells.push(if after { Cell::text(name_of(operation)) } else { Cell::Null });
        cells.push(cell(id, row));
        let lane = id_of(row) % config.lanes;
        cells.push(if lane == 0 { Cell::Null } else { Cell::text(&format!("lane-{lane}")) });
        cells
    };
    let mut delivered = Vec::new();
    for change in &batch.changes {
        let is = |row: u32, wanted: &str| row != NO_IMAGE && cell(rule, row) == Cell::text(wanted);
        if is(change.before, "reject") || is(change.after, "reject") {
            continue;
        }
        let time = batch.events[change.event as usize].time_us;
        let image = |row: u32, other: u32| (row != NO_IMAGE && !is(row, "drop")).then(|| delivered_row(row, other, change.operation, time));
        let (before, after) = (image(change.before, change.after), image(change.after, change.before));
        let operation = match (change.operation, &before, &after) {
            (_, None, None) => continue,
            (Operation::Update, None, Some(_)) => Operation::Insert,
            (Operation::Update, Some(_), None) => Operation::Delete,
            (operation, ..) => operation,
        };
        delivered.push(Delivered { row: change.row, operation, before, after });
    }
    delivered
}

/// A delivered batch in the same form.
pub fn delivered(batch: &Batch) -> Vec<Delivered> {
    let rows = &batch.tables[0];
    let image = |row: u32| (row != NO_IMAGE).then(|| rows.columns.iter().map(|c| Cell::of(c, row as usize)).collect());
    let change = |c: &sluicegate_model::change::Change| Delivered {
        row: c.row,
        operation: c.operation,
        before: image(c.before),
        after: image(c.after),
    };
    batch.changes.iter().map(change).collect()
}
