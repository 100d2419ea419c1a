//! What names mean inside a statement.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    engine::{Database, Server, Table, World, server::Login, table::same, transaction::View},
    error::{Ends, Result, SqlError},
    sql::ast::{Isolation, Name},
    value::{Datum, Type},
};

/// What a client is told of a column of a result.
#[derive(Clone, Debug)]
pub struct OutColumn {
    /// The name; empty of an expression without an alias.
    pub name: String,
    /// The type.
    pub of: Type,
    /// May it be NULL?
    pub nullable: bool,
    /// Is it a column of a table, rather than an expression?
    pub stored: bool,
    /// Of a row that comes from CHANGETABLE itself, which is flagged as not updatable (G20).
    pub read_only: bool,
    /// Has it values of IDENTITY?
    pub identity: bool,
    /// Schema and table, for the types that name it on the wire.
    pub table: Option<(String, String, String)>,
}

impl OutColumn {
    /// A column of a catalog view or an expression.
    pub fn plain(name: &str, of: impl Into<Type>, nullable: bool) -> Self {
        Self { name: name.to_owned(), of: of.into(), nullable, stored: false, read_only: false, identity: false, table: None }
    }
}

/// A column that can be named.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    /// The alias or name of its source.
    pub source: String,
    /// The schema of a table without an alias.
    pub schema: Option<String>,
    /// The column.
    pub column: OutColumn,
}

/// The columns in reach of an expression; those of the queries around it are behind `outer`.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    /// The columns of this query's sources.
    pub columns: Vec<ScopeColumn>,
    /// The query around this one.
    pub outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// The column of a name: how many queries out, and which place there.
    pub fn find(&self, name: &Name) -> Result<(usize, usize, &OutColumn)> {
        let mut depth = 0;
        let mut scope = Some(self);
        while let Some(here) = scope {
            let mut found = here.columns.iter().enumerate().filter(|(_, c)| c.matches(name));
            if let Some((at, column)) = found.next() {
                if found.next().is_some() {
                    return Err(SqlError::new(209, format!("Ambiguous column name '{}'.", name.last())).ends(Ends::Batch));
                }
                return Ok((depth, at, &column.column));
            }
            scope = here.outer;
            depth += 1;
        }
        if name.parts.len() > 1 {
            return Err(SqlError::new(4104, format!("The multi-part identifier \"{name}\" could not be bound.")).ends(Ends::Batch));
        }
        Err(SqlError::no_column(name.last()))
    }
}

impl ScopeColumn {
    fn matches(&self, name: &Name) -> bool {
        same(&self.column.name, name.last())
            && name.before(1).is_none_or(|source| same(&self.source, source))
            && name.before(2).is_none_or(|schema| self.schema.as_ref().is_some_and(|s| same(s, schema)))
    }
}

/// What a statement runs with.
pub struct Run<'a> {
    /// The server.
    pub server: &'a Server,
    /// Who runs it.
    pub login: &'a Login,
    /// The session's database.
    pub database: i64,
    /// The data that it sees.
    pub view: &'a View,
    /// The catalog that it sees, which is never that of a snapshot.
    pub catalog: &'a View,
    /// What is committed now.
    pub now: &'a Arc<World>,
    /// The isolation level.
    pub isolation: Isolation,
    /// The level is SNAPSHOT, and the transaction began under another one.
    pub mixed: bool,
    /// Variables and parameters, with and without their values.
    pub variables: &'a BTreeMap<String, (Type, Datum)>,
    /// `@@ROWCOUNT` and the like.
    pub globals: Globals,
    /// Common table expressions in reach.
    pub with: RefCell<Vec<(String, Vec<String>, crate::sql::ast::Query)>>,
    /// Data was accessed, which fixes the instant of a snapshot (G42).
    pub touched: Cell<bool>,
    /// The tables that were read, for the locks of REPEATABLE READ and SERIALIZABLE.
    pub read: RefCell<BTreeSet<i64>>,
    /// A hint asks for locks that are held.
    pub holds: Cell<bool>,
}

/// Numbers of the session that a statement can ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Globals {
    /// `@@ROWCOUNT`
    pub row_count: i64,
    /// `@@TRANCOUNT`
    pub transactions: i64,
    /// `@@ERROR`
    pub error: i64,
    /// `@@SPID`
    pub session: i64,
    /// The transaction can only be rolled back, or is sound, or there is none.
    pub state: i64,
}

