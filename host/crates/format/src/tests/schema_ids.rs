//! A registry for tests, and records with the ids of its schemas in front.

use std::sync::Mutex;

use super::*;
use sluicegate_config::{Envelope, Registry, RegistryLogin, Subject, ValueModes};
use sluicegate_model::{Error, ErrorKind};

/// A registry that takes everything, or refuses everything.
#[derive(Default)]
pub(super) struct Ids {
    pub(super) known: Mutex<Vec<(String, String)>>,
    pub(super) refuses: bool,
}

impl SchemaIds for Ids {
    fn id(&self, subject: &str, schema: &str) -> sluicegate_model::Result<u32> {
        if self.refuses {
            return Err(Error::new(ErrorKind::Record, "refused"));
        }
        let mut known = self.known.lock().unwrap();
        let asked = (subject.to_owned(), schema.to_owned());
        let found = known.iter().position(|one| *one == asked).unwrap_or_else(|| {
            known.push(asked);
            known.len() - 1
        });
        Ok(found as u32 + 7)
    }
}

impl Ids {
    pub(super) fn subjects(&self) -> Vec<String> {
        self.known.lock().unwrap().iter().map(|(subject, _)| subject.clone()).collect()
    }

    /// The subject and the schema of what is framed, and what stands behind.
    pub(super) fn of<'a>(&self, framed: &'a [u8]) -> (String, String, &'a [u8]) {
        let (front, rest) = framed.split_at(5);
        assert_eq!(front[0], 0);
        let id = u32::from_be_bytes(front[1..].try_into().unwrap());
        let (subject, schema) = self.known.lock().unwrap()[id as usize - 7].clone();
        (subject, schema, rest)
    }
}

/// A format with a registry.
pub(super) fn with_registry(record: RecordFormat, envelope: Envelope, values: ValueModes, subject: Subject) -> Settings {
    let registry = Registry {
        urls: vec!["http://registry".into()],
        login: RegistryLogin::Anonymous,
        ca_file: None,
        client: None,
        register: true,
        subject,
    };
    Settings { envelope, values, registry: Some(Box::new(registry)), ..record.into() }
}

pub(super) fn topic() -> Arc<str> {
    "shop.orders".into()
}

/// The framed records of all changes.
pub(super) fn framed(encoder: &mut Encoder, batch: &Batch) -> Vec<Vec<u8>> {
    let topic = topic();
    let record = |change: &Change| {
        let mut out = Vec::new();
        encoder.table(batch, change.table).aim(&topic);
        encoder.value(batch, change, &mut out).unwrap();
        out
    };
    batch.changes.iter().map(record).collect()
}
