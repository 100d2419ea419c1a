//! INSERT, UPDATE and DELETE: which rows a statement changes, and what Change Tracking keeps of it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    compile::Compiler,
    evaluate::{Env, Typed},
    query::Plan,
    scan::Range,
    scope::{Run, Scope, ScopeColumn},
    source::columns_of,
};
use crate::{
    engine::{
        Definition, Key, Row, Table,
        tracking::{Mask, Operation},
        transaction::{Change, TableId},
    },
    error::{Ends, Result, SqlError},
    sql::ast::{Context, Delete, Expr, Insert, InsertRows, Name, Update},
    value::{Datum, Kind, Type, convert},
};

/// What a statement wants to change.
pub struct Outcome {
    /// The table.
    pub at: TableId,
    /// As the statement saw it.
    pub table: Arc<Table>,
    /// The changes in the order that they are recorded.
    pub changes: Vec<Change>,
    /// The next IDENTITY and row number.
    pub counters: (i64, u64),
    /// Of the statement (G60).
    pub context: Option<Arc<[u8]>>,
    /// Rows that the client is told of.
    pub count: u64,
    /// Keys that are inserted, which must not be there when all deletes are done.
    pub inserted: Vec<(Key, Row)>,
}

impl Outcome {
    /// Checks that no key is there twice, once the keys are locked.
    pub fn check_keys(&self) -> Result<()> {
        let definition = &self.table.definition;
        let mut after: BTreeMap<&Key, bool> = BTreeMap::new();
        for change in &self.changes {
            if change.operation == Operation::Delete {
                after.insert(&change.key, false);
            }
        }
        for (key, row) in &self.inserted {
            let there = after.get(key).copied().unwrap_or_else(|| self.table.rows.contains_key(key));
            if there {
                return Err(duplicate(definition, row));
            }
            after.insert(key, true);
        }
        self.check_unique()
    }

    fn check_unique(&self) -> Result<()> {
        let definition = &self.table.definition;
        for index in definition.indexes.iter().filter(|i| i.unique) {
            let mut rows = self.table.rows.clone();
            for change in &self.changes {
                match &change.row {
                    Some(row) => rows.insert_mut(change.key.clone(), row.clone()),
                    None => {
                        rows.remove_mut(&change.key);
                    }
                }
            }
            let mut seen = std::collections::BTreeSet::new();
            for row in rows.values() {
                let mut key = Vec::new();
                for at in &index.columns {
                    crate::value::compare::push_key(&mut key, &row[*at], &definition.columns[*at].of);
                }
                if !seen.insert(key) {
                    let text = format!(
                        "Cannot insert duplicate key row in object '{}' with unique index '{}'.",
                        definition.full_name(),
                        index.name
                    );
                    return Err(SqlError::new(2601, text).class(14));
                }
            }
        }
        Ok(())
    }
}

fn duplicate(definition: &Definition, row: &Row) -> SqlError {
    let of = |at: &usize| match &row[*at] {
        Datum::Null => "<NULL>".to_owned(),
        value => convert::print(value, &definition.columns[*at].of, None).unwrap_or_default(),
    };
    let values: Vec<String> = definition.key.iter().map(of).collect();
    let text = format!(
        "Violation of PRIMARY KEY constraint '{}'. Cannot insert duplicate key in object '{}'. The duplicate key value is ({}).",
        definition.key_name,
        definition.full_name(),
        values.join(", ")
    );
    SqlError::new(2627, text).class(14)
}

fn target(name: &Name, permission: &str, run: &Run<'_>) -> Result<(i64, Arc<Table>)> {
    let (database, table) = run.access(name)?;
    if !run.sees(database, &table) {
        return Err(SqlError::no_object(&name.to_string()));
    }
    run.require(database, &table, permission)?;
    let of = run.now.databases.get(&database);
    if let Some(of) = of.filter(|d| d.read_only || d.secondary) {
        let text = format!("Failed to update database \"{}\" because the database is read-only.", of.name);
        return Err(SqlError::new(3906, text).ends(Ends::Batch));
    }
    Ok((database, table))
}

