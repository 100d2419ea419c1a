//! Compiled expressions, and their values for a row.

use std::sync::Arc;

use super::{condition::Condition, function::Function, query::Plan, scope::Run};
use crate::{
    error::{Ends, Result, SqlError},
    sql::ast::Operator,
    value::{Datum, Kind, Type, convert, number},
};

/// The row that an expression is evaluated for, and the rows of the queries around it.
#[derive(Clone, Copy, Default)]
pub struct Env<'a> {
    /// The values of this query's sources.
    pub row: &'a [Datum],
    /// The query around this one.
    pub outer: Option<&'a Env<'a>>,
}

/// A compiled expression with its type.
#[derive(Debug)]
pub struct Typed {
    /// How it is computed.
    pub node: Node,
    /// Its type.
    pub of: Type,
    /// May it be NULL?
    pub nullable: bool,
    /// A bare NULL, which has no type.
    pub untyped: bool,
}

/// How a value is computed.
#[derive(Debug)]
pub enum Node {
    /// It is known.
    Const(Datum),
    /// It is a column, so many queries out.
    Column {
        depth: usize,
        at: usize,
    },
    /// It is converted; `attempt` gives NULL where that fails.
    Cast {
        value: Box<Typed>,
        style: Option<i64>,
        attempt: bool,
    },
    /// It is converted as a value that is compared or stored.
    Assign(Box<Typed>),
    /// Two numbers, texts or bytes, converted to a common type.
    Arithmetic(Operator, Box<Typed>, Box<Typed>),
    Minus(Box<Typed>),
    BitNot(Box<Typed>),
    Case(Vec<(Condition, Typed)>, Option<Box<Typed>>),
    Function(Function, Vec<Typed>),
    Scalar(Box<Plan>),
    HierarchyText(Box<Typed>),
}

impl Typed {
    /// A value that is known.
    pub fn constant(value: Datum, of: impl Into<Type>) -> Self {
        let nullable = value.is_null();
        Self { node: Node::Const(value), of: of.into(), nullable, untyped: false }
    }

    /// The value, when it is known.
    pub fn known(&self) -> Option<&Datum> {
        match &self.node {
            Node::Const(value) => Some(value),
            _ => None,
        }
    }

    /// The same converted as one that is compared or stored as that type.
    pub fn assigned(self, to: Type) -> Result<Self> {
        if self.of == to || self.untyped {
            return Ok(Self { of: to, untyped: false, ..self });
        }
        if let Node::Const(value) = &self.node {
            let value = if value.is_null() { Datum::Null } else { convert_for_comparison(value, &self.of, &to)? };
            return Ok(Self { node: Node::Const(value), of: to, nullable: self.nullable, untyped: false });
        }
        let nullable = self.nullable;
        Ok(Self { node: Node::Assign(Box::new(self)), of: to, nullable, untyped: false })
    }

    /// The value for a row.
    pub fn value(&self, env: &Env<'_>, run: &Run<'_>) -> Result<Datum> {
        match &self.node {
            Node::Const(value) => Ok(value.clone()),
            Node::Column { depth, at } => {
                let mut env = env;
                for _ in 0..*depth {
                    env = env.outer.ok_or_else(|| SqlError::unsupported("a column of no query"))?;
                }
                env.row.get(*at).cloned().ok_or_else(|| SqlError::unsupported("a column that is not there"))
            }
            Node::Cast { value, style, attempt } => {
                let inner = value.value(env, run)?;
                match cast(&inner, &value.of, &self.of, *style) {
                    Err(_) if *attempt => Ok(Datum::Null),
                    other => other,
                }
            }
            Node::Assign(value) => convert_for_comparison(&value.value(env, run)?, &value.of, &self.of),
            Node::Arithmetic(operator, left, right) => {
                let (left, right) = (left.value(env, run)?, right.value(env, run)?);
                if left.is_null() || right.is_null() { Ok(Datum::Null) } else { arithmetic(*operator, &left, &right, &self.of) }
            }
            Node::Minus(value) => Ok(match value.value(env, run)? {
                Datum::Int(n) => Datum::Int(n.checked_neg().ok_or_else(|| overflow(&self.of))?),
                Datum::Decimal(digits, scale) => Datum::Decimal(-digits, scale),
                Datum::Money(n) => Datum::Money(-n),
                Datum::Float(f) => Datum::Float(-f),
                Datum::Real(f) => Datum::Real(-f),
                Datum::Null => Datum::Null,
                _ => return Err(SqlError::unsupported(format_args!("minus of {}", self.of))),
            }),
            Node::BitNot(value) => Ok(match value.value(env, run)? {
                Datum::Int(n) => Datum::Int(!n),
                Datum::Bit(b) => Datum::Bit(!b),
                Datum::Null => Datum::Null,
                _ => return Err(SqlError::unsupported(format_args!("~ of {}", self.of))),
            }),
            Node::Case(whens, otherwise) => {
                for (condition, value) in whens {
                    if condition.holds(env, run)? == Some(true) {
                        return value.value(env, run);
                    }
                }
                otherwise.as_ref().map_or(Ok(Datum::Null), |value| value.value(env, run))
            }
            Node::Function(function, arguments) => function.call(arguments, &self.of, env, run),
            Node::Scalar(plan) => {
                let mut rows = plan.rows(Some(env), run)?.into_iter();
                let first = rows.next();
                if rows.next().is_some() {
                    let text = "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.";
                    return Err(SqlError::new(512, text));
                }
                Ok(first.and_then(|row| row.first().cloned()).unwrap_or(Datum::Null))
            }
            Node::HierarchyText(value) => match value.value(env, run)? {
                Datum::Bytes(bytes) => super::hierarchy::print(&bytes).map(|text| Datum::text(&text)),
                _ => Ok(Datum::Null),
            },
        }
    }
}

