//! The columns of a table's files: names and types.

use std::sync::Arc;

use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    schema::types::{Type, TypePtr},
};

use super::{
    super::{
        flat::member_name_beside,
        form::{bits, fraction_digits, is_geometry, scale},
        headers,
        temporal::Unit,
    },
    column::Cast,
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, DataType, Place, Table},
};

/// Our own column for those that the source did not send, without the leading underscore.
pub(super) const ABSENT: &str = "absent";

/// The most digits of a decimal that Parquet's readers have a type for.
const MOST_PRECISION: u32 = 76;

/// What is constant for a table version.
pub struct ParquetTable {
    pub(super) table: Arc<Table>,
    pub(super) schema: TypePtr,
    /// Index and conversion of each column of the record.
    pub(super) columns: Vec<(usize, Cast)>,
    /// Their names in the files.
    pub(super) names: Vec<String>,
    pub(super) versions: bool,
}

impl ParquetTable {
    /// The files of a table. `versions`: whether they tell which plugins made a row.
    ///
    /// # Errors
    /// `Sink`: Parquet has no place for something of it.
    pub fn new(table: &Arc<Table>, versions: bool) -> Result<Self> {
        check(table)?;
        let schema = |error: parquet::errors::ParquetError| {
            Error::new(ErrorKind::Internal, format!("the columns of table {} give no schema of Parquet", table.name)).caused_by(error)
        };
        let mut fields = own(table, versions).map_err(schema)?;
        let (mut columns, mut names) = (Vec::new(), Vec::new());
        for (index, column) in table.columns.iter().enumerate().filter(|(_, column)| column.place == Place::Value) {
            let name = member_name_beside(&column.name, &[ABSENT]);
            let Typed { physical, logical, length, cast } = typed(column);
            fields.push(field(&name, physical, logical, length, Repetition::OPTIONAL).map_err(schema)?);
            columns.push((index, cast));
            names.push(name);
        }
        let schema = Type::group_type_builder("row").with_fields(fields).build().map_err(schema)?;
        Ok(Self { table: table.clone(), schema: Arc::new(schema), columns, names, versions })
    }

    /// The table.
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }
}

/// Whether Parquet has a place for everything of a table.
///
/// # Errors
/// `Sink`: header columns.
pub(super) fn check(table: &Table) -> Result<()> {
    if !table.has_headers() {
        return Ok(());
    }
    Err(headers::no_place(table, "Parquet"))
}

/// The columns in front of the table's, in the order in which [`super::rows`] writes them.
fn own(table: &Table, versions: bool) -> parquet::errors::Result<Vec<TypePtr>> {
    const OPTIONAL: Repetition = Repetition::OPTIONAL;
    const REQUIRED: Repetition = Repetition::REQUIRED;
    const REPEATED: Repetition = Repetition::REPEATED;
    let string = |name: &str, repetition| field(name, Physical::BYTE_ARRAY, Some(LogicalType::String), 0, repetition);
    let mut fields = vec![string("_op", REQUIRED)?, string("_database", REQUIRED)?];
    if table.name.schema.is_some() {
        fields.push(string("_schema", REQUIRED)?);
    }
    fields.push(string("_table", REQUIRED)?);
    fields.push(field("_ts", Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)), 0, REQUIRED)?);
    fields.extend([string("_gtid", OPTIONAL)?, string("_file", OPTIONAL)?]);
    fields.extend([
        field("_pos", Physical::INT64, None, 0, REQUIRED)?,
        field("_row", Physical::INT32, Some(LogicalType::integer(32, false)), 0, REQUIRED)?,
    ]);
    let element = Type::group_type_builder("list").with_repetition(REPEATED).with_fields(vec![string("element", REQUIRED)?]).build()?;
    let absent = Type::group_type_builder(&format!("_{ABSENT}"))
        .with_repetition(REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_fields(vec![Arc::new(element)])
        .build()?;
    fields.push(Arc::new(absent));
    if versions {
        fields.push(string("_plugins", OPTIONAL)?);
    }
    Ok(fields)
}

fn field(
    name: &str,
    physical: Physical,
    logical: Option<LogicalType>,
    length: i32,
    repetition: Repetition,
) -> parquet::errors::Result<TypePtr> {
    let (precision, scale) = match &logical {
        Some(LogicalType::Decimal(decimal)) => (decimal.precision, decimal.scale),
        _ => (-1, -1),
    };
    let field = Type::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical);
    let field = if length > 0 { field.with_length(length) } else { field };
    let field = if precision >= 0 { field.with_precision(precision).with_scale(scale) } else { field };
    field.build().map(Arc::new)
}

