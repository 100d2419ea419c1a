//! What a run leaves to the next one of the same process: the plugins that were in force, and which edits it refused.
//!
//! A failure that passes, or outputs that were edited, make a pipeline start over. Its files may hold versions and configurations by then
//! that were refused beside the stream, and a start has no recent batch to try them on. So it starts with what ran, and tries what is new
//! beside the stream, as before.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sluicegate_config::{Pipeline, PluginOrigin};
use sluicegate_plugin_host::{Engine, sha256};

use super::{in_force::InForce, prepare::Compiled, reload, versions::Versions};

/// What runs of one program hand on.
#[derive(Default)]
pub struct Kept {
    running: Mutex<Option<(Engine, Arc<InForce>)>>,
    /// By file: hash of the content that was refused last.
    refused: Mutex<HashMap<PathBuf, String>>,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("refused", &self.refused).finish_non_exhaustive()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// The settings that a pipeline starts over with: those of the file as it is now, with the plugins and the tables that ran.
    pub fn start_over(file: Pipeline, running: &Pipeline) -> Pipeline {
        let source = reload::live_source(&file.source, &running.source);
        Pipeline { source, plugins: running.plugins.clone(), ..file }
    }

    /// A run has begun.
    pub(crate) fn runs(&self, engine: Engine, in_force: Arc<InForce>) {
        *locked(&self.running) = Some((engine, in_force));
    }

    /// The plugins that ran last, if the pipeline has these, with the bytes of their files. Not to be called in a runtime.
    pub(crate) fn plugins(&self, pipeline: &Pipeline) -> Option<Compiled> {
        let (engine, in_force) = locked(&self.running).clone()?;
        let members = in_force.members();
        if !members.iter().map(|member| &*member.settings).eq(&pipeline.plugins) {
            return None;
        }
        let versions = Versions::beside(&pipeline.state);
        let bytes = |member: &sluicegate_plugin_host::Member| match &member.settings.origin {
            PluginOrigin::Embedded(_) => Some(None),
            // what is not there, or not what ran, is read from its own file
            PluginOrigin::File(_) => {
                let bytes = versions.running(&member.settings.name, &pipeline.limits).ok().flatten()?;
                (sha256(&bytes) == *member.compiled.hash).then_some(Some(bytes))
            }
        };
        let contents: Vec<_> = members.iter().map(bytes).collect::<Option<_>>()?;
        Some(Compiled { engine, members, contents })
    }

    /// The content of each file that was refused.
    pub(crate) fn refused(&self) -> HashMap<PathBuf, String> {
        locked(&self.refused).clone()
    }

    /// A file was refused with this content.
    pub(crate) fn refuse(&self, file: &Path, content: &str) {
        locked(&self.refused).insert(file.to_owned(), content.to_owned());
    }

    /// Another content of the file took effect.
    pub(crate) fn accept(&self, file: &Path) {
        locked(&self.refused).remove(file);
    }
}
