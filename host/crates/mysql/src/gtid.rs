//! GTIDs and sets of them, in the text forms of both servers.
//!
//! MySQL: `uuid:1-5:7:tag:1-3,…`, every transaction that was executed. MariaDB: `domain-server-sequence,…`, the last one of
//! each server in each domain, as `gtid_binlog_state` has it; the last entry of a domain is the last one logged. The position
//! that MariaDB is asked with has only that one: it is no set, because with `gtid_strict_mode` off 0-2001-7, 0-7-3 and 0-2001-8
//! may follow each other.

use std::{collections::BTreeMap, fmt};

use mysql_async::Sid;

use super::cursor::{Cursor, Fault};

/// One transaction's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gtid {
    /// MySQL's.
    MySql {
        /// UUID of the server that executed it.
        uuid: [u8; 16],
        /// Tag (MySQL 8.3 and later).
        tag: Option<Box<str>>,
        /// Number, from 1.
        number: u64,
    },
    /// MariaDB's.
    MariaDb {
        /// Replication domain.
        domain: u32,
        /// Id of the server that executed it.
        server: u32,
        /// Number within the domain.
        sequence: u64,
    },
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: &[u8; 16]) -> fmt::Result {
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = text.bytes().filter(|b| *b != b'-').map(|b| char::from(b).to_digit(16));
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = (digits.next()?? << 4 | digits.next()??) as u8;
    }
    digits.next().is_none().then_some(uuid)
}

impl Gtid {
    /// A GTID from its text, as [`Gtid`] displays it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(':');
        let first = fields.next()?;
        match (fields.next(), fields.next(), fields.next()) {
            (None, ..) => {
                let mut numbers = first.split('-');
                let domain = numbers.next()?.parse().ok()?;
                let server = numbers.next()?.parse().ok()?;
                let sequence = numbers.next()?.parse().ok()?;
                numbers.next().is_none().then_some(Gtid::MariaDb { domain, server, sequence })
            }
            (Some(number), None, _) => Some(Gtid::MySql { uuid: parse_uuid(first)?, tag: None, number: number.parse().ok()? }),
            (Some(tag), Some(number), None) => {
                Some(Gtid::MySql { uuid: parse_uuid(first)?, tag: Some(parse_tag(tag).ok()?), number: number.parse().ok()? })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gtid::MySql { uuid, tag, number } => {
                write_uuid(f, uuid)?;
                if let Some(tag) = tag {
                    write!(f, ":{tag}")?;
                }
                write!(f, ":{number}")
            }
            Gtid::MariaDb { domain, server, sequence } => write!(f, "{domain}-{server}-{sequence}"),
        }
    }
}

/// A text that is no GTID set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAGtidSet;

impl fmt::Display for NotAGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a GTID set (MySQL: 'uuid:1-5,…'; MariaDB: '0-2001-5,…')")
    }
}

impl std::error::Error for NotAGtidSet {}

/// Sorted intervals, both ends included, that neither touch nor overlap.
type Intervals = Vec<(u64, u64)>;

/// The source of a MySQL GTID.
type Origin = ([u8; 16], Option<Box<str>>);

/// What has been executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GtidSet {
    /// MySQL's: intervals for each server and tag.
    MySql(BTreeMap<Origin, Intervals>),
    /// MariaDB's, by domain.
    MariaDb(BTreeMap<u32, Domain>),
}

/// What has been executed of one of MariaDB's replication domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The last transaction logged: server, which has an entry in `servers`, and sequence number. With `gtid_strict_mode` off, the
    /// server may have logged a higher number before.
    last: (u32, u64),
    /// The highest sequence number of each server: numbers rise for each server, not across servers.
    servers: BTreeMap<u32, u64>,
}

impl Domain {
    /// The last transaction logged: server and sequence number.
    pub fn last(&self) -> (u32, u64) {
        self.last
    }

    /// Whether a transaction of the domain is in it.
    pub fn has(&self, server: u32, sequence: u64) -> bool {
        self.servers.get(&server).is_some_and(|highest| *highest >= sequence)
    }