struct Typed {
    physical: Physical,
    logical: Option<LogicalType>,
    length: i32,
    cast: Cast,
}

/// The type of a column: the one that loses nothing.
fn typed(column: &ColumnInfo) -> Typed {
    let of = |physical, logical, cast| Typed { physical, logical, length: 0, cast };
    let string = || of(Physical::BYTE_ARRAY, Some(LogicalType::String), Cast::Text);
    let native = column.native_type.name();
    match column.data_type {
        DataType::Boolean => of(Physical::BOOLEAN, None, Cast::Boolean),
        DataType::Int64 => match native {
            "tinyint" => of(Physical::INT32, Some(LogicalType::integer(8, true)), Cast::Int32),
            "smallint" => of(Physical::INT32, Some(LogicalType::integer(16, true)), Cast::Int32),
            "mediumint" | "int" | "year" => of(Physical::INT32, None, Cast::Int32),
            _ => of(Physical::INT64, None, Cast::Int64),
        },
        DataType::UInt64 => match native {
            "tinyint" => of(Physical::INT32, Some(LogicalType::integer(8, false)), Cast::Int32),
            "smallint" | "year" => of(Physical::INT32, Some(LogicalType::integer(16, false)), Cast::Int32),
            "mediumint" | "int" => of(Physical::INT32, Some(LogicalType::integer(32, false)), Cast::Int32),
            _ if bits(column) == Some(1) => of(Physical::INT32, Some(LogicalType::integer(8, false)), Cast::Int32),
            _ => of(Physical::INT64, Some(LogicalType::integer(64, false)), Cast::Int64),
        },
        DataType::Float32 => of(Physical::FLOAT, None, Cast::Float),
        DataType::Float64 => of(Physical::DOUBLE, None, Cast::Double),
        DataType::Decimal => match (scale(column), column.native_type.precision().or_else(|| money(native))) {
            (Some(scale), Some(precision)) if precision <= MOST_PRECISION => decimal(precision.max(scale).max(1), scale),
            // the scale of what a plugin computes is not known
            _ => string(),
        },
        DataType::Text => string(),
        DataType::Json => of(Physical::BYTE_ARRAY, Some(LogicalType::Json), Cast::Text),
        DataType::Bytes if is_geometry(column) => of(Physical::BYTE_ARRAY, None, Cast::Ewkb),
        DataType::Bytes => of(Physical::BYTE_ARRAY, None, Cast::Text),
        DataType::Date => of(Physical::INT32, Some(LogicalType::Date), Cast::Days),
        // a duration, which may be negative or beyond a day
        DataType::Time if fraction_digits(column) > 6 => of(Physical::INT64, None, Cast::Time(Unit::Nanos)),
        DataType::Time => of(Physical::INT64, None, Cast::Time(Unit::Micros)),
        DataType::DateTime | DataType::Timestamp => {
            let instant = column.data_type == DataType::Timestamp;
            match fraction_digits(column) {
                0..=3 => of(Physical::INT64, Some(LogicalType::timestamp(instant, TimeUnit::MILLIS)), Cast::SinceEpoch(Unit::Millis)),
                4..=6 => of(Physical::INT64, Some(LogicalType::timestamp(instant, TimeUnit::MICROS)), Cast::SinceEpoch(Unit::Micros)),
                // 64 bits of nanoseconds end in 2262
                _ => string(),
            }
        }
    }
}

fn money(native: &str) -> Option<u32> {
    match native {
        "money" => Some(19),
        "smallmoney" => Some(10),
        _ => None,
    }
}

fn decimal(precision: u32, scale: u32) -> Typed {
    let logical = Some(LogicalType::decimal(scale as i32, precision as i32));
    let scale = scale as usize;
    let of = |physical, length, cast| Typed { physical, logical: logical.clone(), length, cast };
    match precision {
        ..=9 => of(Physical::INT32, 0, Cast::Decimal32(scale)),
        10..=18 => of(Physical::INT64, 0, Cast::Decimal64(scale)),
        _ => {
            // digits, and a bit for the sign
            let bits = f64::from(precision) * std::f64::consts::LOG2_10 + 1.0;
            let length = (bits / 8.0).ceil() as usize;
            of(Physical::FIXED_LEN_BYTE_ARRAY, length as i32, Cast::Decimal { scale, length })
        }
    }
}
