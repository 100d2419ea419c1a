//! Transactions of the source that consumers see whole: the sink commits where one ends, and nowhere else.
//!
//! Everything of a transaction is kept until it is committed, and the brokers end one that stays open for too long. So a transaction of the
//! source that does not fit is committed in parts, and told; or it is an error. Where the stream leaves the sink inside of one (the program
//! ends, the output goes apart), what was written of it is aborted, and comes again.

use std::time::Duration;

use super::{KafkaSink, RETAINED_BATCHES, client::transaction_timeout, metadata::Metadata};
use sluicegate_config::{KafkaSink as Settings, LongTransactions};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Lane, Mark, MarkKind, Transaction},
};
use sluicegate_sink::Urgency;

/// How the sink keeps to the source's transactions.
pub(super) struct Whole {
    long: LongTransactions,
    /// How long one of Kafka's may stay open for one of the source.
    longest: Duration,
    /// The transaction whose end has not come.
    open: Option<Open>,
}

struct Open {
    lane: Lane,
    transaction: Transaction,
    /// Whether a part of it was committed.
    cut: bool,
}

impl Whole {
    /// Nothing for a sink that commits anywhere.
    pub fn of(settings: &Settings) -> Option<Self> {
        let long = settings.align?;
        Some(Self { long, longest: transaction_timeout(settings) / 2, open: None })
    }

    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// A batch was taken. Batches of other lanes, which come in between, end nothing: rows of a copy, for one.
    pub fn see(&mut self, batch: &Batch) {
        let Some(last) = batch.transactions.last() else { return };
        match &self.open {
            Some(open) if open.lane != batch.lane && last.complete => {}
            Some(open) if !last.complete && open.transaction.is_same(last) => {}
            _ if last.complete => self.open = None,
            _ => self.open = Some(Open { lane: batch.lane.clone(), transaction: last.clone(), cut: false }),
        }
    }

    /// A mark was taken.
    pub fn see_mark(&mut self, mark: &Mark) {
        let ends = match &mark.kind {
            MarkKind::TransactionEnds(_) | MarkKind::Truncate(_) => true,
            // each is a transaction of its own
            MarkKind::Schema(change) => change.statement.is_some(),
            _ => false,
        };
        self.open.take_if(|open| ends && open.lane == mark.lane);
    }

    /// A transaction that is open is committed in part. Answers where it stands, the first time.
    fn cut(&mut self) -> Option<String> {
        let open = self.open.as_mut().filter(|open| !open.cut)?;
        open.cut = true;
        Some(place(&open.transaction))
    }
}

/// How an operator finds a transaction.
fn place(transaction: &Transaction) -> String {
    let Transaction { id, file, position, .. } = transaction;
    id.as_ref().map_or_else(|| format!("at {file}:{position}"), |id| format!("{id} at {file}:{position}"))
}

impl KafkaSink {
    /// Whether a transaction of the source is open, of which nothing is to be committed yet.
    pub(super) fn is_inside(&self) -> bool {
        self.whole.as_ref().is_some_and(Whole::is_open)
    }

    /// A batch was taken.
    pub(super) fn see(&mut self, batch: &Batch) -> Result<()> {
        if let Some(whole) = &mut self.whole {
            whole.see(batch);
        }
        self.check_length()
    }

    /// Whether a share of what may be kept is.
    fn is_full(&self, share: usize) -> bool {
        self.retained_bytes >= self.retained_max / share || self.retained.len() >= RETAINED_BATCHES / share
    }

    /// How soon a commit is needed.
    pub(super) fn need_of_commit(&self) -> Urgency {
        let Some(transaction) = &self.transaction else { return Urgency::Interval };
        match &self.whole {
            None => transaction.urgency(self.is_full(1)),
            Some(whole) if whole.is_open() && self.is_overdue() => Urgency::Now,
            Some(whole) if whole.is_open() => Urgency::Interval,
            // the other half is for the next one
            Some(_) => transaction.urgency(self.is_full(2)),
        }
    }

    /// Whether the open transaction of the source is too long for one of Kafka's.
    fn is_overdue(&self) -> bool {
        let Some((whole, transaction)) = self.whole.as_ref().zip(self.transaction.as_ref()) else { return false };
        whole.is_open() && (self.is_full(1) || transaction.age().is_some_and(|age| age >= whole.longest))
    }

