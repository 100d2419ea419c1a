//! Connections to the server: how they are opened, what the server is, and what its errors mean.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt as _;
use mysql_async::{Conn, Opts, prelude::Queryable};
use tokio::time::timeout;

use super::{
    access::{self, Access},
    charset::Collations,
    position::Flavour,
};
use sluicegate_config::{MySqlSource, TlsMode};
use sluicegate_model::{Error, ErrorKind, Result, limits::CATALOGUE_TIME};

/// How to reach the server. Clones lead to the same one.
#[derive(Clone, Debug)]
pub struct Connector {
    access: Arc<Access>,
    /// The servers' addresses, for messages.
    addresses: Arc<[String]>,
    /// Which of them is the present one.
    turn: Arc<AtomicUsize>,
    /// Whether the present server has no TLS, where that is preferred only.
    plain: Arc<AtomicBool>,
    wait: Duration,
}

/// What kind of server answers.
#[derive(Clone, Debug)]
pub struct Server {
    /// MySQL or MariaDB.
    pub flavour: Flavour,
    /// `@@version`.
    pub version: String,
    /// What tells it from other servers: `@@server_uuid` of MySQL; `@@server_id` of MariaDB, which differs between all servers
    /// that replicate from each other (`@@server_uid` follows the network card, and changes with a container).
    pub identity: Option<Box<str>>,
    /// Whether GTIDs are logged for every transaction.
    pub gtids: bool,
    /// Whether names of databases and tables that differ in case only are the same (`lower_case_table_names`).
    pub ignores_case: bool,
    /// Whether it stores names of databases and tables in lower case.
    pub lower_case_names: bool,
    /// Its collations.
    pub collations: Arc<Collations>,
}

