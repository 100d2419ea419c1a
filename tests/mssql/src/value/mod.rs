//! Values and their types, as SQL Server has them.

pub mod collation;
pub mod compare;
pub mod convert;
pub mod data_type;
pub mod datum;
pub mod number;
pub mod text;
pub mod time;

pub use collation::Collation;
pub use data_type::{Kind, Type};
pub use datum::Datum;
