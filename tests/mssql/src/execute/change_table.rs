//! CHANGETABLE.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, atomic::Ordering as Memory},
};

use super::{
    compile::Compiler,
    evaluate::{Env, Typed},
    scan::{key_of, same_keys},
    scope::{OutColumn, Run},
    source::columns_of,
};
use crate::{
    engine::{Row, Table},
    error::{Ends, Result, SqlError},
    sql::ast::{Alias, Expr, Name, Source, Statement},
    value::{Collation, Datum, Kind, Type, compare, convert},
};

/// The table that CHANGETABLE names: checked in the server's order, object, tracking, alias (G82).
pub fn tracked(name: &Name, alias: &Alias, run: &Run<'_>) -> Result<(i64, Arc<Table>)> {
    let unsupported = || {
        let text = format!(
            "Object '{name}' is of a data type that is not supported by the CHANGETABLE function. The object must be a user-defined table."
        );
        SqlError::new(22107, text).ends(Ends::Batch)
    };
    if name.last().starts_with('#') || name.before(1).is_some_and(|s| s.eq_ignore_ascii_case("sys")) {
        return Err(unsupported());
    }
    let (database, table) = run.find(name)?.ok_or_else(|| SqlError::no_object(&name.to_string()))?;
    if !run.sees(database, &table) {
        return Err(SqlError::no_object(&name.to_string()));
    }
    if run.now.databases.get(&database).is_some_and(|d| d.secondary) {
        let text = "The CHANGETABLE function is not supported on a secondary replica.";
        return Err(SqlError::new(22117, text).ends(Ends::Batch));
    }
    if table.tracking.is_none() {
        return Err(SqlError::new(22105, format!("Change tracking is not enabled on table '{name}'.")).ends(Ends::Batch));
    }
    if alias.name.is_none() {
        return Err(SqlError::new(22104, "A table returned by the CHANGETABLE function must be aliased.").ends(Ends::Batch));
    }
    // of the key's columns it is enough (G84)
    let definition = &table.definition;
    let selects = |at: &usize| run.permitted_column(database, &table, "SELECT", &definition.columns[*at].name);
    let select = if definition.key.iter().all(selects) { None } else { run.require(database, &table, "SELECT").err() };
    if let Err(mut denied) = run.require(database, &table, "VIEW CHANGE TRACKING") {
        denied.followed_by = select.map(Box::new);
        return Err(denied);
    }
    match select {
        Some(denied) => Err(denied),
        None => Ok((database, table)),
    }
}

/// Checks, before a batch runs, what it has of CHANGETABLE, from branches never taken too (G81, G146). Tables that the batch creates itself
/// are left for later.
pub fn check_batch(statements: &[Statement], run: &Run<'_>) -> Result<()> {
    let mut created = Vec::new();
    for statement in statements {
        check(statement, &mut created, run)?;
    }
    Ok(())
}

fn check(statement: &Statement, created: &mut Vec<String>, run: &Run<'_>) -> Result<()> {
    let mut found = Vec::new();
    match statement {
        Statement::CreateTable(table) => created.push(table.name.last().to_lowercase()),
        // what is enabled in the batch counts only when it has run
        Statement::If(condition, then, otherwise) => {
            expr_sources(condition, &mut found);
            check(then, created, run)?;
            if let Some(otherwise) = otherwise {
                check(otherwise, created, run)?;
            }
        }
        Statement::While(condition, body) => {
            expr_sources(condition, &mut found);
            check(body, created, run)?;
        }
        Statement::Block(statements) => {
            for statement in statements {
                check(statement, created, run)?;
            }
        }
        Statement::Select(query) => query_sources(query, &mut found),
        Statement::Insert(insert) => {
            if let crate::sql::ast::InsertRows::Query(query) = &insert.rows {
                query_sources(query, &mut found);
            }
        }
        Statement::Update(update) => update.filter.iter().for_each(|f| expr_sources(f, &mut found)),
        Statement::Delete(delete) => delete.filter.iter().for_each(|f| expr_sources(f, &mut found)),
        Statement::Declare(variables) => variables.iter().filter_map(|(.., v)| v.as_ref()).for_each(|v| expr_sources(v, &mut found)),
        Statement::Assign(_, value) => expr_sources(value, &mut found),
        _ => {}
    }
    for (name, alias, seek) in found {
        if seek && !knows_forceseek(&run.server.product_version()) {
            return Err(SqlError::syntax(","));
        }
        if !created.contains(&name.last().to_lowercase()) {
            tracked(&name, &alias, run)?;
        }
    }
    Ok(())
}

