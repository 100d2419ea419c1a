//! The host's side of `wit/plugin.wit`, generated.

#![allow(missing_docs, reason = "generated from the documented WIT file")]

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "granted-plugin",
    imports: {
        "sluicegate:plugin/clock": trappable,
        "sluicegate:plugin/random": trappable,
    },
    ownership: Borrowing { duplicate_if_necessary: true },
});
