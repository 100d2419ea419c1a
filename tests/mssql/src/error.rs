//! Errors as the server sends them: number, state, severity, text.

/// An error of a statement. Where a real server sends two messages, the second follows the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    /// The message's number, such as 22105.
    pub number: i32,
    /// Tells apart the places that raise one number.
    pub state: u8,
    /// The severity.
    pub class: u8,
    /// The message.
    pub text: String,
    /// What the error ends beside its statement.
    pub ends: Ends,
    /// A message that a real server sends right after this one.
    pub followed_by: Option<Box<SqlError>>,
}

/// What an error ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Only its statement: the batch goes on with the next (G119).
    Statement,
    /// The batch; an open transaction stays open.
    Batch,
    /// The batch and the transaction, such as a deadlock.
    Transaction,
}

/// The result of whatever can fail with a message to the client.
pub type Result<T> = std::result::Result<T, SqlError>;

impl SqlError {
    /// An error of severity 16, state 1, that ends its statement.
    pub fn new(number: i32, text: impl Into<String>) -> Self {
        Self { number, state: 1, class: 16, text: text.into(), ends: Ends::Statement, followed_by: None }
    }

    /// What the simulator does not know. It never lets it pass as a success.
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        Self::new(50000, format!("simulator: statement not supported: {what}")).ends(Ends::Batch)
    }

    /// What no recorded fact settles, so that any answer would be an invention.
    pub fn unsettled(what: impl std::fmt::Display) -> Self {
        Self::new(50001, format!("simulator: unsettled, no real server's answer is known: {what}")).ends(Ends::Batch)
    }

    /// A syntax error at a token.
    pub fn syntax(near: &str) -> Self {
        Self::new(102, format!("Incorrect syntax near '{near}'.")).class(15).ends(Ends::Batch)
    }

    /// A syntax error at a reserved word.
    pub fn keyword(near: &str) -> Self {
        Self::new(156, format!("Incorrect syntax near the keyword '{near}'.")).class(15).ends(Ends::Batch)
    }

    /// A table or view that does not exist.
    pub fn no_object(name: &str) -> Self {
        Self::new(208, format!("Invalid object name '{name}'.")).ends(Ends::Batch)
    }

    /// A column that does not exist.
    pub fn no_column(name: &str) -> Self {
        Self::new(207, format!("Invalid column name '{name}'.")).ends(Ends::Batch)
    }

    /// The same with another severity.
    pub fn class(mut self, class: u8) -> Self {
        self.class = class;
        self
    }

    /// The same with another state.
    pub fn state(mut self, state: u8) -> Self {
        self.state = state;
        self
    }

    /// The same, ending more than its statement.
    pub fn ends(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// The same with a second message behind it.
    pub fn followed_by(mut self, next: SqlError) -> Self {
        self.followed_by = Some(Box::new(next));
        self
    }
}
