//! Tokens of answers.

use super::{type_info, value};
use crate::{
    error::{Result, SqlError},
    execute::{OutColumn, ResultSet},
};

/// More tokens of the same answer follow.
pub const MORE: u16 = 1;
/// The statement failed.
pub const ERROR: u16 = 2;
/// The number of rows counts.
pub const COUNT: u16 = 0x10;
/// The client's cancellation is acknowledged.
pub const ATTENTION: u16 = 0x20;

/// The end of a batch's statement, of a procedure's statement, of a procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Batch,
    Statement,
    Procedure,
}

/// A text with its length in one byte.
pub fn byte_text(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(255).collect();
    out.push(units.len() as u8);
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
}

/// A text with its length in two bytes.
pub fn short_text(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().take(0xFFFF).collect();
    out.extend((units.len() as u16).to_le_bytes());
    out.extend(units.iter().flat_map(|u| u.to_le_bytes()));
}

/// DONE, DONEINPROC or DONEPROC.
pub fn done(out: &mut Vec<u8>, end: End, status: u16, count: u64) {
    out.push(match end {
        End::Batch => 0xFD,
        End::Statement => 0xFF,
        End::Procedure => 0xFE,
    });
    out.extend(status.to_le_bytes());
    out.extend(0xC1_u16.to_le_bytes());
    out.extend(count.to_le_bytes());
}

/// ERROR or INFO, and what follows it.
pub fn message(out: &mut Vec<u8>, error: &SqlError) {
    let mut body = Vec::new();
    body.extend(error.number.to_le_bytes());
    // severities up to 10 are no errors
    body.extend([error.state, error.class]);
    short_text(&mut body, &error.text);
    byte_text(&mut body, "SIMULATOR");
    byte_text(&mut body, "");
    body.extend(1_u32.to_le_bytes());
    out.push(if error.class > 10 { 0xAA } else { 0xAB });
    out.extend((body.len() as u16).to_le_bytes());
    out.extend(body);
    if let Some(next) = &error.followed_by {
        message(out, next);
    }
}

/// ENVCHANGE
pub fn change(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(0xE3);
    out.extend((body.len() as u16 + 1).to_le_bytes());
    out.push(kind);
    out.extend(body);
}

/// ENVCHANGE of a text.
pub fn change_text(out: &mut Vec<u8>, kind: u8, new: &str, old: &str) {
    let mut body = Vec::new();
    byte_text(&mut body, new);
    byte_text(&mut body, old);
    change(out, kind, &body);
}

/// RETURNSTATUS
pub fn return_status(out: &mut Vec<u8>, status: i32) {
    out.push(0x79);
    out.extend(status.to_le_bytes());
}

/// RETURNVALUE of an int, such as a statement's handle.
pub fn return_int(out: &mut Vec<u8>, ordinal: u16, name: &str, number: i32) {
    out.push(0xAC);
    out.extend(ordinal.to_le_bytes());
    byte_text(out, name);
    out.push(1);
    out.extend([0; 6]);
    out.extend([0x26, 4, 4]);
    out.extend(number.to_le_bytes());
}

/// COLMETADATA
pub fn columns(out: &mut Vec<u8>, columns: &[OutColumn]) {
    out.push(0x81);
    out.extend((columns.len() as u16).to_le_bytes());
    for column in columns {
        out.extend(type_info::user_type(column.of.kind).to_le_bytes());
        let case = column.of.kind.is_text() && column.of.collation.is_case_sensitive();
        let flags = u16::from(column.nullable)
            | u16::from(case) << 1
            | u16::from(column.stored) << 3
            | u16::from(column.identity) << 4
            | u16::from(!column.stored && !column.read_only && !column.identity) << 5;
        out.extend(flags.to_le_bytes());
        type_info::push(out, column);
        byte_text(out, &column.name);
    }
}