impl Connector {
    /// From the pipeline file's settings; requests wait at most `wait`.
    pub fn new(settings: &MySqlSource, wait: Duration) -> Self {
        // the clients take the process's provider, which has to be named where several are linked; the other sources name the same one
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            access: Arc::new(Access::new(settings)),
            addresses: settings.addresses.iter().map(ToString::to_string).collect(),
            turn: Arc::default(),
            plain: Arc::default(),
            wait,
        }
    }

    /// The present server for the blocking client; `None` when that cannot check certificates as the settings want it.
    pub async fn blocking(&self) -> Result<Option<mysql::OptsBuilder>> {
        if !access::blocking_can(&self.access) {
            return Ok(None);
        }
        let (access, turn, plain, wait) = (self.access.clone(), self.turn(), self.plain.load(Ordering::Relaxed), self.wait);
        reading(move || access.blocking(turn, plain, wait)).await.map(Some)
    }

    /// The present server's address, for messages.
    pub fn address(&self) -> &str {
        self.addresses.get(self.turn()).map_or("the server", String::as_str)
    }

    /// The connector of one of the servers, which stays the present one of it.
    pub fn only(&self, number: usize) -> Self {
        Self { turn: Arc::new(AtomicUsize::new(number)), plain: Arc::default(), ..self.clone() }
    }

    /// How many servers may take each other's place.
    pub fn servers(&self) -> usize {
        self.addresses.len()
    }

    /// The number of the present one.
    pub fn turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    /// From now on the next server is the present one.
    pub fn turn_to_next(&self) {
        let next = (self.turn() + 1) % self.servers().max(1);
        self.turn.store(next, Ordering::Relaxed);
    }

    /// Opens a connection to the present server, with passwords and certificates as they are now.
    pub async fn connect(&self) -> Result<Conn> {
        let (access, turn) = (self.access.clone(), self.turn());
        let opts = reading(move || access.opts(turn, false)).await?;
        let connecting = attempt(opts.clone());
        if self.access.tls() != TlsMode::Preferred {
            return self.within("connect to", connecting).await;
        }
        let connecting = async {
            match connecting.await {
                Err(mysql_async::Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer)) => {
                    self.plain.store(true, Ordering::Relaxed);
                    attempt(access::without_tls(opts).into()).await
                }
                outcome => {
                    self.plain.store(false, Ordering::Relaxed);
                    outcome
                }
            }
        };
        self.within("connect to", connecting).await
    }

    /// Waits for the server's answer, no longer than a single request may take.
    pub async fn within<T>(&self, doing: &str, answer: impl Future<Output = mysql_async::Result<T>>) -> Result<T> {
        self.waiting(self.wait, doing, answer).await
    }

    /// The account that it connects with.
    pub fn user(&self) -> &str {
        self.access.user()
    }

    /// The same for a query that looks at every table.
    pub async fn within_catalogue<T>(&self, answer: impl Future<Output = mysql_async::Result<T>>) -> Result<T> {
        self.waiting(self.wait.max(CATALOGUE_TIME), "query the catalogue of", answer).await
    }

    async fn waiting<T>(&self, wait: Duration, doing: &str, answer: impl Future<Output = mysql_async::Result<T>>) -> Result<T> {
        match timeout(wait, answer).await {
            Ok(answer) => answer.map_err(|e| self.explain(doing, e)),
            Err(_) => Err(Error::new(ErrorKind::Connection, format!("cannot {doing} {}: no answer within {wait:?}", self.address()))
                .remedy("Check host, port and firewall, and that the server is running.")),
        }
    }

    /// Asks the server what it is.
    pub async fn identify(&self, conn: &mut Conn) -> Result<Server> {
        let version: String = self.one(conn, "SELECT @@version").await?;
        let flavour = if version.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql };
        let (identity, gtids) = match flavour {
            Flavour::MariaDb => (self.one::<String>(conn, "SELECT CONCAT('server_id ', @@GLOBAL.server_id)").await?, true),
            Flavour::MySql => {
                let mode: String = self.one(conn, "SELECT @@GLOBAL.gtid_mode").await?;
                (self.one(conn, "SELECT @@server_uuid").await?, mode == "ON")
            }
        };
        let collations = self.collations(conn, flavour).await?;
        let case: u8 = self.one(conn, "SELECT @@lower_case_table_names").await?;
        Ok(Server {
            flavour,
            version,
            identity: Some(identity.into()),
            gtids,
            ignores_case: case != 0,
            lower_case_names: case == 1,
            collations: Arc::new(collations),
        })
    }

    async fn collations(&self, conn: &mut Conn, flavour: Flavour) -> Result<Collations> {
        // from MariaDB 10.10 on, one collation name has several numbers, which only the second view lists
        let split: Option<String> = match flavour {
            Flavour::MySql => None,
            Flavour::MariaDb => {
                let columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'information_schema' \
                    AND table_name = 'COLLATION_CHARACTER_SET_APPLICABILITY' AND column_name = 'ID'";
                self.within("query", conn.query_first(columns)).await?
            }
        };
        let view = if split.is_some() { "COLLATION_CHARACTER_SET_APPLICABILITY" } else { "COLLATIONS" };
        let query =
            format!("SELECT id, character_set_name FROM information_schema.{view} WHERE id IS NOT NULL AND character_set_name IS NOT NULL");
        let rows: Vec<(u64, String)> = self.within("query", conn.query(query)).await?;
        Ok(Collations::new(rows))
    }

    /// The first value of the first row, which has to be there.
    pub async fn one<T: mysql_async::prelude::FromValue + Send + 'static>(&self, conn: &mut Conn, query: &str) -> Result<T> {
        let row: Option<mysql_async::Row> = self.within("query", conn.query_first(query)).await?;
        row.and_then(|mut r| r.take_opt::<T, _>(0)).and_then(std::result::Result::ok).ok_or_else(|| {
            Error::new(ErrorKind::Connection, format!("{} gave no usable answer to '{query}'", self.address())).remedy(PASSING)
        })
    }

    /// What an error of the library or the server means for us: whether it is worth another try, and what to do.
    pub fn explain(&self, doing: &str, error: mysql_async::Error) -> Error {
        let message = format!("cannot {doing} {}", self.address());
        let (kind, remedy) = match &error {
            mysql_async::Error::Server(server) => explain_code(server.code, &server.message, self.access.user()),
            mysql_async::Error::Driver(mysql_async::DriverError::NoClientSslFlagFromServer) => {
                (ErrorKind::Precheck, "Enable TLS on the server, or set the source's tls to disabled.".to_owned())
            }
            mysql_async::Error::Driver(
                mysql_async::DriverError::UnknownAuthPlugin { .. }
                | mysql_async::DriverError::MysqlOldPasswordDisabled
                | mysql_async::DriverError::CleartextPluginDisabled,
            ) => (
                ErrorKind::Precheck,
                "Give the account an authentication plugin that can be used: caching_sha2_password (MySQL), ed25519 or mysql_native_password \
                 (MariaDB). docs/mysql.md lists them."
                    .to_owned(),
            ),
            mysql_async::Error::Io(io) if is_certificate_fault(io) => (
                ErrorKind::Precheck,
                "Check the server's certificate against ca_file and the host name (`tls: verify-ca` takes any name), and that cert_file and \
                 key_file belong together and are from an authority that the server trusts, where it asks for a certificate."
                    .to_owned(),
            ),
            _ => (ErrorKind::Connection, "Check host, port and firewall, and that the server is running.".to_owned()),
        };
        Error::new(kind, message).caused_by(error).remedy(remedy)
    }
}

