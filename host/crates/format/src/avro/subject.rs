//! The subject of a schema, and the bytes that name it in front of records.

use std::sync::Arc;

use super::{FRAMING, SchemaIds};
use sluicegate_config::Subject;
use sluicegate_model::{Error, ErrorKind, Result};

/// Topics of a table whose ids are remembered beside those that the registry's client remembers.
const TOPICS: usize = 16;

/// A schema, and what it is called in the registry.
pub(super) struct Registered {
    schema: String,
    /// The record's full name.
    name: String,
    /// What stands behind the topic.
    suffix: &'static str,
    subject: Subject,
    known: Vec<(Option<Arc<str>>, [u8; FRAMING])>,
}

impl Registered {
    pub(super) fn new(schema: String, name: String, suffix: &'static str, subject: Subject) -> Self {
        Self { schema, name, suffix, subject, known: Vec::new() }
    }

    /// What stands in front of a record for this topic.
    #[inline]
    pub(super) fn front(&mut self, topic: Option<&Arc<str>>, ids: &dyn SchemaIds) -> Result<[u8; FRAMING]> {
        let same = |known: &Option<Arc<str>>| match (known, topic) {
            (Some(known), Some(topic)) => Arc::ptr_eq(known, topic) || known == topic,
            (None, None) => true,
            _ => false,
        };
        match self.known.iter().find(|(known, _)| same(known)) {
            Some((_, front)) => Ok(*front),
            None => self.ask(topic, ids),
        }
    }

    #[cold]
    fn ask(&mut self, topic: Option<&Arc<str>>, ids: &dyn SchemaIds) -> Result<[u8; FRAMING]> {
        let topic_name = || topic.ok_or_else(|| Error::new(ErrorKind::Internal, "a record of Avro without a topic"));
        let subject = match self.subject {
            Subject::Topic => format!("{}-{}", topic_name()?, self.suffix),
            Subject::Record => self.name.clone(),
            Subject::TopicRecord => format!("{}-{}", topic_name()?, self.name),
        };
        let [a, b, c, d] = ids.id(&subject, &self.schema)?.to_be_bytes();
        let front = [0, a, b, c, d];
        if self.known.len() >= TOPICS {
            self.known.remove(0);
        }
        self.known.push((topic.cloned(), front));
        Ok(front)
    }
}
