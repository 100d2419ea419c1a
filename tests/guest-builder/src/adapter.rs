//! The adapter that components of Go modules get for WASI: why, is said in `plugins/sdk-go/adapter/wasi.wat`.

use std::{fs, path::PathBuf};

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::{Doing, Result, repository};

/// Where the adapter stands that components get.
pub(crate) fn place() -> PathBuf {
    repository().join("plugins/sdk-go/adapter/wasi.wasm")
}

/// The adapter, made of its text and of what it imports.
///
/// # Errors
/// When either is not valid.
pub fn go_adapter() -> Result<Vec<u8>> {
    let [text, interfaces] = ["wat", "wit"].map(|extension| place().with_extension(extension));
    let mut module = wat::parse_file(&text).doing(format_args!("reading {}", text.display()))?;
    let mut resolve = Resolve::default();
    let content = fs::read_to_string(&interfaces).doing(format_args!("reading {}", interfaces.display()))?;
    resolve
        .push_str(&interfaces, &content)
        .and_then(|package| resolve.select_world(&[package], Some("adapter")))
        .and_then(|world| embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8))
        .map_err(|error| format!("{}: {error:#}", interfaces.display()))?;
    Ok(module)
}

/// Makes it anew.
///
/// # Errors
/// As [`go_adapter`].
pub fn write_go_adapter() -> Result<()> {
    fs::write(place(), go_adapter()?).doing(format_args!("writing {}", place().display()))
}
