//! What is asked for, done between two transactions.

use super::{
    super::{
        captured::Captured,
        copy::{self, Copying},
        ledger::file_number,
        precheck::Faults,
        stream::{Halt, Stream},
        survey::Spot,
    },
    Anew, Kept,
};
use sluicegate_config::{Snapshot, TablePatterns};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName, limits::SCHEMA_QUERIES};
use sluicegate_source::{Effective, Request};

impl Stream {
    /// Does what is due, as far as it can be done now.
    pub(crate) async fn serve_requests(&mut self) -> Result<(), Halt> {
        self.reach_versions().await?;
        if self.capturing.due {
            self.begin_copies().await?;
        }
        loop {
            let capturing = &mut self.capturing;
            if capturing.waiting.is_none() {
                capturing.waiting = capturing.requests.as_mut().and_then(|requests| requests.try_recv().ok());
            }
            // a place that is not one of this server's log yet is none to begin at
            if capturing.waiting.is_none() || !self.place.resume().has_file() || !self.has_passed_spot() {
                return Ok(());
            }
            // what has been captured before is reached first
            if !self.capturing.pending.is_empty() {
                return Ok(());
            }
            // taken out only once it is done: a connection may break meanwhile
            let done = match &self.capturing.waiting {
                Some(Request::Capture { tables, snapshot, .. }) => {
                    let (tables, snapshot) = (tables.clone(), snapshot.clone());
                    self.capture(tables, snapshot).await
                }
                Some(Request::Copy { table, .. }) => {
                    let table = table.clone();
                    self.copy_table(&table).await
                }
                None => return Ok(()),
            };
            let done = match done {
                Ok(None) => return Ok(()),
                Ok(Some(done)) => Ok(done),
                Err(Halt::Failed(error)) if matches!(error.kind(), ErrorKind::Precheck | ErrorKind::Config) => Err(error),
                Err(halt) => return Err(halt),
            };
            self.capturing.not_before = None;
            let Some(Request::Capture { answer, .. } | Request::Copy { answer, .. }) = self.capturing.waiting.take() else {
                return Ok(());
            };
            // who asked may have gone
            let _ = answer.send(done);
        }
    }

    fn has_passed_spot(&self) -> bool {
        let Some(spot) = &self.capturing.not_before else { return true };
        let place = file_number(&self.place.file).map(|file| (file, self.place.position));
        place.zip(file_number(&spot.file)).is_none_or(|(place, file)| place >= (file, spot.position))
    }

    /// The stream may be where other tables were captured from, in a run before this one.
    async fn reach_versions(&mut self) -> Result<(), Halt> {
        while let Some(next) = self.capturing.pending.front() {
            // where that cannot be told, it is not before it
            if !self.place.resume().set_covers(&next.from).unwrap_or(true) {
                return Ok(());
            }
            let Some(version) = self.capturing.pending.pop_front() else { return Ok(()) };
            let before = self.reader.catalogue.captured().clone();
            let after = Captured::on(&self.server, version.tables.clone());
            let elsewhere = self.elsewhere(&self.capturing.kept);
            self.reader.catalogue.capture(after.clone());
            self.reader.catalogue.schemas.capture(&before, &after, elsewhere, &version.from, Vec::new()).await?;
            tracing::info!(place = %version.from, tables = %version.tables, "these tables are captured from this place on, as in the run before");
        }
        Ok(())
    }

    /// What is captured at other places of the log than here.
    fn elsewhere(&self, kept: &Kept) -> Vec<Captured> {
        kept.versions.iter().map(|version| Captured::on(&self.server, version.tables.clone())).collect()
    }

    /// The tables that the server has, and the account sees.
    pub(super) async fn tables_there(&self) -> Result<Vec<TableName>> {
        let connector = &self.reader.connector;
        // not kept open: the account may have few connections, and this is rare
        let mut conn = connector.connect().await?;
        let tables = copy::tables(connector, &mut conn).await?;
        let _ = connector.within("leave", conn.disconnect()).await;
        Ok(tables)
    }

    /// Refuses tables that cannot be copied.
    pub(super) async fn can_copy(&self, snapshot: &Snapshot, tables: &[TableName]) -> Result<()> {
        let connector = &self.reader.connector;
        let mut conn = connector.connect().await?;
        let mut faults = Faults::default();
        let settings = (snapshot, self.reader.row_image);
        copy::can_copy(connector, &mut conn, &self.server, settings, tables, &mut faults).await?;
        let _ = connector.within("leave", conn.disconnect()).await;
        faults.result(connector.address())
    }

