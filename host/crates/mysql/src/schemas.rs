//! The schemas of the captured tables at the place that is being read: out of the history, or of the server's catalogue where its
//! answer is valid for that place. Never a guess.

mod added;
mod answers;
mod evolution;
mod memory;
mod unknown;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use mysql_async::{Conn, Row, prelude::Queryable};
use tokio_util::sync::CancellationToken;

use super::{
    captured::Captured,
    connection::{Connector, Server},
    definition::Step,
    history::{History, Milestone},
    labels,
    position::{BinlogPosition, Flavour},
    proof,
    schema::Schema,
    scout::Scout,
    statement::{self, Touched},
    stream::Halt,
    survey::{Search, Site, Spot, Survey},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::TableName,
    limits::{HISTORY_INTERVAL, SCHEMA_QUERIES, SCHEMA_WAIT},
};
use sluicegate_source::{Followed, KeptChange, SchemaStore};
use sluicegate_status::Status;

pub(super) use self::memory::InMemory;
use self::{
    answers::{COLUMNS, charset_of, column_of, special_tables, with_primary},
    evolution::Evolution,
    unknown::Unknown,
};

/// What the schemas' reader needs of its source.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) connector: Connector,
    pub(super) captured: Captured,
    /// What is captured elsewhere in the log, between the places of the sinks.
    pub(super) elsewhere: Vec<Captured>,
    pub(super) store: Arc<dyn SchemaStore>,
    pub(super) status: Arc<Status>,
    pub(super) stop: CancellationToken,
    pub(super) heartbeat: Duration,
    /// Bytes of a row, at most.
    pub(super) row_bytes: usize,
    /// Tables that are remembered, at most.
    pub(super) tables: usize,
}

impl Surroundings {
    /// Whether schemas of the table are kept.
    fn keeps(&self, table: &TableName) -> bool {
        self.captured.follows(table) || self.elsewhere.iter().any(|captured| captured.follows(table))
    }
}

/// The schemas.
#[derive(Debug)]
pub(super) struct Schemas {
    around: Surroundings,
    /// Since the first connection.
    history: Option<History>,
    survey: Survey,
    /// What statements have made of tables that are not captured.
    evolution: Evolution,
    /// Captured tables whose schema was worked out from statements, and not compared with the catalogue.
    applied: HashSet<TableName>,
    /// Whether the log itself holds every schema in full, so that none is asked for before a row needs it.
    logged: bool,
    /// The same but for the columns that MariaDB logs as BINARY.
    special_only: bool,
    /// Whether names of tables that differ in case only are the same.
    folds: bool,
    /// Tables whose schemas are to be learned; of all captured tables with `all`.
    names: BTreeSet<TableName>,
    all: bool,
    /// The table whose rows wait for its schema.
    wanted: Option<TableName>,
    waiting: Option<Instant>,
    noted: Instant,
}

impl Schemas {
    pub fn new(around: Surroundings) -> Self {
        Self {
            around,
            history: None,
            survey: Survey::default(),
            evolution: Evolution::default(),
            applied: HashSet::new(),
            logged: false,
            special_only: false,
            folds: false,
            names: BTreeSet::new(),
            all: false,
            wanted: None,
            waiting: None,
            noted: Instant::now(),
        }
    }

    /// Names of tables are compared without case from here on.
    pub fn ignore_case(&mut self) {
        self.around.captured.ignore_case();
        self.around.elsewhere.iter_mut().for_each(Captured::ignore_case);
        self.folds = true;
    }

    /// A table's name as the history has it.
    fn folded(&self, name: &TableName) -> TableName {
        if self.folds { statement::lower_case(name) } else { name.clone() }
    }

    /// A connection to a server was made, whose log is read from `place` on, which has been proven.
    pub async fn begin(&mut self, conn: &mut Conn, server: &Server, place: &BinlogPosition) -> Result<(), Halt> {
        if server.ignores_case {
            // before what is kept is compared with the patterns
            self.ignore_case();
        }
        // positions may mean something else now
        self.survey = Survey::default();
        let query = "SHOW GLOBAL VARIABLES WHERE Variable_name = 'binlog_row_metadata'";
        let metadata: Option<(String, String)> = self.around.connector.within("query", conn.query_first(query)).await?;
        let full = metadata.is_some_and(|(_, value)| value == "FULL");
        self.logged = full && server.flavour == Flavour::MySql;
        self.special_only = full;
        if self.history.is_none() {
            self.load(conn, server, place).await?;
            self.all = !self.logged && self.lacks_some(conn).await?;
            self.waiting = self.all.then(Instant::now);
        }
        let here = !place.is_of_another_server(server.identity.as_deref()) && place.has_file();
        if self.waiting.is_some() && here {
            let spot = Spot { file: place.file.clone(), position: place.position };
            self.settle(server, &spot, place).await?;
        }
        Ok(())
    }

