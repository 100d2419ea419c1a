//! A start: what is in Kafka of the sink's progress, and which of its sources counts.

use std::sync::Arc;

use rdkafka::ClientConfig;

use super::{
    KafkaSink,
    client::{self, Client, Reports},
    fence::fence,
    metadata::{self, Begun},
    positions,
    transaction::{State, Transaction},
};
use sluicegate_config::{Delivery, KafkaSink as Settings, Transactions};
use sluicegate_format::Encoder;
use sluicegate_kafka::Membership;
use sluicegate_model::{Error, ErrorKind, Result, change::Frontier, limits::Limits};
use sluicegate_sink::{Final, Numbers, Policy, Resume, Sink};

/// A Kafka sink before it begins.
pub struct KafkaResume {
    pub(super) settings: Settings,
    pub(super) versions: bool,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) numbers: Numbers,
    state: Option<String>,
    /// The source's transaction that was told in part.
    pub(super) begun: Option<Begun>,
    membership: Option<Arc<Membership>>,
    resumed: Option<Resumed>,
}

/// What a start with transactions found.
struct Resumed {
    client: Client,
    state: State,
    found: positions::Found,
    /// Whether the progress in the positions topic counts.
    goes_on: bool,
}

impl KafkaResume {
    /// `versions`: whether the plugins' versions are a header. `state`: what the last stored commit answered.
    pub fn new(settings: &Settings, versions: bool, policy: Policy, state: Option<&str>, limits: &Limits, numbers: Numbers) -> Self {
        let (settings, limits, state) = (settings.clone(), limits.clone(), state.map(str::to_owned));
        let begun = metadata::begun_in(state.as_deref());
        Self { settings, versions, policy, limits, numbers, state, begun, membership: None, resumed: None }
    }

    /// The offsets of this member's consumer group are the sink's progress, in place of a topic of positions.
    pub fn in_group(mut self, membership: Arc<Membership>) -> Self {
        // each process has transactions of its own; the group's generation shuts out what lags behind
        if let Delivery::ExactlyOnce(transactions) = &mut self.settings.delivery {
            transactions.transactional_id = format!("{}.{}", transactions.transactional_id, new_incarnation());
        }
        self.membership = Some(membership);
        self
    }

    fn join(&self, transactions: &Transactions, membership: &Membership) -> Result<Resumed> {
        match State::parse(self.state.as_deref())? {
            Some(State { group: Some(group), .. }) if group == membership.group() => {}
            None => {}
            Some(State { group, .. }) => {
                let before = group.map_or_else(|| "a topic of positions".to_owned(), |group| format!("the consumer group `{group}`"));
                return Err(Error::new(ErrorKind::Sink, format!("the sink's progress stands in {before}, not in `{}`", membership.group()))
                    .remedy("set the source's `group` back; or give this pipeline another `name`, and the group its offsets with `kafka-consumer-groups.sh --reset-offsets`"));
            }
        }
        let reports = Reports::new(Some(self.numbers.clone())).transactional();
        let client = client::connect(&self.settings, &self.limits, reports)?;
        fence(&client, &self.settings, transactions, self.limits.connect_timeout)?;
        let Transactions { transactional_id, positions_topic } = transactions.clone();
        let state = State { positions_topic, transactional_id, incarnation: String::new(), group: Some(membership.group().to_owned()) };
        Ok(Resumed { client, state, found: positions::Found::default(), goes_on: true })
    }

    fn positions<'a>(&'a self, transactions: &'a Transactions, config: &'a ClientConfig) -> positions::Topic<'a> {
        positions::Topic { settings: &self.settings, transactions, config, timeout: self.limits.connect_timeout }
    }

    /// A sink that delivered exactly once until its last start, and does not any longer, goes on where its last transaction ended.
    fn leave(&mut self, state: &State) -> Result<Option<Frontier>> {
        let State { positions_topic, transactional_id, incarnation, .. } = state.clone();
        let transactions = Transactions { transactional_id, positions_topic };
        // an older process that still runs is shut out, and its open transaction decided
        let delivery = Delivery::ExactlyOnce(transactions.clone());
        let before = Settings { delivery, ..self.settings.clone() };
        let client = client::connect(&before, &self.limits, Reports::new(None))?;
        fence(&client, &before, &transactions, self.limits.connect_timeout)?;
        let config = client::config(&before, &self.limits)?;
        let found = self.positions(&transactions, &config).read()?;
        self.begun = found.begun(&incarnation);
        found.frontier(&incarnation).map(Some).ok_or_else(|| lost(&transactions))
    }

    fn go_on(&self, transactions: &Transactions, state: Option<State>) -> Result<Resumed> {
        let reports = Reports::new(Some(self.numbers.clone())).transactional();
        let client = client::connect(&self.settings, &self.limits, reports)?;
        let config = client::config(&self.settings, &self.limits)?;
        let topic = self.positions(transactions, &config);
        topic.ensure()?;
        fence(&client, &self.settings, transactions, self.limits.connect_timeout)?;
        let Transactions { transactional_id, positions_topic } = transactions.clone();
        let found = topic.read()?;
        let (incarnation, goes_on) = match (state, self.state.as_deref()) {
            (Some(state), _) if state.transactional_id != transactional_id || state.positions_topic != positions_topic => {
                let what = format!(
                    "the sink's progress stands in the topic `{}` under `{}`, not in `{positions_topic}` under `{transactional_id}`",
                    state.positions_topic, state.transactional_id
                );
                return Err(Error::new(ErrorKind::Sink, what).remedy(
                    "set `positions_topic` and `transactional_id` back; or run with `delivery: at-least-once` and neither of them until changes were delivered, then set all three",
                ));
            }
            (Some(state), _) if found.frontier(&state.incarnation).is_none() => return Err(lost(transactions)),
            (Some(state), _) => (state.incarnation, true),
            // the checkpoint was lost
            (None, None) if let Some(newest) = found.newest() => (newest.to_owned(), true),
            (None, _) => (new_incarnation(), false),
        };
        let state = State { positions_topic, transactional_id, incarnation, group: None };
        Ok(Resumed { client, state, found, goes_on })
    }
}