/// 2016 SP2 CU16, 2017 CU24, 2019 CU11 and all later ones know FORCESEEK (G96); to older ones it is a syntax error.
fn knows_forceseek(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    let (major, build) = (parts.first().copied().unwrap_or(0), parts.get(2).copied().unwrap_or(0));
    match major {
        0..=12 => false,
        13 => build >= 5882,
        14 => build >= 3391,
        15 => build >= 4178,
        _ => true,
    }
}

/// What a batch names in CHANGETABLE: the table, the alias, and whether FORCESEEK is there.
type Named = (Name, Alias, bool);

fn query_sources(query: &crate::sql::ast::Query, found: &mut Vec<Named>) {
    for (.., inner) in &query.with {
        query_sources(inner, found);
    }
    for (select, _) in &query.selects {
        select.from.iter().for_each(|s| source_sources(s, found));
        let items = select.items.iter().filter_map(|i| match i {
            crate::sql::ast::Item::Expr(e, _) | crate::sql::ast::Item::Assign(_, e) => Some(e),
            crate::sql::ast::Item::Star(_) => None,
        });
        items.chain(&select.filter).chain(&select.having).for_each(|e| expr_sources(e, found));
    }
}

fn source_sources(source: &Source, found: &mut Vec<Named>) {
    match source {
        Source::Changes { table, alias, seek, .. } | Source::Version { table, alias, seek, .. } => {
            found.push((table.clone(), alias.clone(), *seek));
        }
        Source::Derived(query, _) => query_sources(query, found),
        Source::Join(left, right, _, on) => {
            source_sources(left, found);
            source_sources(right, found);
            on.iter().for_each(|e| expr_sources(e, found));
        }
        Source::Apply { left, right, .. } => {
            source_sources(left, found);
            source_sources(right, found);
        }
        Source::Table { .. } | Source::Values(..) => {}
    }
}

fn expr_sources(expr: &Expr, found: &mut Vec<Named>) {
    match expr {
        Expr::Exists(query) | Expr::Scalar(query) => query_sources(query, found),
        Expr::InQuery(value, query, _) => {
            expr_sources(value, found);
            query_sources(query, found);
        }
        Expr::Minus(a) | Expr::BitNot(a) | Expr::Not(a) | Expr::IsNull(a, _) | Expr::Collate(a, _) | Expr::Method(a, _) => {
            expr_sources(a, found);
        }
        Expr::Cast { value, .. } => expr_sources(value, found),
        Expr::Binary(_, a, b) => [a, b].into_iter().for_each(|e| expr_sources(e, found)),
        Expr::Between(a, b, c, _) => [a, b, c].into_iter().for_each(|e| expr_sources(e, found)),
        Expr::In(a, list, _) => std::iter::once(a.as_ref()).chain(list).for_each(|e| expr_sources(e, found)),
        Expr::Case { operand, whens, otherwise } => {
            operand.iter().chain(otherwise).for_each(|e| expr_sources(e, found));
            whens.iter().flat_map(|(a, b)| [a, b]).for_each(|e| expr_sources(e, found));
        }
        Expr::Call { arguments, .. } => arguments.iter().for_each(|e| expr_sources(e, found)),
        Expr::Like { value, pattern, .. } => [value, pattern].into_iter().for_each(|e| expr_sources(e, found)),
        Expr::Literal(..) | Expr::Null | Expr::Column(_) | Expr::Variable(_) => {}
    }
}