impl Run<'_> {
    /// The session's database.
    pub fn here(&self) -> Result<&Arc<Database>> {
        self.catalog.database(self.database)
    }

    /// The database and the schema that a name of a table means.
    pub fn place<'n>(&'n self, name: &'n Name) -> Result<(i64, &'n str)> {
        if name.before(3).is_some() {
            return Err(SqlError::new(22106, "The CHANGETABLE function does not support remote data sources."));
        }
        let database = match name.before(2) {
            Some(other) => self.catalog.world.database(other).map(|d| d.id).ok_or_else(|| SqlError::no_object(&name.to_string()))?,
            None => self.database,
        };
        Ok((database, name.before(1).unwrap_or("dbo")))
    }

    /// A table of the catalog by its name, when the login may see it.
    pub fn find(&self, name: &Name) -> Result<Option<(i64, Arc<Table>)>> {
        let (database, schema) = self.place(name)?;
        let found = self.catalog.table(database, schema, name.last());
        Ok(found.map(|table| (database, table)))
    }

    /// Does the login see the table at all (G85)?
    pub fn sees(&self, database: i64, table: &Table) -> bool {
        self.login.administrator || self.now.databases.get(&database).is_some_and(|d| d.sees(&self.login.name, table.definition.object_id))
    }

    /// Is the login allowed to do that to the table?
    pub fn permitted(&self, database: i64, table: &Table, permission: &str) -> bool {
        self.login.administrator
            || self.now.databases.get(&database).is_some_and(|d| d.may(&self.login.name, permission, table.definition.object_id))
    }

    /// Is the login allowed to do that to a column?
    pub fn permitted_column(&self, database: i64, table: &Table, permission: &str, column: &str) -> bool {
        self.permitted(database, table, permission)
            || self.permitted(database, table, &super::define_database::of_column(permission, column))
    }

    /// The error for a permission that is missing.
    pub fn require(&self, database: i64, table: &Table, permission: &str) -> Result<()> {
        if self.permitted(database, table, permission) {
            return Ok(());
        }
        let name = self.now.databases.get(&database).map_or("", |d| d.name.as_str());
        let definition = &table.definition;
        let text = format!(
            "The {permission} permission was denied on the object '{}', database '{name}', schema '{}'.",
            definition.name, definition.schema
        );
        Err(SqlError::new(229, text).class(14).state(5).ends(Ends::Batch))
    }

    /// The data of a table, as of the snapshot where there is one.
    pub fn access(&self, name: &Name) -> Result<(i64, Arc<Table>)> {
        let (database, table) = self.find(name)?.ok_or_else(|| SqlError::no_object(&name.to_string()))?;
        self.data(database, &table).map(|table| (database, table))
    }

    /// The data of a table of the catalog.
    pub fn data(&self, database: i64, table: &Arc<Table>) -> Result<Arc<Table>> {
        let id = table.definition.object_id;
        self.touched.set(true);
        self.read.borrow_mut().insert(id);
        if self.isolation != Isolation::Snapshot {
            return Ok(self.view.table_by_id(database, id).unwrap_or_else(|| table.clone()));
        }
        let of = self.view.database(database)?;
        if !self.now.databases.get(&database).is_some_and(|d| d.snapshot) {
            let text = format!(
                "Snapshot isolation transaction failed accessing database '{}' because snapshot isolation is not allowed in this database. Use ALTER DATABASE to allow snapshot isolation.",
                of.name
            );
            return Err(SqlError::new(3952, text).ends(Ends::Batch));
        }
        if self.mixed {
            let text = format!(
                "Transaction failed in database '{}' because the statement was run under snapshot isolation but the transaction did not start in snapshot isolation. You cannot change the isolation level of the transaction to snapshot after the transaction has started unless the transaction was originally started under snapshot isolation level.",
                of.name
            );
            return Err(SqlError::new(3951, text).ends(Ends::Transaction));
        }
        let data = self.view.table_by_id(database, id);
        match data {
            Some(data) if data.definition.stamp == table.definition.stamp => Ok(data),
            _ => {
                let text = format!(
                    "Snapshot isolation transaction failed in database '{}' because the object accessed by the statement has been modified by a DDL statement in another concurrent transaction since the start of this transaction.  It is disallowed because the metadata is not versioned. A concurrent update to metadata can lead to inconsistency if mixed with snapshot isolation.",
                    of.name
                );
                Err(SqlError::new(3961, text).ends(Ends::Transaction))
            }
        }
    }

    /// The value of a variable.
    pub fn variable(&self, name: &str) -> Result<&(Type, Datum)> {
        self.variables
            .get(&name.to_lowercase())
            .ok_or_else(|| SqlError::new(137, format!("Must declare the scalar variable \"{name}\".")).class(15).state(2).ends(Ends::Batch))
    }
}
