//! How a server is reached: its addresses, and how the connection is protected.

use std::{fmt, path::PathBuf, time::Duration};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or IP address, and a TCP port.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket on this machine.
    Socket(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain text.
    Disabled,
    /// TLS where the server has it, else plain text. The certificate is not checked.
    Preferred,
    /// TLS without checking the certificate.
    Required,
    /// TLS; the certificate has to come from one of the authorities in the `ca_file`, whatever name it is for.
    VerifyCa,
    /// TLS; the certificate's chain and name are checked.
    VerifyIdentity,
}

impl TlsMode {
    /// Whether the server's certificate is checked.
    pub fn checks_certificates(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyIdentity)
    }
}

/// The client's own certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate with its chain (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

/// Signs of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// How often the server has to say that it is there; nothing for three of these times means that the connection is dead.
    pub every: Duration,
    /// A statement that is run on the server as often; `None` = the server is never written to.
    pub statement: Option<String>,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { every: Duration::from_secs(5), statement: None }
    }
}

/// How fast a source reads at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Changes a second.
    pub rows: Option<u64>,
    /// Bytes of source data a second.
    pub bytes: Option<u64>,
}
