//! Making the shapes of the interface by hand: what tests of a plugin do, and plugins that answer whole columns.

use crate::{Column, DataType, Place, Rows, Table, TableName, Vector};

impl Column {
    /// A column of the record that may hold nulls and is not of the key.
    pub fn new(name: &str, data_type: DataType) -> Self {
        Self { name: name.to_string(), data_type, native_type: String::new(), nullable: true, primary_key: false, place: Place::Value }
    }

    /// The same column, of the key and never null.
    #[must_use]
    pub fn key(self) -> Self {
        Self { nullable: false, primary_key: true, ..self }
    }
}

impl Table {
    /// A table of a database without schemas.
    pub fn new(database: &str, table: &str, columns: Vec<Column>) -> Self {
        Self { name: TableName { database: database.to_string(), schema: None, table: table.to_string() }, destination: None, columns }
    }
}

impl Rows {
    /// Rows of which nothing but their columns is known.
    pub fn new(count: u32, columns: Vec<Vector>) -> Self {
        Self { count, columns, images: Vec::new(), operations: Vec::new(), times: Vec::new(), partners: Vec::new() }
    }
}
