//! The client against a stand-in that answers what a test wants, also what real registries seldom do.

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::*;
use sluicegate_config::{RegistryLogin, Secret, Subject};

/// What was asked: method and path, the login, the body.
type Request = (String, Option<String>, String);
type Answers = Box<dyn Fn(usize, &Request) -> (u16, String) + Send>;

struct StandIn {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    /// Answers each request with what `answers` gives for its number; connections are closed behind it.
    fn new(answers: impl Fn(usize, &Request) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answers): (_, Answers) = (seen.clone(), Box::new(answers));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read(&stream);
                let number = log.lock().unwrap().len();
                log.lock().unwrap().push(request.clone());
                let (status, body) = answers(number, &request);
                let _ = write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            }
        });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let what = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let (mut login, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => login = Some(value.to_owned()),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            Some(_) => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (what, login, String::from_utf8(body).unwrap())
}

fn settings(urls: &[&str]) -> Settings {
    Settings {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        login: RegistryLogin::Anonymous,
        ca_file: None,
        client: None,
        register: true,
        subject: Subject::Topic,
    }
}

fn registry(settings: Settings, patience: Duration) -> Registry {
    Registry::new(&settings, SchemaType::Avro, patience, Duration::from_secs(10))
}

const LONG: Duration = Duration::from_secs(60);

/// What an error says, with the stand-in's address left out.
fn said(error: &Error, stand_in: &StandIn) -> String {
    error.to_string().replace(&stand_in.url, "URL")
}

#[test]
fn a_schema_is_registered_once_and_its_id_remembered() {
    let stand_in = StandIn::new(|number, _| (200, format!("{{\"id\":{}}}", number + 1)));
    let registry = registry(settings(&[&stand_in.url]), LONG);
    for (subject, schema, id) in
        [("a-value", "\"int\"", 1), ("a-value", "\"int\"", 1), ("a-value", "\"long\"", 2), ("b value/é", "\"int\"", 3)]
    {
        assert_eq!(registry.id(subject, schema).unwrap(), id);
    }
    let seen = stand_in.seen();
    let paths: Vec<&str> = seen.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(paths, ["POST /subjects/a-value/versions", "POST /subjects/a-value/versions", "POST /subjects/b%20value%2F%C3%A9/versions"]);
    let body: Value = serde_json::from_str(&seen[1].2).unwrap();
    assert_eq!(body, serde_json::json!({ "schema": "\"long\"" }));
}

#[test]
fn the_language_of_a_schema_is_told_where_it_is_not_avro() {
    let stand_in = StandIn::new(|_, _| (200, "{\"id\":1}".into()));
    for register in [true, false] {
        let settings = Settings { register, ..settings(&[&stand_in.url]) };
        Registry::new(&settings, SchemaType::Json, LONG, LONG).id("a-value", "{}").unwrap();
    }
    for (_, _, body) in stand_in.seen() {
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, serde_json::json!({ "schema": "{}", "schemaType": "JSON" }));
    }
}

