//! From a table map to the decoders of its columns, once for each version of a table.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{
    charset::{self, Charset, Collations},
    column_type as ct, decimal,
    decoder::{Decoder, Special},
    internal::Internals,
    ledger, native,
    table_map::{ColumnMap, Metadata, TableMap},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, Place, Table, TableName},
};

/// How to read the rows of one version of a table.
#[derive(Debug)]
pub struct Plan {
    /// The table as the rest of the program sees it.
    pub table: Arc<Table>,
    /// One decoder for each column that is logged; those of columns that are not shown stand last.
    pub decoders: Vec<Decoder>,
    /// The name under which the table's rows are counted in offsets.
    pub counted: Arc<str>,
    /// Bytes that one image holds in memory at least, whatever its values.
    pub row_bytes: usize,
    /// The columns whose text may be far longer than what is logged.
    pub expanding: Vec<usize>,
    /// The column that tells which rows of a versioned table are current.
    pub row_end: Option<usize>,
    /// Whether rows of it have come.
    begun: AtomicBool,
}

impl Plan {
    /// Whether its first rows come now. They begin a batch: a plugin may not be able to plan this version of the table, and everything
    /// before its first row is delivered all the same.
    pub fn begins(&self) -> bool {
        !self.begun.load(Ordering::Relaxed) && !self.begun.swap(true, Ordering::Relaxed)
    }
}

/// What the table map's columns do not say by themselves, from the optional metadata or from the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Whether it is unsigned.
    pub unsigned: bool,
    /// The server's name of its character set, for text, enum and set.
    pub charset: Option<String>,
    /// Labels of enum and set, in UTF-8.
    pub labels: Arc<[Box<str>]>,
    /// Whether it belongs to the primary key.
    pub primary_key: bool,
    /// A type that the table map cannot tell, e.g. MariaDB's `uuid`.
    pub special: Option<Special>,
}

fn fault(table: &TableName, column: &str, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Source, format!("cannot read column {table}.{column}: {what}"))
}

/// Descriptions from the optional metadata; `None` when it does not hold all that is needed.
pub fn describe(table: &TableName, map: &TableMap<'_>, collations: &Collations) -> Result<Option<Vec<Description>>> {
    let Metadata { names: Some(names), unsigned, collations: ids, labels, primary_key } = &map.metadata else { return Ok(None) };
    let mut descriptions = Vec::with_capacity(map.columns.len());
    for (i, column) in map.columns.iter().enumerate() {
        let lacking = (column.is_numeric() && unsigned.is_none())
            || (column.is_character() && ids[i].is_none())
            || (column.is_labelled() && (ids[i].is_none() || labels[i].is_none()))
            || is_old_temporal(column.kind);
        if lacking {
            return Ok(None);
        }
        let name = std::str::from_utf8(names[i])
            .map_err(|e| fault(table, &format!("number {}", i + 1), "its name is not UTF-8").caused_by(e))?
            .to_owned();
        let charset = ids[i].map(|id| collations.charset_name(id).map_or_else(|| format!("of collation {id}"), str::to_owned));
        let labels = match (&labels[i], &charset) {
            (Some(labels), Some(charset)) => self::labels(table, &name, labels, charset)?,
            _ => Arc::default(),
        };
        let unsigned = unsigned.as_ref().is_some_and(|u| u[i]);
        descriptions.push(Description { name, unsigned, charset, labels, primary_key: primary_key.contains(&i), special: None });
    }
    Ok(Some(descriptions))
}

/// The types before MySQL 5.6 do not say how many digits of fraction they have (MariaDB can log them with some).
fn is_old_temporal(kind: u8) -> bool {
    matches!(kind, ct::TIME | ct::DATETIME | ct::TIMESTAMP)
}

fn labels(table: &TableName, column: &str, labels: &[&[u8]], charset: &str) -> Result<Arc<[Box<str>]>> {
    let charset = Charset::named(charset);
    // the labels of an enum whose column is binary are bytes; they are text as far as they are UTF-8
    let charset = if charset == Charset::Binary { Charset::Utf8 } else { charset };
    let convert = |label: &&[u8]| {
        let mut text = Vec::new();
        charset::write(&charset, label, &mut text).map_err(|e| fault(table, column, format!("a label is {e}")))?;
        String::from_utf8(text).map(String::into_boxed_str).map_err(|e| fault(table, column, "a label is not text").caused_by(e))
    };
    labels.iter().map(convert).collect()
}

