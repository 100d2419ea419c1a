//! The source's transactions, told as Debezium tells them: each record says which one it belongs to and where it stands in it, and records of
//! a topic say where one begins, and at its end what it held.
//!
//! What is counted is what this sink delivers: records with a value, after the plugins. The counts of a transaction that is open at a commit
//! are stored with it: in the positions topic, or in the checkpoint. What is written again is counted again, from the last commit on.

use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{KafkaSink, Retained, notice::Notice};
use sluicegate_format::{Encoder, InTransaction, TransactionBorder};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Change, Lane, Mark, MarkKind, Operation, TableName, Transaction},
    limits::KAFKA_TRANSACTION_TABLES,
};
use sluicegate_sink::SinkState;

/// A transaction that has begun, and what was delivered of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Begun {
    lane: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    file: String,
    position: u64,
    /// When the source executed the last change of it.
    time_us: i64,
    /// Its tables, with their numbers of records.
    tables: Vec<(String, u64)>,
}

impl Begun {
    fn of(lane: &Lane, transaction: &Transaction, time_us: i64) -> Self {
        let Transaction { id, file, position, .. } = transaction;
        let id = id.as_deref().map(str::to_owned);
        Self { lane: lane.name().to_owned(), id, file: file.to_string(), position: *position, time_us, tables: Vec::new() }
    }

    fn is(&self, lane: &Lane, transaction: &Transaction) -> bool {
        transaction.is(self.id.as_deref(), &self.file, self.position) && self.is_of(lane)
    }

    pub fn is_of(&self, lane: &Lane) -> bool {
        self.lane == lane.name()
    }

    /// As Debezium names it.
    fn name(&self) -> String {
        self.id.clone().unwrap_or_else(|| format!("file={},pos={}", self.file, self.position))
    }
}

/// What the checkpoint keeps of a sink that delivers at least once.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Without {
    /// The transaction of the source that is told in part.
    transaction: Begun,
}

impl Without {
    fn parse(state: &str) -> Option<Self> {
        serde_json::from_str(state).ok()
    }
}

/// The state of a sink that delivers at least once.
pub(super) fn state_without(begun: Option<&Begun>) -> Result<SinkState> {
    let Some(begun) = begun else { return Ok("{}".to_owned()) };
    serde_json::to_string(&Without { transaction: begun.clone() })
        .map_err(|e| Error::new(ErrorKind::Internal, "the state cannot be written as JSON").caused_by(e))
}

/// The transaction of the source that is told in part, in the state of a sink that delivered at least once.
pub(super) fn begun_in(state: Option<&str>) -> Option<Begun> {
    state.and_then(Without::parse).map(|state| state.transaction)
}

/// The same, while records are counted.
struct Open {
    begun: Begun,
    name: Arc<[u8]>,
    events: u64,
    /// Whether its beginning was told.
    told: bool,
    /// Where a table stands in `begun.tables`.
    places: HashMap<String, usize>,
}

impl Open {
    fn new(begun: Begun, told: bool) -> Self {
        let name = InTransaction::id(&begun.name());
        let events = begun.tables.iter().map(|(_, events)| events).sum();
        let places = begun.tables.iter().enumerate().map(|(place, (table, _))| (table.clone(), place)).collect();
        Self { begun, name, events, told, places }
    }

    fn place(&mut self, table: &TableName) -> Result<usize> {
        let name = match &table.schema {
            Some(schema) => format!("{}.{schema}.{}", table.database, table.table),
            None => format!("{}.{}", table.database, table.table),
        };
        if let Some(place) = self.places.get(&name) {
            return Ok(*place);
        }
        let place = self.begun.tables.len();
        if place >= KAFKA_TRANSACTION_TABLES {
            let what = format!("the transaction {} changes more than {KAFKA_TRANSACTION_TABLES} tables", self.begun.name());
            return Err(Error::new(ErrorKind::Sink, what)
                .remedy("remove the format's `transaction_metadata`, or divide the tables among several pipelines; then start again: nothing is lost"));
        }
        self.places.insert(name.clone(), place);
        self.begun.tables.push((name, 0));
        Ok(place)
    }
}

/// What of the source's transactions was told.
pub(super) struct Metadata {
    topic: Arc<str>,
    /// Whether the topic is seen to be there.
    seen: bool,
    open: Option<Open>,
    /// What was open at the last commit.
    committed: Option<Begun>,
    /// Whether that one ended before anything else was written.
    ended_first: bool,
    /// The transaction of the batch that the last change was of; none while rows of a copy come.
    current: Option<u32>,
    /// By table of the batch: its place among those of the open transaction.
    places: Vec<Option<usize>>,
    /// What the change that is being written was counted as.
    counted: Option<(usize, u64)>,
}

