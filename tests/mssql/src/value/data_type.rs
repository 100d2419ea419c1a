//! The types of columns, variables and expressions.

use super::collation::Collation;
use crate::error::{Result, SqlError};

/// What a value is, with its lengths. `None` as a length is `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are SQL Server's")]
pub enum Kind {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Decimal(u8, u8),
    SmallMoney,
    Money,
    Real,
    Float,
    Char(u16),
    VarChar(Option<u16>),
    NChar(u16),
    NVarChar(Option<u16>),
    Text,
    NText,
    Binary(u16),
    VarBinary(Option<u16>),
    Image,
    Date,
    Time(u8),
    DateTime,
    SmallDateTime,
    DateTime2(u8),
    DateTimeOffset(u8),
    UniqueIdentifier,
    Xml,
    /// Of SQL Server 2025. Clients that do not know it get its text.
    Json,
    /// Of SQL Server 2025, with so many numbers. Clients that do not know it get its text.
    Vector(u16),
    RowVersion,
    Variant,
    HierarchyId,
    Geometry,
    Geography,
}

/// A kind with the collation that its text is compared and encoded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Type {
    /// What the value is.
    pub kind: Kind,
    /// Of text; of anything else it means nothing.
    pub collation: &'static Collation,
}

impl From<Kind> for Type {
    fn from(kind: Kind) -> Self {
        Self { kind, collation: Collation::of_server() }
    }
}

impl Kind {
    /// A type by its name and the numbers in parentheses; `max` is `None` inside the option.
    pub fn named(name: &str, arguments: &[Option<u32>]) -> Result<Self> {
        let wrong = || SqlError::new(2716, format!("Column, parameter, or variable: Cannot specify a column width on data type {name}."));
        let length = |default: u16, most: u16| match arguments {
            [] => Ok(default),
            [Some(n)] if (1..=u32::from(most)).contains(n) => Ok(u16::try_from(*n).unwrap_or(most)),
            [Some(0)] => Err(SqlError::new(1001, "Line 1: Length or precision specification 0 is invalid.").class(15)),
            [Some(n)] => {
                let text = format!("The size ({n}) given to the type '{name}' exceeds the maximum allowed for any data type ({most}).");
                Err(SqlError::new(131, text).class(15))
            }
            _ => Err(wrong()),
        };
        let or_max = |most: u16| if arguments == [None] { Ok(None) } else { length(1, most).map(Some) };
        let scale = || match arguments {
            [] => Ok(7),
            [Some(n @ 0..=7)] => Ok(u8::try_from(*n).unwrap_or(7)),
            _ => Err(SqlError::new(1002, "Line 1: Specified scale is invalid.").class(15)),
        };
        let plain = |kind: Kind| if arguments.is_empty() { Ok(kind) } else { Err(wrong()) };
        match name.to_ascii_lowercase().as_str() {
            "bit" => plain(Self::Bit),
            "tinyint" => plain(Self::TinyInt),
            "smallint" => plain(Self::SmallInt),
            "int" | "integer" => plain(Self::Int),
            "bigint" => plain(Self::BigInt),
            "decimal" | "numeric" | "dec" => match arguments {
                [] => Ok(Self::Decimal(18, 0)),
                [Some(p @ 1..=38)] => Ok(Self::Decimal(u8::try_from(*p).unwrap_or(38), 0)),
                [Some(p @ 1..=38), Some(s)] if s <= p => Ok(Self::Decimal(u8::try_from(*p).unwrap_or(38), u8::try_from(*s).unwrap_or(0))),
                _ => {
                    Err(SqlError::new(2750, "Column or parameter: Specified column precision is greater than the maximum precision of 38."))
                }
            },
            "smallmoney" => plain(Self::SmallMoney),
            "money" => plain(Self::Money),
            "real" => plain(Self::Real),
            "float" => match arguments {
                [] | [Some(25..=53)] => Ok(Self::Float),
                [Some(1..=24)] => Ok(Self::Real),
                _ => Err(wrong()),
            },
            "char" | "character" => length(1, 8000).map(Self::Char),
            "varchar" => or_max(8000).map(Self::VarChar),
            "nchar" => length(1, 4000).map(Self::NChar),
            "nvarchar" => or_max(4000).map(Self::NVarChar),
            "sysname" => plain(Self::NVarChar(Some(128))),
            "text" => plain(Self::Text),
            "ntext" => plain(Self::NText),
            "binary" => length(1, 8000).map(Self::Binary),
            "varbinary" => or_max(8000).map(Self::VarBinary),
            "image" => plain(Self::Image),
            "date" => plain(Self::Date),
            "time" => scale().map(Self::Time),
            "datetime" => plain(Self::DateTime),
            "smalldatetime" => plain(Self::SmallDateTime),
            "datetime2" => scale().map(Self::DateTime2),
            "datetimeoffset" => scale().map(Self::DateTimeOffset),
            "uniqueidentifier" => plain(Self::UniqueIdentifier),
            "xml" => plain(Self::Xml),
            "json" => plain(Self::Json),
            "vector" => length(1, 1998).map(Self::Vector),
            "rowversion" | "timestamp" => plain(Self::RowVersion),
            "sql_variant" => plain(Self::Variant),
            "hierarchyid" => plain(Self::HierarchyId),
            "geometry" => plain(Self::Geometry),
            "geography" => plain(Self::Geography),
            _ => Err(SqlError::new(2715, format!("Column, parameter, or variable: Cannot find data type {name}."))),
        }
    }

