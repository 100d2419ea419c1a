//! A shop that keeps changing, and a journal of every committed change in the order in which it was made.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::{Map, Value, json};
use sluicegate_harness::database::Client;

use crate::random::Random;

/// A row as the flat format writes it, before any plugin: column names and values.
pub type Row = Map<String, Value>;

/// The captured tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Customers,
    Orders,
    Lines,
}

impl Table {
    pub const ALL: [Self; 3] = [Self::Customers, Self::Orders, Self::Lines];

    pub fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::Orders => "orders",
            Self::Lines => "order_lines",
        }
    }
}

/// One committed change of one row.
#[derive(Clone, Debug)]
pub struct Change {
    pub table: Table,
    pub before: Option<Row>,
    pub after: Option<Row>,
}

/// Primary key: the order's or customer's number, and the line's.
type Key = (u64, u64);

/// The shop as its only writer knows it.
pub struct Shop {
    database: String,
    random: Random,
    client: Client,
    tables: BTreeMap<Table, BTreeMap<Key, Row>>,
    journal: Vec<Change>,
    next_customer: u64,
    next_order: u64,
    revision: u64,
}

/// The number of the customer that [`Shop::close`] makes last.
pub const LAST_CUSTOMER: u64 = 4_000_000_000;

impl Shop {
    pub fn new(mut client: Client, database: &str, seed: u64) -> Self {
        client.sql(&format!(
            "USE {database};
             CREATE TABLE customers (id INT UNSIGNED PRIMARY KEY, name VARCHAR(60) NOT NULL, email VARCHAR(80), revision BIGINT NOT NULL);
             CREATE TABLE orders (id BIGINT PRIMARY KEY, customer_id INT UNSIGNED NOT NULL, status ENUM('new','paid','sent','test') NOT NULL,
               total DECIMAL(12,2) NOT NULL, placed_at DATETIME(6) NOT NULL, note TEXT, revision BIGINT NOT NULL);
             CREATE TABLE order_lines (order_id BIGINT, line INT, sku VARCHAR(20) NOT NULL, quantity MEDIUMINT NOT NULL, revision BIGINT NOT NULL,
               PRIMARY KEY (order_id, line));
             CREATE TABLE noise (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(200))"
        ));
        let tables = Table::ALL.into_iter().map(|table| (table, BTreeMap::new())).collect();
        Self {
            database: database.to_owned(),
            random: Random::new(seed),
            client,
            tables,
            journal: Vec::new(),
            next_customer: 1,
            next_order: 1,
            revision: 0,
        }
    }

