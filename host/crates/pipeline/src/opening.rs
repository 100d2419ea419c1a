//! The start of the sinks, in two steps: what they know is asked first, and they begin once the source has said that it can give the rest.
//! One that may go apart and fails is no reason not to start, if the checkpoint knows it: it begins apart, and is tried again. A new one
//! has to work once, since its settings may be wrong.

use std::sync::Arc;

use super::{
    blocking::blocking,
    folders,
    output::Made,
    reach::{self, Wait},
    sinks,
};
use sluicegate_config::{Pipeline, Sink, WhenSlow};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_format::Encoder;
use sluicegate_kafka::Membership;
use sluicegate_model::{Error, ErrorKind, Result, change::Frontier};
use sluicegate_sink::{Resume, Sink as Begun};
use sluicegate_state::Progress;
use sluicegate_status::Status;

/// A sink before it begins.
pub(super) struct Resumed {
    sink: Result<Box<dyn Resume>>,
    /// The progress that it stores itself.
    pub stored: Option<Frontier>,
    /// Whether it may fail.
    may_fail: bool,
}

/// How a sink is when the stream begins.
pub(super) enum Opened {
    Begun(Box<dyn Begun>),
    /// It begins apart: how far it is made, and why.
    Apart(Made, String),
}

/// What each sink of the pipeline knows. The brokers of those that keep their progress there are waited for, unless the sink may begin
/// apart. One that the checkpoint does not know may not: its progress may stand there, and where it begins would be a guess.
pub(super) async fn resume(
    pipeline: &Pipeline,
    progress: &[(String, Progress)],
    dead_letters: &Arc<DeadLetters>,
    status: &Arc<Status>,
    membership: Option<&Arc<Membership>>,
) -> Result<Vec<Resumed>> {
    let sinks = pipeline.sinks.clone();
    blocking("folders", move || folders::differ(&sinks)).await?;
    let mut all = Vec::new();
    for (index, settings) in pipeline.sinks.iter().enumerate() {
        let known = progress.iter().find(|(name, _)| *name == settings.name);
        let state = known.map(|(_, progress)| progress.state.clone());
        let may_fail = settings.when_slow == WhenSlow::Apart && known.is_some();
        let mut wait = Wait::new(format!("the sink `{}`", settings.name), &pipeline.limits, status);
        all.push(loop {
            let resuming = {
                let (settings, limits, state) = (settings.clone(), pipeline.limits.clone(), state.clone());
                let (letters, status, membership) = (dead_letters.clone(), status.clone(), membership.cloned());
                move || {
                    let mut sink = sinks::resume_in_group(&settings, state.as_deref(), &limits, letters, status, index, membership)?;
                    let stored = sink.resume()?;
                    Ok((sink, stored))
                }
            };
            match blocking("resume", resuming).await.map_err(|e| named(settings, e)) {
                Err(error) if passes(may_fail, &error) => break Resumed { sink: Err(error), stored: None, may_fail },
                outcome => {
                    if let Some((sink, stored)) = wait.again(outcome).await? {
                        break Resumed { sink: Ok(sink), stored, may_fail };
                    }
                }
            }
        });
    }
    Ok(all)
}

/// Begins a sink at `start`, unless it is to begin apart.
pub(super) async fn begin(
    pipeline: &Pipeline,
    settings: &Sink,
    resumed: Resumed,
    start: &Frontier,
    encoder: Encoder,
    together: bool,
) -> Result<Opened> {
    let may_fail = resumed.may_fail;
    let failed = |error: Error| if passes(may_fail, &error) { Ok(Opened::Apart(Made::Nothing, error.chain())) } else { Err(error) };
    let sink = match resumed.sink {
        Ok(sink) => sink,
        Err(error) => return failed(error),
    };
    // the others wait for their brokers, but not for this one
    if settings.when_slow == WhenSlow::Apart
        && let Err(error) = reach::sink(settings, &pipeline.limits).await
    {
        return if error.kind() == ErrorKind::Connection { Ok(Opened::Apart(Made::Resumed(sink), error.chain())) } else { failed(error) };
    }
    if !together {
        return Ok(Opened::Apart(Made::Resumed(sink), "it begins behind the others".to_owned()));
    }
    let start = start.clone();
    match blocking("begin", move || sink.begin(&start, encoder)).await {
        Ok(sink) => Ok(Opened::Begun(sink)),
        // brokers that answered a moment before
        Err(error) if error.kind() == ErrorKind::Connection => failed(named(settings, error).that_may_pass(true)),
        Err(error) => failed(named(settings, error)),
    }
}

fn passes(may_fail: bool, error: &Error) -> bool {
    may_fail && error.kind() != ErrorKind::Config
}

fn named(settings: &Sink, error: Error) -> Error {
    error.context(format_args!("sink `{}`", settings.name))
}