impl Metadata {
    /// `begun`: what was open at the last commit.
    pub fn new(topic: &str, begun: Option<Begun>) -> Self {
        let mut metadata = Self {
            topic: topic.into(),
            seen: false,
            open: None,
            committed: begun,
            ended_first: false,
            current: None,
            places: Vec::new(),
            counted: None,
        };
        metadata.rewind();
        metadata
    }

    pub fn is_of(&self, topic: &str) -> bool {
        *self.topic == *topic
    }

    /// Forgets what came since the last commit.
    pub fn rewind(&mut self) {
        self.open = self.committed.clone().map(|begun| Open::new(begun, true));
        self.begin_batch();
    }

    /// Everything since the last commit was undone.
    pub fn abandon(&mut self) {
        self.ended_first = false;
        self.rewind();
    }

    pub fn begin_batch(&mut self) {
        self.current = None;
        self.places.clear();
    }

    /// What is open at a commit.
    pub fn begun(&self) -> Option<&Begun> {
        self.open.as_ref().filter(|open| open.told).map(|open| &open.begun)
    }

    pub fn committed(&mut self) {
        self.committed = self.begun().cloned();
        self.ended_first = false;
    }

    /// Whether the open transaction ends in the batch.
    fn ends_in(&self, batch: &Batch) -> bool {
        let Some(open) = &self.open else { return false };
        let is_open = |transaction: &Transaction| open.begun.is(&batch.lane, transaction);
        match batch.transactions.split_last() {
            Some((last, _)) if is_open(last) => last.complete,
            Some((_, others)) => others.iter().any(is_open),
            None => false,
        }
    }

    /// Counts a record of a table, and answers its place; none for a record that belongs to no transaction.
    fn count(&mut self, batch: &Batch, table: u32) -> Result<Option<InTransaction>> {
        let (Some(open), Some(_)) = (&mut self.open, self.current) else { return Ok(None) };
        let index = table as usize;
        if self.places.len() <= index {
            self.places.resize(batch.tables.len().max(index + 1), None);
        }
        let place = match (self.places.get(index).copied().flatten(), batch.tables.get(index)) {
            (Some(place), _) => place,
            (None, Some(rows)) => open.place(&rows.table.name)?,
            (None, None) => return Ok(None),
        };
        if let Some(known) = self.places.get_mut(index) {
            *known = Some(place);
        }
        let Some((_, events)) = open.begun.tables.get_mut(place) else { return Ok(None) };
        *events += 1;
        open.events += 1;
        let before = self.counted.map_or(0, |(_, events)| events);
        self.counted = Some((place, before + 1));
        Ok(Some(InTransaction::new(open.name.clone(), open.events, *events)))
    }

    /// The change was not delivered.
    pub fn undo_change(&mut self) {
        if let (Some((place, events)), Some(open)) = (self.counted.take(), &mut self.open) {
            open.events -= events;
            if let Some((_, counted)) = open.begun.tables.get_mut(place) {
                *counted -= events;
            }
        }
    }
}

/// Tells the encoder where in its transaction the next record stands. All records of a change are of one table.
pub(super) fn number_record(metadata: &mut Option<Metadata>, encoder: &mut Encoder, batch: &Batch, table: u32) -> Result<()> {
    if let Some(metadata) = metadata {
        let place = metadata.count(batch, table)?;
        encoder.table(batch, table).number(place);
    }
    Ok(())
}

impl KafkaSink {
    /// A change is about to be written: another transaction may begin with it.
    pub(super) fn enter(&mut self, batch: &Batch, change: &Change) -> Result<()> {
        let Some(metadata) = &mut self.metadata else { return Ok(()) };
        metadata.counted = None;
        let Some((event, transaction)) = batch.event(change).filter(|_| change.operation != Operation::Snapshot) else {
            metadata.current = None;
            return Ok(());
        };
        if metadata.current != Some(event.transaction) {
            metadata.places.clear();
            metadata.current = Some(event.transaction);
            if !metadata.open.as_ref().is_some_and(|open| open.begun.is(&batch.lane, transaction)) {
                self.end_told()?;
                if let Some(metadata) = &mut self.metadata {
                    metadata.open = Some(Open::new(Begun::of(&batch.lane, transaction, event.time_us), false));
                }
            }
        }
        if let Some(open) = self.metadata.as_mut().and_then(|metadata| metadata.open.as_mut()) {
            open.begun.time_us = event.time_us;
        }
        Ok(())
    }