fn context(written: Option<&Context>, run: &Run<'_>) -> Result<Option<Arc<[u8]>>> {
    let wrong = || {
        let text = "The \"context\" argument for the CHANGE_TRACKING_CONTEXT WITH clause must be of type varbinary data type with a maximum length of 128.";
        SqlError::new(22109, text).ends(Ends::Batch)
    };
    match written {
        None => Ok(None),
        Some(Context::Bytes(bytes)) if bytes.len() <= 128 => Ok(Some(bytes.as_slice().into())),
        Some(Context::Bytes(_)) => Err(wrong()),
        Some(Context::Variable(name)) => {
            let (of, value) = run.variable(name)?;
            if !matches!(of.kind, Kind::VarBinary(Some(0..=128)) | Kind::Binary(0..=128)) {
                return Err(wrong());
            }
            match value {
                Datum::Bytes(bytes) => Ok(Some(bytes.clone())),
                _ => Ok(None),
            }
        }
    }
}

fn table_scope<'a>(table: &Definition, name: &Name) -> Scope<'a> {
    let column = |column| ScopeColumn { source: name.last().to_owned(), schema: Some(table.schema.clone()), column };
    Scope { columns: columns_of(table, "").into_iter().map(column).collect(), outer: None }
}

/// Makes whole rows: computed columns, constraints.
struct Rows<'a> {
    definition: &'a Definition,
    checks: Vec<(&'a str, super::condition::Condition)>,
    computed: Vec<(usize, Typed)>,
    run: &'a Run<'a>,
}

impl<'a> Rows<'a> {
    fn new(definition: &'a Definition, compiler: &Compiler<'a>) -> Result<Self> {
        let (mut checks, mut computed) = (Vec::new(), Vec::new());
        for (name, check) in &definition.checks {
            checks.push((name.as_str(), compiler.condition(check)?));
        }
        for (at, column) in definition.columns.iter().enumerate() {
            if let Some(expr) = &column.computed {
                computed.push((at, compiler.value(expr)?.assigned(column.of)?));
            }
        }
        Ok(Self { definition, checks, computed, run: compiler.run })
    }

    fn finish(&self, mut values: Vec<Datum>, what: &str) -> Result<Row> {
        for (at, value) in &self.computed {
            let found = value.value(&Env { row: &values, outer: None }, self.run)?;
            values[*at] = found;
        }
        for (column, value) in self.definition.columns.iter().zip(&values) {
            if value.is_null() && !column.nullable {
                let text = format!(
                    "Cannot insert the value NULL into column '{}', table '{}'; column does not allow nulls. {what} fails.",
                    column.name,
                    self.definition.full_name()
                );
                return Err(SqlError::new(515, text).state(2));
            }
        }
        for (name, check) in &self.checks {
            if check.holds(&Env { row: &values, outer: None }, self.run)? == Some(false) {
                let text = format!(
                    "The {what} statement conflicted with the CHECK constraint \"{name}\". The conflict occurred in table \"{}\".",
                    self.definition.full_name()
                );
                return Err(SqlError::new(547, text).state(0));
            }
        }
        Ok(values.into())
    }

    fn key_values(&self, row: &Row) -> Row {
        self.definition.key.iter().map(|at| row[*at].clone()).collect()
    }
}

fn stamp(run: &Run<'_>) -> Datum {
    Datum::bytes(&run.server.next_row_version().to_be_bytes())
}

