//! Before a pipeline streams, its source and its brokers have to be reached. One that is down is tried again, as a connection that
//! breaks later is; whatever else is wrong ends the start at once.

use std::{pin::pin, sync::Arc};

use futures_util::future::try_join_all;

use super::{any_source::AnySource, blocking::blocking, letters, sinks};
use sluicegate_config::{Pipeline, Sink, SinkKind, WhenSlow};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Frontier, Table},
    limits::{FORESEEN_TABLES, Limits},
};
use sluicegate_source::{Begin, Patience, Source as _};
use sluicegate_status::Status;

/// Waits until the source and all brokers can be reached, and answers where each sink begins. The first fault that waiting does
/// not mend is the error, also while others are still waited for.
///
/// # Errors
/// `Connection` when something stayed away for the whole of `limits.retry_window`; else what is not ready.
pub(super) async fn all(source: &mut AnySource, begins: &[Begin], pipeline: &Pipeline, status: &Arc<Status>) -> Result<Vec<Frontier>> {
    let limits = &pipeline.limits;
    // folders are tried when they are opened, and outputs that may go apart are no reason to wait
    let brokers = pipeline.sinks.iter().filter(|s| matches!(s.kind, SinkKind::Kafka(_)) && s.when_slow == WhenSlow::Hold);
    let sinks = brokers.map(|settings| async move {
        let mut wait = Wait::new(format!("the sink `{}`", settings.name), limits, status);
        while wait.again(sink(settings, limits).await).await?.is_none() {}
        Ok::<_, Error>(())
    });
    let source = async {
        let mut wait = Wait::new("the source".to_owned(), limits, status);
        loop {
            if let Some(starts) = wait.again(source.check(begins).await).await? {
                return Ok(starts);
            }
        }
    };
    let letters = letters::reach(pipeline, status);
    let (source, sinks, letters) = (pin!(source), pin!(try_join_all(sinks)), pin!(letters));
    let (starts, ..) = tokio::try_join!(source, sinks, letters)?;
    Ok(starts)
}

/// Checks, once, that a sink can be used.
pub(super) async fn sink(settings: &Sink, limits: &Limits) -> Result<()> {
    let checked = {
        let (settings, limits) = (settings.clone(), limits.clone());
        blocking("precheck", move || sinks::precheck(&settings, &limits))
    };
    checked.await.map_err(|e| e.context(format_args!("sink `{}`", settings.name)))
}

/// Where nothing is tried again, what cannot be reached is not ready.
pub(super) fn once<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|e| if e.kind() == ErrorKind::Connection { e.with_kind(ErrorKind::Precheck).that_may_pass(true) } else { e })
}

/// The captured tables as the source has them today, [`FORESEEN_TABLES`] at most.
pub(super) async fn tables(source: &AnySource, pipeline: &Pipeline, status: &Status) -> Result<Vec<Arc<Table>>> {
    let mut wait = Wait::new("the source".to_owned(), &pipeline.limits, status);
    loop {
        if let Some(inventory) = wait.again(source.inventory(FORESEEN_TABLES).await).await? {
            let inventory = inventory.unwrap_or_default();
            if inventory.more > 0 {
                tracing::warn!(
                    tables = inventory.more,
                    "there are more tables than a start looks at: what plugins do to the columns of these is known from their first rows on"
                );
            }
            return Ok(inventory.captured);
        }
    }
}

/// The attempts to reach one server.
pub(super) struct Wait<'a> {
    who: String,
    patience: Patience,
    status: &'a Status,
}

impl<'a> Wait<'a> {
    /// `who`: as logs and `/readyz` name it.
    pub(super) fn new(who: String, limits: &Limits, status: &'a Status) -> Self {
        Self { who, patience: Patience::new(limits.retry_window), status }
    }

    /// What an attempt gave; `None`, after a wait, when the next one is due.
    ///
    /// # Errors
    /// What waiting does not mend; `Connection` when the server stayed away for the whole of `limits.retry_window`.
    pub(super) async fn again<T>(&mut self, outcome: Result<T>) -> Result<Option<T>> {
        let who = &self.who;
        let error = match outcome {
            Err(error) if error.kind() == ErrorKind::Connection => error,
            done => {
                if self.status.waiting.end(who) && done.is_ok() {
                    tracing::info!("{who} has been reached");
                }
                return done.map(Some);
            }
        };
        let (delay, error) = self.patience.delay(error).inspect_err(|_| {
            self.status.waiting.end(who);
        })?;
        self.status.waiting.begin(who, error.message());
        tracing::warn!(
            error = error.chain(),
            remedy = error.remedy_text().unwrap_or_default(),
            retry_in_ms = delay.as_millis() as u64,
            "waiting for {who}, which cannot be reached"
        );
        tokio::time::sleep(delay).await;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn away() -> Result<u32> {
        Err(Error::new(ErrorKind::Connection, "cannot connect to db:3306"))
    }

    fn refused() -> Result<u32> {
        Err(Error::new(ErrorKind::Precheck, "access denied"))
    }

    /// The answer to these outcomes of attempts, and how many of them it took.
    async fn attempts(window: Duration, outcomes: [fn() -> Result<u32>; 3], status: &Status) -> (Result<u32>, usize) {
        let limits = Limits { retry_window: window, ..Limits::default() };
        let mut wait = Wait::new("the source".to_owned(), &limits, status);
        for (number, outcome) in (1..).zip(outcomes) {
            match wait.again(outcome()).await {
                Ok(Some(done)) => return (Ok(done), number),
                Err(error) => return (Err(error), number),
                Ok(None) => assert_eq!(status.waiting.all(), [("the source".to_owned(), "cannot connect to db:3306".to_owned())]),
            }
        }
        panic!("more attempts than outcomes");
    }

    #[tokio::test]
    async fn only_what_cannot_be_reached_is_tried_again() {
        let hour = Duration::from_secs(3600);
        let status = Status::default();
        let (reached, tries) = attempts(hour, [away, away, || Ok(7)], &status).await;
        assert_eq!((reached.unwrap(), tries), (7, 3));
        let (error, tries) = attempts(hour, [away, refused, || Ok(7)], &status).await;
        assert_eq!((error.unwrap_err().kind(), tries), (ErrorKind::Precheck, 2));
        let (error, tries) = attempts(Duration::ZERO, [away, refused, || Ok(7)], &status).await;
        assert_eq!((error.unwrap_err().kind(), tries), (ErrorKind::Connection, 1));
        assert!(status.waiting.all().is_empty());
    }

    #[test]
    fn what_is_tried_once_and_cannot_be_reached_is_not_ready() {
        let kind = |outcome: Result<u32>| once(outcome).unwrap_err().kind();
        assert_eq!((kind(away()), kind(refused())), (ErrorKind::Precheck, ErrorKind::Precheck));
        assert_eq!(kind(Err(Error::new(ErrorKind::State, "x"))), ErrorKind::State);
    }
}
