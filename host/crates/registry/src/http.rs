//! Requests to a registry: one address after the other, each with the login as it is now.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::answer::Answer;
use sluicegate_config::{ClientCertificate, Registry as Settings, RegistryLogin, Secret};
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{CERTIFICATE_FILE_BYTES, REGISTRY_ANSWER_BYTES},
};
use sluicegate_storage::file;

const JSON: &str = "application/vnd.schemaregistry.v1+json";

/// How requests are made.
pub(super) struct Http {
    settings: Settings,
    timeout: Duration,
}

type Response = ureq::http::Response<ureq::Body>;

/// The outer error is one of the settings or of the answer as a whole; the inner one is a registry that is away.
type Outcome = Result<Result<Answer>>;

impl Http {
    pub(super) fn new(settings: &Settings, timeout: Duration) -> Self {
        Self { settings: settings.clone(), timeout }
    }

    pub(super) fn get(&self, path: &str) -> Outcome {
        self.each(|agent, url, login| {
            let request = agent.get(format!("{url}{path}")).header("Accept", JSON);
            match login {
                Some(login) => request.header("Authorization", login).call(),
                None => request.call(),
            }
        })
    }

    pub(super) fn post(&self, path: &str, body: &str) -> Outcome {
        self.each(|agent, url, login| {
            let request = agent.post(format!("{url}{path}")).header("Accept", JSON).header("Content-Type", JSON);
            match login {
                Some(login) => request.header("Authorization", login).send(body),
                None => request.send(body),
            }
        })
    }

    /// The first answer that any of the addresses gives.
    fn each(&self, send: impl Fn(&Agent, &str, Option<&str>) -> Result<Response, ureq::Error>) -> Outcome {
        // requests are rare: a connection that was kept would be one that the other side has closed
        let agent = self.agent()?;
        let login = self.login()?;
        let mut last = None;
        for url in &self.settings.urls {
            match send(&agent, url, login.as_deref()).and_then(read) {
                Ok(answer) if answer.passes() && self.settings.urls.len() > 1 => last = Some(Ok(answer)),
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => {
                    last.get_or_insert_with(|| {
                        let error = Error::new(ErrorKind::Sink, format!("the schema registry {url} cannot be reached"))
                            .caused_by(error)
                            .remedy("see that it runs, that `registry.url` is its address, and that its certificate is one that `ca_file` or a public authority vouches for")
                            .that_may_pass(true);
                        Err(error)
                    });
                }
            }
        }
        Ok(last.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "a schema registry without an address"))))
    }

    fn agent(&self) -> Result<Agent> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &self.settings.ca_file {
            let mut certificates = Vec::new();
            for item in pem(path, "the certificates", "ca_file")? {
                if let PemItem::Certificate(certificate) = item {
                    certificates.push(certificate);
                }
            }
            if certificates.is_empty() {
                return Err(unusable(path, "the certificates", "ca_file"));
            }
            tls = tls.root_certs(RootCerts::Specific(Arc::new(certificates)));
        }
        if let Some(client) = &self.settings.client {
            tls = tls.client_cert(Some(identity(client)?));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_global(Some(self.timeout))
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        Ok(config.build().into())
    }

    /// The value of the header that says who we are.
    fn login(&self) -> Result<Option<String>> {
        let now = |secret: &Secret, setting: &str| {
            secret.renewed().map_err(|error| {
                Error::new(ErrorKind::Sink, format!("the file of the registry's `{setting}` cannot be read"))
                    .caused_by(error)
                    .remedy("let the account that runs the pipeline read it, then start again: nothing is lost")
                    .that_may_pass(true)
            })
        };
        Ok(match &self.settings.login {
            RegistryLogin::Anonymous => None,
            RegistryLogin::Basic { user, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", now(password, "password")?.reveal()))))
            }
            RegistryLogin::Bearer(token) => Some(format!("Bearer {}", now(token, "token")?.reveal())),
        })
    }
}

/// Status and body.
fn read(mut response: Response) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(REGISTRY_ANSWER_BYTES).read_to_string()?;
    Ok(Answer { status, body })
}

fn identity(client: &ClientCertificate) -> Result<ClientCert> {
    let chain: Vec<Certificate<'static>> = pem(&client.certificate, "the certificate", "cert_file")?
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    let key = pem(&client.key, "the private key", "key_file")?.into_iter().find_map(|item| match item {
        PemItem::PrivateKey(key) => Some(key),
        _ => None,
    });
    match key {
        Some(key) if !chain.is_empty() => Ok(ClientCert::new_with_certs(&chain, key)),
        Some(_) => Err(unusable(&client.certificate, "the certificate", "cert_file")),
        None => Err(unusable(&client.key, "the private key", "key_file")),
    }
}

fn pem(path: &Path, what: &str, setting: &str) -> Result<Vec<PemItem<'static>>> {
    let bytes = file::read(path, CERTIFICATE_FILE_BYTES).map_err(|error| unusable(path, what, setting).caused_by(error))?;
    parse_pem(&bytes).collect::<Result<_, _>>().map_err(|error| unusable(path, what, setting).caused_by(error))
}

fn unusable(path: &Path, what: &str, setting: &str) -> Error {
    Error::new(ErrorKind::Precheck, format!("cannot use {what} in {}", path.display()))
        .remedy(format!("set the registry's `{setting}` to a PEM file that the program may read"))
}

/// A name as a part of a path.
pub(super) fn path_segment(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
