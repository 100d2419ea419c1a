//! Versions of tables: from table maps to plans, each made once and found again by the same bytes. Where a table map does not
//! hold names and types in full, the server's catalogue fills in, and has to agree with it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    captured::Captured,
    column_type as ct,
    connection::Server,
    internal::{self, Internals},
    place::Place,
    plan::{self, Description, Plan},
    position::Flavour,
    schema::Schema,
    schemas::{Schemas, Surroundings},
    statement::Touched,
    stream::Halt,
    survey::Spot,
    table_map::{self, ColumnMap, Head, TableMap},
    unexplained::Unexplained,
};
use sluicegate_config::TablePatterns;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{ColumnInfo, Renamed, Table, TableName},
};

/// What a table id stands for.
#[derive(Clone, Debug)]
pub enum Known {
    /// Not captured, or no table: its rows are passed over unread.
    PassedOver,
    /// Captured.
    Captured(Arc<Plan>),
}

#[derive(Debug)]
struct Version {
    known: Known,
    /// Whether the server's catalogue was asked, so that a schema change makes it stale.
    asked: bool,
}

/// All versions of tables seen on this connection.
#[derive(Debug)]
pub struct Catalogue {
    captured: Captured,
    /// By the table map's bytes after the id: a table keeps its version when the server gives it a new id.
    versions: HashMap<Box<[u8]>, Version>,
    ids: HashMap<u64, (Box<[u8]>, Known)>,
    /// The newest version of each table, to keep its identity where nothing has changed.
    newest: HashMap<TableName, Arc<Table>>,
    /// The columns of tables whose names or columns have changed since their last row.
    columns_before: HashMap<TableName, Vec<ColumnInfo>>,
    /// Changes that no statement explains.
    pub(super) unexplained: Unexplained,
    /// Helper tables that it was told of.
    left_out: HashSet<TableName>,
    /// Where the log does not hold names and types in full.
    pub(super) schemas: Schemas,
    /// Versions remembered, at most.
    limit: usize,
    /// Bytes of a value that is unpacked, at most.
    row_bytes: usize,
}

impl Catalogue {
    /// An empty catalogue.
    pub(super) fn new(around: Surroundings) -> Self {
        let (captured, limit, row_bytes) = (around.captured.clone(), around.tables, around.row_bytes);
        let schemas = Schemas::new(around);
        Self {
            captured,
            versions: HashMap::new(),
            ids: HashMap::new(),
            newest: HashMap::new(),
            columns_before: HashMap::new(),
            unexplained: Unexplained::default(),
            left_out: HashSet::new(),
            schemas,
            limit,
            row_bytes,
        }
    }

    /// Adapts the patterns to the server: one that does not tell names apart by case may have them in another one.
    pub fn fit(&mut self, server: &Server) {
        if server.ignores_case {
            self.captured.ignore_case();
            self.schemas.ignore_case();
        }
    }

    /// Takes over what runs before this one left of the columns that plugins treat; once.
    pub async fn follow(&mut self) -> Result<(), Halt> {
        if !self.unexplained.follows() {
            self.unexplained.follow(self.schemas.followed().await?);
        }
        Ok(())
    }

    /// Which tables are captured.
    pub fn captured(&self) -> &Captured {
        &self.captured
    }

    /// Other tables are captured from here on, between two transactions.
    pub fn capture(&mut self, captured: Captured) {
        self.newest.retain(|name, _| captured.captures(name));
        self.captured = captured;
        self.unexplained.forget();
        // a table may have been passed over until now
        self.versions.clear();
        self.ids.clear();
    }

    /// The patterns that say which tables are captured.
    pub fn patterns(&self) -> &TablePatterns {
        self.captured.patterns()
    }

    /// Whether the table is captured. The server's own databases are so only when a pattern names them.
    pub fn captures(&self, name: &TableName) -> bool {
        self.captured.captures(name)
    }