    fn covers(&self, other: &Self) -> bool {
        other.servers.iter().all(|(server, sequence)| self.servers.get(server).is_some_and(|own| own >= sequence))
    }
}

impl GtidSet {
    /// A MySQL set from its text. The empty text is the empty set.
    pub fn parse_mysql(text: &str) -> Result<Self, NotAGtidSet> {
        let mut set: BTreeMap<Origin, Intervals> = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut fields = part.split(':').map(str::trim);
            let uuid = fields.next().and_then(parse_uuid).ok_or(NotAGtidSet)?;
            let (mut tag, mut any) = (None, false);
            for field in fields {
                if field.starts_with(begins_tag) {
                    tag = Some(parse_tag(field)?);
                    continue;
                }
                let (first, last) = field.split_once('-').unwrap_or((field, field));
                let number = |text: &str| text.trim().parse::<u64>().map_err(|_| NotAGtidSet);
                let (first, last) = (number(first)?, number(last)?);
                add_interval(&mut set, (uuid, tag.clone()), first, last)?;
                any = true;
            }
            if !any {
                return Err(NotAGtidSet);
            }
        }
        Ok(GtidSet::MySql(set))
    }

    /// A MariaDB set from its text, a position or a state. The empty text is the empty set.
    pub fn parse_mariadb(text: &str) -> Result<Self, NotAGtidSet> {
        let mut set = GtidSet::MariaDb(BTreeMap::new());
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let mut fields = part.split('-');
            let mut next = || fields.next().ok_or(NotAGtidSet);
            let domain = next()?.parse().map_err(|_| NotAGtidSet)?;
            let server = next()?.parse().map_err(|_| NotAGtidSet)?;
            let sequence = next()?.parse().map_err(|_| NotAGtidSet)?;
            if fields.next().is_some() {
                return Err(NotAGtidSet);
            }
            set.add(&Gtid::MariaDb { domain, server, sequence });
        }
        Ok(set)
    }

    /// A MySQL set from its binary form, that of a `Previous_gtids` event (`Gtid_set::encode` of the server): a count, and for
    /// each server and tag its intervals, whose ends are excluded.
    pub fn decode_mysql(bytes: &[u8]) -> Result<Self, Fault> {
        let invalid = |_| Fault::Invalid("a GTID set with impossible numbers or tags");
        let mut cursor = Cursor(bytes);
        let head = cursor.u64()?;
        let tagged = head >> 56 != 0;
        let origins = if tagged { head >> 8 & ((1 << 48) - 1) } else { head };
        let mut set = BTreeMap::new();
        for _ in 0..origins {
            let uuid = cursor.array()?;
            let tag = match if tagged { cursor.varlen()? } else { 0 } {
                0 => None,
                length => {
                    let tag = cursor.take(usize::try_from(length).map_err(|_| Fault::Truncated)?)?;
                    let tag = std::str::from_utf8(tag).ok().filter(|tag| tag.starts_with(begins_tag)).ok_or(NotAGtidSet);
                    Some(tag.and_then(parse_tag).map_err(invalid)?)
                }
            };
            for _ in 0..cursor.u64()? {
                let (first, end) = (cursor.u64()?, cursor.u64()?);
                add_interval(&mut set, (uuid, tag.clone()), first, end.saturating_sub(1)).map_err(invalid)?;
            }
        }
        if cursor.is_empty() { Ok(GtidSet::MySql(set)) } else { Err(Fault::Invalid("a GTID set with bytes behind its end")) }
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            GtidSet::MySql(set) => set.is_empty(),
            GtidSet::MariaDb(set) => set.is_empty(),
        }
    }

    /// Adds a transaction of the same flavour.
    pub fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (GtidSet::MySql(set), Gtid::MySql { uuid, tag, number }) => {
                let key = (*uuid, tag.clone());
                insert(set.entry(key).or_default(), *number, *number);
            }
            (GtidSet::MariaDb(set), Gtid::MariaDb { domain, server, sequence }) => {
                let domain = set.entry(*domain).or_insert_with(|| Domain { last: (*server, *sequence), servers: BTreeMap::new() });
                domain.last = (*server, *sequence);
                let highest = domain.servers.entry(*server).or_default();
                *highest = (*highest).max(*sequence);
            }
            _ => {}
        }
    }

    /// Whether a transaction of the same flavour is in it.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (GtidSet::MySql(set), Gtid::MySql { uuid, tag, number }) => {
                set.get(&(*uuid, tag.clone())).is_some_and(|intervals| holds(intervals, *number, *number))
            }
            (GtidSet::MariaDb(set), Gtid::MariaDb { domain, server, sequence }) => {
                set.get(domain).and_then(|d| d.servers.get(server)).is_some_and(|highest| sequence <= highest)
            }
            _ => false,
        }
    }

    /// Whether everything in `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (GtidSet::MySql(own), GtidSet::MySql(other)) => other
                .iter()
                .all(|(origin, intervals)| intervals.iter().all(|(a, b)| own.get(origin).is_some_and(|held| holds(held, *a, *b)))),
            (GtidSet::MariaDb(own), GtidSet::MariaDb(other)) => {
                other.iter().all(|(domain, d)| own.get(domain).is_some_and(|held| held.covers(d)))
            }
            _ => false,
        }
    }

    /// What is in both.
    pub fn meet(&self, other: &Self) -> Self {
        match (self, other) {
            (GtidSet::MySql(a), GtidSet::MySql(b)) => {
                let both = a.iter().filter_map(|(origin, held)| Some((origin.clone(), intersection(held, b.get(origin)?))));
                GtidSet::MySql(both.filter(|(_, intervals)| !intervals.is_empty()).collect())
            }
            (GtidSet::MariaDb(a), GtidSet::MariaDb(b)) => {
                GtidSet::MariaDb(a.iter().filter_map(|(domain, d)| Some((*domain, meet_of_domains(d, b.get(domain)?)?))).collect())
            }
            // of two flavours nothing is in both
            (GtidSet::MySql(_), _) => GtidSet::MySql(BTreeMap::new()),
            (GtidSet::MariaDb(_), _) => GtidSet::MariaDb(BTreeMap::new()),
        }
    }

    /// What is in one of them. Of each domain of MariaDB this one's last transaction stays the last, unless `other` has more.
    pub fn join(&self, other: &Self) -> Self {
        let mut joined = self.clone();
        match (&mut joined, other) {
            (GtidSet::MySql(own), GtidSet::MySql(other)) => {
                for (origin, intervals) in other {
                    let held = own.entry(origin.clone()).or_default();
                    intervals.iter().for_each(|(first, last)| insert(held, *first, *last));
                }
            }
            (GtidSet::MariaDb(own), GtidSet::MariaDb(other)) => {
                for (domain, d) in other {
                    let held = own.entry(*domain).or_insert_with(|| d.clone());
                    if d.covers(held) {
                        held.last = d.last;
                    }
                    for (server, sequence) in &d.servers {
                        let highest = held.servers.entry(*server).or_default();
                        *highest = (*highest).max(*sequence);
                    }
                }
            }
            _ => {}
        }
        joined
    }

    /// The text with which a MariaDB server is asked: the last transaction of each domain. Of MySQL the whole set.
    pub fn position_text(&self) -> String {
        match self {
            GtidSet::MySql(_) => self.to_string(),
            GtidSet::MariaDb(set) => {
                let last = set.iter().map(|(domain, d)| (domain, d.last()));
                last.map(|(domain, (server, sequence))| format!("{domain}-{server}-{sequence}")).collect::<Vec<_>>().join(",")
            }
        }
    }

    /// For the dump request of MySQL: one entry for each server and tag.
    pub fn sids(&self) -> Result<Vec<Sid<'static>>, NotAGtidSet> {
        let GtidSet::MySql(set) = self else { return Err(NotAGtidSet) };
        set.iter()
            .map(|entry| {
                let single = GtidSet::MySql(BTreeMap::from([(entry.0.clone(), entry.1.clone())]));
                single.to_string().parse::<Sid<'static>>().map_err(|_| NotAGtidSet)
            })
            .collect()
    }
}