#[test]
fn a_registry_that_may_not_be_written_to_is_only_asked() {
    let stand_in = StandIn::new(|number, _| match number {
        0 => (200, r#"{"subject":"a-value","version":3,"id":9,"schema":"\"int\""}"#.into()),
        _ => (404, r#"{"error_code":40403,"message":"Schema not found"}"#.into()),
    });
    let registry = registry(Settings { register: false, ..settings(&[&stand_in.url]) }, LONG);
    assert_eq!(registry.id("a-value", "\"int\"").unwrap(), 9);
    let error = registry.id("a-value", "\"long\"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Record);
    insta::assert_snapshot!(error, @"the schema registry does not have the schema that records of subject `a-value` need (`register: false`): Schema not found
  remedy: register it, or write `register: true`; then start again: nothing is lost. Or set `on_error`");
    assert_eq!(stand_in.seen()[0].0, "POST /subjects/a-value");
}

#[test]
fn the_login_is_sent_as_it_is_now() {
    let stand_in = StandIn::new(|_, _| (200, "{\"id\":1}".into()));
    let file = std::env::temp_dir().join(format!("sluicegate-registry-token-{}", std::process::id()));
    std::fs::write(&file, "first\n").unwrap();
    let basic = RegistryLogin::Basic { user: "u".into(), password: Secret::new("pä:w") };
    registry(Settings { login: basic, ..settings(&[&stand_in.url]) }, LONG).id("a", "1").unwrap();
    let bearer = RegistryLogin::Bearer(Secret::read(&file).unwrap());
    let registry = registry(Settings { login: bearer, ..settings(&[&stand_in.url]) }, LONG);
    registry.id("a", "1").unwrap();
    std::fs::write(&file, "second\n").unwrap();
    registry.id("a", "2").unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = registry.id("a", "3").unwrap_err();
    assert!(error.may_pass() && error.message().contains("`token`"), "{error}");
    let logins: Vec<_> = stand_in.seen().into_iter().map(|(_, login, _)| login.unwrap()).collect();
    assert_eq!(logins, ["Basic dTpww6Q6dw==", "Bearer first", "Bearer second"]);
}

#[test]
fn a_registry_that_is_away_is_asked_again_until_it_answers() {
    let stand_in = StandIn::new(|number, _| match number {
        0 => (503, "busy".into()),
        1 => (500, r#"{"error_code":50002,"message":"Operation timed out"}"#.into()),
        _ => (200, "{\"id\":5}".into()),
    });
    // the first address is one where nobody listens
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = format!("http://{nobody}");
    assert_eq!(registry(settings(&[&away, &stand_in.url]), LONG).id("a", "1").unwrap(), 5);
    assert_eq!(stand_in.seen().len(), 3);
    let error = registry(settings(&[&away]), Duration::from_millis(300)).id("a", "1").unwrap_err();
    assert!(error.kind() == ErrorKind::Sink && error.may_pass(), "{error}");
    assert!(error.to_string().contains("gave no answer within 300ms: the schema registry http"), "{error}");
    let error = registry(settings(&[&away]), LONG).precheck().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
}

#[test]
fn a_schema_that_is_not_compatible_is_told_with_what_the_registry_says_and_not_asked_about_for_each_row() {
    let stand_in = StandIn::new(|_, _| {
        (409, "{\"error_code\":409,\"message\":\"Schema being registered is incompatible:\\nreader type INT\"}".into())
    });
    let registry = registry(settings(&[&stand_in.url]), LONG);
    let error = registry.id("a-value", "\"int\"").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Record);
    insta::assert_snapshot!(error, @"the schema registry refuses a new version of subject `a-value`, which is not compatible with those before: Schema being registered is incompatible: reader type INT
  remedy: change the table back, or set another compatibility level for the subject (`PUT /config/<subject>`); then start again: nothing is lost. Or set `on_error`");
    assert_eq!(registry.id("a-value", "\"int\"").unwrap_err().to_string(), error.to_string());
    assert_eq!(stand_in.seen().len(), 1);
}

#[test]
fn what_a_registry_does_instead_of_answering_is_told() {
    for (status, body, expected) in [
        (
            401,
            "",
            "the schema registry URL refused the login: status 401\n  remedy: correct `user` and `password`, or `token`, of the sink's `registry`",
        ),
        (
            403,
            r#"{"error_code":40301,"message":"no"}"#,
            "the schema registry URL does not allow this account to read or register schemas: no (40301)\n  remedy: grant it READ and WRITE on the subjects",
        ),
        (
            302,
            "",
            "the schema registry URL sends requests elsewhere: status 302\n  remedy: write the address that it sends them to as `registry.url`",
        ),
        (
            200,
            "<html>",
            "URL answered with something else than the id of a schema\n  remedy: see that `registry.url` is the address of a schema registry, with the path in front of `/subjects` if it has one",
        ),
        (
            200,
            "{\"id\":4294967295}",
            "URL answered with something else than the id of a schema\n  remedy: see that `registry.url` is the address of a schema registry, with the path in front of `/subjects` if it has one",
        ),
    ] {
        let stand_in = StandIn::new(move |_, _| (status, body.into()));
        let error = registry(settings(&[&stand_in.url]), LONG).id("a", "1").unwrap_err();
        assert_eq!((error.kind(), said(&error, &stand_in)), (ErrorKind::Sink, expected.to_owned()));
        let checked = registry(settings(&[&stand_in.url]), LONG).precheck().map_err(|error| error.kind());
        assert_eq!(checked, if status == 200 { Ok(()) } else { Err(ErrorKind::Precheck) }, "{status}");
    }
}
