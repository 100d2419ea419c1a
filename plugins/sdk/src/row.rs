//! Rows on top of the columns: what most plugins work with.

use std::cell::{Cell, RefCell};

use crate::{Bitmap, ColumnBuilder, Layout, Outcome, Place, Rejection, Rows, Value, WrongKind};

/// Which image of a change a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// The row as it was before the change.
    Before,
    /// The row as it is after the change.
    After,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read by a snapshot.
    Snapshot,
    /// Inserted.
    Insert,
    /// Updated: both of its images pass through the plugin.
    Update,
    /// Deleted.
    Delete,
}

/// A batch of row images of one table: never empty.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The number under which the host speaks of the table; the same as [`TablePlan::id`](crate::TablePlan::id).
    pub table_id: u32,
    /// Names and types of the columns.
    pub layout: &'a Layout,
    /// The columns read. Taken apart, their memory may be used for the answer.
    pub rows: Rows,
}

impl Batch<'_> {
    /// Calls `handle` for each row and collects the answer. A column that the plan does not read or compute, and a value of
    /// the wrong kind, are faults of the plugin: the whole batch fails with a text that names the column.
    pub fn each_row(self, mut handle: impl FnMut(&mut Row<'_>)) -> Result<Outcome, String> {
        let count = self.rows.count as usize;
        let mut computed: Vec<_> = self.layout.computed.iter().map(|c| ColumnBuilder::new(c.data_type, count)).collect();
        let mut rejected = Vec::new();
        let mut dropped: Option<Bitmap> = None;
        let fault = RefCell::new(None);
        for index in 0..count {
            let mut row = Row {
                layout: self.layout,
                rows: &self.rows,
                index,
                set: &mut computed,
                dropped: Cell::new(false),
                rejected: None,
                fault: &fault,
            };
            handle(&mut row);
            let (row_dropped, row_rejected) = (row.dropped.get(), row.rejected.take());
            if let Some(fault) = fault.take() {
                return Err(fault);
            }
            for (column, builder) in self.layout.computed.iter().zip(&mut computed) {
                if builder.len() == index {
                    let kept = column.input.and_then(|place| self.rows.columns.get(place)).map_or(Value::Null, |v| v.value(index));
                    builder.push(kept).map_err(|WrongKind(kind)| format!("column `{}` cannot hold {kind}", column.name))?;
                }
            }
            if row_dropped {
                dropped.get_or_insert_with(|| Bitmap::filled(count, true)).set(index, false);
            }
            if let Some(message) = row_rejected {
                rejected.push(Rejection { row: index as u32, message });
            }
        }
        Ok(Outcome {
            keep: dropped.map(Bitmap::into_bytes).unwrap_or_default(),
            computed: computed.into_iter().map(ColumnBuilder::finish).collect(),
            rejected,
        })
    }
}

/// One row image.
#[derive(Debug)]
pub struct Row<'a> {
    layout: &'a Layout,
    rows: &'a Rows,
    index: usize,
    set: &'a mut [ColumnBuilder],
    dropped: Cell<bool>,
    rejected: Option<String>,
    fault: &'a RefCell<Option<String>>,
}

impl<'a> Row<'a> {
    /// Which image this is. The plan has to [ask](crate::TablePlan::ask) for `Context::IMAGES`.
    pub fn image(&self) -> Image {
        match self.rows.images.get(self.index) {
            Some(0) => Image::Before,
            Some(_) => Image::After,
            None => {
                self.unasked("IMAGES");
                Image::After
            }
        }
    }

    /// What happened to the row. The plan has to [ask](crate::TablePlan::ask) for `Context::OPERATIONS`.
    pub fn operation(&self) -> Operation {
        match self.rows.operations.get(self.index) {
            Some(0) => Operation::Snapshot,
            Some(1) => Operation::Insert,
            Some(2) => Operation::Update,
            Some(_) => Operation::Delete,
            None => {
                self.unasked("OPERATIONS");
                Operation::Insert
            }
        }
    }

    /// When the source executed the change, microseconds since 1970 UTC. The plan has to [ask](crate::TablePlan::ask) for
    /// `Context::TIMES`.
    pub fn time(&self) -> i64 {
        self.rows.times.get(self.index).copied().unwrap_or_else(|| {
            self.unasked("TIMES");
            0
        })
    }

