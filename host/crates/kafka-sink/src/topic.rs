//! From a table, and what plugins chose, to a topic.

use std::{collections::HashSet, sync::Arc};

use sluicegate_config::{Delivery, Field, KafkaSink as Settings, NameCase, Part, Template};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::TableName,
    limits::{KAFKA_TOPIC_TABLES, KAFKA_TOPIC_VARIANTS, KAFKA_TOPICS},
};
use sluicegate_sink::{
    destination,
    route::{Claim, Given, GivenNames, Piece, RecentNames, Subject, Variant},
};

use super::creation::Creation;

/// The longest topic name that Kafka allows, in characters.
const MAX_NAME: usize = 249;

/// What a topic may be for, beside rows.
#[derive(Clone, Copy)]
enum Purpose {
    Schemas,
    Positions,
    Heartbeats,
    Transactions,
    Letters,
}

impl Purpose {
    /// The error of a table whose records would come into it.
    fn meets(self, table: &TableName, topic: &str, otherwise: &str) -> Error {
        let (what, setting) = match self {
            Self::Schemas => ("the changes of schemas", "`schema_changes` of the sink"),
            Self::Positions => ("the sink's progress", "`positions_topic` of the sink"),
            Self::Heartbeats => ("the heartbeats", "`heartbeats` of the sink"),
            Self::Transactions => ("what is told of transactions", "`transaction_metadata` of the sink"),
            Self::Letters => ("the dead letters", "`dead_letter`"),
        };
        Error::new(ErrorKind::Sink, format!("table {table} would share topic `{topic}` with {what}"))
            .remedy(format!("give {setting} another topic, or {otherwise}; then start again: nothing is lost"))
    }
}

/// The topic template with the topics it has given so far.
pub(super) struct Topics {
    case: NameCase,
    recent: RecentNames,
    /// Every topic that the template has given, by its name in Kafka's metrics.
    given: GivenNames,
    most_given: usize,
    /// What plugins have chosen. librdkafka remembers each topic for good.
    chosen: HashSet<Arc<str>>,
    most_chosen: usize,
    /// Where changes of schemas are told, and whether it is seen to be there.
    schemas: Option<(Arc<str>, bool)>,
    /// Where heartbeats go.
    heartbeats: Option<Arc<str>>,
    /// Where transactions are told.
    transactions: Option<Arc<str>>,
    /// Where dead letters are.
    letters: Option<Arc<str>>,
    /// Where the sink's progress stands, if that is in Kafka.
    positions: Option<Box<str>>,
    /// Sees to it that they are there.
    creation: Option<Creation>,
}

impl Topics {
    pub(super) fn new(settings: &Settings, most_chosen: usize, creation: Option<Creation>) -> Self {
        Self {
            case: settings.name_case,
            recent: RecentNames::new(KAFKA_TOPIC_TABLES, KAFKA_TOPIC_VARIANTS),
            given: GivenNames::new(settings.topic.clone(), settings.shared_topic),
            most_given: KAFKA_TOPICS,
            chosen: HashSet::new(),
            most_chosen,
            heartbeats: settings.heartbeats.as_ref().map(|heartbeats| heartbeats.topic.as_str().into()),
            transactions: settings.transaction_topic.as_deref().map(Into::into),
            letters: settings.letter_topic.as_deref().map(Into::into),
            schemas: settings.schema_topic.as_deref().map(|topic| (topic.into(), false)),
            positions: match &settings.delivery {
                Delivery::ExactlyOnce(transactions) => Some(transactions.positions_topic.as_str().into()),
                Delivery::AtLeastOnce => None,
            },
            creation,
        }
    }

    /// Whether it is the topic to which changes of schemas are told.
    pub(super) fn is_of_schemas(&self, topic: &str) -> bool {
        self.schemas.as_ref().is_some_and(|(schemas, _)| **schemas == *topic)
    }

    /// The topic to which changes of schemas are told, if they are.
    ///
    /// # Errors
    /// `Sink` when it is not there.
    pub(super) fn of_schemas(&mut self) -> Result<Option<Arc<str>>> {
        let Some((topic, seen)) = self.schemas.clone() else { return Ok(None) };
        if !seen {
            self.see(&topic)?;
            self.schemas = Some((topic.clone(), true));
        }
        Ok(Some(topic))
    }

    /// Sees to it that a topic is there, to which no table's records go.
    ///
    /// # Errors
    /// `Sink` when it is not there.
    pub(super) fn see(&mut self, topic: &str) -> Result<()> {
        self.creation.as_mut().map_or(Ok(()), |creation| creation.ensure(topic))
    }

