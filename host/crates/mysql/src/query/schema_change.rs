//! Changes of schemas, told to the sinks that ask for them: an item for each captured table that a statement names.

use std::sync::Arc;

use super::super::{
    definition::{Body, Clause, Step},
    gtid::Gtid,
    ledger::STATEMENT,
    statement::{Effect, Logged, Touched},
    stream::{Halt, Stream},
};
use sluicegate_model::{
    Error, ErrorKind,
    change::{Event, LogPlace, MarkKind, Renamed, SchemaChange, SchemaEffect, SchemaStatement, Table, TableName, Transaction, Truncate},
};

/// What a statement did to a table.
struct Told {
    /// Its place among all that the statement names: which of them are captured may differ from start to start.
    number: u32,
    name: TableName,
    effect: SchemaEffect,
    table: Option<Arc<Table>>,
}

impl Stream {
    /// What the sinks are told of a statement, once the schemas behind it are noted: the tables that it emptied, and what it changed.
    /// `opens`: rows follow in its transaction. `header`: when it ran, in seconds since 1970, and on which server.
    pub(super) async fn tell(
        &mut self,
        emptied: Vec<Arc<Table>>,
        changed: Option<(&Logged<'_>, &Touched)>,
        start: u64,
        opens: bool,
        (seconds, server_id): (u32, u32),
    ) -> Result<(), Halt> {
        let told = match changed {
            Some((logged, touched)) => self.changed(logged, touched).await?,
            None => Vec::new(),
        };
        let open = self.place.transaction(start);
        let time_us = open.time_us.unwrap_or_else(|| i64::from(seconds) * 1_000_000);
        let transaction = Transaction { id: open.id.clone(), file: open.file.clone(), position: open.position, complete: true };
        let single = !open.begun && (told.is_empty() || !opens);
        let delivered = open.part.as_ref().and_then(|part| part.rows.get(STATEMENT)).copied().unwrap_or_default();
        let event = Event { position: start, time_us, server_id, ..Event::default() };
        let text: Arc<str> = match changed {
            Some((logged, _)) if !told.is_empty() => logged.text(&self.server.collations).into(),
            _ => "".into(),
        };
        if text.len() > self.reader.limits.row_bytes {
            return Err(too_long(text.len(), self.reader.limits.row_bytes).into());
        }
        let emptied =
            emptied.into_iter().map(|table| MarkKind::Truncate(Truncate { table, event: event.clone(), transaction: transaction.clone() }));
        let statement =
            |number: u32| SchemaStatement { text: text.clone(), number, event: event.clone(), transaction: transaction.clone() };
        let changes = told.into_iter().map(|Told { number, name, effect, table }| {
            MarkKind::Schema(SchemaChange { name, effect, table, statement: Some(Box::new(statement(number))) })
        });
        let marks: Vec<MarkKind> = emptied.chain(changes).collect();
        let last = marks.len().saturating_sub(1);
        for (at, mark) in marks.into_iter().enumerate() {
            // with an offset before the statement: with the one behind it, a crash between the two would lose the statement
            self.send_before_mark().await?;
            let mut had = false;
            if let MarkKind::Schema(SchemaChange { statement: Some(statement), .. }) = &mark {
                had = u64::from(statement.number) < delivered;
                self.place.read_up_to(&STATEMENT.into(), u64::from(statement.number) + 1);
            }
            if at == last && single {
                // only the last one ends the transaction: an end between them would give the others again
                self.end_transaction();
            }
            if !had {
                self.mark(mark).await?;
            }
        }
        Ok(())
    }

    /// Tells the plugins which tables and columns have other names from here on.
    /// `seconds`: when the statement ran.
    pub(super) async fn tell_renamed(&mut self, logged: &Logged<'_>, touched: &Touched, start: u64, seconds: u32) -> Result<(), Halt> {
        if self.is_of_temporary(logged.thread, touched) {
            return Ok(());
        }
        let all: Vec<Renamed> = match (logged.definitions(&self.server), touched) {
            (Some(steps), _) => steps.into_iter().filter_map(renamed).collect(),
            // which columns are others now is not known
            (None, Touched::Tables(tables)) => tables.iter().map(|table| Renamed::new(table.clone(), table.clone())).collect(),
            (None, Touched::Database(database)) => vec![whole(database)],
            (None, Touched::Any) => vec![whole("")],
        };
        for (number, renamed) in (0..).zip(all) {
            let catalogue = &mut self.reader.catalogue;
            // a table that is not captured may take the place of one that is, as the copies do that tools for schema changes make
            let may_come = (renamed.from == renamed.to || renamed.copied) && catalogue.may_capture_in(&renamed.to.database);
            let far = !catalogue.captures(&renamed.to) && !may_come && !renamed.to.database.is_empty();
            // a table that is far may come back; of one that is made there, or gone, nothing has to be known
            let says_nothing = renamed.from == renamed.to && renamed.columns.is_empty() && renamed.dropped.is_empty() && !renamed.anew;
            if far && (renamed.anew || says_nothing) {
                continue;
            }
            match renamed.copied {
                true => catalogue.forget(&renamed.to),
                false if says_nothing => {}
                false => catalogue.rename(&renamed),
            }
            let at = self.log_place(start, number, seconds);
            self.mark(MarkKind::Renamed(Box::new(Renamed { at, far, ..renamed }))).await?;
        }
        Ok(())
    }

    /// Where the statement stands, by its transaction's number if it has one. `None` where its file has no number.
    pub(in super::super) fn log_place(&mut self, start: u64, number: u32, seconds: u32) -> Option<LogPlace> {
        let gtid = self.place.transaction(start).gtid.clone();
        let (log, sequence, position) = match gtid {
            // `uuid:tag:number`: a server's transactions
            Some(ref gtid @ Gtid::MySql { number, .. }) => (gtid.to_string().rsplit_once(':')?.0.to_owned(), number, 0),
            Some(Gtid::MariaDb { domain, sequence, .. }) => (domain.to_string(), sequence, 0),
            None => {
                let (base, file) = self.place.file.rsplit_once('.')?;
                (base.to_owned(), file.parse().ok()?, start)
            }
        };
        Some(LogPlace { log, sequence, position, number, seconds })
    }

    /// Whether a statement names a temporary table of its session: that hides one of the same name.
    pub(super) fn is_of_temporary(&self, thread: u32, touched: &Touched) -> bool {
        match touched {
            Touched::Tables(tables) => tables.iter().any(|table| self.reader.watch.is_temporary(thread, table)),
            _ => false,
        }
    }

    /// The captured tables that a statement changed, and the databases that may hold captured tables.
    async fn changed(&mut self, logged: &Logged<'_>, touched: &Touched) -> Result<Vec<Told>, Halt> {
        if self.is_of_temporary(logged.thread, touched) {
            return Ok(Vec::new());
        }
        let whole = |database: &str| (TableName::new(database, ""), SchemaEffect::Altered, None);
        let named: Vec<(TableName, SchemaEffect, Option<TableName>)> = match logged.definitions(&self.server) {
            Some(steps) => steps
                .into_iter()
                .filter_map(|step| match step {
                    Step::Create { table, .. } => Some((table.clone(), SchemaEffect::Created, Some(table))),
                    Step::Alter { table, to, .. } => {
                        let effect = if to.is_some() { SchemaEffect::Renamed } else { SchemaEffect::Altered };
                        Some((table.clone(), effect, Some(to.unwrap_or(table))))
                    }
                    Step::Rename { from, to, .. } => Some((from, SchemaEffect::Renamed, Some(to))),
                    Step::Drop(table) => Some((table, SchemaEffect::Dropped, None)),
                    Step::Database { name, .. } => Some(whole(&name)),
                    Step::Sequence(_) => None,
                })
                .collect(),
            None => match touched {
                Touched::Tables(tables) => {
                    let effect = effect_of(&logged.text(&self.server.collations));
                    let after = |table: &TableName| (effect != SchemaEffect::Dropped).then(|| table.clone());
                    tables.iter().map(|table| (table.clone(), effect, after(table))).collect()
                }
                Touched::Database(database) => vec![whole(database)],
                Touched::Any => vec![whole(&logged.database)],
            },
        };
        let mut told = Vec::new();
        for (number, (name, effect, after)) in (0..).zip(named) {
            let catalogue = &mut self.reader.catalogue;
            let concerns = match (name.table.is_empty(), &after) {
                (true, _) => name.database.is_empty() || catalogue.may_capture_in(&name.database),
                (false, Some(after)) => catalogue.captures(&name) || catalogue.captures(after),
                (false, None) => catalogue.captures(&name),
            };
            if concerns {
                let table = match &after {
                    Some(after) => catalogue.kept(after).await?,
                    None => None,
                };
                told.push(Told { number, name, effect, table });
            }
        }
        Ok(told)
    }
}

/// Every table of a database may be another one; of no name, every table.
fn whole(database: &str) -> Renamed {
    let all = TableName::new(database, "");
    Renamed::new(all.clone(), all)
}

/// The names of tables and columns that a part of a statement changes. Also of one that changes none, as long as it may add columns.
fn renamed(step: Step) -> Option<Renamed> {
    match step {
        Step::Alter { table, clauses, to } => {
            let columns = clauses.iter().filter_map(Clause::renames).map(|(old, new)| (old.to_owned(), new.to_owned())).collect();
            let dropped = clauses.iter().filter_map(Clause::drops).map(str::to_owned).collect();
            Some(Renamed { columns, dropped, ..Renamed::new(table.clone(), to.unwrap_or(table)) })
        }
        Step::Rename { from, to, .. } => Some(Renamed::new(from, to)),
        // with `IF NOT EXISTS` it may be there already: what treats the one before then goes for both
        Step::Create { table, unless_there, body: Body::Like(model) } => {
            Some(Renamed { anew: !unless_there, copied: true, ..Renamed::new(model, table) })
        }
        Step::Create { table, unless_there: false, .. } | Step::Drop(table) => {
            Some(Renamed { anew: true, ..Renamed::new(table.clone(), table) })
        }
        _ => None,
    }
}

/// Whether the statement does nothing but empty tables: that has an item of its own.
pub(super) fn only_empties(effects: &[Effect]) -> bool {
    !effects.is_empty() && effects.iter().all(|effect| matches!(effect, Effect::Emptied { by: "TRUNCATE", .. }))
}

/// What a statement does to the tables that it names, where no more than that is known.
fn effect_of(text: &str) -> SchemaEffect {
    let word = text.split_whitespace().next().unwrap_or_default();
    if word.eq_ignore_ascii_case("CREATE") {
        SchemaEffect::Created
    } else if word.eq_ignore_ascii_case("DROP") {
        SchemaEffect::Dropped
    } else {
        SchemaEffect::Altered
    }
}

fn too_long(bytes: usize, limit: usize) -> Error {
    Error::new(ErrorKind::Source, format!("a statement that changes a schema has {bytes} bytes, the limit is {limit}"))
        .remedy("Raise limits.row_bytes, or remove `schema_changes` from the sinks.")
}
