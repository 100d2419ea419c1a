//! Where the rows of a query come from, and how sources are joined.

use std::{collections::HashMap, sync::Arc};

use super::{
    catalog, change_table,
    compile::Compiler,
    condition::Condition,
    evaluate::{Env, Node, Typed},
    query::Plan,
    scan::{key_of, same_keys},
    scope::{OutColumn, Run, Scope, ScopeColumn},
};
use crate::{
    engine::{Definition, Row, Table},
    error::{Ends, Result, SqlError},
    sql::ast::{Alias, Join, Name, Operator, Source},
    value::{Datum, Type, compare},
};

/// A compiled source.
#[derive(Debug)]
pub enum SourcePlan {
    Scan(Arc<Table>),
    /// Rows that are known when the statement is compiled.
    Rows(Vec<Row>),
    Derived(Box<Plan>),
    Values(Vec<Vec<Typed>>),
    Version(change_table::Lookup),
    Join(Box<JoinPlan>),
    Apply {
        left: Box<SourcePlan>,
        right: Box<SourcePlan>,
        outer: bool,
        width: usize,
    },
}

/// A compiled join. The driver's rows are each kept in an outer join.
#[derive(Debug)]
pub struct JoinPlan {
    driver: SourcePlan,
    inner: SourcePlan,
    outer: bool,
    /// The driver's columns stand behind the inner ones, in a RIGHT JOIN.
    swapped: bool,
    inner_width: usize,
    /// Equal columns: the driver's side and the inner one's, each over its own rows.
    equal: Vec<(Typed, Typed, Type)>,
    /// What else has to hold, over both.
    on: Vec<Condition>,
}

/// Compiles a source and says which columns it has.
pub fn compile(source: &Source, outer: Option<&Scope<'_>>, run: &Run<'_>) -> Result<(SourcePlan, Vec<ScopeColumn>)> {
    match source {
        Source::Table { name, alias, hints } => {
            if hints.iter().any(|h| matches!(h.as_str(), "HOLDLOCK" | "SERIALIZABLE" | "REPEATABLEREAD")) {
                run.holds.set(true);
            }
            table(name, alias, outer, run)
        }
        Source::Derived(query, alias) => {
            let plan = Plan::compile(query, outer, run)?;
            let columns = named(plan.columns.clone(), alias)?;
            Ok((SourcePlan::Derived(Box::new(plan)), columns))
        }
        Source::Values(rows, alias) => values(rows, alias, outer, run),
        Source::Changes { table, last, alias, .. } => {
            let (rows, columns) = change_table::changes(table, last, alias, run)?;
            Ok((SourcePlan::Rows(rows), named(columns, alias)?))
        }
        Source::Version { table, columns, values, alias, .. } => {
            let scope = Scope { columns: Vec::new(), outer };
            let (lookup, found) = change_table::version(table, columns, values, alias, &Compiler { scope: &scope, run })?;
            Ok((SourcePlan::Version(lookup), named(found, alias)?))
        }
        Source::Join(left, right, kind, on) => join(left, right, *kind, on.as_ref(), outer, run),
        Source::Apply { left, right, outer: keeps } => {
            let (left, mut columns) = compile(left, outer, run)?;
            let (right, mut more) = {
                let scope = Scope { columns: std::mem::take(&mut columns), outer };
                let compiled = compile(right, Some(&scope), run)?;
                columns = scope.columns;
                compiled
            };
            let width = more.len();
            if *keeps {
                more.iter_mut().for_each(|c| c.column.nullable = true);
            }
            columns.extend(more);
            Ok((SourcePlan::Apply { left: Box::new(left), right: Box::new(right), outer: *keeps, width }, columns))
        }
    }
}

/// Columns under the alias of their source, which may rename them.
fn named(columns: Vec<OutColumn>, alias: &Alias) -> Result<Vec<ScopeColumn>> {
    let source = alias.name.clone().unwrap_or_default();
    if !alias.columns.is_empty() && alias.columns.len() != columns.len() {
        let (number, than) = if alias.columns.len() > columns.len() { (8159, "fewer") } else { (8158, "more") };
        let text = format!("'{source}' has {than} columns than were specified in the column list.");
        return Err(SqlError::new(number, text).ends(Ends::Batch));
    }
    let mut found = Vec::with_capacity(columns.len());
    for (at, mut column) in columns.into_iter().enumerate() {
        if let Some(name) = alias.columns.get(at) {
            column.name.clone_from(name);
        }
        found.push(ScopeColumn { source: source.clone(), schema: None, column });
    }
    Ok(found)
}

