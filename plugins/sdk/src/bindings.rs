//! What wit-bindgen generates from `wit/plugin.wit`: the types as they cross the boundary, and the export glue.
#![allow(missing_docs, clippy::all, clippy::restriction, clippy::pedantic, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "granted-plugin",
    pub_export_macro: true,
    export_macro_name: "export",
    default_bindings_module: "sluicegate_plugin::bindings",
    additional_derives: [PartialEq],
});
