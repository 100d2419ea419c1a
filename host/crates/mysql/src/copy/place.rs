//! Where the copy of a table is: the offsets of its lane.
//!
//! A place is the key of the last row that was delivered. Only the server compares keys, since the order of texts is that of a
//! collation. So a start asks it once how the places of the sinks compare, and never delivers a batch across one of them: each
//! place of the run carries those that it has not reached yet, and nobody else has to compare keys.

use std::{borrow::Cow, ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};
use sluicegate_table_pattern::name_parts;

use super::super::ledger;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Frontier, Lane, LanePlace, Offset, TableName, Transaction},
};

/// What the names of the lanes begin with.
const PREFIX: &str = "copy:";
/// The only range of a table's key so far: all of it.
const WHOLE: &str = "1";
/// Columns that a key may have in an offset: what the servers allow, and more.
const MOST_COLUMNS: usize = 64;

/// The lane of a table's copy.
pub fn lane(name: &TableName) -> Lane {
    Lane::new(format!("{PREFIX}{}/{WHOLE}", ledger::counted_name(name, true)))
}

/// Whether it is the lane of a copy.
pub fn is_copy(lane: &str) -> bool {
    lane.starts_with(PREFIX)
}

/// The table of a copy's lane.
pub fn table_of(lane: &str) -> Option<TableName> {
    let (name, range) = lane.strip_prefix(PREFIX)?.rsplit_once('/')?;
    let [database, table] = <[String; 2]>::try_from(name_parts(name).ok()?).ok()?;
    (range == WHOLE).then(|| TableName::new(database, table))
}

/// The number of a table's next copy, where sinks are at these frontiers, and copies up to `asked` were asked for.
pub fn next_copy(frontiers: &[Frontier], name: &TableName, asked: u32) -> Result<u32> {
    let lane = lane(name);
    let mut most = asked;
    for offset in frontiers.iter().filter_map(|frontier| frontier.get(lane.name())) {
        most = most.max(CopyPlace::of(offset)?.generation);
    }
    Ok(most.saturating_add(1))
}

/// The key of a row: the text of each of its columns, in the order of the key.
pub type KeyText = Arc<[Box<str>]>;

/// How far a copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reached {
    /// No row was delivered.
    #[default]
    Nothing,
    /// Every row up to this key.
    Key(KeyText),
    /// Some of the rows of a table without a key: if it is not finished, its copy begins again.
    Some,
    /// Every row.
    All,
}

/// A place in the copy of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// Which copy of the table it is: a later one makes what was had of an earlier one void.
    pub generation: u32,
    /// How far it is.
    pub reached: Reached,
    /// The columns of the key that a row's is the last of, with their types and collations: with others, rows have another order.
    pub key: Arc<str>,
    /// Rows that were delivered. For people; it identifies nothing.
    pub rows: u64,
    /// Whether nothing of the table was delivered before this place; unknown to a place that was stored.
    pub fresh: bool,
    /// The keys at which sinks stand that this place has not reached. `None` for a place that was not made by this run.
    pub ahead: Option<Arc<[KeyText]>>,
}

/// The form in which it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    copy: u32,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    key: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last_key: Option<Vec<Box<str>>>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    without_key: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    done: bool,
    rows: u64,
}

impl LanePlace for CopyPlace {
    fn to_json(&self) -> String {
        let last_key = match &self.reached {
            Reached::Key(key) => Some(key.to_vec()),
            _ => None,
        };
        let key = if last_key.is_some() { self.key.to_string() } else { String::new() };
        let (done, without_key) = (self.reached == Reached::All, self.reached == Reached::Some);
        let stored = Stored { copy: self.generation, key, last_key, without_key, done, rows: self.rows };
        // strings and numbers: nothing of it can fail
        serde_json::to_string(&stored).unwrap_or_default()
    }
}

impl CopyPlace {
    /// Before the first row.
    pub fn beginning(generation: u32) -> Self {
        Self { generation, reached: Reached::Nothing, key: "".into(), rows: 0, fresh: false, ahead: None }
    }

    /// The same, where nothing of the table was delivered before.
    pub fn first(generation: u32) -> Self {
        Self { fresh: true, ..Self::beginning(generation) }
    }