/// CAST, with the types that are more than a value's own form.
pub fn cast(value: &Datum, from: &Type, to: &Type, style: Option<i64>) -> Result<Datum> {
    match (value, from.kind, to.kind) {
        (Datum::Text(units), _, Kind::HierarchyId) => super::hierarchy::parse(&String::from_utf16_lossy(units)).map(|b| Datum::bytes(&b)),
        (Datum::Bytes(bytes), Kind::HierarchyId, kind) if kind.is_text() => convert::literal(&super::hierarchy::print(bytes)?, to),
        _ => convert::convert(value, from, to, style),
    }
}

fn convert_for_comparison(value: &Datum, from: &Type, to: &Type) -> Result<Datum> {
    if value.is_null() {
        return Ok(Datum::Null);
    }
    match (from.kind, to.kind) {
        (from_kind, Kind::HierarchyId) if from_kind.is_text() => cast(value, from, to, None),
        // what is compared may be longer than the column
        (a, b) if a.is_text() && b.is_text() => {
            let wide = Type { kind: if b.is_wide() { Kind::NVarChar(None) } else { Kind::VarChar(None) }, collation: to.collation };
            convert::convert(value, from, &wide, None)
        }
        _ => {
            if matches!(from.kind, Kind::DateTime | Kind::SmallDateTime) && to.kind.is_integer() {
                return convert::assign(value, from, to);
            }
            convert::convert(value, from, to, None)
        }
    }
}

fn overflow(of: &Type) -> SqlError {
    SqlError::new(8115, format!("Arithmetic overflow error converting expression to data type {}.", of.kind.name())).state(2)
}

fn by_zero() -> SqlError {
    SqlError::new(8134, "Divide by zero error encountered.").ends(Ends::Statement)
}

fn arithmetic(operator: Operator, left: &Datum, right: &Datum, of: &Type) -> Result<Datum> {
    match (left, right) {
        (Datum::Int(a), Datum::Int(b)) => {
            let found = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                Operator::Divide if *b == 0 => return Err(by_zero()),
                Operator::Modulo if *b == 0 => return Err(by_zero()),
                Operator::Divide => a.checked_div(*b),
                Operator::Modulo => a.checked_rem(*b),
                Operator::BitAnd => Some(a & b),
                Operator::BitOr => Some(a | b),
                Operator::BitXor => Some(a ^ b),
                _ => None,
            };
            let (low, high) = match of.kind {
                Kind::TinyInt => (0, 255),
                Kind::SmallInt => (i64::from(i16::MIN), i64::from(i16::MAX)),
                Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
                _ => (i64::MIN, i64::MAX),
            };
            found.filter(|n| (low..=high).contains(n)).map(Datum::Int).ok_or_else(|| overflow(of))
        }
        (Datum::Decimal(a, sa), Datum::Decimal(b, sb)) => {
            let Kind::Decimal(precision, scale) = of.kind else { return Err(overflow(of)) };
            let common = (*sa).max(*sb);
            let (wide_a, wide_b) = (number::rescale(*a, *sa, common)?, number::rescale(*b, *sb, common)?);
            let (digits, at) = match operator {
                Operator::Add => (wide_a.checked_add(wide_b), common),
                Operator::Subtract => (wide_a.checked_sub(wide_b), common),
                Operator::Multiply => (a.checked_mul(*b), sa + sb),
                Operator::Divide | Operator::Modulo if *b == 0 => return Err(by_zero()),
                Operator::Divide => (wide_a.checked_mul(number::power(scale)).map(|n| n / wide_b), scale),
                Operator::Modulo => (Some(wide_a % wide_b), common),
                _ => (None, 0),
            };
            let digits = digits.ok_or_else(|| overflow(of))?;
            Ok(Datum::Decimal(number::fit(number::rescale(digits, at, scale)?, precision)?, scale))
        }
        (Datum::Money(a), Datum::Money(b)) => match operator {
            Operator::Add => a.checked_add(*b).map(Datum::Money).ok_or_else(|| overflow(of)),
            Operator::Subtract => a.checked_sub(*b).map(Datum::Money).ok_or_else(|| overflow(of)),
            _ => Err(SqlError::unsupported("money multiplied or divided")),
        },
        (Datum::Float(a), Datum::Float(b)) => float(operator, *a, *b).map(Datum::Float),
        (Datum::Real(a), Datum::Real(b)) => float(operator, f64::from(*a), f64::from(*b)).map(|f| Datum::Real(f as f32)),
        (Datum::Text(a), Datum::Text(b)) if operator == Operator::Add => Ok(Datum::Text(a.iter().chain(b.iter()).copied().collect())),
        (Datum::Bytes(a), Datum::Bytes(b)) if operator == Operator::Add => Ok(Datum::Bytes(Arc::from([a.as_ref(), b.as_ref()].concat()))),
        _ => Err(SqlError::unsupported(format_args!("an operator of {of}"))),
    }
}

fn float(operator: Operator, a: f64, b: f64) -> Result<f64> {
    Ok(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide if b == 0.0 => return Err(by_zero()),
        Operator::Divide => a / b,
        _ => return Err(SqlError::unsupported("this operator of float")),
    })
}
