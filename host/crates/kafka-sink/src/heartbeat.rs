//! Heartbeats: records that say from time to time that the sink delivers, also while no rows come. Each is acknowledged after every record
//! before it; with `exactly-once` it stands in the transaction of a commit, which is made for it where nothing else is to be committed.
//!
//! Source: Debezium documentation, "MySQL connector", `heartbeat.interval.ms`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{KafkaSink, notice::Notice};
use sluicegate_config::Heartbeats as Settings;
use sluicegate_model::{Result, change::Frontier};

/// Where heartbeats go, and when the next one is due.
pub(super) struct Heartbeats {
    topic: Arc<str>,
    every: Duration,
    next: Instant,
    /// Whether the topic is seen to be there.
    seen: bool,
    /// Whether one stands in the open transaction.
    waits: bool,
}

impl Heartbeats {
    pub fn new(settings: &Settings) -> Self {
        Self { topic: settings.topic.as_str().into(), every: settings.every, next: Instant::now(), seen: false, waits: false }
    }

    /// What was given is there: the next one is due in a while.
    pub fn delivered(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.next = Instant::now() + self.every;
        }
    }

    pub fn every(&self) -> Duration {
        self.every
    }

    pub fn is_of(&self, topic: &str) -> bool {
        *self.topic == *topic
    }
}

impl KafkaSink {
    /// Gives a heartbeat if one is due and no transaction is open: its commit gives one.
    pub(super) fn beat(&mut self) -> Result<()> {
        if self.heartbeats.as_ref().is_none_or(|heartbeats| Instant::now() < heartbeats.next) {
            return Ok(());
        }
        match &self.transaction {
            None => {
                let Some(heartbeat) = self.heartbeat()? else { return Ok(()) };
                self.notify(heartbeat)?;
                self.heartbeats.iter_mut().for_each(Heartbeats::delivered);
                Ok(())
            }
            Some(transaction) if transaction.is_open() => Ok(()),
            // nothing has moved: it stands by itself
            Some(_) => self.commit_transaction(&Frontier::default()),
        }
    }

    /// The record of a heartbeat, if one is due: also where the transaction that it stood in was aborted.
    pub(super) fn heartbeat(&mut self) -> Result<Option<Notice>> {
        let Some(heartbeats) = self.heartbeats.as_mut().filter(|heartbeats| Instant::now() >= heartbeats.next) else { return Ok(None) };
        if !heartbeats.seen {
            self.topics.see(&heartbeats.topic)?;
            heartbeats.seen = true;
        }
        heartbeats.waits = true;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let has = self.encoder.heartbeat(&mut key, &mut value);
        Ok(has.then(|| Notice { topic: heartbeats.topic.clone(), key: Some(key), value, headers: None }))
    }
}
