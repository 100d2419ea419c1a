//! Aggregates of the groups of a query.

use std::collections::BTreeSet;

use super::{
    compile::Compiler,
    evaluate::{Env, Typed},
    scope::Run,
};
use crate::{
    engine::Row,
    error::{Result, SqlError},
    sql::ast::Expr,
    value::{Datum, Kind, Type, compare},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Count,
    CountBig,
    Min,
    Max,
    Sum,
}

/// An aggregate with what it is over.
#[derive(Debug)]
pub struct Aggregate {
    what: What,
    over: Option<Typed>,
    distinct: bool,
}

impl Aggregate {
    /// The aggregate that a call names, when it names one.
    pub fn compile(name: &str, arguments: &[Expr], star: bool, distinct: bool, compiler: &Compiler<'_>) -> Result<Option<Self>> {
        let what = match name.to_ascii_uppercase().as_str() {
            "COUNT" => What::Count,
            "COUNT_BIG" => What::CountBig,
            "MIN" => What::Min,
            "MAX" => What::Max,
            "SUM" => What::Sum,
            "AVG" | "STRING_AGG" | "STDEV" | "VAR" | "CHECKSUM_AGG" | "GROUPING" => {
                return Err(SqlError::unsupported(format_args!("the aggregate {name}")));
            }
            _ => return Ok(None),
        };
        let over = match arguments {
            [] if star => None,
            [one] => {
                let over = compiler.value(one)?;
                // sums are of int, bigint, decimal or float
                let to = match (what, over.of.kind) {
                    (What::Sum, Kind::TinyInt | Kind::SmallInt) => Some(Kind::Int),
                    (What::Sum, Kind::Decimal(_, s)) => Some(Kind::Decimal(38, s)),
                    _ => None,
                };
                Some(match to {
                    Some(kind) => over.assigned(kind.into())?,
                    None => over,
                })
            }
            _ => return Err(SqlError::new(174, format!("The {name} function requires 1 argument(s).")).class(15)),
        };
        Ok(Some(Self { what, over, distinct }))
    }

    /// Does an expression name an aggregate outside of its subqueries?
    pub fn is_in(expr: &Expr) -> bool {
        match expr {
            Expr::Call { name, arguments, star, .. } => {
                let aggregate = ["COUNT", "COUNT_BIG", "MIN", "MAX", "SUM", "AVG", "STRING_AGG"];
                *star || aggregate.iter().any(|a| name.last().eq_ignore_ascii_case(a)) || arguments.iter().any(Self::is_in)
            }
            Expr::Minus(a) | Expr::BitNot(a) | Expr::Not(a) | Expr::IsNull(a, _) | Expr::Collate(a, _) | Expr::Cast { value: a, .. } => {
                Self::is_in(a)
            }
            Expr::Binary(_, a, b) => Self::is_in(a) || Self::is_in(b),
            Expr::Between(a, b, c, _) => [a, b, c].into_iter().any(|e| Self::is_in(e)),
            Expr::In(a, list, _) => Self::is_in(a) || list.iter().any(Self::is_in),
            Expr::Case { operand, whens, otherwise } => {
                let whens = whens.iter().any(|(a, b)| Self::is_in(a) || Self::is_in(b));
                whens || operand.iter().chain(otherwise).any(|e| Self::is_in(e))
            }
            _ => false,
        }
    }

    /// The type of the result, and whether it may be NULL.
    pub fn result(&self) -> (Type, bool) {
        match (self.what, &self.over) {
            (What::Count, _) => (Kind::Int.into(), false),
            (What::CountBig, _) => (Kind::BigInt.into(), false),
            (_, Some(over)) => (over.of, true),
            (_, None) => (Kind::Int.into(), true),
        }
    }

    /// Its value for the rows of a group.
    pub fn over(&self, rows: &[Row], outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<Datum> {
        let Some(over) = &self.over else { return Ok(Datum::Int(i64::try_from(rows.len()).unwrap_or(i64::MAX))) };
        let mut values = Vec::new();
        let mut seen = BTreeSet::new();
        for row in rows {
            let value = over.value(&Env { row, outer }, run)?;
            if !value.is_null() && (!self.distinct || seen.insert(compare::key(&value, &over.of))) {
                values.push(value);
            }
        }
        let order = |a: &Datum, b: &Datum| compare::order(a, b, &over.of);
        Ok(match self.what {
            What::Count | What::CountBig => Datum::Int(i64::try_from(values.len()).unwrap_or(i64::MAX)),
            What::Min => values.into_iter().min_by(order).unwrap_or(Datum::Null),
            What::Max => values.into_iter().max_by(order).unwrap_or(Datum::Null),
            What::Sum => {
                let mut total: Option<Datum> = None;
                for value in values {
                    total = Some(match (total, value) {
                        (None, value) => value,
                        (Some(Datum::Int(a)), Datum::Int(b)) => Datum::Int(a.checked_add(b).ok_or_else(|| self.overflow())?),
                        (Some(Datum::Money(a)), Datum::Money(b)) => Datum::Money(a.checked_add(b).ok_or_else(|| self.overflow())?),
                        (Some(Datum::Decimal(a, s)), Datum::Decimal(b, _)) => {
                            Datum::Decimal(a.checked_add(b).ok_or_else(|| self.overflow())?, s)
                        }
                        (Some(Datum::Float(a)), Datum::Float(b)) => Datum::Float(a + b),
                        _ => return Err(SqlError::unsupported(format_args!("the sum of {}", over.of))),
                    });
                }
                total.unwrap_or(Datum::Null)
            }
        })
    }

    fn overflow(&self) -> SqlError {
        let of = self.result().0;
        SqlError::new(8115, format!("Arithmetic overflow error converting expression to data type {}.", of.kind.name())).state(2)
    }
}
