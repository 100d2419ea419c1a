//! Versions of tables: from table maps to plans, each made once and found again by the same bytes. Where a table map does not
//! hold names and types in full, the server's catalogue fills in, and has to agree with it.

use std::{collections::HashMap, sync::Arc};

use mysql_async::{Conn, prelude::Queryable};

use super::{
    charset::Charset,
    column_type as ct,
    connection::{Connector, Server},
    decoder::Special,
    native,
    plan::{self, Description, Plan},
    position::Flavour,
    table_map::{self, ColumnMap, Head, TableMap},
};
use sluicegate_config::TablePatterns;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, NativeType, Place, Table, TableName},
};

/// What a table id stands for.
#[derive(Clone, Debug)]
pub enum Known {
    /// Not captured: its rows are passed over unread.
    PassedOver,
    /// Captured.
    Captured(Arc<Plan>),
}

#[derive(Debug)]
struct Version {
    known: Known,
    /// Whether the server's catalogue was asked, so that a schema change makes it stale.
    asked: bool,
}

/// All versions of tables seen on this connection.
#[derive(Debug)]
pub struct Catalogue {
    patterns: TablePatterns,
    connector: Connector,
    /// By the table map's bytes after the id: a table keeps its version when the server gives it a new id.
    versions: HashMap<Box<[u8]>, Version>,
    ids: HashMap<u64, (Box<[u8]>, Known)>,
    /// The newest version of each table, to keep its identity where nothing has changed.
    newest: HashMap<TableName, Arc<Table>>,
    conn: Option<Conn>,
    /// Versions remembered, at most.
    limit: usize,
}

impl Catalogue {
    /// An empty catalogue.
    pub fn new(patterns: TablePatterns, connector: Connector, limit: usize) -> Self {
        Self { limit, patterns, connector, versions: HashMap::new(), ids: HashMap::new(), newest: HashMap::new(), conn: None }
    }

    /// Which tables are captured.
    pub fn patterns(&self) -> &TablePatterns {
        &self.patterns
    }

    /// Whether the table is captured. The server's own databases are so only when a pattern names them.
    pub fn captures(&self, name: &TableName) -> bool {
        let own = matches!(name.database.as_str(), "mysql" | "sys" | "performance_schema" | "information_schema");
        let named = || self.patterns.include().iter().any(|p| p.names_database(&name.database));
        self.patterns.selects(name) && (!own || named())
    }

    /// Whether some table of the database may be captured: for statements whose tables are not easily told.
    pub fn may_capture_in(&self, database: &str) -> bool {
        let include = self.patterns.include();
        database.is_empty() || include.is_empty() || include.iter().any(|pattern| pattern.may_be_in(database))
    }

    /// What a table id stands for, if its table map was seen.
    pub fn get(&self, id: u64) -> Option<&Known> {
        self.ids.get(&id).map(|(_, known)| known)
    }

    /// Forgets table ids: they do not outlive a connection.
    pub fn disconnect(&mut self) {
        self.ids.clear();
        self.conn = None;
    }

    /// Keeps the caches bounded; called between transactions, when no table map is waiting for its rows.
    pub fn trim(&mut self) {
        if self.versions.len() > self.limit || self.ids.len() > self.limit {
            self.versions.clear();
            self.ids.clear();
            self.newest.clear();
        }
    }

    /// A schema change was logged: what the server's catalogue said is out of date.
    pub fn schema_changed(&mut self) {
        if self.versions.values().any(|v| v.asked) {
            self.versions.retain(|_, v| !v.asked);
            self.ids.clear();
        }
    }

    /// Takes a table map event in.
    pub async fn learn(&mut self, event: &[u8], server: &Server) -> Result<()> {
        let broken = |fault| Error::new(ErrorKind::Source, "a table map in the binlog cannot be read").caused_by(fault);
        let head = table_map::head(event).map_err(broken)?;
        // everything after the id and the two bytes of flags
        let content = event.get(8..).unwrap_or_default();
        if self.ids.get(&head.id).is_some_and(|(bytes, _)| **bytes == *content) {
            return Ok(());
        }
        let known = match self.versions.get(content) {
            Some(version) => version.known.clone(),
            None => {
                let (known, asked) = self.meet(&head, server).await?;
                self.versions.insert(content.into(), Version { known: known.clone(), asked });
                known
            }
        };
        self.ids.insert(head.id, (content.into(), known));
        Ok(())
    }