    pub(super) fn template(&self) -> &Template {
        self.given.template()
    }

    /// A batch begins: numbers of tables that [`Self::table`] gave are void.
    pub(super) fn begin(&mut self) {
        self.recent.begin();
    }

    /// The number of a table, until the next [`Self::begin`].
    pub(super) fn table(&mut self, table: &TableName) -> usize {
        self.recent.table(table)
    }

    /// The topic of a table's records, where plugins chose `chosen`; `None` when they chose what can be no topic's name. In what the
    /// template gives, characters that Kafka does not allow become `_`.
    ///
    /// # Errors
    /// `Sink` when no topic can have the name, when the table would share a topic by accident, when Kafka cannot have the topic
    /// beside that of another table, when it is one topic too many, or when it is not there.
    pub(super) fn topic(&mut self, table: usize, chosen: Option<&str>, variant: Variant) -> Result<Option<Arc<str>>> {
        if let (Some(chosen), false) = (chosen, self.template().has(Field::Destination)) {
            return self.chosen(chosen, table);
        }
        if let Some(topic) = self.recent.find(table, chosen, variant) {
            return Ok(Some(topic.clone()));
        }
        let name = self.recent.name(table)?.clone();
        let subject = Subject { table: &name, chosen, variant };
        if let Some(chosen) = chosen {
            let can_be = !chosen.is_empty() && chosen.chars().all(allowed) && fits(&self::name(self.template(), self.case, &subject));
            if !can_be {
                return Ok(None);
            }
            self.count_chosen(chosen)?;
        }
        let topic = self.find(&subject)?;
        self.recent.note(table, chosen, variant, topic.clone())?;
        Ok(Some(topic))
    }

    /// What the topic would be called, whether or not there can be one of that name. None is made, and none is remembered.
    ///
    /// # Errors
    /// `Internal`: the table's number is void.
    pub(super) fn would_be(&self, table: usize, chosen: Option<&str>, variant: Variant) -> Result<String> {
        match chosen {
            Some(chosen) if !self.template().has(Field::Destination) => Ok(chosen.to_owned()),
            _ => Ok(name(self.template(), self.case, &Subject { table: self.recent.name(table)?, chosen, variant })),
        }
    }

    /// The topic that a plugin has chosen; `None` when no topic can have that name.
    ///
    /// # Errors
    /// `Sink` when it is one too many, not there, or for something else.
    fn chosen(&mut self, name: &str, table: usize) -> Result<Option<Arc<str>>> {
        if let Some(topic) = self.chosen.get(name) {
            return Ok(Some(topic.clone()));
        }
        if !fits(name) || !name.chars().all(allowed) {
            return Ok(None);
        }
        self.keep_free(name, table)?;
        if self.chosen.len() >= self.most_chosen {
            return Err(destination::too_many(self.most_chosen));
        }
        if let Some(creation) = &mut self.creation {
            creation.ensure(name)?;
        }
        self.count_chosen(name).map(Some)
    }

    /// Notes what a plugin has chosen.
    fn count_chosen(&mut self, chosen: &str) -> Result<Arc<str>> {
        if let Some(known) = self.chosen.get(chosen) {
            return Ok(known.clone());
        }
        if self.chosen.len() >= self.most_chosen {
            return Err(destination::too_many(self.most_chosen));
        }
        let chosen: Arc<str> = chosen.into();
        self.chosen.insert(chosen.clone());
        Ok(chosen)
    }

    /// Refuses a topic that a plugin has chosen where it is for something else than rows.
    fn keep_free(&self, name: &str, table: usize) -> Result<()> {
        match self.purpose(name) {
            None => Ok(()),
            Some(purpose) => Err(purpose.meets(self.recent.name(table)?, name, "let the plugin choose another one")),
        }
    }

    /// What a topic is for, or one that Kafka takes for the same, if it is for something else than rows.
    fn purpose(&self, name: &str) -> Option<Purpose> {
        let is = |topic: &str| topic.len() == name.len() && metric(topic) == metric(name);
        let schemas = self.schemas.as_ref().map(|(topic, _)| (&**topic, Purpose::Schemas));
        let positions = self.positions.as_deref().map(|topic| (topic, Purpose::Positions));
        let heartbeats = self.heartbeats.as_deref().map(|topic| (topic, Purpose::Heartbeats));
        let transactions = self.transactions.as_deref().map(|topic| (topic, Purpose::Transactions));
        let letters = self.letters.as_deref().map(|topic| (topic, Purpose::Letters));
        let mut all = [schemas, positions, heartbeats, transactions, letters].into_iter().flatten();
        all.find(|(topic, _)| is(topic)).map(|(_, purpose)| purpose)
    }

