//! What keeps connections to the brokers from coming about: TLS, the login, or the broker that is not there.
//!
//! librdkafka reports it as text, while it goes on trying. Which certificate it refused, and why, it does not say; that is looked up.

use std::time::Duration;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::{
    handshake::{self, Answer, Fault},
    security,
    token::Tokens,
};
use sluicegate_config::{KafkaConnection, KafkaSecurity, Sasl, TlsMode};
use sluicegate_model::{Error, ErrorKind};

/// How soon somebody answers a greeting who is awake.
const AT_ONCE: Duration = Duration::from_secs(2);

/// What librdkafka told last of the connections, or what says most.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The kind of trouble.
    pub code: Code,
    /// As librdkafka writes it.
    pub text: String,
}

impl Trouble {
    /// Whether it says at least as much as what is known: that a login was refused is not forgotten when the connection that follows is
    /// cut, and that all brokers are down says less than why one of them is.
    pub fn outweighs(&self, known: &Self) -> bool {
        self.weight() >= known.weight()
    }

    fn weight(&self) -> u8 {
        match self.code {
            _ if self.is_final() => 2,
            Code::AllBrokersDown => 0,
            _ => 1,
        }
    }

    /// Whether the login was refused.
    pub fn is_login(&self) -> bool {
        matches!(self.code, Code::Authentication | Code::SaslAuthenticationFailed)
    }

    /// Whether a certificate or the login was refused, on either side: trying again does not mend it. A broker that ends may break a
    /// handshake, too.
    pub fn is_final(&self) -> bool {
        self.is_login() || self.is_certificate() || (self.is_tls() && self.text.contains(" alert "))
    }

    /// Whether the broker's certificate was refused.
    fn is_certificate(&self) -> bool {
        self.text.contains("certificate verify failed") || self.text.contains("verify broker certificate")
    }

    fn is_tls(&self) -> bool {
        self.code == Code::SSL || self.text.contains("SSL routines") || self.text.contains("SSL handshake failed")
    }

    /// The broker that it is about, as `host:port`.
    fn broker(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once("://")?;
        rest.split(['/', ' ']).next().filter(|address| address.contains(':'))
    }
}

/// The error of connections that TLS or the login keep from coming about; `None` where it is neither. `patience` bounds a look at the
/// broker. Of kind `Precheck` where waiting does not help, else `Connection`.
pub fn explain(connection: KafkaConnection<'_>, trouble: &Trouble, patience: Duration) -> Option<Error> {
    let broker = trouble.broker().unwrap_or(connection.brokers);
    let error = if trouble.is_login() {
        login(connection, broker, &trouble.text)
    } else if trouble.is_certificate() {
        certificate(connection, broker, patience)
    } else if trouble.is_tls() {
        tls(connection, broker, &trouble.text, patience)
    } else {
        return None;
    };
    Some(error.caused_by(trouble.text.clone()))
}

/// What brokers that take connections and answer nothing may want. librdkafka does not tell of connections that are closed at once.
pub fn suspect(connection: KafkaConnection<'_>, patience: Duration) -> Option<Error> {
    let patience = patience.min(AT_ONCE);
    let (broker, answer) =
        connection.brokers.split(',').find_map(|broker| Some((broker.trim(), handshake::greet(broker.trim(), patience)?)))?;
    let protocol = protocol(connection);
    match answer {
        Answer::Certificates(_) if !protocol.contains("ssl") => {
            Some(Error::new(ErrorKind::Precheck, format!("{broker} speaks TLS, and the {} does not", connection.of)).remedy(with_options(
                connection,
                "set `tls: verify-identity` (and `ca_file` for an authority of your own)",
                "`security.protocol`",
            )))
        }
        Answer::NoTls { hung_up } if protocol.contains("ssl") => Some(no_tls(connection, broker, hung_up)),
        _ if !protocol.contains("sasl") => Some(
            Error::new(
                ErrorKind::Connection,
                format!("{broker} takes connections and answers nothing, as brokers do that wait for a login"),
            )
            .remedy(with_options(
                connection,
                &format!("set the {}'s `sasl`, or name the port of a listener without a login in `brokers`", connection.of),
                "`security.protocol`",
            )),
        ),
        _ => None,
    }
}