/// INSERT
pub fn insert(statement: &Insert, run: &Run<'_>) -> Result<Outcome> {
    let (database, table) = target(&statement.target, "INSERT", run)?;
    let definition = table.definition.clone();
    let context = context(statement.context.as_ref(), run)?;
    let scope = table_scope(&definition, &statement.target);
    let rows = Rows::new(&definition, &Compiler { scope: &scope, run })?;
    let writable = |at: &usize| {
        let c = &definition.columns[*at];
        c.computed.is_none() && c.identity.is_none() && c.of.kind != Kind::RowVersion
    };
    let places: Vec<usize> = if statement.columns.is_empty() {
        (0..definition.columns.len()).filter(writable).collect()
    } else {
        let place = |name: &String| definition.column(name).ok_or_else(|| SqlError::no_column(name));
        statement.columns.iter().map(place).collect::<Result<_>>()?
    };
    if let Some(at) = places.iter().find(|at| !writable(at)) {
        let column = &definition.columns[*at];
        let text = format!("Cannot insert an explicit value into the column '{}' of table '{}'.", column.name, definition.name);
        return Err(SqlError::new(if column.identity.is_some() { 544 } else { 271 }, text).ends(Ends::Batch));
    }
    let none = Scope::default();
    let constants = Compiler { scope: &none, run };
    let mut given: Vec<Vec<Option<Datum>>> = Vec::new();
    let counted = |width: usize| {
        if width == places.len() {
            return Ok(());
        }
        if statement.columns.is_empty() {
            let text = "Column name or number of supplied values does not match table definition.";
            return Err(SqlError::new(213, text).ends(Ends::Batch));
        }
        let (number, than) = if width > places.len() { (110, "fewer") } else { (109, "more") };
        let text = format!(
            "There are {than} columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement."
        );
        Err(SqlError::new(number, text).class(15).ends(Ends::Batch))
    };
    match &statement.rows {
        InsertRows::Defaults => given.push(places.iter().map(|_| None).collect()),
        InsertRows::Values(written) => {
            for row in written {
                counted(row.len())?;
                let mut values = Vec::with_capacity(row.len());
                for (expr, at) in row.iter().zip(&places) {
                    values.push(match expr {
                        None => None,
                        Some(expr) => {
                            let value = constants.value(expr)?;
                            let found = value.value(&Env::default(), run)?;
                            Some(stored(&found, &value.of, &definition, *at)?)
                        }
                    });
                }
                given.push(values);
            }
        }
        InsertRows::Query(query) => {
            let plan = Plan::compile(query, None, run)?;
            counted(plan.columns.len())?;
            for row in plan.rows(None, run)? {
                let values = row.iter().zip(&plan.columns).zip(&places);
                given.push(
                    values.map(|((value, column), at)| stored(value, &column.of, &definition, *at).map(Some)).collect::<Result<_>>()?,
                );
            }
        }
    }
    let (mut identity, mut heap) = (table.identity, table.heap);
    let (mut changes, mut inserted) = (Vec::with_capacity(given.len()), Vec::with_capacity(given.len()));
    for row in given {
        let mut values = vec![None; definition.columns.len()];
        for (value, at) in row.into_iter().zip(&places) {
            values[*at] = value;
        }
        let mut whole = Vec::with_capacity(values.len());
        for (at, value) in values.into_iter().enumerate() {
            let column = &definition.columns[at];
            whole.push(match (value, column.identity, &column.default) {
                (Some(value), ..) => value,
                (None, Some((_, step)), _) => {
                    identity += step;
                    Datum::Int(identity - step)
                }
                (None, None, _) if column.of.kind == Kind::RowVersion => stamp(run),
                (None, None, Some(default)) => {
                    let value = constants.value(default)?;
                    stored(&value.value(&Env::default(), run)?, &value.of, &definition, at)?
                }
                (None, None, None) => Datum::Null,
            });
        }
        let row = rows.finish(whole, "INSERT")?;
        let key = definition.key_of(&row).unwrap_or_else(|| {
            heap += 1;
            heap.to_be_bytes().as_slice().into()
        });
        inserted.push((key.clone(), row.clone()));
        changes.push(Change { key, operation: Operation::Insert, key_values: rows.key_values(&row), row: Some(row) });
    }
    let count = u64::try_from(changes.len()).unwrap_or(0);
    Ok(Outcome { at: (database, definition.object_id), table, changes, counters: (identity, heap), context, count, inserted })
}

/// A value as its column has it.
fn stored(value: &Datum, of: &Type, definition: &Definition, at: usize) -> Result<Datum> {
    let column = &definition.columns[at];
    if value.is_null() || *of == column.of && !of.kind.is_text() {
        return Ok(value.clone());
    }
    if column.of.kind == Kind::HierarchyId {
        return super::evaluate::cast(value, of, &column.of, None);
    }
    convert::assign(value, of, &column.of).map_err(|e| {
        if e.number != 8152 {
            return e;
        }
        let text = format!("String or binary data would be truncated in table '{}', column '{}'.", definition.full_name(), column.name);
        SqlError::new(2628, text)
    })
}

fn filtered(table: &Table, filter: Option<&Expr>, top: Option<&Expr>, compiler: &Compiler<'_>) -> Result<Vec<(Key, Row)>> {
    let condition = filter.map(|f| compiler.condition(f)).transpose()?;
    let most = top.map(|t| compiler.constant_int(t)).transpose()?.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(0));
    let mut found = Vec::new();
    for (key, row) in Range::of(condition.as_ref(), &table.definition).rows(table) {
        if found.len() >= most {
            break;
        }
        let held = match &condition {
            None => true,
            Some(condition) => condition.holds(&Env { row, outer: None }, compiler.run)? == Some(true),
        };
        if held {
            found.push((key.clone(), row.clone()));
        }
    }
    Ok(found)
}

