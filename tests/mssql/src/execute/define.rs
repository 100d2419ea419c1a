//! Tables and indexes: CREATE, ALTER, DROP, TRUNCATE.

use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::{
    compile::Compiler,
    evaluate::Env,
    scope::{Run, Scope, ScopeColumn},
    session::{Session, Variables},
    source::columns_of,
};
use crate::{
    engine::{
        Column, Definition, Table, Tracking,
        lock::Want,
        server,
        table::{Index, same},
        transaction::TableId,
    },
    error::{Ends, Result, SqlError},
    sql::ast::{AlterTable, ColumnDefinition, Constraint, CreateTable, Name, Statement},
    value::{Datum, Kind, Type, convert},
};

/// What a statement makes of a table: none drops it.
struct Made {
    at: TableId,
    base: Option<Arc<Table>>,
    table: Option<Table>,
    /// The history of the open transaction goes with the rows.
    forget: bool,
}

/// Runs one of the statements that define tables, inside the open transaction.
pub fn run(session: &mut Session, statement: &Statement, variables: &Variables) -> Result<()> {
    match statement {
        Statement::CreateTable(create) => {
            let stamps = next(session);
            make(session, variables, |run| self::create(create, stamps, run))
        }
        Statement::DropTable { names, if_exists } => {
            for name in names {
                make(session, variables, |run| {
                    let Some((database, table)) = run.find(name)? else {
                        if *if_exists {
                            return Ok(None);
                        }
                        let text = format!("Cannot drop the table '{name}', because it does not exist or you do not have permission.");
                        return Err(SqlError::new(3701, text).class(11).state(5));
                    };
                    let at = (database, table.definition.object_id);
                    Ok(Some(Made { at, base: Some(table), table: None, forget: true }))
                })?;
            }
            Ok(())
        }
        Statement::Truncate(name) => {
            let (_, stamp) = next(session);
            make(session, variables, |run| {
                let (database, table) = existing(name, 4701, "Cannot find the object", run)?;
                let version = run.now.databases.get(&database).map_or(0, |d| d.version);
                let mut emptied = altered(&table, stamp, |_| Ok(()))?;
                emptied.rows = RedBlackTreeMapSync::new_sync();
                emptied.identity = table.definition.columns.iter().find_map(|c| c.identity).map_or(1, |(first, _)| first);
                // the history is emptied, and no version is drawn (G64)
                emptied.tracking = table.tracking.as_ref().map(|t| Tracking::new(t.columns, version));
                Ok(Some(Made { at: (database, table.definition.object_id), base: Some(table), table: Some(emptied), forget: true }))
            })
        }
        Statement::AlterTable(name, action) => {
            let (_, stamp) = next(session);
            make(session, variables, |run| {
                let (database, table) = existing(name, 4902, "Cannot find the object", run)?;
                let forget = matches!(action, AlterTable::DisableTracking | AlterTable::EnableTracking { .. });
                let changed = alter(&table, action, stamp, database, run)?;
                Ok(Some(Made { at: (database, table.definition.object_id), base: Some(table), table: Some(changed), forget }))
            })
        }
        Statement::CreateIndex { table, name, columns, unique } => {
            let (_, stamp) = next(session);
            make(session, variables, |run| {
                let (database, found) = existing(table, 1088, "Cannot find the object", run)?;
                let changed = altered(&found, stamp, |d| {
                    let columns = columns.iter().map(|c| d.column(c).ok_or_else(|| SqlError::no_column(c))).collect::<Result<_>>()?;
                    d.indexes.push(Index { name: name.clone(), columns, unique: *unique });
                    Ok(())
                })?;
                Ok(Some(Made { at: (database, found.definition.object_id), base: Some(found), table: Some(changed), forget: false }))
            })
        }
        Statement::DropIndex { table, name } => {
            let (_, stamp) = next(session);
            make(session, variables, |run| {
                let (database, found) = existing(table, 1088, "Cannot find the object", run)?;
                let changed = altered(&found, stamp, |d| {
                    let before = d.indexes.len();
                    d.indexes.retain(|i| !same(&i.name, name));
                    if d.indexes.len() == before {
                        let text =
                            format!("Cannot drop the index '{table}.{name}', because it does not exist or you do not have permission.");
                        return Err(SqlError::new(3701, text).class(11).state(6));
                    }
                    Ok(())
                })?;
                Ok(Some(Made { at: (database, found.definition.object_id), base: Some(found), table: Some(changed), forget: false }))
            })
        }
        _ => Err(SqlError::unsupported("this statement")),
    }
}

