//! What a connection is opened with: address, account, TLS. Passwords and certificates are renewed while a pipeline runs, so they
//! are read again for each connection.

use std::{path::Path, time::Duration};

use mysql_async::{ClientIdentity, Opts, OptsBuilder, SslOpts};

use sluicegate_config::{Address, ClientCertificate, MySqlSource, Secret, TlsMode};
use sluicegate_model::{Error, ErrorKind, Result, limits::CERTIFICATE_FILE_BYTES};
use sluicegate_storage::file;

/// A replica has to take packets of the largest size that the protocol has, whatever the server's own setting.
const MAX_PACKET: usize = 1 << 30;

/// The name that certificates are checked for where any name will do. `mysql_async` leaves out the check of the name by looking for
/// this word in the text of the TLS library's error, which holds it only when the error quotes the name that was expected.
/// Were that to change, connections would be refused, not let through.
const ANY_NAME: &str = "NotValidForName";

/// What every connection begins with, whatever the server's own settings: a limit on rows would leave out tables and columns in silence.
const WHOLE_ANSWERS: &str = "SET SESSION sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_quote_show_create = 1";

/// How servers are reached.
#[derive(Debug)]
pub struct Access {
    addresses: Vec<Address>,
    user: String,
    password: Secret,
    tls: TlsMode,
    ca_file: Option<std::path::PathBuf>,
    client: Option<ClientCertificate>,
}

/// Whether the blocking client can check certificates as the settings want it: with a `ca_file` it trusts the public authorities, too.
pub fn blocking_can(access: &Access) -> bool {
    access.ca_file.is_none()
}

/// The same connection in plain text.
pub fn without_tls(opts: Opts) -> OptsBuilder {
    OptsBuilder::from_opts(opts).ssl_opts(None)
}

impl Access {
    /// As the pipeline file says.
    pub fn new(settings: &MySqlSource) -> Self {
        Self {
            addresses: settings.addresses.clone(),
            user: settings.user.clone(),
            password: settings.password.clone(),
            tls: settings.tls,
            ca_file: settings.ca_file.clone().filter(|_| settings.tls.checks_certificates()),
            client: settings.client.clone(),
        }
    }

    /// The account's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// How connections are protected.
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    fn password(&self) -> Result<Secret> {
        self.password.renewed().map_err(|cause| {
            let path = self.password.file().unwrap_or(Path::new("?")).display();
            Error::new(ErrorKind::Precheck, format!("cannot read the password in {path}"))
                .caused_by(cause)
                .remedy("Let the source's password lead to a text file that the program may read.")
        })
    }

    /// For the address of this number.
    pub fn opts(&self, number: usize, plain: bool) -> Result<Opts> {
        let tls = if plain { None } else { self.ssl()? };
        let password = self.password()?;
        let opts = OptsBuilder::default()
            .user(Some(self.user.clone()))
            .pass(Some(password.reveal()))
            // a socket would change who the account is, and its path would not pass through the TLS settings
            .prefer_socket(false)
            .tcp_nodelay(true)
            .max_allowed_packet(Some(MAX_PACKET))
            .init(vec![WHOLE_ANSWERS])
            .ssl_opts(tls);
        Ok(match self.addresses.get(number) {
            Some(Address::Tcp { host, port }) => opts.ip_or_hostname(host.clone()).tcp_port(*port),
            Some(Address::Socket(path)) => opts.socket(Some(path.display().to_string())),
            None => opts,
        }
        .into())
    }

    fn ssl(&self) -> Result<Option<SslOpts>> {
        let checked = match self.tls {
            TlsMode::Disabled => return Ok(None),
            TlsMode::Preferred | TlsMode::Required => {
                SslOpts::default().with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true)
            }
            TlsMode::VerifyCa => {
                SslOpts::default().with_danger_skip_domain_validation(true).with_danger_tls_hostname_override(Some(ANY_NAME))
            }
            TlsMode::VerifyIdentity => SslOpts::default(),
        };
        let trusting = match &self.ca_file {
            None => checked,
            Some(path) => {
                let certificates = read(path, "the certificates", "ca_file")?;
                checked.with_root_certs(vec![certificates.into()]).with_disable_built_in_roots(true)
            }
        };
        let Some(client) = &self.client else { return Ok(Some(trusting)) };
        let certificate = read(&client.certificate, "the certificate", "cert_file")?;
        let key = read(&client.key, "the private key", "key_file")?;
        Ok(Some(trusting.with_client_identity(Some(ClientIdentity::new(certificate.into(), key.into())))))
    }

    /// The same for the blocking client.
    pub fn blocking(&self, number: usize, plain: bool, wait: Duration) -> Result<mysql::OptsBuilder> {
        let tls = match self.tls {
            TlsMode::Disabled => None,
            TlsMode::Preferred | TlsMode::Required => {
                Some(mysql::SslOpts::default().with_danger_accept_invalid_certs(true).with_danger_skip_domain_validation(true))
            }
            TlsMode::VerifyCa | TlsMode::VerifyIdentity => Some(mysql::SslOpts::default()),
        };
        let identity = self.client.clone().map(|client| mysql::ClientIdentity::new(client.certificate, client.key));
        let password = self.password()?;
        let opts = mysql::OptsBuilder::new()
            .user(Some(self.user.clone()))
            .pass(Some(password.reveal()))
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_connect_timeout(Some(wait))
            .max_allowed_packet(Some(MAX_PACKET))
            .ssl_opts(tls.filter(|_| !plain).map(|tls| tls.with_client_identity(identity)));
        Ok(match self.addresses.get(number) {
            Some(Address::Tcp { host, port }) => opts.ip_or_hostname(Some(host.clone())).tcp_port(*port),
            Some(Address::Socket(path)) => opts.socket(Some(path.display().to_string())),
            None => opts,
        })
    }
}

fn read(path: &Path, what: &str, setting: &str) -> Result<Vec<u8>> {
    file::read(path, CERTIFICATE_FILE_BYTES).map_err(|cause| {
        Error::new(ErrorKind::Precheck, format!("cannot read {what} in {}", path.display()))
            .caused_by(cause)
            .remedy(format!("Set the source's {setting} to a PEM or DER file that the program may read."))
    })
}
