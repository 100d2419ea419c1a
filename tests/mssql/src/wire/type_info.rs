//! Types as COLMETADATA and return values have them.

use super::token::{byte_text, short_text};
use crate::{
    execute::OutColumn,
    value::{Kind, Type, number},
};

/// The assembly of the CLR's types (G111).
const ASSEMBLY: &str = "Microsoft.SqlServer.Types, Version=11.0.0.0, Culture=neutral, PublicKeyToken=89845dcd8080cc91";

/// The user type of a rowversion column (G113).
pub fn user_type(kind: Kind) -> u32 {
    if kind == Kind::RowVersion { 0x50 } else { 0 }
}

fn counted(out: &mut Vec<u8>, token: u8, length: Option<u16>, width: u16) {
    out.push(token);
    out.extend(length.map_or(0xFFFF, |n| n * width).to_le_bytes());
}

/// The type of a column. Columns that cannot be NULL have fixed-length types where there are any (G108).
pub fn push(out: &mut Vec<u8>, column: &OutColumn) {
    let of = &column.of;
    let fixed = |out: &mut Vec<u8>, token: u8, nullable: [u8; 2]| {
        if column.nullable {
            out.extend(nullable);
        } else {
            out.push(token);
        }
    };
    match of.kind {
        Kind::Bit => fixed(out, 0x32, [0x68, 1]),
        Kind::TinyInt => fixed(out, 0x30, [0x26, 1]),
        Kind::SmallInt => fixed(out, 0x34, [0x26, 2]),
        Kind::Int => fixed(out, 0x38, [0x26, 4]),
        Kind::BigInt => fixed(out, 0x7F, [0x26, 8]),
        Kind::Real => fixed(out, 0x3B, [0x6D, 4]),
        Kind::Float => fixed(out, 0x3E, [0x6D, 8]),
        Kind::SmallMoney => fixed(out, 0x7A, [0x6E, 4]),
        Kind::Money => fixed(out, 0x3C, [0x6E, 8]),
        Kind::SmallDateTime => fixed(out, 0x3A, [0x6F, 4]),
        Kind::DateTime => fixed(out, 0x3D, [0x6F, 8]),
        Kind::Decimal(p, s) => out.extend([0x6A, number::storage(p) as u8, p, s]),
        Kind::UniqueIdentifier => out.extend([0x24, 16]),
        Kind::Date => out.push(0x28),
        Kind::Time(s) => out.extend([0x29, s]),
        Kind::DateTime2(s) => out.extend([0x2A, s]),
        Kind::DateTimeOffset(s) => out.extend([0x2B, s]),
        Kind::Char(n) => text(out, 0xAF, Some(n), 1, of),
        Kind::VarChar(n) => text(out, 0xA7, n, 1, of),
        Kind::NChar(n) => text(out, 0xEF, Some(n), 2, of),
        Kind::NVarChar(n) => text(out, 0xE7, n, 2, of),
        Kind::Binary(n) => counted(out, 0xAD, Some(n), 1),
        Kind::RowVersion => counted(out, 0xAD, Some(8), 1),
        Kind::VarBinary(n) => counted(out, 0xA5, n, 1),
        Kind::Text | Kind::NText | Kind::Image => large(out, column),
        Kind::Xml => out.extend([0xF1, 0]),
        Kind::Json | Kind::Vector(_) => text(out, 0xA7, None, 1, of),
        Kind::Variant => {
            out.push(0x62);
            out.extend(8009_u32.to_le_bytes());
        }
        Kind::HierarchyId | Kind::Geometry | Kind::Geography => {
            out.push(0xF0);
            out.extend(if of.kind == Kind::HierarchyId { 892_u16 } else { 0xFFFF }.to_le_bytes());
            byte_text(out, column.table.as_ref().map_or("", |t| t.0.as_str()));
            byte_text(out, "sys");
            byte_text(out, of.kind.name());
            let class = match of.kind {
                Kind::HierarchyId => "SqlHierarchyId",
                Kind::Geometry => "SqlGeometry",
                _ => "SqlGeography",
            };
            short_text(out, &format!("Microsoft.SqlServer.Types.{class}, {ASSEMBLY}"));
        }
    }
}

fn text(out: &mut Vec<u8>, token: u8, length: Option<u16>, width: u16, of: &Type) {
    counted(out, token, length, width);
    out.extend(of.collation.wire);
}

/// text, ntext and image name their table (G112).
fn large(out: &mut Vec<u8>, column: &OutColumn) {
    let (token, length) = match column.of.kind {
        Kind::Text => (0x23, 0x7FFF_FFFF_u32),
        Kind::NText => (0x63, 0x7FFF_FFFE),
        _ => (0x22, 0x7FFF_FFFF),
    };
    out.push(token);
    out.extend(length.to_le_bytes());
    if column.of.kind != Kind::Image {
        out.extend(column.of.collation.wire);
    }
    match &column.table {
        None => out.push(0),
        Some((database, schema, table)) => {
            out.push(3);
            for part in [database, schema, table] {
                short_text(out, part);
            }
        }
    }
}