/// A name that no other start gives.
fn new_incarnation() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_micros(), std::process::id())
}

/// The error when the brokers no longer have what the checkpoint says that they have.
fn lost(transactions: &Transactions) -> Error {
    let Transactions { transactional_id, positions_topic } = transactions;
    Error::new(ErrorKind::Sink, format!("the topic `{positions_topic}` does not hold the progress of `{transactional_id}`, which was written there"))
        .remedy(
            "restore the topic, or correct `brokers` and `positions_topic`; or go on at the checkpoint's copy, which may repeat records: \
             `sluicegate checkpoint set FILE --sink NAME --lane LANE --offset JSON --force` for a lane as `sluicegate checkpoint show` prints it",
        )
}

impl Resume for KafkaResume {
    /// With transactions: shuts out an older process and reads the progress that stands in Kafka. Else nothing of it stands there.
    fn resume(&mut self) -> Result<Option<Frontier>> {
        if self.settings.in_group && self.membership.is_none() {
            return Err(Error::new(ErrorKind::Internal, "a sink of a consumer group without its member"));
        }
        let state = State::parse(self.state.as_deref())?;
        match (&self.settings.delivery, state) {
            (Delivery::ExactlyOnce(transactions), _) if let Some(membership) = &self.membership => {
                self.resumed = Some(self.join(transactions, membership)?);
                Ok(None)
            }
            (_, Some(State { group: Some(group), .. })) => {
                Err(Error::new(ErrorKind::Sink, format!("the sink's progress stands in the consumer group `{group}`"))
                    .remedy("set the source's `group` back; or give each lane a place with `sluicegate checkpoint set`: the group's offsets, as `kafka-consumer-groups.sh --describe` tells them"))
            }
            (Delivery::AtLeastOnce, None) => Ok(None),
            (Delivery::AtLeastOnce, Some(state)) => self.leave(&state),
            (Delivery::ExactlyOnce(transactions), state) => {
                let resumed = self.go_on(transactions, state)?;
                let incarnation = resumed.state.incarnation.as_str();
                let own = if resumed.goes_on { resumed.found.frontier(incarnation) } else { None };
                if resumed.goes_on {
                    self.begun = resumed.found.begun(incarnation);
                }
                self.resumed = Some(resumed);
                Ok(own)
            }
        }
    }

    /// At least once: nothing can be undone, what was sent after the checkpoint is sent again. With transactions: nothing of it can be
    /// seen, and where the sink begins is written before its first record.
    fn begin(mut self: Box<Self>, frontier: &Frontier, encoder: Encoder) -> Result<Box<dyn Sink>> {
        let Some(Resumed { client, state, found, goes_on }) = self.resumed.take() else {
            if let Delivery::ExactlyOnce(_) = self.settings.delivery {
                return Err(Error::new(ErrorKind::Internal, "a Kafka sink with transactions began without what stands in Kafka"));
            }
            let client = client::connect(&self.settings, &self.limits, Reports::new(Some(self.numbers.clone())))?;
            return KafkaSink::open(*self, client, None, encoder).map(Final::boxed);
        };
        let transaction = Transaction::new(state, self.membership.take());
        let mut sink = KafkaSink::open(*self, client, Some(transaction), encoder)?;
        if !goes_on {
            // brokers that went away since they answered
            let away = |error: Error| if error.may_pass() { error.with_kind(ErrorKind::Connection) } else { error };
            sink.begin_incarnation(frontier, &found).map_err(away)?;
        }
        Ok(Final::boxed(sink))
    }
}
