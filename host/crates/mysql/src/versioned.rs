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
    presence::Presence,
};
use sluicegate_model::change::{Image, Operation};

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
pub fn next<'a>(
    plan: &Plan,
    row_end: usize,
    kind: RowsKind,
    partial: Option<&Presence>,
    rows: &mut Cursor<'a>,
) -> Result<Shown<'a>, ColumnFault> {
    let start = *rows;
    let holds = |image: Image| move |column: usize| partial.is_none_or(|partial| partial.holds(image, column));
    let change = |operation, images| Shown::Change { operation, images };
    let images = kind.images();
    // an image without the end is that of a current row: history is always written with it
    let first = is_current(&plan.decoders, holds(images[0]), row_end, rows)?.unwrap_or(true);
    Ok(match kind {
        RowsKind::Write if first => change(Operation::Insert, start),
        RowsKind::Delete if first => change(Operation::Delete, start),
        RowsKind::Write | RowsKind::Delete => Shown::Nothing,
        RowsKind::Update => {
            let middle = *rows;
            // what an after image lacks is as it was
            let second = is_current(&plan.decoders, holds(images[1]), row_end, rows)?.unwrap_or(first);
            match (first, second) {
                (true, true) => change(Operation::Update, start),
                (true, false) => change(Operation::Delete, start),
                (false, true) if partial.is_none() => change(Operation::Insert, middle),
                (false, true) => {
                    let fault = Fault::Invalid("a row that comes back from history, without all of its columns");
                    return Err(ColumnFault { column: None, fault });
                }
                (false, false) => Shown::Nothing,
            }
        }
    })
}

/// Whether the image that `rows` begins with is current; `None` when it lacks the column that tells. `rows` is then behind it.
fn is_current(
    decoders: &[Decoder],
    holds: impl Fn(usize) -> bool,
    row_end: usize,
    rows: &mut Cursor<'_>,
) -> Result<Option<bool>, ColumnFault> {
    let held = (0..decoders.len()).filter(|column| holds(*column)).count();
    let nulls = rows.take(held.div_ceil(8)).map_err(|fault| ColumnFault { column: None, fault })?;
    let mut current = None;
    for (i, (column, decoder)) in decoders.iter().enumerate().filter(|(column, _)| holds(*column)).enumerate() {
        if nulls[i >> 3] >> (i & 7) & 1 == 1 {
            continue;
        }
        let mut value = *rows;
        decoder.skip(rows).map_err(|fault| ColumnFault { column: Some(column), fault })?;
        if column == row_end {
            current = Some(is_last(decoder, &mut value).map_err(|fault| ColumnFault { column: Some(column), fault })?);
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
            assert_eq!(is_current(&DECODERS, |_| true, 2, &mut rows), Ok(Some(expected)));
            assert!(rows.is_empty());
            // the same without its end, and without the number before it
            let short = [&[0xfc][..], &image[1..image.len() - 7]].concat();
            assert_eq!(is_current(&DECODERS, |column| column < 2, 2, &mut Cursor(&short)), Ok(None));
            assert!(is_current(&DECODERS, |_| true, 2, &mut Cursor(&image[..image.len() - 1])).is_err());
        }
    }
}
