//! From steps to what is computed for one table: an expression for each delivered column that is not an input as it is.

use sluicegate_plugin::{DataType, TablePlan, Value, find_name, is_textual, nearest, type_name};

use crate::{
    cast, config,
    config::{Action, Missing, Step},
    constant,
    hash::Hmac,
    text::Mask,
};

/// How a column is computed.
#[derive(Clone, Debug)]
pub enum Expression {
    /// An input column: its index in the table, later its place among the columns read.
    Input(usize),
    /// The same value in every row.
    Constant(DataType, Value<'static>),
    /// NULL replaced.
    Default(Box<Expression>, DataType, Value<'static>),
    /// Text masked.
    Mask(Box<Expression>, Mask),
    /// Text or bytes hashed.
    Hash(Box<Expression>, Box<Hmac>),
    /// Text cut.
    Truncate(Box<Expression>, usize),
    /// Texts joined.
    Concat(Vec<Part>, String),
    /// Another type; the column's name is for messages.
    Cast(Box<Expression>, DataType, String),
}

/// A part of a concatenation.
#[derive(Clone, Debug)]
pub enum Part {
    /// A column of text.
    Column(Expression),
    /// A literal.
    Text(String),
}

/// What is computed for a table.
#[derive(Debug)]
pub struct Program {
    /// The computed columns, in the order of the plan.
    pub computed: Vec<Expression>,
    /// How often each column read is used.
    pub uses: Vec<usize>,
}

/// A column on its way through the steps.
struct Slot {
    name: String,
    data_type: DataType,
    /// The input column in whose place it is delivered.
    input: Option<usize>,
    expression: Expression,
}

impl Program {
    /// Runs the steps over the table's columns and tells the plan what comes out. Each step says what a missing column means.
    pub fn compile(steps: &[(&Step, Missing)], table: &mut TablePlan) -> Result<Self, String> {
        let columns = table.table().columns.clone();
        let mut slots: Vec<Slot> = columns
            .iter()
            .enumerate()
            .map(|(i, c)| Slot { name: c.name.clone(), data_type: c.data_type, input: Some(i), expression: Expression::Input(i) })
            .collect();
        for (step, missing) in steps {
            if !leaves_out(step, *missing, &slots) {
                run(step, &mut slots)?;
            }
        }
        let name_of = |index: usize| columns.get(index).map(|c| c.name.as_str()).unwrap_or_default();
        for (index, column) in columns.iter().enumerate() {
            if !slots.iter().any(|slot| slot.input == Some(index)) {
                table.drop_column(&column.name)?;
            }
        }
        let mut program = Program { computed: Vec::new(), uses: Vec::new() };
        for slot in slots {
            let untouched = matches!(slot.expression, Expression::Input(index) if slot.input == Some(index));
            match slot.input {
                Some(index) => {
                    if slot.name != name_of(index) {
                        table.rename(name_of(index), &slot.name)?;
                    }
                    if untouched {
                        continue;
                    }
                    table.replace(name_of(index), slot.data_type)?;
                }
                None => table.add(&slot.name, slot.data_type),
            }
            let mut expression = slot.expression;
            program.resolve(&mut expression, &mut |index| table.read(name_of(index)))?;
            program.computed.push(expression);
        }
        Ok(program)
    }

    /// Turns indices of the table into places among the columns read, and counts the uses.
    fn resolve(&mut self, expression: &mut Expression, place: &mut dyn FnMut(usize) -> Result<usize, String>) -> Result<(), String> {
        match expression {
            Expression::Input(index) => {
                *index = place(*index)?;
                if self.uses.len() <= *index {
                    self.uses.resize(*index + 1, 0);
                }
                if let Some(uses) = self.uses.get_mut(*index) {
                    *uses += 1;
                }
                Ok(())
            }
            Expression::Constant(..) => Ok(()),
            Expression::Default(inner, ..)
            | Expression::Mask(inner, _)
            | Expression::Hash(inner, _)
            | Expression::Truncate(inner, _)
            | Expression::Cast(inner, ..) => self.resolve(inner, place),
            Expression::Concat(parts, _) => parts.iter_mut().try_for_each(|part| match part {
                Part::Column(inner) => self.resolve(inner, place),
                Part::Text(_) => Ok(()),
            }),
        }
    }
}

/// The slot of that name.
fn find(name: &str, slots: &[Slot]) -> Option<usize> {
    find_name(name, slots.iter().map(|slot| slot.name.as_str()))
}

/// Whether the step is not for this table, because a column that it needs is missing. A column of the table that `concat` would
/// replace is never let through as it is because of a pattern.
fn leaves_out(step: &Step, missing: Missing, slots: &[Slot]) -> bool {
    let target = find(&step.column, slots);
    let lacks = match &step.action {
        Action::Constant(_) => false,
        Action::Concat(parts, _) => parts.iter().any(|part| matches!(part, config::Part::Column(column) if find(column, slots).is_none())),
        _ => target.is_none(),
    };
    let replaces = target.and_then(|at| slots.get(at)).is_some_and(|slot| slot.input.is_some());
    match missing {
        Missing::Stop => false,
        Missing::Pattern => lacks && !replaces,
        Missing::Ignore => lacks,
    }
}

fn position(name: &str, slots: &[Slot]) -> Result<usize, String> {
    find(name, slots).ok_or_else(|| match nearest(name, slots.iter().map(|slot| slot.name.as_str())) {
        Some(near) => format!("there is no column `{name}`; did you mean `{near}`?"),
        None => format!("there is no column `{name}`"),
    })
}

/// The text of a slot's value.
fn text_of(slot: &Slot) -> Expression {
    if is_textual(slot.data_type) {
        return slot.expression.clone();
    }
    Expression::Cast(Box::new(slot.expression.clone()), DataType::Text, slot.name.clone())
}

fn run(step: &Step, slots: &mut Vec<Slot>) -> Result<(), String> {
    let name = step.column.as_str();
    let (data_type, expression) = match &step.action {
        Action::Drop => {
            slots.remove(position(name, slots)?);
            return Ok(());
        }
        Action::Rename(new) => {
            let at = position(name, slots)?;
            if let Some(slot) = slots.get_mut(at) {
                slot.name.clone_from(new);
            }
            return Ok(());
        }
        Action::Constant(value) => {
            let known = find(name, slots).and_then(|at| slots.get(at)).map(|slot| slot.data_type);
            let fitting = known.and_then(|data_type| Some((data_type, constant::fitting(value, data_type)?)));
            let (data_type, value) = fitting.or_else(|| constant::natural(value)).ok_or_else(|| {
                format!("the constant for `{name}` has to be a text, a number, true or false, or null for a column that exists")
            })?;
            (data_type, Expression::Constant(data_type, value))
        }
        Action::Concat(parts, separator) => {
            let parts = parts.iter().map(|part| match part {
                config::Part::Text(literal) => Ok(Part::Text(literal.text.clone())),
                config::Part::Column(column) => {
                    let at = position(column, slots).map_err(|error| format!("`concat` for `{name}`: {error}"))?;
                    slots.get(at).map(|slot| Part::Column(text_of(slot))).ok_or_else(|| "a column vanished".to_string())
                }
            });
            (DataType::Text, Expression::Concat(parts.collect::<Result<_, _>>()?, separator.clone()))
        }
        action => {
            let at = position(name, slots)?;
            let slot = slots.get(at).ok_or("a column vanished")?;
            on_column(action, slot)?
        }
    };
    match find(name, slots).and_then(|at| slots.get_mut(at)) {
        Some(slot) => {
            slot.data_type = data_type;
            slot.expression = expression;
        }
        None => slots.push(Slot { name: name.to_string(), data_type, input: None, expression }),
    }
    Ok(())
}

/// An action on the value of one column.
fn on_column(action: &Action, slot: &Slot) -> Result<(DataType, Expression), String> {
    let name = &slot.name;
    let inner = || Box::new(slot.expression.clone());
    let text = |what: &str| match slot.data_type {
        DataType::Bytes => Err(format!("`{what}` needs a text; `{name}` is bytes: cast it to text first")),
        _ => Ok(Box::new(text_of(slot))),
    };
    Ok(match action {
        Action::Mask(mask) => (DataType::Text, Expression::Mask(text("mask")?, *mask)),
        Action::Truncate(length) => (DataType::Text, Expression::Truncate(text("truncate")?, *length)),
        Action::Hash(hmac) if slot.data_type == DataType::Bytes => (DataType::Text, Expression::Hash(inner(), Box::new(hmac.clone()))),
        Action::Hash(hmac) => (DataType::Text, Expression::Hash(text("hash")?, Box::new(hmac.clone()))),
        Action::Default(value) => {
            let value = constant::fitting(value, slot.data_type)
                .filter(|value| *value != Value::Null)
                .ok_or_else(|| format!("the default for `{name}` does not fit its type, {}", type_name(slot.data_type)))?;
            (slot.data_type, Expression::Default(inner(), slot.data_type, value))
        }
        Action::Cast(to) if cast::possible(slot.data_type, *to) => {
            if slot.data_type == *to {
                return Ok((*to, slot.expression.clone()));
            }
            (*to, Expression::Cast(inner(), *to, name.clone()))
        }
        Action::Cast(to) => return Err(format!("`{name}` is {}, which cannot be cast to {}", type_name(slot.data_type), type_name(*to))),
        _ => return Err(format!("`{name}`: nothing to do")),
    })
}
