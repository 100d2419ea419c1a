//! Outputs that change while the pipeline runs: by an edit of the pipeline file, or by a request to begin one at another place. What is
//! asked for is tried as a start would, and leaves everything as it was when it is refused. Else the run ends in order, and the next one
//! begins with it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Part, Reload, plugin_file,
    tables::{ECHOED, ending},
};
use crate::{
    any_source::AnySource,
    beginning,
    check::check,
    next_run::{NextRun, Reset, Wanted},
    request::{OutputReset, Reason, Refusal, ResetRequest},
    schema_store,
};
use sluicegate_config::{self as config, Pipeline, Sink};
use sluicegate_model::{
    Error, ErrorKind, Result,
    finding::listed,
    limits::{CHECK_NAMES, OUTPUTS_AGAIN},
};
use sluicegate_plugin_host::{self as plugin, sha256};
use sluicegate_source::Source as _;
use sluicegate_state::Checkpoint;

/// The keys of a pipeline file that an edit of the outputs may change with them. Another checkpoint, say, is a matter for an operator.
const WITH_OUTPUTS: [&str; 4] = ["labels", "sinks", "workers", "limits"];

/// Other outputs, as the pipeline file wants them.
#[derive(Clone)]
pub(super) struct Outputs {
    /// The edited pipeline.
    pub pipeline: Pipeline,
    /// Hash of the pipeline file.
    pub content: String,
    /// When it is tried again, and how long after that: what it needs was not reached.
    pub again: Option<(Instant, Duration)>,
}

impl Outputs {
    /// Whether it is due to be tried, once more if need be.
    pub fn is_due(&self) -> bool {
        self.again.is_none_or(|(at, _)| at <= Instant::now())
    }
}

/// Whether an edit of these keys, which only a start takes up, is one of the outputs that the pipeline starts over with by itself.
pub(super) fn starts_over(keys: &[&str]) -> bool {
    keys.contains(&"sinks") && keys.iter().all(|key| WITH_OUTPUTS.contains(key))
}

