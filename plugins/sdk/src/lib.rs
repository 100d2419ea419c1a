//! Write a Sluicegate plugin in Rust.
//!
//! A plugin is a WebAssembly component that the host asks two things: once for each table, what happens to the table as a
//! whole ([`Plugin::plan`]), and, for tables whose plan computes or drops something, what happens to their rows
//! ([`Plugin::row`], or [`Plugin::apply`] for whole batches of columns). Only the columns that the plan reads ever enter
//! the plugin. Both images of an update, before and after, pass through the same code.
//!
//! ```
//! use sluicegate_plugin::{Description, Plugin, Row, TablePlan, export_plugin};
//!
//! struct MaskEmail;
//!
//! impl Plugin for MaskEmail {
//!     fn describe() -> Description {
//!         sluicegate_plugin::describe!("masks e-mail addresses, drops test rows")
//!     }
//!     fn configure(_config: &str) -> Result<Self, String> {
//!         Ok(MaskEmail)
//!     }
//!     fn plan(&mut self, table: &mut TablePlan) -> Result<(), String> {
//!         if table.has("email") {
//!             table.rewrite("email")?;
//!             table.filter_rows();
//!         }
//!         Ok(())
//!     }
//!     fn row(&mut self, row: &mut Row) {
//!         match row.text("email").and_then(|email| email.split_once('@')) {
//!             Some((_, "test.invalid")) => row.drop(),
//!             Some((_, domain)) => row.set("email", format!("***@{domain}")),
//!             None => {}
//!         }
//!     }
//! }
//!
//! export_plugin!(MaskEmail);
//! ```
//!
//! Natively the same crate compiles to a library, and [`Instance`] runs the plugin in unit tests and benches as the host
//! would.

// a guest that panics is dropped by the host: faults are answers (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod bindings;
mod column;
#[cfg(feature = "config")]
pub mod config;
mod grants;
mod instance;
mod log;
mod pattern;
mod plan;
mod row;
mod shapes;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod testing;

pub use bindings::{
    exports::sluicegate::plugin::transform::{Description, Guest},
    sluicegate::plugin::types::{
        Column, Context, DataType, Operations, Outcome, Place, Plan, Rejection, Rows, Strings, Table, TableName, Values, Vector,
    },
};
pub use column::{Bitmap, ColumnBuilder, Value, WrongKind, is_textual, null_at, text_at, type_name};
pub use grants::{now, random_bytes};
pub use instance::Instance;
pub use log::{Level, report_panics, write_log};
pub use pattern::{Fault as PatternFault, TablePattern, TablePatterns, display_name, find_name, name_parts, nearest};
pub use plan::{Computed, Layout, TablePlan};
pub use row::{Batch, Image, Operation, Row};

/// A plugin. One value of it lives in each instance of the component; the host may run several instances, and replaces
/// them when it likes, so state that outlives a call is a cache and nothing else.
pub trait Plugin: Sized + 'static {
    /// Who this plugin is; usually [`describe!`].
    fn describe() -> Description;

    /// Reads the plugin's `config` of the pipeline file, as JSON (`null` when there is none). The error's text is shown to
    /// the operator: say what to change.
    fn configure(config: &str) -> Result<Self, String>;

    /// Decides what happens to a table: called once for each table and schema version. A `table` left as it is passes
    /// untouched, and its rows never enter the plugin.
    fn plan(&mut self, table: &mut TablePlan) -> Result<(), String>;

    /// Handles one row image: reads columns, sets the computed ones, drops or rejects the row. A rewritten column that is
    /// not set keeps its value; an added one that is not set is null.
    fn row(&mut self, row: &mut Row<'_>) {
        let _ = row;
    }

    /// Handles a batch; by default [`Plugin::row`] for each of its rows. Override it to work on whole columns. An error
    /// fails the batch; to refuse single rows, list them in [`Outcome::rejected`].
    fn apply(&mut self, batch: Batch<'_>) -> Result<Outcome, String> {
        batch.each_row(|row| self.row(row))
    }
}

/// The [`Description`] of the crate that uses it: its package name and version, the given summary and, after a comma, the
/// JSON Schema of its `config`.
#[macro_export]
macro_rules! describe {
    ($summary:expr) => {
        $crate::describe!($summary, "")
    };
    ($summary:expr, $config_schema:expr) => {
        $crate::Description {
            name: env!("CARGO_PKG_NAME").to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            summary: $summary.to_string(),
            config_schema: $config_schema.to_string(),
        }
    };
}

/// Makes a [`Plugin`] the component's plugin. Once in a crate of type `cdylib`; does nothing in native builds, so that
/// several plugins may be linked into one test program.
#[macro_export]
macro_rules! export_plugin {
    ($plugin:ty) => {
        #[cfg(target_arch = "wasm32")]
        mod sluicegate_plugin_export {
            use super::*;
            use ::std::{cell::RefCell, string::String};
            use $crate::{Guest, bindings::export};

            ::std::thread_local! {
                static INSTANCE: RefCell<Option<$crate::Instance<$plugin>>> = const { RefCell::new(None) };
            }

            fn with<T>(run: impl FnOnce(&mut $crate::Instance<$plugin>) -> Result<T, String>) -> Result<T, String> {
                INSTANCE.with_borrow_mut(|instance| match instance {
                    Some(instance) => run(instance),
                    None => Err(String::from("called before configure")),
                })
            }

            struct Component;

            impl Guest for Component {
                fn describe() -> $crate::Description {
                    <$plugin as $crate::Plugin>::describe()
                }
                fn configure(config: String) -> Result<(), String> {
                    $crate::report_panics();
                    let instance = $crate::Instance::configure(&config)?;
                    INSTANCE.set(Some(instance));
                    Ok(())
                }
                fn plan(table_id: u32, table: $crate::Table) -> Result<Option<$crate::Plan>, String> {
                    with(|instance| instance.plan(table_id, table))
                }
                fn apply(table_id: u32, rows: $crate::Rows) -> Result<$crate::Outcome, String> {
                    with(|instance| instance.apply(table_id, rows))
                }
            }

            export!(Component with_types_in $crate::bindings);
        }
    };
}

/// The plugin in the project's README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
