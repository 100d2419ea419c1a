//! Where a tracked table is: the offsets of its lane.
//!
//! A place is a version up to which everything was delivered; inside of a version that is larger than a visit, also the last key of it. The
//! copy of a table is a state of its lane: a place says how far that is, too, and changes go on beside it. Only the server compares keys.
//! So the reader knows for each row whether it is up to the place of a sink, no batch crosses one, and each place of a run carries those
//! that it has not reached.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};
use sluicegate_table_pattern::name_parts;

use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Lane, LanePlace, Offset, TableName},
};

const PREFIX: &str = "ct:";
/// Columns that a key has at most.
const MOST_COLUMNS: usize = 32;

/// The lane of a table.
pub(super) fn lane(name: &TableName) -> Lane {
    let quoted = |part: &str| {
        let plain = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-'));
        if plain { part.to_owned() } else { format!("`{}`", part.replace('`', "``")) }
    };
    let schema = name.schema.as_deref().unwrap_or_default();
    Lane::new(format!("{PREFIX}{}.{}.{}", quoted(&name.database), quoted(schema), quoted(&name.table)))
}

/// The table of a lane.
pub(super) fn table_of(lane: &str) -> Option<TableName> {
    let [database, schema, table] = <[String; 3]>::try_from(name_parts(lane.strip_prefix(PREFIX)?).ok()?).ok()?;
    Some(TableName { database, schema: Some(schema), table })
}

/// The key of a row: the text of each of its columns, in the order of the key.
pub(super) type KeyText = Arc<[Box<str>]>;

/// A place inside of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    /// The version.
    pub(super) version: i64,
    /// The key up to which its changes were delivered.
    pub(super) key: KeyText,
}

/// How far a copy is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Copied {
    /// There is none, or every row was delivered.
    #[default]
    All,
    /// No row was delivered.
    Nothing,
    /// Every row up to this key.
    Key(KeyText),
}

/// What makes a table the one that it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The database: its id and when it was made.
    pub(super) database: Arc<str>,
    /// The table's object id.
    pub(super) object: i32,
    /// The version at which its tracking began, or at which it was truncated.
    pub(super) begin: i64,
}

/// A place in the lane of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CtPlace {
    /// Raised whenever the table is begun anew: what was had before is void.
    pub(super) generation: u32,
    pub(super) identity: Identity,
    /// Changes of this version and of all before it were delivered.
    pub(super) version: i64,
    /// How much of the version behind it was delivered.
    pub(super) inside: Option<Inside>,
    /// The copy.
    pub(super) copied: Copied,
    /// A row that was inserted up to this version may have been delivered, by the copy or before its version's turn.
    pub(super) known: i64,
    /// Places of sinks that this one has not reached; `None` for a place that was not made by this run.
    pub(super) ahead: Option<Arc<Ahead>>,
}

/// Places of sinks that a place has not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ahead {
    pub(super) inside: Vec<Inside>,
    pub(super) copied: Vec<KeyText>,
}

/// The form in which it is stored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    generation: u32,
    database: Box<str>,
    object: i32,
    begin: i64,
    version: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    inside: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    last_key: Option<Vec<Box<str>>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    copying: Option<Vec<Box<str>>>,
    #[serde(skip_serializing_if = "is_zero", default)]
    known: i64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl LanePlace for CtPlace {
    fn to_json(&self) -> String {
        let stored = Stored {
            generation: self.generation,
            database: self.identity.database.as_ref().into(),
            object: self.identity.object,
            begin: self.identity.begin,
            version: self.version,
            inside: self.inside.as_ref().map(|inside| inside.version),
            last_key: self.inside.as_ref().map(|inside| inside.key.to_vec()),
            copying: match &self.copied {
                Copied::All => None,
                Copied::Nothing => Some(Vec::new()),
                Copied::Key(key) => Some(key.to_vec()),
            },
            known: if self.known > self.version { self.known } else { 0 },
        };
        // strings and numbers: nothing of it can fail
        serde_json::to_string(&stored).unwrap_or_default()
    }
}

impl CtPlace {
    /// Behind a version, with nothing to copy.
    pub(super) fn behind(identity: Identity, version: i64) -> Self {
        Self { generation: 1, identity, version, inside: None, copied: Copied::All, known: 0, ahead: None }
    }

    /// At the beginning of a copy, behind the version that was the current one before it.
    pub(super) fn copy(identity: Identity, version: i64, generation: u32) -> Self {
        Self { generation, copied: Copied::Nothing, ..Self::behind(identity, version) }
    }

    /// The last version of which something was delivered: a part of it, rows that came early, or rows of a copy.
    pub(super) fn reached(&self) -> i64 {
        self.version.max(self.known).max(self.inside.as_ref().map_or(0, |inside| inside.version))
    }

    /// Whether nothing is left to copy.
    pub(super) fn is_copied(&self) -> bool {
        self.copied == Copied::All
    }