/// Connects. The library panics at some answers of servers, and at MariaDB's parsec without a password.
async fn attempt(opts: Opts) -> mysql_async::Result<Conn> {
    let connected = AssertUnwindSafe(Conn::new(opts)).catch_unwind().await;
    connected.unwrap_or_else(|_| Err(mysql_async::DriverError::UnknownAuthPlugin { name: "one that needs a password".to_owned() }.into()))
}

/// Reads files for a connection, beside the runtime.
async fn reading<T: Send + 'static>(read: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(Error::new(ErrorKind::Internal, "reading a file panicked").caused_by(e)))
}

/// The TLS library's refusals come wrapped in plain input/output errors.
fn is_certificate_fault(error: &mysql_async::IoError) -> bool {
    match error {
        mysql_async::IoError::Tls(_) => true,
        mysql_async::IoError::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            // what the server says of our certificate
            Some(rustls::Error::AlertReceived(alert)) => {
                use rustls::AlertDescription::*;
                matches!(
                    alert,
                    BadCertificate
                        | UnsupportedCertificate
                        | CertificateRevoked
                        | CertificateExpired
                        | CertificateUnknown
                        | CertificateRequired
                        | UnknownCA
                        | AccessDenied
                        | DecryptError
                )
            }
            Some(fault) => fault.to_string().contains("certificate"),
            None => false,
        },
    }
}

/// The remedy for what passes by itself, mostly.
const PASSING: &str = "A running pipeline tries again by itself; if it goes on, look into the server's error log.";

/// Server error codes: <https://dev.mysql.com/doc/mysql-errors/9.0/en/server-error-reference.html>.
fn explain_code(code: u16, message: &str, user: &str) -> (ErrorKind, String) {
    match code {
        1698 => (ErrorKind::Precheck, format!("The account '{user}' logs in without a password, by unix_socket or a plugin like it: read over the source's `socket`, as the \
            operating system's user of that name; or give the account ed25519 or mysql_native_password (MySQL: caching_sha2_password).")),
        1045 => (ErrorKind::Precheck, format!("Check the source's user and password; the account is '{user}'. If it requires TLS or a certificate, set tls, cert_file and key_file.")),
        1044 | 1142 | 1227 => (
            ErrorKind::Precheck,
            format!("Grant the account what it lacks: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{user}'@'…'."),
        ),
        1130 => (ErrorKind::Precheck, "Create the account for the host that the program runs on.".into()),
        1820 | 1862 | 3118 | 4151 => (ErrorKind::Precheck, "Unlock the account or renew its password.".into()),
        1236 => explain_dump_error(message),
        1040 | 1203 | 1226 => (ErrorKind::Connection, "Raise max_connections or the account's own limits, or close other clients.".into()),
        1129 => (ErrorKind::Connection, "The server has blocked this host after errors: run mariadb-admin flush-hosts there, or in MySQL TRUNCATE TABLE performance_schema.host_cache.".into()),
        // shutting down, killed, lock waits and the like pass
        _ => (ErrorKind::Connection, PASSING.into()),
    }
}

/// Error 1236 (ER_SOURCE_FATAL_ERROR_READING_BINLOG) has many causes, told apart only by its text.
fn explain_dump_error(message: &str) -> (ErrorKind, String) {
    let lower = message.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|p| lower.contains(p));
    if has(&["server_uuid/server_id", "same server_id"]) {
        let remedy =
            "Another replica uses the same server id: set a server_id of its own in each pipeline's source, and run each pipeline once.";
        return (ErrorKind::Source, remedy.into());
    }
    if has(&[
        "purged",
        "could not find first log file",
        "probably the slave state is too old",
        "not in the master's binlog",
        "not in any binlog",
    ]) {
        let remedy = "The changes from there on are no longer in the server's binlog: keep binlogs longer (binlog_expire_logs_seconds), \
            and start anew with a new state file from a position that exists.";
        return (ErrorKind::Source, remedy.into());
    }
    if has(&["shutting down", "shutdown"]) {
        return (ErrorKind::Connection, PASSING.into());
    }
    let remedy = "The stored position does not fit this server's binlog: check that it is the same server and that nobody has run RESET; \
        else start anew with a new state file.";
    (ErrorKind::Source, remedy.into())
}