/// ROW, or NBCROW where a bitmap of the NULLs is shorter.
pub fn row(out: &mut Vec<u8>, set: &ResultSet, at: usize) -> Result<()> {
    let Some(row) = set.rows.get(at) else { return Ok(()) };
    let bitmap = set.columns.len().div_ceil(8);
    let nulls = row.iter().filter(|v| v.is_null()).count();
    if nulls <= bitmap {
        out.push(0xD1);
        return row.iter().zip(&set.columns).try_for_each(|(value, column)| value::push(out, value, column));
    }
    out.push(0xD2);
    let mut bits = vec![0_u8; bitmap];
    for (at, _) in row.iter().enumerate().filter(|(_, v)| v.is_null()) {
        bits[at / 8] |= 1 << (at % 8);
    }
    out.extend(bits);
    row.iter().zip(&set.columns).filter(|(v, _)| !v.is_null()).try_for_each(|(value, column)| value::push(out, value, column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Datum, Kind};

    fn encoded(kind: Kind, nullable: bool, value: Datum) -> Vec<u8> {
        let column = OutColumn { stored: true, ..OutColumn::plain("", kind, nullable) };
        let set = ResultSet { columns: vec![column], rows: vec![[value].into()] };
        let mut out = Vec::new();
        columns(&mut out, &set.columns);
        row(&mut out, &set, 0).expect("a row");
        out
    }

    #[test]
    fn g107_an_int_has_the_bytes_of_a_real_server() {
        let fixed = [0x81, 1, 0, 0, 0, 0, 0, 0x08, 0, 0x38, 0, 0xD1, 5, 0, 0, 0];
        assert_eq!(encoded(Kind::Int, false, Datum::Int(5)), fixed);
        let nullable = [0x81, 1, 0, 0, 0, 0, 0, 0x09, 0, 0x26, 4, 0, 0xD1, 4, 5, 0, 0, 0];
        assert_eq!(encoded(Kind::Int, true, Datum::Int(5)), nullable);
    }

    #[test]
    fn g108_only_columns_that_cannot_be_null_have_fixed_types() {
        let kinds = [
            (Kind::TinyInt, 0x30, 0x26),
            (Kind::SmallInt, 0x34, 0x26),
            (Kind::BigInt, 0x7F, 0x26),
            (Kind::Bit, 0x32, 0x68),
            (Kind::Real, 0x3B, 0x6D),
            (Kind::Float, 0x3E, 0x6D),
            (Kind::SmallMoney, 0x7A, 0x6E),
            (Kind::Money, 0x3C, 0x6E),
            (Kind::SmallDateTime, 0x3A, 0x6F),
            (Kind::DateTime, 0x3D, 0x6F),
            (Kind::Decimal(9, 2), 0x6A, 0x6A),
            (Kind::Date, 0x28, 0x28),
            (Kind::Time(7), 0x29, 0x29),
            (Kind::DateTime2(7), 0x2A, 0x2A),
            (Kind::DateTimeOffset(7), 0x2B, 0x2B),
            (Kind::UniqueIdentifier, 0x24, 0x24),
        ];
        for (kind, fixed, nullable) in kinds {
            let token = |can: bool| {
                let mut out = Vec::new();
                type_info::push(&mut out, &OutColumn::plain("", kind, can));
                out[0]
            };
            assert_eq!((token(false), token(true)), (fixed, nullable), "{kind:?}");
        }
    }

    #[test]
    fn g109_the_high_half_of_money_comes_first() {
        let bytes = encoded(Kind::Money, false, Datum::Money(0x0000_0001_0000_0002));
        assert_eq!(bytes[bytes.len() - 8..], [1, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn g112_old_large_values_carry_a_text_pointer() {
        let bytes = encoded(Kind::Image, true, Datum::bytes(&[7]));
        let expected = [&[16], b"dummy textptr\0\0\0".as_slice(), b"dummyTS\0", &[1, 0, 0, 0, 7]].concat();
        assert!(bytes.ends_with(&expected));
    }

    #[test]
    fn g113_a_rowversion_has_its_user_type() {
        let bytes = encoded(Kind::RowVersion, false, Datum::bytes(&[0; 8]));
        assert_eq!(bytes[3..7], [0x50, 0, 0, 0]);
    }

    #[test]
    fn g110_a_decimal_in_a_variant_has_a_sign_and_16_bytes_and_null_no_length() {
        let variant = Datum::Variant(std::sync::Arc::new((Kind::Decimal(5, 2).into(), Datum::Decimal(-150, 2))));
        let bytes = encoded(Kind::Variant, true, variant);
        let expected = [&[21, 0, 0, 0, 0x6A, 2, 5, 2, 0, 150], [0_u8; 15].as_slice()].concat();
        assert!(bytes.ends_with(&expected), "{bytes:02X?}");
        assert!(encoded(Kind::Variant, true, Datum::Null).ends_with(&[0xD1, 0, 0, 0, 0]));
    }

    #[test]
    fn g111_a_hierarchyid_is_a_udt_of_its_assembly() {
        let mut out = Vec::new();
        type_info::push(&mut out, &OutColumn::plain("", Kind::HierarchyId, true));
        assert_eq!(out[..3], [0xF0, 0x7C, 0x03]);
        let text: String = out.iter().filter(|b| b.is_ascii_graphic()).map(|b| char::from(*b)).collect();
        assert!(text.contains("sys") && text.contains("PublicKeyToken=89845dcd8080cc91"), "{text}");
    }
}
