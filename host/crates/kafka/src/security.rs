//! TLS and login, as librdkafka is told of them. Passwords and certificates are renewed while a pipeline runs, so they are read again
//! for each client.

use std::path::Path;

use rdkafka::ClientConfig;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use sluicegate_config::{KafkaConnection, KafkaSecurity, Sasl, Secret, TlsMode};
use sluicegate_model::{Error, ErrorKind, Result, limits::CERTIFICATE_FILE_BYTES};
use sluicegate_storage::file;

/// Sets what belongs to the connection.
///
/// # Errors
/// `Precheck`: a file cannot be used.
pub fn apply(config: &mut ClientConfig, connection: KafkaConnection<'_>) -> Result<()> {
    let Some(security) = connection.security else { return Ok(()) };
    let encrypted = security.tls != TlsMode::Disabled;
    let protocol = match (encrypted, &security.sasl) {
        (false, None) => "plaintext",
        (false, Some(_)) => "sasl_plaintext",
        (true, None) => "ssl",
        (true, Some(_)) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if encrypted {
        tls(config, connection, security)?;
    }
    if let Some(sasl) = &security.sasl {
        config.set("sasl.mechanism", sasl.mechanism());
        if let Sasl::Password { user, password, .. } = sasl {
            config.set("sasl.username", user).set("sasl.password", renewed(connection, password, "password")?.reveal());
        }
    }
    Ok(())
}

fn tls(config: &mut ClientConfig, connection: KafkaConnection<'_>, security: &KafkaSecurity) -> Result<()> {
    let named = if security.tls == TlsMode::VerifyIdentity { "https" } else { "none" };
    config
        .set("enable.ssl.certificate.verification", security.tls.checks_certificates().to_string())
        .set("ssl.endpoint.identification.algorithm", named);
    match authorities(connection, security)? {
        Some(text) => config.set("ssl.ca.pem", text),
        // OpenSSL is part of the program, and knows nothing of where this system keeps them
        None => config.set("ssl.ca.location", "probe"),
    };
    if let Some(client) = &security.client {
        let key = read(connection, &client.key, "key_file")?;
        if !key.contains("PRIVATE KEY-----") {
            return Err(unusable(connection, &client.key, "holds no private key", "key_file"));
        }
        let encrypted = key.contains("BEGIN ENCRYPTED PRIVATE KEY-----") || key.contains("4,ENCRYPTED");
        match (&security.key_password, encrypted) {
            (Some(password), _) => drop(config.set("ssl.key.password", renewed(connection, password, "key_password")?.reveal())),
            (None, true) => {
                return Err(Error::new(ErrorKind::Precheck, format!("the private key in {} is encrypted", client.key.display()))
                    .remedy(format!("set the {}'s `key_password`", connection.of)));
            }
            (None, false) => {}
        }
        config.set("ssl.certificate.pem", certificates(connection, &client.certificate, "cert_file")?).set("ssl.key.pem", key);
    }
    Ok(())
}

/// The certificates of the authorities that the settings name.
pub(crate) fn authorities(connection: KafkaConnection<'_>, security: &KafkaSecurity) -> Result<Option<String>> {
    let file = security.ca_file.as_ref().filter(|_| security.tls.checks_certificates());
    file.map(|path| certificates(connection, path, "ca_file")).transpose()
}

/// The secret as it is now.
pub fn renewed(connection: KafkaConnection<'_>, secret: &Secret, key: &str) -> Result<Secret> {
    secret.renewed().map_err(|cause| {
        let path = secret.file().unwrap_or(Path::new("?")).display();
        Error::new(ErrorKind::Precheck, format!("cannot read the secret in {path}"))
            .caused_by(cause)
            .remedy(format!("let the {}'s `{key}` lead to a text file that the program may read", connection.of))
    })
}

fn certificates(connection: KafkaConnection<'_>, path: &Path, key: &str) -> Result<String> {
    let text = read(connection, path, key)?;
    match CertificateDer::pem_slice_iter(text.as_bytes()).next() {
        Some(Ok(_)) => Ok(text),
        _ => Err(unusable(connection, path, "holds no certificate", key)),
    }
}

fn read(connection: KafkaConnection<'_>, path: &Path, key: &str) -> Result<String> {
    file::read_text(path, CERTIFICATE_FILE_BYTES).map_err(|cause| unusable(connection, path, "cannot be read", key).caused_by(cause))
}

fn unusable(connection: KafkaConnection<'_>, path: &Path, what: &str, key: &str) -> Error {
    Error::new(ErrorKind::Precheck, format!("the file {} {what}", path.display()))
        .remedy(format!("let the {}'s `{key}` lead to a PEM file that the program may read (`-----BEGIN …-----`)", connection.of))
}
