//! The pipeline's outputs, and how each is read.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::Value;
use sluicegate_harness::{
    files,
    kafka::{Broker, Follower, Record},
};

use super::{
    journal::Journal,
    judge::{Beginning, Form, Judge},
    writer::{FENCE, TABLES},
};

/// Partitions of each topic.
const PARTITIONS: i32 = 3;

/// Where an output's records are.
pub enum Place {
    /// In the topics `NAME.TABLE`.
    Topics,
    /// In one topic of its name.
    Topic,
    /// In files of a folder of its name.
    Files { zstd: bool },
}

pub struct Output {
    pub name: String,
    pub place: Place,
    pub apart: bool,
    pub beginning: Beginning,
    /// Whether it was added to a pipeline that had others.
    added: bool,
    /// Whether the pipeline file has it.
    pub there: bool,
    pub judge: Judge,
    reader: Reader,
}

enum Reader {
    Topics(Follower),
    Files(Files),
}

impl Output {
    pub fn new(broker: &Broker, folder: &Path, name: &str, place: Place, apart: bool) -> Self {
        let (form, reader) = match place {
            Place::Files { .. } => (Form::File, Reader::Files(Files { folder: folder.join(name), known: BTreeMap::new(), taken: 0 })),
            Place::Topics | Place::Topic => {
                let topics = topics(name, &place);
                topics.iter().for_each(|topic| broker.create_topic(topic, PARTITIONS));
                (Form::Kafka, Reader::Topics(broker.follow(&topics, PARTITIONS)))
            }
        };
        let beginning = Beginning::Earliest;
        Self { name: name.to_owned(), place, apart, beginning, added: false, there: true, judge: Judge::new(form, beginning), reader }
    }

    /// One that is added, and begins there.
    pub fn added(self, beginning: Beginning) -> Self {
        Self { beginning, added: true, judge: Judge::new(self.judge.form(), beginning), ..self }
    }

    pub fn is_added(&self) -> bool {
        self.added
    }

    /// Whether it has not come to the end of a round yet.
    pub fn is_new(&self) -> bool {
        !self.judge.is_settled()
    }

    /// Its entry in the pipeline file.
    pub fn entry(&self, brokers: &str) -> String {
        let name = &self.name;
        let when_slow = if self.apart { "apart" } else { "hold" };
        let start = match self.beginning {
            _ if !self.added => "",
            Beginning::Earliest => "start: earliest, ",
            Beginning::Now => "start: now, ",
            Beginning::Copy => "start: copy, ",
        };
        let kafka = |topic: &str| {
            format!("type: kafka, brokers: '{brokers}', topic: '{topic}', delivery: exactly-once, delivery_timeout: 3s, format: flat")
        };
        let rest = match self.place {
            Place::Topics => kafka(&format!("{name}.{{table}}")),
            Place::Topic => kafka(name),
            Place::Files { zstd: false } => format!("type: file, folder: {name}, prefix: t, format: flat, roll: {{ bytes: 1MiB }}"),
            Place::Files { zstd: true } => {
                format!("type: file, folder: {name}, prefix: t, format: flat, zstd: 3, roll: {{ bytes: 300KiB }}")
            }
        };
        format!("  - {{ name: {name}, {start}when_slow: {when_slow}, {rest} }}\n")
    }

    /// Judges what has come since the last call.
    pub fn read(&mut self, journal: &Journal) -> Result<(), String> {
        let judge = &mut self.judge;
        match &mut self.reader {
            Reader::Topics(follower) => follower.read().iter().try_for_each(|record| take(judge, journal, record)),
            Reader::Files(files) => files.read().iter().try_for_each(|record| judge.take(journal, 0, None, Some(record))),
        }
    }

