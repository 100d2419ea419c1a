//! What the server's catalogue says of a table that is copied: its columns, as the log would describe them, and its key.

use mysql_async::{Conn, Row, prelude::Queryable};

use super::{
    super::{
        column_type as ct,
        connection::Connector,
        decoder::Decoder,
        internal::Internals,
        labels, native,
        plan::{self, Plan},
        position::Flavour,
        schema::CatalogueColumn,
        table_map::{ColumnMap, Metadata, TableMap},
    },
    key::{self, Key, KeyColumn, quoted},
    place::KeyText,
};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName};

/// A table as it is copied.
#[derive(Debug)]
pub struct Copied {
    /// How its rows are read.
    pub plan: Plan,
    /// Its key, or why it has none that a copy can go by.
    pub key: std::result::Result<Key, String>,
    /// Whether its engine gives a consistent view of it.
    pub transactional: bool,
    /// The statement that makes it, to notice when that is another one.
    statement: String,
}

/// How its rows are read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Which of them: a condition in the server's SQL.
    pub condition: Option<String>,
    /// Whether they are locked against changes: nothing else tells whether a query sees what was delivered.
    pub share_locks: bool,
    /// Whether a table without a key may be locked while a view of it is opened.
    pub lock_table: bool,
}

/// Which rows of a table, in the order of its key.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Those after this key.
    pub after: Option<&'a KeyText>,
    /// Those up to this key.
    pub up_to: Option<&'a KeyText>,
    /// At most so many.
    pub rows: usize,
}

/// What the catalogue says.
struct Described {
    engine: String,
    columns: Vec<RawColumn>,
    keys: Vec<RawKeyColumn>,
}

/// Name, data type, column type, character set, key, nullable, length in bytes, precision, scale, fraction digits, collation.
type RawColumn =
    (String, String, String, Option<String>, String, String, Option<u64>, Option<u64>, Option<u64>, Option<u64>, Option<String>);

/// Index, column (none for an expression), length of a prefix, nullable, type.
type RawKeyColumn = (String, Option<String>, Option<u64>, Option<String>, String);

/// What there is to a table.
pub enum Found {
    /// It can be copied.
    Table(Box<Copied>),
    /// There is no such table, or it is a view.
    Nothing,
}

impl Copied {
    /// The statement for the rows of its key after `after`, up to `up_to`, at most `rows` of them.
    pub fn select(&self, key: &Key, range: Range<'_>, reading: &Reading) -> Result<String> {
        let name = &self.plan.table.name;
        let conditions = [range.after.map(|from| key.after(name, from)), range.up_to.map(|to| key.up_to(name, to))];
        let mut conditions = conditions.into_iter().flatten().collect::<Result<Vec<_>>>()?;
        conditions.extend(reading.condition.clone());
        let condition = if conditions.is_empty() { String::new() } else { format!(" WHERE ({})", conditions.join(") AND (")) };
        let locks = if reading.share_locks && self.transactional { " FOR SHARE" } else { "" };
        Ok(format!(
            "SELECT {} FROM {} FORCE INDEX ({}){condition} ORDER BY {} LIMIT {}{locks}",
            self.columns(),
            self.quoted(),
            quoted(&key.index),
            key.order(),
            range.rows,
        ))
    }

    /// The statement for all of its rows, in any order.
    pub fn select_all(&self, reading: &Reading) -> String {
        let condition = reading.condition.as_ref().map(|condition| format!(" WHERE ({condition})")).unwrap_or_default();
        format!("SELECT {} FROM {}{condition}", self.columns(), self.quoted())
    }

    /// Its name in SQL.
    pub fn quoted(&self) -> String {
        let name = &self.plan.table.name;
        format!("{}.{}", quoted(&name.database), quoted(&name.table))
    }

    fn columns(&self) -> String {
        let columns = self.plan.table.columns.iter().zip(&self.plan.decoders).map(|(column, decoder)| match decoder {
            Decoder::Enum { .. } | Decoder::Set { .. } => format!("CAST({} AS UNSIGNED)", quoted(&column.name)),
            _ => quoted(&column.name),
        });
        columns.collect::<Vec<_>>().join(", ")
    }

    /// Whether it still is as it was described.
    pub async fn is_unchanged(&self, connector: &Connector, conn: &mut Conn) -> Result<bool> {
        Ok(statement(connector, conn, &self.plan.table.name).await?.is_some_and(|statement| statement == self.statement))
    }
}