    /// Behind the last row, of which none was delivered: for a sink that begins without the copy.
    pub fn left_out(generation: u32) -> Self {
        Self { generation, reached: Reached::All, key: "".into(), rows: 0, fresh: false, ahead: None }
    }

    /// Whether nothing is left to copy.
    pub fn is_done(&self) -> bool {
        self.reached == Reached::All
    }

    /// The place that an offset of the lane holds, or that its text says.
    pub fn of(offset: &Offset) -> Result<Cow<'_, Self>> {
        match offset.place::<Self>() {
            Some(place) => Ok(Cow::Borrowed(place)),
            None => Self::parse(&offset.to_json()).map(Cow::Owned),
        }
    }

    /// Reads a stored place.
    pub fn parse(text: &str) -> Result<Self> {
        let unreadable = || {
            Error::new(ErrorKind::State, "the stored place is not one of a table's copy")
                .remedy("Use the state file that belongs to this pipeline, or a new one.")
        };
        let stored: Stored = serde_json::from_str(text).map_err(|e| unreadable().caused_by(e))?;
        let reached = match (stored.last_key, stored.done) {
            (None, false) if stored.without_key => Reached::Some,
            _ if stored.without_key => return Err(unreadable()),
            (None, true) => Reached::All,
            (None, false) => Reached::Nothing,
            (Some(key), false) if (1..=MOST_COLUMNS).contains(&key.len()) => Reached::Key(key.into()),
            _ => return Err(unreadable()),
        };
        Ok(Self { generation: stored.copy, reached, key: stored.key.into(), rows: stored.rows, fresh: false, ahead: None })
    }

    /// Whether everything that was delivered at `other` was delivered here.
    pub fn covers(&self, other: &Self) -> Result<bool> {
        if self.generation != other.generation {
            return Ok(self.generation > other.generation);
        }
        let (own, their) = match (&self.reached, &other.reached) {
            (Reached::All, _) | (_, Reached::Nothing) => return Ok(true),
            (Reached::Nothing, _) | (_, Reached::All) => return Ok(false),
            (Reached::Key(own), Reached::Key(their)) => (own, their),
            // one view is delivered in one order; another one has another number
            (Reached::Some, Reached::Some) => return Ok(self.rows >= other.rows),
            (Reached::Some, Reached::Key(_)) | (Reached::Key(_), Reached::Some) => return Ok(false),
        };
        if own == their {
            return Ok(true);
        }
        // one of them was made by this run, and knows whether the other is ahead of it
        match (&self.ahead, &other.ahead) {
            (Some(ahead), None) => Ok(!ahead.contains(their)),
            (None, Some(ahead)) => Ok(ahead.contains(own)),
            // the fewer keys are ahead of a place, the further it is; a run does not compare others
            (Some(one), Some(two)) => Ok(one.len() < two.len()),
            (None, None) => Err(Error::new(ErrorKind::State, "two places in the copy of a table cannot be compared: only its server can do that")
                .remedy("Let every sink of the pipeline begin at one place: `sluicegate checkpoint show` lists them, `sluicegate checkpoint set` moves one.")),
        }
    }
}

/// Whether it is an offset of a copy.
pub fn holds(offset: &Offset) -> bool {
    CopyPlace::of(offset).is_ok()
}

/// What of a batch was had before `offset`: all of it or nothing, because no batch crosses the place of a sink.
pub fn had(offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
    let all = 0..batch.changes.len();
    Ok(if covers(offset, &batch.offset)? && !all.is_empty() { vec![all] } else { Vec::new() })
}

/// Whether it was told before `offset` that the table is copied anew. The position of such a transaction is the number of the copy.
pub fn had_beginning(offset: &Offset, transaction: &Transaction) -> Result<bool> {
    Ok(u64::from(CopyPlace::of(offset)?.generation) >= transaction.position)
}

/// Whether everything that was delivered at `other` was delivered at `offset`.
pub fn covers(offset: &Offset, other: &Offset) -> Result<bool> {
    CopyPlace::of(offset)?.covers(&*CopyPlace::of(other)?)
}

