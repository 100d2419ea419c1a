//! From the text of a condition to a [`Condition`] over the columns of one table: names resolved, types checked, literals
//! brought into the form of their column.

use sluicegate_plugin::{DataType, TablePlan};
use sqlparser::{
    ast::{BinaryOperator, Expr, UnaryOperator, Value},
    dialect::MySqlDialect,
    parser::Parser,
    tokenizer::Token,
};

use crate::{decimal::Decimal, like::Like, literal::Literal, temporal};

/// Longest condition, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Deepest nesting of parentheses and NOTs; chains of AND or OR are flat.
const MAX_DEPTH: usize = 50;

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

    fn negated_if(self, negated: bool) -> Self {
        if negated { self.not() } else { self }
    }
}

/// Parses a condition in MySQL's dialect, without looking at a table.
pub fn parse(text: &str) -> Result<Expr, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("it is {} bytes long; at most {MAX_TEXT} are read", text.len()));
    }
    let dialect = MySqlDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(|error| format!("`{text}` is no SQL condition: {error}"))?;
    let expression = parser.parse_expr().map_err(|error| format!("`{text}` is no SQL condition: {error}"))?;
    match parser.next_token().token {
        Token::EOF => Ok(expression),
        token => Err(format!("`{text}` goes on after the condition, at `{token}`; write a condition only, without `;`")),
    }
}

/// Compiles a condition for a table; the columns that it needs are added to what the plan reads.
pub fn compile(expression: &Expr, table: &mut TablePlan) -> Result<Condition, String> {
    Compiler { table }.condition(expression, 0)
}

struct Compiler<'a> {
    table: &'a mut TablePlan,
}

