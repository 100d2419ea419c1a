//! The client of a schema registry with Confluent's REST protocol: it gives schemas their ids.
//!
//! It blocks, for sinks have threads of their own. A registry that is away is asked again for as long as a broker would be; what it has
//! answered is remembered.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod answer;
mod http;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use answer::Answer;
use http::Http;
use sluicegate_config::Registry as Settings;
use sluicegate_format::SchemaIds;
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{REGISTRY_IDS, REGISTRY_PAUSE, REGISTRY_REFUSAL},
};

/// The language of schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaType {
    /// Avro.
    Avro,
    /// JSON Schema.
    Json,
}

/// A registry.
pub struct Registry {
    settings: Settings,
    schema_type: SchemaType,
    /// How long it may be away.
    patience: Duration,
    http: Http,
    known: Mutex<HashMap<Asked, Known>>,
}

/// A subject, and the SHA-256 of a schema.
type Asked = (String, [u8; 32]);

/// What it answered.
enum Known {
    Id(u32),
    /// It refused the schema: what it said, and when.
    Refused(Answer, Instant),
}

impl Registry {
    /// A registry that may be away for `patience`; a request may take `timeout`. Nothing is connected yet.
    pub fn new(settings: &Settings, schema_type: SchemaType, patience: Duration, timeout: Duration) -> Self {
        let http = Http::new(settings, timeout);
        Self { settings: settings.clone(), schema_type, patience, http, known: Mutex::new(HashMap::new()) }
    }

    /// Asks until there is an answer, or its patience ends.
    fn ask(&self, path: &str, body: &str) -> Result<Answer> {
        let begun = Instant::now();
        let mut pause = REGISTRY_PAUSE.0;
        loop {
            let error = match self.http.post(path, body)? {
                Ok(answer) if !answer.passes() => return Ok(answer),
                Ok(answer) => answer.fault(&self.shown()),
                Err(error) => error,
            };
            if begun.elapsed() + pause > self.patience {
                let what = format!("the schema registry {} gave no answer within {:?}", self.shown(), self.patience);
                return Err(Error::new(ErrorKind::Sink, what)
                    .caused_by(error)
                    .remedy("see that the registry runs and can be reached, then start again: nothing is lost")
                    .that_may_pass(true));
            }
            tracing::warn!(error = %error.chain(), retry_in_ms = pause.as_millis() as u64, "the schema registry gives no answer; it is asked again");
            thread::sleep(pause);
            pause = (pause * 2).min(REGISTRY_PAUSE.1);
        }
    }

    fn shown(&self) -> String {
        self.settings.urls.join(",")
    }

    fn request(&self, subject: &str, schema: &str) -> Result<Answer> {
        let body = match self.schema_type {
            // what no type is told of, and the oldest registries know nothing else
            SchemaType::Avro => json!({ "schema": schema }),
            SchemaType::Json => json!({ "schema": schema, "schemaType": "JSON" }),
        };
        let body = body.to_string();
        let encoded = http::path_segment(subject);
        if self.settings.register {
            self.ask(&format!("/subjects/{encoded}/versions"), &body)
        } else {
            self.ask(&format!("/subjects/{encoded}"), &body)
        }
    }

    /// Checks, once, that it answers and takes the login.
    ///
    /// # Errors
    /// `Connection`: it cannot be reached. `Precheck`: it refuses us, or is something else.
    pub fn precheck(&self) -> Result<()> {
        match self.http.get("/schemas/types")? {
            Err(error) => Err(error.with_kind(ErrorKind::Connection)),
            // the oldest registries do not know this request
            Ok(answer) if answer.is_success() || answer.status == 404 => Ok(()),
            Ok(answer) if answer.passes() => Err(answer.fault(&self.shown()).with_kind(ErrorKind::Connection)),
            Ok(answer) => Err(answer.fault(&self.shown()).with_kind(ErrorKind::Precheck)),
        }
    }
}

impl SchemaIds for Registry {
    fn id(&self, subject: &str, schema: &str) -> Result<u32> {
        let asked = (subject.to_owned(), Sha256::digest(schema).into());
        // held while the registry is asked: a sink has one thread
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&asked) {
            Some(Known::Id(id)) => return Ok(*id),
            // not for each row of a table
            Some(Known::Refused(answer, at)) if at.elapsed() < REGISTRY_REFUSAL => {
                return Err(answer.refusal(subject, self.settings.register));
            }
            _ => {}
        }
        let answer = self.request(subject, schema)?;
        if known.len() >= REGISTRY_IDS {
            known.clear();
        }
        if answer.is_refusal() {
            let error = answer.refusal(subject, self.settings.register);
            known.insert(asked, Known::Refused(answer, Instant::now()));
            return Err(error);
        }
        if !answer.is_success() {
            return Err(answer.fault(&self.shown()));
        }
        let id = answer.id(&self.shown())?;
        tracing::info!(subject, id, "the schema registry knows a schema");
        known.insert(asked, Known::Id(id));
        Ok(id)
    }
}
