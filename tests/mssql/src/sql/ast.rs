//! What a batch says.

use crate::value::{Datum, Type};

/// A name of one to four parts, unquoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The parts; an omitted one is empty.
    pub parts: Vec<String>,
}

impl Name {
    /// The last part.
    pub fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }

    /// The part that is so many from the last one, when it is there.
    pub fn before(&self, count: usize) -> Option<&str> {
        let at = self.parts.len().checked_sub(count + 1)?;
        self.parts.get(at).map(String::as_str).filter(|p| !p.is_empty())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

/// A statement.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are T-SQL's")]
pub enum Statement {
    Select(Box<Query>),
    Insert(Box<Insert>),
    Update(Box<Update>),
    Delete(Box<Delete>),
    Truncate(Name),
    CreateTable(Box<CreateTable>),
    DropTable { names: Vec<Name>, if_exists: bool },
    AlterTable(Name, AlterTable),
    CreateIndex { table: Name, name: String, columns: Vec<String>, unique: bool },
    DropIndex { table: Name, name: String },
    CreateSchema(String),
    CreateDatabase(String),
    DropDatabase { name: String, if_exists: bool },
    AlterDatabase { name: Option<String>, options: Vec<DatabaseOption> },
    Grant { permission: String, columns: Vec<String>, on: Option<Name>, to: String, revoke: bool },
    Use(String),
    Begin,
    Commit,
    Rollback(Option<String>),
    Save(String),
    Set(Setting),
    Assign(String, Expr),
    Declare(Vec<(String, Type, Option<Expr>)>),
    If(Expr, Box<Statement>, Option<Box<Statement>>),
    While(Expr, Box<Statement>),
    Block(Vec<Statement>),
    Print(Expr),
    Throw(Expr, Expr),
    Execute(Name, Vec<(Option<String>, Expr)>),
    ExecuteText(Expr),
    WaitFor(Expr),
    Return,
}

/// SET … of the session.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names are T-SQL's")]
pub enum Setting {
    Isolation(Isolation),
    XactAbort(bool),
    NoCount(bool),
    ImplicitTransactions(bool),
    LockTimeout(i64),
    DeadlockPriority,
    /// An option that changes nothing that the simulator does.
    Other,
}

/// Isolation levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are T-SQL's")]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
    Snapshot,
}

/// The context before a statement.
#[derive(Clone, Debug)]
pub enum Context {
    /// A literal.
    Bytes(Vec<u8>),
    /// A variable.
    Variable(String),
}

/// INSERT
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct Insert {
    pub target: Name,
    pub columns: Vec<String>,
    pub rows: InsertRows,
    pub context: Option<Context>,
}

/// What an INSERT inserts.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum InsertRows {
    /// No expression means DEFAULT.
    Values(Vec<Vec<Option<Expr>>>),
    Query(Box<Query>),
    Defaults,
}

/// UPDATE
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct Update {
    pub target: Name,
    pub top: Option<Expr>,
    /// In the order that they are written (G51).
    pub sets: Vec<(String, Option<Expr>)>,
    pub filter: Option<Expr>,
    pub context: Option<Context>,
}

/// DELETE
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct Delete {
    pub target: Name,
    pub top: Option<Expr>,
    pub filter: Option<Expr>,
    pub context: Option<Context>,
}

/// CREATE TABLE
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct CreateTable {
    pub name: Name,
    pub columns: Vec<ColumnDefinition>,
    pub constraints: Vec<Constraint>,
}

/// A column of CREATE TABLE or ADD.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct ColumnDefinition {
    pub name: String,
    /// None of a computed column.
    pub data_type: Option<Type>,
    /// The column names its own collation.
    pub collated: bool,
    pub nullable: Option<bool>,
    pub identity: Option<(i64, i64)>,
    pub default: Option<Expr>,
    pub computed: Option<Expr>,
    pub constraints: Vec<Constraint>,
}

/// A constraint of a table.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum Constraint {
    PrimaryKey { name: Option<String>, columns: Vec<String>, clustered: Option<bool> },
    Unique { name: Option<String>, columns: Vec<String> },
    Check { name: Option<String>, condition: Expr },
}

/// ALTER TABLE
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum AlterTable {
    EnableTracking { columns: bool },
    DisableTracking,
    Add(Vec<ColumnDefinition>, Vec<Constraint>),
    DropColumn(Vec<String>),
    DropConstraint(String),
    AlterColumn { name: String, data_type: Type, collated: bool, nullable: Option<bool> },
}

/// ALTER DATABASE … SET
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum DatabaseOption {
    TrackingOn(TrackingOptions),
    TrackingOff,
    TrackingChange(TrackingOptions),
    AllowSnapshot(bool),
    ReadCommittedSnapshot(bool),
    ReadOnly(bool),
    Recovery,
    CompatibilityLevel(i64),
}

/// Options of Change Tracking in a database: those that are named.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct TrackingOptions {
    /// The number and the unit: 1 minutes, 2 hours, 3 days.
    pub retention: Option<(i64, u8)>,
    pub auto_cleanup: Option<bool>,
}

/// A query.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct Query {
    pub with: Vec<(String, Vec<String>, Query)>,
    /// Joined by UNION ALL, or UNION where it is marked.
    pub selects: Vec<(Select, bool)>,
    pub order_by: Vec<(Expr, bool)>,
    pub offset: Option<Expr>,
    pub fetch: Option<Expr>,
}

/// One SELECT of a query.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct Select {
    pub distinct: bool,
    pub top: Option<Expr>,
    pub items: Vec<Item>,
    pub from: Option<Source>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub having: Option<Expr>,
}

/// An element of the select list.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum Item {
    Star(Option<Name>),
    Expr(Expr, Option<String>),
    Assign(String, Expr),
}

/// How a source is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum Join {
    Inner,
    Left,
    Right,
    Full,
    Cross,
}

/// The name of a source, and perhaps of its columns.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub struct Alias {
    pub name: Option<String>,
    pub columns: Vec<String>,
}

/// Where rows come from.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum Source {
    Table { name: Name, alias: Alias, hints: Vec<String> },
    Derived(Box<Query>, Alias),
    Values(Vec<Vec<Expr>>, Alias),
    Changes { table: Name, last: Expr, seek: bool, alias: Alias },
    Version { table: Name, columns: Vec<String>, values: Vec<Expr>, seek: bool, alias: Alias },
    Join(Box<Source>, Box<Source>, Join, Option<Expr>),
    Apply { left: Box<Source>, right: Box<Source>, outer: bool },
}

/// Operators of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    BitAnd,
    BitOr,
    BitXor,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

/// An expression.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "as T-SQL has it")]
pub enum Expr {
    Literal(Datum, Type),
    /// NULL without a type.
    Null,
    Column(Name),
    Variable(String),
    Minus(Box<Expr>),
    BitNot(Box<Expr>),
    Not(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    IsNull(Box<Expr>, bool),
    In(Box<Expr>, Vec<Expr>, bool),
    InQuery(Box<Expr>, Box<Query>, bool),
    Between(Box<Expr>, Box<Expr>, Box<Expr>, bool),
    Like {
        value: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        not: bool,
    },
    Exists(Box<Query>),
    Scalar(Box<Query>),
    Case {
        operand: Option<Box<Expr>>,
        whens: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        value: Box<Expr>,
        to: Type,
        style: Option<Box<Expr>>,
        attempt: bool,
    },
    Call {
        name: Name,
        arguments: Vec<Expr>,
        star: bool,
        distinct: bool,
    },
    Collate(Box<Expr>, String),
    Method(Box<Expr>, String),
}