/// Builds the plan of `name` from its table map and the columns' descriptions, which have to be as many, but for the hidden ones. No
/// compressed value unpacks to more than `most` bytes.
pub fn build(name: TableName, map: &TableMap<'_>, descriptions: &[Description], internals: Internals, most: usize) -> Result<Plan> {
    let shown = map.columns.len().saturating_sub(internals.hidden);
    let mut columns = Vec::with_capacity(descriptions.len());
    let mut decoders = Vec::with_capacity(descriptions.len());
    for (i, (column, description)) in map.columns[..shown].iter().zip(descriptions).enumerate() {
        let (decoder, data_type) = decoder(column, description, most).map_err(|what| unsupported(&name, &description.name, &what))?;
        columns.push(ColumnInfo {
            name: description.name.clone(),
            data_type,
            native_type: native::logged(column, description),
            nullable: column.nullable,
            // the server itself adds the end to the key
            primary_key: description.primary_key && internals.row_end != Some(i),
            place: Place::Value,
        });
        decoders.push(decoder);
    }
    for column in &map.columns[shown..] {
        decoders.push(hidden(column).ok_or_else(|| fault(&name, "that is hidden", format!("column type {}", column.kind)))?);
    }
    let row_bytes = decoders.iter().map(held_bytes).sum();
    let expanding = (0..decoders.len()).filter(|column| expands(&decoders[*column])).collect();
    let table = Table { name, destination: None, columns };
    let counted = Arc::from(ledger::counted_name(&table.name, table.has_key()));
    Ok(Plan { table: Arc::new(table), decoders, counted, row_bytes, expanding, row_end: internals.row_end, begun: AtomicBool::new(false) })
}

/// How a column is passed over that no query shows.
fn hidden(column: &ColumnMap) -> Option<Decoder> {
    match column.kind {
        ct::LONGLONG => Some(Decoder::UInt64),
        ct::TIMESTAMP2 => u8::try_from(column.meta).ok().filter(|fsp| *fsp <= 6).map(Decoder::Timestamp),
        _ => None,
    }
}

/// Bytes that a value holds in its column beside what is logged of it, roughly: its width, or its offset and the digits of its
/// text.
fn held_bytes(decoder: &Decoder) -> usize {
    match decoder {
        Decoder::Decimal { precision, .. } => 8 + usize::from(*precision),
        Decoder::Date | Decoder::OldTime | Decoder::HiresTime(_) | Decoder::Time(_) => 20,
        Decoder::OldDateTime
        | Decoder::OldTimestamp
        | Decoder::HiresDateTime(_)
        | Decoder::HiresTimestamp(_)
        | Decoder::DateTime(_)
        | Decoder::Timestamp(_) => 32,
        Decoder::FixedBytes { length, .. } => 4 + usize::from(*length),
        _ => 8,
    }
}

fn expands(decoder: &Decoder) -> bool {
    match decoder {
        Decoder::Enum { .. } | Decoder::Set { .. } | Decoder::Json { .. } | Decoder::Special { .. } | Decoder::Compressed { .. } => true,
        Decoder::Text { charset, .. } => !matches!(charset, Charset::Utf8 | Charset::Ascii),
        _ => false,
    }
}

/// The error for a column that cannot be captured.
pub fn unsupported(table: &TableName, column: &str, what: &str) -> Error {
    fault(table, column, format!("{what} is not supported")).remedy(format!(
        "Change the column's type, or leave the table out by adding '!{table}' to the source's tables: its changes are then not \
             delivered."
    ))
}

