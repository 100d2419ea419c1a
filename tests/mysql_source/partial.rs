//! Rows that the server logged in part: `binlog_row_image` MINIMAL, NOBLOB and, where the server has it, FULL_NODUP.

use std::collections::BTreeMap;

use sluicegate_config::RowImage;
use sluicegate_harness::{
    database::{Client, Flavor},
    mariadb, mysql,
};
use sluicegate_model::{
    change::{Batch, Change, NO_IMAGE, Operation},
    limits::Limits,
    splitmix,
};

use crate::capture::{Capture, anew, settings, text};

/// A row: a value, null, or `None` where it is not known.
type Row = Vec<Option<Option<String>>>;

/// The columns of the test's tables, with what an inserted row has that does not name them.
const COLUMNS: [(&str, Option<&str>); 8] = [
    ("id", None),
    ("n", Some("7")),
    ("s", Some("x")),
    ("note", None),
    ("b", None),
    ("d", Some("2001-02-03 04:05:06")),
    ("kept", None),
    ("made", None),
];

/// As the source writes them.
const SELECT: &str = "id, n, s, note, HEX(b), d, kept, made";

fn columns(key: &str) -> String {
    format!(
        "(id int NOT NULL{key}, n int DEFAULT 7, s varchar(40) DEFAULT 'x', note text, b blob, d datetime DEFAULT '2001-02-03 04:05:06' \
         ON UPDATE CURRENT_TIMESTAMP, kept int AS (n + 1) STORED, made int AS (id * 2) VIRTUAL)"
    )
}

/// What was delivered, replayed as a consumer would.
#[derive(Default)]
struct Replay {
    tables: BTreeMap<String, Vec<Row>>,
    absent: usize,
}