/// The columns of a table as a result has them.
pub fn columns_of(definition: &Definition, database: &str) -> Vec<OutColumn> {
    let of = |c: &crate::engine::Column| OutColumn {
        name: c.name.clone(),
        of: c.of,
        nullable: c.nullable,
        stored: c.computed.is_none() && c.identity.is_none() && c.of.kind != crate::value::Kind::RowVersion,
        read_only: c.of.kind == crate::value::Kind::RowVersion,
        identity: c.identity.is_some(),
        table: Some((database.to_owned(), definition.schema.clone(), definition.name.clone())),
    };
    definition.columns.iter().map(of).collect()
}

fn table(name: &Name, alias: &Alias, outer: Option<&Scope<'_>>, run: &Run<'_>) -> Result<(SourcePlan, Vec<ScopeColumn>)> {
    if name.parts.len() == 1 {
        let common = run.with.borrow().iter().rev().find(|(n, ..)| crate::engine::table::same(n, name.last())).cloned();
        if let Some((name, columns, query)) = common {
            let plan = Plan::compile(&query, outer, run)?;
            let source = alias.name.clone().unwrap_or(name);
            let columns = named(plan.columns.clone(), &Alias { name: Some(source), columns })?;
            return Ok((SourcePlan::Derived(Box::new(plan)), columns));
        }
    }
    let source = alias.name.clone().unwrap_or_else(|| name.last().to_owned());
    if let Some((columns, rows)) = catalog::view(name, run)? {
        let columns = named(columns, &Alias { name: Some(source), columns: Vec::new() })?;
        return Ok((SourcePlan::Rows(rows), columns));
    }
    let (database, found) = run.access(name)?;
    if !run.sees(database, &found) {
        return Err(SqlError::no_object(&name.to_string()));
    }
    run.require(database, &found, "SELECT")?;
    let database_name = run.view.database(database)?.name.clone();
    let schema = if alias.name.is_some() { None } else { Some(found.definition.schema.clone()) };
    let columns = columns_of(&found.definition, &database_name)
        .into_iter()
        .map(|column| ScopeColumn { source: source.clone(), schema: schema.clone(), column })
        .collect();
    // CHANGETABLE does not look at policies
    if run.here()?.hidden.contains(&found.definition.object_id) {
        return Ok((SourcePlan::Rows(Vec::new()), columns));
    }
    Ok((SourcePlan::Scan(found), columns))
}

fn values(
    rows: &[Vec<crate::sql::ast::Expr>],
    alias: &Alias,
    outer: Option<&Scope<'_>>,
    run: &Run<'_>,
) -> Result<(SourcePlan, Vec<ScopeColumn>)> {
    let scope = Scope { columns: Vec::new(), outer };
    let compiler = Compiler { scope: &scope, run };
    let mut compiled: Vec<Vec<Typed>> = Vec::new();
    for row in rows {
        compiled.push(row.iter().map(|e| compiler.value(e)).collect::<Result<_>>()?);
    }
    let width = compiled.first().map_or(0, Vec::len);
    if compiled.iter().any(|row| row.len() != width) {
        return Err(SqlError::new(10709, "The number of columns for each row in a table value constructor must be the same.").class(16));
    }
    let types: Vec<Type> = (0..width).map(|at| super::compile::common_type(compiled.iter().map(|row| &row[at]))).collect();
    let columns = types.iter().map(|of| OutColumn::plain("", *of, true)).collect();
    let mut assigned = Vec::new();
    for row in compiled {
        assigned.push(row.into_iter().zip(&types).map(|(value, of)| value.assigned(*of)).collect::<Result<_>>()?);
    }
    Ok((SourcePlan::Values(assigned), named(columns, alias)?))
}

