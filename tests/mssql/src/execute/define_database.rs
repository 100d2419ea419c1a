//! Databases, schemas and permissions.

use std::sync::Arc;

use super::session::Session;
use crate::{
    engine::{Database, World, database::Retention, server, table::same},
    error::{Ends, Result, SqlError},
    sql::ast::{DatabaseOption, Statement},
};

/// Permissions that can be granted.
const PERMISSIONS: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "VIEW CHANGE TRACKING", "VIEW DATABASE STATE", "VIEW DEFINITION"];

/// A permission on one column, as a database keeps it.
pub fn of_column(permission: &str, column: &str) -> String {
    format!("{permission}({})", column.to_lowercase())
}

/// Runs one of the statements that take effect outside of transactions.
pub fn run(session: &Session, statement: &Statement) -> Result<()> {
    if !session.login.administrator {
        return Err(SqlError::new(262, "Permission denied in database.").class(14).ends(Ends::Batch));
    }
    match statement {
        Statement::CreateDatabase(name) => create(session, name),
        Statement::DropDatabase { name, if_exists } => drop_database(session, name, *if_exists),
        Statement::CreateSchema(name) => create_schema(session, name),
        Statement::AlterDatabase { name, options } => {
            let world = session.server.world();
            let id = match name {
                None => session.database,
                Some(name) => world.database(name).map(|d| d.id).ok_or_else(|| {
                    let text = format!("User does not have permission to alter database '{name}', the database does not exist, or the database is not in a state that allows access checks.");
                    failed(SqlError::new(5011, text).class(14).state(5))
                })?,
            };
            if session.count > 0 {
                return Err(SqlError::new(226, "ALTER DATABASE statement not allowed within multi-statement transaction.").state(6));
            }
            alter(session, id, options)
        }
        Statement::Grant { permission, columns, on, to, revoke } => grant(session, (permission, columns), on.as_ref(), to, *revoke),
        _ => Err(SqlError::unsupported("this statement")),
    }
}

fn create(session: &Session, name: &str) -> Result<()> {
    session.server.alter(|world| {
        if world.database(name).is_some() {
            let text = format!("Database '{name}' already exists. Choose a different database name.");
            return Err(SqlError::new(1801, text).state(3));
        }
        let id = world.databases.keys().max().copied().unwrap_or(4) + 1;
        world.databases.insert(id, Arc::new(Database::new(id, name, server::now())));
        Ok(())
    })
}

fn drop_database(session: &Session, name: &str, if_exists: bool) -> Result<()> {
    session.server.alter(|world| {
        let Some(id) = world.database(name).map(|d| d.id) else {
            let text = format!("Cannot drop the database '{name}', because it does not exist or you do not have permission.");
            return if if_exists { Ok(()) } else { Err(SqlError::new(3701, text).class(11)) };
        };
        if id <= 4 || id == session.database {
            return Err(SqlError::new(3702, format!("Cannot drop database \"{name}\" because it is currently in use.")).state(3));
        }
        world.databases.remove(&id);
        Ok(())
    })
}

fn create_schema(session: &Session, name: &str) -> Result<()> {
    session.server.alter(|world| {
        let Some(database) = world.database_mut(session.database) else { return Err(SqlError::unsupported("no database")) };
        if database.schema(name).is_some() {
            return Err(SqlError::new(2714, format!("There is already an object named '{name}' in the database.")).state(6));
        }
        let id = database.schemas.keys().max().copied().unwrap_or(4) + 1;
        database.schemas.insert(id, name.to_owned());
        Ok(())
    })
}

fn failed(error: SqlError) -> SqlError {
    error.followed_by(SqlError::new(5069, "ALTER DATABASE statement failed."))
}

fn alter(session: &Session, id: i64, options: &[DatabaseOption]) -> Result<()> {
    let tracking =
        |o: &DatabaseOption| matches!(o, DatabaseOption::TrackingOn(_) | DatabaseOption::TrackingOff | DatabaseOption::TrackingChange(_));
    if options.len() > 1 && options.iter().any(tracking) {
        let text = "Change tracking options for ALTER DATABASE cannot be combined with other ALTER DATABASE options.";
        return Err(failed(SqlError::new(22114, text)));
    }
    session.server.alter(|world| options.iter().try_for_each(|option| apply(world, id, option)))
}

