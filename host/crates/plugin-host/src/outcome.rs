//! What `apply` answers, checked before use: counts, offsets, UTF-8, types. Nothing of a guest's answer is trusted.

use super::{bindings::sluicegate::plugin::types as wit, guest::clip, plan::Plan};
use sluicegate_model::change::{Column, DataType, Nulls, Strings, Values};

/// A checked answer for `count` rows.
#[derive(Debug, PartialEq)]
pub(super) struct Outcome {
    /// Bitmap of the rows that stay; `None` when all do.
    pub keep: Option<Vec<u8>>,
    /// The computed columns, each with `count` entries.
    pub computed: Vec<Column>,
    /// Rows that the plugin cannot handle, with its message; each row at most once, in ascending order.
    pub rejected: Vec<(u32, String)>,
}

impl Outcome {
    /// Bytes of memory that it takes, messages left out of account: those have a bound of their own.
    pub fn bytes(&self) -> usize {
        self.computed.iter().map(Column::bytes).sum::<usize>() + self.keep.as_ref().map_or(0, Vec::len)
    }
}

/// Bit `i` of a bitmap, least significant first.
#[inline]
pub(super) fn bit(bitmap: &[u8], i: usize) -> bool {
    bitmap[i >> 3] >> (i & 7) & 1 == 1
}

/// Checks which computed values are absent, a bitmap for each column or none at all, and notes it in the columns.
pub(super) fn check_absent(plan: &Plan, count: usize, outcome: &mut Outcome, absent: Vec<Vec<u8>>) -> Result<(), String> {
    for ((i, bits), column) in absent.into_iter().enumerate().zip(&mut outcome.computed) {
        if bits.is_empty() {
            continue;
        }
        if !plan.absent {
            return Err(format!("computed column {i}: it has absent values, but its plan said that it knows none"));
        }
        if bits.len() != count.div_ceil(8) {
            return Err(format!("computed column {i}: `absent` has {} bytes for {count} rows", bits.len()));
        }
        let rows: Vec<u32> = (0..count as u32).filter(|row| bit(&bits, *row as usize)).collect();
        // whatever value it gave, it means nothing
        column.withhold(&rows);
    }
    Ok(())
}

/// Checks an answer. The error says what is wrong with it, without values.
pub(super) fn check(plan: &Plan, count: usize, answer: wit::Outcome, message_bytes: usize) -> Result<Outcome, String> {
    let keep = if answer.keep.is_empty() {
        None
    } else if !plan.filters {
        return Err("it drops rows, but its plan said that it filters nothing".into());
    } else if answer.keep.len() != count.div_ceil(8) {
        return Err(format!("`keep` has {} bytes for {count} rows", answer.keep.len()));
    } else {
        Some(answer.keep)
    };
    if answer.computed.len() != plan.computed.len() {
        return Err(format!("it computed {} columns, its plan said {}", answer.computed.len(), plan.computed.len()));
    }
    let computed = answer
        .computed
        .into_iter()
        .zip(&plan.computed)
        .enumerate()
        .map(|(i, (vector, data_type))| column(vector, *data_type, count).map_err(|e| format!("computed column {i}: {e}")))
        .collect::<Result<_, _>>()?;
    if answer.rejected.len() > count {
        return Err(format!("{} rejections for {count} rows", answer.rejected.len()));
    }
    let mut rejected: Vec<_> = answer.rejected.into_iter().map(|r| (r.row, clip(&r.message, message_bytes))).collect();
    rejected.sort_by_key(|r| r.0);
    rejected.dedup_by_key(|r| r.0);
    if rejected.last().is_some_and(|r| r.0 as usize >= count) {
        return Err(format!("it rejects a row beyond the {count} that it was given"));
    }
    Ok(Outcome { keep, computed, rejected })
}

fn column(vector: wit::VectorResult, data_type: DataType, count: usize) -> Result<Column, String> {
    let values = match vector.values {
        wit::ValuesResult::Booleans(v) => Values::Boolean(v),
        wit::ValuesResult::Int64s(v) => Values::Int64(v),
        wit::ValuesResult::Uint64s(v) => Values::UInt64(v),
        wit::ValuesResult::Float32s(v) => Values::Float32(v),
        wit::ValuesResult::Float64s(v) => Values::Float64(v),
        wit::ValuesResult::Texts(v) => Values::Text(strings(v, count)?),
        wit::ValuesResult::Bytes(v) => Values::Bytes(strings(v, count)?),
    };
    if !values.fits(data_type) {
        return Err(format!("its values are not of the type {data_type:?} that the plan said"));
    }
    if values.len() != count {
        return Err(format!("{} values for {count} rows", values.len()));
    }
    match &values {
        Values::Boolean(v) if v.iter().any(|b| *b > 1) => return Err("a boolean is neither 0 nor 1".into()),
        Values::Text(text) => utf8(text)?,
        _ => {}
    }
    if !vector.nulls.is_empty() && vector.nulls.len() != count.div_ceil(8) {
        return Err(format!("`nulls` has {} bytes for {count} rows", vector.nulls.len()));
    }
    Ok(Column::of(values, Nulls(vector.nulls)))
}

