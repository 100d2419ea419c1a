//! The source that the pipeline file names.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::replay::Letters;
use sluicegate_config::{self as config, Pipeline};
use sluicegate_generator::Generator;
use sluicegate_kafka::Membership;
use sluicegate_kafka_source::Kafka;
use sluicegate_model::{
    Result,
    change::{Capabilities, Frontier},
    finding::Finding,
};
use sluicegate_mysql::MySql;
use sluicegate_source::{Begin, Control, Inventory, Items, Ledger, SchemaStore, SetAside, Source};
use sluicegate_sqlserver::SqlServer;
use sluicegate_status::Status;

/// One of the sources.
pub enum AnySource {
    /// The embedded shop.
    Generator(Box<Generator>),
    /// A MySQL or MariaDB server's binlog.
    MySql(Box<MySql>),
    /// Tables of a SQL Server database.
    SqlServer(Box<SqlServer>),
    /// Topics of a Kafka cluster.
    Kafka(Box<Kafka>),
    /// A file of dead letters.
    Letters(Box<Letters>),
}

impl AnySource {
    /// The source of this pipeline, not yet connected.
    pub fn new(pipeline: &Pipeline, status: &Arc<Status>) -> Self {
        let (limits, status) = (pipeline.limits.clone(), status.clone());
        match &pipeline.source {
            config::Source::Generator(settings) => Self::Generator(Box::new(Generator::new(settings.clone(), limits, status))),
            config::Source::SqlServer(settings) => Self::SqlServer(Box::new(SqlServer::new(settings.clone(), limits, status))),
            config::Source::Kafka(settings) => Self::Kafka(Box::new(Kafka::new(settings.clone(), limits, status))),
            config::Source::DeadLetters(settings) => {
                let origin = Self::new(&Pipeline { source: settings.origin.clone(), ..pipeline.clone() }, &status);
                Self::Letters(Box::new(Letters::new(settings, limits, status, origin.connector(), origin.capabilities())))
            }
            config::Source::MySql(settings) => {
                // two pipelines on one machine differ in their state file, so their server ids differ, too
                let seed = format!("{} {}", pipeline.name, pipeline.state.display());
                Self::MySql(Box::new(MySql::new(settings.clone(), limits, status, &seed)))
            }
        }
    }

    /// Another session of the same run, for the sink of this name, that counts in `status`.
    pub fn beside(&self, pipeline: &Pipeline, sink: &str, status: &Arc<Status>) -> Self {
        match self {
            // it never goes apart
            Self::Letters(_) => Self::new(pipeline, status),
            Self::Generator(source) => Self::Generator(Box::new(source.beside(status.clone()))),
            Self::SqlServer(source) => Self::SqlServer(Box::new(source.beside(status.clone()))),
            Self::Kafka(source) => Self::Kafka(Box::new(source.beside(status.clone()))),
            Self::MySql(source) => {
                let seed = format!("{} {} {sink}", pipeline.name, pipeline.state.display());
                Self::MySql(Box::new(source.beside(status.clone(), &seed)))
            }
        }
    }

    /// Versions of tables' schemas are kept there from one run to the next.
    pub fn keep_schemas(&mut self, store: Arc<dyn SchemaStore>) {
        match self {
            // each of its batches says what it holds
            Self::Generator(_) | Self::SqlServer(_) | Self::Kafka(_) | Self::Letters(_) => {}
            Self::MySql(source) => source.keep_schemas(store),
        }
    }

    /// Shares the membership of a consumer group with the sink that commits its offsets.
    pub fn share(&mut self, membership: Arc<Membership>) {
        if let Self::Kafka(source) = self {
            source.share(membership);
        }
    }

    /// Records that cannot be read are set aside there where the source's settings say so.
    pub fn set_aside_in(&mut self, letters: Arc<dyn SetAside>) {
        if let Self::Kafka(source) = self {
            source.set_aside_in(letters);
        }
    }

    /// The kind of source, as it stands in records. A server's flavour is known after the precheck.
    pub fn connector(&self) -> &'static str {
        match self {
            Self::Generator(_) => "generator",
            Self::SqlServer(_) => "sqlserver",
            Self::Kafka(_) => "kafka",
            Self::Letters(source) => source.connector(),
            Self::MySql(source) => source.connector(),
        }
    }

    /// What the last check found, item by item.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        match self {
            Self::Generator(_) | Self::Letters(_) => Vec::new(),
            Self::SqlServer(source) => source.take_findings(),
            Self::Kafka(source) => source.take_findings(),
            Self::MySql(source) => source.take_findings(),
        }
    }

    /// The next check looks at everything, also where that takes long.
    pub fn look_at_everything(&mut self) {
        match self {
            Self::Generator(_) | Self::SqlServer(_) | Self::Letters(_) => {}
            Self::Kafka(source) => source.look_at_everything(),
            Self::MySql(source) => source.look_at_everything(),
        }
    }

    /// The tables that the source has today, with the columns of at most so many captured ones; `None` for one that has no catalogue.
    pub async fn inventory(&self, most: usize) -> Result<Option<Inventory>> {
        match self {
            Self::Generator(_) | Self::Letters(_) => Ok(None),
            Self::SqlServer(source) => source.inventory().await.map(Some),
            Self::Kafka(source) => Ok(source.inventory()),
            Self::MySql(source) => source.inventory(most).await.map(Some),
        }
    }
}

impl Source for AnySource {
    fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Self::Generator(source) => source.ledger(),
            Self::Letters(source) => source.ledger(),
            Self::SqlServer(source) => source.ledger(),
            Self::Kafka(source) => source.ledger(),
            Self::MySql(source) => source.ledger(),
        }
    }

    fn capabilities(&self) -> Capabilities {
        match self {
            Self::Generator(source) => source.capabilities(),
            Self::Letters(source) => source.capabilities(),
            Self::SqlServer(source) => source.capabilities(),
            Self::Kafka(source) => source.capabilities(),
            Self::MySql(source) => source.capabilities(),
        }
    }

    fn control(&mut self) -> Option<Control> {
        match self {
            Self::Generator(source) => source.control(),
            Self::Letters(source) => source.control(),
            Self::SqlServer(source) => source.control(),
            Self::Kafka(source) => source.control(),
            Self::MySql(source) => source.control(),
        }
    }

    fn reads_twice(&self) -> bool {
        match self {
            Self::Generator(source) => source.reads_twice(),
            Self::Letters(source) => source.reads_twice(),
            Self::SqlServer(source) => source.reads_twice(),
            Self::Kafka(source) => source.reads_twice(),
            Self::MySql(source) => source.reads_twice(),
        }
    }

    async fn check(&mut self, sinks: &[Begin]) -> Result<Vec<Frontier>> {
        match self {
            Self::Generator(source) => source.check(sinks).await,
            Self::Letters(source) => source.check(sinks).await,
            Self::SqlServer(source) => source.check(sinks).await,
            Self::Kafka(source) => source.check(sinks).await,
            Self::MySql(source) => source.check(sinks).await,
        }
    }

    async fn run(self, sinks: Vec<Frontier>, out: Items, stop: CancellationToken) -> Result<()> {
        match self {
            Self::Generator(source) => source.run(sinks, out, stop).await,
            Self::Letters(source) => source.run(sinks, out, stop).await,
            Self::SqlServer(source) => source.run(sinks, out, stop).await,
            Self::Kafka(source) => source.run(sinks, out, stop).await,
            Self::MySql(source) => source.run(sinks, out, stop).await,
        }
    }
}
