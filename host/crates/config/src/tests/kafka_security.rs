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
        ("a password for nothing", kafka("brokers: 'b:9092', ca_file: ca.pem, key_password: p")),
        ("certificate in plain text", kafka("brokers: 'b:9092', tls: disabled, cert_file: c.pem, key_file: k.pem")),
        ("no account", kafka("brokers: 'b:9092', sasl: { mechanism: scram-sha-512, user: u }")),
        ("password and token", kafka("brokers: 'b:9092', sasl: { mechanism: plain, user: u, password: p, token: t }")),
        ("token and password", kafka("brokers: 'b:9092', sasl: { mechanism: oauthbearer, user: u, token: t }")),
        ("no token", kafka("brokers: 'b:9092', sasl: { mechanism: oauthbearer }")),
        ("token's file", kafka("brokers: 'b:9092', sasl: { mechanism: oauthbearer, token: { file: /nowhere/token } }")),
        ("token in plain text", kafka("brokers: 'b:9092', tls: disabled, sasl: { mechanism: oauthbearer, token: t }")),
        ("unknown mechanism", kafka("brokers: 'b:9092', sasl: { mechanism: gssapi }")),
    ]), @r"
    # unknown word
    pipeline file: line 4, sinks[0].tls: unknown choice
      remedy: write `disabled`, `required`, `verify-ca` or `verify-identity`
    # options beside it
    pipeline file: 2 problems
      - line 4, sinks[0].options.sasl.username: `tls`, `sasl` and the files beside them set it; remedy: remove it, or set everything about TLS and the login in `options`
      - line 4, sinks[0].options.security.protocol: `tls`, `sasl` and the files beside them set it; remedy: remove it, or set everything about TLS and the login in `options`
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    # a CA for nothing
    pipeline file: line 4, sinks[0].ca_file: certificates are not checked with this `tls`
      remedy: write `tls: verify-identity` or `tls: verify-ca`, or leave this out
    # no CA
    pipeline file: line 4, sinks[0].tls: without a `ca_file` every certificate of a public authority would do, whoever it is for
      remedy: add the authority's certificate as `ca_file`, or write `tls: verify-identity`
    # no key
    pipeline file: line 4, sinks[0].cert_file: its private key is missing
      remedy: add `key_file`, or leave this out
    # no certificate
    pipeline file: line 4, sinks[0].key_file: its certificate is missing
      remedy: add `cert_file`, or leave this out
    # a password for nothing
    pipeline file: line 4, sinks[0].key_password: there is no `key_file`
      remedy: add `cert_file` and `key_file`, or leave this out
    # certificate in plain text
    pipeline file: line 4, sinks[0].cert_file: the connection is not encrypted with this `tls`
      remedy: write `tls: verify-identity`, or leave this out
    # no account
    pipeline file: line 4, sinks[0].sasl: SCRAM-SHA-512 needs an account
      remedy: write `user` and `password`
    # password and token
    pipeline file: line 4, sinks[0].sasl.token: it is for `mechanism: oauthbearer`
      remedy: leave it out, or set that mechanism
    # token and password
    pipeline file: line 4, sinks[0].sasl: with `mechanism: oauthbearer` the token says who connects
      remedy: leave `user` and `password` out
    # no token
    pipeline file: line 4, sinks[0].sasl: OAUTHBEARER needs a token
      remedy: write `token: { file: /path/to/it }`
    # token's file
    pipeline file: line 4, sinks[0].sasl.token: the secret's file /nowhere/token cannot be read: No such file or directory (os error 2)
      remedy: give the path of a text file that this account can read
    # token in plain text
    pipeline file: line 4, sinks[0].sasl.token: a token would be sent in plain text
      remedy: write `tls: verify-identity`
    # unknown mechanism
    pipeline file: line 4, sinks[0].sasl.mechanism: unknown choice
      remedy: write `plain`, `scram-sha-256`, `scram-sha-512` or `oauthbearer`
    ");
}
