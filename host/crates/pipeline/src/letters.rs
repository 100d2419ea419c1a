//! Where a pipeline sets changes aside: in files, or in a topic.

use std::sync::Arc;

use super::{
    blocking::blocking,
    reach::{Wait, once},
};
use sluicegate_config::Pipeline;
use sluicegate_dead_letter::{DeadLetters, LetterCopy};
use sluicegate_kafka_sink::LetterQueue;
use sluicegate_model::{Error, ErrorKind, Result, finding::Finding};
use sluicegate_status::Status;

/// The topic of letters, if the pipeline has one.
fn queue(pipeline: &Pipeline) -> Option<LetterQueue> {
    pipeline.letter_topic.as_ref().map(|letters| LetterQueue::new(letters, &pipeline.limits))
}

/// The pipeline's dead letters.
pub(super) fn of(pipeline: &Pipeline) -> Arc<DeadLetters> {
    Arc::new(match queue(pipeline) {
        Some(queue) => DeadLetters::in_queue(Arc::new(queue)),
        None => DeadLetters::new(&pipeline.dead_letter, pipeline.limits.dead_letter_bytes),
    })
}

/// Waits until the brokers of the topic of letters can be reached.
///
/// # Errors
/// `Precheck`: the topic is not there.
pub(super) async fn reach(pipeline: &Pipeline, status: &Status) -> Result<()> {
    if pipeline.letter_topic.is_none() {
        return Ok(());
    }
    let mut wait = Wait::new("the topic of dead letters".to_owned(), &pipeline.limits, status);
    while wait.again(check(pipeline).await).await?.is_none() {}
    Ok(())
}

async fn check(pipeline: &Pipeline) -> Result<()> {
    let Some(queue) = queue(pipeline) else { return Ok(()) };
    blocking("letters", move || queue.precheck()).await
}

/// Whether the topic of letters is there.
pub(super) async fn look(pipeline: &Pipeline) -> Option<Finding> {
    const ITEM: &str = "dead letters";
    let topic = &pipeline.letter_topic.as_ref()?.topic;
    Some(match once(check(pipeline).await) {
        Ok(()) => Finding::pass(ITEM, format!("the topic `{topic}` is there")),
        Err(error) => Finding::of(ITEM, &error),
    })
}

/// Brings the copy of the topic of letters up to date, which is read in place of the topic.
///
/// # Errors
/// `Sink`: the topic or the copy cannot be used, or the brokers do not answer.
pub fn fetch(pipeline: &Pipeline) -> Result<()> {
    let (Some(letters), Some(queue)) = (&pipeline.letter_topic, queue(pipeline)) else { return Ok(()) };
    let mut copy = LetterCopy::open(&pipeline.dead_letter, &letters.topic, pipeline.limits.dead_letter_bytes)?;
    let strangers = queue.copy_to(&mut copy).map_err(|error: Error| match error.kind() {
        ErrorKind::Connection => error.with_kind(ErrorKind::Sink),
        _ => error,
    })?;
    if strangers > 0 {
        tracing::warn!(topic = letters.topic, records = strangers, "records of the topic are no dead letters: they are passed over");
    }
    Ok(())
}