    /// The value of a column in the other image of the same change; `None` when there is none. The plan has to
    /// [ask](crate::TablePlan::ask) for `Context::PARTNERS`.
    pub fn other(&self, column: &str) -> Option<Value<'a>> {
        match self.rows.partners.get(self.index) {
            Some(&u32::MAX) => None,
            Some(&partner) => Some(self.value_at(column, partner as usize)),
            None => {
                self.unasked("PARTNERS");
                None
            }
        }
    }

    /// The value of a column that the plan reads.
    pub fn value(&self, column: &str) -> Value<'a> {
        self.value_at(column, self.index)
    }

    fn value_at(&self, column: &str, index: usize) -> Value<'a> {
        let place = self.layout.reads.iter().position(|(name, _)| name == column);
        match place.and_then(|place| self.rows.columns.get(place)) {
            Some(values) => values.value(index),
            None => {
                self.fail(format!("column `{column}` is not read by the plan; call `table.read(\"{column}\")` in `plan`"));
                Value::Null
            }
        }
    }

    /// Text, also of decimals, dates, times and JSON; `None` when null.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        match self.value(column) {
            Value::Text(std::borrow::Cow::Borrowed(text)) => Some(text),
            other => self.wrong(column, "text", &other),
        }
    }

    /// An integer; `None` when null. An unsigned value beyond `i64::MAX` needs [`Row::uint`].
    pub fn int(&self, column: &str) -> Option<i64> {
        match self.value(column) {
            Value::Int(value) => Some(value),
            Value::UInt(value) => match i64::try_from(value) {
                Ok(value) => Some(value),
                Err(_) => {
                    self.fail(format!("column `{column}` holds an unsigned integer beyond int64; read it with `row.uint`"));
                    None
                }
            },
            other => self.wrong(column, "an integer", &other),
        }
    }

    /// An unsigned integer; `None` when null.
    pub fn uint(&self, column: &str) -> Option<u64> {
        match self.value(column) {
            Value::UInt(value) => Some(value),
            other => self.wrong(column, "an unsigned integer", &other),
        }
    }

    /// A floating-point number; `None` when null.
    pub fn float(&self, column: &str) -> Option<f64> {
        match self.value(column) {
            Value::Float(value) => Some(value),
            other => self.wrong(column, "a float", &other),
        }
    }

    /// A boolean; `None` when null.
    pub fn bool(&self, column: &str) -> Option<bool> {
        match self.value(column) {
            Value::Bool(value) => Some(value),
            other => self.wrong(column, "a boolean", &other),
        }
    }

    /// Raw bytes; `None` when null.
    pub fn bytes(&self, column: &str) -> Option<&'a [u8]> {
        match self.value(column) {
            Value::Bytes(std::borrow::Cow::Borrowed(bytes)) => Some(bytes),
            other => self.wrong(column, "bytes", &other),
        }
    }

    /// Whether the column is null.
    pub fn is_null(&self, column: &str) -> bool {
        self.value(column) == Value::Null
    }

    /// Sets a computed column, once a row.
    pub fn set<'v>(&mut self, column: &str, value: impl Into<Value<'v>>) {
        self.set_in(Place::Value, column, value);
    }

    /// Sets a computed header, once a row.
    pub fn set_header<'v>(&mut self, header: &str, value: impl Into<Value<'v>>) {
        self.set_in(Place::Header, header, value);
    }

    /// Sends the row's record to this Kafka topic, or folder of the file sink. The plan has to
    /// [let rows choose](crate::TablePlan::choose_destinations).
    pub fn send_to(&mut self, destination: &str) {
        self.set_in(Place::Destination, "destination", destination);
    }

    fn set_in<'v>(&mut self, to: Place, column: &str, value: impl Into<Value<'v>>) {
        let place = self.layout.computed.iter().position(|c| c.name == column && c.place == to);
        match place.and_then(|place| self.set.get_mut(place)) {
            Some(builder) if builder.len() == self.index => {
                if let Err(WrongKind(kind)) = builder.push(value) {
                    self.fail(format!("column `{column}` cannot hold {kind}"));
                }
            }
            Some(_) => self.fail(format!("column `{column}` was set twice in one row")),
            None => self.fail(format!(
                "column `{column}` is not computed by the plan; call `table.{}` in `plan`",
                match to {
                    Place::Value => format!("rewrite(\"{column}\")` or `table.add"),
                    Place::Header => format!("add_header(\"{column}\", …)"),
                    Place::Destination => "choose_destinations()".to_string(),
                }
            )),
        }
    }

    /// Does not deliver this image: an update that loses its after image becomes a delete, one that loses its before image an insert.
    #[allow(clippy::should_implement_trait, reason = "the plain word for it; a Row is never dropped by hand")]
    pub fn drop(&mut self) {
        self.dropped.set(true);
    }

    /// Refuses the row: the pipeline's policy for this plugin decides what becomes of its change. No row values in `message`.
    pub fn reject(&mut self, message: impl Into<String>) {
        self.rejected = Some(message.into());
    }

    fn unasked(&self, context: &str) {
        self.fail(format!("this is known only when asked for; call `table.ask(Context::{context})` in `plan`"));
    }

    fn wrong<T>(&self, column: &str, wanted: &str, found: &Value<'_>) -> Option<T> {
        if *found != Value::Null {
            self.fail(format!("column `{column}` holds {}, not {wanted}", found.kind()));
        }
        None
    }

    fn fail(&self, message: String) {
        self.fault.borrow_mut().get_or_insert(message);
    }
}