    /// The name of the type without lengths, as `sys.types` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bit => "bit",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Decimal(..) => "decimal",
            Self::SmallMoney => "smallmoney",
            Self::Money => "money",
            Self::Real => "real",
            Self::Float => "float",
            Self::Char(_) => "char",
            Self::VarChar(_) => "varchar",
            Self::NChar(_) => "nchar",
            Self::NVarChar(_) => "nvarchar",
            Self::Text => "text",
            Self::NText => "ntext",
            Self::Binary(_) => "binary",
            Self::VarBinary(_) => "varbinary",
            Self::Image => "image",
            Self::Date => "date",
            Self::Time(_) => "time",
            Self::DateTime => "datetime",
            Self::SmallDateTime => "smalldatetime",
            Self::DateTime2(_) => "datetime2",
            Self::DateTimeOffset(_) => "datetimeoffset",
            Self::UniqueIdentifier => "uniqueidentifier",
            Self::Xml => "xml",
            Self::Json => "json",
            Self::Vector(_) => "vector",
            Self::RowVersion => "timestamp",
            Self::Variant => "sql_variant",
            Self::HierarchyId => "hierarchyid",
            Self::Geometry => "geometry",
            Self::Geography => "geography",
        }
    }

    /// `system_type_id` and `user_type_id` of `sys.types`.
    pub fn ids(self) -> (i64, i64) {
        let one = |id| (id, id);
        match self {
            Self::Image => one(34),
            Self::Text => one(35),
            Self::UniqueIdentifier => one(36),
            Self::Date => one(40),
            Self::Time(_) => one(41),
            Self::DateTime2(_) => one(42),
            Self::DateTimeOffset(_) => one(43),
            Self::TinyInt => one(48),
            Self::SmallInt => one(52),
            Self::Int => one(56),
            Self::SmallDateTime => one(58),
            Self::Real => one(59),
            Self::Money => one(60),
            Self::DateTime => one(61),
            Self::Float => one(62),
            Self::Variant => one(98),
            Self::NText => one(99),
            Self::Bit => one(104),
            Self::Decimal(..) => one(106),
            Self::SmallMoney => one(122),
            Self::BigInt => one(127),
            Self::VarBinary(_) => one(165),
            Self::VarChar(_) => one(167),
            Self::Binary(_) => one(173),
            Self::Char(_) => one(175),
            Self::RowVersion => one(189),
            Self::NVarChar(_) => one(231),
            Self::NChar(_) => one(239),
            Self::HierarchyId => (240, 128),
            Self::Geometry => (240, 129),
            Self::Geography => (240, 130),
            Self::Xml => one(241),
            Self::Json => one(244),
            // it is stored as varbinary, and says so
            Self::Vector(_) => (165, 255),
        }
    }

    /// `max_length`, `precision` and `scale` of `sys.columns`.
    pub fn sizes(self) -> (i64, i64, i64) {
        let or_max = |length: Option<u16>, width: i64| length.map_or(-1, |n| i64::from(n) * width);
        let time = |scale: u8| match scale {
            0..=2 => 3,
            3..=4 => 4,
            _ => 5,
        };
        match self {
            Self::Bit => (1, 1, 0),
            Self::TinyInt => (1, 3, 0),
            Self::SmallInt => (2, 5, 0),
            Self::Int => (4, 10, 0),
            Self::BigInt => (8, 19, 0),
            Self::Decimal(p, s) => (super::number::storage(p), i64::from(p), i64::from(s)),
            Self::SmallMoney => (4, 10, 4),
            Self::Money => (8, 19, 4),
            Self::Real => (4, 24, 0),
            Self::Float => (8, 53, 0),
            Self::Char(n) | Self::Binary(n) => (i64::from(n), 0, 0),
            Self::VarChar(n) | Self::VarBinary(n) => (or_max(n, 1), 0, 0),
            Self::NChar(n) => (i64::from(n) * 2, 0, 0),
            Self::NVarChar(n) => (or_max(n, 2), 0, 0),
            Self::Text | Self::NText | Self::Image => (16, 0, 0),
            Self::Date => (3, 10, 0),
            Self::Time(s) => (time(s), 8 + i64::from(s) + i64::from(s > 0), i64::from(s)),
            Self::DateTime => (8, 23, 3),
            Self::SmallDateTime => (4, 16, 0),
            Self::DateTime2(s) => (time(s) + 3, 19 + i64::from(s) + i64::from(s > 0), i64::from(s)),
            Self::DateTimeOffset(s) => (time(s) + 5, 26 + i64::from(s) + i64::from(s > 0), i64::from(s)),
            Self::UniqueIdentifier => (16, 0, 0),
            Self::Xml | Self::Json | Self::Geometry | Self::Geography => (-1, 0, 0),
            Self::Vector(n) => (i64::from(n) * 4 + 8, 0, 0),
            Self::RowVersion => (8, 0, 0),
            Self::Variant => (8016, 0, 0),
            Self::HierarchyId => (892, 0, 0),
        }
    }

    /// Is it text in the column's collation?
    pub fn is_text(self) -> bool {
        matches!(self, Self::Char(_) | Self::VarChar(_) | Self::NChar(_) | Self::NVarChar(_) | Self::Text | Self::NText)
    }

    /// Is it text as UTF-16?
    pub fn is_wide(self) -> bool {
        matches!(self, Self::NChar(_) | Self::NVarChar(_) | Self::NText | Self::Xml)
    }

    /// Is it bytes?
    pub fn is_binary(self) -> bool {
        matches!(self, Self::Binary(_) | Self::VarBinary(_) | Self::Image | Self::RowVersion)
    }

    /// Is it a whole number?
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Bit | Self::TinyInt | Self::SmallInt | Self::Int | Self::BigInt)
    }

    /// Is it a type of one of the CLR's assemblies?
    pub fn is_clr(self) -> bool {
        matches!(self, Self::HierarchyId | Self::Geometry | Self::Geography)
    }

    /// Has a column of the type no place in a key or comparison?
    pub fn is_large(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::NText
                | Self::Image
                | Self::Xml
                | Self::Json
                | Self::Vector(_)
                | Self::Geometry
                | Self::Geography
                | Self::VarChar(None)
                | Self::NVarChar(None)
                | Self::VarBinary(None)
        )
    }

    /// Rank in the order of precedence: of two types in one expression, the one with the higher rank is what both become.
    pub fn rank(self) -> u8 {
        match self {
            Self::HierarchyId | Self::Geometry | Self::Geography => 30,
            Self::Variant => 29,
            Self::Xml | Self::Json | Self::Vector(_) => 28,
            Self::DateTimeOffset(_) => 27,
            Self::DateTime2(_) => 26,
            Self::DateTime => 25,
            Self::SmallDateTime => 24,
            Self::Date => 23,
            Self::Time(_) => 22,
            Self::Float => 21,
            Self::Real => 20,
            Self::Decimal(..) => 19,
            Self::Money => 18,
            Self::SmallMoney => 17,
            Self::BigInt => 16,
            Self::Int => 15,
            Self::SmallInt => 14,
            Self::TinyInt => 13,
            Self::Bit => 12,
            Self::NText => 11,
            Self::Text => 10,
            Self::Image => 9,
            Self::RowVersion => 8,
            Self::UniqueIdentifier => 7,
            Self::NVarChar(_) => 6,
            Self::NChar(_) => 5,
            Self::VarChar(_) => 4,
            Self::Char(_) => 3,
            Self::VarBinary(_) => 2,
            Self::Binary(_) => 1,
        }
    }
}