fn key_columns(table: &Table, database: &str) -> Vec<OutColumn> {
    let columns = columns_of(&table.definition, database);
    let of_key = |at: &usize| OutColumn { stored: true, read_only: false, identity: false, nullable: false, ..columns[*at].clone() };
    table.definition.key.iter().map(of_key).collect()
}

fn of_changes(name: &str, kind: Kind, collation: &'static Collation) -> OutColumn {
    OutColumn { read_only: true, ..OutColumn::plain(name, Type { kind, collation }, true) }
}

/// CHANGETABLE(CHANGES table, last)
pub fn changes(name: &Name, last: &Expr, alias: &Alias, run: &Run<'_>) -> Result<(Vec<Row>, Vec<OutColumn>)> {
    let (database, table) = tracked(name, alias, run)?;
    let after = match last {
        Expr::Null => None,
        Expr::Variable(variable) => {
            let (of, value) = run.variable(variable)?;
            match convert::assign(value, of, &Kind::BigInt.into())? {
                Datum::Int(n) => Some(n),
                _ => None,
            }
        }
        Expr::Literal(Datum::Int(n), _) => Some(*n),
        _ => return Err(SqlError::unsupported("this last version")),
    };
    if after.is_some_and(|n| n < 0) {
        return Err(SqlError::unsettled("CHANGETABLE after a negative version"));
    }
    let data = run.data(database, &table)?;
    let binary = Collation::named("Latin1_General_BIN")?;
    let mut columns = vec![
        of_changes("SYS_CHANGE_VERSION", Kind::BigInt, binary),
        of_changes("SYS_CHANGE_CREATION_VERSION", Kind::BigInt, binary),
        of_changes("SYS_CHANGE_OPERATION", Kind::NChar(1), binary),
        of_changes("SYS_CHANGE_COLUMNS", Kind::VarBinary(Some(4100)), binary),
        of_changes("SYS_CHANGE_CONTEXT", Kind::VarBinary(Some(128)), binary),
    ];
    columns.extend(key_columns(&data, &run.view.database(database)?.name));
    let Some(tracking) = &data.tracking else {
        return Err(SqlError::new(22105, format!("Change tracking is not enabled on table '{name}'.")).ends(Ends::Batch));
    };
    let bytes = |bytes: Option<&[u8]>| bytes.map_or(Datum::Null, Datum::bytes);
    let mut found = tracking.changes(after);
    run.server.tracked_rows.fetch_add(found.len() as u64, Memory::Relaxed);
    if run.server.shuffles.load(Memory::Relaxed) {
        found.sort_by_key(|net| {
            let mut hasher = DefaultHasher::new();
            net.key.iter().for_each(|value| format!("{value:?}").hash(&mut hasher));
            hasher.finish()
        });
    }
    let rows = found.into_iter().map(|net| {
        let of_change = [
            Datum::Int(net.version),
            net.creation.into(),
            Datum::text(net.operation),
            bytes(net.columns.as_deref()),
            bytes(net.context.as_deref()),
        ];
        of_change.into_iter().chain(net.key.iter().cloned()).collect()
    });
    Ok((rows.collect(), columns))
}

/// CHANGETABLE(VERSION table, (columns), (values)), compiled.
#[derive(Debug)]
pub struct Lookup {
    table: Arc<Table>,
    database: i64,
    /// In key order: the value, and the type that it is compared as.
    values: Vec<(Typed, Type)>,
}

