//! Evaluates a condition over whole columns. A truth value is one byte a row: 0 false, 1 unknown, 2 true, so AND is the
//! smaller, OR the larger, and NOT two minus it.

use std::cmp::Ordering;

use sluicegate_plugin::{DataType, Outcome, Rejection, Strings, Values, Vector, text_at};

use crate::{
    condition::{Comparison, Condition, Constant, Operand},
    decimal, temporal,
};

const FALSE: u8 = 0;
const UNKNOWN: u8 = 1;
const TRUE: u8 = 2;

/// The rows of a batch that a condition keeps: those for which it is true. Rows with a decimal or time that cannot be read
/// are rejected.
pub fn keep(condition: &Condition, columns: &[Vector], count: usize) -> Outcome {
    let mut rows = Evaluation { columns, rejected: Vec::new() };
    let mut truth = vec![FALSE; count];
    rows.evaluate(condition, &mut truth);
    let all = truth.iter().all(|value| *value == TRUE);
    let keep = if all { Vec::new() } else { truth.chunks(8).map(byte_of).collect() };
    rows.rejected.sort_by_key(|rejection| rejection.row);
    rows.rejected.dedup_by_key(|rejection| rejection.row);
    Outcome { keep, computed: Vec::new(), rejected: rows.rejected }
}

#[inline]
fn byte_of(truths: &[u8]) -> u8 {
    truths.iter().enumerate().fold(0, |byte, (i, value)| byte | (value >> 1) << i)
}

struct Evaluation<'a> {
    columns: &'a [Vector],
    rejected: Vec<Rejection>,
}

#[inline]
fn truth(value: bool) -> u8 {
    u8::from(value) << 1
}

/// Fills the truth of each row from each value.
#[inline]
fn fill<T: Copy>(out: &mut [u8], values: &[T], holds: impl Fn(T) -> bool) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = truth(holds(*value));
    }
}

#[inline]
fn fill_texts(out: &mut [u8], strings: &Strings, holds: impl Fn(&[u8]) -> bool) {
    for (out, ends) in out.iter_mut().zip(strings.offsets.windows(2)) {
        if let [start, end] = ends {
            *out = truth(strings.data.get(*start as usize..*end as usize).is_some_and(&holds));
        }
    }
}

/// Makes the rows unknown in which the column is null.
fn unknown_where_null(out: &mut [u8], column: &Vector) {
    for (out, nulls) in out.chunks_mut(8).zip(&column.nulls) {
        if *nulls != 0 {
            for (bit, out) in out.iter_mut().enumerate() {
                if nulls >> bit & 1 == 1 {
                    *out = UNKNOWN;
                }
            }
        }
    }
}