/// UPDATE
pub fn update(statement: &Update, run: &Run<'_>) -> Result<Outcome> {
    let (database, table) = target(&statement.target, "UPDATE", run)?;
    let definition = table.definition.clone();
    let context = context(statement.context.as_ref(), run)?;
    let scope = table_scope(&definition, &statement.target);
    let compiler = Compiler { scope: &scope, run };
    let rows = Rows::new(&definition, &compiler)?;
    let mut sets: Vec<(usize, Typed)> = Vec::new();
    for (name, expr) in &statement.sets {
        let at = definition.column(name).ok_or_else(|| SqlError::no_column(name))?;
        let column = &definition.columns[at];
        if sets.iter().any(|(other, _)| *other == at) {
            let text = format!("The column name '{name}' is specified more than once in the SET clause.");
            return Err(SqlError::new(264, text).ends(Ends::Batch));
        }
        if column.computed.is_some() {
            let text = format!(
                "The column \"{name}\" cannot be modified because it is either a computed column or is the result of a UNION operator."
            );
            return Err(SqlError::new(271, text).ends(Ends::Batch));
        }
        if column.of.kind == Kind::RowVersion || column.identity.is_some() {
            let (number, text) = if column.identity.is_some() {
                (8102, format!("Cannot update identity column '{name}'."))
            } else {
                (272, "Cannot update a timestamp column.".to_owned())
            };
            return Err(SqlError::new(number, text).ends(Ends::Batch));
        }
        let value = match (expr, &column.default) {
            (Some(expr), _) => compiler.value(expr)?,
            (None, Some(default)) => compiler.value(default)?,
            (None, None) => Typed::constant(Datum::Null, column.of),
        };
        sets.push((at, value));
    }
    let names_key = sets.iter().any(|(at, _)| definition.key.contains(at))
        || definition.key.iter().any(|at| definition.columns[*at].computed.is_some());
    let stamped = definition.columns.iter().position(|c| c.of.kind == Kind::RowVersion);
    let mut named: Vec<i32> = sets.iter().map(|(at, _)| definition.columns[*at].id).collect();
    named.extend(stamped.map(|at| definition.columns[at].id));
    let mask = if definition.data_columns().all(|id| named.contains(&id)) { Mask::All } else { Mask::Columns(named) };
    let (mut first, mut second, mut inserted) = (Vec::new(), Vec::new(), Vec::new());
    let old = filtered(&table, statement.filter.as_ref(), statement.top.as_ref(), &compiler)?;
    let count = u64::try_from(old.len()).unwrap_or(0);
    for (key, row) in old {
        let env = Env { row: &row, outer: None };
        let mut values = row.to_vec();
        for (at, value) in &sets {
            values[*at] = stored(&value.value(&env, run)?, &value.of, &definition, *at)?;
        }
        if let Some(at) = stamped {
            values[at] = stamp(run);
        }
        let new = rows.finish(values, "UPDATE")?;
        if names_key {
            // the key is named: a delete and an insert, also where its value stays (G11); all deletes come before all inserts (G10)
            let new_key = definition.key_of(&new).unwrap_or_else(|| key.clone());
            first.push(Change { key, operation: Operation::Delete, row: None, key_values: rows.key_values(&row) });
            inserted.push((new_key.clone(), new.clone()));
            second.push(Change { key: new_key, operation: Operation::Insert, key_values: rows.key_values(&new), row: Some(new) });
        } else {
            let key_values = rows.key_values(&row);
            first.push(Change { key, operation: Operation::Update(mask.clone()), row: Some(new), key_values });
        }
    }
    first.extend(second);
    let counters = (table.identity, table.heap);
    Ok(Outcome { at: (database, definition.object_id), table, changes: first, counters, context, count, inserted })
}

/// DELETE
pub fn delete(statement: &Delete, run: &Run<'_>) -> Result<Outcome> {
    let (database, table) = target(&statement.target, "DELETE", run)?;
    let definition = table.definition.clone();
    let context = context(statement.context.as_ref(), run)?;
    let scope = table_scope(&definition, &statement.target);
    let compiler = Compiler { scope: &scope, run };
    let change = |(key, row): (Key, Row)| Change {
        key,
        operation: Operation::Delete,
        row: None,
        key_values: definition.key.iter().map(|at| row[*at].clone()).collect(),
    };
    let changes: Vec<Change> =
        filtered(&table, statement.filter.as_ref(), statement.top.as_ref(), &compiler)?.into_iter().map(change).collect();
    let count = u64::try_from(changes.len()).unwrap_or(0);
    let counters = (table.identity, table.heap);
    Ok(Outcome { at: (database, definition.object_id), table, changes, counters, context, count, inserted: Vec::new() })
}