fn strings(strings: wit::StringsResult, count: usize) -> Result<Strings, String> {
    let wit::StringsResult { offsets, data } = strings;
    if offsets.len() != count + 1 {
        return Err(format!("{} offsets for {count} rows", offsets.len()));
    }
    if offsets.first() != Some(&0) || offsets.last().map(|o| *o as usize) != Some(data.len()) || !offsets.is_sorted() {
        return Err("its offsets do not rise from 0 to the length of the data".into());
    }
    Ok(Strings { offsets, data })
}

/// The whole data in one pass, then the cuts: a cut inside a character shows as a continuation byte.
fn utf8(text: &Strings) -> Result<(), String> {
    simdutf8::basic::from_utf8(&text.data).map_err(|_| "a text is not UTF-8".to_owned())?;
    if text.data.is_ascii() {
        return Ok(());
    }
    let inside = |offset: &u32| text.data.get(*offset as usize).is_some_and(|b| b & 0xC0 == 0x80);
    if text.offsets.iter().any(inside) { Err("a text ends inside a character".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use sluicegate_model::change::{Table, TableName};

    fn plan(computed: &[DataType], filters: bool) -> Plan {
        let output = Table { name: TableName::new("shop", "orders"), destination: None, columns: Vec::new() };
        let answer = wit::Plan {
            delivers: wit::TableResult {
                name: wit::TableNameResult { database: "shop".into(), schema: None, table: "orders".into() },
                destination: None,
                columns: Vec::new(),
            },
            origins: Vec::new(),
            operations: wit::Operations::all(),
            reads: Vec::new(),
            context: wit::Context::empty(),
            filters,
        };
        let checked = super::super::plan::check(&output, answer).expect("a sound plan");
        Plan { computed: computed.to_vec(), ..checked }
    }

    fn texts(offsets: &[u32], data: &[u8]) -> wit::VectorResult {
        let strings = wit::StringsResult { offsets: offsets.to_vec(), data: data.to_vec() };
        wit::VectorResult { values: wit::ValuesResult::Texts(strings), nulls: Vec::new() }
    }

    fn ints(values: &[i64], nulls: &[u8]) -> wit::VectorResult {
        wit::VectorResult { values: wit::ValuesResult::Int64s(values.to_vec()), nulls: nulls.to_vec() }
    }

    fn answer(keep: &[u8], computed: Vec<wit::VectorResult>) -> wit::Outcome {
        wit::Outcome { keep: keep.to_vec(), computed, rejected: Vec::new() }
    }

    #[test]
    fn a_sound_answer_is_taken_as_it_is() {
        let checked =
            check(&plan(&[DataType::Text], true), 3, answer(&[0b101], vec![texts(&[0, 1, 3, 3], "aé".as_bytes())]), 100).expect("sound");
        assert_eq!(checked.keep, Some(vec![0b101]));
        assert_eq!(checked.computed[0].values, Values::Text(Strings { offsets: vec![0, 1, 3, 3], data: "aé".into() }));
    }

    #[test]
    fn every_lie_in_an_answer_is_found() {
        use DataType::{Boolean, Int64, Text};
        let cases: Vec<(&str, Plan, wit::Outcome)> = vec![
            ("keep without a filter", plan(&[], false), answer(&[7], vec![])),
            ("short keep", plan(&[], true), answer(&[7, 0], vec![])),
            ("a column too few", plan(&[Int64], false), answer(&[], vec![])),
            ("a column too many", plan(&[], false), answer(&[], vec![ints(&[1, 2, 3], &[])])),
            ("too few values", plan(&[Int64], false), answer(&[], vec![ints(&[1, 2], &[])])),
            ("too many values", plan(&[Int64], false), answer(&[], vec![ints(&[1, 2, 3, 4], &[])])),
            ("another type", plan(&[Text], false), answer(&[], vec![ints(&[1, 2, 3], &[])])),
            ("text for bytes", plan(&[DataType::Bytes], false), answer(&[], vec![texts(&[0, 1, 1, 1], b"a")])),
            ("long nulls", plan(&[Int64], false), answer(&[], vec![ints(&[1, 2, 3], &[0, 0])])),
            ("too few offsets", plan(&[Text], false), answer(&[], vec![texts(&[0, 1, 1], b"a")])),
            ("falling offsets", plan(&[Text], false), answer(&[], vec![texts(&[0, 3, 2, 3], b"abc")])),
            ("offsets beyond the data", plan(&[Text], false), answer(&[], vec![texts(&[0, 1, 2, 9], b"abc")])),
            ("offsets short of the data", plan(&[Text], false), answer(&[], vec![texts(&[0, 1, 2, 2], b"abc")])),
            ("offsets not from 0", plan(&[Text], false), answer(&[], vec![texts(&[1, 1, 2, 3], b"abc")])),
            ("not UTF-8", plan(&[Text], false), answer(&[], vec![texts(&[0, 1, 1, 1], b"\xff")])),
            ("a cut inside a character", plan(&[Text], false), answer(&[], vec![texts(&[0, 1, 2, 2], "é".as_bytes())])),
            (
                "a boolean of 2",
                plan(&[Boolean], false),
                answer(&[], vec![wit::VectorResult { values: wit::ValuesResult::Booleans(vec![0, 1, 2]), nulls: vec![] }]),
            ),
            (
                "a rejection beyond the rows",
                plan(&[], false),
                wit::Outcome { keep: vec![], computed: vec![], rejected: vec![wit::Rejection { row: 3, message: "x".into() }] },
            ),
        ];
        let mut told = String::new();
        for (name, plan, lie) in cases {
            let error = check(&plan, 3, lie, 100).expect_err(name);
            told.push_str(&format!("{name}: {error}\n"));
        }
        insta::assert_snapshot!(told, @r#"
        keep without a filter: it drops rows, but its plan said that it filters nothing
        short keep: `keep` has 2 bytes for 3 rows
        a column too few: it computed 0 columns, its plan said 1
        a column too many: it computed 1 columns, its plan said 0
        too few values: computed column 0: 2 values for 3 rows
        too many values: computed column 0: 4 values for 3 rows
        another type: computed column 0: its values are not of the type Text that the plan said
        text for bytes: computed column 0: its values are not of the type Bytes that the plan said
        long nulls: computed column 0: `nulls` has 2 bytes for 3 rows
        too few offsets: computed column 0: 3 offsets for 3 rows
        falling offsets: computed column 0: its offsets do not rise from 0 to the length of the data
        offsets beyond the data: computed column 0: its offsets do not rise from 0 to the length of the data
        offsets short of the data: computed column 0: its offsets do not rise from 0 to the length of the data
        offsets not from 0: computed column 0: its offsets do not rise from 0 to the length of the data
        not UTF-8: computed column 0: a text is not UTF-8
        a cut inside a character: computed column 0: a text ends inside a character
        a boolean of 2: computed column 0: a boolean is neither 0 nor 1
        a rejection beyond the rows: it rejects a row beyond the 3 that it was given
        "#);
    }

    #[test]
    fn messages_of_rejections_are_clipped_and_one_for_each_row() {
        let rejection = |row, message: &str| wit::Rejection { row, message: message.into() };
        let rejected = vec![rejection(2, "later"), rejection(0, &"é".repeat(50)), rejection(2, "again")];
        let checked = check(&plan(&[], false), 3, wit::Outcome { keep: vec![], computed: vec![], rejected }, 9).expect("sound");
        assert_eq!(checked.rejected, vec![(0, "éééé…".to_owned()), (2, "later".to_owned())]);
    }

    proptest! {
        /// Whatever a guest answers: either it is refused, or every row of it can be read.
        #[test]
        fn an_answer_that_is_taken_can_be_read(
            offsets in prop::collection::vec(0u32..12, 0..6), data in prop::collection::vec(any::<u8>(), 0..12),
            nulls in prop::collection::vec(any::<u8>(), 0..3), keep in prop::collection::vec(any::<u8>(), 0..3), count in 1usize..5,
        ) {
            let vector = wit::VectorResult { nulls, ..texts(&offsets, &data) };
            if let Ok(outcome) = check(&plan(&[DataType::Text], true), count, answer(&keep, vec![vector]), 100) {
                let Values::Text(text) = &outcome.computed[0].values else { panic!("text") };
                for row in 0..count {
                    prop_assert!(std::str::from_utf8(text.get(row)).is_ok());
                    outcome.computed[0].nulls.get(row);
                    outcome.keep.as_ref().map(|k| bit(k, row));
                }
            }
        }
    }
}
