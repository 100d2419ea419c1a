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
        let bits = |bits: &Nulls| {
            let mut taken = Nulls::default();
            if !bits.none() {
                for (to, from) in rows.iter().enumerate() {
                    if bits.get(*from as usize) {
                        taken.set(to);
                    }
                }
            }
            taken
        };
        Column { values, nulls: bits(&self.nulls), absent: bits(&self.absent) }
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
        let bits = |bits: &Nulls| {
            let mut scattered = Nulls::default();
            if !bits.none() {
                for (from, to) in rows.iter().enumerate() {
                    if bits.get(from) {
                        scattered.set(*to as usize);
                    }
                }
            }
            scattered
        };
        Column { values, nulls: bits(&self.nulls), absent: bits(&self.absent) }
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
        if self.may_be_absent() {
            rows.iter().for_each(|row| self.absent.clear(*row as usize));
        }
    }

    /// Makes rows absent, and forgets their values. `rows` must rise and exist.
    pub fn withhold(&mut self, rows: &[u32]) {
        self.erase(rows);
        rows.iter().for_each(|row| self.absent.set(*row as usize));
    }

    /// Appends the rows of `other`, which has to be of the same kind of values.
    pub fn append(&mut self, other: Column) {
        let before = self.len();
        let bits = |to: &mut Nulls, from: &Nulls| {
            if !from.none() {
                (0..other.values.len()).filter(|row| from.get(*row)).for_each(|row| to.set(before + row));
            }
        };
        bits(&mut self.nulls, &other.nulls);
        bits(&mut self.absent, &other.absent);
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

    /// A value, null, or absent: the model of a row.
    #[derive(Clone, Debug, PartialEq)]
    enum Row {
        Value(String),
        Null,
        Absent,
    }

    fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
        prop::collection::vec(prop_oneof![3 => ".{0,5}".prop_map(Row::Value), 1 => Just(Row::Null), 1 => Just(Row::Absent)], 0..most)
    }

    /// Rows, some of them picked.
    fn picked_rows() -> impl Strategy<Value = (Vec<Row>, Vec<u32>)> {
        (rows(40), prop::collection::vec(any::<bool>(), 40)).prop_map(|(rows, picks)| {
            let picked = (0..rows.len() as u32).filter(|i| picks[*i as usize]).collect();
            (rows, picked)
        })
    }

    fn text(rows: &[Row]) -> Column {
        let mut column = Column::new(DataType::Text);
        for row in rows {
            match (row, &mut column.values) {
                (Row::Value(text), Values::Text(strings)) => strings.push(text.as_bytes()),
                (Row::Absent, _) => column.push_absent(),
                _ => column.push_null(),
            }
        }
        column
    }

    fn row(column: &Column, i: usize) -> Row {
        let Values::Text(strings) = &column.values else { panic!("text") };
        match (column.nulls.get(i), column.is_absent(i)) {
            (false, false) => Row::Value(String::from_utf8(strings.get(i).to_vec()).expect("text")),
            (true, false) => Row::Null,
            (true, true) => Row::Absent,
            (false, true) => panic!("an absent value counts as null where nobody looks for absent ones"),
        }
    }

    fn held(column: &Column) -> Vec<Row> {
        (0..column.len()).map(|i| row(column, i)).collect()
    }

    #[test]
    fn a_column_without_absent_values_has_no_memory_for_them() {
        let mut column = text(&[Row::Null, Row::Value("a".into())]);
        column.append(text(&[Row::Null]));
        let column = column.gather(&[2, 1]).scatter(&[0, 3], 5);
        assert_eq!(column.absent.0.capacity(), 0);
    }

    proptest! {
        #[test]
        fn scattered_rows_come_back_where_they_were((rows, picked) in picked_rows()) {
            let back = text(&rows).gather(&picked).scatter(&picked, rows.len());
            prop_assert_eq!(back.len(), rows.len());
            for i in picked {
                prop_assert_eq!(row(&back, i as usize), rows[i as usize].clone());
            }
        }

        #[test]
        fn gathered_rows_are_those_asked_for(rows in rows(40), wanted in prop::collection::vec(0usize..40, 0..60)) {
            prop_assume!(!rows.is_empty());
            let wanted: Vec<u32> = wanted.iter().map(|i| (i % rows.len()) as u32).collect();
            let expected: Vec<Row> = wanted.iter().map(|i| rows[*i as usize].clone()).collect();
            prop_assert_eq!(held(&text(&rows).gather(&wanted)), expected);
        }

        #[test]
        fn erased_rows_are_null_and_withheld_rows_absent_and_neither_holds_anything((rows, picked) in picked_rows(), withhold: bool) {
            let mut column = text(&rows);
            if withhold { column.withhold(&picked) } else { column.erase(&picked) };
            let Values::Text(strings) = &column.values else { panic!("text") };
            for (i, value) in rows.iter().enumerate() {
                let gone = picked.contains(&(i as u32));
                let instead = if withhold { Row::Absent } else { Row::Null };
                prop_assert_eq!(row(&column, i), if gone { instead } else { value.clone() });
                prop_assert!(!gone || strings.get(i).is_empty());
            }
        }

        #[test]
        fn appended_halves_are_the_whole(rows in rows(40), cut in 0usize..40) {
            let cut = cut.min(rows.len());
            let mut joined = text(&rows[..cut]);
            joined.append(text(&rows[cut..]));
            prop_assert_eq!(held(&joined), rows);
        }

        #[test]
        fn a_copied_row_is_like_its_original(rows in rows(20), copied in prop::collection::vec(0usize..20, 0..10)) {
            prop_assume!(!rows.is_empty());
            let (mut column, mut model) = (text(&rows), rows.clone());
            for i in copied {
                let i = i % model.len();
                let bytes = column.push_copy(i);
                prop_assert_eq!(bytes, match &model[i] { Row::Value(text) => text.len(), _ => 0 });
                model.push(model[i].clone());
            }
            prop_assert_eq!(held(&column), model);
        }

        #[test]
        fn rows_cut_off_are_forgotten_also_where_they_were_absent(rows in rows(40), left in 0usize..40, more in rows(10)) {
            let left = left.min(rows.len());
            let mut column = text(&rows);
            column.truncate(left);
            column.append(text(&more));
            let model: Vec<Row> = rows[..left].iter().chain(&more).cloned().collect();
            prop_assert_eq!(held(&column), model);
        }
    }
}
