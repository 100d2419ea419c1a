//! Items: what a source gives, one after the other.

use std::sync::Arc;

use super::{Batch, Event, Lane, Offset, Table, TableName, Transaction};

/// One element of the sequence that a source gives. Nothing behind the source changes their order, whatever their lanes.
#[derive(Clone, Debug)]
pub enum Item {
    /// Row images and the changes that point into them.
    Rows(Batch),
    /// Something else, at its place between the rows.
    Mark(Mark),
}

impl Item {
    /// The lane that the item advances.
    pub fn lane(&self) -> &Lane {
        match self {
            Self::Rows(batch) => &batch.lane,
            Self::Mark(mark) => &mark.lane,
        }
    }

    /// Where its lane is after it.
    pub fn offset(&self) -> &Offset {
        match self {
            Self::Rows(batch) => &batch.offset,
            Self::Mark(mark) => &mark.offset,
        }
    }
}

/// An item without rows.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Its lane.
    pub lane: Lane,
    /// Where the lane is after it.
    pub offset: Offset,
    /// What it says.
    pub kind: MarkKind,
}

/// What an item without rows says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MarkKind {
    /// There is nothing to deliver up to the offset.
    Heartbeat,
    /// All rows of a table are gone.
    Truncate(Truncate),
    /// The next rows of a table have another version of its schema.
    Schema(SchemaChange),
    /// A table or columns of it have other names from here on. It is for plugins: sinks never see it.
    Renamed(Box<Renamed>),
    /// A lane begins, ends or fails.
    Lane(LaneEvent),
    /// The copy of a table begins or ends.
    Copy {
        /// The table.
        table: Arc<Table>,
        /// Whether it ends here.
        ends: bool,
    },
    /// Everything that there is of a table, a schema or the source has been given.
    Drained(Drained),
    /// A transaction ends whose last rows were given before its end was read, so that no batch could say it.
    TransactionEnds(Transaction),
}

/// A table was emptied as a whole.
#[derive(Clone, Debug)]
pub struct Truncate {
    /// The table: its name and its latest columns that are known.
    pub table: Arc<Table>,
    /// The log event that did it; its transaction is the one below.
    pub event: Event,
    /// The transaction of the event.
    pub transaction: Transaction,
}

/// A change of a table's schema.
#[derive(Clone, Debug)]
pub struct SchemaChange {
    /// The table's name before it; without a table's name, a database as a whole.
    pub name: TableName,
    /// What became of the table.
    pub effect: SchemaEffect,
    /// The table after it; `None` = it was dropped, or how it is now is not known.
    pub table: Option<Arc<Table>>,
    /// The statement that did it, where the source logs it.
    pub statement: Option<Box<SchemaStatement>>,
}

/// Other names of a table, or of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// The table's name before.
    pub from: TableName,
    /// Its name now.
    pub to: TableName,
    /// Names of columns before and now, all given at once. Without a name before, it is a new column that no statement in the log
    /// explains: it may be any column of before.
    pub columns: Vec<(String, String)>,
    /// Columns that are gone, by their names before.
    pub dropped: Vec<String>,
    /// The table is another one, or gone: what was said of its names before is over.
    pub anew: bool,
    /// The table of the name now was made with the columns of the other one, which is still there.
    pub copied: bool,
    /// Neither table is captured, nor in a database of captured ones: it counts only for a table that was captured before.
    pub far: bool,
    /// Where the log says so: by this it is known when it comes again. `None` where the source has no log of it.
    pub at: Option<LogPlace>,
    /// In place of `columns` and `dropped`, where the source has no log of them: all columns as they are now.
    pub numbered: Option<NumberedColumns>,
}

/// The columns of a table by their numbers in the source's catalogue, which they keep under whatever name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedColumns {
    /// The table's own number: under another one, it is another table.
    pub table: i64,
    /// Numbers and names.
    pub columns: Vec<(i64, String)>,
}

impl Renamed {
    /// A table's new name, or the same; nothing else is said.
    pub fn new(from: TableName, to: TableName) -> Self {
        Self { from, to, columns: Vec::new(), dropped: Vec::new(), anew: false, copied: false, far: false, at: None, numbered: None }
    }
}

/// Where a statement stands in a log, in an order that holds over restarts and failovers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// What is numbered on: a server's or a domain's transactions, or the files of one log.
    pub log: String,
    /// The transaction's number, or the file's.
    pub sequence: u64,
    /// The position in the file; 0 of a numbered transaction.
    pub position: u64,
    /// Which of the statement's items it is.
    pub number: u32,
    /// When it ran, in seconds since 1970. A log that began anew has lower numbers at a later time.
    pub seconds: u32,
}

impl LogPlace {
    /// Whether it stands at this place of the same log or before it.
    pub fn is_had(&self, known: &Self) -> bool {
        let order = |place: &Self| (place.sequence, place.position, place.number);
        self.log == known.log && self.seconds <= known.seconds && order(self) <= order(known)
    }
}

/// What becomes of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaEffect {
    /// It is new.
    Created,
    /// It is another one.
    Altered,
    /// It has another name, and may be another one, too.
    Renamed,
    /// It is gone.
    Dropped,
}

/// A statement that changed schemas, and its place in the log.
#[derive(Clone, Debug)]
pub struct SchemaStatement {
    /// As the client wrote it.
    pub text: Arc<str>,
    /// Which of the statement's items this is, from 0 on.
    pub number: u32,
    /// The log event that holds it; its transaction is the one below.
    pub event: Event,
    /// The transaction of the event.
    pub transaction: Transaction,
}

/// What has been read to its end, for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained {
    /// A table, named as the source names it.
    Table(TableName),
    /// All tables of a schema that are read.
    Schema {
        /// The schema's database.
        database: String,
        /// The schema.
        schema: String,
        /// The tables' names.
        tables: Vec<String>,
    },
    /// Everything that is read.
    Everything,
}

/// What happens to a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LaneEvent {
    /// It begins; the offset is where.
    Begins,
    /// It has ended for good.
    Ends,
    /// It cannot go on; the source tries again, or stops, by itself.
    Failed,
}
