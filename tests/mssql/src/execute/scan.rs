//! Reads of one table by the range of its key that a condition leaves.

use std::ops::Bound;

use super::{
    condition::Condition,
    evaluate::{Node, Typed},
};
use crate::{
    engine::{Definition, Key, Row, Table},
    sql::ast::Operator,
    value::{Datum, Kind, Type, compare},
};

/// The bytes of the first key column between which all rows are that a condition can hold for.
#[derive(Clone, Debug, Default)]
pub struct Range {
    low: Option<Vec<u8>>,
    high: Option<Vec<u8>>,
}

impl Range {
    /// The range of a condition over a table's columns.
    pub fn of(condition: Option<&Condition>, table: &Definition) -> Self {
        match (condition, table.key.first()) {
            (Some(condition), Some(first)) => Self::narrow(condition, *first, &table.columns[*first].of),
            _ => Self::default(),
        }
    }

    fn narrow(condition: &Condition, column: usize, of: &Type) -> Self {
        match condition {
            Condition::And(a, b) => {
                let (a, b) = (Self::narrow(a, column, of), Self::narrow(b, column, of));
                let low = a.low.max(b.low);
                let high = match (a.high, b.high) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                Self { low, high }
            }
            Condition::Or(a, b) => {
                let (a, b) = (Self::narrow(a, column, of), Self::narrow(b, column, of));
                Self { low: a.low.zip(b.low).map(|(a, b)| a.min(b)), high: a.high.zip(b.high).map(|(a, b)| a.max(b)) }
            }
            Condition::Compare(operator, left, right, compared) if same_keys(compared, of) => {
                let is_column = |side: &Typed| matches!(side.node, Node::Column { depth: 0, at } if at == column);
                let (value, operator) = match (is_column(left), right.known(), is_column(right), left.known()) {
                    (true, Some(value), ..) => (value, *operator),
                    (_, _, true, Some(value)) => (value, mirrored(*operator)),
                    _ => return Self::default(),
                };
                if value.is_null() {
                    return Self::default();
                }
                let bytes = compare::key(value, of);
                match operator {
                    Operator::Equal => Self { low: Some(bytes.clone()), high: Some(bytes) },
                    Operator::Greater | Operator::GreaterOrEqual => Self { low: Some(bytes), high: None },
                    Operator::Less | Operator::LessOrEqual => Self { low: None, high: Some(bytes) },
                    _ => Self::default(),
                }
            }
            _ => Self::default(),
        }
    }

    /// The rows of a table in it, in key order.
    pub fn rows<'t>(&self, table: &'t Table) -> Box<dyn Iterator<Item = (&'t Key, &'t Row)> + 't> {
        let low = self.low.as_ref().map_or(Bound::Unbounded, |bytes| Bound::Included(Key::from(bytes.as_slice())));
        // the bytes of another key column follow, and begin with 0 or 1
        let high = self.high.as_ref().map_or(Bound::Unbounded, |bytes| Bound::Excluded(Key::from([bytes.as_slice(), &[2]].concat())));
        if let (Bound::Included(low), Bound::Excluded(high)) = (&low, &high)
            && low >= high
        {
            return Box::new(std::iter::empty());
        }
        Box::new(table.rows.range((low, high)))
    }
}

fn mirrored(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        other => other,
    }
}

/// Do values of both types have the same bytes as keys?
pub fn same_keys(a: &Type, b: &Type) -> bool {
    let text = |kind: Kind| kind.is_text();
    match (a.kind, b.kind) {
        (a_kind, b_kind) if text(a_kind) && text(b_kind) => a.collation == b.collation,
        (a_kind, b_kind) if a_kind.is_binary() && b_kind.is_binary() => true,
        (Kind::Bit, Kind::Bit) => true,
        (a_kind, b_kind) if a_kind.is_integer() && b_kind.is_integer() => a_kind != Kind::Bit && b_kind != Kind::Bit,
        (Kind::Decimal(_, a_scale), Kind::Decimal(_, b_scale)) => a_scale == b_scale,
        (Kind::Time(_), Kind::Time(_)) | (Kind::DateTime2(_), Kind::DateTime2(_)) | (Kind::DateTimeOffset(_), Kind::DateTimeOffset(_)) => {
            true
        }
        (a_kind, b_kind) => a_kind == b_kind,
    }
}

/// The key of a table's row made of the values of its key columns.
pub fn key_of(values: &[Datum], table: &Definition) -> Key {
    let mut bytes = Vec::new();
    for (value, at) in values.iter().zip(&table.key) {
        compare::push_key(&mut bytes, value, &table.columns[*at].of);
    }
    bytes.into()
}