    fn find(&mut self, subject: &Subject<'_>) -> Result<Arc<str>> {
        let (table, name) = (subject.table, name(self.template(), self.case, subject));
        if !fits(&name) {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("the topic name of table {table} is empty, `.`, `..` or longer than {MAX_NAME} characters"),
            )
            .remedy("change the sink's `topic` template, or give the table another name with the `map-names` plugin"));
        }
        let key = metric(&name);
        if let Some(purpose) = self.purpose(&name) {
            return Err(purpose.meets(table, &name, "change `topic`"));
        }
        match self.given.claim(subject, &key, &name) {
            Claim::Shared(given) => return Ok(given.name.clone()),
            Claim::LeftOut(given) => return Err(self.left_out(given, table)),
            Claim::Meets(given) => return Err(self.meets(given, subject, &name)),
            Claim::New => {}
        }
        if self.given.count() >= self.most_given {
            return Err(Error::new(ErrorKind::Sink, format!("the sink's `topic` template gives more than {} topics", self.most_given))
                .remedy("let tables share topics by leaving `{table}` out of it, or divide the tables among several pipelines; then start again: nothing is lost"));
        }
        if let Some(creation) = &mut self.creation {
            creation.ensure(&name)?;
        }
        let topic: Arc<str> = name.into();
        self.given.give(subject, key, topic.clone());
        Ok(topic)
    }

    /// The error of a table that the template does not tell from another one.
    fn left_out(&self, given: &Given, table: &TableName) -> Error {
        let (first, topic, template) = (&given.table, &given.name, self.template());
        let field = given.left_out(template, table).name();
        let what = format!(
            "tables {first} and {table} would share topic `{topic}`, because `{template}` leaves out `{{{field}}}`, in which they differ"
        );
        Error::new(ErrorKind::Sink, what).remedy(format!(
            "add `{{{field}}}` to the sink's `topic`; or, if they are meant to share it, set `shared_topic: allow`; then start again: nothing is lost"
        ))
    }

    /// The error of a table whose topic another table has, or whose topic Kafka cannot have beside that of another table.
    fn meets(&self, given: &Given, subject: &Subject<'_>, name: &str) -> Error {
        let (first, table, topic, template) = (&given.table, subject.table, &given.name, self.template());
        let as_is = |table| filled(template, NameCase::AsIs, &Subject { table, ..*subject });
        let cased = |table| filled(template, self.case, &Subject { table, ..*subject });
        let what = if topic.as_ref() != name {
            format!(
                "tables {first} and {table} would have the topics `{topic}` and `{name}`, and Kafka cannot have both: it takes `.` and `_` \
                 for the same in the names of its metrics"
            )
        } else if cased(first) != cased(table) {
            format!("tables {first} and {table} would share topic `{topic}`, because characters that Kafka does not allow become `_`")
        } else if as_is(first) != as_is(table) {
            format!("tables {first} and {table} would share topic `{topic}`, because the sink's `name_case` makes their names the same")
        } else {
            format!("tables {first} and {table} would share topic `{topic}`, because the parts of their names run together in `{template}`")
        };
        let other = hyphenated(template);
        let named = |table| metric(&self::name(&other, self.case, &Subject { table, ..*subject }));
        let remedy = "give one of the tables another name with the `map-names` plugin";
        let template = if named(first) != named(table) { format!(", or write `{other}` as the sink's `topic`") } else { String::new() };
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
fn name(template: &Template, case: NameCase, subject: &Subject<'_>) -> String {
    filled(template, case, subject).chars().map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// The template with what its placeholders stand for.
fn filled(template: &Template, case: NameCase, subject: &Subject<'_>) -> String {
    let mut out = String::new();
    subject.fill(template, case, |piece| match piece {
        Piece::Text(text) | Piece::Name(text) | Piece::Chosen(text) => out.push_str(text),
    });
    out
}

/// The template with `-` between names instead of `.` and `_`.
fn hyphenated(template: &Template) -> Template {
    Template::of(template.parts().iter().map(|part| match part {
        Part::Text(text) => Part::Text(text.replace(['.', '_'], "-")),
        field => field.clone(),
    }))
}

#[cfg(test)]
mod tests;