fn join(
    left: &Source,
    right: &Source,
    kind: Join,
    on: Option<&crate::sql::ast::Expr>,
    outer: Option<&Scope<'_>>,
    run: &Run<'_>,
) -> Result<(SourcePlan, Vec<ScopeColumn>)> {
    if kind == Join::Full {
        return Err(SqlError::unsupported("FULL JOIN"));
    }
    let (left, mut left_columns) = compile(left, outer, run)?;
    let (right, mut right_columns) = compile(right, outer, run)?;
    for pair in left_columns.iter().flat_map(|l| right_columns.first().map(|r| (l, r))) {
        if !pair.0.source.is_empty() && crate::engine::table::same(&pair.0.source, &pair.1.source) && pair.0.schema == pair.1.schema {
            let text = format!("The correlation name '{}' is specified multiple times in a FROM clause.", pair.0.source);
            return Err(SqlError::new(1011, text).class(15).ends(Ends::Batch));
        }
    }
    let (left_width, right_width) = (left_columns.len(), right_columns.len());
    if kind == Join::Left {
        right_columns.iter_mut().for_each(|c| c.column.nullable = true);
    }
    if kind == Join::Right {
        left_columns.iter_mut().for_each(|c| c.column.nullable = true);
    }
    left_columns.extend(right_columns);
    let scope = Scope { columns: left_columns, outer };
    let swapped = kind == Join::Right;
    let (mut equal, mut rest) = (Vec::new(), Vec::new());
    if let Some(on) = on {
        for condition in conjunctions(Compiler { scope: &scope, run }.condition(on)?) {
            match condition {
                Condition::Compare(Operator::Equal, a, b, of) => {
                    let sides = (side(&a, left_width), side(&b, left_width));
                    let (l, r) = match sides {
                        (Some(false), Some(true)) => (a, b),
                        (Some(true), Some(false)) => (b, a),
                        _ => {
                            rest.push(Condition::Compare(Operator::Equal, a, b, of));
                            continue;
                        }
                    };
                    let r = shifted(r, left_width);
                    equal.push(if swapped { (r, l, of) } else { (l, r, of) });
                }
                other => rest.push(other),
            }
        }
    }
    let (driver, inner, inner_width) = if swapped { (right, left, left_width) } else { (left, right, right_width) };
    let plan = JoinPlan { driver, inner, outer: matches!(kind, Join::Left | Join::Right), swapped, inner_width, equal, on: rest };
    Ok((SourcePlan::Join(Box::new(plan)), scope.columns))
}

fn conjunctions(condition: Condition) -> Vec<Condition> {
    match condition {
        Condition::And(a, b) => {
            let mut found = conjunctions(*a);
            found.extend(conjunctions(*b));
            found
        }
        other => vec![other],
    }
}

/// Is it a column of the right side (true) or of the left one (false)?
fn side(value: &Typed, left_width: usize) -> Option<bool> {
    match &value.node {
        Node::Column { depth: 0, at } => Some(*at >= left_width),
        Node::Assign(inner) => side(inner, left_width),
        _ => None,
    }
}

fn shifted(value: Typed, by: usize) -> Typed {
    let node = match value.node {
        Node::Column { depth: 0, at } => Node::Column { depth: 0, at: at - by },
        Node::Assign(inner) => Node::Assign(Box::new(shifted(*inner, by))),
        other => other,
    };
    Typed { node, ..value }
}

