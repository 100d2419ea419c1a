//! What the server's catalogue answers about columns.

use std::collections::{HashMap, HashSet};

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    super::{
        connection::Connector,
        labels,
        schema::{CatalogueColumn, Schema},
        statement,
    },
    Schemas, Surroundings,
};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName, limits::SCHEMA_KEYS};

/// The tables and views with a column that the log of MariaDB never tells from BINARY.
pub(super) async fn special_tables(connector: &Connector, conn: &mut Conn) -> Result<Vec<TableName>> {
    let query = "SELECT table_schema, table_name FROM information_schema.columns \
        WHERE (data_type IN ('uuid', 'inet4', 'inet6') OR (data_type = 'binary' AND character_octet_length IN (4, 16))) \
        AND table_schema NOT IN ('sys', 'performance_schema', 'information_schema') ORDER BY 1, 2";
    let rows: Vec<(String, String)> = connector.within_catalogue(conn.query(query)).await?;
    Ok(rows.into_iter().map(|(database, table)| TableName::new(database, table)).collect())
}

/// The tables with a primary key: of one table, or of all.
pub(super) async fn with_primary(connector: &Connector, conn: &mut Conn, table: Option<&TableName>) -> Result<HashSet<TableName>> {
    let query = "SELECT table_schema, table_name FROM information_schema.table_constraints WHERE constraint_type = 'PRIMARY KEY'";
    let rows: Vec<(String, String)> = match table {
        Some(TableName { database, table, .. }) => {
            let query = format!("{query} AND table_schema = ? AND table_name = ?");
            connector.within("query", conn.exec(query, (database, table))).await?
        }
        None => connector.within_catalogue(conn.query(query)).await?,
    };
    Ok(rows.into_iter().map(|(database, table)| TableName::new(database, table)).collect())
}

/// What is asked of each column; the table is `c`.
pub(super) const COLUMNS: &str = "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.column_type, c.character_set_name, \
    IF(COALESCE(c.generation_expression, '') = 'ROW END', 'ROW END', c.column_key), c.is_nullable, c.character_octet_length";

/// A column and its table's name.
pub(super) fn column_of(row: Row) -> Result<(TableName, CatalogueColumn)> {
    type Columns = (String, String, String, String, String, Option<String>, String, String, Option<u64>);
    let unusable = |_| Error::new(ErrorKind::Source, "the server's catalogue gave columns that cannot be read");
    let (database, table, name, data_type, column_type, charset, key, nullable, bytes) =
        mysql_async::from_row_opt::<Columns>(row).map_err(unusable)?;
    // only of these the log holds the length
    let bytes = bytes.filter(|_| matches!(data_type.as_str(), "char" | "varchar" | "binary" | "varbinary"));
    let nullable = Some(nullable == "YES");
    Ok((TableName::new(database, table), CatalogueColumn { name, data_type, column_type, charset, key, nullable, bytes }))
}

impl Schemas {
    /// The columns of every captured table.
    pub(super) async fn every_table(&self, conn: &mut Conn) -> Result<Vec<(TableName, Schema)>> {
        let Surroundings { connector, captured, .. } = &self.around;
        // a join would take names for the same that differ in case or accents only
        let names = "SELECT table_schema, table_name, table_collation FROM information_schema.tables \
            WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') \
            AND table_schema NOT IN ('sys', 'performance_schema', 'information_schema')";
        let rows: Vec<(String, String, Option<String>)> = connector.within_catalogue(conn.query(names)).await?;
        let folded = |name: TableName| if self.folds { statement::lower_case(&name) } else { name };
        let names = rows.into_iter().map(|(database, table, collation)| {
            let charset = collation.map(|collation| charset_of(&collation));
            (folded(TableName::new(database, table)), Schema { charset, ..Schema::default() })
        });
        let mut tables: HashMap<TableName, Schema> = names.filter(|(name, _)| captured.captures(name)).collect();
        let query = format!(
            "{COLUMNS} FROM information_schema.columns c WHERE c.table_schema NOT IN ('sys', 'performance_schema', 'information_schema') ORDER BY 1, 2, c.ordinal_position"
        );
        let reading = async {
            let mut result = conn.query_iter(query).await?;
            while let Some(row) = result.next().await? {
                let (name, column) = column_of(row).map_err(|error| mysql_async::Error::Other(Box::new(error)))?;
                if let Some(schema) = tables.get_mut(&folded(name)) {
                    schema.columns.push(column);
                }
            }
            Ok(())
        };
        connector.within_catalogue(reading).await?;
        let primary = if tables.len() > SCHEMA_KEYS { HashSet::new() } else { with_primary(connector, conn, None).await? };
        for name in primary.into_iter().map(folded) {
            tables.entry(name).and_modify(|schema| schema.primary = true);
        }
        for (name, schema) in &mut tables {
            labels::complete(connector, conn, name, &mut schema.columns).await?;
        }
        // one that was made between the two queries comes with its own schema change
        Ok(tables.into_iter().filter(|(_, schema)| !schema.columns.is_empty()).collect())
    }
}

/// The character set of a collation.
pub(super) fn charset_of(collation: &str) -> String {
    collation.split('_').next().unwrap_or(collation).to_owned()
}