/// CHANGETABLE(VERSION table, (columns), (values))
pub fn version(
    name: &Name,
    columns: &[String],
    values: &[Expr],
    alias: &Alias,
    compiler: &Compiler<'_>,
) -> Result<(Lookup, Vec<OutColumn>)> {
    let run = compiler.run;
    let (database, table) = tracked(name, alias, run)?;
    let definition = &table.definition;
    let mut places = Vec::new();
    for column in columns {
        let place = definition.column(column).and_then(|at| definition.key.iter().position(|k| *k == at)).ok_or_else(|| {
            let text = format!(
                "The column '{column}' specified in the CHANGETABLE(VERSION ...) function is not part of the primary key for table '{name}'."
            );
            SqlError::new(22111, text).ends(Ends::Batch)
        })?;
        places.push(place);
    }
    if columns.len() != definition.key.len() {
        let text = format!(
            "The number of columns specified in the CHANGETABLE(VERSION ...) function does not match the number of primary key columns for table '{name}'."
        );
        return Err(SqlError::new(22110, text).ends(Ends::Batch));
    }
    if values.len() != columns.len() {
        let text = "The arguments supplied are not valid for the VERSION option of the CHANGETABLE function.";
        return Err(SqlError::new(22103, text).ends(Ends::Batch));
    }
    let data = run.data(database, &table)?;
    let mut found: Vec<Option<(Typed, Type)>> = definition.key.iter().map(|_| None).collect();
    for (place, value) in places.iter().zip(values) {
        let column = definition.columns[definition.key[*place]].of;
        let value = compiler.value(value)?;
        let of = if value.untyped { column } else { column.unify(value.of) };
        found[*place] = Some((value.assigned(of)?, of));
    }
    let Some(values) = found.into_iter().collect::<Option<Vec<_>>>() else {
        let text = "Each primary key column must be specified once in the CHANGETABLE(VERSION ...) function.";
        return Err(SqlError::new(22112, text).ends(Ends::Batch));
    };
    let binary = Collation::named("Latin1_General_BIN")?;
    let mut columns =
        vec![of_changes("SYS_CHANGE_VERSION", Kind::BigInt, binary), of_changes("SYS_CHANGE_CONTEXT", Kind::VarBinary(Some(128)), binary)];
    columns.extend(key_columns(&data, &run.view.database(database)?.name));
    Ok((Lookup { table: data, database, values }, columns))
}

impl Lookup {
    /// The row with the key, when the table has it.
    pub fn rows(&self, env: &Env<'_>, run: &Run<'_>) -> Result<Vec<Row>> {
        let definition = &self.table.definition;
        let values = self.values.iter().map(|(value, _)| value.value(env, run)).collect::<Result<Vec<_>>>()?;
        if values.iter().any(Datum::is_null) {
            return Ok(Vec::new());
        }
        let by_key = self.values.iter().zip(&definition.key).all(|((_, of), at)| same_keys(of, &definition.columns[*at].of));
        let row = if by_key {
            self.table.rows.get(&key_of(&values, definition)).cloned()
        } else {
            let mut hit = None;
            for row in self.table.rows.values() {
                let mut equal = true;
                for ((value, (_, of)), at) in values.iter().zip(&self.values).zip(&definition.key) {
                    let column = convert::convert(&row[*at], &definition.columns[*at].of, of, None)?;
                    equal &= compare::order(&column, value, of).is_eq();
                }
                if equal {
                    hit = Some(row.clone());
                }
            }
            hit
        };
        let (Some(row), Some(tracking)) = (row, &self.table.tracking) else { return Ok(Vec::new()) };
        let Some(key) = definition.key_of(&row) else { return Ok(Vec::new()) };
        let hidden = run.view.uncommitted.get(&(self.database, definition.object_id)).is_some_and(|keys| keys.contains(&key));
        let latest = if hidden { None } else { tracking.latest(&key) };
        let (version, context) = latest
            .map_or((Datum::Null, Datum::Null), |(version, context)| (Datum::Int(version), context.map_or(Datum::Null, Datum::Bytes)));
        Ok(vec![[version, context].into_iter().chain(definition.key.iter().map(|at| row[*at].clone())).collect()])
    }
}
