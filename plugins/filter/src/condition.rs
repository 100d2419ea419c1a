//! From the text of a condition to a [`Condition`] over the columns of one table: names resolved, types checked, literals
//! brought into the form of their column.

use sluicegate_plugin::{DataType, TablePlan};

use crate::{
    decimal::Decimal,
    expression::{Expression, Kind, Operator},
    like::Like,
    literal::Literal,
    temporal,
};

/// How two values compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`; `<>` is its negation.
    Equal,
    /// `<`.
    Less,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterOrEqual,
}

impl Comparison {
    /// Whether values in this order satisfy the comparison.
    #[inline]
    pub fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Comparison::Equal => ordering.is_eq(),
            Comparison::Less => ordering.is_lt(),
            Comparison::LessOrEqual => ordering.is_le(),
            Comparison::Greater => ordering.is_gt(),
            Comparison::GreaterOrEqual => ordering.is_ge(),
        }
    }

    fn flipped(self) -> Self {
        match self {
            Comparison::Equal => Comparison::Equal,
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        }
    }
}

/// A column that the condition reads: its place among the columns read, its name for messages, its type.
#[derive(Clone, Debug, PartialEq)]
pub struct Operand {
    /// Place among the columns read.
    pub place: usize,
    /// Name.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// Whether it is a year: for the server, one of two digits is in this century or the last.
    pub is_year: bool,
}

/// What a column is compared with, in the column's own form.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// For floats.
    Float(f64),
    /// For decimals.
    Decimal(Decimal),
    /// For text and bytes.
    Bytes(Vec<u8>),
    /// For dates and times: canonical text.
    Temporal(String),
    /// For booleans.
    Bool(bool),
}

/// A condition over columns. Every comparison with a null is unknown.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The same for every row; `None` = unknown.
    Always(Option<bool>),
    /// All hold.
    And(Vec<Condition>),
    /// One holds.
    Or(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// The column is null. Never unknown.
    IsNull(Operand),
    /// The condition is true, false or unknown (`None`). Never unknown itself.
    Is(Box<Condition>, Option<bool>),
    /// A signed column in a range, both ends included.
    Int(Operand, i64, i64),
    /// An unsigned column in a range, both ends included.
    UInt(Operand, u64, u64),
    /// An integer column is one of these, sorted. Without any: false, or unknown for a null.
    OneOf(Operand, Vec<i128>),
    /// A text or bytes column is one of these, sorted.
    OneOfTexts(Operand, Vec<Vec<u8>>),
    /// Any other column against a constant.
    Compare(Operand, Comparison, Constant),
    /// Two columns of comparable types.
    Columns(Operand, Comparison, Operand),
    /// A text column against a pattern.
    Like(Operand, Like),
}

impl Condition {
    /// All of them.
    pub fn and(mut conditions: Vec<Condition>) -> Self {
        match (conditions.pop(), conditions.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                conditions.extend(last);
                Condition::And(conditions)
            }
        }
    }

    fn not(self) -> Self {
        Condition::Not(Box::new(self))
    }
}

/// Compiles a condition for a table; the columns that it needs are added to what the plan reads.
pub fn compile(expression: &Expression, table: &mut TablePlan) -> Result<Condition, String> {
    Compiler { table }.condition(expression)
}

struct Compiler<'a> {
    table: &'a mut TablePlan,
}