/// What two servers' histories of one domain have in common; `None` when that is nothing. Which transaction of it was logged
/// last is known where one history has everything of the other. Otherwise it is taken to be the one with the lowest number, so
/// that everything that may be lacking comes after it.
fn meet_of_domains(a: &Domain, b: &Domain) -> Option<Domain> {
    if a.covers(b) {
        return Some(b.clone());
    }
    if b.covers(a) {
        return Some(a.clone());
    }
    let both = a.servers.iter().filter_map(|(server, sequence)| Some((*server, *b.servers.get(server)?.min(sequence))));
    let servers: BTreeMap<u32, u64> = both.collect();
    let last = servers.iter().min_by_key(|(_, sequence)| **sequence).map(|(server, sequence)| (*server, *sequence))?;
    Some(Domain { last, servers })
}

/// Whether sorted intervals hold all numbers from `first` to `last`.
fn holds(intervals: &Intervals, first: u64, last: u64) -> bool {
    let at = intervals.partition_point(|(_, end)| *end < first);
    intervals.get(at).is_some_and(|(start, end)| *start <= first && last <= *end)
}

/// The numbers that are in both of two sorted lists.
fn intersection(a: &Intervals, b: &Intervals) -> Intervals {
    let (mut i, mut k, mut both) = (0, 0, Vec::new());
    while let (Some((a_first, a_last)), Some((b_first, b_last))) = (a.get(i), b.get(k)) {
        let (first, last) = (a_first.max(b_first), a_last.min(b_last));
        if first <= last {
            both.push((*first, *last));
        }
        if a_last < b_last { i += 1 } else { k += 1 }
    }
    both
}