/// The statement that makes the table; `None` if there is no such table. Without the counter that rises with each row.
async fn statement(connector: &Connector, conn: &mut Conn, name: &TableName) -> Result<Option<String>> {
    let query = format!("SHOW CREATE TABLE {}.{}", quoted(&name.database), quoted(&name.table));
    let answer = async {
        match conn.query_first::<Row, _>(query).await {
            Err(mysql_async::Error::Server(error)) if error.code == NO_TABLE => Ok(None),
            other => other,
        }
    };
    let row = connector.within("query", answer).await?;
    let text = row.and_then(|mut row| row.take_opt::<String, _>(1)).and_then(std::result::Result::ok);
    Ok(text.map(|text| match text.split_once(" AUTO_INCREMENT=") {
        Some((before, after)) => format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => text,
    }))
}

/// The servers' error for a table that is not there.
const NO_TABLE: u16 = 1146;

/// Describes a table.
pub async fn find(connector: &Connector, conn: &mut Conn, flavour: Flavour, name: &TableName) -> Result<Found> {
    // first, so that a change of the table after it is noticed
    let Some(statement) = statement(connector, conn, name).await? else { return Ok(Found::Nothing) };
    let Some(described) = ask(connector, conn, name).await? else { return Ok(Found::Nothing) };
    let of_catalogue = described.columns.iter().cloned().map(|(name, data_type, column_type, charset, key, ..)| CatalogueColumn {
        name,
        data_type,
        column_type,
        charset,
        key,
        nullable: None,
        bytes: None,
    });
    let mut of_catalogue: Vec<CatalogueColumn> = of_catalogue.collect();
    labels::complete(connector, conn, name, &mut of_catalogue).await?;
    let mut columns = Vec::with_capacity(described.columns.len());
    let mut descriptions = Vec::with_capacity(described.columns.len());
    for (raw, column) in described.columns.iter().zip(of_catalogue) {
        let description = column.describe();
        let map = column_map(raw, description.labels.len(), flavour)
            .ok_or_else(|| plan::unsupported(name, &description.name, &format!("the type {}", raw.1)))?;
        columns.push(map);
        descriptions.push(description);
    }
    let map = TableMap { columns, metadata: Metadata::default() };
    // a row's length is looked at when it is read
    let plan = plan::build(name.clone(), &map, &descriptions, Internals::default(), usize::MAX)?;
    let key = choose(&described, &plan);
    let transactional = matches!(described.engine.to_ascii_lowercase().as_str(), "innodb" | "rocksdb" | "tokudb");
    Ok(Found::Table(Box::new(Copied { plan, key, transactional, statement })))
}

async fn ask(connector: &Connector, conn: &mut Conn, name: &TableName) -> Result<Option<Described>> {
    let of = (&name.database, &name.table);
    let query = "SELECT COALESCE(engine, '') FROM information_schema.tables \
        WHERE table_schema = ? AND table_name = ? AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')";
    let engine: Option<String> = connector.within("query", conn.exec_first(query, of)).await?;
    let Some(engine) = engine else { return Ok(None) };
    let query = "SELECT column_name, data_type, column_type, character_set_name, column_key, is_nullable, character_octet_length, \
        numeric_precision, numeric_scale, datetime_precision, collation_name FROM information_schema.columns \
        WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";
    let columns: Vec<RawColumn> = connector.within("query", conn.exec(query, of)).await?;
    let query = "SELECT index_name, column_name, sub_part, nullable, index_type FROM information_schema.statistics \
        WHERE table_schema = ? AND table_name = ? AND non_unique = 0 ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index";
    let keys: Vec<RawKeyColumn> = connector.within("query", conn.exec(query, of)).await?;
    Ok(Some(Described { engine, columns, keys }))
}