impl Compiler<'_> {
    fn condition(&mut self, expression: &Expression) -> Result<Condition, String> {
        match &expression.kind {
            Kind::And(parts) => Ok(Condition::And(parts.iter().map(|part| self.condition(part)).collect::<Result<_, _>>()?)),
            Kind::Or(parts) => Ok(Condition::Or(parts.iter().map(|part| self.condition(part)).collect::<Result<_, _>>()?)),
            Kind::Not(inner) => Ok(self.condition(inner)?.not()),
            Kind::Compare(left, operator, right) => self.comparison(expression, left, *operator, right),
            Kind::IsNull(inner) => Ok(Condition::IsNull(self.operand(inner)?)),
            Kind::Is(inner, truth) => Ok(Condition::Is(Box::new(self.condition(inner)?), *truth)),
            Kind::Between(inner, low, high) => {
                if [low, high].iter().any(|bound| matches!(bound.kind, Kind::Literal(Literal::Double(_)))) {
                    exact_as_doubles(expression, &self.operand(inner)?, [low, high])?;
                }
                let low = self.comparison(expression, inner, Operator::GreaterOrEqual, low)?;
                let high = self.comparison(expression, inner, Operator::LessOrEqual, high)?;
                Ok(between(low, high))
            }
            Kind::InList(inner, list) => self.in_list(inner, list),
            Kind::Like(inner, pattern, escape) => self.like(inner, pattern, escape.as_deref()),
            Kind::Literal(Literal::Bool(value)) => Ok(Condition::Always(Some(*value))),
            Kind::Literal(Literal::Null) => Ok(Condition::Always(None)),
            Kind::Literal(_) => Err(format!("`{expression}` alone is no condition")),
            Kind::Column(..) => {
                let operand = self.operand(expression)?;
                match operand.data_type {
                    DataType::Boolean => Ok(Condition::Compare(operand, Comparison::Equal, Constant::Bool(true))),
                    _ => Err(format!("`{expression}` alone is no condition; compare it, e.g. `{expression} <> 0`")),
                }
            }
        }
    }

    /// The column that an expression names.
    fn operand(&mut self, expression: &Expression) -> Result<Operand, String> {
        let name = match &expression.kind {
            Kind::Column(None, name) => name,
            Kind::Column(Some(table), name) if *table == self.table.table().name.table => name,
            Kind::Column(Some(_), _) => {
                return Err(format!("`{expression}` names another table; a condition sees the columns of one row"));
            }
            _ => return Err(format!("`{expression}` stands where a column has to be")),
        };
        let place = self.table.read(name)?;
        let column = self.table.column(name);
        let data_type = column.map_or(DataType::Text, |column| column.data_type);
        let is_year = column.is_some_and(|column| column.native_type == "year");
        Ok(Operand { place, name: name.clone(), data_type, is_year })
    }

    fn comparison(&mut self, whole: &Expression, left: &Expression, operator: Operator, right: &Expression) -> Result<Condition, String> {
        let (comparison, negated) = match operator {
            Operator::Equal | Operator::NullSafeEqual => (Comparison::Equal, false),
            Operator::NotEqual => (Comparison::Equal, true),
            Operator::Less => (Comparison::Less, false),
            Operator::LessOrEqual => (Comparison::LessOrEqual, false),
            Operator::Greater => (Comparison::Greater, false),
            Operator::GreaterOrEqual => (Comparison::GreaterOrEqual, false),
        };
        let null_safe = operator == Operator::NullSafeEqual;
        let compared = match (&left.kind, &right.kind) {
            (Kind::Literal(_), Kind::Literal(_)) => {
                return Err(format!("`{whole}` compares two literals; one side has to be a column"));
            }
            (column, Kind::Literal(Literal::Null)) | (Kind::Literal(Literal::Null), column) => {
                let column = if *column == left.kind { left } else { right };
                return match null_safe {
                    true => Ok(Condition::IsNull(self.operand(column)?)),
                    false => Err(format!("`{whole}` is never true; write `{column} IS NULL` or `{column} IS NOT NULL`")),
                };
            }
            (_, Kind::Literal(literal)) => constant(whole, self.operand(left)?, comparison, literal)?,
            (Kind::Literal(literal), _) => constant(whole, self.operand(right)?, comparison.flipped(), literal)?,
            _ => {
                let (left, right) = (self.operand(left)?, self.operand(right)?);
                if !comparable(left.data_type, right.data_type) {
                    return Err(format!("`{whole}` compares {} with {}", name_of(left.data_type), name_of(right.data_type)));
                }
                if null_safe {
                    return Err(format!("`{whole}`: `<=>` is understood with a literal only"));
                }
                Condition::Columns(left, comparison, right)
            }
        };
        let compared = if negated { compared.not() } else { compared };
        Ok(if null_safe { Condition::Is(Box::new(compared), Some(true)) } else { compared })
    }

    fn in_list(&mut self, expression: &Expression, list: &[Expression]) -> Result<Condition, String> {
        let operand = self.operand(expression)?;
        let (mut integers, mut texts, mut others, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), false);
        for item in list {
            let literal = match &item.kind {
                Kind::Literal(Literal::Null) => {
                    unknown = true;
                    continue;
                }
                Kind::Literal(literal) => literal,
                _ => return Err(format!("`{item}` in the list after IN is no literal")),
            };
            if let Literal::Number(number, _) = literal {
                beyond(item, &operand, number)?;
            }
            match constant(item, operand.clone(), Comparison::Equal, literal)? {
                Condition::Int(_, low, _) => integers.push(i128::from(low)),
                Condition::UInt(_, low, _) => integers.push(i128::from(low)),
                Condition::OneOf(_, empty) => integers.extend(empty),
                Condition::Compare(_, _, Constant::Bytes(text)) => texts.push(text),
                other => others.push(other),
            }
        }
        integers.sort_unstable();
        integers.dedup();
        texts.sort_unstable();
        texts.dedup();
        if matches!(operand.data_type, DataType::Int64 | DataType::Uint64) {
            others.push(Condition::OneOf(operand, integers));
        } else if !texts.is_empty() {
            others.push(Condition::OneOfTexts(operand, texts));
        }
        others.extend(unknown.then_some(Condition::Always(None)));
        Ok(Condition::Or(others))
    }

    fn like(&mut self, expression: &Expression, pattern: &Expression, escape: Option<&Expression>) -> Result<Condition, String> {
        let operand = self.operand(expression)?;
        if !sluicegate_plugin::is_textual(operand.data_type) {
            return Err(format!("LIKE needs a text; `{expression}` is {}", name_of(operand.data_type)));
        }
        if operand.data_type == DataType::Timestamp {
            return Err(format!(
                "`{expression}` is a timestamp, whose text depends on the session's time zone; compare it with =, <, >, BETWEEN instead of LIKE"
            ));
        }
        let Kind::Literal(Literal::Text(text)) = &pattern.kind else {
            return Err(format!("the pattern after LIKE has to be a text; `{pattern}` is none"));
        };
        let escape = match escape {
            None => Some('\\'),
            Some(expr) => match &expr.kind {
                // of an empty one MySQL takes none, and MariaDB the backslash
                Kind::Literal(Literal::Text(text)) if text.len() == 1 => text.chars().next(),
                _ => return Err(format!("ESCAPE takes one ASCII character; `{expr}` is none")),
            },
        };
        Ok(Condition::Like(operand, Like::compile(text, escape)?))
    }
}

