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

/// The draft of version 1.1: what it shares with 1.0.0 is shared here, too.
pub mod draft {
    wasmtime::component::bindgen!({
        path: ["../../../wit/released/plugin-1.0.0.wit", "../../../wit/draft/plugin-1.1.0.wit"],
        world: "sluicegate:plugin/granted-plugin@1.1.0-draft",
        with: {
            "sluicegate:plugin/types@1.0.0": super::sluicegate::plugin::types,
            "sluicegate:plugin/log@1.0.0": super::sluicegate::plugin::log,
            "sluicegate:plugin/clock@1.0.0": super::sluicegate::plugin::clock,
            "sluicegate:plugin/random@1.0.0": super::sluicegate::plugin::random,
        },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}