/// sp_rename of a table or a column.
pub fn rename(session: &mut Session, from: &str, to: &str, what: &str, variables: &Variables) -> Result<()> {
    let parts: Vec<String> = from.split('.').map(|p| p.trim_matches(['[', ']']).to_owned()).collect();
    let (_, stamp) = next(session);
    make(session, variables, |run| {
        let column = what.eq_ignore_ascii_case("COLUMN");
        let table = Name { parts: if column { parts[..parts.len() - 1].to_vec() } else { parts.clone() } };
        let (database, found) = existing(&table, 15225, "No item by the name of", run)?;
        let changed = altered(&found, stamp, |d| {
            if column {
                let name = parts.last().map_or("", String::as_str);
                let at = d.column(name).ok_or_else(|| {
                    SqlError::new(15248, "Either the parameter @objname is ambiguous or the claimed @objtype (COLUMN) is wrong.")
                })?;
                to.clone_into(&mut d.columns[at].name);
            } else if what.is_empty() || what.eq_ignore_ascii_case("OBJECT") {
                to.clone_into(&mut d.name);
            } else {
                return Err(SqlError::unsupported(format_args!("sp_rename of {what}")));
            }
            Ok(())
        })?;
        Ok(Some(Made { at: (database, found.definition.object_id), base: Some(found), table: Some(changed), forget: false }))
    })
}

/// The id of a new object, and the stamp of a changed definition.
fn next(session: &Session) -> (i64, u64) {
    session.server.alter(|world| (world.next_object(), world.next_stamp()))
}

