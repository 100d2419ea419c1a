//! Databases, and all of them together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rpds::RedBlackTreeMapSync;

use super::table::{Table, same};
use crate::value::{Collation, Datum};

/// Change Tracking of a database.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// How long changes are kept.
    pub period: i64,
    /// 1 minutes, 2 hours, 3 days
    pub unit: u8,
    /// Is the history cleaned by itself?
    pub auto_cleanup: bool,
}

/// A database.
#[derive(Clone, Debug)]
pub struct Database {
    /// `database_id`
    pub id: i64,
    /// The name.
    pub name: String,
    /// When it was created.
    pub created: Datum,
    /// Set while changes are tracked.
    pub tracking: Option<Retention>,
    /// The version of the last tracked commit. It outlives switching off and on (G38).
    pub version: i64,
    /// ALLOW_SNAPSHOT_ISOLATION
    pub snapshot: bool,
    /// READ_ONLY
    pub read_only: bool,
    /// A secondary replica, which refuses the functions of Change Tracking (G89).
    pub secondary: bool,
    /// `compatibility_level`
    pub compatibility: i64,
    /// The collation of columns that name none.
    pub collation: &'static Collation,
    /// Schemas by their ids.
    pub schemas: BTreeMap<i64, String>,
    /// Tables by their ids.
    pub tables: BTreeMap<i64, Arc<Table>>,
    /// When each version was committed.
    pub commits: RedBlackTreeMapSync<i64, Datum>,
    /// Permissions: login, permission (with the name of a column behind it, `SELECT(id)`, where it is of one), table.
    pub grants: BTreeSet<(String, String, Option<i64>)>,
    /// Tables of which a policy of row-level security hides all rows, from every login.
    pub hidden: BTreeSet<i64>,
    /// Columns that are encrypted by Always Encrypted: table and `column_id`. Only the catalog tells them.
    pub encrypted: BTreeSet<(i64, i32)>,
    /// Columns that are masked: table and `column_id`. Only the catalog tells them.
    pub masked: BTreeSet<(i64, i32)>,
    names: BTreeMap<(String, String), i64>,
}

impl Database {
    /// An empty database.
    pub fn new(id: i64, name: &str, created: Datum) -> Self {
        Self {
            id,
            name: name.to_owned(),
            created,
            tracking: None,
            version: 0,
            snapshot: false,
            read_only: false,
            secondary: false,
            compatibility: 170,
            collation: Collation::of_server(),
            schemas: [(1, "dbo".to_owned()), (3, "INFORMATION_SCHEMA".to_owned()), (4, "sys".to_owned())].into(),
            tables: BTreeMap::new(),
            commits: RedBlackTreeMapSync::new_sync(),
            grants: BTreeSet::new(),
            hidden: BTreeSet::new(),
            encrypted: BTreeSet::new(),
            masked: BTreeSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Is it one of the server's own?
    pub fn is_system(&self) -> bool {
        self.id <= 4
    }

    /// A table by its name.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Arc<Table>> {
        self.names.get(&(schema.to_lowercase(), name.to_lowercase())).and_then(|id| self.tables.get(id))
    }

    /// Puts a table, in place of the one with its id.
    pub fn put(&mut self, table: Arc<Table>) {
        let definition = table.definition.clone();
        let name = (definition.schema.to_lowercase(), definition.name.to_lowercase());
        let renamed = self.tables.get(&definition.object_id).is_some_and(|old| !Arc::ptr_eq(&old.definition, &definition));
        if renamed {
            self.names.retain(|_, id| *id != definition.object_id);
        }
        self.names.insert(name, definition.object_id);
        self.tables.insert(definition.object_id, table);
    }

    /// Removes a table.
    pub fn remove(&mut self, object_id: i64) {
        self.tables.remove(&object_id);
        self.names.retain(|_, id| *id != object_id);
    }

    /// The id of a schema.
    pub fn schema(&self, name: &str) -> Option<i64> {
        self.schemas.iter().find(|(_, n)| same(n, name)).map(|(id, _)| *id)
    }

    /// May a login do that to a table? Whoever may do it in the whole database may, too.
    pub fn may(&self, login: &str, permission: &str, table: i64) -> bool {
        let has = |on: Option<i64>| self.grants.contains(&(login.to_lowercase(), permission.to_owned(), on));
        has(Some(table)) || has(None)
    }

    /// Does a login see that a table exists?
    pub fn sees(&self, login: &str, table: i64) -> bool {
        let login = login.to_lowercase();
        self.grants.iter().any(|(who, _, on)| *who == login && on.is_none_or(|id| id == table))
    }
}

/// All that is committed.
#[derive(Clone, Debug)]
pub struct World {
    /// Databases by their ids.
    pub databases: BTreeMap<i64, Arc<Database>>,
    /// The last object id.
    pub last_object: i64,
    /// The last stamp of a definition.
    pub last_stamp: u64,
}

impl World {
    /// A database by its name.
    pub fn database(&self, name: &str) -> Option<&Arc<Database>> {
        self.databases.values().find(|d| same(&d.name, name))
    }

    /// A database to change.
    pub fn database_mut(&mut self, id: i64) -> Option<&mut Database> {
        self.databases.get_mut(&id).map(Arc::make_mut)
    }

    /// The id of a new object.
    pub fn next_object(&mut self) -> i64 {
        // as on the server, far apart from each other
        self.last_object += 16_000_057;
        if self.last_object > i64::from(i32::MAX) {
            self.last_object -= 2_000_000_000;
        }
        self.last_object
    }

    /// The stamp of a changed definition.
    pub fn next_stamp(&mut self) -> u64 {
        self.last_stamp += 1;
        self.last_stamp
    }
}
