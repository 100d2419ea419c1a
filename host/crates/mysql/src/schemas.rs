//! The schemas of the captured tables at the place that is being read: out of the history, or of the server's catalogue where its
//! answer is valid for that place. Never a guess.

mod added;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use mysql_async::{Conn, Row, prelude::Queryable};
use tokio_util::sync::CancellationToken;

use super::{
    captured::Captured,
    connection::{Connector, Server},
    history::{History, Milestone},
    position::{BinlogPosition, Flavour},
    proof,
    schema::{CatalogueColumn, Schema},
    scout::Scout,
    statement::Touched,
    stream::Halt,
    survey::{Search, Spot, Survey},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, TableName},
    limits::{HISTORY_INTERVAL, SCHEMA_QUERIES, SCHEMA_WAIT},
};
use sluicegate_source::{KeptChange, KeptVersion, SchemaStore};
use sluicegate_status::Status;

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
        self.captured.captures(table) || self.elsewhere.iter().any(|captured| captured.captures(table))
    }
}

/// The schemas.
#[derive(Debug)]
pub(super) struct Schemas {
    around: Surroundings,
    /// Since the first connection.
    history: Option<History>,
    survey: Survey,
    /// Whether the log itself holds every schema in full, so that none is asked for before a row needs it.
    logged: bool,
    /// The same but for the columns that MariaDB logs as BINARY.
    special_only: bool,
    /// Tables whose schemas are to be learned; of all captured tables with `all`.
    names: BTreeSet<TableName>,
    all: bool,
    /// The table whose rows wait for its schema.
    wanted: Option<TableName>,
    waiting: Option<Instant>,
    noted: Instant,
}

/// Why the schema at a place is not known.
#[derive(Debug)]
struct Unknown {
    here: Spot,
    /// Where the version that is not known begins.
    from: Arc<str>,
    /// Behind the last change of it that the log holds.
    changed: Option<Spot>,
}