/// The place at which everything was delivered that was delivered at either.
pub fn join(offset: &Offset, other: &Offset) -> Result<Offset> {
    Ok(if covers(offset, other)? { offset.clone() } else { other.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> KeyText {
        Arc::from([Box::from(text)])
    }

    fn at(text: &str, ahead: Option<&[&str]>) -> CopyPlace {
        let ahead = ahead.map(|keys| keys.iter().map(|k| key(k)).collect());
        CopyPlace { generation: 1, reached: Reached::Key(key(text)), key: "id int".into(), rows: 3, fresh: false, ahead }
    }

    fn some(rows: u64) -> CopyPlace {
        CopyPlace { generation: 1, reached: Reached::Some, key: "".into(), rows, fresh: false, ahead: None }
    }

    #[test]
    fn rows_without_a_key_are_ordered_by_their_number() {
        assert!(some(7).covers(&some(3)).unwrap() && some(3).covers(&some(3)).unwrap() && !some(3).covers(&some(7)).unwrap());
        assert!(!CopyPlace::beginning(1).covers(&some(3)).unwrap() && some(3).covers(&CopyPlace::beginning(1)).unwrap());
        assert!(CopyPlace::left_out(1).covers(&some(3)).unwrap() && !some(3).covers(&CopyPlace::left_out(1)).unwrap());
        assert!(CopyPlace::beginning(2).covers(&some(3)).unwrap());
    }

    #[test]
    fn the_lane_of_a_table_names_that_table_only() {
        for (database, table) in [("shop", "orders"), ("a.b", "c"), ("a", "b.c"), ("a`b", "c/1"), ("x", "y*"), ("größe", " z")] {
            let name = TableName::new(database, table);
            assert_eq!(table_of(lane(&name).name()), Some(name));
        }
        assert_eq!(lane(&TableName::new("shop", "orders")).name(), "copy:shop.orders/1");
        for none in ["binlog", "copy:shop", "copy:shop.orders", "copy:shop.orders/2", "copy:a.b.c/1"] {
            assert_eq!(table_of(none), None, "{none}");
        }
    }

    #[test]
    fn places_are_read_back_as_they_were_written() {
        for place in [CopyPlace::beginning(1), CopyPlace::left_out(2), at("a\"b", None), some(3)] {
            assert_eq!(CopyPlace::parse(&place.to_json()).unwrap(), place);
        }
        assert_eq!(at("17", None).to_json(), r#"{"copy":1,"key":"id int","last_key":["17"],"rows":3}"#);
        assert_eq!(CopyPlace::left_out(1).to_json(), r#"{"copy":1,"done":true,"rows":0}"#);
        assert_eq!(some(3).to_json(), r#"{"copy":1,"without_key":true,"rows":3}"#);
        for broken in [
            "",
            "{}",
            "7",
            r#"{"copy":1,"last_key":[],"rows":0}"#,
            r#"{"copy":1,"last_key":["1"],"done":true,"rows":0}"#,
            r#"{"copy":1,"without_key":true,"done":true,"rows":0}"#,
            r#"{"copy":1,"without_key":true,"last_key":["1"],"rows":0}"#,
        ] {
            assert!(CopyPlace::parse(broken).is_err(), "{broken}");
        }
    }

    /// A at key 9, B at key 5: the run goes from 5 on, and knows that 9 is ahead until it is there.
    #[test]
    fn a_sink_that_is_ahead_had_the_batches_up_to_its_place() {
        let ahead = at("9", None);
        for (now, had) in [(at("7", Some(&["9"])), true), (at("9", Some(&[])), true), (at("12", Some(&[])), false)] {
            assert_eq!(ahead.covers(&now).unwrap(), had, "{now:?}");
        }
        assert!(!at("7", Some(&["9"])).covers(&ahead).unwrap());
        assert!(at("12", Some(&[])).covers(&ahead).unwrap());
        assert!(CopyPlace::left_out(1).covers(&ahead).unwrap() && !CopyPlace::beginning(1).covers(&ahead).unwrap());
        let later = CopyPlace::beginning(2);
        assert!(later.covers(&CopyPlace::left_out(1)).unwrap() && !CopyPlace::left_out(1).covers(&later).unwrap());
        assert!(ahead.covers(&at("7", None)).is_err());
    }
}
