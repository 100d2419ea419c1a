//! Builds the plugins of this repository into components: the three standard ones that the program embeds, and the guests
//! of the tests.
//!
//! What was built is cached under the target folder by a hash of all that went into it, and several test processes may ask
//! at once: one builds, the others wait.

mod adapter;
mod build;
mod guest;
pub mod handmade;
mod language;
mod prebuilt;
mod source;

pub use adapter::{go_adapter, write_go_adapter};
pub use build::{build, target_folder, toolchain};
pub use guest::{
    absent, assemblyscript_host, build_guests, context, core_module, evil, granted, route, stamp, standard, tracked, truncated, wasi,
    wasi_c, wasi_go, without_export,
};
pub use language::{Language, build_languages, tool};
pub use prebuilt::{Component, Manifest, STANDARD, embed, verify};
pub use source::source_hash;

use std::path::PathBuf;

/// What went wrong, in words, with what was being done.
pub type Result<T> = std::result::Result<T, String>;

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).map(PathBuf::from).unwrap_or(here)
}

/// Adds what was being done to an error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl std::fmt::Display) -> Result<T>;
}

impl<T, E: std::fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl std::fmt::Display) -> Result<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}