    /// Trades until told to stop, one transaction after the other.
    pub fn trade(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.transaction();
        }
    }

    /// One last insert, to know the end by.
    pub fn close(&mut self) {
        let mut sql = String::new();
        self.insert(&mut sql, Table::Customers, vec![((LAST_CUSTOMER, 0), self.customer(LAST_CUSTOMER, "last@example.com"))]);
        self.client.sql(&sql);
    }

    /// Every committed change.
    pub fn journal(&self) -> &[Change] {
        &self.journal
    }

    /// Proves that the journal tells what the database holds.
    pub fn compare_with_database(&mut self) {
        for table in Table::ALL {
            let rows = self.client.query(&format!("SELECT * FROM {}.{} ORDER BY 1, 2", self.database, table.name()));
            let expected: Vec<Vec<Option<String>>> = self.tables[&table].values().map(|row| row.values().map(text).collect()).collect();
            assert_eq!(rows.len(), expected.len(), "rows of {}", table.name());
            assert!(rows == expected, "the journal does not tell what {} holds", table.name());
        }
    }

    /// Some statements, committed or rolled back.
    pub fn transaction(&mut self) {
        let begin = self.journal.len();
        let mut sql = String::from("BEGIN;");
        let statements = if self.random.once_in(50) { 40 } else { 1 + self.random.below(4) };
        for _ in 0..statements {
            match self.random.below(10) {
                0 | 1 => self.new_customers(&mut sql),
                2 => self.change_customer(&mut sql),
                3..=5 => self.new_order(&mut sql),
                6 | 7 => self.change_order(&mut sql),
                8 => self.touch_orders(&mut sql),
                _ => self.delete_order(&mut sql),
            }
        }
        if self.random.once_in(15) {
            sql.push_str("ROLLBACK");
            self.undo(begin);
        } else {
            sql.push_str("COMMIT");
        }
        self.client.sql(&sql);
        // a shop with a few hundred changes a second, not a flood: this one waits in the database
        self.client.sql("DO SLEEP(0.004)");
    }

    /// Takes back what the journal says from `begin` on.
    fn undo(&mut self, begin: usize) {
        for change in self.journal.split_off(begin).into_iter().rev() {
            let rows = self.tables.get_mut(&change.table).unwrap();
            match (change.before, change.after) {
                (Some(before), _) => rows.insert(key(change.table, &before), before),
                (None, Some(after)) => rows.remove(&key(change.table, &after)),
                (None, None) => unreachable!("a change has an image"),
            };
        }
    }

    fn new_customers(&mut self, sql: &mut String) {
        let rows = (0..1 + self.random.below(3))
            .map(|_| {
                let id = self.next_customer;
                self.next_customer += 1;
                let email = format!("käufer{}@example.com", self.random.below(1000));
                ((id, 0), self.customer(id, &email))
            })
            .collect();
        self.insert(sql, Table::Customers, rows);
    }

    fn customer(&self, id: u64, email: &str) -> Row {
        let Value::Object(row) = json!({"id": id, "name": format!("O\u{2019}Hara \"{id}\" \u{1f300}"), "email": email, "revision": 0})
        else {
            unreachable!("an object")
        };
        row
    }

    fn change_customer(&mut self, sql: &mut String) {
        let Some(at) = self.pick(Table::Customers) else { return };
        let email = if self.random.once_in(5) { Value::Null } else { json!(format!("neu{}@example.org", self.random.below(1000))) };
        self.update(sql, Table::Customers, &[at], |row| row["email"] = email.clone());
    }

    fn new_order(&mut self, sql: &mut String) {
        let Some((customer, _)) = self.pick(Table::Customers) else { return self.new_customers(sql) };
        let id = self.next_order;
        self.next_order += 1;
        let note = if self.random.once_in(2) { Value::Null } else { json!(format!("line one\nline two of {id}")) };
        let Value::Object(order) = json!({
            "id": id, "customer_id": customer, "status": self.status(), "total": self.total(),
            "placed_at": format!("2024-02-29 13:{:02}:{:02}.{:06}", id % 60, id / 60 % 60, id), "note": note, "revision": 0,
        }) else {
            unreachable!("an object")
        };
        self.insert(sql, Table::Orders, vec![((id, 0), order)]);
        let lines = if self.random.once_in(40) { 400 } else { 1 + self.random.below(4) };
        let rows = (1..=lines)
            .map(|line| {
                let quantity = 3 - self.random.below(6).cast_signed();
                let Value::Object(row) =
                    json!({"order_id": id, "line": line, "sku": format!("SKU-{}", line * 7), "quantity": quantity, "revision": 0})
                else {
                    unreachable!("an object")
                };
                ((id, line), row)
            })
            .collect();
        self.insert(sql, Table::Lines, rows);
    }

    fn status(&mut self) -> &'static str {
        ["new", "paid", "sent", "test"][self.random.below(4) as usize]
    }

    fn total(&mut self) -> String {
        // around the filter's bound of 10
        format!("{}.{:02}", self.random.below(30), self.random.below(100))
    }

    fn change_order(&mut self, sql: &mut String) {
        let Some(at) = self.pick(Table::Orders) else { return };
        let (status, total) = (json!(self.status()), json!(self.total()));
        self.update(sql, Table::Orders, &[at], |row| {
            row["status"] = status.clone();
            row["total"] = total.clone();
        });
    }

    /// One statement that updates many rows.
    fn touch_orders(&mut self, sql: &mut String) {
        let Some(first) = self.pick(Table::Orders) else { return };
        let orders: Vec<Key> = self.tables[&Table::Orders].range(first..).take(30).map(|(key, _)| *key).collect();
        self.update(sql, Table::Orders, &orders, |_| {});
    }

    fn delete_order(&mut self, sql: &mut String) {
        let Some(order) = self.pick(Table::Orders) else { return };
        let lines: Vec<Key> = self.tables[&Table::Lines].range((order.0, 0)..(order.0 + 1, 0)).map(|(key, _)| *key).collect();
        for (table, column, keys) in [(Table::Lines, "order_id", lines), (Table::Orders, "id", vec![order])] {
            sql.push_str(&format!("DELETE FROM {}.{} WHERE {column} = {};", self.database, table.name(), order.0));
            for key in keys {
                let before = self.tables.get_mut(&table).unwrap().remove(&key).unwrap();
                self.journal.push(Change { table, before: Some(before), after: None });
            }
        }
    }

    /// A row's key, or none of an empty table.
    fn pick(&mut self, table: Table) -> Option<Key> {
        let rows = &self.tables[&table];
        let (first, last) = (rows.first_key_value()?.0.0, rows.last_key_value()?.0.0);
        // most changes concern newer rows
        let from = if self.random.once_in(3) { first } else { first.max(last.saturating_sub(50)) };
        let start = from + self.random.below(last - from + 1);
        rows.range((start, 0)..).next().map(|(key, _)| *key)
    }

    fn insert(&mut self, sql: &mut String, table: Table, rows: Vec<(Key, Row)>) {
        let values: Vec<String> =
            rows.iter().map(|(_, row)| format!("({})", row.values().map(literal).collect::<Vec<_>>().join(","))).collect();
        sql.push_str(&format!("INSERT INTO {}.{} VALUES {};", self.database, table.name(), values.join(",")));
        for (key, row) in rows {
            self.tables.get_mut(&table).unwrap().insert(key, row.clone());
            self.journal.push(Change { table, before: None, after: Some(row) });
        }
    }

    /// Updates these rows, which follow each other in key order, in one statement. Each gets a new revision, so that it does change.
    fn update(&mut self, sql: &mut String, table: Table, keys: &[Key], change: impl Fn(&mut Row)) {
        self.revision += 1;
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return };
        let mut assignments = format!("revision = {}", self.revision);
        for (i, key) in keys.iter().enumerate() {
            let row = self.tables.get_mut(&table).unwrap().get_mut(key).unwrap();
            let before = row.clone();
            change(row);
            row["revision"] = json!(self.revision);
            if i == 0 {
                for (column, value) in row.iter().filter(|(column, value)| before[*column] != **value && *column != "revision") {
                    assignments.push_str(&format!(", {column} = {}", literal(value)));
                }
            }
            self.journal.push(Change { table, before: Some(before), after: Some(row.clone()) });
        }
        sql.push_str(&format!("UPDATE {}.{} SET {assignments} WHERE id BETWEEN {} AND {};", self.database, table.name(), first.0, last.0));
    }
}

/// A row's primary key.
fn key(table: Table, row: &Row) -> Key {
    let number = |column: &str| row[column].as_u64().unwrap();
    match table {
        Table::Lines => (number("order_id"), number("line")),
        Table::Customers | Table::Orders => (number("id"), 0),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
        other => other.to_string(),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
