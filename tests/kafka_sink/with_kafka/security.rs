//! TLS and logins: one broker with a listener for each way, accounts with the grants that the documentation lists, and what is said when
//! they do not fit.

use std::{
    fmt::Write as _,
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sluicegate_config::{ClientCertificate, Delivery, KafkaSecurity, PasswordMechanism, Sasl, TlsMode, Transactions};
use sluicegate_harness::{authority::Authority, host::Sluicegate};

use super::*;

const BINARY: &str = env!("CARGO_BIN_EXE_sluicegate");
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "s3cret, with a comma";

/// A broker with the listeners TLS, MTLS (asks for a certificate), LOGIN (every mechanism, with TLS) and OPEN (PLAIN, without).
struct Secured {
    broker: Broker,
    authority: Authority,
    stranger: Authority,
}

fn secured() -> Secured {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.issue("broker", "DNS:localhost");
    authority.issue("cdc", "DNS:client");
    stranger.issue("cdc", "DNS:client");
    let read = |name: &str| fs::read_to_string(authority.path(name)).unwrap();
    fs::write(authority.path("keystore.pem"), read("broker.key") + &read("broker.pem")).unwrap();
    let module = "org.apache.kafka.common.security";
    let accounts = format!("{module}.plain.PlainLoginModule required user_cdc=\"{PASSWORD}\" user_stranger=\"{PASSWORD}\";");
    let scram = format!("{module}.scram.ScramLoginModule required;");
    let properties = [
        "+TLS=SSL".into(),
        "+MTLS=SSL".into(),
        "+LOGIN=SASL_SSL".into(),
        "+OPEN=SASL_PLAINTEXT".into(),
        "ssl.keystore.type=PEM".into(),
        format!("ssl.keystore.location={}", authority.path("keystore.pem")),
        "ssl.truststore.type=PEM".into(),
        format!("ssl.truststore.location={}", authority.path("ca.pem")),
        "ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/".into(),
        "listener.name.mtls.ssl.client.auth=required".into(),
        "listener.name.login.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER".into(),
        format!("listener.name.login.plain.sasl.jaas.config={accounts}"),
        format!("listener.name.login.scram-sha-256.sasl.jaas.config={scram}"),
        format!("listener.name.login.scram-sha-512.sasl.jaas.config={scram}"),
        format!("listener.name.login.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required;"),
        "listener.name.open.sasl.enabled.mechanisms=PLAIN".into(),
        format!("listener.name.open.plain.sasl.jaas.config={accounts}"),
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer".into(),
        "super.users=User:ANONYMOUS".into(),
    ];
    let properties: Vec<&str> = properties.iter().map(|line: &String| line.as_str()).collect();
    let broker = kafka::start(&properties);
    // what docs/kafka.md says that the account needs
    let prefixed = ["--add", "--allow-principal", "User:cdc", "--resource-pattern-type", "prefixed"];
    let writes = ["--operation", "Write", "--operation", "Describe"];
    let positions = ["--operation", "Read", "--operation", "DescribeConfigs", "--operation", "Create", "--topic", "positions."];
    let names = ["--topic", "cdc.", "--transactional-id", "cdc."];
    let user = ["--alter", "--entity-type", "users", "--entity-name", "cdc", "--add-config"];
    let [sha256, sha512] = ["256", "512"].map(|bits| format!("SCRAM-SHA-{bits}=[password={}]", scram_password()));
    let (grants, users) = ("org.apache.kafka.tools.AclCommand", "kafka.admin.ConfigCommand");
    std::thread::scope(|scope| {
        scope.spawn(|| broker.tool(grants, &[&prefixed[..], &writes, &names].concat()));
        scope.spawn(|| broker.tool(grants, &[&prefixed[..], &writes, &positions].concat()));
        scope.spawn(|| broker.tool(users, &[&user[..], &[&sha256]].concat()));
        scope.spawn(|| broker.tool(users, &[&user[..], &[&sha512]].concat()));
    });
    for topic in ["tls", "required", "verify-ca", "mtls", "encrypted-key", "plain", "scram-256", "scram-512", "token", "once", "once-token"]
    {
        broker.create_topic(&format!("cdc.{topic}.orders"), 1);
    }
    for topic in ["cdc.program.customers", "cdc.program.orders", "cdc.program.order_lines", "private.orders"] {
        broker.create_topic(topic, 1);
    }
    Secured { broker, authority, stranger }
}

/// The password of the SCRAM accounts: the tool takes no comma.
fn scram_password() -> &'static str {
    PASSWORD.split(',').next().unwrap()
}