/// The column as a table map has it.
fn column_map(raw: &RawColumn, labels: usize, flavour: Flavour) -> Option<ColumnMap> {
    let (_, data_type, column_type, _, _, nullable, length, precision, scale, fraction, _) = raw;
    let compressed = flavour == Flavour::MariaDb && column_type.contains("COMPRESSED");
    let blob = if compressed { ct::BLOB_COMPRESSED } else { ct::BLOB };
    let number = |number: &Option<u64>| u16::try_from(number.unwrap_or_default()).unwrap_or(u16::MAX);
    let (kind, meta) = match data_type.as_str() {
        "tinyint" => (ct::TINY, 0),
        "smallint" => (ct::SHORT, 0),
        "mediumint" => (ct::INT24, 0),
        "int" => (ct::LONG, 0),
        "bigint" => (ct::LONGLONG, 0),
        "float" => (ct::FLOAT, 4),
        "double" => (ct::DOUBLE, 8),
        "decimal" => (ct::NEWDECIMAL, number(precision) << 8 | number(scale) & 255),
        "year" => (ct::YEAR, 0),
        "date" => (ct::DATE, 0),
        "time" => (ct::TIME2, number(fraction)),
        "datetime" => (ct::DATETIME2, number(fraction)),
        "timestamp" => (ct::TIMESTAMP2, number(fraction)),
        "bit" => (ct::BIT, number(precision)),
        "enum" => (ct::ENUM, if labels < 256 { 1 } else { 2 }),
        "set" => (
            ct::SET,
            match labels.div_ceil(8) {
                0 | 1 => 1,
                bytes @ 2..=4 => bytes as u16,
                _ => 8,
            },
        ),
        "char" | "binary" => (ct::STRING, number(length)),
        "uuid" | "inet6" => (ct::STRING, 16),
        "inet4" => (ct::STRING, 4),
        // one byte says how a value is compressed
        "varchar" | "varbinary" if compressed => (ct::VARCHAR_COMPRESSED, number(length).saturating_add(1)),
        "varchar" | "varbinary" => (ct::VARCHAR, number(length)),
        "tinytext" | "tinyblob" => (blob, 1),
        "text" | "blob" => (blob, 2),
        "mediumtext" | "mediumblob" => (blob, 3),
        "longtext" | "longblob" => (blob, 4),
        "json" if flavour == Flavour::MySql => (ct::JSON, 4),
        "vector" => (ct::VECTOR, 4),
        geometry if native::is_geometry(geometry) => (ct::GEOMETRY, 4),
        _ => return None,
    };
    Some(ColumnMap { kind, meta, nullable: nullable == "YES" })
}

/// The first key that a copy can go by, the primary key first. Otherwise what is wrong with those that there are.
fn choose(described: &Described, plan: &Plan) -> std::result::Result<Key, String> {
    let mut faults = Vec::new();
    for parts in described.keys.chunk_by(|a, b| a.0 == b.0) {
        let Some((index, ..)) = parts.first() else { continue };
        match parts.iter().map(|part| key_column(part, plan)).collect::<std::result::Result<Vec<_>, _>>() {
            Ok(columns) => {
                let text = columns.iter().map(|column| key_text(column, described, plan)).collect::<Vec<_>>().join(", ");
                return Ok(Key { index: index.clone(), columns, text: text.into() });
            }
            Err(why) => faults.push(format!("{index}: {why}")),
        }
    }
    Err(if faults.is_empty() { "it has no unique key".to_owned() } else { faults.join("; ") })
}

/// The column with its type and collation: all that the order of its values follows from.
fn key_text(column: &KeyColumn, described: &Described, plan: &Plan) -> String {
    let native = plan.table.columns.get(column.at).map(|info| info.native_type.to_string()).unwrap_or_default();
    let collation = described.columns.get(column.at).and_then(|(.., collation)| collation.as_deref());
    let collation = collation.map(|collation| format!(" {collation}")).unwrap_or_default();
    format!("{} {native}{collation}", column.name)
}

fn key_column((_, name, prefix, nullable, kind): &RawKeyColumn, plan: &Plan) -> std::result::Result<KeyColumn, String> {
    let Some(name) = name else { return Err("an expression".to_owned()) };
    let (at, column) = plan
        .table
        .columns
        .iter()
        .enumerate()
        .find(|(_, column)| column.name == *name)
        .ok_or_else(|| format!("{name} is not in the rows"))?;
    if kind != "BTREE" {
        return Err(format!("its type is {kind}"));
    }
    if prefix.is_some() {
        return Err(format!("only the beginning of {name}"));
    }
    if column.nullable || nullable.as_deref() == Some("YES") {
        return Err(format!("{name} may be NULL"));
    }
    let decoder = plan.decoders.get(at).ok_or_else(|| format!("{name} is not in the rows"))?;
    match key::unusable(decoder) {
        Some(what) => Err(format!("{name} has {what}, by which rows cannot be told apart",)),
        None => Ok(KeyColumn { name: name.as_str().into(), at, decoder: decoder.clone() }),
    }
}

/// Why no copy goes by a key while the log may have rows without some of their columns.
pub const IN_PART: &str = "row_image is partial";

/// The error for a table that cannot be copied: it has no usable key, nor does its engine give a view of all of it.
pub fn without_view(name: &TableName, why: &str) -> Error {
    let what = "cannot be copied, because it has no usable key and its engine gives no consistent view of it";
    Error::new(ErrorKind::Precheck, format!("{name} {what}: {why}")).remedy(format!(
        "Give it a primary key, or a unique key without NULL; or ALTER TABLE {name} ENGINE=InnoDB; or leave it out of the copy by adding \
         '!{name}' to the source's snapshot.tables: then only its changes are delivered."
    ))
}