    /// Whether some table of the database may be captured: for statements whose tables are not easily told.
    pub fn may_capture_in(&self, database: &str) -> bool {
        self.captured.may_capture_in(database)
    }

    /// The captured tables of the database that rows have come of, or whose schemas are known.
    pub async fn known_in(&mut self, database: &str) -> Result<Vec<Arc<Table>>, Halt> {
        let mut names: BTreeSet<TableName> = self.newest.keys().filter(|name| name.database == database).cloned().collect();
        for name in self.schemas.known_in(database).into_iter().filter(|name| self.captured.captures(name)) {
            if self.schemas.kept(&name).await?.is_some_and(|schema| !internal::is_of_sequence(&schema)) {
                names.insert(name);
            }
        }
        let mut tables = Vec::with_capacity(names.len());
        for name in names {
            tables.push(self.latest(&name).await?);
        }
        Ok(tables)
    }

    /// What a table id stands for, if its table map was seen.
    pub fn get(&self, id: u64) -> Option<&Known> {
        self.ids.get(&id).map(|(_, known)| known)
    }

    /// Forgets table ids: they do not outlive a connection.
    pub fn disconnect(&mut self) {
        self.ids.clear();
    }

    /// Keeps the caches bounded; called between transactions, when no table map is waiting for its rows.
    pub fn trim(&mut self) {
        if self.versions.len() > self.limit || self.ids.len() > self.limit || self.columns_before.len() > self.limit {
            self.columns_before.clear();
            self.versions.clear();
            self.ids.clear();
            self.newest.clear();
            self.unexplained.forget();
        }
    }

    /// A schema change was logged: what the server's catalogue said of these tables is out of date.
    pub fn schema_changed(&mut self, touched: &Touched) {
        self.unexplained.explain(touched);
        let stale = |version: &Version| {
            version.asked
                && match &version.known {
                    Known::Captured(plan) => touched.may_be(&plan.table.name),
                    // a sequence, whose name may be that of a table from here on
                    Known::PassedOver => true,
                }
        };
        if self.versions.values().any(stale) {
            self.versions.retain(|_, version| !stale(version));
            self.ids.clear();
        }
    }

    /// Names have changed: the next version of the table is another one, also if it looks like the one before.
    pub fn rename(&mut self, renamed: &Renamed) {
        let concerns = |version: &Version| {
            let Known::Captured(plan) = &version.known else { return false };
            [&renamed.from, &renamed.to].contains(&&plan.table.name)
        };
        let known =
            self.newest.get(&renamed.from).map(|newest| newest.columns.clone()).or_else(|| self.columns_before.remove(&renamed.from));
        self.forget(&renamed.from);
        self.forget(&renamed.to);
        if let Some(mut columns) = known.filter(|_| !renamed.anew) {
            let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
            columns.retain(|column| !renamed.dropped.iter().any(|dropped| same(dropped, &column.name)));
            for column in &mut columns {
                if let Some((_, new)) = renamed.columns.iter().find(|(old, _)| same(old, &column.name)) {
                    column.name.clone_from(new);
                }
            }
            self.columns_before.insert(renamed.to.clone(), columns);
        }
        self.versions.retain(|_, version| !concerns(version));
        self.ids.clear();
    }

    /// The table is gone, or has another name.
    pub fn forget(&mut self, name: &TableName) {
        self.newest.remove(name);
        self.columns_before.remove(name);
    }

    /// Takes a table map event in, which stands at `start` of the place's file.
    pub(super) async fn learn(&mut self, event: &[u8], server: &Server, place: &Place, start: u64) -> Result<(), Halt> {
        let broken = |fault| Error::new(ErrorKind::Source, "a table map in the binlog cannot be read").caused_by(fault);
        let head = table_map::head(event).map_err(broken)?;
        // everything after the id and the two bytes of flags
        let content = event.get(8..).unwrap_or_default();
        if self.ids.get(&head.id).is_some_and(|(bytes, _)| **bytes == *content) {
            return Ok(());
        }
        let known = match self.versions.get(content) {
            Some(version) => version.known.clone(),
            None => {
                let (known, asked) = self.meet(&head, server, place, start).await?;
                self.versions.insert(content.into(), Version { known: known.clone(), asked });
                known
            }
        };
        self.ids.insert(head.id, (content.into(), known));
        Ok(())
    }

