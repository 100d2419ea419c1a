//! Connections to the server.

use std::sync::Arc;

use futures_util::TryStreamExt;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, QueryStream, Row, ToSql};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};

use super::{
    fault::{CONNECT, Fault, explain},
    sql,
    value::Parameter,
};
use sluicegate_config::{Isolation, SqlLogin, SqlServerSource, SqlTls};
use sluicegate_model::{
    Error, ErrorKind,
    limits::{CERTIFICATE_FILE_BYTES, Limits, MOST_ROUTES},
};
use sluicegate_storage::file;

/// Rows that an answer of the catalogue has at most.
const CATALOGUE_ROWS: usize = 200_000;

/// Makes connections to a database.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    settings: Arc<SqlServerSource>,
    limits: Limits,
    database: Arc<str>,
    address: Arc<str>,
}

/// A connection. After any fault it is dropped: the stream may be out of step.
#[derive(Debug)]
pub(super) struct Conn {
    client: Client<Compat<TcpStream>>,
    address: Arc<str>,
    /// Whether the server knows encrypted and masked columns, and row-level security; known with its facts.
    pub(super) protects: bool,
}

impl Connector {
    pub(super) fn new(settings: Arc<SqlServerSource>, limits: Limits, database: &str) -> Self {
        // one implementation for the process; whoever named it before has the same
        let _ = rustls::crypto::ring::default_provider().install_default();
        let address = format!("{}:{}/{}", settings.host, settings.port, database).into();
        Self { settings, limits, database: database.into(), address }
    }

    /// The database, as the settings name it.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// `host:port/database`, for messages.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    async fn config(&self) -> Result<Config, Error> {
        let settings = &self.settings;
        let mut config = Config::new();
        config.database(&self.database);
        config.application_name("sluicegate");
        config.authentication(match &settings.login {
            SqlLogin::Password { user, password } => AuthMethod::sql_server(user, password.reveal()),
            SqlLogin::Token(token) => AuthMethod::aad_token(token.reveal()),
        });
        config.encryption(match settings.tls {
            SqlTls::Disabled => EncryptionLevel::NotSupported,
            SqlTls::Required | SqlTls::VerifyIdentity => EncryptionLevel::Required,
            SqlTls::Strict => EncryptionLevel::Strict,
        });
        match settings.tls {
            SqlTls::Disabled | SqlTls::Required => config.trust_cert(),
            SqlTls::VerifyIdentity | SqlTls::Strict => {
                config.trust_webpki_roots();
                if let Some(path) = &settings.ca_file {
                    let unreadable = |cause: std::io::Error| {
                        Error::new(ErrorKind::Precheck, format!("cannot read the certificates in {}", path.display()))
                            .caused_by(cause)
                            .remedy("Set the source's ca_file to a PEM or DER file that the program may read.")
                    };
                    let owned = path.clone();
                    let read = tokio::task::spawn_blocking(move || file::read(&owned, CERTIFICATE_FILE_BYTES)).await;
                    config.trust_cert_ca_bundle(read.map_err(std::io::Error::other).and_then(|read| read).map_err(unreadable)?);
                }
            }
        }
        config.readonly(settings.read_only_intent);
        config.lossy_utf16_decoding(settings.replace_invalid_text);
        config.handshake_timeout(Some(self.limits.connect_timeout));
        config.command_timeout(Some(settings.query_timeout));
        Ok(config)
    }

    /// Opens a connection, with its session set up.
    pub(super) async fn connect(&self) -> Result<Conn, Fault> {
        let (mut host, mut port) = (self.settings.host.clone(), self.settings.port);
        for _ in 0..MOST_ROUTES {
            let mut config = self.config().await?;
            config.host(&host);
            config.port(port);
            let unreachable = |what: String| {
                Fault::Broken(
                    Error::new(ErrorKind::Connection, format!("cannot connect to {}: {what}", self.address))
                        .remedy("Check host, port and firewall, and that the server is running."),
                )
            };
            let bare = host.trim_matches(['[', ']']).to_owned();
            let stream = match timeout(self.limits.connect_timeout, TcpStream::connect((bare.as_str(), port))).await {
                Err(_) => return Err(unreachable(format!("no answer within {:?}", self.limits.connect_timeout))),
                Ok(Err(error)) => return Err(unreachable(error.to_string())),
                Ok(Ok(stream)) => stream,
            };
            stream.set_nodelay(true).map_err(|error| unreachable(error.to_string()))?;
            match Client::connect(config, stream.compat_write()).await {
                // the listener of an availability group sends on to the replica that answers
                Err(tiberius::error::Error::Routing { host: other, port: other_port }) => (host, port) = (other, other_port),
                Err(error) => return Err(explain(&self.address, CONNECT, error)),
                Ok(client) => {
                    let mut conn = Conn { client, address: self.address.clone(), protects: false };
                    conn.batch(sql::SESSION).await?;
                    let level = match self.settings.isolation {
                        Isolation::RepeatableRead => Some("REPEATABLE READ"),
                        Isolation::Serializable => Some("SERIALIZABLE"),
                        Isolation::Auto | Isolation::Snapshot | Isolation::ReadCommitted => None,
                    };
                    if let Some(level) = level {
                        conn.batch(&sql::isolation(level)).await?;
                    }
                    if let Some(text) = &self.settings.initial_query {
                        conn.batch(text).await.map_err(Fault::of_initial_query)?;
                    }
                    return Ok(conn);
                }
            }
        }
        Err(Fault::Final(
            Error::new(ErrorKind::Precheck, format!("{} sends connections on from server to server", self.address))
                .remedy("Correct the routing of the availability group, or leave `read_only_intent` out."),
        ))
    }
}

impl Conn {
    /// Runs a batch; what it answers is passed over.
    pub(super) async fn batch(&mut self, text: &str) -> Result<(), Fault> {
        let address = self.address.clone();
        let passed = async {
            let mut answer = self.client.simple_query(text).await?;
            while answer.try_next().await?.is_some() {}
            Ok(())
        };
        passed.await.map_err(|error| explain(&address, "query", error))
    }

    /// All rows of a query of the catalogue.
    pub(super) async fn rows(&mut self, text: &str, parameters: &[Parameter]) -> Result<Vec<Row>, Fault> {
        let address = self.address.clone();
        let mut answer = self.stream(text, parameters).await?;
        let mut rows = Vec::new();
        while let Some(item) = answer.try_next().await.map_err(|error| explain(&address, "query", error))? {
            if let Some(row) = item.into_row() {
                rows.push(row);
                if rows.len() > CATALOGUE_ROWS {
                    return Err(Fault::Final(
                        Error::new(ErrorKind::Source, format!("{address} describes more than {CATALOGUE_ROWS} tables or columns at once"))
                            .remedy("Name fewer tables in each entry of the source's `tables`."),
                    ));
                }
            }
        }
        Ok(rows)
    }

    /// The rows of a query, one by one.
    pub(super) async fn stream<'a>(&'a mut self, text: &str, parameters: &[Parameter]) -> Result<QueryStream<'a>, Fault> {
        let parameters: Vec<&dyn ToSql> = parameters.iter().map(|parameter| parameter as &dyn ToSql).collect();
        let address = self.address.clone();
        self.client.query(text.to_owned(), &parameters).await.map_err(|error| explain(&address, "query", error))
    }

    /// What an error in the middle of an answer means.
    pub(super) fn explain(address: &str, error: tiberius::error::Error) -> Fault {
        explain(address, "read from", error)
    }
}