/// Two halves of a BETWEEN as one range where the column is an integer.
fn between(low: Condition, high: Condition) -> Condition {
    match (low, high) {
        (Condition::Int(operand, low, _), Condition::Int(_, _, high)) if low <= high => Condition::Int(operand, low, high),
        (Condition::UInt(operand, low, _), Condition::UInt(_, _, high)) if low <= high => Condition::UInt(operand, low, high),
        (low, high) => Condition::And(vec![low, high]),
    }
}

/// Of a range with a double in it, servers compare some values as doubles and some exactly: only where that is the same, it is judged.
fn exact_as_doubles(whole: &Expression, operand: &Operand, bounds: [&Expression; 2]) -> Result<(), String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_small = |bound: &&Expression| match &bound.kind {
        Kind::Literal(Literal::Number(_, float) | Literal::Double(float)) => float.abs() < EXACT,
        _ => true,
    };
    match operand.data_type {
        DataType::Int64 | DataType::Uint64 if bounds.iter().all(is_small) => Ok(()),
        DataType::Int64 | DataType::Uint64 | DataType::Decimal => {
            Err(format!("`{whole}`: servers do not agree on a range with an exponent; write the numbers without one"))
        }
        _ => Ok(()),
    }
}

/// In a list, servers confuse numbers beyond the range of a column's type with others: -1 with 18446744073709551615.
fn beyond(whole: &Expression, operand: &Operand, number: &Decimal) -> Result<(), String> {
    let fits = match (operand.data_type, number.floor()) {
        (DataType::Int64, floor) => floor.is_some_and(|(floor, _)| i64::try_from(floor).is_ok()),
        (DataType::Uint64, floor) => floor.is_some_and(|(floor, _)| u64::try_from(floor).is_ok()),
        _ => true,
    };
    if fits { Ok(()) } else { Err(format!("`{whole}` in the list after IN is beyond the range of `{}`; leave it out", operand.name)) }
}