/// Puts what is made in its place in the transaction, once nobody else uses the table.
fn make(session: &mut Session, variables: &Variables, body: impl Fn(&Run<'_>) -> Result<Option<Made>>) -> Result<()> {
    let server = session.server.clone();
    loop {
        let state = server.lock();
        let world = state.world.clone();
        let (made, ..) = session.run(&world, variables, &mut |run| {
            if !run.login.administrator {
                return Err(SqlError::new(1088, "Cannot find the object because it does not exist or you do not have permissions.")
                    .ends(Ends::Batch));
            }
            body(run)
        })?;
        let Some(made) = made? else { return Ok(()) };
        if let Some(of) = world.databases.get(&made.at.0).filter(|d| d.read_only || d.secondary) {
            let text = format!("Failed to update database \"{}\" because the database is read-only.", of.name);
            return Err(SqlError::new(3906, text).ends(Ends::Batch));
        }
        let Some(transaction) = &mut session.transaction else { return Err(SqlError::unsupported("a definition without a transaction")) };
        let (state, waited) =
            server.take(state, transaction.id, made.at.1, &Want::Exclusive, session.lock_timeout, &*session.interrupted)?;
        if waited {
            continue;
        }
        transaction.replace(made.at, made.base, made.table, made.forget);
        drop(state);
        return Ok(());
    }
}

fn existing(name: &Name, number: i32, text: &str, run: &Run<'_>) -> Result<(i64, Arc<Table>)> {
    run.find(name)?.ok_or_else(|| {
        let text = format!("{text} \"{name}\" because it does not exist or you do not have permissions.");
        SqlError::new(number, text).ends(Ends::Batch)
    })
}

fn altered(table: &Table, stamp: u64, change: impl FnOnce(&mut Definition) -> Result<()>) -> Result<Table> {
    let mut definition = Definition::clone(&table.definition);
    change(&mut definition)?;
    definition.stamp = stamp;
    definition.modified = server::now();
    Ok(Table { definition: Arc::new(definition), ..table.clone() })
}

fn create(create: &CreateTable, (object_id, stamp): (i64, u64), run: &Run<'_>) -> Result<Option<Made>> {
    let (database, schema) = run.place(&create.name)?;
    let of = run.catalog.database(database)?;
    let schema = of.schemas.values().find(|s| same(s, schema)).cloned().ok_or_else(|| {
        SqlError::new(
            2760,
            format!("The specified schema name \"{schema}\" either does not exist or you do not have permission to use it."),
        )
        .ends(Ends::Batch)
    })?;
    if run.find(&create.name)?.is_some() {
        let text = format!("There is already an object named '{}' in the database.", create.name.last());
        return Err(SqlError::new(2714, text).state(6).ends(Ends::Batch));
    }
    let mut definition = Definition {
        object_id,
        schema,
        name: create.name.last().to_owned(),
        columns: Vec::new(),
        key: Vec::new(),
        key_name: String::new(),
        clustered: true,
        checks: Vec::new(),
        indexes: Vec::new(),
        next_column: 1,
        created: server::now(),
        modified: server::now(),
        stamp,
    };
    for column in &create.columns {
        add_column(&mut definition, column, of.collation, run)?;
    }
    for constraint in create.columns.iter().flat_map(|c| &c.constraints).chain(&create.constraints) {
        add_constraint(&mut definition, constraint)?;
    }
    let identity = definition.columns.iter().find_map(|c| c.identity).map_or(1, |(first, _)| first);
    let table = Table { definition: Arc::new(definition), rows: RedBlackTreeMapSync::new_sync(), tracking: None, identity, heap: 0 };
    Ok(Some(Made { at: (database, object_id), base: None, table: Some(table), forget: true }))
}

fn add_column(
    definition: &mut Definition,
    column: &ColumnDefinition,
    collation: &'static crate::value::Collation,
    run: &Run<'_>,
) -> Result<()> {
    if definition.column(&column.name).is_some() {
        let text = format!(
            "Column names in each table must be unique. Column name '{}' in table '{}' is specified more than once.",
            column.name, definition.name
        );
        return Err(SqlError::new(2705, text).state(3).ends(Ends::Batch));
    }
    let (of, nullable) = match (&column.data_type, &column.computed) {
        (Some(of), _) => {
            let collation = if column.collated { of.collation } else { collation };
            (Type { kind: of.kind, collation }, column.nullable.unwrap_or(of.kind != Kind::RowVersion))
        }
        (None, Some(expr)) => {
            let scope = scope_of(definition);
            let value = Compiler { scope: &scope, run }.value(expr)?;
            (value.of, column.nullable.unwrap_or(value.nullable))
        }
        (None, None) => return Err(SqlError::unsupported("a column without a type")),
    };
    definition.columns.push(Column {
        id: definition.next_column,
        name: column.name.clone(),
        of,
        nullable: nullable && column.identity.is_none(),
        identity: column.identity,
        default: column.default.clone(),
        computed: column.computed.clone(),
    });
    definition.next_column += 1;
    Ok(())
}

fn scope_of<'a>(definition: &Definition) -> Scope<'a> {
    let column = |column| ScopeColumn { source: definition.name.clone(), schema: None, column };
    Scope { columns: columns_of(definition, "").into_iter().map(column).collect(), outer: None }
}

fn add_constraint(definition: &mut Definition, constraint: &Constraint) -> Result<()> {
    let place = |definition: &Definition, name: &String| {
        definition.column(name).ok_or_else(|| {
            let text = format!("Column name '{name}' does not exist in the target table or view.");
            SqlError::new(1911, text).ends(Ends::Batch)
        })
    };
    match constraint {
        Constraint::PrimaryKey { name, columns, clustered } => {
            if !definition.key.is_empty() {
                let text = format!("Table '{}' already has a primary key defined on it.", definition.name);
                return Err(SqlError::new(1779, text).ends(Ends::Batch));
            }
            for column in columns {
                let at = place(definition, column)?;
                let of = &mut definition.columns[at];
                if of.of.kind.is_large() || of.of.kind == Kind::Variant {
                    let text = format!(
                        "Column '{column}' in table '{}' is of a type that is invalid for use as a key column in an index.",
                        definition.name
                    );
                    return Err(SqlError::new(1919, text).ends(Ends::Batch));
                }
                if of.computed.is_none() {
                    of.nullable = false;
                }
                definition.key.push(at);
            }
            let made = format!("PK__{:.9}__{:016X}", definition.name, definition.object_id);
            definition.key_name = name.clone().unwrap_or(made);
            definition.clustered = clustered.unwrap_or(true);
        }
        Constraint::Unique { name, columns } => {
            let places = columns.iter().map(|c| place(definition, c)).collect::<Result<_>>()?;
            let made = format!("UQ__{:.9}__{:016X}", definition.name, definition.indexes.len());
            definition.indexes.push(Index { name: name.clone().unwrap_or(made), columns: places, unique: true });
        }
        Constraint::Check { name, condition } => {
            let made = format!("CK__{:.9}__{:08X}", definition.name, definition.checks.len());
            definition.checks.push((name.clone().unwrap_or(made), condition.clone()));
        }
    }
    Ok(())
}

fn alter(table: &Table, action: &AlterTable, stamp: u64, database: i64, run: &Run<'_>) -> Result<Table> {
    let of = run.catalog.database(database)?;
    let name = table.definition.name.clone();
    match action {
        AlterTable::EnableTracking { columns } => {
            if of.tracking.is_none() {
                let text = format!("Change tracking must be enabled on database '{}' before it can be enabled on table '{name}'.", of.name);
                return Err(SqlError::new(1718, text));
            }
            if table.tracking.is_some() {
                return Err(SqlError::new(4996, format!("Change tracking is already enabled for table '{name}'.")));
            }
            if table.definition.key.is_empty() {
                let text = format!(
                    "Cannot enable change tracking on table '{name}'. Change tracking requires a primary key on the table. Create a primary key on the table before enabling change tracking."
                );
                return Err(SqlError::new(4997, text));
            }
            if table.definition.key.iter().any(|at| table.definition.columns[*at].of.kind == Kind::RowVersion) {
                let text = format!(
                    "Cannot enable change tracking on table '{name}'. Change tracking does not support a primary key of type timestamp on a table."
                );
                return Err(SqlError::new(4999, text));
            }
            let version = run.now.databases.get(&database).map_or(0, |d| d.version);
            let mut changed = altered(table, stamp, |_| Ok(()))?;
            changed.tracking = Some(Tracking::new(*columns, version));
            Ok(changed)
        }
        AlterTable::DisableTracking => {
            if table.tracking.is_none() {
                return Err(SqlError::new(4998, format!("Change tracking is not enabled on table '{name}'.")));
            }
            let mut changed = altered(table, stamp, |_| Ok(()))?;
            changed.tracking = None;
            Ok(changed)
        }
        AlterTable::Add(columns, constraints) => add(table, columns, constraints, stamp, of.collation, run),
        AlterTable::DropColumn(names) => {
            let mut changed = table.clone();
            for column in names {
                let at = changed.definition.column(column).ok_or_else(|| {
                    SqlError::new(
                        4924,
                        format!("ALTER TABLE DROP COLUMN failed because column '{column}' does not exist in table '{name}'."),
                    )
                })?;
                let used = changed.definition.key.contains(&at) || changed.definition.indexes.iter().any(|i| i.columns.contains(&at));
                if used {
                    let text = format!("The object '{}' is dependent on column '{column}'.", changed.definition.key_name);
                    let second = format!("ALTER TABLE DROP COLUMN {column} failed because one or more objects access this column.");
                    return Err(SqlError::new(5074, text).followed_by(SqlError::new(4922, second).state(9)));
                }
                changed = altered(&changed, stamp, |d| {
                    d.columns.remove(at);
                    let shift = |place: &mut usize| *place -= usize::from(*place > at);
                    d.key.iter_mut().for_each(shift);
                    d.indexes.iter_mut().flat_map(|i| &mut i.columns).for_each(shift);
                    Ok(())
                })?;
                changed.rows = changed
                    .rows
                    .iter()
                    .map(|(key, row)| (key.clone(), row.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, v)| v.clone()).collect()))
                    .collect();
            }
            Ok(changed)
        }
        AlterTable::DropConstraint(constraint) => {
            if same(constraint, &table.definition.key_name) {
                let second = SqlError::new(3727, "Could not drop constraint. See previous errors.").state(0);
                if table.tracking.is_some() {
                    let text = format!(
                        "The primary key constraint '{constraint}' on table '{name}' cannot be dropped because change tracking is enabled on the table. Change tracking requires a primary key constraint on the table. Disable change tracking before dropping the constraint."
                    );
                    return Err(SqlError::new(3735, text).followed_by(second));
                }
                return rekeyed(&altered(table, stamp, |d| {
                    d.key.clear();
                    Ok(())
                })?);
            }
            altered(table, stamp, |d| {
                let before = (d.checks.len(), d.indexes.len());
                d.checks.retain(|(n, _)| !same(n, constraint));
                d.indexes.retain(|i| !same(&i.name, constraint));
                if before == (d.checks.len(), d.indexes.len()) {
                    return Err(SqlError::new(3728, format!("'{constraint}' is not a constraint.")));
                }
                Ok(())
            })
        }
        AlterTable::AlterColumn { name: column, data_type, collated, nullable } => {
            let at = table.definition.column(column).ok_or_else(|| {
                SqlError::new(4924, format!("ALTER TABLE ALTER COLUMN failed because column '{column}' does not exist in table '{name}'."))
            })?;
            if table.definition.key.contains(&at) {
                let text = format!("The object '{}' is dependent on column '{column}'.", table.definition.key_name);
                return Err(SqlError::new(5074, text));
            }
            let old = table.definition.columns[at].of;
            let to = Type { kind: data_type.kind, collation: if *collated { data_type.collation } else { old.collation } };
            let mut changed = altered(table, stamp, |d| {
                d.columns[at].of = to;
                d.columns[at].nullable = nullable.unwrap_or(true);
                Ok(())
            })?;
            let mut rows = RedBlackTreeMapSync::new_sync();
            for (key, row) in table.rows.iter() {
                let mut values = row.to_vec();
                if values[at].is_null() && *nullable == Some(false) {
                    let text = format!(
                        "Cannot insert the value NULL into column '{column}', table '{name}'; column does not allow nulls. UPDATE fails."
                    );
                    return Err(SqlError::new(515, text).state(2));
                }
                values[at] = convert::assign(&values[at], &old, &to)?;
                rows.insert_mut(key.clone(), values.into());
            }
            changed.rows = rows;
            Ok(changed)
        }
    }
}