    /// The place that an offset of the lane holds, or that its text says.
    pub(super) fn of(offset: &Offset) -> Result<Cow<'_, Self>> {
        match offset.place::<Self>() {
            Some(place) => Ok(Cow::Borrowed(place)),
            None => Self::parse(&offset.to_json()).map(Cow::Owned),
        }
    }

    /// Reads a stored place.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let unreadable = || {
            Error::new(ErrorKind::State, "the stored place is not one of a table with Change Tracking")
                .remedy("Use the state file that belongs to this pipeline, or a new one.")
        };
        let stored: Stored = serde_json::from_str(text).map_err(|e| unreadable().caused_by(e))?;
        let fits = |key: &Vec<Box<str>>| (1..=MOST_COLUMNS).contains(&key.len());
        let inside = match (stored.inside, stored.last_key) {
            (None, None) => None,
            (Some(version), Some(key)) if fits(&key) && version == stored.version + 1 => Some(Inside { version, key: key.into() }),
            _ => return Err(unreadable()),
        };
        let copied = match stored.copying {
            None => Copied::All,
            Some(key) if key.is_empty() => Copied::Nothing,
            Some(key) if fits(&key) => Copied::Key(key.into()),
            Some(_) => return Err(unreadable()),
        };
        if stored.version < 0 || stored.generation == 0 {
            return Err(unreadable());
        }
        let identity = Identity { database: stored.database.as_ref().into(), object: stored.object, begin: stored.begin };
        Ok(Self { generation: stored.generation, identity, version: stored.version, inside, copied, known: stored.known, ahead: None })
    }

    /// Whether the changes that were delivered at `other` were delivered here.
    pub(super) fn covers_changes(&self, other: &Self) -> Result<bool> {
        if self.version != other.version {
            // a place inside of a version is behind the one before it
            return Ok(self.version > other.version);
        }
        match (&self.inside, &other.inside) {
            (_, None) => Ok(true),
            (None, Some(_)) => Ok(false),
            (Some(own), Some(their)) if own == their => Ok(true),
            (Some(own), Some(their)) => {
                let ahead = |place: &Self, key: &Inside| place.ahead.as_ref().map(|ahead| ahead.inside.contains(key));
                compare(
                    ahead(self, their),
                    ahead(other, own),
                    self.ahead.as_ref().map(|a| a.inside.len()),
                    other.ahead.as_ref().map(|a| a.inside.len()),
                )
            }
        }
    }

    /// Whether the copied rows that were delivered at `other` were delivered here.
    pub(super) fn covers_copy(&self, other: &Self) -> Result<bool> {
        match (&self.copied, &other.copied) {
            (Copied::All, _) | (_, Copied::Nothing) => Ok(true),
            (Copied::Nothing, _) | (_, Copied::All) => Ok(false),
            (Copied::Key(own), Copied::Key(their)) if own == their => Ok(true),
            (Copied::Key(own), Copied::Key(their)) => {
                let ahead = |place: &Self, key: &KeyText| place.ahead.as_ref().map(|ahead| ahead.copied.contains(key));
                compare(
                    ahead(self, their),
                    ahead(other, own),
                    self.ahead.as_ref().map(|a| a.copied.len()),
                    other.ahead.as_ref().map(|a| a.copied.len()),
                )
            }
        }
    }

    /// Whether everything that was delivered at `other` was delivered here.
    pub(super) fn covers(&self, other: &Self) -> Result<bool> {
        if self.generation != other.generation {
            return Ok(self.generation > other.generation);
        }
        Ok(self.covers_changes(other)? && self.covers_copy(other)?)
    }

    /// The place at which everything was delivered that was delivered at either.
    pub(super) fn join(&self, other: &Self) -> Result<Self> {
        if self.generation != other.generation {
            return Ok(if self.generation > other.generation { self.clone() } else { other.clone() });
        }
        let (changes, copy) = (if self.covers_changes(other)? { self } else { other }, if self.covers_copy(other)? { self } else { other });
        let ahead = match (&changes.ahead, &copy.ahead) {
            (None, None) => None,
            (inside, copied) => Some(Arc::new(Ahead {
                inside: inside.as_ref().map(|ahead| ahead.inside.clone()).unwrap_or_default(),
                copied: copied.as_ref().map(|ahead| ahead.copied.clone()).unwrap_or_default(),
            })),
        };
        Ok(Self {
            generation: self.generation,
            identity: self.identity.clone(),
            version: changes.version,
            inside: changes.inside.clone(),
            copied: copy.copied.clone(),
            known: self.known.max(other.known),
            ahead,
        })
    }
}

/// Whether one place covers another. `theirs_ahead`: whether the other's key is ahead of the one; `own_ahead`: the other way round; then
/// how many keys are ahead of each. The fewer, the further it is.
fn compare(theirs_ahead: Option<bool>, own_ahead: Option<bool>, own: Option<usize>, their: Option<usize>) -> Result<bool> {
    match (theirs_ahead, own_ahead) {
        (Some(ahead), None) => Ok(!ahead),
        (None, Some(ahead)) => Ok(ahead),
        (Some(_), Some(_)) => Ok(own < their),
        (None, None) => Err(Error::new(ErrorKind::State, "two places inside of one version of a table cannot be compared: only its server can do that")
            .remedy("Let every sink of the pipeline begin at one place: `sluicegate checkpoint show` lists them, `sluicegate checkpoint set` moves one.")),
    }
}
