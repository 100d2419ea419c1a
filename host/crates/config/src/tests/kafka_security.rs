//! How a Kafka sink's brokers are reached.

use super::*;

fn kafka(rest: &str) -> String {
    sink(&format!("{{ type: kafka, {rest} }}"))
}

fn security(rest: &str) -> Option<KafkaSecurity> {
    let pipeline = loaded(&kafka(rest)).unwrap_or_else(|e| panic!("{rest}: {e}"));
    let SinkKind::Kafka(kafka) = pipeline.sinks.into_iter().next().unwrap().kind else { panic!("not a Kafka sink") };
    kafka.security
}

#[test]
fn a_login_and_certificates_are_encrypted_unless_the_file_says_otherwise() {
    let tls = |rest: &str| security(rest).map(|security| security.tls);
    let sasl = "sasl: { mechanism: plain, user: u, password: p }";
    assert_eq!(tls("brokers: 'b:9092'"), None);
    assert_eq!(tls("brokers: 'b:9092', options: { security.protocol: ssl }"), None);
    assert_eq!(tls(&format!("brokers: 'b:9092', {sasl}")), Some(TlsMode::VerifyIdentity));
    assert_eq!(tls(&format!("brokers: 'localhost:9092, b:9092', {sasl}")), Some(TlsMode::VerifyIdentity));
    for near in ["'127.0.0.1:9092, localhost:9093'", "'[::1]:9092'", "'::1'", "localhost"] {
        assert_eq!(tls(&format!("brokers: {near}, {sasl}")), Some(TlsMode::Disabled), "{near}");
    }
    assert_eq!(tls(&format!("brokers: 'b:9092', tls: disabled, {sasl}")), Some(TlsMode::Disabled));
    assert_eq!(tls("brokers: 'localhost:9092', ca_file: ca.pem"), Some(TlsMode::VerifyIdentity));
    assert_eq!(tls("brokers: 'localhost:9092', cert_file: c.pem, key_file: k.pem"), Some(TlsMode::VerifyIdentity));
    for (word, mode) in [("required", TlsMode::Required), ("verify-identity", TlsMode::VerifyIdentity), ("disabled", TlsMode::Disabled)] {
        assert_eq!(tls(&format!("brokers: 'b:9092', tls: {word}")), Some(mode), "{word}");
    }
    assert_eq!(tls("brokers: 'b:9092', tls: verify-ca, ca_file: ca.pem"), Some(TlsMode::VerifyCa));
}

#[test]
fn each_mechanism_has_its_own_proof() {
    for (word, mechanism) in [
        ("plain", PasswordMechanism::Plain),
        ("scram-sha-256", PasswordMechanism::ScramSha256),
        ("scram-sha-512", PasswordMechanism::ScramSha512),
    ] {
        let sasl = security(&format!("brokers: 'b:9092', sasl: {{ mechanism: {word}, user: u, password: p }}")).unwrap().sasl;
        assert_eq!(sasl, Some(Sasl::Password { mechanism, user: "u".into(), password: Secret::new("p") }));
        assert_eq!(sasl.unwrap().mechanism().to_ascii_lowercase(), word);
    }
    let token = security("brokers: 'b:9092', sasl: { mechanism: oauthbearer, token: t }").unwrap();
    assert_eq!((token.sasl, token.tls), (Some(Sasl::Token(Secret::new("t"))), TlsMode::VerifyIdentity));
    assert!(!format!("{:?}", security("brokers: b, sasl: { mechanism: plain, user: u, password: hunter2 }")).contains("hunter2"));
}

#[test]
fn what_does_not_go_together_is_refused() {
    insta::assert_snapshot!(faults(&[
        ("unknown word", kafka("brokers: 'b:9092', tls: preferred")),
        ("options beside it", kafka("brokers: 'b:9092', tls: required, options: { security.protocol: plaintext, sasl.username: u }")),
        ("a CA for nothing", kafka("brokers: 'b:9092', tls: required, ca_file: ca.pem")),
        ("no CA", kafka("brokers: 'b:9092', tls: verify-ca")),
        ("no key", kafka("brokers: 'b:9092', cert_file: c.pem")),
        ("no certificate", kafka("brokers: 'b:9092', key_file: k.pem, key_password: p")),
        ("certificate in plain text", kafka("brokers: 'b:9092', tls: disabled, cert_file: c.pem, key_file: k.pem")),
        ("no account", kafka("brokers: 'b:9092', sasl: { mechanism: scram-sha-512, user: u }")),
        ("password and token", kafka("brokers: 'b:9092', sasl: { mechanism: plain, user: u, password: p, token: t }")),
        ("token and password", kafka("brokers: 'b:9092', sasl: { mechanism: oauthbearer, user: u, token: t }")),
        ("no token", kafka("brokers: 'b:9092', sasl: { mechanism: oauthbearer }")),
        ("token's file", kafka("brokers: 'b:9092', sasl: { mechanism: oauthbearer, token: { file: /nowhere/token } }")),
        ("token in plain text", kafka("brokers: 'b:9092', tls: disabled, sasl: { mechanism: oauthbearer, token: t }")),
        ("unknown mechanism", kafka("brokers: 'b:9092', sasl: { mechanism: gssapi }")),
    ]), @"");
}
