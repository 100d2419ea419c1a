//! Where a sink's records go: templates, and the topics that they name.

use super::{
    super::{
        PathTemplate, TopicCreation, TopicSettings,
        raw::{RawNameCase, RawTopics, RawTopicsWord},
        template::{Field, NameCase, Part, Template, TemplateFault},
    },
    check::Check,
};

/// What a topic's name is when none is set.
const TOPIC: &str = "{database}.{table}";
/// Settings of a topic, at most.
const MOST_SETTINGS: usize = 100;

impl Check<'_> {
    /// The template of the topics.
    pub(super) fn topic(&mut self, path: &str, text: Option<&str>) -> Template {
        match text.unwrap_or(TOPIC).parse::<Template>() {
            Ok(template) => {
                let text = |part: &Part| match part {
                    Part::Text(text) => is_topic(text),
                    Part::Field(_) => true,
                };
                if !template.parts().iter().all(text) {
                    self.refuse(path, "Kafka allows no such topic name", "use letters, digits, `.`, `_`, `-` and the placeholders");
                }
                template
            }
            Err(fault) => self.no_template(path, &fault),
        }
    }

    /// A topic without placeholders.
    pub(super) fn fixed_topic(&mut self, path: &str, topic: Option<&str>) {
        if topic.is_some_and(|topic| topic.is_empty() || topic.len() > 249 || !is_topic(topic)) {
            self.refuse(path, "Kafka allows no such topic name", "use letters, digits, `.`, `_` and `-`");
        }
    }

    /// The template of the folders inside a file sink's.
    pub(super) fn folders(&mut self, path: &str, text: Option<&str>, shared: bool, case: Option<RawNameCase>) -> Option<PathTemplate> {
        let Some(text) = text else {
            for (name, set) in [("shared_path", shared), ("name_case", case.is_some())] {
                if set {
                    self.refuse(format!("{path}.{name}"), "it has no effect", "set `path`, or remove it");
                }
            }
            return None;
        };
        let path = format!("{path}.path");
        let template = match text.parse::<Template>() {
            Ok(template) => template,
            Err(fault) => self.no_template(&path, &fault),
        };
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(_) => "x".to_owned(),
        };
        let example: String = template.parts().iter().map(text).collect();
        let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(|c: char| c == '\\' || c.is_control());
        if !example.split('/').all(is_name) {
            self.refuse(
                path,
                "this is no path inside the sink's folder",
                "write names with `/` between them, none of which is empty, begins with `.` or holds `\\`",
            );
        }
        Some(PathTemplate { template, shared, case: name_case(case) })
    }

    fn no_template(&mut self, path: &str, fault: &TemplateFault) -> Template {
        let names: Vec<String> = Field::ALL.iter().map(|(name, _)| format!("`{{{name}}}`")).collect();
        let remedy = match fault {
            TemplateFault::Unknown(_) => format!("use only {}", names.join(", ")),
            TemplateFault::Brace => "close the placeholder, or write `{{` and `}}` for braces that are text".to_owned(),
            TemplateFault::Empty => "write text and placeholders, e.g. `{database}.{table}`, or leave the key out".to_owned(),
        };
        self.refuse(path, fault.to_string(), remedy);
        Template::of([Part::Field(Field::Table)])
    }

    /// What is done about topics that are not there.
    pub(super) fn topics(&mut self, path: &str, raw: Option<RawTopics>) -> TopicCreation {
        let raw = match raw {
            None | Some(RawTopics::Word(RawTopicsWord::Automatic)) => return TopicCreation::Automatic,
            Some(RawTopics::Word(RawTopicsWord::MustExist)) => return TopicCreation::MustExist,
            Some(RawTopics::Create(raw)) => raw,
        };
        for (name, count, most) in [("partitions", raw.partitions, 100_000), ("replication_factor", raw.replication_factor, 1000)] {
            self.count(&format!("{path}.{name}"), count, 1, 1, most);
        }
        if raw.config.len() > MOST_SETTINGS {
            self.refuse(
                format!("{path}.config"),
                format!("there are {} settings", raw.config.len()),
                format!("use at most {MOST_SETTINGS}"),
            );
        }
        for (name, value) in &raw.config {
            if !is_topic(name) || value.0.contains('\0') {
                self.refuse(
                    format!("{path}.config"),
                    "one of the names is none of Kafka's topic configuration, or its value is no text",
                    "use names as `cleanup.policy`",
                );
            }
        }
        let config = raw.config.into_iter().map(|(name, value)| (name, value.0)).collect();
        TopicCreation::Create(TopicSettings { partitions: raw.partitions, replication_factor: raw.replication_factor, config })
    }
}

/// Whether the text can stand in a topic's name.
pub(super) fn is_topic(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

pub(super) fn name_case(raw: Option<RawNameCase>) -> NameCase {
    match raw {
        None | Some(RawNameCase::AsIs) => NameCase::AsIs,
        Some(RawNameCase::Lower) => NameCase::Lower,
        Some(RawNameCase::Upper) => NameCase::Upper,
    }
}
