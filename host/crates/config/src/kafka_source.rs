//! The validated form of a Kafka source.

use std::collections::BTreeMap;

use super::{KafkaConnection, KafkaSecurity, Rate, Secret};

/// Topics that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaSource {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// TLS and login; `None` = what `options` say of them.
    pub security: Option<KafkaSecurity>,
    /// Which topics.
    pub topics: TopicPatterns,
    /// What their records hold.
    pub format: TopicFormat,
    /// The consumer group that it is a member of, if any.
    pub group: Option<String>,
    /// Whether the first start begins with what is written from now on, not with the oldest records.
    pub latest: bool,
    /// What the records hold of a row before its change.
    pub before_images: TopicImages,
    /// Whether the user chose them.
    pub before_images_chosen: bool,
    /// What a number with a fraction is where no schema says so.
    pub numbers: TopicNumbers,
    /// What becomes of records that cannot be read.
    pub on_unreadable: OnUnreadable,
    /// How fast the topics are read at most.
    pub rate: Rate,
    /// Further librdkafka settings.
    pub options: BTreeMap<String, Secret>,
}

impl KafkaSource {
    /// How its brokers are reached.
    pub fn connection(&self) -> KafkaConnection<'_> {
        KafkaConnection { of: "source", brokers: &self.brokers, security: self.security.as_ref(), options: &self.options }
    }
}

/// What a topic's records hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicFormat {
    /// Debezium's JSON envelope, with or without its schema.
    Debezium,
    /// This program's flat JSON.
    Flat,
}

impl TopicFormat {
    /// Its name in the pipeline file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debezium => "debezium",
            Self::Flat => "flat",
        }
    }
}

/// What records hold of a row before its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicImages {
    /// The whole row, of an update and of a delete. A record without it cannot be read.
    Whole,
    /// Of a delete at least the key; of an update maybe nothing.
    Deletes,
}

/// What becomes of a record that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnreadable {
    /// It stops the source.
    #[default]
    Stop,
    /// It is passed over, and counted.
    Skip,
    /// It is set aside as it stands in its topic.
    DeadLetter,
}

/// What a number with a fraction is where no schema says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicNumbers {
    /// A decimal, with all its digits.
    Decimal,
    /// A number of double precision.
    Double,
}

/// Names of topics, with `*` and `?`; `!` in front excludes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicPatterns {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl TopicPatterns {
    /// Patterns as they stand in the pipeline file.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Self {
        let mut all = Self::default();
        for pattern in patterns {
            match pattern.as_ref().strip_prefix('!') {
                Some(excluded) => all.exclude.push(excluded.to_owned()),
                None => all.include.push(pattern.as_ref().to_owned()),
            }
        }
        all
    }

    /// Whether a topic is selected. What begins with two underscores is Kafka's own and has to be named.
    pub fn selects(&self, topic: &str) -> bool {
        let included = |pattern: &String| matches(pattern, topic) && (!topic.starts_with("__") || pattern.starts_with("__"));
        self.include.iter().any(included) && !self.exclude.iter().any(|pattern| matches(pattern, topic))
    }

    /// The topics that are named in full.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.include.iter().map(String::as_str).filter(|name| !is_pattern(name) && self.selects(name))
    }

    /// Whether a topic is among those that are selected where none is left out.
    pub fn includes(&self, topic: &str) -> bool {
        self.include.iter().any(|pattern| matches(pattern, topic))
    }

    /// The patterns that match none of these topics.
    pub fn without_effect<'a>(&self, topics: impl Iterator<Item = &'a str> + Clone) -> impl Iterator<Item = &str> {
        let useless = move |pattern: &&String| is_pattern(pattern) && !topics.clone().any(|topic| matches(pattern, topic));
        self.include.iter().filter(useless).map(String::as_str)
    }

    /// The topics that are left out by their names in full: a pattern is often a precaution.
    pub fn left_out(&self) -> impl Iterator<Item = &str> {
        self.exclude.iter().map(String::as_str).filter(|name| !is_pattern(name))
    }

    /// Whether any other topic could be selected than those that are named.
    pub fn has_patterns(&self) -> bool {
        self.include.iter().any(|name| is_pattern(name))
    }
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether `*` (any characters) and `?` (one) in the pattern can stand for the text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    // topics' names are ASCII; where the last `*` was, and what it stood for so far
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b) if *b == b'?' || *b == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_selected_by_name_and_pattern() {
        let patterns = TopicPatterns::new(&["orders", "shop.*", "log-?", "!shop.tmp*", "__own"]);
        for (topic, selected) in [
            ("orders", true),
            ("orders2", false),
            ("shop.", true),
            ("shop.a.b", true),
            ("shop.tmp1", false),
            ("log-1", true),
            ("log-12", false),
            ("__own", true),
            ("__consumer_offsets", false),
        ] {
            assert_eq!(patterns.selects(topic), selected, "{topic}");
        }
        assert!(!TopicPatterns::new(&["*"]).selects("__consumer_offsets"), "Kafka's own topics are named or left out");
        assert!(TopicPatterns::new(&["*a*b*"]).selects("xxabab") && !TopicPatterns::new(&["*a*b*c"]).selects("xxabab"));
        assert_eq!(patterns.named().collect::<Vec<_>>(), ["orders", "__own"]);
        assert!(patterns.has_patterns() && !TopicPatterns::new(&["a", "!b*"]).has_patterns());
    }
}
