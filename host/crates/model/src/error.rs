//! The crate's one error type. The kind decides what the program does; the text says what happened and what to do.

use std::{error, fmt};

/// What the program does about an error follows from its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line or the pipeline file is wrong. Exit code 2.
    Config,
    /// The environment is not ready: server settings, grants, a plugin file that cannot be used. Exit code 3.
    Precheck,
    /// A connection failed or broke: tried again with backoff within the configured time.
    Connection,
    /// The source's log cannot be followed: purged, unreadable, of an unsupported type. Stops.
    Source,
    /// A plugin trapped, ran out of time or memory, or answered nonsense. The plugin's policy decides.
    Plugin,
    /// A single record cannot be delivered. The sink's policy decides.
    Record,
    /// The sink as a whole cannot take records. Stops; nothing is lost, because the checkpoint stays behind.
    Sink,
    /// The checkpoint cannot be read or written. Stops.
    State,
    /// A fault of this program. Stops.
    Internal,
}

/// An error with its kind, the remedy where one is known, and the cause. Texts never hold row values or secrets.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    remedy: Option<String>,
    may_pass: bool,
    cause: Option<Box<dyn error::Error + Send + Sync>>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), remedy: None, may_pass: false, cause: None }))
    }

    /// Adds what the reader can do about it: an imperative sentence.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Says that it may pass without an edit of the pipeline file, once somebody has seen to it: a full disk, a refused login.
    pub fn that_may_pass(mut self, may_pass: bool) -> Self {
        self.0.may_pass = may_pass;
        self
    }

    /// Whether it may pass: a pipeline that has streamed is then started over for a while.
    pub fn may_pass(&self) -> bool {
        self.0.may_pass
    }

    /// Keeps the error that led to this one.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Puts what was being done in front of the message.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The same error, of another kind: where the place decides what it means.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error as that of a precheck, unless the pipeline file itself is at fault.
    pub fn not_ready(self) -> Self {
        if self.kind() == ErrorKind::Config { self } else { self.with_kind(ErrorKind::Precheck) }
    }

    /// What decides the policy.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message alone, without remedy and causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it, if known.
    pub fn remedy_text(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// The message with its chain of causes in one line, for logs.
    pub fn chain(&self) -> String {
        let mut text = self.0.message.clone();
        let mut cause = error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            // libraries often print their own cause already
            if !text.contains(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())?;
        if let Some(remedy) = &self.0.remedy {
            write!(f, "\n  remedy: {remedy}")?;
        }
        Ok(())
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.cause.as_deref().map(|e| e as _)
    }
}
