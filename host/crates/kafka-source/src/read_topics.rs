//! What a session knows of the topics that it reads, also while a group has given their partitions to others.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{cluster::Topic, partition::SetPlace, session::gone_topic};
use sluicegate_model::{Error, ErrorKind, Result, change::TableName, limits::KAFKA_TABLE_VERSIONS};

/// How often in a row a topic has to be missing before it counts as deleted: brokers hear of a new one, and of an old one after a
/// restart, one after the other.
const MISSING: u32 = 3;

/// Topics that are read.
#[derive(Debug, Default)]
pub(super) struct ReadTopics {
    ids: BTreeMap<Arc<str>, Arc<str>>,
    /// How often in a row a topic was not there.
    missing: HashMap<Arc<str>, u32>,
    /// The number of partitions of each topic, whoever reads them.
    partitions: HashMap<String, i32>,
    /// From which topic each table's rows came; `None`: from several.
    tables: HashMap<TableName, Option<Arc<str>>>,
    /// Whether there were more tables than are remembered.
    forgot: bool,
}

impl ReadTopics {
    /// A topic with this id is read.
    pub(super) fn reads(&mut self, topic: &Arc<str>, id: &Arc<str>) {
        self.ids.entry(topic.clone()).or_insert_with(|| id.clone());
    }

    /// Looks whether the topics that are read are those of before.
    ///
    /// # Errors
    /// `Source`: one was made anew.
    pub(super) fn are_the_same(&mut self, topics: &BTreeMap<String, Topic>, set_place: &SetPlace) -> Result<()> {
        for (name, topic) in topics {
            let partitions = self.partitions.entry(name.clone()).or_default();
            *partitions = topic.partitions.max(*partitions);
        }
        for (topic, id) in &self.ids {
            if topics.get(&**topic).is_some_and(|found| found.id != *id) {
                let what = format!("topic `{topic}` was deleted, and another one of its name was made");
                return Err(Error::new(ErrorKind::Source, what).remedy(set_place.of(topic, 0)));
            }
        }
        Ok(())
    }

    /// Looks whether the topics that are read are still there. It is asked once in a while.
    ///
    /// # Errors
    /// `Source`: one has not been there several times in a row.
    pub(super) fn are_there(&mut self, topics: &BTreeMap<String, Topic>, set_place: &SetPlace) -> Result<()> {
        for topic in self.ids.keys() {
            if topics.contains_key(&**topic) {
                self.missing.remove(topic);
                continue;
            }
            let missing = self.missing.entry(topic.clone()).or_default();
            *missing += 1;
            if *missing >= MISSING {
                return Err(gone_topic(topic, ErrorKind::Source, set_place));
            }
        }
        Ok(())
    }

    /// Rows of a table came from a topic.
    pub(super) fn gave(&mut self, table: &TableName, topic: &Arc<str>) {
        let full = self.tables.len() >= KAFKA_TABLE_VERSIONS;
        match self.tables.get_mut(table) {
            Some(Some(known)) if known == topic => {}
            Some(several) => *several = None,
            None if full => self.forgot = true,
            None => drop(self.tables.insert(table.clone(), Some(topic.clone()))),
        }
    }

    /// Whether everything of a table comes from the one partition of a topic, as far as this session has read: then its records have an
    /// order.
    pub(super) fn is_alone(&self, table: &TableName, topic: &str) -> bool {
        self.partitions.get(topic) == Some(&1)
            && match self.tables.get(table) {
                Some(Some(known)) => **known == *topic,
                Some(None) => false,
                None => !self.forgot,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(all: &[(&str, &str, i32)]) -> BTreeMap<String, Topic> {
        all.iter().map(|(name, id, partitions)| ((*name).to_owned(), Topic { id: (*id).into(), partitions: *partitions })).collect()
    }

    fn table(name: &str) -> TableName {
        TableName { database: "shop".into(), schema: None, table: name.into() }
    }

    #[test]
    fn a_table_has_an_order_only_in_the_one_partition_of_one_topic() {
        let mut topics_read = ReadTopics::default();
        assert!(!topics_read.is_alone(&table("orders"), "one"), "of what topic it is not known");
        topics_read.are_the_same(&topics(&[("one", "a", 1), ("other", "b", 1), ("three", "c", 3)]), &SetPlace::default()).unwrap();
        assert!(topics_read.is_alone(&table("orders"), "one"));
        // whoever reads the other partitions
        assert!(!topics_read.is_alone(&table("orders"), "three"));
        topics_read.gave(&table("orders"), &"one".into());
        topics_read.gave(&table("orders"), &"one".into());
        assert!(topics_read.is_alone(&table("orders"), "one") && !topics_read.is_alone(&table("orders"), "other"));
        topics_read.gave(&table("orders"), &"other".into());
        topics_read.gave(&table("orders"), &"one".into());
        assert!(!topics_read.is_alone(&table("orders"), "one") && topics_read.is_alone(&table("lines"), "one"));
        // of what is not remembered nothing is known
        for n in 0..KAFKA_TABLE_VERSIONS {
            topics_read.gave(&table(&n.to_string()), &"one".into());
        }
        assert!(!topics_read.is_alone(&table("lines"), "one") && topics_read.is_alone(&table("7"), "one"));
    }

    #[test]
    fn a_topic_that_was_deleted_or_made_anew_is_told_also_when_its_partitions_are_no_longer_here() {
        let group = SetPlace::of_group("clean");
        let both = topics(&[("orders", "a", 3), ("lines", "b", 3)]);
        let mut topics_read = ReadTopics::default();
        both.iter().for_each(|(name, topic)| topics_read.reads(&name.as_str().into(), &topic.id));
        let one = topics(&[("lines", "b", 3)]);
        for _ in 0..2 {
            topics_read.are_there(&one, &group).unwrap();
        }
        // brokers hear of topics one after the other
        topics_read.are_there(&both, &group).unwrap();
        for _ in 0..2 {
            topics_read.are_there(&one, &group).unwrap();
        }
        let gone = topics_read.are_there(&one, &group).unwrap_err();
        assert!(gone.message().contains("topic `orders`, which is read, no longer exists"), "{gone}");
        let anew = topics(&[("orders", "new", 3), ("lines", "b", 3)]);
        anew.iter().for_each(|(name, topic)| topics_read.reads(&name.as_str().into(), &topic.id));
        let error = topics_read.are_the_same(&anew, &group).unwrap_err();
        assert!(error.message().contains("topic `orders` was deleted, and another one of its name was made"), "{error}");
        assert!(error.remedy_text().unwrap().contains("kafka-consumer-groups.sh --group clean"), "{error:?}");
    }
}
