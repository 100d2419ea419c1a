//! What a broker answers to somebody who greets it with TLS. Only errors need it: librdkafka tells that a certificate was refused, and
//! not why. Nothing is sent but the greeting, and the handshake ends with the certificate: no password, token or key is at risk.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};

/// What a broker answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Its certificate, with those behind it.
    Certificates(Vec<CertificateDer<'static>>),
    /// Nothing that is TLS. `hung_up`: nothing at all, which a broker that is just being started may do, too.
    NoTls { hung_up: bool },
}

/// What is wrong with a certificate.
#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    /// None of the authorities vouches for it.
    UnknownAuthority,
    /// It is for these names.
    OtherName(Vec<String>),
    /// It is not valid any more, or not yet.
    Time,
    /// Something else, in the library's words.
    Other(String),
}

/// Greets the broker at `host:port`, for no longer than `timeout` in all. `None` when it cannot be reached, or its answer says nothing.
pub(crate) fn greet(address: &str, timeout: Duration) -> Option<Answer> {
    let look = Arc::new(Look { seen: Mutex::new(None), provider: ring::default_provider() });
    let outcome = converse(address, timeout, &look);
    let seen = look.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (seen, outcome) {
        (Some(certificates), _) => Some(Answer::Certificates(certificates)),
        (None, Err(error)) => match error.get_ref().and_then(|e| e.downcast_ref::<Error>()) {
            Some(Error::InvalidMessage(_)) => Some(Answer::NoTls { hung_up: false }),
            None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                Some(Answer::NoTls { hung_up: true })
            }
            _ => None,
        },
        (None, Ok(())) => None,
    }
}

fn converse(address: &str, timeout: Duration, look: &Arc<Look>) -> io::Result<()> {
    let invalid = |e: Error| io::Error::other(e);
    let name = server_name(host(address)).ok_or(io::ErrorKind::InvalidInput)?;
    let config = ClientConfig::builder_with_provider(Arc::new(look.provider.clone()))
        .with_safe_default_protocol_versions()
        .map_err(invalid)?
        .dangerous()
        .with_custom_certificate_verifier(look.clone())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(invalid)?;
    let until = Instant::now() + timeout;
    let connected = address.to_socket_addrs()?.find_map(|to| TcpStream::connect_timeout(&to, left(until).ok()?).ok());
    let stream = connected.ok_or(io::ErrorKind::NotConnected)?;
    connection.complete_io(&mut Timed { stream, until }).map(drop)
}

/// A connection that ends at a moment, however little comes at a time.
struct Timed {
    stream: TcpStream,
    until: Instant,
}

/// The time until then.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

impl Read for Timed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(out)
    }
}

impl Write for Timed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What is wrong with the certificates that the broker `host` shows. `authorities`: PEM, where they are known. `named`: whether the
/// certificate has to be for this host.
pub(crate) fn judge(shown: &[CertificateDer<'_>], authorities: Option<&[u8]>, host: &str, named: bool) -> Option<Fault> {
    let (first, others) = shown.split_first()?;
    let certificate = match ParsedCertificate::try_from(first) {
        Ok(certificate) => certificate,
        Err(error) => return Some(Fault::of(error)),
    };
    if let Some(authorities) = authorities {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities).flatten());
        let known = ring::default_provider().signature_verification_algorithms.all;
        if let Err(error) = verify_server_cert_signed_by_trust_anchor(&certificate, &roots, others, UnixTime::now(), known) {
            return Some(Fault::of(error));
        }
    }
    let name = server_name(host).filter(|_| named)?;
    verify_server_name(&certificate, &name).err().map(Fault::of)
}

impl Fault {
    fn of(error: Error) -> Self {
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => Self::UnknownAuthority,
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => Self::OtherName(presented),
            Error::InvalidCertificate(CertificateError::NotValidForName) => Self::OtherName(Vec::new()),
            Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::Time,
            other => Self::Other(other.to_string()),
        }
    }
}

/// The host of `host:port`.
pub(crate) fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']'])
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).ok()
}

/// Keeps what it is shown, and accepts nothing.
#[derive(Debug)]
struct Look {
    seen: Mutex<Option<Vec<CertificateDer<'static>>>>,
    provider: CryptoProvider,
}

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = [end_entity].into_iter().chain(intermediates).map(|certificate| certificate.clone().into_owned()).collect();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Err(Error::General("the certificate is all that was asked for".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nothing is asked for behind the certificate".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nothing is asked for behind the certificate".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Greets a server that reads something and answers with this.
    fn greeted(answer: &'static [u8]) -> Option<Answer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut greeting = [0; 4096];
            assert!(stream.read(&mut greeting).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        let answer = greet(&address, PATIENCE);
        server.join().unwrap();
        answer
    }

    #[test]
    fn who_does_not_answer_in_tls_is_recognised() {
        assert!(matches!(greeted(b""), Some(Answer::NoTls { hung_up: true })));
        assert!(matches!(greeted(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Some(Answer::NoTls { hung_up: false })));
        // an alert is TLS
        assert!(greeted(&[21, 3, 3, 0, 2, 2, 40]).is_none());
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        assert!(greet(&nobody, PATIENCE).is_none());
    }

    #[test]
    fn a_broker_that_answers_byte_by_byte_is_left_when_the_time_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // a record of TLS that takes minutes
            let mut told = stream.write_all(&[22, 3, 3, 64, 0]);
            while told.is_ok() {
                std::thread::sleep(Duration::from_millis(10));
                told = stream.write_all(&[0]);
            }
        });
        assert!(greet(&address, Duration::from_millis(300)).is_none());
        server.join().unwrap();
    }

    #[test]
    fn a_certificate_is_judged_by_its_authority_its_time_and_its_name() {
        // of one authority: for kafka-1 and 10.0.0.1 until 2125, and of January 2020
        let [authority, other] = [include_str!("handshake/authority.pem"), include_str!("handshake/other.pem")];
        let [broker, expired] = [include_str!("handshake/broker.pem"), include_str!("handshake/expired.pem")];
        let judged = |shown: &str, authority: Option<&str>, host, named| {
            let shown: Vec<_> = CertificateDer::pem_slice_iter(shown.as_bytes()).map(|certificate| certificate.unwrap()).collect();
            judge(&shown, authority.map(str::as_bytes), host, named)
        };
        let another_name = Some(Fault::OtherName(vec![r#"DnsName("kafka-1")"#.into(), "IpAddress(10.0.0.1)".into()]));
        assert_eq!(judged(broker, Some(authority), "kafka-1", true), None);
        assert_eq!(judged(broker, Some(authority), "10.0.0.1", true), None);
        assert_eq!(judged(broker, Some(authority), "kafka-2", false), None);
        assert_eq!(judged(broker, Some(authority), "kafka-2", true), another_name);
        assert_eq!(judged(broker, None, "kafka-2", true), another_name);
        assert_eq!(judged(broker, Some(&format!("{other}\n{authority}")), "kafka-1", true), None);
        assert_eq!(judged(broker, Some(other), "kafka-1", true), Some(Fault::UnknownAuthority));
        assert_eq!(judged(expired, Some(authority), "kafka-1", true), Some(Fault::Time));
        assert_eq!(judged("", Some(authority), "kafka-1", true), None);
    }

    #[test]
    fn a_host_has_no_port_and_no_brackets() {
        assert_eq!(["kafka-1:9093", "10.0.0.1:1", "[::1]:9093"].map(host), ["kafka-1", "10.0.0.1", "::1"]);
    }
}
