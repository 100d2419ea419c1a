//! What a registry answers, and what it means.

use serde::Deserialize;

use sluicegate_model::{Error, ErrorKind, Result};

/// Characters of a registry's message that are shown, at most.
const SHOWN: usize = 1000;

/// Status and body of a response.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

#[derive(Deserialize)]
struct Id {
    id: u32,
}

#[derive(Deserialize)]
struct Said {
    error_code: Option<i64>,
    message: Option<String>,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether asking again may help.
    pub(super) fn passes(&self) -> bool {
        matches!(self.status, 408 | 429 | 500..=599)
    }

    /// Whether it is the schema that is refused: it is not compatible, cannot be read, or is not there although it has to be.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.status, 404 | 409 | 422)
    }

    /// The schema's id.
    pub(super) fn id(&self, registry: &str) -> Result<u32> {
        let id = serde_json::from_str::<Id>(&self.body).ok().map(|answer| answer.id);
        // a schema's id is a number of 31 bits in all clients
        id.filter(|id| i32::try_from(*id).is_ok()).ok_or_else(|| {
            Error::new(ErrorKind::Sink, format!("{registry} answered with something else than the id of a schema"))
                .remedy("see that `registry.url` is the address of a schema registry, with the path in front of `/subjects` if it has one")
        })
    }

    /// What it said, and the code of its own.
    fn said(&self) -> (Option<i64>, String) {
        let said = serde_json::from_str::<Said>(&self.body).ok();
        let code = said.as_ref().and_then(|said| said.error_code);
        let message = said.and_then(|said| said.message).unwrap_or_default();
        // on one line, and bounded: it stands in logs
        let message: String = message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
        (code, if message.is_empty() { format!("status {}", self.status) } else { message })
    }

    /// The error of a schema that is refused.
    pub(super) fn refusal(&self, subject: &str, register: bool) -> Error {
        let (_, message) = self.said();
        let (what, remedy) = match self.status {
            409 => (
                format!("the schema registry refuses a new version of subject `{subject}`, which is not compatible with those before"),
                "change the table back, or set another compatibility level for the subject (`PUT /config/<subject>`); then start again: nothing is lost. Or set `on_error`",
            ),
            404 if register => (
                format!("the schema registry has no subject `{subject}` and does not make it"),
                "see that `registry.url` is the address of a schema registry, with the path in front of `/subjects` if it has one",
            ),
            404 => (
                format!("the schema registry does not have the schema that records of subject `{subject}` need (`register: false`)"),
                "register it, or write `register: true`; then start again: nothing is lost. Or set `on_error`",
            ),
            _ => (
                format!("the schema registry cannot use the schema of subject `{subject}`"),
                "see its message; a name in the table may be one that the registry does not take. Rename it with the `map-names` plugin, or set `on_error`",
            ),
        };
        Error::new(ErrorKind::Record, what).caused_by(message).remedy(remedy)
    }

    /// The error of a registry that does something else than to answer.
    pub(super) fn fault(&self, registry: &str) -> Error {
        let (code, message) = self.said();
        let told = match code {
            Some(code) => format!("{message} ({code})"),
            None => message,
        };
        let (what, remedy) = match self.status {
            401 => ("refused the login", "correct `user` and `password`, or `token`, of the sink's `registry`"),
            403 => ("does not allow this account to read or register schemas", "grant it READ and WRITE on the subjects"),
            status if (300..400).contains(&status) => {
                ("sends requests elsewhere", "write the address that it sends them to as `registry.url`")
            }
            _ => ("does not answer as a schema registry does", "see its log, and that `registry.url` is its address"),
        };
        let may_pass = matches!(self.status, 401 | 403) || self.passes();
        Error::new(ErrorKind::Sink, format!("the schema registry {registry} {what}")).caused_by(told).remedy(remedy).that_may_pass(may_pass)
    }
}