    /// An error if a transaction is too long that must not be committed in parts.
    pub(super) fn check_length(&self) -> Result<()> {
        let Some(whole) = self.whole.as_ref().filter(|whole| whole.long == LongTransactions::Stop) else { return Ok(()) };
        let Some(open) = whole.open.as_ref().filter(|_| self.is_overdue()) else { return Ok(()) };
        let what = format!(
            "the source's transaction {} does not fit into one of Kafka's: it takes more than half of `limits.kafka_queue_bytes`, or longer than {:?}",
            place(&open.transaction),
            whole.longest
        );
        Err(Error::new(ErrorKind::Sink, what).remedy(
            "raise `limits.kafka_queue_bytes` or the sink's `delivery_timeout`, or let it be committed in parts (`long_transactions: cut`); then \
             start again: nothing is lost or repeated",
        ))
    }

    /// Tells it where a transaction of the source is about to be committed in part.
    pub(super) fn tell_cut(&mut self) {
        if let Some(transaction) = self.whole.as_mut().and_then(Whole::cut) {
            self.numbers.get().cut_transactions.add(1);
            tracing::warn!(
                transaction,
                "a transaction of the source is too long to be committed whole: consumers see a part of it before the rest; raise \
                 `limits.kafka_queue_bytes`, or the sink's `delivery_timeout`"
            );
        }
    }

    /// Aborts the part of a transaction that was written.
    pub(super) fn abandon_part(&mut self) -> Result<bool> {
        if self.whole.as_mut().and_then(|whole| whole.open.take()).is_none() {
            return Ok(false);
        }
        self.abort()?;
        self.forget_retained();
        self.metadata.iter_mut().for_each(Metadata::abandon);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::Offset;

    fn batch(lane: &str, transactions: &[(&str, bool)]) -> Batch {
        let mut batch = Batch::empty(0, Lane::new(lane), Offset::from_json("{}"));
        let transaction = |&(id, complete): &(&str, bool)| Transaction { id: Some(id.into()), complete, ..Transaction::default() };
        batch.transactions = transactions.iter().map(transaction).collect();
        batch
    }

    fn whole() -> Whole {
        Whole { long: LongTransactions::Cut, longest: Duration::ZERO, open: None }
    }

    fn mark(lane: &str, kind: MarkKind) -> Mark {
        Mark { lane: Lane::new(lane), offset: Offset::from_json("{}"), kind }
    }

    #[test]
    fn a_transaction_is_open_until_its_end_comes_whichever_way() {
        let mut whole = whole();
        let mut open = |batch: &Batch| {
            whole.see(batch);
            whole.is_open()
        };
        assert!(open(&batch("binlog", &[("1", true), ("2", false)])));
        assert!(open(&batch("binlog", &[])), "nothing of it");
        assert!(open(&batch("copy:shop.orders/1", &[("", true)])), "a chunk of a copy in between");
        assert!(!open(&batch("binlog", &[("2", true)])));
        assert!(open(&batch("binlog", &[("3", false)])));
        assert!(open(&batch("binlog", &[("4", false)])), "another one");
        assert!(!open(&batch("binlog", &[("4", true), ("5", true)])));
        assert!(open(&batch("binlog", &[("6", false)])));
        whole.see_mark(&mark("copy:shop.orders/1", MarkKind::TransactionEnds(Transaction::default())));
        whole.see_mark(&mark("binlog", MarkKind::Heartbeat));
        assert!(whole.is_open());
        whole.see_mark(&mark("binlog", MarkKind::TransactionEnds(Transaction::default())));
        assert!(!whole.is_open());
    }

    #[test]
    fn a_transaction_that_is_cut_is_told_once() {
        let mut whole = whole();
        assert_eq!(whole.cut(), None);
        whole.see(&batch("binlog", &[("0-1-7", false)]));
        assert_eq!(whole.cut().as_deref(), Some("0-1-7 at :0"));
        whole.see(&batch("binlog", &[("0-1-7", false)]));
        assert_eq!(whole.cut(), None);
        whole.see(&batch("binlog", &[("0-1-8", false)]));
        assert_eq!(whole.cut().as_deref(), Some("0-1-8 at :0"));
    }
}
