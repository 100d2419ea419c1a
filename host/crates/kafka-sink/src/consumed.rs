//! The offsets of the source's consumer group, in the transactions of the records that came from there.
//!
//! Sources: KIP-447 (the group's generation shuts out members that lag behind), KIP-98.

use std::time::{Duration, Instant};

use rdkafka::{
    TopicPartitionList,
    error::{KafkaError, RDKafkaError},
    producer::Producer as _,
    types::RDKafkaErrorCode as Code,
};

use super::{
    KafkaSink, POLL,
    transaction::{Committed, State, patience},
    transaction_fault::transaction_fault,
};
use sluicegate_kafka::Membership;
use sluicegate_model::{Error, ErrorKind, Result, change::Frontier};

/// The error when the account may not commit offsets of what the source reads.
fn not_granted(group: &str, error: RDKafkaError) -> Error {
    Error::new(ErrorKind::Sink, format!("the account may not commit offsets of the consumer group `{group}` in a topic that the source reads"))
        .caused_by(error)
        .remedy("grant it READ on the group, and READ and DESCRIBE on the source's topics (the log names the one that was refused), then start again: nothing is lost or repeated")
}

impl KafkaSink {
    /// Puts the offsets that the source's group is at into the transaction. What became of it is answered where it had to be given up.
    ///
    /// # Errors
    /// The partitions are no longer the member's: nothing of the transaction is seen.
    pub(super) fn send_consumed(
        &mut self,
        membership: &Membership,
        progress: &Frontier,
        state: &State,
    ) -> Result<std::result::Result<Option<TopicPartitionList>, Committed>> {
        let (list, metadata) = match membership.consumed(progress) {
            Ok(Some(consumed)) => consumed,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => {
                self.abort()?;
                return Err(error);
            }
        };
        let deadline = Instant::now() + patience(&self.settings);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.client.send_offsets_to_transaction(&list, &metadata, left.min(Duration::from_secs(1))) {
                Ok(()) => return Ok(Ok(Some(list))),
                Err(KafkaError::Transaction(error)) if error.is_retriable() && !left.is_zero() && !self.numbers.has_ended() => {
                    self.client.poll(POLL);
                }
                Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                    let shut_out = matches!(
                        error.code(),
                        Code::IllegalGeneration | Code::UnknownMemberId | Code::FencedInstanceId | Code::RebalanceInProgress
                    );
                    if matches!(error.code(), Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) {
                        let fault = not_granted(membership.group(), error);
                        self.abort()?;
                        return Err(fault);
                    }
                    let fault =
                        transaction_fault(&self.client, self.settings.in_group, &state.transactional_id, KafkaError::Transaction(error));
                    self.abort()?;
                    if shut_out {
                        membership.end();
                        return Err(membership.lost().caused_by(fault.chain()));
                    }
                    return Ok(Err(Committed::Aborted(fault)));
                }
                Err(error) => return Err(transaction_fault(&self.client, self.settings.in_group, &state.transactional_id, error)),
            }
        }
    }
}