impl SourcePlan {
    /// The rows, in no order that anybody may rely on.
    pub fn rows(&self, outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<Vec<Row>> {
        match self {
            Self::Scan(table) => Ok(table.rows.values().cloned().collect()),
            Self::Rows(rows) => Ok(rows.clone()),
            Self::Derived(plan) => plan.rows(outer, run),
            Self::Values(rows) => {
                let env = Env { row: &[], outer };
                rows.iter().map(|row| row.iter().map(|v| v.value(&env, run)).collect()).collect()
            }
            Self::Version(lookup) => lookup.rows(&Env { row: &[], outer }, run),
            Self::Join(plan) => plan.rows(outer, run),
            Self::Apply { left, right, outer: keeps, width } => {
                let mut found = Vec::new();
                for row in left.rows(outer, run)? {
                    let env = Env { row: &row, outer };
                    let inner = right.rows(Some(&env), run)?;
                    if inner.is_empty() && *keeps {
                        found.push(row.iter().cloned().chain(std::iter::repeat_n(Datum::Null, *width)).collect());
                    }
                    found.extend(inner.iter().map(|more| row.iter().chain(more.iter()).cloned().collect::<Row>()));
                }
                Ok(found)
            }
        }
    }
}

impl JoinPlan {
    fn rows(&self, outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<Vec<Row>> {
        let drivers = self.driver.rows(outer, run)?;
        let mut found = Vec::with_capacity(drivers.len());
        let lookup = self.by_key();
        let inner = if lookup.is_some() { Vec::new() } else { self.inner.rows(outer, run)? };
        let mut index: HashMap<Vec<u8>, Vec<&Row>> = HashMap::new();
        if lookup.is_none() && !self.equal.is_empty() {
            for row in &inner {
                if let Some(key) = joined_key(self.equal.iter().map(|(_, r, of)| (r, of)), row, outer, run)? {
                    index.entry(key).or_default().push(row);
                }
            }
        }
        let nothing = Vec::new();
        let all: Vec<&Row> = if self.equal.is_empty() { inner.iter().collect() } else { Vec::new() };
        for driver in &drivers {
            let mut hit = false;
            if let Some((table, places)) = &lookup {
                let env = Env { row: driver, outer };
                let values = places.iter().map(|at| self.equal[*at].0.value(&env, run)).collect::<Result<Vec<_>>>()?;
                if !values.iter().any(Datum::is_null)
                    && let Some(row) = table.rows.get(&key_of(&values, &table.definition))
                {
                    hit = self.push(driver, row, outer, run, &mut found)?;
                }
            } else {
                let candidates = if self.equal.is_empty() {
                    &all
                } else {
                    match joined_key(self.equal.iter().map(|(l, _, of)| (l, of)), driver, outer, run)? {
                        Some(key) => index.get(&key).unwrap_or(&nothing),
                        None => &nothing,
                    }
                };
                for row in candidates {
                    hit |= self.push(driver, row, outer, run, &mut found)?;
                }
            }
            if !hit && self.outer {
                let nulls = std::iter::repeat_n(&Datum::Null, self.inner_width);
                let row: Row = if self.swapped {
                    nulls.chain(driver.iter()).cloned().collect()
                } else {
                    driver.iter().chain(nulls).cloned().collect()
                };
                found.push(row);
            }
        }
        Ok(found)
    }

    fn push(&self, driver: &Row, inner: &Row, outer: Option<&Env<'_>>, run: &Run<'_>, found: &mut Vec<Row>) -> Result<bool> {
        let (a, b) = if self.swapped { (inner, driver) } else { (driver, inner) };
        let row: Row = a.iter().chain(b.iter()).cloned().collect();
        for condition in &self.on {
            if condition.holds(&Env { row: &row, outer }, run)? != Some(true) {
                return Ok(false);
            }
        }
        found.push(row);
        Ok(true)
    }

    /// The inner table, when its rows can be found by their keys: where the driver's value of each key column stands in `equal`.
    fn by_key(&self) -> Option<(&Arc<Table>, Vec<usize>)> {
        let SourcePlan::Scan(table) = &self.inner else { return None };
        let definition = &table.definition;
        if definition.key.is_empty() || definition.key.len() != self.equal.len() {
            return None;
        }
        let place = |column: &usize| {
            let of_column = |(_, inner, of): &(Typed, Typed, Type)| {
                matches!(inner.node, Node::Column { depth: 0, at } if at == *column) && same_keys(of, &definition.columns[*column].of)
            };
            self.equal.iter().position(of_column)
        };
        Some((table, definition.key.iter().map(place).collect::<Option<Vec<_>>>()?))
    }
}

fn joined_key<'t>(
    sides: impl Iterator<Item = (&'t Typed, &'t Type)>,
    row: &Row,
    outer: Option<&Env<'_>>,
    run: &Run<'_>,
) -> Result<Option<Vec<u8>>> {
    let env = Env { row, outer };
    let mut key = Vec::new();
    for (side, of) in sides {
        let value = side.value(&env, run)?;
        if value.is_null() {
            return Ok(None);
        }
        compare::push_key(&mut key, &value, of);
    }
    Ok(Some(key))
}
