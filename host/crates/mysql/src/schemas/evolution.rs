//! The next version of a table out of the one before it and the statement that the log holds: where the catalogue only knows what came
//! later, this is what there is. What was worked out so is marked (`applied`), and the catalogue's answer goes before it where it is valid.

use std::collections::{BTreeSet, HashMap};

use mysql_async::prelude::Queryable;

use super::{Halt, Schema, Schemas, Server, Spot};
use crate::{
    definition::{self, Presence, Step},
    statement::Touched,
};
use sluicegate_model::{Result, change::TableName, limits::EVOLVED_COLUMNS};

/// What statements that were read in this run have made of tables, beside what the history has.
#[derive(Debug, Default)]
pub(super) struct Evolution {
    /// Tables that are not captured (a copy that will be renamed, say), that are gone, or of which nothing is known.
    tables: HashMap<TableName, Presence>,
    databases: HashMap<String, Database>,
}

/// What is known of a database.
#[derive(Debug, Default)]
struct Database {
    /// Its default character set.
    charset: Option<String>,
    /// It was made in this run: a table of which nothing was seen is not there.
    seen_whole: bool,
}

impl Evolution {
    /// What is known of a table that the history does not know.
    fn find(&self, table: &TableName) -> Presence {
        match self.tables.get(table) {
            Some(known) => known.clone(),
            None if self.databases.get(&table.database).is_some_and(|database| database.seen_whole) => Presence::Gone,
            None => Presence::Unknown,
        }
    }

    /// A statement may have changed these tables, and it is not known how.
    fn forget(&mut self, touched: &Touched) {
        match touched {
            Touched::Tables(tables) => self.tables.extend(tables.iter().map(|table| (table.clone(), Presence::Unknown))),
            Touched::Database(database) => {
                let same = |name: &str| name.to_lowercase() == database.to_lowercase();
                self.tables.retain(|table, _| !same(&table.database));
                self.databases.retain(|name, _| !same(name));
            }
            Touched::Any => *self = Self::default(),
        }
    }

    /// Keeps what is remembered bounded.
    fn trim(&mut self) {
        let columns = |known: &Presence| match known {
            Presence::There(schema) => schema.columns.len() + 1,
            Presence::Unknown | Presence::Gone => 1,
        };
        if self.databases.len() + self.tables.values().map(columns).sum::<usize>() > EVOLVED_COLUMNS {
            *self = Self::default();
        }
    }
}

impl Schemas {
    /// Works out what a statement makes of the tables that it names, before it is noted. Answers with the captured tables of which a
    /// schema is known behind it.
    pub(super) async fn evolve(
        &mut self,
        touched: &Touched,
        steps: Option<&[Step]>,
        server: &Server,
        behind: &Spot,
    ) -> Result<Vec<(TableName, Schema)>, Halt> {
        let Some(steps) = steps else {
            self.evolution.forget(touched);
            return Ok(Vec::new());
        };
        let named: BTreeSet<TableName> = steps.iter().flat_map(Step::tables).cloned().collect();
        let mut known: HashMap<TableName, Presence> = HashMap::new();
        for table in &named {
            let found = match self.kept(table).await? {
                Some(schema) => Presence::There(schema),
                None => self.evolution.find(table),
            };
            known.insert(table.clone(), found);
        }
        for step in steps {
            if let Step::Database { name, charset, empty } = step {
                if *empty {
                    self.evolution.forget(&Touched::Database(name.clone()));
                }
                let database = self.evolution.databases.entry(name.clone()).or_default();
                database.charset.clone_from(charset);
                database.seen_whole |= *empty;
            }
            let charset = match step.database().filter(|database| self.around.captured.may_capture_in(database)) {
                Some(database) => self.default_of(database, server, behind).await?,
                None => None,
            };
            let mut changed = Vec::new();
            definition::apply(
                step,
                charset.as_deref(),
                &server.collations,
                |table| known.get(table).cloned().unwrap_or_default(),
                |table, presence| changed.push((table, presence)),
            );
            known.extend(changed);
        }
        // a model of another table is as it was
        if let Touched::Tables(tables) = touched {
            known.retain(|table, _| tables.contains(table));
        }
        let mut learned = Vec::new();
        for (table, presence) in known {
            match presence {
                Presence::There(schema) if self.around.captured.follows(&table) => {
                    self.evolution.tables.remove(&table);
                    learned.push((table, schema));
                }
                // tables of other databases may be very many, and are not renamed into this one
                other if self.around.captured.may_capture_in(&table.database) => drop(self.evolution.tables.insert(table, other)),
                _ => {}
            }
        }
        self.evolution.trim();
        Ok(learned)
    }

    /// The default character set of a database at a place, if that is sure.
    async fn default_of(&mut self, database: &str, server: &Server, at: &Spot) -> Result<Option<String>, Halt> {
        if let Some(known) = self.evolution.databases.get(database) {
            return Ok(known.charset.clone());
        }
        let stop = self.around.stop.clone();
        let charset = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Halt::Stop),
            charset = self.ask_for_default(database, server, at) => charset?,
        };
        self.evolution.databases.insert(database.to_owned(), Database { charset: charset.clone(), seen_whole: false });
        Ok(charset)
    }

    async fn ask_for_default(&mut self, database: &str, server: &Server, at: &Spot) -> Result<Option<String>> {
        let connector = &self.around.connector;
        let mut conn = connector.connect().await?;
        let query = "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = ?";
        let charset: Option<String> = connector.within("query", conn.exec_first(query, (database,))).await?;
        let _ = connector.within("leave", conn.disconnect()).await;
        self.read_ahead(server, at).await?;
        Ok(charset.filter(|_| !self.survey.database_changes_behind(database, at)))
    }
}
