//! The tables that the server has today, for a check: names with one query, columns with one for each database.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use mysql_async::{Conn, prelude::Queryable};

use super::{
    catalogue::Catalogue,
    connection::Connector,
    precheck::{Faults, variable},
    schema::CatalogueColumn,
};
use sluicegate_model::{
    Result,
    change::{ColumnInfo, Place, Table, TableName},
    finding::listed,
    limits::CHECK_NAMES,
};
use sluicegate_source::Inventory;

/// Tables of a database whose columns are asked for one by one. For more of them all tables of the database are asked for at once: a
/// list of names is compared without regard to case and accents, and MariaDB takes names that differ in these only for one.
const ASKED: usize = 16;

/// The server's own databases are left out unless they are captured.
const NAMES: &str = "SELECT table_schema, table_name, table_type FROM information_schema.tables \
    WHERE table_schema NOT IN ('information_schema', 'performance_schema', 'sys') ORDER BY 1, 2";

/// Reads what there is, with the columns of at most so many captured tables.
pub(super) async fn read(connector: &Connector, mut catalogue: Catalogue, most: usize) -> Result<Inventory> {
    let mut conn = connector.connect().await?;
    let server = connector.identify(&mut conn).await?;
    catalogue.fit(&server);
    let mut inventory = Inventory { ignores_case: server.ignores_case, ..Inventory::default() };
    let mut captured: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    let rows: Vec<(String, String, String)> = connector.within_catalogue(conn.query(NAMES)).await?;
    for (database, table, kind) in rows {
        let name = TableName::new(database, table);
        let is_table = matches!(kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED");
        match (is_table, catalogue.captures(&name)) {
            (true, true) if count >= most => inventory.more += 1,
            (true, true) => {
                count += 1;
                captured.entry(name.database.clone()).or_default().push(name.table.clone());
            }
            (false, true) => inventory.no_tables.push(name.clone()),
            (true, false) if catalogue.captured().leaves_out(&name) => inventory.helpers.push(name.clone()),
            _ => {}
        }
        if is_table {
            inventory.seen.push(name);
        }
    }
    for (database, tables) in captured {
        let (tables, collations) = columns(connector, &mut conn, &database, &tables).await?;
        inventory.captured.extend(tables);
        inventory.collations.extend(collations);
    }
    inventory.captured.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(inventory)
}

/// Columns of text with their collations, by table.
type Collations = BTreeMap<TableName, Vec<(String, String)>>;

/// Whether texts are the same under a collation only if they are so byte by byte.
fn is_exact(collation: &str) -> bool {
    collation == "binary" || collation.ends_with("_nopad_bin") || collation.ends_with("_0900_bin")
}

/// Some tables of a database, with their columns.
async fn columns(connector: &Connector, conn: &mut Conn, database: &str, tables: &[String]) -> Result<(Vec<Arc<Table>>, Collations)> {
    let query = "SELECT table_name, column_name, data_type, column_type, character_set_name, \
         CONCAT(is_nullable, '/', COALESCE(generation_expression, '') = 'ROW END', '/', column_key, '/', COALESCE(collation_name, 'binary')) \
         FROM information_schema.columns WHERE table_schema = ?";
    type Row = (String, String, String, String, Option<String>, String);
    let wanted: HashSet<&str> = tables.iter().map(String::as_str).collect();
    let mut rows: Vec<Row> = Vec::new();
    if tables.len() > ASKED {
        let query = format!("{query} ORDER BY table_name, ordinal_position");
        // of tables that are not wanted nothing is kept
        let reading = async {
            let mut result = conn.exec_iter(query, (database,)).await?;
            while let Some(row) = result.next().await? {
                let row: Row =
                    mysql_async::from_row_opt(row).map_err(|_| mysql_async::Error::Other("a column that cannot be read".into()))?;
                if wanted.contains(row.0.as_str()) {
                    rows.push(row);
                }
            }
            Ok(())
        };
        connector.within_catalogue(reading).await?;
    } else {
        let query = format!("{query} AND table_name = ? ORDER BY ordinal_position");
        for table in tables {
            rows.extend(connector.within("query", conn.exec::<Row, _, _>(&query, (database, table))).await?);
        }
    }
    let mut found: BTreeMap<String, Vec<ColumnInfo>> = BTreeMap::new();
    let mut collations = Collations::new();
    for (table, name, data_type, column_type, charset, nullable) in rows.into_iter().filter(|row| wanted.contains(row.0.as_str())) {
        // the server itself adds the end of versioned rows to the key
        let mut parts = nullable.split('/');
        let (nullable, row_end) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // without a primary key, the server logs the first unique one that holds no NULL as the key, and calls its columns so, too
        let key = parts.next() == Some("PRI");
        if let Some(collation) = parts.next().filter(|collation| !is_exact(collation)) {
            collations.entry(TableName::new(database, table.clone())).or_default().push((name.clone(), collation.to_owned()));
        }
        let primary_key = row_end != "1" && key;
        let nullable = nullable == "YES";
        let column = CatalogueColumn { name, data_type, column_type, charset, key: String::new(), nullable: Some(nullable), bytes: None };
        found.entry(table).or_default().push(ColumnInfo {
            data_type: column.value_type(),
            native_type: column.native_type(),
            nullable,
            primary_key,
            place: Place::Value,
            name: column.name,
        });
    }
    let table = |(table, columns)| Arc::new(Table { name: TableName::new(database, table), destination: None, columns });
    Ok((found.into_iter().map(table).collect(), collations))
}

/// Captured tables whose rows change with those of another table, which no server logs: the storage engine does it by itself.
pub(super) async fn cascades(connector: &Connector, conn: &mut Conn, catalogue: &Catalogue, faults: &mut Faults) -> Result<()> {
    let query = "SELECT constraint_schema, table_name, constraint_name, delete_rule, update_rule FROM information_schema.referential_constraints \
        WHERE delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') ORDER BY 1, 2, 3";
    let rows: Vec<(String, String, String, String, String)> = connector.within_catalogue(conn.query(query)).await?;
    let mut found: Vec<String> = rows
        .into_iter()
        .map(|(database, table, constraint, ..)| (TableName::new(database, table), constraint))
        .filter(|(name, _)| catalogue.captures(name))
        .map(|(name, constraint)| format!("{name} ({constraint})"))
        .collect();
    found.dedup();
    // MySQL 9.6 and later do what a foreign key asks for above the storage engine, and log it, unless they are told not to
    let logged = variable(connector, conn, "innodb_native_foreign_keys").await?.is_some_and(|native| native == "OFF");
    if found.is_empty() {
        faults.pass("no captured table has a foreign key that changes its rows");
    } else if logged {
        faults.pass(format!(
            "what foreign keys change is logged, and delivered, of {}",
            listed(found.iter().map(String::as_str), CHECK_NAMES)
        ));
    } else {
        faults.warn(
            format!(
                "foreign keys change rows of captured tables (ON DELETE or ON UPDATE CASCADE, SET NULL), and the server does not log that: {}",
                listed(found.iter().map(String::as_str), CHECK_NAMES)
            ),
            "delete and update the rows of these tables in statements of their own, and make the foreign keys ON DELETE RESTRICT ON UPDATE RESTRICT",
        );
    }
    Ok(())
}