    async fn meet(&mut self, head: &Head<'_>, server: &Server) -> Result<(Known, bool)> {
        let name = TableName::new(head.database, head.table);
        if !self.captures(&name) {
            return Ok((Known::PassedOver, false));
        }
        let map = table_map::parse(head.body)
            .map_err(|fault| Error::new(ErrorKind::Source, format!("the table map of {name} cannot be read")).caused_by(fault))?;
        if map.columns.is_empty() {
            return Err(Error::new(ErrorKind::Source, format!("the table map of {name} has no columns")));
        }
        let logged = plan::describe(&name, &map, &server.collations)?;
        let (descriptions, asked) = match logged {
            Some(mut logged) if server.flavour == Flavour::MariaDb && map.columns.iter().zip(&logged).any(may_be_special) => {
                self.find_special(&name, &map, &mut logged).await?;
                (logged, true)
            }
            Some(logged) => (logged, false),
            None => (self.ask(&name, &map).await?, true),
        };
        let mut plan = plan::build(name.clone(), &map, &descriptions)?;
        match self.newest.get(&name) {
            Some(newest) if **newest == *plan.table => plan.table = newest.clone(),
            _ => {
                self.newest.insert(name, plan.table.clone());
            }
        }
        Ok((Known::Captured(Arc::new(plan)), asked))
    }

    /// The table as it was described for its copy, under the identity that the log's own description of it has.
    pub fn adopt(&mut self, table: &Arc<Table>) -> Arc<Table> {
        match self.newest.get(&table.name) {
            Some(newest) if **newest == **table => newest.clone(),
            _ => {
                self.newest.insert(table.name.clone(), table.clone());
                table.clone()
            }
        }
    }

    /// The latest version of a table that is known, or, where none of its rows came yet, as the server has it today.
    pub async fn latest(&mut self, name: &TableName) -> Result<Arc<Table>> {
        if let Some(newest) = self.newest.get(name) {
            return Ok(newest.clone());
        }
        let columns = self.columns(name).await?;
        let columns = columns.into_iter().map(|column| ColumnInfo {
            data_type: column.value_type(),
            native_type: column.native_type(),
            nullable: true,
            primary_key: column.key == "PRI",
            place: Place::Value,
            name: column.name,
        });
        Ok(Arc::new(Table { name: name.clone(), destination: None, columns: columns.collect() }))
    }

    /// The columns of a table as the server has them today.
    async fn columns(&mut self, name: &TableName) -> Result<Vec<CatalogueColumn>> {
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.connector.connect().await?,
        };
        let query = "SELECT column_name, data_type, column_type, character_set_name, column_key FROM information_schema.columns \
            WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";
        let rows: Vec<(String, String, String, Option<String>, String)> =
            self.connector.within("query", conn.exec(query, (&name.database, &name.table))).await?;
        self.conn = Some(conn);
        Ok(rows
            .into_iter()
            .map(|(name, data_type, column_type, charset, key)| CatalogueColumn { name, data_type, column_type, charset, key })
            .collect())
    }

    /// Describes a table whose table map is not complete.
    async fn ask(&mut self, name: &TableName, map: &TableMap<'_>) -> Result<Vec<Description>> {
        let columns = self.columns(name).await?;
        let remedy = "Set binlog_row_metadata = FULL on the server, so that the log itself says what its rows hold, and start from a later \
            position if older rows cannot be read.";
        let differs = |what: String| {
            Error::new(ErrorKind::Source, format!("the rows of {name} were logged for another version of the table: {what}")).remedy(remedy)
        };
        if columns.len() != map.columns.len() {
            let there =
                if columns.is_empty() { "the table no longer exists".into() } else { format!("the server has {} columns", columns.len()) };
            return Err(differs(format!("the log has {} columns, {there}", map.columns.len())));
        }
        let mut descriptions = Vec::with_capacity(columns.len());
        for (column, logged) in columns.iter().zip(&map.columns) {
            if !column.agrees(logged) {
                return Err(differs(format!("column {} is {} now", column.name, column.column_type)));
            }
            descriptions.push(column.describe());
        }
        if let Some(names) = &map.metadata.names
            && names.iter().zip(&columns).any(|(logged, column)| *logged != column.name.as_bytes())
        {
            return Err(differs("its columns have other names now".into()));
        }
        Ok(descriptions)
    }

    /// MariaDB logs UUID and INET columns as BINARY; only its catalogue tells them apart.
    async fn find_special(&mut self, name: &TableName, map: &TableMap<'_>, logged: &mut [Description]) -> Result<()> {
        let columns = self.columns(name).await?;
        for (description, column) in logged.iter_mut().zip(&map.columns) {
            if !may_be_special((column, description)) {
                continue;
            }
            match columns.iter().find(|c| c.name == description.name) {
                Some(current) => description.special = current.special(),
                None => tracing::warn!(
                    table = %name,
                    column = description.name,
                    "the server's catalogue does not show this column, so that it is delivered as binary; it may be a uuid or inet column"
                ),
            }
        }
        Ok(())
    }
}

