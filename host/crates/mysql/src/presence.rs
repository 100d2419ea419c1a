//! Rows events whose images lack columns: `binlog_row_image` MINIMAL and NOBLOB, and MariaDB's FULL_NODUP.
//!
//! An update logs in its after image at least the columns that changed. A column that it lacks is as it was, so its value is
//! taken from the before image where that has it, and is absent where not. What an inserted row lacks has the column's default,
//! which no event tells: it is absent, too.

use super::{
    cursor::{Cursor, Fault},
    decoder::{ColumnFault, Decoder},
    event::RowsKind,
};
use sluicegate_model::change::{Column, Image};

/// Which columns the images of an event hold: a bit for each, least significant first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    kind: RowsKind,
    /// Of the before image; of an insert, that of the after image.
    first: Box<[u8]>,
    /// Of the after image of an update; else the same as the first.
    second: Box<[u8]>,
    columns: usize,
}

impl Presence {
    /// `None` when every image holds every column. `first` and `second` have a bit for each of `columns`.
    pub fn unless_full(kind: RowsKind, first: &[u8], second: &[u8], columns: usize) -> Option<Self> {
        let full = |bits: &[u8]| (0..columns).all(|i| bit(bits, i));
        (!full(first) || !full(second)).then(|| Self { kind, first: first.into(), second: second.into(), columns })
    }

    /// Whether every column of every image is logged, or follows from what is.
    pub fn is_complete(&self) -> bool {
        self.kind == RowsKind::Update && (0..self.columns).all(|i| bit(&self.first, i))
    }

    /// Whether this image holds the column.
    pub fn holds(&self, image: Image, column: usize) -> bool {
        bit(if image == Image::Before { &self.first } else { &self.second }, column)
    }

    /// Whether no image holds any column: then rows take no bytes, and nobody knows how many there are.
    pub fn is_empty(&self) -> bool {
        (0..self.columns).all(|i| !bit(&self.first, i) && !bit(&self.second, i))
    }

    /// Appends one row image to `columns`. The after image of an update has to follow its before image. Answers how many bytes of
    /// text were copied from that.
    pub fn image(&self, image: Image, decoders: &[Decoder], row: &mut Cursor<'_>, columns: &mut [Column]) -> Result<usize, ColumnFault> {
        let present = if image == Image::Before { &self.first } else { &self.second };
        let follows = self.kind == RowsKind::Update && image == Image::After;
        let held = (0..decoders.len()).filter(|i| bit(present, *i)).count();
        // a bit for each column that is held, and none for the others
        let nulls = row.take(held.div_ceil(8)).map_err(|fault| ColumnFault { column: None, fault })?;
        let (mut next, mut copied) = (0, 0);
        for (i, decoder) in decoders.iter().enumerate() {
            let Some(column) = columns.get_mut(i) else {
                // no query shows it
                if bit(present, i) {
                    if !bit(nulls, next) {
                        decoder.skip(row).map_err(|fault| ColumnFault { column: None, fault })?;
                    }
                    next += 1;
                }
                continue;
            };
            if bit(present, i) {
                if bit(nulls, next) {
                    column.push_null();
                } else {
                    decoder.decode(row, column).map_err(|fault| ColumnFault { column: Some(i), fault })?;
                }
                next += 1;
            } else if follows {
                let before = column.len().checked_sub(1);
                let before = before.ok_or(ColumnFault { column: Some(i), fault: Fault::Invalid("an update without its before image") })?;
                copied += column.push_copy(before);
            } else {
                column.push_absent();
            }
        }
        Ok(copied)
    }
}