    /// Reads what was kept, and makes it fit the place at which this run begins.
    async fn load(&mut self, conn: &mut Conn, server: &Server, place: &BinlogPosition) -> Result<(), Halt> {
        let (versions, read_to, durable) = self.with_store(|store| Ok((store.versions()?, store.read_to()?, store.durable()?))).await?;
        let mut history = History::load(versions, read_to.as_deref(), place)?;
        let mut changes = Vec::new();
        if let Some(gap) = history.gap() {
            changes = match self.search_gap(server, gap, place).await {
                Ok(touched) => history.close_gap(|table| touched.iter().any(|touched| touched.may_be(table))),
                Err(Halt::Failed(error)) if error.kind() == ErrorKind::Source => {
                    tracing::info!(
                        cause = error.chain(),
                        "schemas may have changed where the log was not read, and it no longer tells: the versions in the checkpoint are forgotten"
                    );
                    history.forget_all()
                }
                Err(halt) => return Err(halt),
            };
        } else if let Some(ahead) = history.ahead() {
            match proof::prove(&self.around.connector, conn, server, ahead).await {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Source => changes = history.forget_all(),
                Err(error) => return Err(error.into()),
            }
        }
        let mut places = durable.iter().filter_map(|frontier| super::place_of(frontier).ok()).collect::<Vec<_>>();
        places.push(place.clone());
        changes.extend(history.prune(&places, |table| self.around.keeps(table)));
        self.store(changes).await?;
        self.history = Some(history);
        Ok(())
    }

    /// The schema changes between a place and the later one at which this run begins.
    async fn search_gap(&self, server: &Server, gap: &BinlogPosition, place: &BinlogPosition) -> Result<Vec<Touched>, Halt> {
        let Surroundings { connector, heartbeat, row_bytes, .. } = &self.around;
        proof::prove(connector, &mut connector.connect().await?, server, gap).await?;
        let here = !gap.is_of_another_server(server.identity.as_deref()) && gap.has_file();
        let scout = match here {
            true => Scout::open(connector, server, *heartbeat, &gap.file, gap.position).await?,
            false => Scout::behind(connector, server, *heartbeat, gap).await?,
        };
        let mut search = Search::new(scout, server.clone());
        let mut found: Vec<Touched> = Vec::new();
        let end = (!place.is_of_another_server(server.identity.as_deref()) && place.has_file())
            .then(|| Spot { file: place.file.clone(), position: place.position });
        loop {
            let site = tokio::select! {
                biased;
                () = self.around.stop.cancelled() => return Err(Halt::Stop),
                site = search.next(connector, *row_bytes) => site?,
            };
            let Some(site) = site else { return Ok(found) };
            let before = match (&site.gtid, &place.gtid_set, &end) {
                // MariaDB's numbers do not always rise
                (_, _, Some(end)) if place.flavour == Flavour::MariaDb => !site.behind.is_behind(end),
                (Some(gtid), Some(executed), _) => executed.contains(gtid),
                (_, _, Some(end)) => !site.behind.is_behind(end),
                // it cannot be told
                _ => true,
            };
            if before && !found.contains(&site.touched) {
                found.push(site.touched);
                if found.len() > self.around.tables {
                    return Ok(vec![Touched::Any]);
                }
            }
        }
    }

    /// Whether a captured table has no version in the history.
    async fn lacks_some(&mut self, conn: &mut Conn) -> Result<bool> {
        let query = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
            AND table_schema NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')";
        let rows: Vec<(String, String)> = self.around.connector.within_catalogue(conn.query(query)).await?;
        let captured = &self.around.captured;
        let mut names = rows.into_iter().map(|(database, table)| TableName::new(database, table)).filter(|name| captured.captures(name));
        Ok(names.any(|name| self.history.as_mut().is_none_or(|history| history.known(&name).is_none())))
    }