/// Names of outputs: added, removed, changed.
fn difference(before: &[Sink], after: &[Sink]) -> [String; 3] {
    let by_name = |sinks: &[Sink]| sinks.iter().map(|sink| (sink.name.clone(), sink.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_name(before), by_name(after));
    let named = |names: Vec<&String>| listed(names.into_iter().map(String::as_str), CHECK_NAMES);
    [
        named(after.keys().filter(|name| !before.contains_key(*name)).collect()),
        named(before.keys().filter(|name| !after.contains_key(*name)).collect()),
        named(after.iter().filter(|(name, sink)| before.get(*name).is_some_and(|known| known != *sink)).map(|(name, _)| name).collect()),
    ]
}

impl Reload {
    /// The way to the next run, if the program takes one.
    pub(super) fn next_run(&self) -> Option<Arc<NextRun>> {
        self.setup.next.clone()
    }

    /// The pipeline as it runs now.
    pub(super) fn as_it_runs(&self) -> Pipeline {
        let plugins = self.setup.members.iter().map(|member| config::Plugin::clone(&member.settings)).collect();
        Pipeline { plugins, ..self.setup.started.clone() }
    }

    /// An edit took effect: what the pipeline goes on with, should another edit not do.
    pub(super) fn note_running(&self) {
        if let Some(next) = self.next_run() {
            next.runs(self.as_it_runs());
        }
    }

    /// Lets the pipeline start over with other outputs, which are tried first.
    pub(super) fn take_outputs(&mut self, Outputs { pipeline, content, again }: Outputs) {
        let Some(next) = self.next_run() else { return };
        let checked = self.plugins_are_as_they_run(&pipeline.plugins).map(|()| self.setup.capture.wait(check(pipeline.clone())));
        let refused = match checked {
            Ok(Ok(Ok(report))) => report.into_error(),
            Ok(Ok(Err(error))) | Err(error) => Some(error),
            // the run ends
            Ok(Err(_)) => return,
        };
        if let Some(error) = refused {
            // a broker may be there later, say
            self.outputs = error.may_pass().then(|| {
                let wait = again.map_or(OUTPUTS_AGAIN.0, |(_, before)| (before * 2).min(OUTPUTS_AGAIN.1));
                Outputs { pipeline, content: content.clone(), again: Some((Instant::now() + wait, wait)) }
            });
            return self.report(&Part::Edit, content, &error);
        }
        let [added, removed, changed] = difference(&self.setup.started.sinks, &pipeline.sinks);
        self.outputs = None;
        if next.ask(Wanted { pipeline, reset: None, content }) {
            self.over = true;
            tracing::info!(added, removed, changed, "outputs edited: the pipeline drains, and starts over with them");
        }
    }

    /// Refuses to start over while the file of a plugin has another content than what runs, which was refused or is not looked at yet: the
    /// next run would take it as it is.
    fn plugins_are_as_they_run(&self, wanted: &[config::Plugin]) -> Result<()> {
        for member in &self.setup.members {
            let Some(file) = plugin_file(&member.settings.origin) else { continue };
            if !wanted.iter().any(|plugin| *plugin == *member.settings) {
                continue;
            }
            let name = &member.settings.name;
            let differs = || {
                let what = format!("the file of plugin `{name}` does not hold the version that runs: {}", file.display());
                Error::new(ErrorKind::Precheck, what).remedy("let the new version be taken up, or put the old file back; then try again")
            };
            let bytes = plugin::read(&file, &self.setup.around.limits).map_err(|error| differs().caused_by(error))?;
            if sha256(&bytes) != *member.compiled.hash {
                return Err(differs());
            }
        }
        Ok(())
    }

    /// Lets an output begin at another place, or says why not.
    pub(super) fn grant_reset(&mut self, request: ResetRequest) {
        let ResetRequest { output, start, answer } = request;
        let granted = self.reset(Reset { output, start });
        if let Err(refusal) = &granted {
            tracing::warn!(error = %refusal.error.chain(), "a request to begin an output at another place is refused");
        }
        // who asked may have gone
        let _ = answer.send(granted);
    }

    fn reset(&mut self, reset: Reset) -> Result<OutputReset, Refusal> {
        let refusal = |reason| move |error| Refusal { reason, error };
        let started = &self.setup.started;
        let Some(index) = started.sinks.iter().position(|sink| sink.name == reset.output) else {
            let name: String = reset.output.chars().take(ECHOED).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            let error = Error::new(ErrorKind::Config, format!("there is no output `{name}`")).remedy("GET /outputs lists the names");
            return Err(Refusal { reason: Reason::Unknown, error });
        };
        let Some(next) = self.next_run() else { return Err(refusal(Reason::Away)(ending())) };
        let pipeline = self.as_it_runs();
        self.plugins_are_as_they_run(&pipeline.plugins).map_err(refusal(Reason::Conflict))?;
        let checkpoint = self.setup.capture.checkpoint.upgrade().ok_or_else(ending).map_err(refusal(Reason::Away))?;
        let trying = tried(pipeline.clone(), checkpoint, index, reset.clone());
        let tried = self.setup.capture.wait(trying).map_err(refusal(Reason::Away))?;
        tried.map_err(|error| {
            let reason = if error.kind() == ErrorKind::Connection { Reason::Away } else { Reason::Unusable };
            Refusal { reason, error }
        })?;
        let output = reset.output.clone();
        if !next.ask(Wanted { pipeline, reset: Some(reset), content: String::new() }) {
            return Err(refusal(Reason::Away)(ending()));
        }
        self.over = true;
        tracing::info!(sink = output, "the output is to begin at another place: the pipeline drains, and starts over");
        Ok(OutputReset { output })
    }
}

/// Whether the source can give everything from there on, and what the other outputs lack.
async fn tried(pipeline: Pipeline, checkpoint: Arc<Checkpoint>, index: usize, reset: Reset) -> Result<()> {
    let mut begins = beginning::begins(&checkpoint.all()?, &[], &pipeline)?;
    beginning::reset(&mut begins, index, &reset);
    let status = crate::status(&pipeline);
    let mut source = AnySource::new(&pipeline, &status);
    source.keep_schemas(Arc::new(schema_store::InCheckpoint(checkpoint)));
    source.check(&begins).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sinks(text: &str) -> Vec<Sink> {
        let text = format!("name: p\nsource: {{ type: generator }}\nsinks: [{text}]\n");
        config::load_str(&text, Path::new("/p"), |_| None).unwrap().sinks
    }

    #[test]
    fn what_became_of_outputs_is_told() {
        let before = sinks("{ type: stdout, name: a }, { type: file, name: b, folder: b }");
        let after = sinks("{ type: file, name: b, folder: c }, { type: file, name: d, folder: d }");
        assert_eq!(difference(&before, &after), ["`d`", "`a`", "`b`"].map(|name| name.replace('`', "")));
        assert_eq!(difference(&before, &before), ["", "", ""]);
    }

    #[test]
    fn outputs_are_not_taken_together_with_what_is_for_an_operator() {
        assert!(starts_over(&["sinks"]) && starts_over(&["sinks", "limits"]));
        assert!(!starts_over(&["limits"]) && !starts_over(&["sinks", "state"]) && !starts_over(&["source", "sinks"]));
    }
}
