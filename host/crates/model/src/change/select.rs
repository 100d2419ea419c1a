//! Taking some rows of a column, and putting them back among all rows.

use super::{Column, Nulls, Strings, Values};

impl Column {
    /// A column of the given rows, in that order. Every row must exist.
    pub fn gather(&self, rows: &[u32]) -> Column {
        fn fixed<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
            rows.iter().map(|r| values[*r as usize]).collect()
        }
        let strings = |values: &Strings| {
            let mut taken = Strings { offsets: Vec::with_capacity(rows.len() + 1), data: Vec::with_capacity(values.data.len()) };
            taken.offsets.push(0);
            // rows that stand next to each other are copied at once: what a filter leaves comes mostly in runs
            for run in rows.chunk_by(|row, next| row.wrapping_add(1) == *next) {
                let first = run[0] as usize;
                let ends = &values.offsets[first..=first + run.len()];
                let (start, end) = (ends[0], ends[run.len()]);
                let moved = (taken.data.len() as u32).wrapping_sub(start);
                taken.data.extend_from_slice(&values.data[start as usize..end as usize]);
                taken.offsets.extend(ends[1..].iter().map(|end| end.wrapping_add(moved)));
            }
            taken
        };
        let values = match &self.values {
            Values::Boolean(v) => Values::Boolean(fixed(v, rows)),
            Values::Int64(v) => Values::Int64(fixed(v, rows)),
            Values::UInt64(v) => Values::UInt64(fixed(v, rows)),
            Values::Float32(v) => Values::Float32(fixed(v, rows)),
            Values::Float64(v) => Values::Float64(fixed(v, rows)),
            Values::Text(v) => Values::Text(strings(v)),
            Values::Bytes(v) => Values::Bytes(strings(v)),
        };
        let mut nulls = Nulls::default();
        if !self.nulls.none() {
            for (to, from) in rows.iter().enumerate() {
                if self.nulls.get(*from as usize) {
                    nulls.set(to);
                }
            }
        }
        Column { values, nulls }
    }

    /// The opposite of [`Column::gather`]: a column of `count` rows in which row `rows[i]` is this column's row `i`. The
    /// rows between hold nothing meaningful. `rows` must rise and stay below `count`.
    pub fn scatter(self, rows: &[u32], count: usize) -> Column {
        fn fixed<T: Copy + Default>(values: Vec<T>, rows: &[u32], count: usize) -> Vec<T> {
            let mut all = vec![T::default(); count];
            for (value, row) in values.into_iter().zip(rows) {
                all[*row as usize] = value;
            }
            all
        }
        // the bytes stay where they are: a row between starts where it ends
        let strings = |values: Strings| {
            let mut offsets = Vec::with_capacity(count + 1);
            offsets.push(0);
            for (row, end) in rows.iter().zip(&values.offsets[1..]) {
                let before = offsets[offsets.len() - 1];
                offsets.resize(*row as usize + 1, before);
                offsets.push(*end);
            }
            offsets.resize(count + 1, values.data.len() as u32);
            Strings { offsets, data: values.data }
        };
        let values = match self.values {
            Values::Boolean(v) => Values::Boolean(fixed(v, rows, count)),
            Values::Int64(v) => Values::Int64(fixed(v, rows, count)),
            Values::UInt64(v) => Values::UInt64(fixed(v, rows, count)),
            Values::Float32(v) => Values::Float32(fixed(v, rows, count)),
            Values::Float64(v) => Values::Float64(fixed(v, rows, count)),
            Values::Text(v) => Values::Text(strings(v)),
            Values::Bytes(v) => Values::Bytes(strings(v)),
        };
        let mut nulls = Nulls::default();
        if !self.nulls.none() {
            for (from, to) in rows.iter().enumerate() {
                if self.nulls.get(from) {
                    nulls.set(*to as usize);
                }
            }
        }
        Column { values, nulls }
    }

    /// Makes rows null, and forgets their values. `rows` must rise and exist.
    pub fn erase(&mut self, rows: &[u32]) {
        fn fixed<T: Default>(values: &mut [T], rows: &[u32]) {
            rows.iter().for_each(|row| values[*row as usize] = T::default());
        }
        let strings = |values: &mut Strings| {
            let mut left = Strings { offsets: Vec::with_capacity(values.offsets.len()), data: Vec::with_capacity(values.data.len()) };
            left.offsets.push(0);
            let mut rows = rows.iter().peekable();
            for row in 0..values.len() {
                match rows.next_if(|next| **next as usize == row) {
                    Some(_) => left.finish_row(),
                    None => left.push(values.get(row)),
                }
            }
            *values = left;
        };
        match &mut self.values {
            Values::Boolean(v) => fixed(v, rows),
            Values::Int64(v) => fixed(v, rows),
            Values::UInt64(v) => fixed(v, rows),
            Values::Float32(v) => fixed(v, rows),
            Values::Float64(v) => fixed(v, rows),
            Values::Text(v) | Values::Bytes(v) => strings(v),
        }
        rows.iter().for_each(|row| self.nulls.set(*row as usize));
    }

    /// Appends the rows of `other`, which has to be of the same kind of values.
    pub fn append(&mut self, other: Column) {
        let before = self.len();
        if !other.nulls.none() {
            for row in 0..other.len() {
                if other.nulls.get(row) {
                    self.nulls.set(before + row);
                }
            }
        }
        fn strings(to: &mut Strings, from: Strings) {
            let base = to.data.len() as u32;
            to.data.extend_from_slice(&from.data);
            to.offsets.extend(from.offsets[1..].iter().map(|o| o + base));
        }
        match (&mut self.values, other.values) {
            (Values::Boolean(to), Values::Boolean(from)) => to.extend(from),
            (Values::Int64(to), Values::Int64(from)) => to.extend(from),
            (Values::UInt64(to), Values::UInt64(from)) => to.extend(from),
            (Values::Float32(to), Values::Float32(from)) => to.extend(from),
            (Values::Float64(to), Values::Float64(from)) => to.extend(from),
            (Values::Text(to), Values::Text(from)) | (Values::Bytes(to), Values::Bytes(from)) => strings(to, from),
            (to, from) => unreachable!("columns of one plan have one type: {} and {} rows", to.len(), from.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::change::DataType;

    fn text(rows: &[Option<String>]) -> Column {
        let mut column = Column::new(DataType::Text);
        for row in rows {
            match (row, &mut column.values) {
                (Some(text), Values::Text(strings)) => strings.push(text.as_bytes()),
                _ => column.push_null(),
            }
        }
        column
    }

    fn row(column: &Column, i: usize) -> Option<Vec<u8>> {
        let Values::Text(strings) = &column.values else { panic!("text") };
        (!column.nulls.get(i)).then(|| strings.get(i).to_vec())
    }

    proptest! {
        #[test]
        fn scattered_rows_come_back_where_they_were(rows in prop::collection::vec((any::<bool>(), prop::option::of(".{0,5}")), 0..40)) {
            let values: Vec<_> = rows.iter().map(|r| r.1.clone()).collect();
            let column = text(&values);
            let picked: Vec<u32> = rows.iter().enumerate().filter(|(_, r)| r.0).map(|(i, _)| i as u32).collect();
            let back = column.gather(&picked).scatter(&picked, rows.len());
            prop_assert_eq!(back.len(), rows.len());
            for i in picked {
                prop_assert_eq!(row(&back, i as usize), values[i as usize].as_ref().map(|t| t.clone().into_bytes()));
            }
        }

        #[test]
        fn gathered_rows_are_those_asked_for(
            rows in prop::collection::vec(prop::option::of(".{0,5}"), 1..40), wanted in prop::collection::vec(0usize..40, 0..60)) {
            let column = text(&rows);
            let wanted: Vec<u32> = wanted.iter().map(|i| (i % rows.len()) as u32).collect();
            let gathered = column.gather(&wanted);
            prop_assert_eq!(gathered.len(), wanted.len());
            for (to, from) in wanted.iter().enumerate() {
                prop_assert_eq!(row(&gathered, to), row(&column, *from as usize));
            }
        }

        #[test]
        fn erased_rows_are_null_and_hold_nothing(rows in prop::collection::vec((any::<bool>(), prop::option::of(".{0,5}")), 0..40)) {
            let values: Vec<_> = rows.iter().map(|r| r.1.clone()).collect();
            let mut column = text(&values);
            let erased: Vec<u32> = rows.iter().enumerate().filter(|(_, r)| r.0).map(|(i, _)| i as u32).collect();
            column.erase(&erased);
            let Values::Text(strings) = &column.values else { panic!("text") };
            for (i, (gone, value)) in rows.iter().enumerate() {
                prop_assert_eq!(row(&column, i), value.as_ref().filter(|_| !gone).map(|t| t.clone().into_bytes()));
                prop_assert!(!gone || strings.get(i).is_empty());
            }
        }

        #[test]
        fn appended_halves_are_the_whole(rows in prop::collection::vec(prop::option::of(".{0,5}"), 0..40), cut in 0usize..40) {
            let cut = cut.min(rows.len());
            let mut joined = text(&rows[..cut]);
            joined.append(text(&rows[cut..]));
            prop_assert_eq!(joined.len(), rows.len());
            for (i, value) in rows.iter().enumerate() {
                prop_assert_eq!(row(&joined, i), value.as_ref().map(|t| t.clone().into_bytes()));
            }
        }
    }
}