    /// A statement that may change schemas was read; the stream is behind it now, at the spot `behind`. `steps` is what it does, where
    /// that is sure.
    pub async fn change(
        &mut self,
        touched: &Touched,
        steps: Option<Vec<Step>>,
        at: Milestone,
        server: &Server,
        behind: &Spot,
    ) -> Result<(), Halt> {
        let touched = &if self.folds { touched.clone().in_lower_case() } else { touched.clone() };
        let steps = match (steps, self.folds) {
            (Some(steps), true) => Some(steps.into_iter().map(|step| step.with_names(statement::lower_case)).collect()),
            (steps, _) => steps,
        };
        let learned = self.evolve(touched, steps.as_deref(), server, behind).await?;
        if steps.is_some_and(|steps| steps.iter().all(|step| matches!(step, Step::Database { empty: false, .. }))) {
            // another default for tables that come
            return Ok(());
        }
        let captured = &self.around.captured;
        let Some(history) = &mut self.history else { return Ok(()) };
        let place = at.position.clone();
        let mut changes = history.change(touched, at, |table| captured.captures(table));
        self.applied.retain(|table| !touched.may_be(table));
        for (table, schema) in learned {
            // read before, and reached again
            if history.known(&table).is_some() {
                continue;
            }
            // texts and numbers: nothing of it can fail
            let text = serde_json::to_string(&schema).unwrap_or_default();
            changes.extend(history.learn(&table, text.into(), &place));
            if schema.applied {
                self.applied.insert(table);
            }
        }
        match touched {
            Touched::Tables(tables) => {
                let concerned = tables.iter().filter(|table| captured.captures(table)).cloned();
                self.names.extend(concerned);
                self.all |= self.names.len() > SCHEMA_QUERIES;
            }
            Touched::Database(database) => self.all |= captured.may_capture_in(database),
            Touched::Any => self.all = true,
        }
        if self.logged {
            self.names.clear();
            self.all = false;
        }
        if self.all || !self.names.is_empty() {
            self.waiting.get_or_insert_with(Instant::now);
        }
        if history.is_large() {
            let durable = self.with_store(|store| store.durable()).await?;
            let places = durable.iter().map(super::place_of).collect::<Result<Vec<_>>>()?;
            if let Some(history) = &mut self.history
                && !places.is_empty()
            {
                // the rows that are on their way are behind the durable places
                changes.extend(history.prune(&places, |table| self.around.keeps(table)));
            }
        }
        self.store(changes).await
    }

    /// Whether it is time to learn the schemas that changed although the log goes on, or to note the place.
    pub fn is_due(&self, now: Instant) -> bool {
        self.waiting.is_some_and(|since| now >= since + SCHEMA_WAIT) || now >= self.noted + HISTORY_INTERVAL
    }

    /// Learns the schemas that changed, and notes the place.
    pub async fn catch_up(&mut self, server: &Server, spot: &Spot, place: impl FnOnce() -> BinlogPosition) -> Result<(), Halt> {
        let now = Instant::now();
        let note = now >= self.noted + HISTORY_INTERVAL;
        if self.waiting.is_none() && !note {
            return Ok(());
        }
        let place = place();
        if self.waiting.is_some() {
            self.settle(server, spot, &place).await?;
        }
        if note { self.note(&place).await } else { Ok(()) }
    }

    /// Notes that every schema change before the place is kept.
    pub async fn note(&mut self, place: &BinlogPosition) -> Result<(), Halt> {
        self.noted = Instant::now();
        let change = self.history.as_mut().and_then(|history| history.note_read_to(place));
        self.store(change.into_iter().collect()).await
    }

    /// Keeps what is held in memory bounded.
    pub fn trim(&mut self, place: impl FnOnce() -> BinlogPosition) {
        if let Some(history) = &mut self.history {
            history.trim(self.around.tables, place);
        }
    }

    /// The schema of a table whose table map stands at `spot`.
    pub async fn schema(
        &mut self,
        name: &TableName,
        server: &Server,
        spot: &Spot,
        place: impl FnOnce() -> BinlogPosition,
    ) -> Result<Schema, Halt> {
        let name = &self.folded(name);
        if let Some(schema) = self.kept(name).await? {
            // the catalogue says it better, where it is valid
            if !schema.applied || self.survey.change_behind(name, spot).is_some() {
                return Ok(schema);
            }
            self.applied.insert(name.clone());
        }
        let place = place();
        self.wanted = Some(name.clone());
        self.settle(server, spot, &place).await?;
        match self.kept(name).await? {
            Some(schema) => Ok(schema),
            None => {
                let changed = self.survey.change_behind(name, spot).cloned();
                let from = self.history.as_mut().map(|history| history.begin_of(name)).unwrap_or_default();
                Err(Unknown { here: spot.clone(), from, changed }.into_error(name, server).into())
            }
        }
    }

