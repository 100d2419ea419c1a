//! The model that every part shares: tables, columns of values, changes and the batch that carries them.
//!
//! A batch is columnar: the row images of one table stand in one [`TableRows`], and the changes, in the order of the
//! log, point into them. Interleaved tables and one-row transactions therefore still fill whole columns.

mod batch;
mod capabilities;
mod column;

mod instant;
mod item;
mod native_type;
mod progress;
mod raw;
mod select;
mod table;

pub use batch::{Batch, Change, Event, Image, NO_IMAGE, Operation, TableRows, Transaction};
pub use capabilities::{BeforeImages, Capabilities};
pub use column::{Column, Nulls, Strings, Values};
pub use instant::{civil, write_date, write_datetime, write_timestamp};
pub use item::{
    Drained, Item, LaneEvent, LogPlace, Mark, MarkKind, NumberedColumns, Renamed, SchemaChange, SchemaEffect, SchemaStatement, Truncate,
};
pub use native_type::NativeType;
pub use progress::{Frontier, Lane, Offset, Place as LanePlace};
pub use raw::RawRecord;
pub use table::{ColumnInfo, DataType, Place, Table, TableName};
