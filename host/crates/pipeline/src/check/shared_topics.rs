//! Topics of several Kafka sinks that meet: two sinks that write to one topic, and topics that Kafka cannot have side by side.

use std::collections::BTreeSet;

use sluicegate_kafka_sink::metric;
use sluicegate_model::finding::Finding;

/// Compares the sinks, each with its brokers. `topics` has, for each table, the names of sinks, each with the table's topic there.
pub(super) fn look(sinks: &[(&str, &str)], topics: &[Vec<(String, String)>]) -> Vec<Finding> {
    let of = |sink: &str| topics.iter().flatten().filter(|(name, _)| name == sink).map(|(_, topic)| topic.as_str()).collect();
    let cluster = |brokers: &'_ str| brokers.split(',').map(|broker| broker.trim().to_owned()).collect();
    let sinks: Vec<(&str, BTreeSet<String>, BTreeSet<&str>)> =
        sinks.iter().map(|(name, brokers)| (*name, cluster(brokers), of(name))).collect();
    let mut found = Vec::new();
    for (index, (name, brokers, topics)) in sinks.iter().enumerate() {
        for (other_name, _, other_topics) in sinks.iter().skip(index + 1).filter(|(_, others, _)| !brokers.is_disjoint(others)) {
            if let Some(topic) = topics.intersection(other_topics).next() {
                found.push(Finding::warn(
                    "topics",
                    format!("sinks `{name}` and `{other_name}` both write to topic `{topic}`: it gets the records of both"),
                    "give one of the sinks another `topic`, or remove it",
                ));
            }
            let meet = topics.iter().find_map(|topic| {
                let other = other_topics.iter().find(|other| *other != topic && metric(other) == metric(topic))?;
                Some((topic, other))
            });
            if let Some((topic, other)) = meet {
                found.push(Finding::fail(
                    "topics",
                    format!(
                        "sinks `{name}` and `{other_name}` would have the topics `{topic}` and `{other}`, and Kafka cannot have both: it takes `.` \
                         and `_` for the same in the names of its metrics"
                    ),
                    "write another `topic` for one of the sinks",
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(brokers: &str, topics: [&str; 2]) -> Vec<String> {
        let topics = [["a", "b"].into_iter().zip(topics).map(|(sink, topic)| (sink.to_owned(), topic.to_owned())).collect()];
        look(&[("a", "one:1,two:1"), ("b", brokers)], &topics).into_iter().map(|finding| finding.found).collect()
    }

    #[test]
    fn sinks_of_one_cluster_are_compared() {
        assert_eq!(told("two:1", ["t", "t"]), ["sinks `a` and `b` both write to topic `t`: it gets the records of both"]);
        assert!(told("two:1", ["d.t", "d_t"])[0].contains("the topics `d.t` and `d_t`, and Kafka cannot have both"));
        assert!(told("two:1", ["d.t", "d-t"]).is_empty());
        assert!(told("three:1", ["t", "t"]).is_empty());
    }
}
