//! Versions of tables' schemas, which a source keeps from one run to the next.

use std::sync::Arc;

use sluicegate_model::{
    Result,
    change::{Frontier, LogPlace, TableName},
};

/// A version of a table that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptVersion {
    /// The table.
    pub table: TableName,
    /// From where on it holds: the source's own text. Versions that begin at one place share it.
    pub place: Arc<str>,
    /// Whether its schema is kept; else it is known only that the one before ends here.
    pub known: bool,
}

/// A change of what is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptChange {
    /// A version of a table begins at a place. Another one of the table at the same place is replaced.
    Begin {
        /// The table.
        table: TableName,
        /// From where on it holds.
        place: Arc<str>,
        /// Its schema, in the source's own form; `None` where it is not known.
        schema: Option<Arc<str>>,
    },
    /// A version is needed no longer.
    Forget {
        /// The table.
        table: TableName,
        /// Where it begins.
        place: Arc<str>,
    },
    /// Nothing that is kept is needed any longer.
    ForgetAll,
    /// Every change of a schema before this place is in what is kept.
    ReadTo(Arc<str>),
}

/// The columns of tables that plugins treat, as they were in the last version that came, unless a statement has changed them since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Names of columns.
    pub columns: Vec<(TableName, Vec<String>)>,
    /// The last statement of each log that the plugins were told of: what was read before it says nothing.
    pub told: Vec<LogPlace>,
}

/// Where a source keeps versions of schemas, and which tables it captures. A log that does not describe its rows in full is read with them also where the
/// server's catalogue describes a later version.
pub trait SchemaStore: std::fmt::Debug + Send + Sync {
    /// The versions that are kept, in the order in which they came, without their schemas.
    fn versions(&self) -> Result<Vec<KeptVersion>>;

    /// The schema of a version; `None` where it is not known.
    fn schema(&self, table: &TableName, place: &str) -> Result<Option<String>>;

    /// Up to which place every change of a schema is in what is kept; `None` when nothing was kept yet.
    fn read_to(&self) -> Result<Option<String>>;

    /// Stores changes, all or none. They are durable when it returns.
    fn store(&self, changes: &[KeptChange]) -> Result<()>;

    /// Which tables are captured from which place on, and which are copied anew: one text of the source's own; `None` when nothing was
    /// kept yet.
    fn captured(&self) -> Result<Option<String>>;

    /// Keeps another such text in place of the one before. It is durable when this returns.
    fn keep_captured(&self, text: &str) -> Result<()>;

    /// What is known of the columns of tables that plugins treat.
    fn followed(&self) -> Result<Followed>;

    /// The sinks' places as they are durable now: versions before the least of them are needed no longer.
    fn durable(&self) -> Result<Vec<Frontier>>;
}
