//! From a table's name to its topic.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::TableName,
    limits::{KAFKA_TOPIC_TABLES, KAFKA_TOPICS},
};
use sluicegate_sink::destination;

/// The longest topic name that Kafka allows, in characters.
const MAX_NAME: usize = 249;

/// The topic template with the topics it has given so far.
pub(super) struct Topics {
    template: String,
    /// Topics of the tables seen last.
    by_table: HashMap<TableName, Arc<str>>,
    /// Every topic that the template has given, by its name in Kafka's metrics: never forgotten, or tables could meet in a topic.
    given: HashMap<Box<str>, Given>,
    most_given: usize,
    /// Topics that plugins have chosen. librdkafka remembers each for good.
    chosen: HashSet<Arc<str>>,
    most_chosen: usize,
}

/// A topic, and the first table that has got it.
struct Given {
    topic: Arc<str>,
    table: TableName,
}

impl Topics {
    pub(super) fn new(template: &str, most_chosen: usize) -> Self {
        Self {
            template: template.to_owned(),
            by_table: HashMap::new(),
            given: HashMap::new(),
            most_given: KAFKA_TOPICS,
            chosen: HashSet::new(),
            most_chosen,
        }
    }

    /// The topic that a plugin has chosen; `None` when no topic can have that name.
    ///
    /// # Errors
    /// `Sink` when it is one too many.
    pub(super) fn chosen(&mut self, name: &str) -> Result<Option<Arc<str>>> {
        if let Some(topic) = self.chosen.get(name) {
            return Ok(Some(topic.clone()));
        }
        if !fits(name) || !name.chars().all(allowed) {
            return Ok(None);
        }
        if self.chosen.len() >= self.most_chosen {
            return Err(destination::too_many(self.most_chosen));
        }
        let topic: Arc<str> = name.into();
        self.chosen.insert(topic.clone());
        Ok(Some(topic))
    }

    /// The topic of a table. Characters that Kafka does not allow become `_`.
    ///
    /// # Errors
    /// `Sink` when no topic can have the name, when the template names two tables apart that would share a topic all the same,
    /// when Kafka cannot have the topic beside that of another table, or when it is one topic too many.
    pub(super) fn topic(&mut self, table: &TableName) -> Result<Arc<str>> {
        if let Some(topic) = self.by_table.get(table) {
            return Ok(topic.clone());
        }
        let topic = self.find(table)?;
        if self.by_table.len() >= KAFKA_TOPIC_TABLES {
            self.by_table.clear();
        }
        self.by_table.insert(table.clone(), topic.clone());
        Ok(topic)
    }

    fn find(&mut self, table: &TableName) -> Result<Arc<str>> {
        let name = name(&self.template, table);
        if !fits(&name) {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("the topic name of table {table} is empty, `.`, `..` or longer than {MAX_NAME} characters"),
            )
            .remedy("change the sink's `topic` template, or give the table another name with the `map-names` plugin"));
        }
        if let Some(given) = self.given.get(&*metric(&name)) {
            return match given.topic.as_ref() == name {
                // the template leaves out what they differ in: they are meant to flow together
                true if values(&self.template, &given.table).eq(values(&self.template, table)) => Ok(given.topic.clone()),
                _ => Err(self.meets(given, table, &name)),
            };
        }
        if self.given.len() >= self.most_given {
            return Err(Error::new(ErrorKind::Sink, format!("the sink's `topic` template gives more than {} topics", self.most_given))
                .remedy("let tables share topics by leaving `{table}` out of it, or divide the tables among several pipelines; then start again: nothing is lost"));
        }
        let topic: Arc<str> = name.as_str().into();
        self.given.insert(metric(&name), Given { topic: topic.clone(), table: table.clone() });
        Ok(topic)
    }

    /// The error of a table whose topic another table has, or whose topic Kafka cannot have beside that of another table.
    fn meets(&self, given: &Given, table: &TableName, name: &str) -> Error {
        let (first, topic, template) = (&given.table, &given.topic, &self.template);
        let what = if topic.as_ref() != name {
            format!(
                "tables {first} and {table} would have the topics `{topic}` and `{name}`, and Kafka cannot have both: it takes `.` and `_` \
                 for the same in the names of its metrics"
            )
        } else if fill(template, first) != fill(template, table) {
            format!("tables {first} and {table} would share topic `{topic}`, because characters that Kafka does not allow become `_`")
        } else {
            format!("tables {first} and {table} would share topic `{topic}`, because the parts of their names run together in `{template}`")
        };
        let other = hyphenated(template);
        let apart = metric(&self::name(&other, first)) != metric(&self::name(&other, table));
        let remedy = "give one of the tables another name with the `map-names` plugin";
        let template = if apart { format!(", or write `{other}` as the sink's `topic`") } else { String::new() };
        Error::new(ErrorKind::Sink, what).remedy(format!("{remedy}{template}; then start again: nothing is lost"))
    }
}