    /// The same records once more from their beginning, Kafka's by a consumer of its own.
    pub fn judged_as_a_whole(&self, broker: &Broker, journal: &Journal, fence: u64) -> Result<Judge, String> {
        let (form, records) = match &self.reader {
            Reader::Topics(_) => (Form::Kafka, console(broker, &topics(&self.name, &self.place), self.judge.all())),
            Reader::Files(files) => {
                // one that was taken out when the program was killed may end in the middle of a record
                let records = if self.there {
                    files::records(&files.folder, "t")
                } else {
                    let lines = files::list(&files.folder, "t").into_iter().flat_map(|file| files::lines_so_far(&file));
                    lines.map(|line| parse(&line)).collect()
                };
                (Form::File, records.into_iter().map(|value| Consumed { partition: 0, key: None, value: Some(value) }).collect())
            }
        };
        let mut judge = Judge::new(form, self.beginning);
        for record in records {
            judge.take(journal, record.partition, record.key, record.value.as_ref())?;
        }
        let missing = if self.there { judge.missing(journal, fence) } else { None };
        missing.map_or(Ok(judge), Err)
    }
}

fn topics(name: &str, place: &Place) -> Vec<String> {
    match place {
        Place::Topics => TABLES.iter().chain([&FENCE]).map(|table| format!("{name}.{table}")).collect(),
        Place::Topic => vec![name.to_owned()],
        Place::Files { .. } => Vec::new(),
    }
}

fn take(judge: &mut Judge, journal: &Journal, record: &Record) -> Result<(), String> {
    let value = record.value.as_deref().map(parse);
    judge.take(journal, record.partition, record.key.as_deref().map(id), value.as_ref())
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn id(key: &str) -> u64 {
    parse(key)["id"].as_u64().unwrap_or_else(|| panic!("no id in the key {key}"))
}

struct Consumed {
    partition: i32,
    key: Option<u64>,
    value: Option<Value>,
}

/// What `kafka-console-consumer.sh` prints of what is committed: so many records, of whatever there is.
fn console(broker: &Broker, topics: &[String], count: u64) -> Vec<Consumed> {
    let topics: Vec<String> = topics.iter().map(|topic| topic.replace('.', "\\.")).collect();
    let topics = topics.join("|");
    let count = count.to_string();
    let mut arguments = vec!["--include", &topics, "--from-beginning", "--isolation-level", "read_committed"];
    arguments.extend(["--max-messages", &count, "--timeout-ms", "30000"]);
    let properties = ["print.partition=true", "print.key=true", "key.separator=\u{1f}", "null.literal=\u{1e}"];
    properties.iter().for_each(|property| arguments.extend(["--formatter-property", property]));
    let printed = broker.tool("org.apache.kafka.tools.consumer.ConsoleConsumer", &arguments);
    let record = |line: &str| {
        let mut parts = line.split('\u{1f}');
        let (partition, key, value) = (parts.next()?.strip_prefix("Partition:")?, parts.next()?, parts.next()?);
        let value = (value != "\u{1e}").then(|| parse(value));
        Some(Consumed { partition: partition.parse().ok()?, key: Some(id(key)), value })
    };
    let records = printed.lines().filter(|line| !line.is_empty());
    records.map(|line| record(line).unwrap_or_else(|| panic!("not a record: {line}"))).collect()
}

/// Files that are read again and again. A restart may take back what was read and write it anew, so records are counted, not bytes.
struct Files {
    folder: PathBuf,
    known: BTreeMap<PathBuf, (u64, SystemTime, usize)>,
    taken: usize,
}

impl Files {
    fn read(&mut self) -> Vec<Value> {
        let (mut before, mut records) = (0, Vec::new());
        for file in files::list(&self.folder, "t") {
            // rolled or taken back between listing and looking
            let Ok(data) = fs::metadata(&file) else { continue };
            let now = (data.len(), data.modified().expect("a time"));
            let known = self.known.get(&file).filter(|(length, time, _)| (*length, *time) == now).map(|(_, _, count)| *count);
            if let Some(count) = known.filter(|count| before + count <= self.taken) {
                before += count;
                continue;
            }
            let lines = files::lines_so_far(&file);
            self.known.insert(file, (now.0, now.1, lines.len()));
            records.extend(lines[self.taken.saturating_sub(before).min(lines.len())..].iter().map(|line| parse(line)));
            before += lines.len();
        }
        self.taken += records.len();
        records
    }
}