/// librdkafka's word for TLS and login.
fn protocol(connection: KafkaConnection<'_>) -> String {
    match connection.security {
        Some(KafkaSecurity { tls, sasl, .. }) => {
            let tls = if *tls == TlsMode::Disabled { "plaintext" } else { "ssl" };
            if sasl.is_some() { format!("sasl_{tls}") } else { tls.to_owned() }
        }
        None => connection.options.get("security.protocol").map_or_else(String::new, |word| word.reveal().to_ascii_lowercase()),
    }
}

/// For those who set TLS and login in librdkafka's own words, these.
fn with_options(connection: KafkaConnection<'_>, remedy: &str, options: &str) -> String {
    match connection.security {
        None if !connection.options.is_empty() => format!("{remedy}; or correct {options} in the {}'s `options`", connection.of),
        _ => remedy.to_owned(),
    }
}

fn login(connection: KafkaConnection<'_>, broker: &str, text: &str) -> Error {
    let refused = |remedy: String| Error::new(ErrorKind::Precheck, format!("{broker} refused the login")).remedy(remedy);
    let Some(sasl) = connection.security.and_then(|security| security.sasl.as_ref()) else {
        return refused(format!(
            "correct `security.protocol`, `sasl.mechanism`, `sasl.username` and `sasl.password` in the {}'s `options`",
            connection.of
        ));
    };
    // it had none to show
    if let Err(error) = Tokens::of(connection).current() {
        return error;
    }
    let mechanism = sasl.mechanism();
    if text.contains("SASL state") {
        return Error::new(ErrorKind::Precheck, format!("{broker} takes no login at this port"))
            .remedy("name the port of a listener of `SASL_SSL` or `SASL_PLAINTEXT` in `brokers`, or leave `sasl` out");
    }
    if text.contains("mechanism handshake failed") {
        return Error::new(ErrorKind::Precheck, format!("{broker} does not take {mechanism}")).remedy(format!(
            "set the `mechanism` of the {}'s `sasl` to one that the broker supports, or add it to its `sasl.enabled.mechanisms`",
            connection.of
        ));
    }
    match sasl {
        Sasl::Password { user, .. } => refused(format!(
            "correct `user` and `password` of the {}'s `sasl`; the account is `{user}`, and needs a password for {mechanism}",
            connection.of
        )),
        Sasl::Token(_) => refused("see that the token's signature, issuer, audience and scope are those that the brokers expect".into()),
    }
}

fn tls(connection: KafkaConnection<'_>, broker: &str, text: &str, patience: Duration) -> Error {
    let client = connection.security.is_some_and(|security| security.client.is_some());
    let about = ["certificate", "unknown ca", "handshake failure"];
    if text.split_once(" alert ").is_some_and(|(_, alert)| about.iter().any(|word| alert.contains(word))) {
        let (what, remedy) = match client {
            true => (
                format!("refused the {}'s certificate", connection.of),
                "let `cert_file` hold a certificate that is valid now, with its chain, from an authority in the brokers' truststore"
                    .to_owned(),
            ),
            false => (
                "refused the connection: it may ask for a certificate of the client's".to_owned(),
                format!("set the {}'s `cert_file` and `key_file`", connection.of),
            ),
        };
        return Error::new(ErrorKind::Precheck, format!("{broker} {what}")).remedy(with_options(
            connection,
            &remedy,
            "`ssl.certificate.location` and `ssl.key.location`",
        ));
    }
    if let Some(Answer::NoTls { hung_up }) = handshake::greet(broker, patience) {
        return no_tls(connection, broker, hung_up);
    }
    Error::new(ErrorKind::Connection, format!("no TLS connection to {broker} came about")).remedy("see the broker's log for the reason")
}

/// `hung_up`: it may be that it is just being started.
fn no_tls(connection: KafkaConnection<'_>, broker: &str, hung_up: bool) -> Error {
    let kind = if hung_up { ErrorKind::Connection } else { ErrorKind::Precheck };
    Error::new(kind, format!("{broker} does not answer in TLS")).remedy(with_options(
        connection,
        "name the port of a listener of `SSL` or `SASL_SSL` in `brokers`; or, where plain text will do, set `tls: disabled`",
        "`security.protocol`",
    ))
}