/// The error of a record whose destination no topic can have. It may come from a value, so it is not shown.
pub(super) fn bad_destination(table: &TableName) -> Error {
    Error::new(ErrorKind::Record, format!("the destination that a plugin chose for a record of table {table} is no topic name"))
        .remedy(format!("let the plugin choose letters, digits, `.`, `_` and `-`, at most {MAX_NAME} of them, or set `on_error`"))
}

/// What Kafka's metrics call a topic. It refuses a new topic whose name there is taken.
pub fn metric(topic: &str) -> Box<str> {
    topic.replace('.', "_").into()
}

/// Whether a name that has only characters that Kafka allows can be a topic's.
fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !matches!(name, "." | "..")
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// The topic's name, with the characters replaced that Kafka does not allow.
fn name(template: &str, table: &TableName) -> String {
    fill(template, table).chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// What stands for a placeholder.
type Value = fn(&TableName) -> &str;

/// A part of a template.
enum Part<'t> {
    Text(&'t str),
    Placeholder(Value),
}

/// The parts of a template, found in one pass, so that a table's name cannot bring in a placeholder.
fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    const PLACEHOLDERS: [(&str, Value); 3] = [
        ("{database}", |table| &table.database),
        ("{schema}", |table| table.schema.as_deref().unwrap_or_default()),
        ("{table}", |table| &table.table),
    ];
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        for (placeholder, value) in PLACEHOLDERS {
            if let Some(behind) = rest.strip_prefix(placeholder) {
                rest = behind;
                return Some(Part::Placeholder(value));
            }
        }
        // at least one character, so that a brace that begins no placeholder is text
        let end = rest.char_indices().skip(1).find(|(_, c)| *c == '{').map_or(rest.len(), |(at, _)| at);
        let (text, behind) = rest.split_at(end);
        rest = behind;
        Some(Part::Text(text))
    })
}

/// The template with the table's names in place of its placeholders.
fn fill(template: &str, table: &TableName) -> String {
    let text = |part| match part {
        Part::Text(text) => text,
        Part::Placeholder(value) => value(table),
    };
    parts(template).map(text).collect()
}

/// What the template takes of a table's name.
fn values<'t>(template: &'t str, table: &'t TableName) -> impl Iterator<Item = &'t str> {
    parts(template).filter_map(|part| match part {
        Part::Text(_) => None,
        Part::Placeholder(value) => Some(value(table)),
    })
}

/// The template with `-` between names instead of `.` and `_`.
fn hyphenated(template: &str) -> String {
    let text = |part| match part {
        Part::Text(text) => text.replace(['.', '_'], "-"),
        Part::Placeholder(value) => {
            value(&TableName { database: "{database}".into(), schema: Some("{schema}".into()), table: "{table}".into() }).to_owned()
        }
    };
    parts(template).map(text).collect()
}

#[cfg(test)]
mod tests;
