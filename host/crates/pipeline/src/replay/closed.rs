//! Plugins that are `fail_closed`: what they hide passes no replay either, also when the pipeline file no longer has them.

use std::{collections::BTreeSet, path::Path};

use super::Replay;
use crate::treatments;
use sluicegate_config::Pipeline;
use sluicegate_dead_letter::{Kind, Letter, LetterFile};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_plugin_host::Treatments;
use sluicegate_state::{Checkpoint, StoredTreatment};

/// What the checkpoint of a pipeline and its file say of plugins that are `fail_closed`.
pub(super) struct Closed {
    stored: Vec<StoredTreatment>,
    /// Their names.
    pub plugins: BTreeSet<String>,
}

impl Closed {
    /// Those of a pipeline, which may be running.
    pub fn of(pipeline: &Pipeline) -> Result<Self> {
        let stored = if pipeline.state.exists() { treatments::stored_of_closed(&pipeline.state)? } else { Vec::new() };
        let mut plugins: BTreeSet<String> =
            pipeline.plugins.iter().filter(|plugin| plugin.fail_closed).map(|plugin| plugin.name.clone()).collect();
        plugins.extend(treatments::read(stored.clone())?.iter().filter_map(|known| known.closed_plugin().map(str::to_owned)));
        Ok(Self { stored, plugins })
    }

    /// Refuses a replay of source rows past one of them. Of a sink's letters, each is asked for itself: [`has_passed`].
    pub fn admit(&self, pipeline: &Pipeline, letters: &LetterFile, replay: &Replay) -> Result<()> {
        if letters.kind == Kind::Sink {
            return Ok(());
        }
        let known = Treatments::default();
        self.tell(&known)?;
        treatments::admit(&known, &pipeline.plugins)?;
        match self.plugins.first() {
            Some(plugin) if replay.as_is => {
                Err(Error::new(ErrorKind::Config, format!("the plugin `{plugin}` is `fail_closed`: no row passes without it"))
                    .remedy("leave --as-is out, so that the letters pass the plugins"))
            }
            _ => Ok(()),
        }
    }

    /// Tells a chain what is stored.
    pub fn tell(&self, known: &Treatments) -> Result<()> {
        known.remember(treatments::read(self.stored.clone())?);
        Ok(())
    }

    /// Has the checkpoint of a replay know the same: what was released since the last replay is released there, too.
    pub fn store(&self, checkpoint: &Path, pipeline: &str) -> Result<()> {
        if self.stored.is_empty() && !checkpoint.exists() {
            return Ok(());
        }
        treatments::replace_closed(&Checkpoint::open(checkpoint, pipeline)?, &self.stored)
    }
}

/// Refuses a letter whose row did not pass all of these plugins before it was set aside.
pub(super) fn has_passed(letter: &Letter, plugins: &[String]) -> Result<()> {
    // `name@version+hash, …`
    let known = letter.plugins.as_deref().unwrap_or_default();
    let passed: BTreeSet<&str> = known.split(", ").filter_map(|plugin| Some(plugin.split_once('@')?.0)).collect();
    match plugins.iter().find(|plugin| !passed.contains(plugin.as_str())) {
        None => Ok(()),
        Some(plugin) => {
            let what = format!("the row was set aside before the plugin `{plugin}` was there, which is `fail_closed`");
            Err(Error::new(ErrorKind::Plugin, what).remedy(format!(
                "move the file of letters away, and have the rows delivered anew with `sluicegate checkpoint copy` (MySQL, MariaDB); to deliver them as they \
                 are, stop the pipeline, take the plugin out of the pipeline file, run `sluicegate checkpoint release PIPELINE.yaml --plugin \
                 {plugin}` if the pipeline has run with it, replay, and write its entry again"
            )))
        }
    }
}
