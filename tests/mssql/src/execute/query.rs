//! Queries: filtered, grouped, ordered, cut.

use std::{cmp::Ordering, collections::HashSet};

use super::{
    aggregate::Aggregate,
    compile::{Compiler, Grouping},
    condition::Condition,
    evaluate::{Env, Node, Typed},
    scan::Range,
    scope::{OutColumn, Run, Scope},
    source::{self, SourcePlan},
};
use crate::{
    engine::Row,
    error::{Ends, Result, SqlError},
    sql::ast::{Expr, Item, Query, Select},
    value::{Datum, Type, compare},
};

/// A compiled query.
#[derive(Debug)]
pub struct Plan {
    /// The columns of its result.
    pub columns: Vec<OutColumn>,
    selects: Vec<(SelectPlan, bool)>,
    /// Places of the output that a UNION is ordered by.
    order: Vec<(usize, bool)>,
    offset: Option<i64>,
    fetch: Option<i64>,
}

#[derive(Debug)]
struct SelectPlan {
    source: Option<SourcePlan>,
    filter: Option<Condition>,
    grouping: Option<(Vec<Typed>, Vec<Aggregate>)>,
    having: Option<Condition>,
    items: Vec<Typed>,
    order: Vec<(Typed, bool)>,
    distinct: bool,
    top: Option<usize>,
}

impl Plan {
    /// Compiles a query inside of another one, or alone.
    pub fn compile(query: &Query, outer: Option<&Scope<'_>>, run: &Run<'_>) -> Result<Self> {
        let before = run.with.borrow().len();
        run.with.borrow_mut().extend(query.with.iter().cloned());
        let compiled = Self::compile_with(query, outer, run);
        run.with.borrow_mut().truncate(before);
        compiled
    }

    fn compile_with(query: &Query, outer: Option<&Scope<'_>>, run: &Run<'_>) -> Result<Self> {
        let scope = Scope::default();
        let number = |expr: &Option<Expr>| match expr {
            None => Ok(None),
            Some(expr) => Compiler { scope: &scope, run }.constant_int(expr).map(Some),
        };
        let (offset, fetch) = (number(&query.offset)?, number(&query.fetch)?);
        let single = query.selects.len() == 1;
        let mut selects = Vec::new();
        let mut columns: Vec<OutColumn> = Vec::new();
        for (select, distinct) in &query.selects {
            let order_by: &[(Expr, bool)] = if single { &query.order_by } else { &[] };
            let (plan, found) = SelectPlan::compile(select, order_by, outer, run)?;
            if columns.is_empty() {
                columns = found;
            } else {
                if columns.len() != found.len() {
                    let text = "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.";
                    return Err(SqlError::new(205, text).ends(Ends::Batch));
                }
                for (column, more) in columns.iter_mut().zip(found) {
                    column.of = column.of.unify(more.of);
                    column.nullable |= more.nullable;
                    column.stored = false;
                }
            }
            selects.push((plan, *distinct));
        }
        if !single {
            let mut unified = Vec::new();
            for (plan, distinct) in selects {
                let items = plan.items.into_iter().zip(&columns).map(|(item, column)| item.assigned(column.of)).collect::<Result<_>>()?;
                unified.push((SelectPlan { items, ..plan }, distinct));
            }
            selects = unified;
        }
        let mut order = Vec::new();
        if !single {
            for (expr, descending) in &query.order_by {
                order.push((
                    output_place(expr, &columns)?.ok_or_else(|| SqlError::unsupported("a UNION ordered by an expression"))?,
                    *descending,
                ));
            }
        }
        Ok(Self { columns, selects, order, offset, fetch })
    }

