//! The host's side of `wit/plugin.wit`, generated.

#![allow(missing_docs, reason = "generated from the documented WIT file")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "granted-plugin",
    ownership: Borrowing { duplicate_if_necessary: true },
});