    /// Tells the beginning of the open transaction, before the first of its records.
    pub(super) fn begin_told(&mut self) -> Result<()> {
        let Some(metadata) = self.metadata.as_mut().filter(|metadata| metadata.current.is_some()) else { return Ok(()) };
        let Some(open) = metadata.open.as_mut().filter(|open| !open.told) else { return Ok(()) };
        open.told = true;
        let (id, time_us) = (open.begun.name(), open.begun.time_us);
        self.tell_border(&TransactionBorder { id: &id, time_us, ends: None })
    }

    /// The open transaction ends, if there is one.
    fn end_told(&mut self) -> Result<()> {
        let Some(open) = self.metadata.as_mut().and_then(|metadata| metadata.open.take()).filter(|open| open.told) else { return Ok(()) };
        let Begun { time_us, tables, .. } = &open.begun;
        // of one whose changes were all set aside, nothing is left
        let tables: Vec<(String, u64)> = tables.iter().filter(|(_, events)| *events > 0).cloned().collect();
        self.tell_border(&TransactionBorder { id: &open.begun.name(), time_us: *time_us, ends: Some(&tables) })
    }

    fn tell_border(&mut self, border: &TransactionBorder<'_>) -> Result<()> {
        let Some(metadata) = &mut self.metadata else { return Ok(()) };
        let (topic, seen) = (metadata.topic.clone(), std::mem::replace(&mut metadata.seen, true));
        if !seen {
            self.topics.see(&topic)?;
        }
        let (mut key, mut value) = (Vec::new(), Vec::new());
        if !self.encoder.transaction(border, &mut key, &mut value) {
            return Ok(());
        }
        self.begin_transaction()?;
        match self.send_notice(&Notice { topic, key: Some(key), value, headers: None }) {
            Err(_) if self.is_broken() => Ok(()),
            other => other,
        }
    }

    /// A batch was written: the open transaction may end in it.
    pub(super) fn tell_end_in(&mut self, batch: &Batch) -> Result<()> {
        if self.metadata.as_ref().is_some_and(|metadata| metadata.ends_in(batch)) { self.end_told() } else { Ok(()) }
    }

    /// A batch of which nothing is written.
    pub(super) fn tell_end_of_passed(&mut self, batch: &Batch) -> Result<()> {
        if !self.metadata.as_ref().is_some_and(|metadata| metadata.ends_in(batch)) {
            return Ok(());
        }
        self.note_end();
        self.end_told()
    }

    /// A mark: the open transaction may end there.
    pub(super) fn tell_end_at(&mut self, mark: &Mark) -> Result<()> {
        let MarkKind::TransactionEnds(ended) = &mark.kind else { return Ok(()) };
        let open = self.metadata.as_ref().and_then(|metadata| metadata.open.as_ref());
        if !open.is_some_and(|open| open.begun.is(&mark.lane, ended)) {
            return Ok(());
        }
        self.note_end();
        self.end_told()
    }

    /// What is written again has to end where it did.
    fn note_end(&mut self) {
        match (self.retained.last_mut(), &mut self.metadata) {
            (Some(last), _) => last.ends = true,
            (None, Some(metadata)) => metadata.ended_first = true,
            (None, None) => {}
        }
    }

    /// Everything since the last commit is about to be written again.
    pub(super) fn tell_again(&mut self) -> Result<()> {
        let Some(metadata) = &mut self.metadata else { return Ok(()) };
        metadata.rewind();
        if metadata.ended_first { self.end_told() } else { Ok(()) }
    }

