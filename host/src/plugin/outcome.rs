//! What `apply` answers, checked before use: counts, offsets, UTF-8, types. Nothing of a guest's answer is trusted.

use super::{bindings::sluicegate::plugin::types as wit, instance::clip, plan::Plan};
use crate::change::{Column, DataType, Nulls, Strings, Values};

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

/// Bit `i` of a bitmap, least significant first.
#[inline]
pub(super) fn bit(bitmap: &[u8], i: usize) -> bool {
    bitmap[i >> 3] >> (i & 7) & 1 == 1
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
    Ok(Column { values, nulls: Nulls(vector.nulls) })
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