impl Replay {
    fn take(&mut self, batch: &Batch) {
        for change in &batch.changes {
            let (before, after) = (image(batch, change, change.before), image(batch, change, change.after));
            let table = &batch.tables[change.table as usize].table.name.table;
            let rows = self.tables.entry(table.clone()).or_default();
            self.absent += [&before, &after].into_iter().flatten().flatten().filter(|cell| cell.is_none()).count();
            let old = before.map(|before| {
                // the first row that has every value that is known
                let fits = |row: &Row| before.iter().zip(row).all(|(known, held)| known.is_none() || known == held);
                let place = rows.iter().position(fits).unwrap_or_else(|| panic!("{table} has no row for {before:?}: {rows:?}"));
                rows.remove(place)
            });
            match (change.operation, old, after) {
                (Operation::Insert, None, Some(after)) => rows.push(with_defaults(after)),
                (Operation::Update, Some(old), Some(after)) => {
                    let mut row: Row = after.into_iter().zip(old).map(|(new, old)| new.or(old)).collect();
                    // MariaDB does not log virtual columns in minimal images: a consumer has to compute them
                    row[7] = with_defaults(Row::clone(&row).into_iter().take(7).chain([None]).collect())[7].clone();
                    rows.push(row);
                }
                (Operation::Delete, Some(_), None) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The rows of a table, in an order that can be compared.
    fn rows(&self, table: &str) -> Vec<Vec<Option<String>>> {
        let rows = self.tables.get(table).into_iter().flatten();
        let mut rows: Vec<Vec<_>> = rows.map(|row| row.iter().map(|cell| cell.clone().expect("known")).collect()).collect();
        rows.sort();
        rows
    }
}

fn image(batch: &Batch, change: &Change, row: u32) -> Option<Row> {
    let columns = &batch.tables[change.table as usize].columns;
    (row != NO_IMAGE).then(|| columns.iter().map(|c| (!c.is_absent(row as usize)).then(|| text(c, row as usize))).collect())
}

/// What an inserted row lacks has its default; a consumer with the table's definition knows it.
fn with_defaults(row: Row) -> Row {
    let number = |cell: &Option<Option<String>>| cell.clone().flatten().and_then(|text| text.parse::<i64>().ok());
    let mut row: Row = row.into_iter().zip(COLUMNS).map(|(cell, (_, default))| cell.or(Some(default.map(str::to_owned)))).collect();
    row[6] = Some(number(&row[1]).map(|n| (n + 1).to_string()));
    row[7] = Some(number(&row[0]).map(|n| (n * 2).to_string()));
    row
}

fn below(random: &mut u64, end: u64) -> u64 {
    splitmix::next(random) % end
}

/// Changes tables at random.
fn change_at_random(client: &mut Client, database: &str, tables: &[&str], replaces: bool, random: &mut u64) {
    for _ in 0..250 {
        let table = format!("{database}.{}", tables[below(random, tables.len() as u64) as usize]);
        let id = below(random, 12);
        let mut set = |column: &str| {
            let value = below(random, 100);
            match (column, value % 4) {
                ("n" | "s" | "note" | "b", 0) => format!("{column} = NULL"),
                ("n", _) => format!("n = {value}"),
                (column, _) => {
                    format!("{column} = '{}'", "ab".repeat(value as usize)[..value as usize % 20].to_owned() + &value.to_string())
                }
            }
        };
        let all = ["n", "s", "note", "b"].map(&mut set);
        let some: Vec<&str> = all.iter().filter(|_| below(random, 2) == 0).map(String::as_str).collect();
        let list = if some.is_empty() { "n = n".to_owned() } else { some.join(", ") };
        // MariaDB logs a REPLACE as an update that lacks the columns which it sets back to their defaults: its replicas go wrong, too
        let first = if replaces { 0 } else { 1 };
        client.sql(&match first + below(random, 8 - first) {
            0 => format!("REPLACE INTO {table} SET id = {id}, {list}"),
            1 | 2 => format!("INSERT IGNORE INTO {table} SET id = {id}, {list}"),
            3 => format!("INSERT INTO {table} SET id = {id}, {list} ON DUPLICATE KEY UPDATE {list}"),
            4 => format!("UPDATE IGNORE {table} SET id = id + 20, {list} WHERE id = {id}"),
            5 => format!("DELETE FROM {table} WHERE id IN ({id}, {})", id + 20),
            6 => format!("UPDATE {table} SET {list} WHERE id > {id}"),
            _ => format!("UPDATE {table} SET {list} WHERE id = {id}"),
        });
    }
}

#[test]
fn rows_logged_in_part_replay_to_what_the_server_selects() {
    let mut random = 7;
    for server in [mariadb::shared(), mysql::shared()] {
        for row_image in ["MINIMAL", "NOBLOB", "FULL_NODUP"] {
            let mut client = server.client();
            if client.try_sql(&format!("SET SESSION binlog_row_image = {row_image}")).is_err() {
                assert_eq!(row_image, "FULL_NODUP", "every server has the others");
                continue;
            }
            let database = server.database("partial");
            client.sql(&format!(
                "CREATE TABLE {database}.keyed {}; CREATE TABLE {database}.keyless {}; CREATE TABLE {database}.uniq {};
                 CREATE TABLE {database}.triggered {}; CREATE TABLE {database}.last (id int PRIMARY KEY);
                 CREATE TRIGGER {database}.touch BEFORE UPDATE ON {database}.triggered FOR EACH ROW SET NEW.s = CONCAT('t', NEW.n)",
                columns(" PRIMARY KEY"),
                columns(""),
                columns(" UNIQUE"),
                columns(" PRIMARY KEY"),
            ));
            let mut settings = settings(&server, &database);
            // FULL_NODUP leaves nothing out that is not known
            settings.row_image = if row_image == "FULL_NODUP" { RowImage::Full } else { RowImage::Partial };
            let mut capture = Capture::start(settings, anew(), Limits { batch_changes: 50, ..Limits::default() });
            let tables = ["keyed", "keyless", "uniq", "triggered"];
            let replaces = server.flavor() == Flavor::MySql || row_image == "FULL_NODUP";
            change_at_random(&mut client, &database, &tables, replaces, &mut random);
            client.sql(&format!("INSERT INTO {database}.last VALUES (1)"));
            let mut replay = Replay::default();
            loop {
                let batch = capture.next().expect("the source runs");
                let ends = batch.tables.iter().any(|rows| rows.table.name.table == "last");
                let rows = batch.changes.iter().filter(|change| batch.tables[change.table as usize].table.name.table != "last");
                replay.take(&Batch { changes: rows.copied().collect(), ..batch.clone() });
                if ends {
                    break;
                }
            }
            capture.stop();
            assert_eq!(replay.absent > 0, row_image != "FULL_NODUP", "{row_image}");
            for table in tables {
                let mut expected = client.query(&format!("SELECT {SELECT} FROM {database}.{table}"));
                expected.sort();
                assert_eq!(replay.rows(table), expected, "{:?} {row_image} {table}", server.flavor());
            }
        }
    }
}
