//! What an output delivered, beside what was committed: each change once, in the order of its key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::journal::{Journal, Operation, Step};

/// Where records are. A row that gets another key is a delete and an insert in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// With keys of their own, and a tombstone behind each delete.
    Kafka,
    /// In the order of the log.
    File,
}

/// Where an output begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    Earliest,
    Now,
    /// With the rows that the tables hold.
    Copy,
}

/// An output's records are given to it in their order.
pub struct Judge {
    form: Form,
    beginning: Beginning,
    /// What has come is complete from some place on, which was before the end of a round.
    settled: bool,
    /// The steps of each key that were delivered, or passed over before the beginning.
    done: BTreeMap<u64, usize>,
    /// Deleted keys whose tombstone has to be next.
    tombstones: BTreeSet<u64>,
    /// The newest plugin's version in each partition of each topic.
    versions: BTreeMap<(String, i32), String>,
    place: Option<(String, u64, u64, bool)>,
    /// The last row of each key.
    rows: BTreeMap<u64, (u64, String, Option<String>)>,
    records: u64,
    passed_tombstones: u64,
    copies: u64,
}

impl Judge {
    pub fn new(form: Form, beginning: Beginning) -> Self {
        let settled = beginning == Beginning::Earliest;
        Self {
            form,
            beginning,
            settled,
            done: BTreeMap::new(),
            tombstones: BTreeSet::new(),
            versions: BTreeMap::new(),
            place: None,
            rows: BTreeMap::new(),
            records: 0,
            passed_tombstones: 0,
            copies: 0,
        }
    }

    /// Records so far, without tombstones.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records so far.
    pub fn all(&self) -> u64 {
        self.records + self.passed_tombstones
    }

    pub fn is_settled(&self) -> bool {
        self.settled
    }

    pub fn form(&self) -> Form {
        self.form
    }

    /// Rows that were copied.
    pub fn copies(&self) -> u64 {
        self.copies
    }

    /// The rows that a reader of the records has: version, note and pad of each key.
    pub fn rows(&self) -> &BTreeMap<u64, (u64, String, Option<String>)> {
        &self.rows
    }

    /// A record of a partition (files: 0); `key` as it stands in the record's own.
    pub fn take(&mut self, journal: &Journal, partition: i32, key: Option<u64>, value: Option<&Value>) -> Result<(), String> {
        let Some(value) = value else {
            let key = key.ok_or("a tombstone without a key")?;
            self.passed_tombstones += 1;
            return if self.tombstones.remove(&key) { Ok(()) } else { Err(format!("{key}: a tombstone that no delete stands before")) };
        };
        self.records += 1;
        let number = |name: &str| value[name].as_u64().ok_or(format!("no `{name}` in {value}"));
        let text = |name: &str| value[name].as_str().ok_or(format!("no `{name}` in {value}"));
        let (id, version) = (number("id")?, number("v")?);
        if self.form == Form::Kafka && key != Some(id) {
            return Err(format!("the key is {key:?}: {value}"));
        }
        if self.tombstones.contains(&id) {
            return Err(format!("{id}: no tombstone after its delete"));
        }
        // consumers of several topics get them in any order
        let topic = if self.form == Form::Kafka { text("_table")? } else { "" };
        self.is_of_the_version_in_force((topic.to_owned(), partition), text("plugin_version")?)?;
        let operation = text("_op")?;
        self.keeps_the_order_of_the_log(operation, (text("_file")?, number("_pos")?, number("_row")?))?;
        self.is_next(journal.steps(id), id, operation, version).map_err(|why| format!("{why}: {value}"))?;
        if operation == "d" {
            self.rows.remove(&id);
            if self.form == Form::Kafka {
                self.tombstones.insert(id);
            }
        } else {
            self.rows.insert(id, (version, text("note")?.to_owned(), value["pad"].as_str().map(str::to_owned)));
        }
        Ok(())
    }

    fn is_of_the_version_in_force(&mut self, partition: (String, i32), version: &str) -> Result<(), String> {
        let newest = self.versions.entry(partition).or_default();
        if version < newest.as_str() {
            return Err(format!("version {version} of the plugin after {newest}"));
        }
        newest.clear();
        newest.push_str(version);
        Ok(())
    }

    fn keeps_the_order_of_the_log(&mut self, operation: &str, (file, position, row): (&str, u64, u64)) -> Result<(), String> {
        // a row that was copied has the place where it was read
        if self.form == Form::Kafka || operation == "r" {
            return Ok(());
        }
        // a row that got another key is two records of one place
        let place = Some((file.to_owned(), position, row, operation == "c"));
        if self.place >= place {
            return Err(format!("{place:?} after {:?}", self.place));
        }
        self.place = place;
        Ok(())
    }

    fn is_next(&mut self, steps: &[Step], key: u64, operation: &str, version: u64) -> Result<(), String> {
        let is = |step: &Step| step.version == version && delivered_as(step.operation) == operation;
        let first = !self.settled && !self.done.contains_key(&key);
        let done = self.done.entry(key).or_default();
        let next = || (*done..steps.len()).next();
        let found = if operation == "r" && self.beginning == Beginning::Copy {
            self.copies += 1;
            // the row as it was delivered before, or as the first of its key
            let at = steps.iter().position(|step| step.version == version && leaves_a_row(step.operation));
            at.filter(|at| first || *at + 1 == *done)
        } else if first {
            steps.iter().position(is)
        } else {
            next().filter(|at| is(&steps[*at]))
        };
        let Some(found) = found else {
            let told = match steps.iter().position(is) {
                Some(at) if at < *done => "a change that comes again",
                Some(_) => "a change is missing before this one",
                None => "a change that nobody made",
            };
            return Err(format!("{key}: {told}, {done} of {} were delivered, due is {:?}", steps.len(), next().map(|at| steps[at])));
        };
        *done = found + 1;
        Ok(())
    }

