//! Expressions into compiled ones: names become places, types are found.

use super::{
    condition::Condition,
    evaluate::{Env, Node, Typed, cast},
    function,
    query::Plan,
    scope::{Run, Scope},
};
use crate::{
    error::{Ends, Result, SqlError},
    sql::ast::{Expr, Operator, Query},
    value::{Collation, Datum, Kind, Type},
};

/// The aggregates of a grouped query: those that its expressions name are gathered here, and stand behind the groups in its rows.
#[derive(Default)]
pub struct Grouping {
    /// What is grouped by, as written.
    pub groups: Vec<(String, Typed)>,
    /// The aggregates, as written.
    pub aggregates: Vec<(String, super::aggregate::Aggregate)>,
}

/// Compiles the expressions of one query.
pub struct Compiler<'a> {
    /// The columns in reach.
    pub scope: &'a Scope<'a>,
    /// What the statement runs with.
    pub run: &'a Run<'a>,
}

impl Compiler<'_> {
    /// An expression that has a value.
    pub fn value(&self, expr: &Expr) -> Result<Typed> {
        self.grouped_value(expr, &mut None)
    }

    /// The same where aggregates may stand.
    pub fn grouped_value(&self, expr: &Expr, grouping: &mut Option<Grouping>) -> Result<Typed> {
        if let Some(grouping) = grouping
            && let Some(found) = self.group_reference(expr, grouping)?
        {
            return Ok(found);
        }
        match expr {
            Expr::Literal(value, of) => Ok(Typed::constant(value.clone(), *of)),
            Expr::Null => Ok(Typed { node: Node::Const(Datum::Null), of: Kind::Int.into(), nullable: true, untyped: true }),
            Expr::Variable(name) if name.starts_with("@@") => function::global(name, self.run),
            Expr::Variable(name) => {
                let (of, value) = self.run.variable(name)?;
                Ok(Typed { nullable: true, ..Typed::constant(value.clone(), *of) })
            }
            Expr::Column(name) => {
                if grouping.is_some() {
                    let text = format!(
                        "Column '{name}' is invalid in the select list because it is not contained in either an aggregate function or the GROUP BY clause."
                    );
                    return Err(SqlError::new(8120, text).ends(Ends::Batch));
                }
                let (depth, at, column) = self.scope.find(name)?;
                Ok(Typed { node: Node::Column { depth, at }, of: column.of, nullable: column.nullable, untyped: false })
            }
            Expr::Minus(value) => {
                let value = self.grouped_value(value, grouping)?;
                let (of, nullable) = (value.of, value.nullable);
                fold(Typed { node: Node::Minus(Box::new(value)), of, nullable, untyped: false }, self.run)
            }
            Expr::BitNot(value) => {
                let value = self.grouped_value(value, grouping)?;
                let (of, nullable) = (value.of, value.nullable);
                fold(Typed { node: Node::BitNot(Box::new(value)), of, nullable, untyped: false }, self.run)
            }
            Expr::Binary(
                operator @ (Operator::Add
                | Operator::Subtract
                | Operator::Multiply
                | Operator::Divide
                | Operator::Modulo
                | Operator::BitAnd
                | Operator::BitOr
                | Operator::BitXor),
                left,
                right,
            ) => {
                let (left, right) = (self.grouped_value(left, grouping)?, self.grouped_value(right, grouping)?);
                self.arithmetic(*operator, left, right)
            }
            Expr::Case { operand, whens, otherwise } => self.case(operand.as_deref(), whens, otherwise.as_deref(), grouping),
            Expr::Cast { value, to, style, attempt } => {
                let value = self.grouped_value(value, grouping)?;
                let style = match style {
                    None => None,
                    Some(style) => Some(self.constant_int(style)?),
                };
                let collation = if to.kind.is_text() && value.of.kind.is_text() { value.of.collation } else { to.collation };
                let to = Type { kind: to.kind, collation };
                if let Some(known) = value.known() {
                    let nullable = value.nullable;
                    return match cast(known, &value.of, &to, style) {
                        Ok(value) => Ok(Typed { nullable, ..Typed::constant(value, to) }),
                        Err(_) if *attempt => Ok(Typed::constant(Datum::Null, to)),
                        Err(e) => Err(e),
                    };
                }
                let nullable = value.nullable || *attempt;
                Ok(Typed { node: Node::Cast { value: Box::new(value), style, attempt: *attempt }, of: to, nullable, untyped: false })
            }
            Expr::Collate(value, name) => {
                let collation =
                    if name.eq_ignore_ascii_case("database_default") { Collation::of_server() } else { Collation::named(name)? };
                let value = self.grouped_value(value, grouping)?;
                Ok(Typed { of: Type { kind: value.of.kind, collation }, ..value })
            }
            Expr::Call { name, arguments, star, distinct } => {
                if *distinct || *star {
                    return Err(SqlError::unsupported(format_args!("{name} outside of a select list")));
                }
                let mut found = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    found.push(self.grouped_value(argument, grouping)?);
                }
                fold(function::compile(name, found, self.run)?, self.run)
            }
            Expr::Scalar(query) => {
                let plan = self.subquery(query)?;
                let [column] = plan.columns.as_slice() else { return Err(one_column()) };
                Ok(Typed { of: column.of, node: Node::Scalar(Box::new(plan)), nullable: true, untyped: false })
            }
            Expr::Method(value, method) => {
                let value = self.grouped_value(value, grouping)?;
                if value.of.kind != Kind::HierarchyId || !method.eq_ignore_ascii_case("ToString") {
                    return Err(SqlError::unsupported(format_args!("the method {method} of {}", value.of)));
                }
                Ok(Typed {
                    node: Node::HierarchyText(Box::new(value)),
                    of: Kind::NVarChar(Some(4000)).into(),
                    nullable: true,
                    untyped: false,
                })
            }
            Expr::Not(_)
            | Expr::Binary(..)
            | Expr::IsNull(..)
            | Expr::In(..)
            | Expr::InQuery(..)
            | Expr::Between(..)
            | Expr::Like { .. }
            | Expr::Exists(_) => {
                Err(SqlError::new(102, "Incorrect syntax: a condition stands where a value must.").class(15).ends(Ends::Batch))
            }
        }
    }

    fn group_reference(&self, expr: &Expr, grouping: &mut Grouping) -> Result<Option<Typed>> {
        let written = format!("{expr:?}");
        if let Some(at) = grouping.groups.iter().position(|(text, _)| *text == written) {
            let (_, group) = &grouping.groups[at];
            return Ok(Some(Typed { node: Node::Column { depth: 0, at }, of: group.of, nullable: group.nullable, untyped: false }));
        }
        let Expr::Call { name, arguments, star, distinct } = expr else { return Ok(None) };
        let Some(aggregate) = super::aggregate::Aggregate::compile(name.last(), arguments, *star, *distinct, self)? else {
            return Ok(None);
        };
        let at = match grouping.aggregates.iter().position(|(text, _)| *text == written) {
            Some(at) => at,
            None => {
                grouping.aggregates.push((written, aggregate));
                grouping.aggregates.len() - 1
            }
        };
        let (of, nullable) = grouping.aggregates[at].1.result();
        Ok(Some(Typed { node: Node::Column { depth: 0, at: grouping.groups.len() + at }, of, nullable, untyped: false }))
    }

    /// A number that is known before any row is read.
    pub fn constant_int(&self, expr: &Expr) -> Result<i64> {
        let value = self.value(expr)?.assigned(Kind::BigInt.into())?;
        match value.value(&Env::default(), self.run)? {
            Datum::Int(n) => Ok(n),
            _ => Err(SqlError::new(1060, "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.")
                .class(15)),
        }
    }

    fn arithmetic(&self, operator: Operator, left: Typed, right: Typed) -> Result<Typed> {
        let unified = if left.untyped {
            right.of
        } else if right.untyped {
            left.of
        } else {
            left.of.unify(right.of)
        };
        let nullable = left.nullable || right.nullable;
        let (left, right, of) = match unified.kind {
            Kind::Decimal(..) => {
                let exact = |of: Type| of.unify(Kind::Decimal(1, 0).into());
                let (a, b) = (exact(left.of), exact(right.of));
                let of = decimal_result(operator, a.kind, b.kind).unwrap_or(unified.kind);
                (left.assigned(a)?, right.assigned(b)?, Type::from(of))
            }
            Kind::SmallMoney => (left.assigned(Kind::Money.into())?, right.assigned(Kind::Money.into())?, Kind::Money.into()),
            Kind::Bit => (left.assigned(Kind::Int.into())?, right.assigned(Kind::Int.into())?, Kind::Int.into()),
            kind if kind.is_text() || kind.is_binary() => {
                let sum = |a: Option<u16>, b: Option<u16>, most: u16| a.zip(b).map(|(a, b)| (a.saturating_add(b)).min(most));
                let length = |kind: Kind| match kind {
                    Kind::Char(n) | Kind::NChar(n) | Kind::Binary(n) => Some(n),
                    Kind::VarChar(n) | Kind::NVarChar(n) | Kind::VarBinary(n) => n,
                    _ => None,
                };
                let (a, b) = (length(left.of.kind), length(right.of.kind));
                let result = match kind {
                    Kind::NVarChar(_) | Kind::NChar(_) => Kind::NVarChar(sum(a, b, 4000)),
                    Kind::VarChar(_) | Kind::Char(_) => Kind::VarChar(sum(a, b, 8000)),
                    Kind::VarBinary(_) | Kind::Binary(_) => Kind::VarBinary(sum(a, b, 8000)),
                    _ => return Err(SqlError::unsupported(format_args!("an operator of {unified}"))),
                };
                let of = Type { kind: result, collation: unified.collation };
                (left.assigned(of)?, right.assigned(of)?, of)
            }
            _ => (left.assigned(unified)?, right.assigned(unified)?, unified),
        };
        fold(Typed { node: Node::Arithmetic(operator, Box::new(left), Box::new(right)), of, nullable, untyped: false }, self.run)
    }

    fn case(
        &self,
        operand: Option<&Expr>,
        whens: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        grouping: &mut Option<Grouping>,
    ) -> Result<Typed> {
        let mut arms = Vec::new();
        for (when, then) in whens {
            let condition = match operand {
                None => self.grouped_condition(when, grouping)?,
                Some(operand) => {
                    let equal = Expr::Binary(Operator::Equal, Box::new(operand.clone()), Box::new(when.clone()));
                    self.grouped_condition(&equal, grouping)?
                }
            };
            arms.push((condition, self.grouped_value(then, grouping)?));
        }
        let otherwise = match otherwise {
            None => None,
            Some(otherwise) => Some(self.grouped_value(otherwise, grouping)?),
        };
        let of = common_type(arms.iter().map(|(_, v)| v).chain(otherwise.as_ref()));
        let nullable = otherwise.as_ref().is_none_or(|v| v.nullable) || arms.iter().any(|(_, v)| v.nullable);
        let mut whens = Vec::new();
        for (condition, value) in arms {
            whens.push((condition, value.assigned(of)?));
        }
        let otherwise = otherwise.map(|v| v.assigned(of)).transpose()?.map(Box::new);
        Ok(Typed { node: Node::Case(whens, otherwise), of, nullable, untyped: false })
    }

    /// An expression that is true, false or unknown.
    pub fn condition(&self, expr: &Expr) -> Result<Condition> {
        self.grouped_condition(expr, &mut None)
    }

    /// The same where aggregates may stand.
    pub fn grouped_condition(&self, expr: &Expr, grouping: &mut Option<Grouping>) -> Result<Condition> {
        Ok(match expr {
            Expr::Binary(Operator::And, a, b) => {
                Condition::And(Box::new(self.grouped_condition(a, grouping)?), Box::new(self.grouped_condition(b, grouping)?))
            }
            Expr::Binary(Operator::Or, a, b) => {
                Condition::Or(Box::new(self.grouped_condition(a, grouping)?), Box::new(self.grouped_condition(b, grouping)?))
            }
            Expr::Not(a) => Condition::Not(Box::new(self.grouped_condition(a, grouping)?)),
            Expr::Binary(operator, a, b) => {
                let (a, b) = (self.grouped_value(a, grouping)?, self.grouped_value(b, grouping)?);
                compared(*operator, a, b)?
            }
            Expr::IsNull(value, not) => {
                let inner = Condition::IsNull(self.grouped_value(value, grouping)?);
                if *not { Condition::Not(Box::new(inner)) } else { inner }
            }
            Expr::Between(value, low, high, not) => {
                let value_again = self.grouped_value(value, grouping)?;
                let low = compared(Operator::GreaterOrEqual, self.grouped_value(value, grouping)?, self.grouped_value(low, grouping)?)?;
                let high = compared(Operator::LessOrEqual, value_again, self.grouped_value(high, grouping)?)?;
                let inner = Condition::And(Box::new(low), Box::new(high));
                if *not { Condition::Not(Box::new(inner)) } else { inner }
            }
            Expr::In(value, list, not) => {
                let mut found: Option<Condition> = None;
                for other in list {
                    let equal = compared(Operator::Equal, self.grouped_value(value, grouping)?, self.grouped_value(other, grouping)?)?;
                    found = Some(match found {
                        None => equal,
                        Some(before) => Condition::Or(Box::new(before), Box::new(equal)),
                    });
                }
                let inner = found.ok_or_else(|| SqlError::unsupported("an empty IN"))?;
                if *not { Condition::Not(Box::new(inner)) } else { inner }
            }
            Expr::InQuery(value, query, not) => {
                let value = self.grouped_value(value, grouping)?;
                let plan = self.subquery(query)?;
                let [column] = plan.columns.as_slice() else { return Err(one_column()) };
                if column.of.kind.rank() > value.of.kind.rank() {
                    return Err(SqlError::unsupported("IN with a query of a type that ranks above the value's"));
                }
                let of = value.of;
                let inner = Condition::Among(value, Box::new(plan), of);
                if *not { Condition::Not(Box::new(inner)) } else { inner }
            }
            Expr::Like { value, pattern, escape, not } => {
                let escape = match escape {
                    None => None,
                    Some(escape) => Some(self.grouped_value(escape, grouping)?),
                };
                let inner = Condition::Like {
                    value: self.grouped_value(value, grouping)?,
                    pattern: self.grouped_value(pattern, grouping)?,
                    escape,
                };
                if *not { Condition::Not(Box::new(inner)) } else { inner }
            }
            Expr::Exists(query) => Condition::Exists(Box::new(self.subquery(query)?)),
            _ => {
                let text = "An expression of non-boolean type specified in a context where a condition is expected.";
                return Err(SqlError::new(4145, text).class(15).ends(Ends::Batch));
            }
        })
    }

    fn subquery(&self, query: &Query) -> Result<Plan> {
        Plan::compile(query, Some(self.scope), self.run)
    }
}

