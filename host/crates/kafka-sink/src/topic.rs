//! From a table's name to its topic.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sluicegate_model::{Error, ErrorKind, Result, change::TableName};
use sluicegate_sink::destination;

/// The longest topic name that Kafka allows, in characters.
const MAX_NAME: usize = 249;

/// Tables whose topics are kept; past that the least work is to begin anew.
const MAX_TABLES: usize = 20_000;

/// The topic template with the topics it has given so far.
pub(super) struct Topics {
    template: String,
    by_table: HashMap<TableName, Arc<str>>,
    /// Topics whose names had to be changed, with the name as the template gave it.
    changed: HashMap<Arc<str>, String>,
    /// Topics that plugins have chosen. librdkafka remembers each for good.
    chosen: HashSet<Arc<str>>,
    most_chosen: usize,
}

impl Topics {
    pub(super) fn new(template: &str, most_chosen: usize) -> Self {
        Self { template: template.to_owned(), by_table: HashMap::new(), changed: HashMap::new(), chosen: HashSet::new(), most_chosen }
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
    /// `Sink` when no topic can have the name, or when two tables would meet in one topic only because characters were replaced.
    pub(super) fn topic(&mut self, table: &TableName) -> Result<Arc<str>> {
        if let Some(topic) = self.by_table.get(table) {
            return Ok(topic.clone());
        }
        let name = fill(&self.template, table);
        let topic: Arc<str> = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect::<String>().into();
        if !fits(&topic) {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("the topic name of table {table} is empty, `.`, `..` or longer than {MAX_NAME} characters"),
            )
            .remedy("change the sink's `topic` template, or give the table another name with the `map-names` plugin"));
        }
        if self.by_table.len() >= MAX_TABLES {
            self.by_table.clear();
            self.changed.clear();
        }
        let other = self.changed.get(&topic);
        let meets = match other {
            Some(other) => *other != name,
            // a topic of this very name may have been given to another table, unchanged
            None => *topic != *name && self.by_table.values().any(|t| *t == topic),
        };
        if meets {
            return Err(Error::new(
                ErrorKind::Sink,
                format!("table {table} would share topic `{topic}` with another table, because characters that Kafka does not allow were replaced"),
            )
            .remedy("give one of the tables another name with the `map-names` plugin"));
        }
        if *topic != *name {
            self.changed.insert(topic.clone(), name);
        }
        self.by_table.insert(table.clone(), topic.clone());
        Ok(topic)
    }
}

/// The error of a record whose destination no topic can have. It may come from a value, so it is not shown.
pub(super) fn bad_destination(table: &TableName) -> Error {
    Error::new(ErrorKind::Record, format!("the destination that a plugin chose for a record of table {table} is no topic name"))
        .remedy(format!("let the plugin choose letters, digits, `.`, `_` and `-`, at most {MAX_NAME} of them, or set `on_error`"))
}

/// Whether a name that has only characters that Kafka allows can be a topic's.
fn fits(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !matches!(name, "." | "..")
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Fills the placeholders in one pass, so that a table's name cannot bring in a placeholder.
fn fill(template: &str, table: &TableName) -> String {
    let mut name = String::with_capacity(64);
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        name.push_str(before);
        let values = [
            ("{database}", table.database.as_str()),
            ("{schema}", table.schema.as_deref().unwrap_or("")),
            ("{table}", table.table.as_str()),
        ];
        match values.iter().find_map(|(placeholder, value)| Some((from.strip_prefix(placeholder)?, value))) {
            Some((after, value)) => {
                name.push_str(value);
                rest = after;
            }
            None => {
                name.push('{');
                rest = &from[1..];
            }
        }
    }
    name + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kafka_does_not_allow_are_replaced_and_never_meet() {
        let mut topics = Topics::new("cdc.{database}.{table}", 0);
        let mut topic = |table: &str| topics.topic(&TableName::new("shop", table)).map(|t| t.to_string());
        assert_eq!(topic("orders").unwrap(), "cdc.shop.orders");
        assert_eq!(topic("{database}").unwrap(), "cdc.shop._database_");
        assert_eq!(topic("caf\u{e9}").unwrap(), "cdc.shop.caf_");
        assert_eq!(topic("caf\u{e9}").unwrap(), "cdc.shop.caf_");
        insta::assert_snapshot!(topic("caf\u{e8}").unwrap_err(), @r"
table shop.cafè would share topic `cdc.shop.caf_` with another table, because characters that Kafka does not allow were replaced
  remedy: give one of the tables another name with the `map-names` plugin
");
        assert_eq!(topic("a_b").unwrap(), "cdc.shop.a_b");
        assert!(topic("a b").is_err());
        insta::assert_snapshot!(topic(&"x".repeat(250)).unwrap_err().to_string().replace(&"x".repeat(250), "x…"), @r"
the topic name of table shop.x… is empty, `.`, `..` or longer than 249 characters
  remedy: change the sink's `topic` template, or give the table another name with the `map-names` plugin
");
    }

    #[test]
    fn a_template_may_bring_tables_together() {
        let mut topics = Topics::new("{schema}all", 0);
        assert_eq!(&*topics.topic(&TableName::new("shop", "a")).unwrap(), "all");
        assert_eq!(&*topics.topic(&TableName::new("shop", "b")).unwrap(), "all");
    }

    #[test]
    fn a_chosen_topic_is_taken_as_it_is_or_not_at_all_and_they_are_bounded() {
        let mut topics = Topics::new("{table}", 2);
        let long = "x".repeat(MAX_NAME + 1);
        for bad in ["", ".", "..", "a b", "a/b", "caf\u{e9}", "a\0", &long] {
            assert_eq!(topics.chosen(bad).unwrap(), None, "{bad}");
        }
        for good in ["eu.orders", "...", &long[1..], "eu.orders"] {
            let chosen = topics.chosen(good);
            if good == &long[1..] {
                insta::assert_snapshot!(chosen.unwrap_err(), @r#"
                the plugins have chosen more than 2 different destinations
                  remedy: let them choose fewer, or raise `limits.destinations`; then start again: nothing is lost
                "#);
            } else {
                assert_eq!(chosen.unwrap().as_deref(), Some(good));
            }
        }
        insta::assert_snapshot!(bad_destination(&TableName::new("shop", "orders")), @r#"
        the destination that a plugin chose for a record of table shop.orders is no topic name
          remedy: let the plugin choose letters, digits, `.`, `_` and `-`, at most 249 of them, or set `on_error`
        "#);
    }
}
