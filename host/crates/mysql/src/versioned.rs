//! Rows of MariaDB's system-versioned tables: only those that are current are rows of the table for whoever reads it.
//!
//! The server logs history with the rows: an UPDATE is followed by an INSERT of the row that it replaced, a DELETE is an UPDATE that
//! sets the end of the row, and `DELETE HISTORY` deletes rows that ended before. A row is current when its end is the last moment
//! that its type holds.

use super::{
    cursor::{Cursor, Fault},
    decoder::{ColumnFault, Decoder},
    event::RowsKind,
    plan::Plan,
};
use sluicegate_model::change::Operation;

/// The last second of a TIMESTAMP, before MariaDB 11.5 and from it on (on 64-bit systems).
const LAST_SECONDS: [u64; 2] = [0x7fff_ffff, 0xffff_ffff];

/// What the next row means to whoever reads the table.
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// Only history changed.
    Nothing,
    /// A change, whose images begin at `images`.
    Change { operation: Operation, images: Cursor<'a> },
}

/// What the next row of `rows` means, whose end is in the column `row_end`; `rows` is then behind it.
pub fn next<'a>(plan: &Plan, row_end: usize, kind: RowsKind, rows: &mut Cursor<'a>) -> Result<Shown<'a>, ColumnFault> {
    let start = *rows;
    let first = is_current(&plan.decoders, row_end, rows)?;
    let change = |operation, images| Shown::Change { operation, images };
    Ok(match kind {
        RowsKind::Write if first => change(Operation::Insert, start),
        RowsKind::Delete if first => change(Operation::Delete, start),
        RowsKind::Write | RowsKind::Delete => Shown::Nothing,
        RowsKind::Update => {
            let middle = *rows;
            match (first, is_current(&plan.decoders, row_end, rows)?) {
                (true, true) => change(Operation::Update, start),
                (true, false) => change(Operation::Delete, start),
                (false, true) => change(Operation::Insert, middle),
                (false, false) => Shown::Nothing,
            }
        }
    })
}

/// Whether the image that `rows` begins with is current; `rows` is then behind it.
fn is_current(decoders: &[Decoder], row_end: usize, rows: &mut Cursor<'_>) -> Result<bool, ColumnFault> {
    let nulls = rows.take(decoders.len().div_ceil(8)).map_err(|fault| ColumnFault { column: None, fault })?;
    let mut current = true;
    for (i, decoder) in decoders.iter().enumerate().filter(|(i, _)| nulls[i >> 3] >> (i & 7) & 1 == 0) {
        let mut value = *rows;
        decoder.skip(rows).map_err(|fault| ColumnFault { column: Some(i), fault })?;
        if i == row_end {
            current = is_last(decoder, &mut value).map_err(|fault| ColumnFault { column: Some(i), fault })?;
        }
    }
    Ok(current)
}

fn is_last(decoder: &Decoder, value: &mut Cursor<'_>) -> Result<bool, Fault> {
    Ok(match decoder {
        Decoder::Timestamp(6) => LAST_SECONDS.contains(&value.uint_be(4)?) && value.uint_be(3)? == 999_999,
        // the number of the transaction that ended it
        Decoder::UInt64 => value.u64()? == u64::MAX,
        _ => return Err(Fault::Invalid("the end of a versioned row in an unknown type")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECODERS: [Decoder; 3] = [Decoder::Int32, Decoder::Timestamp(6), Decoder::Timestamp(6)];

    fn image(end: [u8; 7]) -> Vec<u8> {
        [&[0xf8, 1, 0, 0, 0, 0x6b, 8, 0x9c, 0x92, 9, 0xc2, 0x11][..], &end].concat()
    }

    #[test]
    fn a_row_is_current_until_its_end_is_set() {
        for (end, expected) in [
            ([0x7f, 0xff, 0xff, 0xff, 0x0f, 0x42, 0x3f], true),
            ([0xff, 0xff, 0xff, 0xff, 0x0f, 0x42, 0x3f], true),
            ([0x6b, 0x08, 0x9c, 0x92, 0x09, 0xc3, 0x94], false),
            ([0x7f, 0xff, 0xff, 0xff, 0x0f, 0x42, 0x3e], false),
        ] {
            let image = image(end);
            let mut rows = Cursor(&image);
            assert_eq!(is_current(&DECODERS, 2, &mut rows), Ok(expected));
            assert!(rows.is_empty());
            assert!(is_current(&DECODERS, 2, &mut Cursor(&image[..image.len() - 1])).is_err());
        }
    }
}