    async fn meet(&mut self, head: &Head<'_>, server: &Server, place: &Place, start: u64) -> Result<(Known, bool), Halt> {
        let name = TableName::new(head.database, head.table);
        if !self.captures(&name) {
            if self.captured.leaves_out(&name) && self.left_out.len() < self.limit && self.left_out.insert(name.clone()) {
                tracing::warn!(
                    table = %name,
                    "by its name, the table belongs to a tool that changes another one online: its rows are left out; name it in the source's `tables` \
                     without wildcards if it does not"
                );
            }
            return Ok((Known::PassedOver, false));
        }
        let map = table_map::parse(head.body, server.flavour)
            .map_err(|fault| Error::new(ErrorKind::Source, format!("the table map of {name} cannot be read")).caused_by(fault))?;
        if map.columns.is_empty() {
            return Err(Error::new(ErrorKind::Source, format!("the table map of {name} has no columns")).into());
        }
        let mariadb = server.flavour == Flavour::MariaDb;
        if mariadb && internal::may_be_sequence(&map) && self.is_sequence(&name, map.metadata.names.is_some()).await? {
            tracing::debug!(sequence = %name, "a sequence is no table: its changes are not delivered");
            return Ok((Known::PassedOver, true));
        }
        let logged = plan::describe(&name, &map, &server.collations)?;
        let special = |logged: &Vec<Description>| mariadb && map.columns.iter().zip(logged).any(may_be_special);
        let mut contradicted = None;
        let (descriptions, internals, asked) = match logged {
            Some(logged) if !(special(&logged) || mariadb && internal::may_have_any(&map)) => (logged, Internals::default(), false),
            // the log names what is hidden; whether a column with such a name is the user's own, the catalogue says
            Some(logged) if !special(&logged) => {
                let mut schema = match self.schemas.kept(&name).await? {
                    Some(schema) => schema,
                    None => self.schemas.today(&name).await?,
                };
                if schema.columns.is_empty() && internal::may_end_in_key(&map) {
                    // the table is gone: whether its rows are history, its columns do not tell
                    let spot = Spot { file: place.file.clone(), position: start };
                    schema = self.schemas.schema(&name, server, &spot, || place.resume()).await?;
                }
                (logged, schema.internals(&map), true)
            }
            logged => {
                let spot = Spot { file: place.file.clone(), position: start };
                let schema = self.schemas.schema(&name, server, &spot, || place.resume()).await?;
                let describe = |schema: &Schema| {
                    let internals = if mariadb { schema.internals(&map) } else { Internals::default() };
                    schema.describe(&map, internals.hidden, &server.collations).map(|described| (described, internals))
                };
                let (described, internals) = match describe(&schema) {
                    Ok(found) => found,
                    Err(what) => {
                        let fits = |schema: &Schema| describe(schema).is_ok();
                        let corrected = self.schemas.corrected(&name, server, &spot, place.resume(), fits).await?;
                        let corrected = corrected.and_then(|schema| describe(&schema).ok());
                        contradicted = Some(schema.columns());
                        corrected.ok_or_else(|| unlike(&name, &spot, &what))?
                    }
                };
                (logged.map_or(described.clone(), |logged| with_special(logged, &map, &described)), internals, true)
            }
        };
        let mut plan = plan::build(name.clone(), &map, &descriptions, internals, self.row_bytes)?;
        match self.newest.get(&name) {
            Some(newest) if **newest == *plan.table => plan.table = newest.clone(),
            _ => {
                self.newest.insert(name, plan.table.clone());
            }
        }
        self.unexplained.see(&plan.table, contradicted);
        Ok((Known::Captured(Arc::new(plan)), asked))
    }