fn apply(world: &mut World, id: i64, option: &DatabaseOption) -> Result<()> {
    let Some(database) = world.database_mut(id) else { return Err(SqlError::unsupported("no database")) };
    let name = database.name.clone();
    let system = || {
        let text = format!("Database '{name}' is a system database. Change tracking settings cannot be modified for system databases.");
        failed(SqlError::new(5090, text))
    };
    let off = |state| {
        let text = format!(
            "Change tracking is disabled for database '{name}'. Change tracking must be enabled on a database to modify change tracking settings."
        );
        failed(SqlError::new(5089, text).state(state))
    };
    match option {
        DatabaseOption::TrackingOn(_) | DatabaseOption::TrackingOff | DatabaseOption::TrackingChange(_) if database.is_system() => {
            return Err(system());
        }
        DatabaseOption::TrackingOn(options) => {
            if database.tracking.is_some() {
                return Err(failed(SqlError::new(5088, format!("Change tracking is already enabled for database '{name}'."))));
            }
            let (period, unit) = options.retention.unwrap_or((2, 3));
            database.tracking = Some(Retention { period, unit, auto_cleanup: options.auto_cleanup.unwrap_or(true) });
        }
        DatabaseOption::TrackingOff => {
            if database.tracking.is_none() {
                return Err(off(1));
            }
            if database.tables.values().any(|t| t.tracking.is_some()) {
                let text = format!(
                    "Change tracking is enabled for one or more tables in database '{name}'. Disable change tracking on each table before disabling it for the database. Use the sys.change_tracking_tables catalog view to obtain a list of tables for which change tracking is enabled."
                );
                return Err(failed(SqlError::new(22115, text)));
            }
            database.tracking = None;
        }
        DatabaseOption::TrackingChange(options) => {
            let Some(tracking) = &mut database.tracking else { return Err(off(2)) };
            if let Some((period, unit)) = options.retention {
                (tracking.period, tracking.unit) = (period, unit);
            }
            if let Some(auto_cleanup) = options.auto_cleanup {
                tracking.auto_cleanup = auto_cleanup;
            }
        }
        DatabaseOption::AllowSnapshot(on) => database.snapshot = *on,
        DatabaseOption::ReadCommittedSnapshot(true) | DatabaseOption::Recovery => {}
        DatabaseOption::ReadCommittedSnapshot(false) => {
            return Err(SqlError::unsupported("READ_COMMITTED_SNAPSHOT OFF: readers here never wait for writers"));
        }
        DatabaseOption::ReadOnly(on) => database.read_only = *on,
        DatabaseOption::CompatibilityLevel(level) => database.compatibility = *level,
    }
    Ok(())
}

fn grant(
    session: &Session,
    (permission, columns): (&str, &[String]),
    on: Option<&crate::sql::ast::Name>,
    to: &str,
    revoke: bool,
) -> Result<()> {
    if !PERMISSIONS.contains(&permission) {
        return Err(SqlError::unsupported(format_args!("the permission {permission}")));
    }
    if !session.server.lock().logins.values().any(|l| same(&l.name, to)) {
        return Err(SqlError::new(15151, format!("Cannot find the user '{to}', because it does not exist or you do not have permission.")));
    }
    session.server.alter(|world| {
        let Some(database) = world.database_mut(session.database) else { return Err(SqlError::unsupported("no database")) };
        let table = match on {
            None => None,
            Some(name) => {
                let found = database.table(name.before(1).unwrap_or("dbo"), name.last()).map(|t| t.definition.object_id);
                Some(found.ok_or_else(|| {
                    SqlError::new(
                        15151,
                        format!("Cannot find the object '{}', because it does not exist or you do not have permission.", name.last()),
                    )
                })?)
            }
        };
        let mut permissions: Vec<String> = columns.iter().map(|column| of_column(permission, column)).collect();
        if columns.is_empty() {
            permissions.push(permission.to_owned());
        }
        for permission in permissions {
            let entry = (to.to_lowercase(), permission, table);
            if revoke {
                database.grants.remove(&entry);
            } else {
                database.grants.insert(entry);
            }
        }
        Ok(())
    })
}