fn bit(bits: &[u8], i: usize) -> bool {
    bits.get(i >> 3).is_some_and(|byte| byte >> (i & 7) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluicegate_model::change::{DataType, Values};

    use super::*;

    /// A value of the model: a number, null, or not sent.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Cell {
        Number(i32),
        Null,
        Absent,
    }

    fn cells(width: usize) -> impl Strategy<Value = Vec<Cell>> {
        let cell = prop_oneof![2 => any::<i32>().prop_map(Cell::Number), 1 => Just(Cell::Null), 1 => Just(Cell::Absent)];
        prop::collection::vec(cell, width)
    }

    /// The bitmap of what is there, and the image as a server logs it.
    fn log(cells: &[Cell]) -> (Vec<u8>, Vec<u8>) {
        let (mut present, mut nulls, mut values, mut held) = (vec![0; cells.len().div_ceil(8)], Vec::new(), Vec::new(), 0);
        for (i, cell) in cells.iter().enumerate().filter(|(_, cell)| **cell != Cell::Absent) {
            present[i / 8] |= 1 << (i % 8);
            nulls.resize(held / 8 + 1, 0_u8);
            match cell {
                Cell::Number(number) => values.extend_from_slice(&number.to_le_bytes()),
                _ => nulls[held / 8] |= 1 << (held % 8),
            }
            held += 1;
        }
        nulls.extend(values);
        (present, nulls)
    }

    fn read(columns: &[Column], row: usize) -> Vec<Cell> {
        let cell = |column: &Column| match (&column.values, column.is_absent(row), column.nulls.get(row)) {
            (_, true, _) => Cell::Absent,
            (_, _, true) => Cell::Null,
            (Values::Int64(values), ..) => Cell::Number(values[row] as i32),
            _ => panic!("numbers"),
        };
        columns.iter().map(cell).collect()
    }

    proptest! {
        /// Two updates with random images: what an after image lacks is as it was before, if anybody knows it.
        #[test]
        fn an_update_is_completed_from_its_before_image(images in prop::collection::vec(cells(11), 2)) {
            let (before, after) = (&images[0], &images[1]);
            let ((first, old), (second, new)) = (log(before), log(after));
            let Some(presence) = Presence::unless_full(RowsKind::Update, &first, &second, 11) else { return Ok(()) };
            let decoders = vec![Decoder::Int32; 11];
            let mut columns: Vec<Column> = decoders.iter().map(|_| Column::new(DataType::Int64)).collect();
            let data: Vec<u8> = [old.as_slice(), &new, &old, &new].concat();
            let mut cursor = Cursor(&data);
            for _ in 0..2 {
                presence.image(Image::Before, &decoders, &mut cursor, &mut columns).expect("a before image");
                presence.image(Image::After, &decoders, &mut cursor, &mut columns).expect("an after image");
            }
            prop_assert!(cursor.is_empty());
            let completed: Vec<Cell> = before.iter().zip(after).map(|(b, a)| if *a == Cell::Absent { *b } else { *a }).collect();
            for row in [0, 2] {
                prop_assert_eq!(&read(&columns, row), before);
                prop_assert_eq!(read(&columns, row + 1), completed.clone());
            }
            prop_assert_eq!(presence.is_complete(), !before.contains(&Cell::Absent));
            prop_assert_eq!(presence.is_empty(), before.iter().chain(after).all(|cell| *cell == Cell::Absent));
        }

        #[test]
        fn one_image_holds_what_was_logged(cells in cells(9), insert: bool) {
            let (kind, image) = if insert { (RowsKind::Write, Image::After) } else { (RowsKind::Delete, Image::Before) };
            let (present, data) = log(&cells);
            let Some(presence) = Presence::unless_full(kind, &present, &present, 9) else { return Ok(()) };
            let decoders = vec![Decoder::Int32; 9];
            let mut columns: Vec<Column> = decoders.iter().map(|_| Column::new(DataType::Int64)).collect();
            presence.image(image, &decoders, &mut Cursor(&data), &mut columns).expect("an image");
            prop_assert_eq!(read(&columns, 0), cells);
            prop_assert!(!presence.is_complete());
            // cut anywhere, it is an error
            for cut in 0..data.len() {
                prop_assert!(presence.image(image, &decoders, &mut Cursor(&data[..cut]), &mut columns.clone()).is_err());
            }
        }
    }
}