impl Compiler<'_> {
    fn condition(&mut self, expression: &Expr, depth: usize) -> Result<Condition, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        let inner = depth + 1;
        match expression {
            Expr::Nested(expr) => self.condition(expr, inner),
            Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
                let mut parts = Vec::new();
                let mut rest = expression;
                while let Expr::BinaryOp { left, op: same, right } = rest {
                    if same != op {
                        break;
                    }
                    parts.push(right.as_ref());
                    rest = left;
                }
                parts.push(rest);
                let parts = parts.into_iter().rev().map(|part| self.condition(part, inner)).collect::<Result<Vec<_>, _>>()?;
                Ok(if *op == BinaryOperator::And { Condition::And(parts) } else { Condition::Or(parts) })
            }
            Expr::UnaryOp { op: UnaryOperator::Not | UnaryOperator::BangNot, expr } => Ok(self.condition(expr, inner)?.not()),
            Expr::BinaryOp { left, op, right } => self.comparison(expression, left, op, right),
            Expr::IsNull(expr) => Ok(Condition::IsNull(self.operand(expr)?)),
            Expr::IsNotNull(expr) => Ok(Condition::IsNull(self.operand(expr)?).not()),
            Expr::IsTrue(expr) => self.is(expr, Some(true), false, inner),
            Expr::IsNotTrue(expr) => self.is(expr, Some(true), true, inner),
            Expr::IsFalse(expr) => self.is(expr, Some(false), false, inner),
            Expr::IsNotFalse(expr) => self.is(expr, Some(false), true, inner),
            Expr::IsUnknown(expr) => self.is(expr, None, false, inner),
            Expr::IsNotUnknown(expr) => self.is(expr, None, true, inner),
            Expr::Between { expr, negated, low, high } => {
                let low = self.comparison(expression, expr, &BinaryOperator::GtEq, low)?;
                let high = self.comparison(expression, expr, &BinaryOperator::LtEq, high)?;
                Ok(between(low, high).negated_if(*negated))
            }
            Expr::InList { expr, list, negated } => Ok(self.in_list(expr, list)?.negated_if(*negated)),
            Expr::Like { negated, any: false, expr, pattern, escape_char } => {
                Ok(self.like(expr, pattern, escape_char.as_deref())?.negated_if(*negated))
            }
            Expr::Value(value) if matches!(value.value, Value::Boolean(_) | Value::Null) => Ok(Condition::Always(match value.value {
                Value::Boolean(value) => Some(value),
                _ => None,
            })),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let operand = self.operand(expression)?;
                match operand.data_type {
                    DataType::Boolean => Ok(Condition::Compare(operand, Comparison::Equal, Constant::Bool(true))),
                    _ => Err(format!("`{expression}` alone is no condition; compare it, e.g. `{expression} <> 0`")),
                }
            }
            _ => Err(unsupported(expression)),
        }
    }

    fn is(&mut self, expression: &Expr, truth: Option<bool>, negated: bool, depth: usize) -> Result<Condition, String> {
        Ok(Condition::Is(Box::new(self.condition(expression, depth)?), truth).negated_if(negated))
    }

    /// The column that an expression names.
    fn operand(&mut self, expression: &Expr) -> Result<Operand, String> {
        let name = match expression {
            Expr::Nested(inner) => return self.operand(inner),
            Expr::Identifier(name) => &name.value,
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [table, name] if table.value == self.table.table().name.table => &name.value,
                _ => return Err(format!("`{expression}` names another table; a condition sees the columns of one row")),
            },
            _ => return Err(unsupported(expression)),
        };
        let place = self.table.read(name)?;
        let data_type = self.table.column(name).map_or(DataType::Text, |column| column.data_type);
        Ok(Operand { place, name: name.clone(), data_type })
    }

    fn comparison(&mut self, whole: &Expr, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Condition, String> {
        let (comparison, negated) = match op {
            BinaryOperator::Eq | BinaryOperator::Spaceship => (Comparison::Equal, false),
            BinaryOperator::NotEq => (Comparison::Equal, true),
            BinaryOperator::Lt => (Comparison::Less, false),
            BinaryOperator::LtEq => (Comparison::LessOrEqual, false),
            BinaryOperator::Gt => (Comparison::Greater, false),
            BinaryOperator::GtEq => (Comparison::GreaterOrEqual, false),
            _ => return Err(unsupported(whole)),
        };
        let null_safe = *op == BinaryOperator::Spaceship;
        let compared = match (Literal::of(left).transpose()?, Literal::of(right).transpose()?) {
            (Some(_), Some(_)) => return Err(format!("`{whole}` compares two literals; one side has to be a column")),
            (None, Some(Literal::Null)) | (Some(Literal::Null), None) => {
                let column = if Literal::of(left).is_some() { right } else { left };
                return match null_safe {
                    true => Ok(Condition::IsNull(self.operand(column)?)),
                    false => Err(format!("`{whole}` is never true; write `{column} IS NULL` or `{column} IS NOT NULL`")),
                };
            }
            (None, Some(literal)) => constant(whole, self.operand(left)?, comparison, literal)?,
            (Some(literal), None) => constant(whole, self.operand(right)?, comparison.flipped(), literal)?,
            (None, None) => {
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
        let compared = compared.negated_if(negated);
        Ok(if null_safe { Condition::Is(Box::new(compared), Some(true)) } else { compared })
    }

    fn in_list(&mut self, expression: &Expr, list: &[Expr]) -> Result<Condition, String> {
        let operand = self.operand(expression)?;
        let (mut integers, mut texts, mut others, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), false);
        for item in list {
            let literal = Literal::of(item).ok_or_else(|| format!("`{item}` in the list after IN is no literal"))??;
            if literal == Literal::Null {
                unknown = true;
                continue;
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

    fn like(&mut self, expression: &Expr, pattern: &Expr, escape: Option<&Expr>) -> Result<Condition, String> {
        let operand = self.operand(expression)?;
        if !sluicegate_plugin::is_textual(operand.data_type) {
            return Err(format!("LIKE needs a text; `{expression}` is {}", name_of(operand.data_type)));
        }
        let Some(Literal::Text(text)) = Literal::of(pattern).transpose()? else {
            return Err(format!("the pattern after LIKE has to be a text; `{pattern}` is none"));
        };
        let escape = match escape {
            None => Some('\\'),
            Some(expr) => match Literal::of(expr).transpose()? {
                Some(Literal::Text(text)) if text.chars().count() <= 1 => text.chars().next(),
                _ => return Err(format!("ESCAPE takes one character; `{expr}` is none")),
            },
        };
        Ok(Condition::Like(operand, Like::compile(&text, escape)?))
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

/// A column compared with a literal, which has to be of the column's kind.
fn constant(whole: &Expr, operand: Operand, comparison: Comparison, literal: Literal) -> Result<Condition, String> {
    use DataType::*;
    let constant = match (operand.data_type, literal) {
        (Int64, Literal::Number(number, _)) => return Ok(integers(operand, comparison, &number)),
        (Uint64, Literal::Number(number, _)) => return Ok(integers(operand, comparison, &number)),
        (Int64 | Uint64, Literal::Bool(value)) => {
            let number = crate::decimal::Decimal::parse(if value { "1" } else { "0" }).ok_or("no number")?;
            return Ok(integers(operand, comparison, &number));
        }
        (Float32 | Float64, Literal::Number(_, float)) => Constant::Float(float),
        (Decimal, Literal::Number(number, _)) => Constant::Decimal(number),
        (Boolean, Literal::Bool(value)) => Constant::Bool(value),
        (Boolean, Literal::Number(number, _)) if matches!(number.floor(), Some((0 | 1, true))) => {
            Constant::Bool(number.floor() == Some((1, true)))
        }
        (Text, Literal::Text(text)) => Constant::Bytes(text.into_bytes()),
        (Bytes, Literal::Bytes(bytes)) => Constant::Bytes(bytes),
        (data_type @ (Date | Time | Datetime | Timestamp), Literal::Text(text)) => Constant::Temporal(
            temporal::canonical(&text, data_type)
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
        DataType::Time => "'HH:MM:SS'",
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

fn unsupported(expression: &Expr) -> String {
    format!(
        "`{expression}` is not supported; a condition compares columns with literals (=, <>, <, <=, >, >=, IN, LIKE, BETWEEN, IS NULL) and \
         joins that with AND, OR, NOT"
    )
}