    /// Captures other tables from here on. `None`: it has to be tried again at a later place.
    async fn capture(&mut self, tables: TablePatterns, snapshot: Snapshot) -> Result<Option<Effective>, Halt> {
        let before = self.reader.catalogue.captured().clone();
        let after = Captured::on(&self.server, tables.clone());
        let copied = Captured::on(&self.server, snapshot.tables.clone());
        let there = self.tables_there().await?;
        let only = |one: &Captured, other: &Captured| -> Vec<TableName> {
            there.iter().filter(|name| one.captures(name) && !other.captures(name)).cloned().collect()
        };
        let (added, removed) = (only(&after, &before), only(&before, &after));
        let to_copy: Vec<TableName> = added.iter().filter(|name| snapshot.added && copied.captures(name)).cloned().collect();
        // the caller has tried them: with many, that is not done again while the stream waits
        if to_copy.len() <= SCHEMA_QUERIES {
            self.can_copy(&snapshot, &to_copy).await?;
        }
        let here = Spot { file: self.place.file.clone(), position: self.place.position };
        let answers = match self.reader.catalogue.schemas.look_at(&added, &after, &self.server, &here).await? {
            Ok(answers) => answers,
            Err(spot) => {
                tracing::info!(place = %spot, "a table that is added was altered behind the place that is being read: it is captured from there on");
                self.capturing.not_before = Some(spot);
                return Ok(None);
            }
        };
        self.send_held().await?;
        let place = self.place.resume();
        let mut kept = self.capturing.kept.clone();
        let mut copies = Vec::new();
        for name in to_copy {
            let number = self.next_copy(&name)?;
            let knew = number > 1 || kept.knew(&name, |tables| Captured::on(&self.server, tables.clone()));
            kept.copies.insert(name.clone(), Anew { number, empties: knew && !snapshot.overwrites });
            copies.push((name, number));
        }
        for name in &removed {
            // its rows stay with consumers
            kept.copies.entry(name.clone()).or_insert(Anew { number: 0, empties: false });
        }
        kept.capture(&place, tables);
        self.keep(kept).await?;
        self.capturing.snapshot = Snapshot { mode: self.capturing.snapshot.mode, ..snapshot };
        let elsewhere = self.elsewhere(&self.capturing.kept);
        self.reader.catalogue.capture(after.clone());
        self.reader.catalogue.schemas.capture(&before, &after, elsewhere, &place, answers).await?;
        for name in removed.iter().filter(|name| self.capturing.running.contains(name)) {
            self.reader.status.copies.remove(&name.to_string());
            self.capturing.due = true;
        }
        if self.capturing.due || !copies.is_empty() {
            self.begin_copies().await?;
        }
        Ok(Some(Effective { place: place.to_string(), added, removed, copied: copies }))
    }

    /// Copies a table anew, for every sink.
    async fn copy_table(&mut self, table: &TableName) -> Result<Option<Effective>, Halt> {
        if !self.reader.catalogue.captures(table) || !self.tables_there().await?.contains(table) {
            return Err(Error::new(ErrorKind::Config, format!("{table} is not a captured table that the account sees"))
                .remedy("Name a table that the source's `tables` select, as the server writes it: database.table.")
                .into());
        }
        self.can_copy(self.capturing.snapshot(), std::slice::from_ref(table)).await?;
        self.send_held().await?;
        let place = self.place.resume();
        if !self.capturing.is_before_a_copy(table)? {
            self.ask_for_copy(table).await?;
        }
        self.begin_copies().await?;
        let number = self.next_copy(table)? - 1;
        Ok(Some(Effective { place: place.to_string(), copied: vec![(table.clone(), number)], ..Effective::default() }))
    }

    fn next_copy(&self, table: &TableName) -> Result<u32> {
        let asked = self.capturing.kept.copies.get(table).map_or(0, |copy| copy.number);
        copy::place::next_copy(&self.capturing.frontiers, table, asked)
    }

    /// Keeps that the table is copied anew.
    pub(super) async fn ask_for_copy(&mut self, table: &TableName) -> Result<(), Halt> {
        let (number, empties) = (self.next_copy(table)?, !self.capturing.snapshot.overwrites);
        let mut kept = self.capturing.kept.clone();
        kept.copies.insert(table.clone(), Anew { number, empties });
        self.keep(kept).await
    }

    async fn keep(&mut self, mut kept: Kept) -> Result<(), Halt> {
        let schemas = &self.reader.catalogue.schemas;
        kept.prune(&schemas.durable().await?);
        schemas.keep_captured(kept.to_json()).await?;
        self.capturing.kept = kept;
        Ok(())
    }

    /// Begins what is to be copied, and goes on with what was being copied.
    async fn begin_copies(&mut self) -> Result<(), Halt> {
        self.copying = None;
        if let Some(mut lanes) = self.capturing.lanes(&self.server)? {
            // the stream may have delivered changes of any of them
            lanes.tables.iter_mut().for_each(|table| table.fresh = false);
            self.copying = Some(Box::new(Copying::start(lanes, &self.reader)));
            self.empty_tables().await?;
        }
        Ok(())
    }
}
