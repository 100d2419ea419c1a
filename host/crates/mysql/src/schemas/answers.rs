//! What the server's catalogue answers about columns.

use std::collections::HashSet;

use mysql_async::{Conn, Row, prelude::Queryable};

use super::super::{connection::Connector, schema::CatalogueColumn};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName};

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

/// The character set of a collation.
pub(super) fn charset_of(collation: &str) -> String {
    collation.split('_').next().unwrap_or(collation).to_owned()
}
