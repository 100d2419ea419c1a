//! A core module made into a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use sluicegate_model::{Error, ErrorKind, Result};

/// The plugin interface, as every template and toolchain gets it.
pub(super) const INTERFACE: &str = include_str!("../../../../wit/plugin.wit");

/// The world that has all that may be granted; a component imports only what its module calls.
const WORLD: &str = "granted-plugin";

/// What compilers for WASI import.
const PREVIEW1: &str = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;

/// In place of the usual adapter for modules that Go made; why, is said beside it.
const GO_ADAPTER: &[u8] = include_bytes!("../../../../plugins/sdk-go/adapter/wasi.wasm");

/// What of a core module matters here.
#[derive(Debug, Default, PartialEq)]
struct Traits {
    /// It says itself which interface it was built for (wit-bindgen's custom section).
    described: bool,
    /// It was built for WASI.
    wasi: bool,
    /// Go's own compiler made it.
    go: bool,
}

/// Makes a component of a core module for the plugin interface. A module that does not say which interface it was built for
/// gets it from the names of its imports and exports; one that was built for WASI gets the adapter, whose imports the host
/// answers without giving it anything.
pub fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let fault = |what: &str| Error::new(ErrorKind::Precheck, what.to_owned());
    match module.get(..8) {
        Some(b"\0asm\x01\0\0\0") => {}
        Some([0, b'a', b's', b'm', ..]) => return Ok(module.to_vec()),
        _ => return Err(fault("this is not WebAssembly").remedy("give a core module (.wasm), or a folder with a plugin's sources")),
    }
    let traits = traits_of(module).map_err(|e| fault("the core module is damaged").caused_by(e).remedy("build it again"))?;
    let mut module = module.to_vec();
    if !traits.described {
        describe(&mut module).map_err(|e| fault("the plugin interface cannot be written into the module").caused_by(e))?;
    }
    let made = || -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let mut encoder = ComponentEncoder::default().validate(true).module(&module)?;
        if traits.wasi {
            let usual = wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
            encoder = encoder.adapter(PREVIEW1, if traits.go { GO_ADAPTER } else { usual })?;
        }
        Ok(encoder.encode()?)
    };
    made().map_err(|e| {
        fault("the module does not fit the plugin interface")
            .caused_by(e)
            .remedy("build it for the world `plugin` of wit/plugin.wit, with all four functions of `transform` exported")
    })
}

fn traits_of(module: &[u8]) -> Result<Traits, wasmparser::BinaryReaderError> {
    let mut traits = Traits::default();
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        match payload? {
            wasmparser::Payload::CustomSection(section) => {
                traits.described |= section.name().starts_with("component-type");
                traits.go |= section.name() == "go:buildid";
            }
            wasmparser::Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    traits.wasi |= import?.module == PREVIEW1;
                }
            }
            _ => {}
        }
    }
    Ok(traits)
}

fn describe(module: &mut Vec<u8>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("plugin.wit", INTERFACE)?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_for_the_interface_is_refused_with_a_remedy() {
        for bytes in [&b"#!/bin/sh"[..], b"\0asm\x01\0\0\0\xff", b"\0asm\x01\0\0\0"] {
            let error = encode(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Precheck);
            assert!(error.remedy_text().is_some(), "{error}");
        }
    }

    #[test]
    fn a_component_stays_as_it_is() {
        let component = sluicegate_plugin_host::NO_OP;
        assert_eq!(encode(component).unwrap(), component);
    }
}
