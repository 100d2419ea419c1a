//! Conditions, which are true, false or unknown.

use std::cmp::Ordering;

use super::{
    evaluate::{Env, Typed},
    query::Plan,
    scope::Run,
};
use crate::{
    error::{Result, SqlError},
    sql::ast::Operator,
    value::{Type, compare},
};

/// A compiled condition.
#[derive(Debug)]
pub enum Condition {
    /// Two values of one type are compared.
    Compare(Operator, Typed, Typed, Type),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    IsNull(Typed),
    Like {
        value: Typed,
        pattern: Typed,
        escape: Option<Typed>,
    },
    Exists(Box<Plan>),
    /// The value is among those of a query's only column.
    Among(Typed, Box<Plan>, Type),
}

impl Condition {
    /// Does it hold for a row? `None` is unknown.
    pub fn holds(&self, env: &Env<'_>, run: &Run<'_>) -> Result<Option<bool>> {
        Ok(match self {
            Self::Compare(operator, left, right, of) => {
                let (left, right) = (left.value(env, run)?, right.value(env, run)?);
                if left.is_null() || right.is_null() {
                    return Ok(None);
                }
                let order = compare::order(&left, &right, of);
                Some(match operator {
                    Operator::Equal => order == Ordering::Equal,
                    Operator::NotEqual => order != Ordering::Equal,
                    Operator::Less => order == Ordering::Less,
                    Operator::LessOrEqual => order != Ordering::Greater,
                    Operator::Greater => order == Ordering::Greater,
                    Operator::GreaterOrEqual => order != Ordering::Less,
                    _ => return Err(SqlError::unsupported("an operator that compares nothing")),
                })
            }
            Self::And(a, b) => match (a.holds(env, run)?, || b.holds(env, run)) {
                (Some(false), _) => Some(false),
                (Some(true), b) => b()?,
                (None, b) => b()?.filter(|b| !b),
            },
            Self::Or(a, b) => match (a.holds(env, run)?, || b.holds(env, run)) {
                (Some(true), _) => Some(true),
                (Some(false), b) => b()?,
                (None, b) => b()?.filter(|b| *b),
            },
            Self::Not(a) => a.holds(env, run)?.map(|b| !b),
            Self::IsNull(value) => Some(value.value(env, run)?.is_null()),
            Self::Like { value, pattern, escape } => {
                let (Some(text), Some(pattern)) = (value.value(env, run)?.to_text(), pattern.value(env, run)?.to_text()) else {
                    return Ok(None);
                };
                let escape = match escape {
                    None => None,
                    Some(escape) => escape.value(env, run)?.to_text().and_then(|t| t.chars().next()),
                };
                let fold = |text: String| if value.of.collation.is_case_sensitive() { text } else { text.to_lowercase() };
                let (text, pattern): (Vec<char>, Vec<char>) = (fold(text).chars().collect(), fold(pattern).chars().collect());
                Some(like(&text, &pattern, escape))
            }
            Self::Exists(plan) => Some(plan.has_rows(env, run)?),
            Self::Among(value, plan, of) => {
                let value = value.value(env, run)?;
                let rows = plan.rows(Some(env), run)?;
                if rows.is_empty() {
                    return Ok(Some(false));
                }
                if value.is_null() {
                    return Ok(None);
                }
                let mut unknown = false;
                for row in &rows {
                    let Some(other) = row.first() else { continue };
                    if other.is_null() {
                        unknown = true;
                    } else if compare::order(&value, other, of) == Ordering::Equal {
                        return Ok(Some(true));
                    }
                }
                if unknown { None } else { Some(false) }
            }
        })
    }
}

fn like(text: &[char], pattern: &[char], escape: Option<char>) -> bool {
    let Some((first, rest)) = pattern.split_first() else { return text.is_empty() };
    if Some(*first) == escape
        && let Some((literal, rest)) = rest.split_first()
    {
        return text.first() == Some(literal) && like(&text[1..], rest, escape);
    }
    match first {
        '%' => (0..=text.len()).any(|skip| like(&text[skip..], rest, escape)),
        '_' => !text.is_empty() && like(&text[1..], rest, escape),
        '[' => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|at| at + 1).or_else(|| rest.iter().position(|c| *c == ']'))
            else {
                return false;
            };
            let (set, rest) = (&rest[..end], &rest[end + 1..]);
            let (not, set) = match set.split_first() {
                Some(('^', others)) => (true, others),
                _ => (false, set),
            };
            let Some(c) = text.first() else { return false };
            let mut inside = false;
            let mut at = 0;
            while at < set.len() {
                if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
                    inside |= (set[at]..=set[at + 2]).contains(c);
                    at += 3;
                } else {
                    inside |= set[at] == *c;
                    at += 1;
                }
            }
            inside != not && like(&text[1..], rest, escape)
        }
        other => text.first() == Some(other) && like(&text[1..], rest, escape),
    }
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn like_knows_wildcards_sets_and_escapes() {
        let matches = |text: &str, pattern: &str| like(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>(), Some('!'));
        assert!(matches("orders", "o%s"));
        assert!(!matches("orders", "o_s"));
        assert!(matches("a_b", "a!_b"));
        assert!(!matches("axb", "a!_b"));
        assert!(matches("b1", "[a-c][0-9]"));
        assert!(!matches("d1", "[a-c]%"));
        assert!(matches("d1", "[^a-c]%"));
        assert!(matches("a[b", "a[[]b"));
    }
}
