//! The validated form of how Kafka's brokers are reached.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use super::{ClientCertificate, Secret, TlsMode};

/// How the brokers of a sink or a source are reached.
#[derive(Clone, Copy, Debug)]
pub struct KafkaConnection<'a> {
    /// `sink` or `source`: whose settings these are.
    pub of: &'static str,
    /// `host:port`, several separated by commas.
    pub brokers: &'a str,
    /// TLS and login; `None` = what `options` say of them.
    pub security: Option<&'a KafkaSecurity>,
    /// Further librdkafka settings, not only of the connection.
    pub options: &'a BTreeMap<String, Secret>,
}

/// Transport security and login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSecurity {
    /// Never `Preferred`: a listener has TLS or has none.
    pub tls: TlsMode,
    /// CA certificates (PEM) instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that we show the brokers.
    pub client: Option<ClientCertificate>,
    /// The password of its key.
    pub key_password: Option<Secret>,
    /// The login, if any.
    pub sasl: Option<Sasl>,
}

/// An account, and how it proves itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sasl {
    /// With a password.
    Password {
        /// How it is shown.
        mechanism: PasswordMechanism,
        /// Account.
        user: String,
        /// Its password.
        password: Secret,
    },
    /// With an access token (OAUTHBEARER).
    Token(Secret),
}

impl Sasl {
    /// The mechanism's name in the protocol.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Password { mechanism, .. } => mechanism.name(),
            Self::Token(_) => "OAUTHBEARER",
        }
    }
}

/// How a password is shown to a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMechanism {
    /// As it is.
    Plain,
    /// By a proof that does not hold it, with SHA-256.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

impl PasswordMechanism {
    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl fmt::Display for PasswordMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a librdkafka option is set by `tls`, `sasl` and the keys beside them, and may not be given beside these.
pub fn is_security_option(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "security.protocol",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.key.location",
        "ssl.key.pem",
        "ssl.key.password",
        "ssl.keystore.location",
        "ssl.keystore.password",
        "ssl.endpoint.identification.algorithm",
        "enable.ssl.certificate.verification",
        "enable.sasl.oauthbearer.unsecure.jwt",
        "ssl.engine.location",
    ];
    NAMES.contains(&name) || name.starts_with("sasl.")
}
