//! The tools of a plugin's author: a new plugin from a template, sources into a component, a plugin over rows from a file, its
//! cost. They run the same engine and chain as a pipeline.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod build;
mod component;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod install;
mod measure;
mod rebuild;
mod record;
mod rows;
mod template;
mod trial;

use std::{env, path::PathBuf, time::Duration};

use sluicegate_model::{Result, limits::Limits};
use sluicegate_plugin_host::Engine;

pub use build::build;
pub use component::encode;
pub use install::{Installed, install};
pub use measure::{Measurement, SIZES, Way, measure};
pub use rebuild::rebuild;
pub use rows::Rows;
pub use template::{LANGUAGES, Language, create};
pub use trial::{Fate, Outcome, Subject, Trial};

/// An engine for one of the commands. What it compiles is kept in the user's cache folder, for a component with a language's
/// whole runtime in it takes seconds; without such a folder it is compiled each time.
pub fn engine() -> Result<Engine> {
    let own = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cache")));
    let kept = own.map(|folder| folder.join("sluicegate/compiled")).filter(|folder| std::fs::create_dir_all(folder).is_ok());
    Engine::new(kept.as_deref())
}

/// The bounds of a pipeline that says nothing about them, but for the time of compiling: an author who waits can end the
/// command, and a language's whole runtime takes a busy machine a while.
pub fn limits() -> Limits {
    Limits { plugin_compile: Duration::from_secs(600), ..Limits::default() }
}