    /// Another schema of a table than the one that the history has, which the rows at `spot` contradict: as the catalogue has it now, if
    /// that is valid there and fits them. The change was not logged, or the account could not see the whole table.
    pub async fn corrected(
        &mut self,
        name: &TableName,
        server: &Server,
        spot: &Spot,
        place: BinlogPosition,
        fits: impl Fn(&Schema) -> bool,
    ) -> Result<Option<Schema>, Halt> {
        let name = &self.folded(name);
        let schema = self.today(name).await?;
        if !fits(&schema) {
            return Ok(None);
        }
        let stop = self.around.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Halt::Stop),
            read = self.read_ahead(server, spot) => read?,
        }
        if self.survey.change_behind(name, spot).is_some() {
            return Ok(None);
        }
        tracing::warn!(table = %name, place = %spot, "the table has another schema than its last logged change gave it: it is taken from the catalogue");
        let text = serde_json::to_string(&schema).unwrap_or_default();
        if let Some(history) = &mut self.history {
            let changes = history.correct(name, text.into(), &place);
            self.store(changes).await?;
        }
        Ok(Some(schema))
    }

    /// The schema that the history has at the present place.
    pub async fn kept(&mut self, name: &TableName) -> Result<Option<Schema>, Halt> {
        let table = self.folded(name);
        let Some(place) = self.history.as_mut().and_then(|history| history.known(&table)) else { return Ok(None) };
        let text = self.with_store(move |store| store.schema(&table, &place)).await?;
        let unreadable = || {
            Error::new(ErrorKind::State, format!("the checkpoint's version of the schema of {name} cannot be read"))
                .remedy("Use the state file that belongs to this pipeline, or restore it from a backup.")
        };
        let text = text.ok_or_else(unreadable)?;
        Ok(Some(serde_json::from_str(&text).map_err(|e| unreadable().caused_by(e))?))
    }

    /// Learns the schemas that are not known, as far as the catalogue's answers are valid at `spot`.
    async fn settle(&mut self, server: &Server, spot: &Spot, place: &BinlogPosition) -> Result<(), Halt> {
        let stop = self.around.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Halt::Stop),
            settled = self.learn(server, spot, place) => settled,
        }
    }

    async fn learn(&mut self, server: &Server, spot: &Spot, place: &BinlogPosition) -> Result<(), Halt> {
        if self.history.is_none() {
            self.history = Some(History::load(Vec::new(), None, place)?);
        }
        let mut answers = self.ask().await?;
        if let Some(history) = &mut self.history {
            answers.retain(|(name, _)| history.known(name).is_none() || self.applied.contains(name));
        }
        if !answers.is_empty() {
            self.read_ahead(server, spot).await?;
        }
        let mut changes = Vec::new();
        for (name, mut schema) in answers {
            if self.survey.change_behind(&name, spot).is_some() {
                continue;
            }
            if self.applied.remove(&name)
                && let Some(applied) = self.kept(&name).await?
            {
                if applied.reads_like(&schema) {
                    // the catalogue was not asked for keys
                    schema.keys = applied.keys;
                } else {
                    tracing::warn!(table = %name, place = %spot, "the table has another schema than its last logged change gave it: it is taken from the catalogue");
                }
            }
            let name = &name;
            // texts and numbers: nothing of it can fail
            let text = serde_json::to_string(&schema).unwrap_or_default();
            if let Some(history) = &mut self.history {
                changes.extend(history.learn(name, text.into(), place));
            }
        }
        self.names.clear();
        (self.all, self.wanted, self.waiting) = (false, None, None);
        self.store(changes).await
    }

    /// Reads ahead to the log's end, from where that was done before.
    async fn read_ahead(&mut self, server: &Server, spot: &Spot) -> Result<()> {
        let Surroundings { connector, captured, heartbeat, row_bytes, tables, .. } = &self.around;
        let from = self.survey.next(spot);
        let scout = Scout::open(connector, server, *heartbeat, &from.file, from.position).await?;
        let mut search = Search::new(scout, server.clone());
        while let Some(site) = search.next(connector, *row_bytes).await? {
            self.around.status.source.hear();
            let site = match self.folds {
                true => Site { touched: site.touched.in_lower_case(), ..site },
                false => site,
            };
            self.survey.note(site, *tables, |table| captured.captures(table));
        }
        self.survey.reach(search.place());
        Ok(())
    }

    /// What the catalogue says now of the tables that are waited for.
    async fn ask(&mut self) -> Result<Vec<(TableName, Schema)>> {
        let connector = &self.around.connector;
        // not kept open: the account may have few connections, and this is rare
        let mut conn = connector.connect().await?;
        let mut answers = Vec::new();
        let mut names: BTreeSet<TableName> = self.names.iter().chain(&self.wanted).cloned().collect();
        let mut all = self.all;
        if all && self.special_only {
            // mostly none or a few of them have such columns
            let special = special_tables(connector, &mut conn).await?;
            let special: BTreeSet<TableName> = special.into_iter().filter(|name| self.around.captured.captures(name)).collect();
            all = special.len() > SCHEMA_QUERIES;
            names.extend(special);
        }
        if all {
            answers = self.every_table(&mut conn).await?;
        } else {
            for name in names {
                let key = (&name.database, &name.table);
                let query = format!(
                    "{COLUMNS} FROM information_schema.columns c WHERE c.table_schema = ? AND c.table_name = ? ORDER BY c.ordinal_position"
                );
                let rows: Vec<Row> = connector.within("query", conn.exec(query, key)).await?;
                // not joined: MariaDB would open every table
                let query = "SELECT table_collation FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
                let collation: Option<Option<String>> = connector.within("query", conn.exec_first(query, key)).await?;
                let mut columns = rows.into_iter().map(|row| column_of(row).map(|(_, column)| column)).collect::<Result<Vec<_>>>()?;
                labels::complete(connector, &mut conn, &name, &mut columns).await?;
                if columns.is_empty() {
                    continue;
                }
                let primary = !with_primary(connector, &mut conn, Some(&name)).await?.is_empty();
                let charset = collation.flatten().map(|collation| charset_of(&collation));
                answers.push((name, Schema { charset, primary, ..Schema::of(columns) }));
            }
        }
        answers.retain(|(name, schema)| !self.special_only || schema.is_special() || self.wanted.as_ref() == Some(name));
        let _ = connector.within("leave", conn.disconnect()).await;
        Ok(answers)
    }

    /// The columns of a table as the server has them today, for what has no rows.
    pub async fn today(&mut self, name: &TableName) -> Result<Schema> {
        let (names, all) = (std::mem::take(&mut self.names), std::mem::take(&mut self.all));
        self.wanted = Some(name.clone());
        let answers = self.ask().await;
        (self.names, self.all, self.wanted) = (names, all, None);
        Ok(answers?.pop().map(|(_, schema)| schema).unwrap_or_default())
    }

    /// Whether the log describes its rows by itself, but for a few types.
    pub fn is_in_log(&self) -> bool {
        self.special_only
    }

    /// The tables of a database of which versions are kept.
    pub fn known_in(&self, database: &str) -> Vec<TableName> {
        self.history.as_ref().map(|history| history.tables_of(database)).unwrap_or_default()
    }

    /// What kind of table the catalogue says that it is, if there is one.
    pub async fn table_type(&self, name: &TableName) -> Result<Option<String>> {
        let connector = &self.around.connector;
        let mut conn = connector.connect().await?;
        let query = "SELECT table_type FROM information_schema.tables WHERE table_schema = ? AND table_name = ?";
        let kind = connector.within("query", conn.exec_first(query, (&name.database, &name.table))).await?;
        let _ = connector.within("leave", conn.disconnect()).await;
        Ok(kind)
    }

    async fn store(&self, changes: Vec<KeptChange>) -> Result<(), Halt> {
        if changes.is_empty() {
            return Ok(());
        }
        self.with_store(move |store| store.store(&changes)).await
    }

    /// The columns of tables that plugins treat, as runs before this one left them.
    pub async fn followed(&self) -> Result<Followed, Halt> {
        self.with_store(|store| store.followed()).await
    }

    /// Works with the store on a thread that may block. What was begun is ended, also when the stream stops.
    async fn with_store<T: Send + 'static>(&self, work: impl FnOnce(&dyn SchemaStore) -> Result<T> + Send + 'static) -> Result<T, Halt> {
        let store = self.around.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&*store)).await;
        Ok(done.map_err(|e| Error::new(ErrorKind::Internal, "the thread that keeps schemas panicked").caused_by(e))??)
    }
}
