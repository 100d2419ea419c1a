//! How the brokers of a sink or a source are reached.

use std::collections::BTreeMap;

use super::{
    super::{
        ClientCertificate, KafkaSecurity, PasswordMechanism, Sasl, Secret, TlsMode, is_security_option,
        raw::{RawKafkaTls, RawOption, RawSasl, RawSaslMechanism, RawSecret},
    },
    check::Check,
    server::is_loopback,
};

/// The settings of a sink or a source from which the way to its brokers follows.
pub(super) struct RawConnection<'a> {
    pub brokers: &'a str,
    pub options: &'a BTreeMap<String, RawOption>,
    pub tls: Option<RawKafkaTls>,
    pub ca_file: Option<String>,
    pub cert_file: Option<String>,
    pub key_file: Option<String>,
    pub key_password: Option<RawSecret>,
    pub sasl: Option<RawSasl>,
}

impl Check<'_> {
    /// librdkafka's settings of a sink or source; `refused` says why one of them cannot be set.
    pub(super) fn kafka_options(
        &mut self,
        path: &str,
        raw: BTreeMap<String, RawOption>,
        refused: fn(&str) -> Option<&'static str>,
    ) -> BTreeMap<String, Secret> {
        let mut options = BTreeMap::new();
        for (name, value) in raw {
            let at = format!("{path}.options.{name}");
            if let Some(reason) = refused(&name) {
                self.refuse(&at, format!("this setting is not free: {reason}"), "remove it");
            }
            let value = self.secret(&at, value.0);
            options.insert(name, value);
        }
        options
    }

    /// TLS and login; `None` where nothing is said of them, and librdkafka's `options` count.
    pub(super) fn kafka_security(&mut self, path: &str, raw: RawConnection<'_>) -> Option<KafkaSecurity> {
        let files = [raw.ca_file.is_some(), raw.cert_file.is_some(), raw.key_file.is_some(), raw.key_password.is_some()];
        if raw.tls.is_none() && raw.sasl.is_none() && !files.contains(&true) {
            return None;
        }
        for name in raw.options.keys().filter(|name| is_security_option(name)) {
            self.refuse(
                format!("{path}.options.{name}"),
                "`tls`, `sasl` and the files beside them set it",
                "remove it, or set everything about TLS and the login in `options`",
            );
        }
        let near = raw.brokers.split(',').all(|broker| is_loopback(host(broker)));
        let tls = match raw.tls {
            Some(RawKafkaTls::Disabled) => TlsMode::Disabled,
            Some(RawKafkaTls::Required) => TlsMode::Required,
            Some(RawKafkaTls::VerifyCa) => TlsMode::VerifyCa,
            Some(RawKafkaTls::VerifyIdentity) => TlsMode::VerifyIdentity,
            None if near && !files.contains(&true) => TlsMode::Disabled,
            None => TlsMode::VerifyIdentity,
        };
        let ca_file = raw.ca_file.as_deref().map(|file| self.path(&format!("{path}.ca_file"), file));
        if ca_file.is_some() && !tls.checks_certificates() {
            self.refuse(
                format!("{path}.ca_file"),
                "certificates are not checked with this `tls`",
                "write `tls: verify-identity` or `tls: verify-ca`, or leave this out",
            );
        }
        if ca_file.is_none() && tls == TlsMode::VerifyCa {
            self.refuse(
                format!("{path}.tls"),
                "without a `ca_file` every certificate of a public authority would do, whoever it is for",
                "add the authority's certificate as `ca_file`, or write `tls: verify-identity`",
            );
        }
        let client = self.kafka_certificate(path, &raw, tls);
        let key_password = raw.key_password.map(|raw| self.secret(&format!("{path}.key_password"), raw));
        if key_password.is_some() && !files[2] {
            self.refuse(format!("{path}.key_password"), "there is no `key_file`", "add `cert_file` and `key_file`, or leave this out");
        }
        let sasl = raw.sasl.and_then(|raw| self.sasl(&format!("{path}.sasl"), raw));
        if matches!((&sasl, tls), (Some(Sasl::Token(_)), TlsMode::Disabled)) && !near {
            self.refuse(format!("{path}.sasl.token"), "a token would be sent in plain text", "write `tls: verify-identity`");
        }
        Some(KafkaSecurity { tls, ca_file, client, key_password, sasl })
    }

    fn kafka_certificate(&mut self, path: &str, raw: &RawConnection<'_>, tls: TlsMode) -> Option<ClientCertificate> {
        let client = self.client_certificate(path, raw.cert_file.as_deref(), raw.key_file.as_deref());
        if client.is_some() && tls == TlsMode::Disabled {
            self.refuse(
                format!("{path}.cert_file"),
                "the connection is not encrypted with this `tls`",
                "write `tls: verify-identity`, or leave this out",
            );
        }
        client
    }

    fn sasl(&mut self, path: &str, raw: RawSasl) -> Option<Sasl> {
        let mechanism = match raw.mechanism {
            RawSaslMechanism::Plain => PasswordMechanism::Plain,
            RawSaslMechanism::ScramSha256 => PasswordMechanism::ScramSha256,
            RawSaslMechanism::ScramSha512 => PasswordMechanism::ScramSha512,
            RawSaslMechanism::Oauthbearer => return self.token(path, raw),
        };
        if raw.token.is_some() {
            self.refuse(format!("{path}.token"), "it is for `mechanism: oauthbearer`", "leave it out, or set that mechanism");
        }
        match (raw.user, raw.password) {
            (Some(user), Some(password)) => {
                let user = self.text(format!("{path}.user"), user, "the account's name");
                let password = self.secret(&format!("{path}.password"), password);
                Some(Sasl::Password { mechanism, user, password })
            }
            _ => {
                self.refuse(path, format!("{mechanism} needs an account"), "write `user` and `password`");
                None
            }
        }
    }

    fn token(&mut self, path: &str, raw: RawSasl) -> Option<Sasl> {
        if raw.user.is_some() || raw.password.is_some() {
            self.refuse(path, "with `mechanism: oauthbearer` the token says who connects", "leave `user` and `password` out");
        }
        let Some(token) = raw.token else {
            self.refuse(path, "OAUTHBEARER needs a token", "write `token: { file: /path/to/it }`");
            return None;
        };
        Some(Sasl::Token(self.secret(&format!("{path}.token"), token)))
    }
}

/// The host of `host:port`, without brackets.
pub(super) fn host(broker: &str) -> &str {
    let broker = broker.trim();
    let host = match broker.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => broker,
    };
    host.trim_matches(['[', ']'])
}