/// Whether a column of MariaDB may be something else than the BINARY that it is logged as.
fn may_be_special((column, description): (&ColumnMap, &Description)) -> bool {
    column.kind == ct::STRING && matches!(column.meta, 4 | 16) && description.charset.as_deref() == Some("binary")
}

/// A column as the server's catalogue has it.
#[derive(Clone, Debug)]
pub(super) struct CatalogueColumn {
    pub name: String,
    pub data_type: String,
    pub column_type: String,
    pub charset: Option<String>,
    pub key: String,
}

impl CatalogueColumn {
    fn special(&self) -> Option<Special> {
        match self.data_type.as_str() {
            "uuid" => Some(Special::Uuid),
            "inet6" => Some(Special::Inet6),
            "inet4" => Some(Special::Inet4),
            _ => None,
        }
    }

    fn native_type(&self) -> NativeType {
        native::of_catalogue(&self.data_type, &self.column_type, self.charset.as_deref())
    }

    /// What its values are, by the name of its type.
    fn value_type(&self) -> DataType {
        let unsigned = self.native_type().is_unsigned();
        match self.data_type.as_str() {
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" if !unsigned => DataType::Int64,
            "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "bit" => DataType::UInt64,
            "float" => DataType::Float32,
            "double" => DataType::Float64,
            "decimal" => DataType::Decimal,
            "date" => DataType::Date,
            "time" => DataType::Time,
            "datetime" => DataType::DateTime,
            "timestamp" => DataType::Timestamp,
            "json" => DataType::Json,
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => DataType::Bytes,
            _ => DataType::Text,
        }
    }

    pub fn describe(&self) -> Description {
        let native = self.native_type();
        Description {
            name: self.name.clone(),
            unsigned: native.is_unsigned() || self.data_type == "year",
            charset: self.charset.clone(),
            labels: native.labels().cloned().unwrap_or_default(),
            primary_key: self.key == "PRI",
            special: self.special(),
        }
    }

    /// Whether this column can have been logged so.
    pub fn agrees(&self, logged: &ColumnMap) -> bool {
        let binary = self.charset.as_deref().map(Charset::named).is_none_or(|c| c == Charset::Binary);
        let native = self.native_type();
        let old = || native.fraction_digits().is_none();
        match self.data_type.as_str() {
            "tinyint" => logged.kind == ct::TINY,
            "smallint" => logged.kind == ct::SHORT,
            "mediumint" => logged.kind == ct::INT24,
            "int" => logged.kind == ct::LONG,
            "bigint" => logged.kind == ct::LONGLONG,
            "float" => logged.kind == ct::FLOAT,
            "double" => logged.kind == ct::DOUBLE,
            "decimal" => {
                let [precision, scale] = logged.meta.to_be_bytes().map(u32::from);
                logged.kind == ct::NEWDECIMAL && (native.precision(), native.scale()) == (Some(precision), Some(scale))
            }
            "year" => logged.kind == ct::YEAR,
            "date" => matches!(logged.kind, ct::DATE | ct::NEWDATE),
            "time" => logged.kind == ct::TIME2 || (logged.kind == ct::TIME && old()),
            "datetime" => logged.kind == ct::DATETIME2 || (logged.kind == ct::DATETIME && old()),
            "timestamp" => logged.kind == ct::TIMESTAMP2 || (logged.kind == ct::TIMESTAMP && old()),
            "bit" => logged.kind == ct::BIT,
            "enum" => logged.kind == ct::ENUM,
            "set" => logged.kind == ct::SET,
            "json" => logged.kind == ct::JSON,
            "char" => logged.kind == ct::STRING && !binary,
            "binary" | "uuid" | "inet4" | "inet6" => logged.kind == ct::STRING && binary,
            "varchar" => matches!(logged.kind, ct::VARCHAR | ct::VAR_STRING | ct::VARCHAR_COMPRESSED),
            "varbinary" => matches!(logged.kind, ct::VARCHAR | ct::VAR_STRING | ct::VARCHAR_COMPRESSED) && binary,
            "tinytext" | "text" | "mediumtext" | "longtext" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
                (ct::TINY_BLOB..=ct::BLOB).contains(&logged.kind) || logged.kind == ct::BLOB_COMPRESSED
            }
            "vector" => logged.kind == ct::VECTOR,
            _ => logged.kind == ct::GEOMETRY,
        }
    }
}