fn decoder(column: &ColumnMap, description: &Description, most: usize) -> Result<(Decoder, DataType), String> {
    let unsigned = description.unsigned;
    let meta = column.meta;
    let prefix = |length: u16| if length < 256 { 1 } else { 2 };
    let charset = || Charset::named(description.charset.as_deref().unwrap_or("binary"));
    let text_or_bytes = |prefix: u8| match charset() {
        Charset::Binary => Ok((Decoder::Bytes { prefix }, DataType::Bytes)),
        Charset::Unsupported(name) => Err(format!("the character set {name}")),
        charset => Ok((Decoder::Text { prefix, charset }, DataType::Text)),
    };
    let compressed = |prefix: u8| match charset() {
        Charset::Unsupported(name) => Err(format!("the character set {name}")),
        charset => {
            let data_type = if charset == Charset::Binary { DataType::Bytes } else { DataType::Text };
            Ok((Decoder::Compressed { prefix, charset, most }, data_type))
        }
    };
    let by_sign = |signed: Decoder, decoder: Decoder| {
        if unsigned { (decoder, DataType::UInt64) } else { (signed, DataType::Int64) }
    };
    let fsp = || u8::try_from(meta).ok().filter(|fsp| *fsp <= 6).ok_or_else(|| format!("a fraction of {meta} digits"));
    let old_digits = || match description.special {
        Some(Special::Fraction(digits @ 1..=6)) => Some(digits),
        _ => None,
    };
    let blob_prefix = || u8::try_from(meta).ok().filter(|n| (1..=4).contains(n)).ok_or_else(|| format!("a length of {meta} bytes"));
    Ok(match column.kind {
        ct::TINY => by_sign(Decoder::Int8, Decoder::UInt8),
        ct::SHORT => by_sign(Decoder::Int16, Decoder::UInt16),
        ct::INT24 => by_sign(Decoder::Int24, Decoder::UInt24),
        ct::LONG => by_sign(Decoder::Int32, Decoder::UInt32),
        ct::LONGLONG => by_sign(Decoder::Int64, Decoder::UInt64),
        ct::FLOAT => (Decoder::Float, DataType::Float32),
        ct::DOUBLE => (Decoder::Double, DataType::Float64),
        ct::NEWDECIMAL => {
            let [precision, scale] = meta.to_be_bytes();
            let bytes = decimal::size(precision, scale).ok().filter(|_| precision <= 65 && scale <= 38);
            let bytes = bytes.ok_or_else(|| format!("decimal({precision},{scale})"))?;
            (Decoder::Decimal { precision, scale, bytes }, DataType::Decimal)
        }
        ct::YEAR => (Decoder::Year, DataType::UInt64),
        ct::DATE | ct::NEWDATE => (Decoder::Date, DataType::Date),
        ct::TIME => (old_digits().map_or(Decoder::OldTime, Decoder::HiresTime), DataType::Time),
        ct::DATETIME => (old_digits().map_or(Decoder::OldDateTime, Decoder::HiresDateTime), DataType::DateTime),
        ct::TIMESTAMP => (old_digits().map_or(Decoder::OldTimestamp, Decoder::HiresTimestamp), DataType::Timestamp),
        ct::TIME2 => (Decoder::Time(fsp()?), DataType::Time),
        ct::DATETIME2 => (Decoder::DateTime(fsp()?), DataType::DateTime),
        ct::TIMESTAMP2 => (Decoder::Timestamp(fsp()?), DataType::Timestamp),
        ct::BIT if meta <= 64 => (Decoder::Bit(meta.div_ceil(8) as u8), DataType::UInt64),
        ct::ENUM if matches!(meta, 1 | 2) => (Decoder::Enum { bytes: meta as u8, labels: description.labels.clone() }, DataType::Text),
        ct::SET if (1..=8).contains(&meta) => (Decoder::Set { bytes: meta as u8, labels: description.labels.clone() }, DataType::Text),
        ct::STRING => match (description.special, charset()) {
            (Some(special @ (Special::Uuid | Special::Inet4 | Special::Inet6)), _) => {
                (Decoder::Special { prefix: prefix(meta), special }, DataType::Text)
            }
            (_, Charset::Binary) => (Decoder::FixedBytes { prefix: prefix(meta), length: meta }, DataType::Bytes),
            _ => text_or_bytes(prefix(meta))?,
        },
        ct::VARCHAR | ct::VAR_STRING => text_or_bytes(prefix(meta))?,
        ct::TINY_BLOB..=ct::BLOB => text_or_bytes(blob_prefix()?)?,
        ct::JSON => (Decoder::Json { prefix: blob_prefix()? }, DataType::Json),
        ct::GEOMETRY | ct::VECTOR => (Decoder::Bytes { prefix: blob_prefix()? }, DataType::Bytes),
        ct::VARCHAR_COMPRESSED => compressed(prefix(meta))?,
        ct::BLOB_COMPRESSED => compressed(blob_prefix()?)?,
        other => return Err(format!("column type {other}")),
    })
}
