//! Runs a program over a batch. A column that is used once is taken, not copied, and masked where it lies.

use std::collections::BTreeMap;

use sluicegate_plugin::{ColumnBuilder, DataType, Outcome, Rejection, Rows, Strings, Value, Values, Vector};

use crate::{
    cast,
    program::{Expression, Part, Program},
    text::{self, Piece},
};

struct Run {
    columns: Vec<Option<Vector>>,
    uses: Vec<usize>,
    count: usize,
    rejected: BTreeMap<u32, String>,
}

/// The computed columns of a batch.
pub fn run(program: &Program, rows: Rows) -> Outcome {
    let mut run = Run {
        columns: rows.columns.into_iter().map(Some).collect(),
        uses: program.uses.clone(),
        count: rows.count as usize,
        rejected: BTreeMap::new(),
    };
    let computed = program.computed.iter().map(|expression| run.evaluate(expression)).collect();
    let rejected = run.rejected.into_iter().map(|(row, message)| Rejection { row, message }).collect();
    Outcome { keep: Vec::new(), computed, rejected }
}

impl Run {
    fn input(&mut self, place: usize) -> Vector {
        let last = self.uses.get_mut(place).is_none_or(|uses| {
            *uses = uses.saturating_sub(1);
            *uses == 0
        });
        let column = self.columns.get_mut(place).and_then(|column| if last { column.take() } else { column.clone() });
        column.unwrap_or_else(|| self.constant(DataType::Text, &Value::Null))
    }

    fn constant(&self, data_type: DataType, value: &Value<'_>) -> Vector {
        let values = match value {
            Value::Bool(value) => Values::Booleans(vec![u8::from(*value); self.count]),
            Value::Int(value) => Values::Int64s(vec![*value; self.count]),
            Value::UInt(value) => Values::Uint64s(vec![*value; self.count]),
            Value::Float(value) if data_type == DataType::Float32 => Values::Float32s(vec![*value as f32; self.count]),
            Value::Float(value) => Values::Float64s(vec![*value; self.count]),
            Value::Text(text) => Values::Texts(self.repeated(text.as_bytes())),
            Value::Bytes(bytes) => Values::Bytes(self.repeated(bytes)),
            Value::Null => {
                let mut column = ColumnBuilder::new(data_type, self.count);
                (0..self.count).for_each(|_| column.push_null());
                return column.finish();
            }
        };
        Vector { values, nulls: Vec::new() }
    }

    fn repeated(&self, text: &[u8]) -> Strings {
        Strings { offsets: (0..=self.count).map(|row| (row * text.len()) as u32).collect(), data: text.repeat(self.count) }
    }

    fn evaluate(&mut self, expression: &Expression) -> Vector {
        match expression {
            Expression::Input(place) => self.input(*place),
            Expression::Constant(data_type, value) => self.constant(*data_type, value),
            Expression::Default(inner, data_type, value) => {
                let column = self.evaluate(inner);
                if column.nulls.iter().all(|byte| *byte == 0) {
                    return column;
                }
                self.map(&column, *data_type, |kept| if kept == Value::Null { Some(value.clone()) } else { Some(kept) }, "")
            }
            Expression::Mask(inner, mask) => {
                let column = self.evaluate(inner);
                with_strings(column, |strings, _| text::mask(strings, *mask))
            }
            Expression::Truncate(inner, length) => {
                let column = self.evaluate(inner);
                with_strings(column, |strings, _| text::truncate(&strings, *length))
            }
            Expression::Hash(inner, hmac) => {
                let column = self.evaluate(inner);
                with_strings(column, |strings, nulls| text::hash(&strings, nulls, hmac))
            }
            Expression::Concat(parts, separator) => {
                let pieces: Vec<_> = parts
                    .iter()
                    .map(|part| match part {
                        Part::Text(text) => Piece::Text(text.clone()),
                        Part::Column(inner) => match self.evaluate(inner) {
                            Vector { values: Values::Texts(strings) | Values::Bytes(strings), nulls } => Piece::Column(strings, nulls),
                            _ => Piece::Text(String::new()),
                        },
                    })
                    .collect();
                Vector { values: Values::Texts(text::concat(&pieces, separator, self.count)), nulls: Vec::new() }
            }
            Expression::Cast(inner, to, name) => {
                let column = self.evaluate(inner);
                match (&column.values, to) {
                    // The text of a textual value is the value itself.
                    (Values::Texts(_), DataType::Text) => column,
                    _ => self.map(&column, *to, |value| cast::cast(value, *to), name),
                }
            }
        }
    }

    /// A new column, value by value; a value without an answer rejects its row.
    fn map<'a>(&mut self, column: &'a Vector, to: DataType, each: impl Fn(Value<'a>) -> Option<Value<'a>>, name: &str) -> Vector {
        let mut out = ColumnBuilder::new(to, self.count);
        for row in 0..self.count {
            let value = each(column.value(row));
            if value.is_none_or(|value| out.push(value).is_err()) {
                out.push_null();
                self.rejected.entry(row as u32).or_insert_with(|| format!("column `{name}` holds a value that is no {}", word(to)));
            }
        }
        out.finish()
    }
}

fn word(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Int64 => "int (64 bits, signed)",
        DataType::Uint64 => "uint (64 bits, unsigned)",
        DataType::Float32 | DataType::Float64 => "float",
        DataType::Decimal => "decimal",
        _ => "text",
    }
}

/// Replaces the text of a column; what was null stays null.
fn with_strings(column: Vector, change: impl FnOnce(Strings, &Vector) -> Strings) -> Vector {
    let Vector { values, nulls } = column;
    let marks = Vector { values: Values::Booleans(Vec::new()), nulls };
    let values = match values {
        Values::Texts(strings) | Values::Bytes(strings) => Values::Texts(change(strings, &marks)),
        other => other,
    };
    Vector { values, nulls: marks.nulls }
}