/// Why a certificate was refused.
fn certificate(connection: KafkaConnection<'_>, broker: &str, patience: Duration) -> Error {
    let told = |what: String, remedy: String| Error::new(ErrorKind::Precheck, what).remedy(remedy);
    let Some(security) = connection.security else {
        return told(
            format!("the certificate of {broker} was refused"),
            format!("correct `ssl.ca.location` in the {}'s `options`", connection.of),
        );
    };
    let shown = match handshake::greet(broker, patience) {
        Some(Answer::Certificates(shown)) => shown,
        _ => Vec::new(),
    };
    let authorities = security::authorities(connection, security).ok().flatten();
    let named = security.tls == TlsMode::VerifyIdentity;
    match handshake::judge(&shown, authorities.as_deref().map(str::as_bytes), handshake::host(broker), named) {
        Some(Fault::OtherName(names)) => {
            let names: Vec<String> = names.iter().take(NAMES).map(|name| unquoted(name)).collect();
            told(
                format!("the certificate of {broker} is for another host: {}", names.join(", ")),
                "write that name in `brokers`, or in the broker's `advertised.listeners` where it comes from there; give the broker a certificate \
                 for its own; or set `tls: verify-ca`, which takes any name"
                    .into(),
            )
        }
        Some(Fault::Time) => told(
            format!("the certificate of {broker} is not valid now"),
            "renew the broker's certificate, and see that the clocks of both machines are right".into(),
        ),
        Some(Fault::Other(text)) => told(
            format!("the certificate of {broker} cannot be used ({text})"),
            "give the broker a certificate that is made for servers".into(),
        ),
        Some(Fault::UnknownAuthority) | None => unknown_authority(security, broker),
    }
}

fn unknown_authority(security: &KafkaSecurity, broker: &str) -> Error {
    let (whose, remedy) = match &security.ca_file {
        Some(path) => (
            format!("an authority in {}", path.display()),
            "let `ca_file` hold the certificate of the authority that signed the broker's, and let the broker show those in between",
        ),
        None => (
            "an authority that this system knows".to_owned(),
            "set `ca_file` to the certificate of the authority that signed the broker's; public ones come with the package `ca-certificates`",
        ),
    };
    Error::new(ErrorKind::Precheck, format!("the certificate of {broker} does not come from {whose}")).remedy(remedy)
}

/// Names of a certificate that an error shows.
const NAMES: usize = 5;

/// `DnsName("kafka-1")` as `kafka-1`.
fn unquoted(name: &str) -> String {
    let inner = name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')'));
    inner.trim_matches('"').chars().take(253).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(code: Code, text: &str) -> Trouble {
        Trouble { code, text: text.to_owned() }
    }

    #[test]
    fn the_broker_is_found_in_the_text() {
        let broker = |text: &str| trouble(Code::SSL, text).broker().map(str::to_owned);
        assert_eq!(broker("sasl_ssl://kafka-1:9093/bootstrap: SSL handshake failed").as_deref(), Some("kafka-1:9093"));
        assert_eq!(broker("ssl://[::1]:9093/1: x").as_deref(), Some("[::1]:9093"));
        assert_eq!(broker("1/1 brokers are down"), None);
        assert_eq!(broker("see https://example.com"), None);
    }

    #[test]
    fn what_says_more_is_kept() {
        let (login, down) = (trouble(Code::Authentication, ""), trouble(Code::AllBrokersDown, ""));
        let cut = trouble(Code::BrokerTransportFailure, "");
        assert!(login.outweighs(&cut) && cut.outweighs(&down) && !cut.outweighs(&login) && !down.outweighs(&cut));
        let alert = trouble(Code::BrokerTransportFailure, "Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate");
        assert!(alert.outweighs(&login) && login.outweighs(&login) && alert.is_final());
        let cut = trouble(Code::SSL, "SSL handshake failed: error:0A000126:SSL routines::unexpected eof while reading");
        assert!(login.outweighs(&cut) && !cut.outweighs(&login) && !cut.is_final());
    }

    #[test]
    fn names_are_shown_as_they_are_written() {
        assert_eq!([r#"DnsName("kafka-1")"#, "IpAddress(127.0.0.1)", "plain"].map(unquoted), ["kafka-1", "127.0.0.1", "plain"]);
    }
}
