//! The Kafka source: topics of change records, Debezium's or our own.
//!
//! Each partition is a lane, whose places are offsets in a topic with an id ([`place`]). All partitions are assigned by hand; new ones are
//! found while it runs ([`session`]); in a consumer group they come and go ([`group`]). A record becomes a row of a version of its table ([`record`], [`version`]): by its schema, or by its
//! JSON values alone ([`inferred`]); no number passes through binary floating point that does not have to.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod assembly;
mod client;
mod cluster;
mod debezium;
mod decimal;
mod flat;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod group;
mod inferred;
mod json_text;
mod kind;
mod ledger;
mod partition;
mod place;
mod precheck;
mod read_topics;
mod record;
mod schema;
mod session;
mod temporal;
#[cfg(test)]
mod tests;
mod topic_ids;
mod unreadable;
mod version;

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::{
    client::Member,
    ledger::Offsets,
    precheck::Checked,
    session::{Session, Setup},
};
use sluicegate_config::{KafkaSource, TopicFormat, TopicImages};
use sluicegate_kafka::Membership;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{BeforeImages, Capabilities, Frontier},
    finding::{Finding, Verdict},
    limits::Limits,
};
use sluicegate_source::{Begin, Inventory, Items, Ledger, SetAside, Source};
use sluicegate_status::Status;

/// What a source of these settings shares with its sink; `None` where it is a member of no group.
pub fn membership(settings: &KafkaSource) -> Option<Arc<Membership>> {
    settings.group.as_deref().map(group::membership)
}

/// The source.
#[derive(Debug)]
pub struct Kafka {
    settings: KafkaSource,
    limits: Limits,
    status: Arc<Status>,
    findings: Vec<Finding>,
    /// Whether a check reads records, too.
    thorough: bool,
    inventory: Option<Inventory>,
    membership: Option<Arc<Membership>>,
    /// Where records that cannot be read are set aside.
    letters: Option<Arc<dyn SetAside>>,
    /// Where the checkpoint has progress.
    stored: Frontier,
}

impl Kafka {
    /// A source that reads as `settings` say.
    pub fn new(settings: KafkaSource, limits: Limits, status: Arc<Status>) -> Self {
        Self {
            settings,
            limits,
            status,
            findings: Vec::new(),
            thorough: false,
            inventory: None,
            membership: None,
            letters: None,
            stored: Frontier::default(),
        }
    }

    /// Another session of the same run, that counts in `status`.
    pub fn beside(&self, status: Arc<Status>) -> Self {
        Self::new(self.settings.clone(), self.limits.clone(), status)
    }

    /// Shares the membership of its consumer group with the sink that commits its offsets.
    pub fn share(&mut self, membership: Arc<Membership>) {
        self.membership = Some(membership);
    }

    /// Records that cannot be read are set aside there where the settings say so.
    pub fn set_aside_in(&mut self, letters: Arc<dyn SetAside>) {
        self.letters = Some(letters);
    }

    /// What the last check found, item by item, also when it failed.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// The next check reads a record of each topic.
    pub fn look_at_everything(&mut self) {
        self.thorough = true;
    }

    /// The tables that the last records of the topics hold; `None` where the last check read none.
    pub fn inventory(&self) -> Option<Inventory> {
        self.inventory.clone()
    }
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(job: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(job)
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, "the reader of topics failed").caused_by(error))?
}

impl Source for Kafka {
    fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(Offsets)
    }

    fn capabilities(&self) -> Capabilities {
        let before_images = match self.settings.before_images {
            TopicImages::Whole => BeforeImages::Whole,
            TopicImages::Deletes => BeforeImages::Deletes,
        };
        // a flat record without a member is of a table without that column
        Capabilities { before_images, absent: self.settings.format == TopicFormat::Debezium }
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        self.stored = sinks
            .iter()
            .filter_map(|begin| if let Begin::At(stored) = begin { Some(stored.clone()) } else { None })
            .next_back()
            .unwrap_or_default();
        let (settings, limits, sinks, thorough) = (self.settings.clone(), self.limits.clone(), sinks.to_vec(), self.thorough);
        let (outcome, findings, inventory) = blocking(move || {
            let mut checked = Checked { settings: &settings, limits: &limits, findings: Vec::new() };
            let outcome = checked.check(&sinks);
            let mut findings = checked.findings;
            if !thorough || outcome.is_err() {
                return Ok((outcome, findings, None));
            }
            let (inventory, further) = precheck::look_into(&settings, &limits)?;
            findings.extend(further);
            Ok((outcome, findings, Some(inventory)))
        })
        .await?;
        if !thorough {
            for Finding { item, found, remedy, .. } in findings.iter().filter(|finding| finding.verdict == Verdict::Warn) {
                tracing::warn!(item, remedy, "{found}");
            }
        }
        (self.findings, self.inventory) = (findings, inventory);
        outcome
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        let (stop, closed) = (stop.child_token(), out.clone());
        let Self { settings, limits, status, membership, letters, stored, .. } = self;
        if settings.group.is_some() && membership.is_none() {
            return Err(Error::new(ErrorKind::Internal, "a member of a group without a sink that commits its offsets"));
        }
        let runtime = Handle::current();
        let reading = {
            let stop = stop.clone();
            blocking(move || {
                let client = Arc::new(client::connect(&settings, &limits)?);
                if let Some(membership) = &membership {
                    // it stays a member until everything is committed
                    membership.keep(Arc::new(Member(client.clone())));
                }
                Session::new(Setup { settings, limits, status, client, out, stop, runtime, membership, letters, stored }).run(&sinks)
            })
        };
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            ended = &mut reading => ended,
            () = closed.closed() => {
                stop.cancel();
                reading.await
            }
        }
    }
}
