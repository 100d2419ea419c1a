//! From a table's name to its topic.

use std::{collections::HashMap, sync::Arc};

use crate::{Error, ErrorKind, Result, change::TableName};

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
}

impl Topics {
    pub(super) fn new(template: &str) -> Self {
        Self { template: template.to_owned(), by_table: HashMap::new(), changed: HashMap::new() }
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
        if topic.is_empty() || topic.len() > MAX_NAME || matches!(&*topic, "." | "..") {
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
        let mut topics = Topics::new("cdc.{database}.{table}");
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
        let mut topics = Topics::new("{schema}all");
        assert_eq!(&*topics.topic(&TableName::new("shop", "a")).unwrap(), "all");
        assert_eq!(&*topics.topic(&TableName::new("shop", "b")).unwrap(), "all");
    }
}
