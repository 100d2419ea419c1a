//! A column of a tracked table: what its values are, how they are asked for, and how its part of a key is compared.

use super::sql::quoted;
use sluicegate_config::{SqlServerSource, UnknownTypes};
use sluicegate_model::change::{DataType, NativeType};

/// What the catalogue says of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CatalogueColumn {
    pub(super) id: i32,
    pub(super) name: String,
    /// The type that it is declared with: an alias, a CLR type, or the same as `base`.
    pub(super) declared: String,
    /// The server's own type; `None` for CLR types that users made.
    pub(super) base: Option<String>,
    /// Bytes at most; -1 = `max`.
    pub(super) length: i32,
    pub(super) precision: i32,
    pub(super) scale: i32,
    pub(super) nullable: bool,
    pub(super) computed: bool,
    pub(super) collation: Option<String>,
    /// Its place in the primary key, from 1.
    pub(super) key: Option<i32>,
    /// Whether it is encrypted, and only clients have the key.
    pub(super) encrypted: bool,
    /// Whether accounts without a grant see something else in its place.
    pub(super) masked: bool,
}

/// How a value comes from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bit,
    Integer,
    Real,
    Float,
    /// Exact, with this many digits behind the point.
    Decimal(u8),
    /// Text as it is.
    Text,
    Guid,
    Date,
    /// Digits of a second's fraction.
    Time(u8),
    /// `datetime`, in 1/300 s.
    DateTime,
    SmallDateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    Bytes,
    /// Three columns of the result: the base type, the value, and the text of a value that is one.
    Variant,
}

/// What the server is asked for in place of the column itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Itself,
    /// The driver reads money as a floating-point number.
    Decimal(u8),
    /// Text of a code page that the driver does not read exactly; xml, which it reads strictly; and later types, which it does not know.
    Text,
    Path,
    Bytes,
    /// Types that are older than `max`: `varchar(max)` and so on in place of them.
    Modern(&'static str),
    Variant,
}

/// A column that is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its number in the catalogue, by which masks name it.
    pub(super) id: i32,
    pub(super) name: String,
    pub(super) data_type: DataType,
    pub(super) native: NativeType,
    pub(super) nullable: bool,
    pub(super) computed: bool,
    pub(super) form: Form,
    /// The number of its type in `java.sql.Types`.
    pub(super) jdbc_type: i32,
    /// Digits of a number, and those behind the point.
    pub(super) digits: Option<(u32, u32)>,
    /// Bytes that a value may have, where the server does not bound them: larger ones do not come.
    pub(super) most: Option<usize>,
    /// Where longer values are cut.
    pub(super) cut: Option<Cut>,
    /// Whether what is no valid Unicode in it was replaced.
    pub(super) replaces: bool,
    asked: Asked,
    /// How a parameter becomes a value of the key's type; `{}` stands for the parameter. Empty where it can be in no key.
    cast: String,
}

/// Where values are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Characters of a text, or bytes.
    pub(super) at: usize,
    /// Bytes that the server counts for each.
    unit: usize,
}

impl Cut {
    /// How long a value is, by its bytes as the server counts them; `None` where it is not cut.
    pub(super) fn whole(self, bytes: i64) -> Option<usize> {
        usize::try_from(bytes).ok().map(|bytes| bytes / self.unit).filter(|whole| *whole > self.at)
    }

    /// The part of an expression that is delivered.
    fn part(self, asked: &str) -> String {
        let Self { at, unit } = self;
        // where the collation counts UTF-16's units, a pair of surrogates is not cut in two
        let less = match unit {
            1 => String::new(),
            _ => format!(" - CASE WHEN UNICODE(SUBSTRING({asked}, {at}, 1)) BETWEEN 55296 AND 56319 THEN 1 ELSE 0 END"),
        };
        format!("SUBSTRING({asked}, 1, {at}{less})")
    }
}

/// A column that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// By the settings it is left out.
    Skipped,
    /// Its type is not known.
    Unknown(String),
    /// It is in the key, and its values cannot be compared by a parameter.
    Key(String),
    /// Only clients can decrypt it.
    Encrypted,
}

/// Types of text that a variant may hold.
const TEXTS: &str = "('char', 'varchar', 'nchar', 'nvarchar')";

/// Whether the driver reads `char` and `varchar` of a collation as the server does. Those of Western Europe's code page it does. It takes
/// UTF-8 for another code page, knows 437 and 850 not at all, refuses bytes that are undefined in others, and takes what users defined in
/// those of East Asia for other characters: text of these comes as `nvarchar`.
fn is_read_exactly(collation: &str) -> bool {
    let collation = collation.to_ascii_uppercase();
    !collation.contains("_UTF8") && ["LATIN1_GENERAL_", "SQL_LATIN1_GENERAL_CP1_"].iter().any(|of| collation.starts_with(of))
}

