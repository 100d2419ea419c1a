//! Why a record cannot be read.

use super::json_text::Malformed;

/// The longest name of a column that an error shows.
const NAME: usize = 128;

/// What is wrong with a record. It never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    pub what: String,
    pub remedy: Option<&'static str>,
}

impl Unreadable {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: None }
    }

    pub(super) fn remedy(self, remedy: &'static str) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    /// What is wrong in a column.
    pub(super) fn column(name: &str, what: &str) -> Self {
        let name: String = name.chars().take(NAME).collect();
        Self::new(format!("its column `{name}` {what}"))
    }
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::new("it is not JSON")
    }
}