impl Type {
    /// The type both sides of an operator become.
    pub fn unify(self, other: Self) -> Self {
        let (high, low) = if self.kind.rank() >= other.kind.rank() { (self, other) } else { (other, self) };
        let longer = |a: Option<u16>, b: Option<u16>| a.zip(b).map(|(a, b)| a.max(b));
        let kind = match (high.kind, low.kind) {
            (Kind::Decimal(p, s), low_kind) => {
                let (lp, ls) = match low_kind {
                    Kind::Decimal(p, s) => (p, s),
                    Kind::Money => (19, 4),
                    Kind::SmallMoney => (10, 4),
                    Kind::BigInt => (19, 0),
                    Kind::Int => (10, 0),
                    Kind::SmallInt => (5, 0),
                    Kind::TinyInt => (3, 0),
                    Kind::Bit => (1, 0),
                    _ => (p, s),
                };
                let scale = s.max(ls);
                Kind::Decimal(((p - s).max(lp - ls) + scale).min(38), scale)
            }
            (Kind::NVarChar(a), Kind::NVarChar(b) | Kind::VarChar(b)) => Kind::NVarChar(longer(a, b)),
            (Kind::NVarChar(a), Kind::NChar(b) | Kind::Char(b)) => Kind::NVarChar(longer(a, Some(b))),
            (Kind::NChar(a), Kind::NChar(b)) => Kind::NChar(a.max(b)),
            (Kind::NChar(a), Kind::VarChar(b)) => Kind::NVarChar(longer(Some(a), b)),
            (Kind::NChar(a), Kind::Char(b)) => Kind::NChar(a.max(b)),
            (Kind::VarChar(a), Kind::VarChar(b)) => Kind::VarChar(longer(a, b)),
            (Kind::VarChar(a), Kind::Char(b)) => Kind::VarChar(longer(a, Some(b))),
            (Kind::Char(a), Kind::Char(b)) => Kind::Char(a.max(b)),
            (Kind::VarBinary(a), Kind::VarBinary(b)) => Kind::VarBinary(longer(a, b)),
            (Kind::VarBinary(a), Kind::Binary(b)) => Kind::VarBinary(longer(a, Some(b))),
            (Kind::Binary(a), Kind::Binary(b)) => Kind::Binary(a.max(b)),
            (Kind::Time(a), Kind::Time(b)) => Kind::Time(a.max(b)),
            (Kind::DateTime2(a), Kind::DateTime2(b)) => Kind::DateTime2(a.max(b)),
            (Kind::DateTimeOffset(a), Kind::DateTimeOffset(b) | Kind::DateTime2(b)) => Kind::DateTimeOffset(a.max(b)),
            (kind, _) => kind,
        };
        // a column's collation counts more than a literal's, which has the database's
        let collation = if low.kind.is_text() && !low.collation.is_default() { low.collation } else { high.collation };
        Self { kind, collation: if high.kind.is_text() && !high.collation.is_default() { high.collation } else { collation } }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.kind.name();
        match self.kind {
            Kind::Decimal(p, s) => write!(f, "{name}({p},{s})"),
            Kind::Char(n) | Kind::NChar(n) | Kind::Binary(n) => write!(f, "{name}({n})"),
            Kind::VarChar(n) | Kind::NVarChar(n) | Kind::VarBinary(n) => match n {
                Some(n) => write!(f, "{name}({n})"),
                None => write!(f, "{name}(max)"),
            },
            Kind::Vector(n) => write!(f, "{name}({n})"),
            Kind::Time(n) | Kind::DateTime2(n) | Kind::DateTimeOffset(n) => write!(f, "{name}({n})"),
            _ => f.write_str(name),
        }
    }
}