    /// What is not there yet of what was committed. `fence`: the key of the change that was committed last.
    pub fn missing(&mut self, journal: &Journal, fence: u64) -> Option<String> {
        if self.beginning == Beginning::Earliest && self.records < journal.records() {
            return Some(format!("{} of {} records", self.records, journal.records()));
        }
        let unsettled = |key: u64, steps: &[Step]| {
            // before the beginning; a row that is there now was copied at least
            let copied = self.beginning == Beginning::Copy && steps.last().is_some_and(|step| leaves_a_row(step.operation));
            !self.settled && !self.done.contains_key(&key) && !copied && key != fence
        };
        let missing = journal.keys().find(|(key, steps)| {
            let done = self.done.get(key).copied().unwrap_or_default();
            done < steps.len() && !unsettled(*key, steps)
        });
        if let Some((key, steps)) = missing {
            return Some(format!("key {key} has {:?} of {} changes", self.done.get(&key), steps.len()));
        }
        if let Some(key) = self.tombstones.first() {
            return Some(format!("the tombstone of {key}"));
        }
        if !self.settled {
            self.settled = true;
            self.done = journal.keys().map(|(key, steps)| (key, steps.len())).collect();
        }
        None
    }
}

fn leaves_a_row(operation: Operation) -> bool {
    !matches!(operation, Operation::Deleted | Operation::MovedAway)
}

/// The operation in the record of a step.
fn delivered_as(operation: Operation) -> &'static str {
    match operation {
        Operation::Created | Operation::MovedHere => "c",
        Operation::Updated => "u",
        Operation::Deleted | Operation::MovedAway => "d",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KEY: u64 = 7;

    fn journal() -> Journal {
        let mut journal = Journal::default();
        let steps = [(Operation::Created, 1), (Operation::Updated, 2), (Operation::Deleted, 2), (Operation::Created, 3)];
        steps.into_iter().for_each(|(operation, version)| journal.add(KEY, Step { operation, version }));
        journal
    }

    fn record(operation: &str, version: u64, position: u64) -> Value {
        json!({ "_op": operation, "_table": "a", "_file": "f", "_pos": position, "_row": 0, "id": KEY, "v": version, "note": "", "plugin_version": "1" })
    }

    fn judged(form: Form, beginning: Beginning, records: &[Option<(&str, u64)>]) -> Result<Option<String>, String> {
        let (journal, mut judge) = (journal(), Judge::new(form, beginning));
        for (position, found) in (1..).zip(records) {
            let value = found.map(|(operation, version)| record(operation, version, position));
            judge.take(&journal, 0, Some(KEY), value.as_ref())?;
        }
        Ok(judge.missing(&journal, KEY))
    }

    #[test]
    fn each_change_once_in_order_is_right_and_nothing_else() {
        let (c, u, d, e) = (Some(("c", 1)), Some(("u", 2)), Some(("d", 2)), Some(("c", 3)));
        let kafka = |records: &[Option<(&str, u64)>]| judged(Form::Kafka, Beginning::Earliest, records);
        assert_eq!(kafka(&[c, u, d, None, e]), Ok(None));
        assert_eq!(judged(Form::File, Beginning::Earliest, &[c, u, d, e]), Ok(None));
        assert!(kafka(&[c, u, d, None]).unwrap().is_some(), "the last one is missing");
        for wrong in [&[c, c][..], &[u], &[c, d], &[c, u, u], &[c, u, d, e], &[c, u, None], &[c, u, d, None, None], &[c, Some(("u", 3))]] {
            assert!(kafka(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_output_that_begins_later_has_all_from_there_on() {
        let (u, d, e, r) = (Some(("u", 2)), Some(("d", 2)), Some(("c", 3)), Some(("r", 3)));
        let now = |records: &[Option<(&str, u64)>]| judged(Form::Kafka, Beginning::Now, records);
        assert_eq!((now(&[u, d, None, e]), now(&[e])), (Ok(None), Ok(None)));
        assert!(now(&[u, e]).is_err());
        assert!(now(&[u, d, None]).unwrap().is_some());
        let copy = |records: &[Option<(&str, u64)>]| judged(Form::Kafka, Beginning::Copy, records);
        assert_eq!((copy(&[r]), copy(&[d, None, e, r])), (Ok(None), Ok(None)));
        assert!(copy(&[Some(("r", 1)), e]).is_err());
        assert!(copy(&[r, Some(("r", 1))]).is_err());
        assert!(now(&[r]).is_err());
    }

    #[test]
    fn an_older_version_of_a_plugin_and_an_earlier_place_are_wrong() {
        let (journal, mut judge) = (journal(), Judge::new(Form::File, Beginning::Earliest));
        let mut first = record("c", 1, 5);
        first["plugin_version"] = "2".into();
        judge.take(&journal, 0, None, Some(&first)).unwrap();
        assert!(judge.take(&journal, 0, None, Some(&record("u", 2, 6))).is_err());
        assert!(judge.take(&journal, 1, None, Some(&record("u", 2, 5))).is_err());
        judge.take(&journal, 1, None, Some(&record("u", 2, 6))).unwrap();
    }
}
