//! A schema registry with Confluent's REST protocol.

use std::path::PathBuf;

use super::{Secret, server::ClientCertificate};

/// The registry of a format's schemas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Its addresses, without `/` at the end, in the order in which they are tried.
    pub urls: Vec<String>,
    /// Who we are.
    pub login: RegistryLogin,
    /// CA certificates (PEM) instead of the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// The certificate that we show it.
    pub client: Option<ClientCertificate>,
    /// Whether schemas are registered, or have to be there.
    pub register: bool,
    /// What subjects are made of.
    pub subject: Subject,
}

/// Who asks a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryLogin {
    /// Nobody in particular.
    Anonymous,
    /// An account.
    Basic {
        /// Its name.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// Whoever has this token.
    Bearer(Secret),
}

/// What the subject of a schema is made of: Confluent's `TopicNameStrategy` and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subject {
    /// `<topic>-key` and `<topic>-value`.
    #[default]
    Topic,
    /// The record's full name.
    Record,
    /// The topic, and the record's full name behind `-`.
    TopicRecord,
}
