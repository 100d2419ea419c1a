//! Where changes are set aside.

use std::path::{Path, PathBuf};

use super::{Check, RawDeadLetter, transactions::same_topic};
use crate::{LetterTopic, Sink, SinkKind, raw::RawDeadLetterTopic};

impl Check<'_> {
    /// The folder of the files, or of the copy of a topic.
    pub(super) fn dead_letters(&mut self, raw: Option<&RawDeadLetter>, beside: &Path, name: &str) -> PathBuf {
        match raw {
            Some(RawDeadLetter::Folder(path)) => self.path("dead_letter", path),
            Some(RawDeadLetter::Topic(RawDeadLetterTopic { folder: Some(path), .. })) => self.path("dead_letter.folder", path),
            _ => beside.join(format!("{name}-dead-letters")),
        }
    }

    /// The topic, and the sink whose brokers have it.
    pub(super) fn letter_topic(&mut self, raw: Option<RawDeadLetter>, sinks: &mut [Sink]) -> Option<LetterTopic> {
        let Some(RawDeadLetter::Topic(RawDeadLetterTopic { topic, sink, .. })) = raw else { return None };
        self.fixed_topic("dead_letter.topic", Some(&topic));
        let mut kafka: Vec<&mut Sink> = sinks.iter_mut().filter(|sink| matches!(sink.kind, SinkKind::Kafka(_))).collect();
        let found = match (&sink, kafka.as_slice()) {
            (Some(name), _) => kafka.iter().position(|sink| sink.name == *name),
            (None, [_]) => Some(0),
            (None, _) => None,
        };
        let Some(Sink { name, kind: SinkKind::Kafka(settings), .. }) = found.and_then(|found| kafka.get_mut(found)) else {
            let (what, remedy) = match (&sink, kafka.is_empty()) {
                (Some(name), _) => {
                    (format!("there is no Kafka sink `{name}`"), "name a sink of type `kafka`, whose brokers have the topic")
                }
                (None, true) => ("there is no Kafka sink whose brokers could have it".to_owned(), "name a folder in place of a topic"),
                (None, false) => ("there are several Kafka sinks".to_owned(), "name the one whose brokers have the topic: `sink: NAME`"),
            };
            self.refuse("dead_letter.sink", what, remedy);
            return None;
        };
        if let Some(other) = same_topic(settings, &topic) {
            self.refuse("dead_letter.topic", format!("it is the same as `{other}` of the sink"), "give one of them another topic");
        }
        settings.letter_topic = Some(topic.clone());
        Some(LetterTopic { topic, sink: name.clone(), settings: Box::new(settings.clone()) })
    }
}