    /// Whether a table map that may be that of a sequence is of one.
    async fn is_sequence(&mut self, name: &TableName, named: bool) -> Result<bool, Halt> {
        let kept = self.schemas.kept(name).await?;
        if kept.as_ref().is_some_and(|schema| !internal::is_of_sequence(schema)) {
            return Ok(false);
        }
        // of one that is gone, its names tell; without them, what was learned while it was there
        let told = named || kept.is_some();
        match internal::is_sequence(self.schemas.table_type(name).await?.as_deref()) {
            None => Ok(told),
            // so they do where the table that has its name today is another one: only a table of the same columns may be what was logged
            Some(false) if told => Ok(!internal::is_of_sequence(&self.schemas.today(name).await?)),
            Some(sequence) => Ok(sequence),
        }
    }

    /// The table as it was described for its copy, under the identity that the log's own description of it has.
    pub fn adopt(&mut self, table: &Arc<Table>) -> Arc<Table> {
        match self.newest.get(&table.name) {
            Some(newest) if **newest == **table => newest.clone(),
            _ => {
                self.newest.insert(table.name.clone(), table.clone());
                table.clone()
            }
        }
    }

    /// The table as the history has it here; `None` where it has not.
    pub async fn kept(&mut self, name: &TableName) -> Result<Option<Arc<Table>>, Halt> {
        let kept = self.schemas.kept(name).await?;
        Ok(kept.map(|schema| Arc::new(Table { name: name.clone(), destination: None, columns: schema.columns() })))
    }

    /// The columns of a table before a statement, as its rows had them or the history has them; `None` where neither knows.
    pub async fn before(&mut self, name: &TableName) -> Result<Option<Vec<ColumnInfo>>, Halt> {
        match self.newest.get(name) {
            Some(newest) => Ok(Some(newest.columns.clone())),
            None if let Some(columns) = self.columns_before.get(name) => Ok(Some(columns.clone())),
            None => Ok(self.schemas.kept(name).await?.map(|schema| schema.columns())),
        }
    }

    /// The latest version of a table that is known, or, where none of its rows came yet, as the history or the server has it.
    pub async fn latest(&mut self, name: &TableName) -> Result<Arc<Table>, Halt> {
        if let Some(newest) = self.newest.get(name) {
            return Ok(newest.clone());
        }
        let columns = match self.schemas.kept(name).await? {
            Some(schema) => schema.columns(),
            None => self.schemas.today(name).await?.columns(),
        };
        Ok(Arc::new(Table { name: name.clone(), destination: None, columns }))
    }
}

/// What the log says in full, but for the columns of MariaDB that it cannot tell from BINARY.
fn with_special(mut logged: Vec<Description>, map: &TableMap<'_>, described: &[Description]) -> Vec<Description> {
    for ((logged, column), described) in logged.iter_mut().zip(&map.columns).zip(described) {
        if may_be_special((column, logged)) {
            logged.special = described.special;
        }
    }
    logged
}

/// The rows were logged for another schema than the one that should hold there.
fn unlike(name: &TableName, spot: &Spot, what: &str) -> Error {
    Error::new(
        ErrorKind::Source,
        format!("the schema of {name} at {spot} is not known: its rows were logged for another version of the table: {what}"),
    )
    .remedy(format!(
        "The table was changed by a statement that was not logged (SET sql_log_bin = 0), or the account does not see all of its columns: \
         grant it SELECT on the table. Or leave the table out by adding '!{name}' to the source's tables: its changes are then not \
         delivered."
    ))
}

/// Whether a column of MariaDB may be something else than the BINARY that it is logged as.
fn may_be_special((column, description): (&ColumnMap, &Description)) -> bool {
    column.kind == ct::STRING && matches!(column.meta, 4 | 16) && description.charset.as_deref() == Some("binary")
}