    /// The rows for the row of the query around it.
    pub fn rows(&self, outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let limit = if self.selects.len() == 1 {
            self.fetch.and_then(|f| usize::try_from(f.saturating_add(self.offset.unwrap_or(0))).ok())
        } else {
            None
        };
        for (at, (select, distinct)) in self.selects.iter().enumerate() {
            rows.extend(select.rows(limit, outer, run)?);
            if at > 0 && *distinct {
                deduplicate(&mut rows, &self.columns.iter().map(|c| c.of).collect::<Vec<_>>());
            }
        }
        if !self.order.is_empty() {
            let by = |row: &Row| {
                let key = |(at, descending): &(usize, bool)| (compare::key(&row[*at], &self.columns[*at].of), *descending);
                self.order.iter().map(key).collect::<Vec<_>>()
            };
            rows.sort_by(|a, b| ordered(&by(a), &by(b)));
        }
        if let Some(offset) = self.offset {
            rows.drain(..usize::try_from(offset).unwrap_or(0).min(rows.len()));
        }
        if let Some(fetch) = self.fetch {
            rows.truncate(usize::try_from(fetch).unwrap_or(0));
        }
        Ok(rows)
    }

    /// Has it any row?
    pub fn has_rows(&self, outer: &Env<'_>, run: &Run<'_>) -> Result<bool> {
        for (select, _) in &self.selects {
            if !select.rows(Some(1), Some(outer), run)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn ordered(a: &[(Vec<u8>, bool)], b: &[(Vec<u8>, bool)]) -> Ordering {
    for ((a, descending), (b, _)) in a.iter().zip(b) {
        let order = if *descending { b.cmp(a) } else { a.cmp(b) };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

fn deduplicate(rows: &mut Vec<Row>, types: &[Type]) {
    let mut seen = HashSet::new();
    rows.retain(|row| {
        let mut key = Vec::new();
        row.iter().zip(types).for_each(|(value, of)| compare::push_key(&mut key, value, of));
        seen.insert(key)
    });
}

/// The place of the output that ORDER BY names by alias or number.
fn output_place(expr: &Expr, columns: &[OutColumn]) -> Result<Option<usize>> {
    match expr {
        Expr::Literal(Datum::Int(n), _) => {
            let place = usize::try_from(*n).ok().and_then(|n| n.checked_sub(1)).filter(|at| *at < columns.len());
            place.map(Some).ok_or_else(|| {
                let text = format!("The ORDER BY position number {n} is out of range of the number of items in the select list.");
                SqlError::new(108, text).class(15).ends(Ends::Batch)
            })
        }
        Expr::Column(name) if name.parts.len() == 1 => {
            Ok(columns.iter().position(|c| !c.name.is_empty() && crate::engine::table::same(&c.name, name.last())))
        }
        _ => Ok(None),
    }
}

impl SelectPlan {
    fn compile(select: &Select, order_by: &[(Expr, bool)], outer: Option<&Scope<'_>>, run: &Run<'_>) -> Result<(Self, Vec<OutColumn>)> {
        let (source, columns) = match &select.from {
            None => (None, Vec::new()),
            Some(from) => {
                let (source, columns) = source::compile(from, outer, run)?;
                (Some(source), columns)
            }
        };
        let scope = Scope { columns, outer };
        let compiler = Compiler { scope: &scope, run };
        let filter = select.filter.as_ref().map(|f| compiler.condition(f)).transpose()?;
        let aggregates = select.items.iter().any(|i| matches!(i, Item::Expr(e, _) | Item::Assign(_, e) if Aggregate::is_in(e)));
        let mut grouping = None;
        if aggregates || !select.group_by.is_empty() || select.having.is_some() {
            let mut groups = Vec::new();
            for expr in &select.group_by {
                groups.push((format!("{expr:?}"), compiler.value(expr)?));
            }
            grouping = Some(Grouping { groups, aggregates: Vec::new() });
        }
        let (mut items, mut out) = (Vec::new(), Vec::new());
        for item in &select.items {
            match item {
                Item::Star(prefix) => {
                    if grouping.is_some() {
                        return Err(SqlError::unsupported("* beside aggregates"));
                    }
                    let before = items.len();
                    for (at, column) in scope.columns.iter().enumerate() {
                        if prefix.as_ref().is_none_or(|p| crate::engine::table::same(p.last(), &column.source)) {
                            let (of, nullable) = (column.column.of, column.column.nullable);
                            items.push(Typed { node: Node::Column { depth: 0, at }, of, nullable, untyped: false });
                            out.push(column.column.clone());
                        }
                    }
                    if items.len() == before {
                        return Err(match prefix {
                            Some(prefix) => SqlError::new(
                                107,
                                format!("The column prefix '{prefix}' does not match with a table name or alias name used in the query."),
                            )
                            .class(15),
                            None => SqlError::new(263, "Must specify table to select from."),
                        });
                    }
                }
                Item::Expr(expr, alias) => {
                    let value = compiler.grouped_value(expr, &mut grouping)?;
                    let mut column = match (&value.node, expr) {
                        (Node::Column { depth: 0, at }, Expr::Column(_)) => scope.columns[*at].column.clone(),
                        _ => OutColumn::plain("", value.of, value.nullable),
                    };
                    column.nullable = value.nullable;
                    column.of = value.of;
                    if let Some(alias) = alias {
                        column.name.clone_from(alias);
                    }
                    items.push(value);
                    out.push(column);
                }
                Item::Assign(..) => return Err(SqlError::unsupported("an assignment inside of a query")),
            }
        }
        let having = select.having.as_ref().map(|h| compiler.grouped_condition(h, &mut grouping)).transpose()?;
        let mut order = Vec::new();
        for (expr, descending) in order_by {
            let value = match output_place(expr, &out)? {
                Some(at) => match &select.items.get(at) {
                    // an alias or number stands for the item's expression
                    Some(Item::Expr(expr, _)) if select.items.len() == out.len() => compiler.grouped_value(expr, &mut grouping)?,
                    _ => match items[at].node {
                        Node::Column { depth, at: place } => Typed {
                            node: Node::Column { depth, at: place },
                            of: items[at].of,
                            nullable: items[at].nullable,
                            untyped: false,
                        },
                        _ => return Err(SqlError::unsupported("a number in ORDER BY beside *")),
                    },
                },
                None => compiler.grouped_value(expr, &mut grouping)?,
            };
            order.push((value, *descending));
        }
        if select.distinct && order.iter().any(|(value, _)| !items.iter().any(|item| same_column(item, value))) {
            let text = "ORDER BY items must appear in the select list if SELECT DISTINCT is specified.";
            return Err(SqlError::new(145, text).class(15).ends(Ends::Batch));
        }
        let top = match &select.top {
            None => None,
            Some(top) => {
                let count = compiler.constant_int(top)?;
                Some(
                    usize::try_from(count)
                        .map_err(|_| SqlError::new(1060, "A TOP or FETCH clause contains an invalid value.").class(15))?,
                )
            }
        };
        let grouping =
            grouping.map(|g| (g.groups.into_iter().map(|(_, v)| v).collect(), g.aggregates.into_iter().map(|(_, a)| a).collect()));
        Ok((Self { source, filter, grouping, having, items, order, distinct: select.distinct, top }, out))
    }

    fn rows(&self, limit: Option<usize>, outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<Vec<Row>> {
        let most = match (self.top, limit) {
            (Some(top), Some(limit)) => Some(top.min(limit)),
            (top, limit) => top.or(limit),
        };
        let (mut rows, in_order) = self.filtered(most, outer, run)?;
        if let Some((groups, aggregates)) = &self.grouping {
            rows = grouped(&rows, groups, aggregates, outer, run)?;
            if let Some(having) = &self.having {
                let mut kept = Vec::new();
                for row in rows {
                    if having.holds(&Env { row: &row, outer }, run)? == Some(true) {
                        kept.push(row);
                    }
                }
                rows = kept;
            }
        }
        if !in_order && !self.order.is_empty() {
            let mut keyed = Vec::with_capacity(rows.len());
            for row in rows {
                let env = Env { row: &row, outer };
                let mut keys = Vec::with_capacity(self.order.len());
                for (value, descending) in &self.order {
                    keys.push((compare::key(&value.value(&env, run)?, &value.of), *descending));
                }
                keyed.push((keys, row));
            }
            keyed.sort_by(|(a, _), (b, _)| ordered(a, b));
            rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        if let (Some(most), false) = (most, self.distinct) {
            rows.truncate(most);
        }
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let env = Env { row, outer };
            found.push(self.items.iter().map(|item| item.value(&env, run)).collect::<Result<Row>>()?);
        }
        if self.distinct {
            deduplicate(&mut found, &self.items.iter().map(|i| i.of).collect::<Vec<_>>());
            if let Some(most) = most {
                found.truncate(most);
            }
        }
        Ok(found)
    }

    /// The source's rows that the filter lets pass, and whether they are in the query's order already.
    fn filtered(&self, most: Option<usize>, outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<(Vec<Row>, bool)> {
        let passes = |row: &Row| match &self.filter {
            None => Ok(true),
            Some(filter) => filter.holds(&Env { row, outer }, run).map(|held| held == Some(true)),
        };
        let Some(source) = &self.source else {
            let empty: Row = Row::from([]);
            return Ok((if passes(&empty)? { vec![empty] } else { Vec::new() }, false));
        };
        let mut found = Vec::new();
        if let SourcePlan::Scan(table) = source {
            let key = &table.definition.key;
            let by_key = |(at, (value, descending)): (usize, &(Typed, bool))| {
                !descending && matches!(value.node, Node::Column { depth: 0, at: column } if key.get(at) == Some(&column))
            };
            let in_order = !self.order.is_empty() && self.order.iter().enumerate().all(by_key);
            let stops = self.grouping.is_none() && !self.distinct && (in_order || self.order.is_empty());
            for (_, row) in Range::of(self.filter.as_ref(), &table.definition).rows(table) {
                if stops && most.is_some_and(|most| found.len() >= most) {
                    break;
                }
                if passes(row)? {
                    found.push(row.clone());
                }
            }
            return Ok((found, in_order && self.grouping.is_none()));
        }
        for row in source.rows(outer, run)? {
            if passes(&row)? {
                found.push(row);
            }
        }
        Ok((found, false))
    }
}

fn same_column(a: &Typed, b: &Typed) -> bool {
    match (&a.node, &b.node) {
        (Node::Column { depth: d1, at: a1 }, Node::Column { depth: d2, at: a2 }) => d1 == d2 && a1 == a2,
        _ => false,
    }
}

fn grouped(rows: &[Row], groups: &[Typed], aggregates: &[Aggregate], outer: Option<&Env<'_>>, run: &Run<'_>) -> Result<Vec<Row>> {
    let mut found: Vec<(Vec<u8>, Vec<Datum>, Vec<Row>)> = Vec::new();
    if groups.is_empty() {
        found.push((Vec::new(), Vec::new(), rows.to_vec()));
    } else {
        for row in rows {
            let env = Env { row, outer };
            let values = groups.iter().map(|g| g.value(&env, run)).collect::<Result<Vec<_>>>()?;
            let mut key = Vec::new();
            values.iter().zip(groups).for_each(|(value, group)| compare::push_key(&mut key, value, &group.of));
            match found.binary_search_by(|(k, ..)| k.cmp(&key)) {
                Ok(at) => found[at].2.push(row.clone()),
                Err(at) => found.insert(at, (key, values, vec![row.clone()])),
            }
        }
    }
    let mut out = Vec::new();
    for (_, mut values, rows) in found {
        for aggregate in aggregates {
            values.push(aggregate.over(&rows, outer, run)?);
        }
        out.push(values.into());
    }
    Ok(out)
}
