//! Progress: lanes, offsets in them, and frontiers.
//!
//! A source gives one sequence of items. A [`Lane`] names what is ordered in itself, an [`Offset`] is a place in a lane, and a
//! [`Frontier`] says for each lane what a sink has. Only the source that made an offset knows what it means and compares it;
//! everything else carries it on. Counts of changes are metrics and identify nothing: which changes are captured, and in which
//! order lanes are read, differs from start to start.

use std::{any::Any, borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

/// What is ordered in itself: a server's binlog, one table's copy, one change-tracked table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(Arc<str>);

impl Lane {
    /// A lane by its name. Names of tables in it quote their parts, so that `a.b`+`c` is not `a`+`b.c`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Lane {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a source keeps of a place in one of its lanes.
pub trait Place: Any + fmt::Debug + Send + Sync {
    /// As JSON text that an operator can read in the checkpoint. Values of rows stand in the members `last_key` and `copying` alone, which
    /// no log tells.
    fn to_json(&self) -> String;
}

/// A place in a lane: everything before it has been delivered. Cheap to clone; it becomes text only when it is committed.
#[derive(Clone, Debug)]
pub struct Offset(Arc<dyn Place>);

/// A place as it was read from a checkpoint: its source has not looked at it yet.
#[derive(Debug)]
struct Stored(Box<str>);

impl Place for Stored {
    fn to_json(&self) -> String {
        self.0.to_string()
    }
}

impl Offset {
    /// An offset that holds a source's own place.
    pub fn new(place: impl Place) -> Self {
        Self(Arc::new(place))
    }

    /// An offset from its text.
    pub fn from_json(text: impl Into<Box<str>>) -> Self {
        Self::new(Stored(text.into()))
    }

    /// The place, if it is one of type `T`; `None` also for an offset that is still text.
    pub fn place<T: Place>(&self) -> Option<&T> {
        let place: &dyn Any = &*self.0;
        place.downcast_ref()
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        self.0.to_json()
    }
}

/// How far something is: an offset for each lane that it knows.
#[derive(Clone, Debug, Default)]
pub struct Frontier(BTreeMap<Lane, Offset>);

impl Frontier {
    /// A frontier that knows one lane.
    pub fn of(lane: Lane, offset: Offset) -> Self {
        Self(BTreeMap::from([(lane, offset)]))
    }

    /// Whether it knows no lane.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The offset in a lane.
    pub fn get(&self, lane: &str) -> Option<&Offset> {
        self.0.get(lane)
    }

    /// Moves a lane to an offset.
    pub fn set(&mut self, lane: Lane, offset: Offset) {
        self.0.insert(lane, offset);
    }

    /// Forgets a lane.
    pub fn remove(&mut self, lane: &str) {
        self.0.remove(lane);
    }

    /// The lanes in the order of their names, with their offsets.
    pub fn lanes(&self) -> impl Iterator<Item = (&Lane, &Offset)> {
        self.0.iter()
    }
}

impl FromIterator<(Lane, Offset)> for Frontier {
    fn from_iter<T: IntoIterator<Item = (Lane, Offset)>>(lanes: T) -> Self {
        Self(lanes.into_iter().collect())
    }
}

/// As an operator reads it: each lane with its offset's text.
impl fmt::Display for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (lane, offset)) in self.0.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{lane} {}", offset.to_json())?;
        }
        Ok(())
    }
}

/// Two frontiers are equal when they say the same: compared as text, for tests and for what is stored.
impl PartialEq for Frontier {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && a.1.to_json() == b.1.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Number(u64);

    impl Place for Number {
        fn to_json(&self) -> String {
            self.0.to_string()
        }
    }

    #[test]
    fn an_offset_is_known_to_its_source_and_text_to_everybody_else() {
        let offset = Offset::new(Number(7));
        assert_eq!(offset.place::<Number>().map(|n| n.0), Some(7));
        let stored = Offset::from_json(offset.to_json());
        assert!(stored.place::<Number>().is_none());
        assert_eq!(stored.to_json(), "7");
    }

    #[test]
    fn a_frontier_keeps_one_offset_a_lane() {
        let mut frontier = Frontier::of(Lane::new("b"), Offset::new(Number(1)));
        frontier.set(Lane::new("a"), Offset::new(Number(2)));
        frontier.set(Lane::new("b"), Offset::new(Number(3)));
        assert_eq!(frontier.to_string(), "a 2, b 3");
        assert_eq!(frontier, [("a", "2"), ("b", "3")].map(|(l, o)| (Lane::new(l), Offset::from_json(o))).into_iter().collect());
        frontier.remove("a");
        assert!(frontier.get("a").is_none());
    }
}