fn begins_tag(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

/// A tag in its canonical form.
fn parse_tag(text: &str) -> Result<Box<str>, NotAGtidSet> {
    let valid = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    valid.then(|| text.to_ascii_lowercase().into_boxed_str()).ok_or(NotAGtidSet)
}

/// Whether a transaction of a MySQL server can have this number.
pub fn is_number(number: u64) -> bool {
    (1..i64::MAX as u64).contains(&number)
}

fn add_interval(set: &mut BTreeMap<Origin, Intervals>, origin: Origin, first: u64, last: u64) -> Result<(), NotAGtidSet> {
    if !is_number(first) || !is_number(last) || first > last {
        return Err(NotAGtidSet);
    }
    insert(set.entry(origin).or_default(), first, last);
    Ok(())
}

/// Adds an interval of numbers that [`is_number`] takes, keeping the list sorted and merged.
fn insert(intervals: &mut Intervals, first: u64, last: u64) {
    // the usual case: the next number of the newest interval
    if let Some(end) = intervals.last_mut()
        && end.1 + 1 == first
    {
        end.1 = last;
        return;
    }
    let from = intervals.partition_point(|(_, end)| end + 1 < first);
    let to = intervals.partition_point(|(start, _)| *start <= last + 1);
    let merged = match intervals.get(from..to) {
        Some([(start, end)]) => (first.min(*start), last.max(*end)),
        Some([(start, _), .., (_, end)]) => (first.min(*start), last.max(*end)),
        _ => (first, last),
    };
    intervals.splice(from..to.max(from), [merged]);
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::MySql(set) => {
                let mut previous = None;
                for ((uuid, tag), intervals) in set {
                    if previous != Some(uuid) {
                        if previous.is_some() {
                            f.write_str(",")?;
                        }
                        write_uuid(f, uuid)?;
                        previous = Some(uuid);
                    }
                    if let Some(tag) = tag {
                        write!(f, ":{tag}")?;
                    }
                    for (first, last) in intervals {
                        if first == last {
                            write!(f, ":{first}")?;
                        } else {
                            write!(f, ":{first}-{last}")?;
                        }
                    }
                }
                Ok(())
            }
            GtidSet::MariaDb(set) => {
                let mut comma = "";
                for (domain, d) in set {
                    // also of the last one's server, where that has logged a higher number before
                    let others = d.servers.iter().map(|(server, sequence)| (*server, *sequence));
                    let others = others.filter(|(server, sequence)| *server != d.last.0 || *sequence > d.last.1);
                    for (server, sequence) in others.chain([d.last()]) {
                        write!(f, "{comma}{domain}-{server}-{sequence}")?;
                        comma = ",";
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
