//! The standard plugins, as components in the program itself: `use: filter` works without any toolchain.

/// The component of a standard plugin.
pub fn embedded(name: &str) -> Option<&'static [u8]> {
    EMBEDDED.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

/// Names and components. Built from `plugins/`; a test fails when they no longer match their sources.
pub const EMBEDDED: &[(&str, &[u8])] = &[
    ("filter", include_bytes!("../../../../plugins/prebuilt/filter.wasm")),
    ("map-names", include_bytes!("../../../../plugins/prebuilt/map-names.wasm")),
    ("rewrite-columns", include_bytes!("../../../../plugins/prebuilt/rewrite-columns.wasm")),
];

/// The component that reads every column and changes nothing: what others are measured against. No pipeline names it.
pub const NO_OP: &[u8] = include_bytes!("../../../../plugins/prebuilt/no-op.wasm");
