//! What it means when the brokers do not let a transaction go on.

use rdkafka::{
    error::{KafkaError, RDKafkaError},
    producer::Producer as _,
    types::RDKafkaErrorCode as Code,
};

use super::client::Client;
use sluicegate_model::{Error, ErrorKind};

/// The error of a transaction that nothing mends.
pub(super) fn transaction_fault(client: &Client, in_group: bool, id: &str, error: KafkaError) -> Error {
    let fatal = client.client().fatal_error();
    let code = fatal.as_ref().map(|(code, _)| *code).or(error.rdkafka_error_code());
    let is_fatal = |error: &RDKafkaError| error.is_fatal();
    let shut_out = matches!(code, Some(Code::Fenced | Code::InvalidProducerEpoch | Code::ProducerFenced));
    let (what, remedy) = match code {
        // no other process has this id
        _ if shut_out && in_group => (
            format!("the brokers ended a transaction of `{id}` that had stayed open for too long"),
            "nothing is lost or repeated: what was in it is read again, here or by another member of the group",
        ),
        _ if shut_out => (
            format!("another producer with the transactional id `{id}` has taken over"),
            "let one pipeline at a time run with this `transactional_id`: give the other one a name, a sink name or an id of its own",
        ),
        Some(Code::TransactionalIdAuthorizationFailed) => (
            format!("the account may not use the transactional id `{id}`"),
            "grant it WRITE and DESCRIBE on the id, or set another `transactional_id`",
        ),
        Some(Code::TopicAuthorizationFailed) => (
            format!("the account may not write to a topic in a transaction of `{id}`"),
            "grant it WRITE and DESCRIBE on the positions topic and on the sink's topics (the log names the one that was refused), then start again: nothing is lost or repeated",
        ),
        _ if matches!(&error, KafkaError::Transaction(error) if is_fatal(error)) || fatal.is_some() => (
            format!("the transactions of `{id}` cannot go on"),
            "start again: what was committed stays, and the rest is written again, so nothing is lost or repeated",
        ),
        _ => (
            format!("the brokers did not end a transaction of `{id}`"),
            "see that the brokers run and that `__transaction_state` has its in-sync replicas; then start again: nothing is lost or repeated",
        ),
    };
    // a new producer ends what this one left open, and finds out what was committed
    let refused = matches!(code, Some(Code::TransactionalIdAuthorizationFailed | Code::TopicAuthorizationFailed));
    let may_pass = !refused && (!shut_out || in_group);
    Error::new(ErrorKind::Sink, what).remedy(remedy).caused_by(error).that_may_pass(may_pass)
}
