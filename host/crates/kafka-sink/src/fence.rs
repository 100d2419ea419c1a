//! The start of transactions: an earlier producer of the same name is shut out.

use std::time::{Duration, Instant};

use rdkafka::{error::KafkaError, producer::Producer as _, types::RDKafkaErrorCode as Code};

use super::{
    POLL,
    client::{Client, Reports},
};
use sluicegate_config::{KafkaSink as Settings, Transactions};
use sluicegate_kafka::explain;
use sluicegate_model::{Error, ErrorKind, Result, limits::KAFKA_FIRST_ANSWER};

/// Shuts out an earlier producer of this name, and ends what it left open.
///
/// # Errors
/// `Connection`: the brokers do not answer. `Sink`: they refuse.
pub(super) fn fence(client: &Client, settings: &Settings, transactions: &Transactions, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    // librdkafka asks for the coordinator once a broker is connected: at once, or half a second after it was not
    if client.client().fetch_cluster_id(timeout.min(KAFKA_FIRST_ANSWER)).is_none() {
        tracing::debug!(brokers = settings.brokers, "no broker has answered yet");
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(POLL);
        match client.init_transactions(left) {
            Ok(()) => return Ok(()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() && Instant::now() < deadline => {
                client.poll(POLL);
            }
            Err(error) => {
                let reports: &Reports = client.context();
                let trouble = reports.last_trouble();
                if let Some(error) = trouble.and_then(|trouble| explain(settings.connection(), &trouble, timeout)) {
                    return Err(error.that_may_pass(true));
                }
                let code = error.rdkafka_error_code();
                let retriable = matches!(&error, KafkaError::Transaction(error) if error.is_retriable())
                    || matches!(code, Some(Code::OperationTimedOut | Code::AllBrokersDown | Code::BrokerTransportFailure));
                let what = format!("the brokers did not begin the transactions of `{}`", transactions.transactional_id);
                let remedy = match code {
                    Some(Code::TransactionalIdAuthorizationFailed) => {
                        "grant the account WRITE and DESCRIBE on this transactional id, or set another `transactional_id`"
                    }
                    Some(Code::InvalidTransactionTimeout) => {
                        "lower the sink's `delivery_timeout`, or raise the brokers' `transaction.max.timeout.ms`"
                    }
                    _ if settings.brokers.contains(',') => {
                        "see that the brokers run and that `__transaction_state` has its in-sync replicas"
                    }
                    _ => {
                        "see that the broker runs; a cluster of one needs `transaction.state.log.replication.factor=1` and `transaction.state.log.min.isr=1`"
                    }
                };
                let kind = if retriable { ErrorKind::Connection } else { ErrorKind::Sink };
                return Err(Error::new(kind, what).caused_by(error).remedy(remedy));
            }
        }
    }
}