/// An unsigned token of Kafka's own validator for development.
fn token(claims: &str) -> String {
    format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
}

fn token_of(name: &str, seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    token(&format!(r#"{{"sub":"{name}","iat":{},"exp":{}}}"#, now.min(now + seconds - 1), now + seconds))
}

fn password(mechanism: PasswordMechanism, password: &str) -> Option<Sasl> {
    Some(Sasl::Password { mechanism, user: "cdc".into(), password: Secret::new(password) })
}

impl Secured {
    /// Certificates are checked.
    fn tls(&self) -> KafkaSecurity {
        let ca_file = Some(self.authority.path("ca.pem").into());
        KafkaSecurity { tls: TlsMode::VerifyIdentity, ca_file, client: None, key_password: None, sasl: None }
    }

    fn login(&self, sasl: Option<Sasl>) -> KafkaSecurity {
        KafkaSecurity { sasl, ..self.tls() }
    }

    fn with_certificate(&self, of: &Authority) -> KafkaSecurity {
        let client = ClientCertificate { certificate: of.path("cdc.pem").into(), key: of.path("cdc.key").into() };
        KafkaSecurity { client: Some(client), ..self.tls() }
    }

    fn sink(&self, listener: &str, security: KafkaSecurity, topic: &str) -> KafkaSink {
        let brokers = self.broker.listener(listener).into();
        KafkaSink { brokers, security: Some(security), ..settings(&self.broker, topic) }
    }

    #[track_caller]
    fn delivers(&self, kafka: KafkaSink) {
        let topic = kafka.topic.to_string().replace("{table}", "orders");
        let mut bench = Bench::open(kafka, OnError::Stop).unwrap_or_else(|e| panic!("{topic}: {e}"));
        bench.sink.write(&inserts(0, [1, 2], "")).unwrap();
        let progress = Frontier::of(Lane::new("rows"), Offset::from_json("1"));
        bench.sink.commit(&progress).unwrap_or_else(|e| panic!("{topic}: {e}"));
        assert_eq!(self.broker.records(&topic).iter().map(id).collect::<Vec<_>>(), [1, 2], "{topic}");
    }

    fn transactions(&self, kafka: KafkaSink, name: &str) -> KafkaSink {
        let transactions = Transactions { transactional_id: format!("cdc.{name}"), positions_topic: format!("positions.{name}") };
        KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..kafka }
    }

    /// The error of a look at the brokers. Its cause is librdkafka's text, which says when it was.
    fn refused(&self, kafka: &KafkaSink) -> String {
        let settings = sink_settings(kafka.clone(), OnError::Stop, PluginVersions::Omitted);
        let limits = Limits { connect_timeout: Duration::from_secs(5), ..Limits::default() };
        let error = sinks::precheck(&settings, &limits).expect_err("it is refused");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        self.readable(&format!("{:?}: {}\n  remedy: {}", error.kind(), error.message(), error.remedy_text().expect("a remedy")))
    }

    fn readable(&self, text: &str) -> String {
        let folders = [(&self.authority, "AUTHORITY"), (&self.stranger, "STRANGER")];
        let text =
            folders.iter().fold(text.to_owned(), |text, (authority, name)| text.replace(authority.path("").trim_end_matches('/'), name));
        let ports = ["TLS", "MTLS", "LOGIN", "OPEN"].map(|name| (self.broker.listener(name).rsplit_once(':').unwrap().1.to_owned(), name));
        let own = (self.broker.port().to_string(), "PLAINTEXT");
        ports.iter().chain([&own]).fold(text, |text, (port, name)| text.replace(&format!(":{port}"), &format!(":{name}")))
    }
}

#[test]
fn every_way_in_delivers_and_every_wrong_one_is_told_with_its_remedy() {
    let secured = secured();
    each_way_delivers(&secured);
    each_fault_is_named(&secured);
    what_is_renewed_in_a_file_counts(&secured);
    a_missing_grant_is_named(&secured);
    the_program_takes_it_from_the_pipeline_file(&secured);
}

fn each_way_delivers(secured: &Secured) {
    let far = secured.broker.listener("TLS").replace("localhost", "127.0.0.1");
    secured.delivers(secured.sink("TLS", secured.tls(), "cdc.tls"));
    secured.delivers(secured.sink("TLS", KafkaSecurity { tls: TlsMode::Required, ca_file: None, ..secured.tls() }, "cdc.required"));
    // the certificate is for localhost
    let any_name = KafkaSecurity { tls: TlsMode::VerifyCa, ..secured.tls() };
    secured.delivers(KafkaSink { brokers: far, ..secured.sink("TLS", any_name, "cdc.verify-ca") });
    secured.delivers(secured.sink("MTLS", secured.with_certificate(&secured.authority), "cdc.mtls"));
    let mut encrypted = secured.with_certificate(&secured.authority);
    secured.authority.encrypt_key("cdc", "key s3cret");
    encrypted.client.as_mut().unwrap().key = secured.authority.path("cdc.encrypted").into();
    encrypted.key_password = Some(Secret::new("key s3cret"));
    secured.delivers(secured.sink("MTLS", encrypted, "cdc.encrypted-key"));
    let (sha256, sha512) = (PasswordMechanism::ScramSha256, PasswordMechanism::ScramSha512);
    secured.delivers(secured.sink("LOGIN", secured.login(password(PasswordMechanism::Plain, PASSWORD)), "cdc.plain"));
    secured.delivers(secured.sink("LOGIN", secured.login(password(sha256, scram_password())), "cdc.scram-256"));
    secured.delivers(secured.sink("LOGIN", secured.login(password(sha512, scram_password())), "cdc.scram-512"));
    let fresh = || Some(Sasl::Token(Secret::new(token_of("cdc", 3600))));
    secured.delivers(secured.sink("LOGIN", secured.login(fresh()), "cdc.token"));
    let once = secured.sink("LOGIN", secured.login(password(sha512, scram_password())), "cdc.once");
    secured.delivers(secured.transactions(once, "once"));
    secured.delivers(secured.transactions(secured.sink("LOGIN", secured.login(fresh()), "cdc.once-token"), "once-token"));
}

fn each_fault_is_named(secured: &Secured) {
    let plain = |sink: KafkaSink| KafkaSink { security: None, ..sink };
    let at = |sink: KafkaSink, brokers: String| KafkaSink { brokers, ..sink };
    let theirs = KafkaSecurity { ca_file: Some(secured.stranger.path("ca.pem").into()), ..secured.tls() };
    let system = KafkaSecurity { ca_file: None, ..secured.tls() };
    let mut other_key = secured.with_certificate(&secured.authority);
    other_key.client.as_mut().unwrap().key = secured.stranger.path("cdc.key").into();
    let mut locked = secured.with_certificate(&secured.authority);
    locked.client.as_mut().unwrap().key = secured.authority.path("cdc.encrypted").into();
    let mut swapped = secured.with_certificate(&secured.authority);
    swapped.client = swapped.client.map(|ClientCertificate { certificate, key }| ClientCertificate { certificate: key, key: certificate });
    let (sha256, clear) = (PasswordMechanism::ScramSha256, PasswordMechanism::Plain);
    let unencrypted = |sasl| KafkaSecurity { tls: TlsMode::Disabled, ca_file: None, client: None, key_password: None, sasl };
    let far = secured.broker.listener("TLS").replace("localhost", "127.0.0.1");
    let own = secured.broker.brokers().to_owned();
    let sink = |listener: &str, security: KafkaSecurity| secured.sink(listener, security, "cdc.refused");
    let cases = [
        ("another authority", sink("TLS", theirs)),
        ("no authority of the system's", sink("TLS", system)),
        ("another host", at(sink("TLS", secured.tls()), far)),
        ("plain text to TLS", plain(sink("TLS", secured.tls()))),
        ("TLS to plain text", at(sink("TLS", secured.tls()), own)),
        ("no certificate", sink("MTLS", secured.tls())),
        ("a certificate of another authority", sink("MTLS", secured.with_certificate(&secured.stranger))),
        ("another certificate's key", sink("MTLS", other_key)),
        ("an encrypted key", sink("MTLS", locked)),
        ("key and certificate swapped", sink("MTLS", swapped)),
        ("a wrong password", sink("LOGIN", secured.login(password(clear, "wr0ng s3cret")))),
        ("a wrong password, proven", sink("LOGIN", secured.login(password(sha256, "wr0ng s3cret")))),
        ("an unknown mechanism", sink("OPEN", unencrypted(password(sha256, scram_password())))),
        ("no login", plain(sink("OPEN", secured.tls()))),
        ("a login where none is taken", sink("TLS", secured.login(password(clear, PASSWORD)))),
        ("an expired token", sink("LOGIN", secured.login(Some(Sasl::Token(Secret::new(token(r#"{"sub":"s3cret","exp":1}"#))))))),
        ("a token for nobody", sink("LOGIN", secured.login(Some(Sasl::Token(Secret::new(token(r#"{"exp":32503680000}"#))))))),
        ("nobody there", at(sink("TLS", secured.tls()), "localhost:1".into())),
    ];
    let told: Vec<String> = std::thread::scope(|scope| {
        let looks = cases.each_ref().map(|(_, sink)| scope.spawn(|| secured.refused(sink)));
        looks.into_iter().map(|look| look.join().unwrap()).collect()
    });
    let mut all = String::new();
    for ((case, _), told) in cases.iter().zip(told) {
        writeln!(all, "# {case}\n{told}").unwrap();
    }
    insta::with_settings!({filters => vec![(r"expired \d+ s ago", "expired N s ago")]}, {
        insta::assert_snapshot!(all, @r"
    # another authority
    Precheck: the certificate of localhost:TLS does not come from an authority in STRANGER/ca.pem
      remedy: let `ca_file` hold the certificate of the authority that signed the broker's, and let the broker show those in between
    # no authority of the system's
    Precheck: the certificate of localhost:TLS does not come from an authority that this system knows
      remedy: set `ca_file` to the certificate of the authority that signed the broker's; public ones come with the package `ca-certificates`
    # another host
    Precheck: the certificate of 127.0.0.1:TLS is for another host: localhost
      remedy: write that name in `brokers`, or in the broker's `advertised.listeners` where it comes from there; give the broker a certificate for its own; or set `tls: verify-ca`, which takes any name
    # plain text to TLS
    Precheck: localhost:TLS speaks TLS, and the sink does not
      remedy: set `tls: verify-identity` (and `ca_file` for an authority of your own)
    # TLS to plain text
    Connection: 127.0.0.1:PLAINTEXT does not answer in TLS
      remedy: name the port of a listener of `SSL` or `SASL_SSL` in `brokers`; or, where plain text will do, set `tls: disabled`
    # no certificate
    Precheck: localhost:MTLS refused the connection: it may ask for a certificate of the client's
      remedy: set the sink's `cert_file` and `key_file`
    # a certificate of another authority
    Precheck: localhost:MTLS refused the sink's certificate
      remedy: let `cert_file` hold a certificate that is valid now, with its chain, from an authority in the brokers' truststore
    # another certificate's key
    Precheck: the sink's certificates cannot be used
      remedy: see that `ca_file` and `cert_file` hold certificates, and that `key_file` belongs to `cert_file`, and `key_password` to it (PEM)
    # an encrypted key
    Precheck: the private key in AUTHORITY/cdc.encrypted is encrypted
      remedy: set the sink's `key_password`
    # key and certificate swapped
    Precheck: the file AUTHORITY/cdc.pem holds no private key
      remedy: let the sink's `key_file` lead to a PEM file that the program may read (`-----BEGIN …-----`)
    # a wrong password
    Precheck: localhost:LOGIN refused the login
      remedy: correct `user` and `password` of the sink's `sasl`; the account is `cdc`, and needs a password for PLAIN
    # a wrong password, proven
    Precheck: localhost:LOGIN refused the login
      remedy: correct `user` and `password` of the sink's `sasl`; the account is `cdc`, and needs a password for SCRAM-SHA-256
    # an unknown mechanism
    Precheck: localhost:OPEN does not take SCRAM-SHA-256
      remedy: set the `mechanism` of the sink's `sasl` to one that the broker supports, or add it to its `sasl.enabled.mechanisms`
    # no login
    Connection: localhost:OPEN takes connections and answers nothing, as brokers do that wait for a login
      remedy: set the sink's `sasl`, or name the port of a listener without a login in `brokers`
    # a login where none is taken
    Precheck: localhost:TLS takes no login at this port
      remedy: name the port of a listener of `SASL_SSL` or `SASL_PLAINTEXT` in `brokers`, or leave `sasl` out
    # an expired token
    Precheck: the access token expired N s ago
      remedy: write a new one, or `token: { file: … }`, which is read again before the token expires
    # a token for nobody
    Precheck: localhost:LOGIN refused the login
      remedy: see that the token's signature, issuer, audience and scope are those that the brokers expect
    # nobody there
    Connection: no Kafka broker answered at localhost:1 within 5s
      remedy: start the brokers, or correct `brokers` and, for TLS or a login, the sink's `tls` and `sasl`
    ");
    });
}

fn what_is_renewed_in_a_file_counts(secured: &Secured) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let passes = |kafka: &KafkaSink| {
        sinks::precheck(&sink_settings(kafka.clone(), OnError::Stop, PluginVersions::Omitted), &Limits::default()).unwrap();
    };
    fs::write(&path, token_of("cdc", -60)).unwrap();
    let by_token = secured.sink("LOGIN", secured.login(Some(Sasl::Token(Secret::read(&path).unwrap()))), "cdc.renewed");
    let text = secured.refused(&by_token);
    assert!(text.contains(&format!("the access token in {} expired ", path.display())), "{text}");
    fs::write(&path, token_of("cdc", 3600)).unwrap();
    passes(&by_token);

    fs::write(&path, "wr0ng s3cret\n").unwrap();
    let sasl = Sasl::Password { mechanism: PasswordMechanism::Plain, user: "cdc".into(), password: Secret::read(&path).unwrap() };
    let by_password = secured.sink("LOGIN", secured.login(Some(sasl)), "cdc.renewed");
    secured.refused(&by_password);
    fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    passes(&by_password);
}

fn a_missing_grant_is_named(secured: &Secured) {
    let kafka = secured.sink("LOGIN", secured.login(password(PasswordMechanism::Plain, PASSWORD)), "private");
    let error = fails(&mut Bench::open(kafka, OnError::Skip).unwrap(), &inserts(0, [1], ""));
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert_eq!(error.message(), "the account may not write to topic `private.orders`");
}

fn the_program_takes_it_from_the_pipeline_file(secured: &Secured) {
    let pipeline = |ca: &str| {
        format!(
            "name: secured
source: {{ type: generator, changes: 200 }}
sinks:
  - type: kafka
    brokers: '{}'
    topic: 'cdc.program.{{table}}'
    format: flat
    delivery: exactly-once
    transactional_id: cdc.program
    positions_topic: positions.program
    tls: verify-identity
    ca_file: {ca}
    sasl: {{ mechanism: scram-sha-512, user: cdc, password: '${{KAFKA_PASSWORD}}' }}
",
            secured.broker.listener("LOGIN")
        )
    };
    let host = Sluicegate::new(BINARY, &pipeline(&secured.stranger.path("ca.pem"))).env("KAFKA_PASSWORD", scram_password());
    let checked = host.run(&["check", "pipeline.yaml"], PATIENCE);
    let told = checked.stdout.clone() + &checked.stderr;
    assert_eq!(checked.status.code(), Some(3), "{told}");
    let fault = format!("the certificate of {} does not come from an authority in ", secured.broker.listener("LOGIN"));
    assert!(
        told.contains(&fault) && told.contains("let `ca_file` hold the certificate of the authority") && !told.contains("s3cret"),
        "{told}"
    );
    host.write_pipeline(&pipeline(&secured.authority.path("ca.pem")));
    let ran = host.run(&["--log-format", "json", "run", "pipeline.yaml"], PATIENCE);
    assert!(ran.status.success() && !ran.stderr.contains("s3cret"), "{}", ran.stderr);
    let delivered = ["customers", "orders", "order_lines"].map(|table| secured.broker.records(&format!("cdc.program.{table}")).len());
    assert!(delivered.iter().sum::<usize>() >= 200, "{delivered:?}");
}