impl Column {
    /// `most`: bytes that a value may have.
    pub(super) fn new(from: &CatalogueColumn, settings: &SqlServerSource, most: usize) -> Result<Self, Unusable> {
        if from.encrypted {
            return Err(Unusable::Encrypted);
        }
        let length = |unit: i32| if from.length < 0 { "max".to_owned() } else { (from.length / unit).to_string() };
        let (precision, scale) = (from.precision.unsigned_abs(), from.scale.unsigned_abs());
        let digits = from.scale.clamp(0, 38) as u8;
        let readable = from.collation.as_deref().is_some_and(is_read_exactly);
        let name = from.base.as_deref().unwrap_or(&from.declared).to_ascii_lowercase();
        let sized = |unit: i32| format!("{name}({})", length(unit));
        let collation = from.collation.as_deref().filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let own = |cast: &str| cast.to_owned();
        use Asked::*;
        let (data_type, native, form, asked, cast, jdbc_type) = match name.as_str() {
            "bit" => (DataType::Boolean, name.clone(), Form::Bit, Itself, own("{}"), -7),
            "tinyint" => (DataType::Int64, name.clone(), Form::Integer, Itself, own("{}"), -6),
            "smallint" => (DataType::Int64, name.clone(), Form::Integer, Itself, own("{}"), 5),
            "int" => (DataType::Int64, name.clone(), Form::Integer, Itself, own("{}"), 4),
            "bigint" => (DataType::Int64, name.clone(), Form::Integer, Itself, own("{}"), -5),
            "real" => (DataType::Float32, name.clone(), Form::Real, Itself, own("{}"), 7),
            "float" => (DataType::Float64, name.clone(), Form::Float, Itself, own("{}"), 8),
            "decimal" | "numeric" => {
                let native = format!("{name}({precision},{scale})");
                let cast = format!("CAST({{}} AS {native})");
                (DataType::Decimal, native, Form::Decimal(digits), Itself, cast, if name == "decimal" { 3 } else { 2 })
            }
            "money" | "smallmoney" => {
                let whole = if name == "money" { 19 } else { 10 };
                let cast = format!("CAST(CAST({{}} AS decimal({whole},4)) AS {name})");
                (DataType::Decimal, name.clone(), Form::Decimal(4), Decimal(whole), cast, 3)
            }
            "char" | "varchar" => {
                let cast = collation.map_or_else(String::new, |collation| format!("CAST({{}} COLLATE {collation} AS {})", sized(1)));
                let asked = if readable { Itself } else { Text };
                (DataType::Text, sized(1), Form::Text, asked, cast, if name == "char" { 1 } else { 12 })
            }
            "nchar" => (DataType::Text, sized(2), Form::Text, Itself, own("{}"), -15),
            "nvarchar" => (DataType::Text, sized(2), Form::Text, Itself, own("{}"), -9),
            "text" => (DataType::Text, name.clone(), Form::Text, if readable { Modern("varchar(max)") } else { Text }, String::new(), -1),
            "ntext" => (DataType::Text, name.clone(), Form::Text, Modern("nvarchar(max)"), String::new(), -16),
            "xml" => (DataType::Text, name.clone(), Form::Text, Text, String::new(), -16),
            "json" => (DataType::Json, name.clone(), Form::Text, Text, String::new(), -9),
            "vector" => (DataType::Text, name.clone(), Form::Text, Text, String::new(), -9),
            "uniqueidentifier" => (DataType::Text, name.clone(), Form::Guid, Itself, own("CAST({} AS uniqueidentifier)"), 1),
            "date" => (DataType::Date, name.clone(), Form::Date, Itself, own("CAST({} AS date)"), 91),
            "time" => {
                let native = format!("time({scale})");
                let cast = format!("CAST({{}} AS {native})");
                (DataType::Time, native, Form::Time(digits), Itself, cast, 92)
            }
            "datetime" => (DataType::DateTime, name.clone(), Form::DateTime, Itself, own("CONVERT(datetime, {}, 121)"), 93),
            "smalldatetime" => (DataType::DateTime, name.clone(), Form::SmallDateTime, Itself, own("CONVERT(smalldatetime, {}, 121)"), 93),
            "datetime2" => {
                let native = format!("datetime2({scale})");
                let cast = format!("CAST({{}} AS {native})");
                (DataType::DateTime, native, Form::DateTime2(digits), Itself, cast, 93)
            }
            "datetimeoffset" => {
                let native = format!("datetimeoffset({scale})");
                let cast = format!("CAST({{}} AS {native})");
                // an instant in UTC would lose the offset
                (DataType::Text, native, Form::DateTimeOffset(digits), Itself, cast, -155)
            }
            "binary" => (DataType::Bytes, sized(1), Form::Bytes, Itself, own("{}"), -2),
            "varbinary" => (DataType::Bytes, sized(1), Form::Bytes, Itself, own("{}"), -3),
            "image" => (DataType::Bytes, name.clone(), Form::Bytes, Modern("varbinary(max)"), String::new(), -4),
            "timestamp" | "rowversion" => (DataType::Bytes, "rowversion".to_owned(), Form::Bytes, Itself, own("{}"), -2),
            "sql_variant" => (DataType::Json, name.clone(), Form::Variant, Variant, String::new(), -156),
            "hierarchyid" => (DataType::Text, name.clone(), Form::Text, Path, own("CAST({} AS hierarchyid)"), -3),
            "geometry" => (DataType::Bytes, name.clone(), Form::Bytes, Bytes, String::new(), -157),
            "geography" => (DataType::Bytes, name.clone(), Form::Bytes, Bytes, String::new(), -158),
            // a CLR type of the database's own, as it is stored
            _ if from.base.is_none() => (DataType::Bytes, name.clone(), Form::Bytes, Bytes, String::new(), -3),
            _ => match settings.unknown_types {
                UnknownTypes::Stop => return Err(Unusable::Unknown(name)),
                UnknownTypes::Skip if from.key.is_none() => return Err(Unusable::Skipped),
                UnknownTypes::Skip => return Err(Unusable::Key(name)),
                UnknownTypes::Text => (DataType::Text, name.clone(), Form::Text, Text, String::new(), -9),
            },
        };
        if from.key.is_some() && cast.is_empty() {
            return Err(Unusable::Key(name));
        }
        let large = from.length < 0 || matches!(name.as_str(), "text" | "ntext" | "image" | "xml" | "json");
        let cut = match name.as_str() {
            _ if !large => None,
            // half of a JSON text is none
            "varchar" | "text" | "nvarchar" | "ntext" | "xml" => {
                let unit = if matches!((name.as_str(), asked), ("varchar", Itself) | ("text", Modern(_))) { 1 } else { 2 };
                settings.text_limit.map(|at| Cut { at: at.min(most), unit })
            }
            "varbinary" | "image" => settings.binary_limit.map(|at| Cut { at: at.min(most), unit: 1 }),
            _ => None,
        };
        Ok(Self {
            id: from.id,
            name: from.name.clone(),
            data_type,
            native: NativeType::parse(&native),
            nullable: from.nullable,
            computed: from.computed,
            form,
            jdbc_type,
            digits: match data_type {
                DataType::Decimal if name.ends_with("money") => Some((if name == "money" { 19 } else { 10 }, 4)),
                DataType::Decimal => Some((precision, scale)),
                DataType::Int64 | DataType::Float32 | DataType::Float64 => Some((precision, 0)),
                _ => None,
            },
            most: large.then_some(most),
            cut,
            replaces: settings.replace_invalid_text && matches!(name.as_str(), "nchar" | "nvarchar"),
            asked,
            cast,
        })
    }