fn one_column() -> SqlError {
    let text = "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.";
    SqlError::new(116, text).ends(Ends::Batch)
}

/// The value now, when everything that it is made of is known.
fn fold(value: Typed, run: &Run<'_>) -> Result<Typed> {
    let known = match &value.node {
        Node::Minus(a) | Node::BitNot(a) => a.known().is_some(),
        Node::Arithmetic(_, a, b) => a.known().is_some() && b.known().is_some(),
        _ => false,
    };
    if !known {
        return Ok(value);
    }
    let found = value.value(&Env::default(), run)?;
    Ok(Typed { node: Node::Const(found), ..value })
}

/// The type that all of the values become.
pub fn common_type<'v>(values: impl Iterator<Item = &'v Typed>) -> Type {
    values.filter(|v| !v.untyped).map(|v| v.of).reduce(Type::unify).unwrap_or_else(|| Kind::Int.into())
}

fn compared(operator: Operator, left: Typed, right: Typed) -> Result<Condition> {
    let of = if left.untyped {
        right.of
    } else if right.untyped {
        left.of
    } else {
        left.of.unify(right.of)
    };
    if matches!(
        of.kind,
        Kind::Text | Kind::NText | Kind::Image | Kind::Xml | Kind::Json | Kind::Vector(_) | Kind::Geometry | Kind::Geography
    ) {
        let text =
            format!("The data types {} and {} are incompatible in the comparison operator.", left.of.kind.name(), right.of.kind.name());
        return Err(SqlError::new(402, text).ends(Ends::Batch));
    }
    Ok(Condition::Compare(operator, left.assigned(of)?, right.assigned(of)?, of))
}

fn decimal_result(operator: Operator, a: Kind, b: Kind) -> Option<Kind> {
    let (Kind::Decimal(p1, s1), Kind::Decimal(p2, s2)) = (a, b) else { return None };
    let (precision, scale) = match operator {
        Operator::Add | Operator::Subtract => {
            let scale = s1.max(s2);
            ((p1 - s1).max(p2 - s2) + scale + 1, scale)
        }
        Operator::Multiply => (p1 + p2 + 1, s1 + s2),
        Operator::Divide => {
            let scale = (s1 + p2 + 1).max(6);
            (p1 - s1 + s2 + scale, scale)
        }
        Operator::Modulo => {
            let scale = s1.max(s2);
            ((p1 - s1).min(p2 - s2) + scale, scale)
        }
        _ => return None,
    };
    if precision <= 38 {
        return Some(Kind::Decimal(precision, scale));
    }
    let whole = precision - scale;
    Some(Kind::Decimal(38, scale.min(38_u8.saturating_sub(whole).max(scale.min(6)))))
}