impl Evaluation<'_> {
    fn column(&self, operand: &Operand) -> Option<&Vector> {
        self.columns.get(operand.place)
    }

    fn evaluate(&mut self, condition: &Condition, out: &mut [u8]) {
        match condition {
            Condition::Always(value) => out.fill(value.map_or(UNKNOWN, truth)),
            Condition::And(parts) => {
                out.fill(TRUE);
                self.combine(parts, out, |a, b| a.min(b));
            }
            Condition::Or(parts) => {
                out.fill(FALSE);
                self.combine(parts, out, |a, b| a.max(b));
            }
            Condition::Not(inner) => {
                self.evaluate(inner, out);
                out.iter_mut().for_each(|value| *value = TRUE - *value);
            }
            Condition::Is(inner, wanted) => {
                self.evaluate(inner, out);
                let wanted = wanted.map_or(UNKNOWN, truth);
                out.iter_mut().for_each(|value| *value = truth(*value == wanted));
            }
            Condition::IsNull(operand) => {
                out.fill(FALSE);
                if let Some(column) = self.column(operand) {
                    unknown_where_null(out, column);
                    out.iter_mut().for_each(|value| *value <<= 1);
                }
            }
            Condition::Columns(left, comparison, right) => self.columns(left, *comparison, right, out),
            Condition::Int(operand, ..)
            | Condition::UInt(operand, ..)
            | Condition::OneOf(operand, _)
            | Condition::OneOfTexts(operand, _)
            | Condition::Compare(operand, ..)
            | Condition::Like(operand, _) => {
                let Some(column) = self.columns.get(operand.place) else {
                    return out.fill(UNKNOWN);
                };
                self.leaf(condition, operand, column, out);
                unknown_where_null(out, column);
            }
        }
    }

    fn combine(&mut self, parts: &[Condition], out: &mut [u8], join: impl Fn(u8, u8) -> u8) {
        let mut scratch = vec![FALSE; out.len()];
        for part in parts {
            self.evaluate(part, &mut scratch);
            for (out, part) in out.iter_mut().zip(&scratch) {
                *out = join(*out, *part);
            }
        }
    }

    /// A comparison of one column with constants. The truth of null rows is overwritten afterwards.
    fn leaf(&mut self, condition: &Condition, operand: &Operand, column: &Vector, out: &mut [u8]) {
        match (condition, &column.values) {
            (Condition::Int(_, low, high), Values::Int64s(values)) => fill(out, values, |v| (v >= *low) & (v <= *high)),
            (Condition::UInt(_, low, high), Values::Uint64s(values)) => fill(out, values, |v| (v >= *low) & (v <= *high)),
            (Condition::OneOf(_, set), Values::Int64s(values)) => fill(out, values, |v| set.binary_search(&i128::from(v)).is_ok()),
            (Condition::OneOf(_, set), Values::Uint64s(values)) => fill(out, values, |v| set.binary_search(&i128::from(v)).is_ok()),
            (Condition::OneOfTexts(_, set), Values::Texts(texts) | Values::Bytes(texts)) => {
                fill_texts(out, texts, |text| set.binary_search_by(|entry| entry.as_slice().cmp(text)).is_ok());
            }
            (Condition::Like(_, like), Values::Texts(texts)) => fill_texts(out, texts, |text| like.matches(text)),
            (Condition::Compare(_, comparison, constant), values) => self.compare(operand, column, *comparison, constant, values, out),
            _ => out.fill(UNKNOWN),
        }
    }

    fn compare(
        &mut self,
        operand: &Operand,
        column: &Vector,
        comparison: Comparison,
        constant: &Constant,
        values: &Values,
        out: &mut [u8],
    ) {
        let float = |a: f64, b: f64| a.partial_cmp(&b).is_some_and(|ordering| comparison.accepts(ordering));
        match (constant, values) {
            (Constant::Float(constant), Values::Float64s(values)) => fill(out, values, |v| float(v, *constant)),
            (Constant::Float(constant), Values::Float32s(values)) => fill(out, values, |v| float(f64::from(v), *constant)),
            (Constant::Float(constant), Values::Int64s(values)) => fill(out, values, |v| float(v as f64, *constant)),
            (Constant::Float(constant), Values::Uint64s(values)) => fill(out, values, |v| float(v as f64, *constant)),
            (Constant::Float(constant), Values::Texts(texts)) => {
                self.ordered(operand, column, comparison, out, |i| {
                    let text = std::str::from_utf8(text_at(texts, i)).ok().filter(|text| !text.is_empty())?;
                    text.parse::<f64>().ok()?.partial_cmp(constant)
                });
            }
            (Constant::Bool(constant), Values::Booleans(values)) => {
                fill(out, values, |v| comparison.accepts((v != 0).cmp(constant)));
            }
            (Constant::Bytes(constant), Values::Texts(texts) | Values::Bytes(texts)) => match comparison {
                Comparison::Equal => fill_texts(out, texts, |text| text == constant),
                _ => fill_texts(out, texts, |text| comparison.accepts(text.cmp(constant))),
            },
            (Constant::Decimal(constant), Values::Texts(texts)) => {
                self.ordered(operand, column, comparison, out, |i| {
                    let (start, end) = (texts.offsets.get(i)?, texts.offsets.get(i + 1)?);
                    constant.compare_to(&texts.data, *start as usize, *end as usize)
                });
            }
            (Constant::Temporal(constant), Values::Texts(texts)) => {
                self.ordered(operand, column, comparison, out, |i| {
                    temporal::compare(text_at(texts, i), constant.as_bytes(), operand.data_type)
                });
            }
            _ => out.fill(UNKNOWN),
        }
    }

    /// Row by row, for values that may turn out unreadable: those rows are rejected.
    fn ordered(
        &mut self,
        operand: &Operand,
        column: &Vector,
        comparison: Comparison,
        out: &mut [u8],
        order: impl Fn(usize) -> Option<Ordering>,
    ) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = match order(i) {
                Some(ordering) => truth(comparison.accepts(ordering)),
                None if sluicegate_plugin::null_at(column, i) => UNKNOWN,
                None => {
                    let kind = if operand.data_type == DataType::Decimal { "decimal" } else { "time" };
                    self.rejected.push(Rejection { row: i as u32, message: format!("column `{}` holds no {kind}", operand.name) });
                    UNKNOWN
                }
            };
        }
    }

    fn columns(&mut self, left: &Operand, comparison: Comparison, right: &Operand, out: &mut [u8]) {
        let (Some(a), Some(b)) = (self.columns.get(left.place), self.columns.get(right.place)) else {
            return out.fill(UNKNOWN);
        };
        let integer = |values: &Values, i: usize| match values {
            Values::Int64s(v) => v.get(i).map(|v| i128::from(*v)),
            Values::Uint64s(v) => v.get(i).map(|v| i128::from(*v)),
            _ => None,
        };
        let float = |values: &Values, i: usize| match values {
            Values::Float32s(v) => v.get(i).map(|v| f64::from(*v)),
            Values::Float64s(v) => v.get(i).copied(),
            _ => None,
        };
        for (i, out) in out.iter_mut().enumerate() {
            let ordering = match (&a.values, &b.values) {
                (Values::Texts(a), Values::Texts(b)) => {
                    let (a, b) = (text_at(a, i), text_at(b, i));
                    match left.data_type {
                        DataType::Decimal => decimal::compare_text(a, b),
                        DataType::Text => Some(a.cmp(b)),
                        data_type => temporal::compare(a, b, data_type),
                    }
                }
                (Values::Bytes(a), Values::Bytes(b)) => Some(text_at(a, i).cmp(text_at(b, i))),
                (Values::Booleans(a), Values::Booleans(b)) => Some(a.get(i).cmp(&b.get(i))),
                (a, b) => match (integer(a, i), integer(b, i)) {
                    (Some(a), Some(b)) => Some(a.cmp(&b)),
                    _ => float(a, i).partial_cmp(&float(b, i)),
                },
            };
            *out = ordering.map_or(UNKNOWN, |ordering| truth(comparison.accepts(ordering)));
        }
        unknown_where_null(out, a);
        unknown_where_null(out, b);
    }
}