/// A column compared with a literal, which has to be of the column's kind.
fn constant(whole: &Expression, operand: Operand, comparison: Comparison, literal: &Literal) -> Result<Condition, String> {
    use DataType::*;
    if operand.is_year && !is_whole_year(literal) {
        return Err(format!("`{whole}`: `{}` is a year; write it with four digits", operand.name));
    }
    let constant = match (operand.data_type, literal) {
        (Int64 | Uint64 | Float32 | Float64 | Decimal, Literal::Double(float)) => Constant::Float(*float),
        (Int64, Literal::Number(number, _)) => return Ok(integers(operand, comparison, number)),
        (Uint64, Literal::Number(number, _)) => return Ok(integers(operand, comparison, number)),
        (Int64 | Uint64, Literal::Bool(value)) => {
            let number = crate::decimal::Decimal::parse(if *value { "1" } else { "0" }).ok_or("no number")?;
            return Ok(integers(operand, comparison, &number));
        }
        (Float32 | Float64, Literal::Number(_, float)) => Constant::Float(*float),
        (Decimal, Literal::Number(number, _)) => Constant::Decimal(number.clone()),
        (Boolean, Literal::Bool(value)) => Constant::Bool(*value),
        (Boolean, Literal::Number(number, _)) if matches!(number.floor(), Some((0 | 1, true))) => {
            Constant::Bool(number.floor() == Some((1, true)))
        }
        (Text, Literal::Text(text)) => Constant::Bytes(text.clone().into_bytes()),
        (Bytes, Literal::Bytes(bytes)) => Constant::Bytes(bytes.clone()),
        (data_type @ (Date | Time | Datetime | Timestamp), Literal::Text(text) | Literal::Temporal(text)) => Constant::Temporal(
            temporal::canonical(text, data_type)
                .ok_or_else(|| format!("`{whole}`: `{}` is {}; write {}", operand.name, name_of(data_type), temporal_form(data_type)))?,
        ),
        (data_type, literal) => {
            let hint = match data_type {
                Text => "write it in quotes",
                Bytes => "write it as X'…'",
                Json => "compare it with LIKE or IS NULL",
                Date | Time | Datetime | Timestamp => "write it in quotes",
                _ => "write it without quotes",
            };
            return Err(format!("`{whole}` compares `{}`, which is {}, with {}; {hint}", operand.name, name_of(data_type), literal.kind()));
        }
    };
    Ok(Condition::Compare(operand, comparison, constant))
}

/// Whether a literal is a year that a server takes for itself: others become one of two digits, or the nearest that there is.
fn is_whole_year(literal: &Literal) -> bool {
    matches!(literal, Literal::Number(number, _) if matches!(number.floor(), Some((0 | 1901..=2155, true))))
}

/// A comparison of an integer column with any number, as the range of integers for which it holds.
fn integers(operand: Operand, comparison: Comparison, number: &Decimal) -> Condition {
    let (low, high) = match number.floor() {
        Some((floor, exact)) => {
            let above = floor.saturating_add(1);
            match comparison {
                Comparison::Equal if exact => (floor, floor),
                Comparison::Equal => (1, 0),
                Comparison::Less if exact => (i128::MIN, floor.saturating_sub(1)),
                Comparison::Less | Comparison::LessOrEqual => (i128::MIN, floor),
                Comparison::GreaterOrEqual if exact => (floor, i128::MAX),
                Comparison::Greater | Comparison::GreaterOrEqual => (above, i128::MAX),
            }
        }
        None => match (comparison, number.is_negative()) {
            (Comparison::Less | Comparison::LessOrEqual, false) | (Comparison::Greater | Comparison::GreaterOrEqual, true) => {
                (i128::MIN, i128::MAX)
            }
            _ => (1, 0),
        },
    };
    let signed = operand.data_type == DataType::Int64;
    let (least, most) = if signed { (i64::MIN.into(), i64::MAX.into()) } else { (0, u64::MAX.into()) };
    let (low, high) = (low.max(least), high.min(most));
    let none = || Condition::OneOf(operand.clone(), Vec::new());
    if low > high {
        return none();
    }
    if signed {
        i64::try_from(low).ok().zip(i64::try_from(high).ok()).map_or_else(none, |(low, high)| Condition::Int(operand.clone(), low, high))
    } else {
        u64::try_from(low).ok().zip(u64::try_from(high).ok()).map_or_else(none, |(low, high)| Condition::UInt(operand.clone(), low, high))
    }
}

/// Whether two columns can be compared with each other.
fn comparable(a: DataType, b: DataType) -> bool {
    use DataType::*;
    let class = |data_type| match data_type {
        Int64 | Uint64 => Some(Int64),
        Float32 | Float64 => Some(Float64),
        Json => None,
        other => Some(other),
    };
    class(a).is_some() && class(a) == class(b)
}

fn temporal_form(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Date => "'YYYY-MM-DD'",
        DataType::Time => "'HH:MM:SS', up to '838:59:59'",
        DataType::Timestamp => "'YYYY-MM-DD HH:MM:SS' in UTC",
        _ => "'YYYY-MM-DD HH:MM:SS'",
    }
}

fn name_of(data_type: DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "a boolean",
        DataType::Int64 | DataType::Uint64 => "an integer",
        DataType::Float32 | DataType::Float64 => "a float",
        DataType::Decimal => "a decimal",
        DataType::Text => "a text",
        DataType::Bytes => "bytes",
        DataType::Date => "a date",
        DataType::Time => "a time",
        DataType::Datetime => "a date and time",
        DataType::Timestamp => "a timestamp",
        DataType::Json => "JSON",
    }
}