    /// Whether a value of it may be so large that it does not come.
    pub(super) fn may_be_too_large(&self) -> bool {
        self.most.is_some() && self.cut.is_none()
    }

    /// How many bytes the server counts of its value.
    pub(super) fn size(&self, alias: &str) -> String {
        format!("DATALENGTH({alias}.{})", quoted(&self.name))
    }

    /// What is asked for: one or two items of a select list. `bytes`: how large all values of a row are together that may be too large.
    pub(super) fn select(&self, alias: &str, bytes: Option<&str>) -> String {
        let column = format!("{alias}.{}", quoted(&self.name));
        let asked = match self.asked {
            Asked::Itself => column,
            Asked::Modern(native) => format!("CAST({column} AS {native})"),
            Asked::Decimal(precision) => format!("CAST({column} AS decimal({precision},4))"),
            Asked::Text => format!("CAST({column} AS nvarchar(max))"),
            Asked::Path => format!("{column}.ToString()"),
            Asked::Bytes => format!("CAST({column} AS varbinary(max))"),
            Asked::Variant => {
                let base = format!("SQL_VARIANT_PROPERTY({column}, 'BaseType')");
                format!(
                    "CAST({base} AS nvarchar(128)), CASE WHEN {base} IN ('money', 'smallmoney') THEN CAST(CAST({column} AS money) AS \
                     decimal(19,4)) WHEN {base} IN {TEXTS} THEN NULL ELSE {column} END, CASE WHEN {base} IN {TEXTS} THEN CAST({column} AS \
                     nvarchar(max)) END"
                )
            }
        };
        match (self.most, self.cut) {
            (None, _) => asked,
            (Some(_), Some(cut)) => format!("CAST(DATALENGTH({asked}) AS bigint), {}", cut.part(&asked)),
            (Some(most), None) => {
                let size = self.size(alias);
                let bytes = bytes.unwrap_or(&size);
                format!("CAST({size} AS bigint), CASE WHEN {bytes} > {most} THEN NULL ELSE {asked} END")
            }
        }
    }

    /// Columns of the result that its value takes.
    pub(super) fn width(&self) -> usize {
        match self.form {
            Form::Variant => 3,
            _ if self.most.is_some() => 2,
            _ => 1,
        }
    }

    /// The value of a key's part that is parameter number `number`.
    pub(super) fn parameter(&self, number: usize) -> String {
        self.cast.replace("{}", &format!("@P{number}"))
    }
}
