//! Requests to a running pipeline that come from outside, and their answers.

use sluicegate_config::StartAt;
use sluicegate_model::Error;
use tokio::sync::{mpsc, oneshot};

/// A request to swap one plugin.
#[derive(Debug)]
pub struct SwapRequest {
    /// The plugin's name in the pipeline file.
    pub plugin: String,
    /// Which version takes its place.
    pub action: Action,
    /// Takes the pipeline's answer.
    pub answer: oneshot::Sender<Result<Taken, Refusal>>,
}

/// What may be requested for a plugin.
pub enum Action {
    /// This component takes its place.
    Replace(Vec<u8>),
    /// The version before takes its place.
    Rollback,
}

impl std::fmt::Debug for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Replace(bytes) => write!(f, "Replace({} bytes)", bytes.len()),
            Self::Rollback => f.write_str("Rollback"),
        }
    }
}

/// Where in the stream a new version took over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Changes that the source had given in this run.
    pub changes: u64,
    /// The lane that moved last.
    pub lane: String,
    /// Where that lane was, JSON text.
    pub position: String,
}

/// Why a request was refused; the old version runs on, but for [`Reason::NotStored`].
#[derive(Debug)]
pub struct Refusal {
    /// What kind of refusal.
    pub reason: Reason,
    /// What happened and what to do.
    pub error: Error,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such plugin: 404.
    Unknown,
    /// This plugin is not swapped this way, or has no version before: 409.
    Conflict,
    /// The component cannot be used: 422.
    Unusable,
    /// The pipeline starts or ends: 503.
    Away,
    /// It runs, but a restart would not run it: 500.
    NotStored,
}

/// A request to copy a table anew.
#[derive(Debug)]
pub struct CopyRequest {
    /// The table with its database, as a pipeline file writes it.
    pub table: String,
    /// Takes the pipeline's answer.
    pub answer: oneshot::Sender<Result<CopyTaken, Refusal>>,
}

/// From where on a table is copied anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyTaken {
    /// The table.
    pub table: String,
    /// Which copy of it comes; 0 when that is not known yet.
    pub copy: u32,
    /// The place in the source's log, for people.
    pub position: String,
}

/// A request to begin an output at another place.
#[derive(Debug)]
pub struct ResetRequest {
    /// The output's name in the pipeline file.
    pub output: String,
    /// Where it begins.
    pub start: StartAt,
    /// Takes the pipeline's answer.
    pub answer: oneshot::Sender<Result<OutputReset, Refusal>>,
}

/// The pipeline ends in order, and begins anew with the output at another place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputReset {
    /// The output.
    pub output: String,
}

/// A request to the pipeline.
#[derive(Debug)]
pub enum Request {
    /// To swap a plugin.
    Swap(SwapRequest),
    /// To copy a table anew.
    Copy(CopyRequest),
    /// To begin an output at another place.
    Reset(ResetRequest),
}

/// The requests, on the pipeline's side.
pub type Requests = mpsc::Receiver<Request>;