    /// What is kept was written again up to a batch: ends that stand before that are told.
    pub(super) fn tell_ends_again(&mut self, told: &mut usize, until: usize) -> Result<()> {
        while *told < until {
            let ends = |Retained { batch, ends, .. }: &Retained| *ends || self.metadata.as_ref().is_some_and(|known| known.ends_in(batch));
            if self.retained.get(*told).is_some_and(ends) {
                self.end_told()?;
            }
            *told += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::{Offset, Table, TableRows};

    fn transaction(id: Option<&str>, position: u64, complete: bool) -> Transaction {
        Transaction { id: id.map(Into::into), file: "binlog.000001".into(), position, complete }
    }

    fn batch(transactions: Vec<Transaction>) -> Batch {
        let mut batch = Batch::empty(0, Lane::new("binlog"), Offset::from_json("{}"));
        let table = |name| TableRows::new(Arc::new(Table { name: TableName::new("shop", name), destination: None, columns: Vec::new() }));
        batch.tables = ["orders", "lines"].map(table).into();
        batch.transactions = transactions;
        batch
    }

    fn open(transaction: &Transaction) -> Metadata {
        let mut metadata = Metadata::new("told", None);
        metadata.open = Some(Open::new(Begun::of(&Lane::new("binlog"), transaction, 7), true));
        metadata.current = Some(0);
        metadata
    }

    fn counts(metadata: &Metadata) -> Vec<(&str, u64)> {
        metadata.begun().unwrap().tables.iter().map(|(table, events)| (table.as_str(), *events)).collect()
    }

    #[test]
    fn a_transaction_is_named_as_debezium_names_it() {
        let name = |transaction: &Transaction| Begun::of(&Lane::new("binlog"), transaction, 0).name();
        assert_eq!(name(&transaction(Some("0-1-7"), 4, false)), "0-1-7");
        assert_eq!(name(&transaction(None, 4, false)), "file=binlog.000001,pos=4");
    }

    #[test]
    fn records_are_counted_by_table_over_batches_and_restarts_and_those_that_were_not_delivered_are_not() {
        let one = batch(vec![transaction(None, 4, false)]);
        let mut metadata = open(&one.transactions[0]);
        let count = |metadata: &mut Metadata, batch: &Batch, table| {
            metadata.counted = None;
            metadata.count(batch, table).unwrap().unwrap();
        };
        [0, 0, 1].into_iter().for_each(|table| count(&mut metadata, &one, table));
        metadata.committed();
        count(&mut metadata, &one, 0);
        metadata.undo_change();
        assert_eq!(counts(&metadata), [("shop.orders", 2), ("shop.lines", 1)]);
        count(&mut metadata, &one, 1);
        // the transaction of Kafka is aborted, and written again
        metadata.rewind();
        assert_eq!(counts(&metadata), [("shop.orders", 2), ("shop.lines", 1)]);
        let stored = serde_json::to_string(metadata.begun().unwrap()).unwrap();
        let mut metadata = Metadata::new("told", serde_json::from_str(&stored).unwrap());
        metadata.current = Some(0);
        // the tables stand in another order in another batch
        let mut turned = batch(vec![transaction(None, 4, false)]);
        turned.tables.reverse();
        count(&mut metadata, &turned, 0);
        assert_eq!(counts(&metadata), [("shop.orders", 2), ("shop.lines", 2)]);
        assert_eq!(metadata.open.as_ref().unwrap().events, 4);
    }

    #[test]
    fn a_transaction_ends_in_the_batch_that_says_so_or_has_another_one_behind_it() {
        let (own, other) = (transaction(Some("0-1-7"), 4, false), transaction(Some("0-1-8"), 900, false));
        let metadata = open(&own);
        let ended = Transaction { complete: true, ..own.clone() };
        // another server goes on with it: its place is another one there
        let elsewhere = Transaction { position: 77, ..ended.clone() };
        assert!(metadata.ends_in(&batch(vec![ended])) && metadata.ends_in(&batch(vec![elsewhere])));
        assert!(metadata.ends_in(&batch(vec![own.clone(), other.clone()])));
        assert!(!metadata.ends_in(&batch(vec![own.clone()])) && !metadata.ends_in(&batch(Vec::new())));
        // a stream that begins before the place of the sink
        assert!(!metadata.ends_in(&batch(vec![other.clone()])) && !metadata.ends_in(&batch(vec![other, own.clone()])));
        let copy = Batch { lane: Lane::new("copy:shop.orders/1"), ..batch(vec![Transaction { complete: true, ..own }]) };
        assert!(!metadata.ends_in(&copy));
    }

    #[test]
    fn a_transaction_of_too_many_tables_is_an_error() {
        let mut open = Open::new(Begun::of(&Lane::new("binlog"), &transaction(Some("0-1-7"), 4, false), 0), true);
        for table in 0..KAFKA_TRANSACTION_TABLES {
            assert_eq!(open.place(&TableName::new("shop", format!("t{table}"))).unwrap(), table);
        }
        assert_eq!(open.place(&TableName::new("shop", "t7")).unwrap(), 7);
        insta::assert_snapshot!(open.place(&TableName::new("shop", "more")).unwrap_err(), @"
        the transaction 0-1-7 changes more than 10000 tables
          remedy: remove the format's `transaction_metadata`, or divide the tables among several pipelines; then start again: nothing is lost
        ");
    }
}
