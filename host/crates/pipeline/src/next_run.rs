//! What ends a run in order so that another one begins: outputs that were edited, and one that is to begin at another place.
//!
//! Outputs are begun together, from places that the source has to be able to give. So they are not exchanged inside a run: it drains and
//! commits, and the next one begins where each output is.

use std::sync::{Mutex, PoisonError};

use sluicegate_config::{Pipeline, StartAt};
use sluicegate_model::{Result, limits::LOCK_PATIENCE};
use sluicegate_state::{Checkpoint, Progress};
use tokio_util::sync::CancellationToken;

use super::{request::Requests, sinks};

/// What a program does with a run, beside stopping it.
#[derive(Debug, Default)]
pub struct Commands {
    /// Requests from outside.
    pub requests: Option<Requests>,
    /// Takes what the next run has otherwise; without it, an edit of the outputs takes effect at the next start.
    pub next: Option<std::sync::Arc<NextRun>>,
    /// An output that begins elsewhere than where its progress ends.
    pub reset: Option<Reset>,
    /// What the run before has left, and this one leaves.
    pub kept: std::sync::Arc<super::Kept>,
}

/// An output that is to begin at another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// Its name.
    pub output: String,
    /// Where it begins.
    pub start: StartAt,
}

/// The settings of the next run.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// An output that begins elsewhere.
    pub reset: Option<Reset>,
    /// Hash of the pipeline file that asks for it.
    pub content: String,
}

/// What the checkpoint has of each output before a run begins with other ones.
#[derive(Debug)]
pub struct SavedProgress(Vec<(String, Progress)>);

impl SavedProgress {
    /// Looks, while no run has the checkpoint. Not to be called in a runtime.
    ///
    /// # Errors
    /// `State`: it cannot be read.
    pub fn of(pipeline: &Pipeline) -> Result<Self> {
        Ok(Self(Checkpoint::look(&pipeline.state, &pipeline.name)?))
    }

    /// Takes back what a run that did not begin has stored of outputs. Not to be called in a runtime.
    ///
    /// # Errors
    /// `State`: the checkpoint cannot be read or written.
    pub fn restore(&self, pipeline: &Pipeline, reset: Option<&Reset>) -> Result<()> {
        let checkpoint = Checkpoint::open_within(&pipeline.state, &pipeline.name, LOCK_PATIENCE)?;
        let known = |name: &str| self.0.iter().find(|(known, _)| known == name);
        for (name, _) in checkpoint.all()? {
            match known(&name) {
                None => drop(checkpoint.drop_sink(&name)?),
                Some((_, progress)) if reset.is_some_and(|reset| reset.output == name) => {
                    // where Kafka holds the progress, what it held has been removed with the attempt
                    let sink = pipeline.sinks.iter().find(|sink| sink.name == name);
                    let state = sink.map_or_else(String::new, |sink| sinks::state_elsewhere(sink, &progress.state));
                    checkpoint.set(&name, &Progress { frontier: progress.frontier.clone(), state })?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Ends a run in order when there is to be another one.
#[derive(Debug)]
pub struct NextRun {
    end: CancellationToken,
    refused: Mutex<Option<String>>,
    wanted: Mutex<Option<Wanted>>,
    running: Mutex<Option<Pipeline>>,
}

impl NextRun {
    /// `end` stops the run. `refused`: hash of a pipeline file whose outputs a run did not start with.
    pub fn new(end: CancellationToken, refused: Option<String>) -> Self {
        Self { end, refused: Mutex::new(refused), wanted: Mutex::default(), running: Mutex::default() }
    }

    /// What the next run has; `None`: this one was not ended for another one.
    pub fn take(&self) -> Option<Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The pipeline as it ran last, with the plugins and tables of edits that took effect; `None`: as it was started.
    pub fn running(&self) -> Option<Pipeline> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// An edit took effect.
    pub(crate) fn runs(&self, pipeline: Pipeline) {
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(pipeline);
    }

    /// Ends the run, and lets another one begin with these settings. `false`: it ends already.
    pub(crate) fn ask(&self, wanted: Wanted) -> bool {
        let mut next = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if self.end.is_cancelled() {
            return false;
        }
        *next = Some(wanted);
        self.end.cancel();
        true
    }

    /// Whether a run was tried with this pipeline file, and did not start. Answered once: when the file is saved again, it is tried again.
    pub(crate) fn has_refused(&self, content: &str) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take().is_some_and(|refused| refused == content)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use sluicegate_model::change::{Frontier, Lane, Offset};

    fn wanted(output: &str) -> Wanted {
        let text = format!("name: p\nsource: {{ type: generator }}\nsinks: [{{ type: stdout, name: {output} }}]\n");
        Wanted { pipeline: sluicegate_config::load_str(&text, Path::new("/p"), |_| None).unwrap(), reset: None, content: output.to_owned() }
    }

    #[test]
    fn what_a_run_that_did_not_begin_stored_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = Pipeline { state: folder.path().join("state.db"), ..wanted("a").pipeline };
        let at = |offset: &str| Frontier::of(Lane::new("l"), Offset::from_json(offset));
        let open = || Checkpoint::open(&pipeline.state, &pipeline.name).unwrap();
        open().begin([("a", &at("1")), ("b", &at("1"))]).unwrap();
        open().commit("a", &at("2"), "length").unwrap();
        let (before, expected) = (SavedProgress::of(&pipeline).unwrap(), open().all().unwrap());
        open().begin([("c", &at("9"))]).unwrap();
        open().set("a", &Progress { frontier: at("0"), state: String::new() }).unwrap();
        let reset = Reset { output: "a".to_owned(), start: StartAt::Earliest };
        before.restore(&pipeline, Some(&reset)).unwrap();
        assert_eq!(open().all().unwrap(), expected);
    }

    #[test]
    fn the_first_request_ends_the_run_and_a_run_that_ends_takes_none() {
        let end = CancellationToken::new();
        let next = NextRun::new(end.clone(), Some("c".to_owned()));
        assert!(next.has_refused("c") && !next.has_refused("c"));
        assert!(next.take().is_none() && !end.is_cancelled());
        assert!(next.ask(wanted("a")) && end.is_cancelled() && !next.ask(wanted("b")));
        assert_eq!(next.take().unwrap().pipeline.sinks[0].name, "a");
        assert!(next.take().is_none());
    }
}