fn add(
    table: &Table,
    columns: &[ColumnDefinition],
    constraints: &[Constraint],
    stamp: u64,
    collation: &'static crate::value::Collation,
    run: &Run<'_>,
) -> Result<Table> {
    let keyed = !table.definition.key.is_empty();
    let before = table.definition.columns.len();
    let mut changed = altered(table, stamp, |d| {
        for column in columns {
            add_column(d, column, collation, run)?;
        }
        columns.iter().flat_map(|c| &c.constraints).chain(constraints).try_for_each(|constraint| add_constraint(d, constraint))
    })?;
    if !columns.is_empty() {
        let definition = changed.definition.clone();
        let scope = scope_of(&definition);
        let compiler = Compiler { scope: &scope, run };
        let mut rows = RedBlackTreeMapSync::new_sync();
        for (key, row) in table.rows.iter() {
            let mut values = row.to_vec();
            for column in &definition.columns[before..] {
                let value = match (&column.computed, &column.default) {
                    (Some(expr), _) => compiler.value(expr)?.assigned(column.of)?.value(&Env { row: &values, outer: None }, run)?,
                    // an added column that may be NULL is NULL in the rows that are there
                    (None, Some(default)) if !column.nullable => {
                        compiler.value(default)?.assigned(column.of)?.value(&Env::default(), run)?
                    }
                    _ if column.of.kind == Kind::RowVersion => Datum::bytes(&run.server.next_row_version().to_be_bytes()),
                    _ => Datum::Null,
                };
                if value.is_null() && !column.nullable {
                    let text = format!(
                        "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT definition specified. Column '{}' cannot be added to non-empty table '{}'.",
                        column.name, definition.name
                    );
                    return Err(SqlError::new(4901, text));
                }
                values.push(value);
            }
            rows.insert_mut(key.clone(), values.into());
        }
        changed.rows = rows;
    }
    if keyed == changed.definition.key.is_empty() || !keyed && !changed.definition.key.is_empty() { rekeyed(&changed) } else { Ok(changed) }
}

/// The rows under the keys of a changed definition.
fn rekeyed(table: &Table) -> Result<Table> {
    let mut changed = Table { rows: RedBlackTreeMapSync::new_sync(), ..table.clone() };
    for row in table.rows.values() {
        let key = changed.definition.key_of(row).unwrap_or_else(|| {
            changed.heap += 1;
            changed.heap.to_be_bytes().as_slice().into()
        });
        if changed.rows.contains_key(&key) {
            let text = "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found.";
            return Err(SqlError::new(1505, text));
        }
        changed.rows.insert_mut(key, row.clone());
    }
    Ok(changed)
}
