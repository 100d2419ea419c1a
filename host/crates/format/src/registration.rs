//! Schemas in a registry: their subjects and ids, and the bytes that name them in front of records and keys, as Confluent's serializers
//! write them: zero, and the schema's id in four bytes, the most significant first.
//!
//! A schema is registered with the first record that needs it; the id is part of the table's plan from then on.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use sluicegate_config::{Format as Settings, Subject};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Table, TableName},
    limits::{KAFKA_TOPICS, REGISTERED_TOPICS},
};

/// Bytes in front of a record: zero, and the schema's id.
pub(super) const FRAMING: usize = 5;

/// Where schemas get their ids.
pub trait SchemaIds: Send + Sync {
    /// The id of a schema under a subject, which is registered with it if need be. It may take its time, and remembers what it was told.
    ///
    /// # Errors
    /// `Record`: the registry refuses the schema, or has to have it and does not; the sink's policy decides. `Sink`: it cannot be asked.
    fn id(&self, subject: &str, schema: &str) -> Result<u32>;
}

/// What the subjects of a format are made of.
pub(super) fn subject(format: &Settings) -> Subject {
    format.registry.as_ref().map_or(Subject::Topic, |registry| registry.subject)
}

/// Tables by the names of their records, where subjects are made of these.
#[derive(Default)]
pub(super) struct RecordNames(Mutex<HashMap<String, TableName>>);

impl RecordNames {
    /// Keeps two tables from one subject. `base`: what the records of the table are called, without what is behind the last dot.
    ///
    /// # Errors
    /// `Sink`: another table has this name already.
    pub(super) fn claim(&self, subject: Subject, base: String, table: &Table) -> Result<()> {
        if subject == Subject::Topic {
            return Ok(());
        }
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= KAFKA_TOPICS && !names.contains_key(&base) {
            return Err(Error::new(ErrorKind::Sink, format!("there are more than {KAFKA_TOPICS} names of records"))
                .remedy("capture fewer tables in one pipeline"));
        }
        let known = names.entry(base.clone()).or_insert_with(|| table.name.clone());
        if *known == table.name {
            return Ok(());
        }
        let what = format!("tables {known} and {} would have records of the same name, `{base}`, and so the same subjects", table.name);
        Err(Error::new(ErrorKind::Sink, what)
            .remedy("rename one of them with the `map-names` plugin, or write `subject: topic`, where topics tell them apart"))
    }
}

/// What stands in front of a record.
type Front = [u8; FRAMING];

/// A schema, and what it is called in the registry.
pub(super) struct Registered {
    schema: String,
    /// The record's full name.
    name: String,
    /// What stands behind the topic.
    suffix: &'static str,
    subject: Subject,
    /// For the topic met last: of many records in turn it is the same.
    last: Option<(Option<Arc<str>>, Front)>,
    known: HashMap<Arc<str>, Front>,
}

impl Registered {
    pub(super) fn new(schema: String, name: String, suffix: &'static str, subject: Subject) -> Self {
        Self { schema, name, suffix, subject, last: None, known: HashMap::new() }
    }

    /// The schema.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    /// What stands in front of a record for this topic.
    #[inline]
    pub(super) fn front(&mut self, topic: Option<&Arc<str>>, ids: &dyn SchemaIds) -> Result<Front> {
        // without the topic in it, a subject is the same for all
        let topic = topic.filter(|_| self.subject != Subject::Record);
        match (&self.last, topic) {
            (Some((Some(last), front)), Some(topic)) if Arc::ptr_eq(last, topic) => Ok(*front),
            (Some((None, front)), None) => Ok(*front),
            _ => self.look_up(topic, ids),
        }
    }

    fn look_up(&mut self, topic: Option<&Arc<str>>, ids: &dyn SchemaIds) -> Result<Front> {
        let front = match topic.and_then(|topic| self.known.get(topic)) {
            Some(front) => *front,
            None => self.ask(topic, ids)?,
        };
        self.last = Some((topic.cloned(), front));
        Ok(front)
    }

    #[cold]
    fn ask(&mut self, topic: Option<&Arc<str>>, ids: &dyn SchemaIds) -> Result<Front> {
        let topic_name = || topic.ok_or_else(|| Error::new(ErrorKind::Internal, "a record of a schema in a registry without a topic"));
        let subject = match self.subject {
            Subject::Topic => format!("{}-{}", topic_name()?, self.suffix),
            Subject::Record => self.name.clone(),
            Subject::TopicRecord => format!("{}-{}", topic_name()?, self.name),
        };
        let [a, b, c, d] = ids.id(&subject, &self.schema)?.to_be_bytes();
        let front = [0, a, b, c, d];
        if let Some(topic) = topic {
            if self.known.len() >= REGISTERED_TOPICS {
                self.known.clear();
            }
            self.known.insert(topic.clone(), front);
        }
        Ok(front)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Numbers the subjects that it is asked for.
    #[derive(Default)]
    struct Asked(Mutex<Vec<String>>);

    impl SchemaIds for Asked {
        fn id(&self, subject: &str, _schema: &str) -> Result<u32> {
            let mut asked = self.0.lock().unwrap();
            asked.push(subject.to_owned());
            Ok(asked.len() as u32)
        }
    }

    #[test]
    fn the_id_of_a_schema_is_asked_for_once_for_each_topic_however_many_there_are() {
        const TOPICS: u32 = 300;
        for (subject, asked) in [(Subject::Topic, TOPICS), (Subject::TopicRecord, TOPICS), (Subject::Record, 1)] {
            let ids = Asked::default();
            let mut registered = Registered::new("{}".into(), "shop.Value".into(), "value", subject);
            for _ in 0..3 {
                for number in 0..TOPICS {
                    // also under another address
                    let topic: Arc<str> = format!("t.{number}").into();
                    let [_, front @ ..] = registered.front(Some(&topic), &ids).unwrap();
                    assert_eq!(u32::from_be_bytes(front), if asked == 1 { 1 } else { number + 1 });
                    assert_eq!(registered.front(Some(&topic), &ids).unwrap()[1..], front);
                }
            }
            assert_eq!(ids.0.lock().unwrap().len(), asked as usize);
        }
    }
}