impl Schemas {
    pub fn new(around: Surroundings) -> Self {
        Self {
            around,
            history: None,
            survey: Survey::default(),
            logged: false,
            special_only: false,
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
    }

    /// A connection to a server was made, whose log is read from `place` on, which has been proven.
    pub async fn begin(&mut self, conn: &mut Conn, server: &Server, place: &BinlogPosition) -> Result<(), Halt> {
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
                Ok(()) => {}
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
        let rows: Vec<(String, String)> = self.around.connector.within("query", conn.query(query)).await?;
        let captured = &self.around.captured;
        let mut names = rows.into_iter().map(|(database, table)| TableName::new(database, table)).filter(|name| captured.captures(name));
        Ok(names.any(|name| self.history.as_mut().is_none_or(|history| history.known(&name).is_none())))
    }

    /// A statement that may change schemas was read; the stream is behind it now.
    pub async fn change(&mut self, touched: &Touched, at: Milestone) -> Result<(), Halt> {
        let captured = &self.around.captured;
        let Some(history) = &mut self.history else { return Ok(()) };
        let mut changes = history.change(touched, at, |table| captured.captures(table));
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
        if let Some(schema) = self.kept(name).await? {
            return Ok(schema);
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

    /// The schema that the history has.
    async fn kept(&mut self, name: &TableName) -> Result<Option<Schema>, Halt> {
        let Some(place) = self.history.as_mut().and_then(|history| history.known(name)) else { return Ok(None) };
        let table = name.clone();
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
            answers.retain(|(name, _)| history.known(name).is_none());
        }
        if !answers.is_empty() {
            self.read_ahead(server, spot).await?;
        }
        let mut changes = Vec::new();
        for (name, schema) in answers.iter().filter(|(name, _)| self.survey.change_behind(name, spot).is_none()) {
            // texts and numbers: nothing of it can fail
            let text = serde_json::to_string(schema).unwrap_or_default();
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
        if self.all {
            let captured = &self.around.captured;
            let query = format!(
                "{COLUMNS} JOIN information_schema.tables t USING (table_schema, table_name) WHERE t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
                 AND c.table_schema NOT IN ('sys', 'performance_schema', 'information_schema') ORDER BY 1, 2, c.ordinal_position"
            );
            let mut tables: HashMap<TableName, Schema> = HashMap::new();
            for row in connector.within("query", conn.query::<Row, _>(query)).await? {
                let (name, column) = column_of(row)?;
                if captured.captures(&name) {
                    tables.entry(name).or_default().0.push(column);
                }
            }
            answers.extend(tables);
        } else {
            for name in self.names.iter().chain(&self.wanted) {
                let query = format!("{COLUMNS} WHERE c.table_schema = ? AND c.table_name = ? ORDER BY c.ordinal_position");
                let rows: Vec<Row> = connector.within("query", conn.exec(query, (&name.database, &name.table))).await?;
                let columns = rows.into_iter().map(|row| column_of(row).map(|(_, column)| column)).collect::<Result<Vec<_>>>()?;
                if !columns.is_empty() {
                    answers.push((name.clone(), Schema(columns)));
                }
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

    /// Works with the store on a thread that may block. What was begun is ended, also when the stream stops.
    async fn with_store<T: Send + 'static>(&self, work: impl FnOnce(&dyn SchemaStore) -> Result<T> + Send + 'static) -> Result<T, Halt> {
        let store = self.around.store.clone();
        let done = tokio::task::spawn_blocking(move || work(&*store)).await;
        Ok(done.map_err(|e| Error::new(ErrorKind::Internal, "the thread that keeps schemas panicked").caused_by(e))??)
    }
}

const COLUMNS: &str = "SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.column_type, c.character_set_name, \
    IF(COALESCE(c.generation_expression, '') = 'ROW END', 'ROW END', c.column_key), c.is_nullable, c.character_octet_length FROM information_schema.columns c";

fn column_of(row: Row) -> Result<(TableName, CatalogueColumn)> {
    type Columns = (String, String, String, String, String, Option<String>, String, String, Option<u64>);
    let unusable = |_| Error::new(ErrorKind::Source, "the server's catalogue gave columns that cannot be read");
    let (database, table, name, data_type, column_type, charset, key, nullable, bytes) =
        mysql_async::from_row_opt::<Columns>(row).map_err(unusable)?;
    // only of these the log holds the length
    let bytes = bytes.filter(|_| matches!(data_type.as_str(), "char" | "varchar" | "binary" | "varbinary"));
    let nullable = Some(nullable == "YES");
    Ok((TableName::new(database, table), CatalogueColumn { name, data_type, column_type, charset, key, nullable, bytes }))
}

impl Unknown {
    fn into_error(self, name: &TableName, server: &Server) -> Error {
        let Self { here, from, changed } = self;
        let why = match &changed {
            Some(_) => "the table was changed later, and the checkpoint has no version of its schema from before that",
            None => {
                "the server's catalogue does not show the table (it is gone, or the account lacks SELECT on it), and the checkpoint has no version of its schema"
            }
        };
        let import = format!(
            "If there is a dump of the schema from then, import it with `sluicegate schema import FILE --table '{name}' --place '{from}' DUMP.sql`. \
             Or leave the table out by adding '!{name}' to the source's tables"
        );
        let remedy = match changed {
            Some(behind) => format!(
                "{import}. Or let each sink go on behind the last change of the table, with `sluicegate checkpoint set FILE --sink NAME --force --lane {lane} \
                 --offset '{offset}'`, and copy the table anew: what stands between is not delivered. With binlog_row_metadata = FULL the log \
                 itself describes its rows from then on.",
                lane = super::position::LANE,
                offset = offset(&behind, server),
            ),
            None => format!("{import}: its changes are then not delivered. If the table is there, grant the account SELECT on it."),
        };
        Error::new(ErrorKind::Source, format!("the schema of {name} at {here} is not known: {why}")).remedy(remedy)
    }
}

/// A place of this server's log, by file and position alone.
fn offset(spot: &Spot, server: &Server) -> String {
    use sluicegate_model::change::LanePlace;
    let place = BinlogPosition {
        flavour: server.flavour,
        server: server.identity.clone(),
        file: spot.file.clone(),
        position: spot.position,
        gtid_set: None,
        open: Vec::new(),
        prepared: Vec::new(),
        skip: None,
    };
    place.to_json()
}

/// Keeps versions for one run only.
#[derive(Debug, Default)]
pub(super) struct InMemory(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    captured: Option<String>,
    versions: Vec<(KeptVersion, Option<Arc<str>>)>,
    read_to: Option<Arc<str>>,
}

impl InMemory {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SchemaStore for InMemory {
    fn versions(&self) -> Result<Vec<KeptVersion>> {
        Ok(self.memory().versions.iter().map(|(version, _)| version.clone()).collect())
    }

    fn schema(&self, table: &TableName, place: &str) -> Result<Option<String>> {
        let memory = self.memory();
        let found = memory.versions.iter().find(|(version, _)| version.table == *table && *version.place == *place);
        Ok(found.and_then(|(_, schema)| schema.as_deref().map(str::to_owned)))
    }

    fn read_to(&self) -> Result<Option<String>> {
        Ok(self.memory().read_to.as_deref().map(str::to_owned))
    }

    fn store(&self, changes: &[KeptChange]) -> Result<()> {
        let mut memory = self.memory();
        for change in changes.iter().cloned() {
            match change {
                KeptChange::Begin { table, place, schema } => {
                    let version = (KeptVersion { table, place, known: schema.is_some() }, schema);
                    let same = |(kept, _): &&mut (KeptVersion, _)| kept.table == version.0.table && kept.place == version.0.place;
                    match memory.versions.iter_mut().find(same) {
                        Some(kept) => *kept = version,
                        None => memory.versions.push(version),
                    }
                }
                KeptChange::Forget { table, place } => memory.versions.retain(|(kept, _)| kept.table != table || kept.place != place),
                KeptChange::ForgetAll => (memory.versions, memory.read_to) = (Vec::new(), None),
                KeptChange::ReadTo(place) => memory.read_to = Some(place),
            }
        }
        Ok(())
    }

    fn captured(&self) -> Result<Option<String>> {
        Ok(self.memory().captured.clone())
    }

    fn keep_captured(&self, text: &str) -> Result<()> {
        self.memory().captured = Some(text.to_owned());
        Ok(())
    }

    fn durable(&self) -> Result<Vec<Frontier>> {
        Ok(Vec::new())
    }
}
