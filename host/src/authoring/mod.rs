//! The tools of a plugin's author: a new plugin from a template, sources into a component, a plugin over rows from a file, its
//! cost. They run the same engine and chain as a pipeline.

mod build;
mod component;
mod measure;
mod record;
mod rows;
mod template;
mod trial;

pub use build::build;
pub use component::encode;
pub use measure::{Measurement, SIZES, Way, measure};
pub use rows::Rows;
pub use template::{LANGUAGES, Language, create};
pub use trial::{Fate, Outcome, Subject, Trial};
