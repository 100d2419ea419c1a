//! How places in the binlog compare: what of a batch was had, what several sinks have in common, what they have together.
//!
//! A change was had when its transaction is in the executed set, or, in a transaction that was delivered in part, when fewer rows
//! of its table came before it than were delivered. Without GTIDs the file's number and the position stand for the set, and both
//! places have to be of one server; on one server of MariaDB they do so with GTIDs, too, as its numbers may come again. Nothing else
//! identifies a change: rows events are cut otherwise on another server, and which tables are captured may differ from start to start.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use super::{
    copy::place as copy,
    gtid::{Gtid, GtidSet},
    position::{BinlogPosition, Part},
    prepared::Prepared,
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Offset, SchemaStatement, TableName, Transaction},
    limits::PREPARED_TRANSACTIONS,
};
use sluicegate_source::Ledger;

/// The ledger of the binlog's lane.
#[derive(Debug)]
pub struct BinlogLedger;

impl Ledger for BinlogLedger {
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
        if copy::is_copy(batch.lane.name()) {
            return copy::had(offset, batch);
        }
        had(&*position(offset)?, batch)
    }

    fn had_whole(&self, offset: &Offset, transaction: &Transaction, now: &Offset) -> Result<bool> {
        if offset.place::<BinlogPosition>().is_none() && copy::holds(offset) {
            return copy::had_beginning(offset, transaction);
        }
        Ok(matches!(of_transaction(&*position(offset)?, transaction, now.place())?, Delivered::All))
    }

    fn had_statement(&self, offset: &Offset, statement: &SchemaStatement, now: &Offset) -> Result<bool> {
        if offset.place::<BinlogPosition>().is_none() && copy::holds(offset) {
            return Ok(false);
        }
        Ok(match of_transaction(&*position(offset)?, &statement.transaction, now.place())? {
            Delivered::All => true,
            Delivered::Part(rows) => rows.get(STATEMENT).is_some_and(|told| *told > u64::from(statement.number)),
            Delivered::None => false,
        })
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        if offset.place::<BinlogPosition>().is_none() && copy::holds(offset) {
            return copy::covers(offset, other);
        }
        position(offset)?.covers(&*position(other)?)
    }

    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset> {
        if offset.place::<BinlogPosition>().is_none() && copy::holds(offset) {
            return copy::join(offset, other);
        }
        Ok(Offset::new(position(offset)?.join(&*position(other)?)?))
    }

    fn check(&self, lane: &str, offset: &Offset) -> Result<()> {
        let known = match lane {
            super::position::LANE => position(offset).map(|_| ()),
            lane if copy::table_of(lane).is_some() => copy::CopyPlace::of(offset).map(|_| ()),
            _ => {
                return Err(Error::new(ErrorKind::State, format!("a MySQL or MariaDB source has no lane `{lane}`"))
                    .remedy(format!("Its lanes are `{}`, and `copy:database.table/1` of a table that is copied.", super::position::LANE)));
            }
        };
        known.map_err(|e| e.remedy("Write the place as `sluicegate checkpoint show` prints it."))
    }
}

fn position(offset: &Offset) -> Result<Cow<'_, BinlogPosition>> {
    match offset.place::<BinlogPosition>() {
        Some(position) => Ok(Cow::Borrowed(position)),
        None => BinlogPosition::parse(&offset.to_json()).map(Cow::Owned),
    }
}

/// Ends the name under which the rows of a table without a key are counted. No other name can end so: it would be quoted.
const KEYLESS: &str = " (no key)";

/// The name under which the rows of a table are counted: parts with anything but letters, digits, `_` and `$` are quoted. Whether
/// the table has a key is part of it, because without one another server may log the rows in another order.
pub fn counted_name(name: &TableName, has_key: bool) -> Box<str> {
    let quoted = |part: &str| {
        let plain = !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | '-'));
        if plain { part.to_owned() } else { format!("`{}`", part.replace('`', "``")) }
    };
    format!("{}.{}{}", quoted(&name.database), quoted(&name.table), if has_key { "" } else { KEYLESS }).into()
}

/// The name under which the items of a statement that changed schemas are counted. No table has it: it would be quoted.
pub const STATEMENT: &str = "(statement)";

/// Whether it is the name of a table without a key.
pub fn is_keyless(counted: &str) -> bool {
    counted.ends_with(KEYLESS)
}

/// How a transaction is named in an offset: by its GTID where the offset has a set of them, else by its place in the log.
pub fn transaction_name(id: Option<&Arc<str>>, with_gtids: bool, file: &str, position: u64) -> Arc<str> {
    id.filter(|_| with_gtids).cloned().unwrap_or_else(|| format!("{file}:{position}").into())
}

/// The number in a binlog file's name; `None` for a name without one.
pub fn file_number(file: &str) -> Option<u64> {
    file.rsplit_once('.').and_then(|(_, number)| number.parse().ok())
}

fn incomparable(what: &str) -> Error {
    Error::new(ErrorKind::State, format!("two places of the binlog cannot be compared: {what}")).remedy(
        "Let every sink of the pipeline begin at one place: `sluicegate checkpoint show` lists them, `sluicegate checkpoint set` moves one.",
    )
}

/// A place in a log without GTIDs.
fn linear(file: &str, position: u64) -> Result<(u64, u64)> {
    file_number(file).map(|number| (number, position)).ok_or_else(|| incomparable("a binlog file's name has no number"))
}

impl BinlogPosition {
    fn on_one_server(&self, other: &Self) -> Result<()> {
        if self.flavour != other.flavour {
            return Err(incomparable("one is of MySQL, the other of MariaDB"));
        }
        match (&self.server, &other.server) {
            (Some(one), Some(two)) if one != two => Err(incomparable("they are of two servers, and have no GTIDs")),
            _ => Ok(()),
        }
    }

    /// Whether everything before `other` is before this place, transactions in part left out of account.
    pub(super) fn set_covers(&self, other: &Self) -> Result<bool> {
        if self.is_across_reset(other) {
            return Err(incomparable("the server's log was reset between them"));
        }
        if let (Some(own), Some(others)) = (&self.gtid_set, &other.gtid_set)
            && !self.shares_log(other)
        {
            return Ok(Arc::ptr_eq(own, others) || own.covers(others));
        }
        self.on_one_server(other)?;
        Ok(linear(&self.file, self.position)? >= linear(&other.file, other.position)?)
    }

    /// Whether the transaction is before this place as a whole.
    fn executed(&self, name: &str) -> Result<bool> {
        match (&self.gtid_set, Gtid::parse(name)) {
            (Some(set), Some(gtid)) => Ok(set.contains(&gtid)),
            (None, Some(_)) => Ok(false),
            (_, None) => {
                let (file, position) = name.rsplit_once(':').ok_or_else(|| incomparable("a transaction has no name"))?;
                let position = position.parse().map_err(|_| incomparable("a transaction has no name"))?;
                Ok(linear(file, position)? < linear(&self.file, self.position)?)
            }
        }
    }

    /// Whether the transaction, of which `owner` has a part, is before this place as a whole.
    fn executed_part_of(&self, owner: &Self, name: &str) -> Result<bool> {
        // nothing that was delivered in part at a place is before that place, whatever its number
        if self.shares_log(owner) && owner.set_covers(self)? { Ok(false) } else { self.executed(name) }
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.open.iter().find(|part| *part.transaction == *name)
    }

    /// Whether everything that was delivered at `other` was delivered here.
    pub fn covers(&self, other: &Self) -> Result<bool> {
        if !self.set_covers(other)? {
            return Ok(false);
        }
        for part in &other.open {
            if self.executed_part_of(other, &part.transaction)? {
                continue;
            }
            let own = self.part(&part.transaction);
            let held = |table: &str, rows: u64| own.is_some_and(|own| own.rows.get(table).is_some_and(|held| *held >= rows));
            if !part.rows.iter().all(|(table, rows)| held(table, *rows)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was delivered at both: where a stream begins that serves them both.
    pub fn meet(&self, other: &Self) -> Result<Self> {
        if self == other {
            return Ok(self.clone());
        }
        let lower = match (self.set_covers(other)?, other.set_covers(self)?) {
            (true, _) => Some(other),
            (_, true) => Some(self),
            _ => None,
        };
        let gtid_set = match (lower, &self.gtid_set, &other.gtid_set) {
            (Some(lower), ..) => lower.gtid_set.clone(),
            (None, Some(own), Some(other)) => Some(Arc::new(own.meet(other))),
            _ => None,
        };
        let mut met = Self { gtid_set, open: Vec::new(), skip: None, ..lower.unwrap_or(self).clone() };
        if lower.is_none() {
            met.prepared = self.prepared_here_or_there(other);
            // a place of neither: only the set tells it
            (met.file, met.position) = ("".into(), super::start::FIRST);
        }
        let names = self.open.iter().map(|part| (part.transaction.clone(), self));
        let mut names: Vec<(Arc<str>, &Self)> = names.chain(other.open.iter().map(|part| (part.transaction.clone(), other))).collect();
        names.sort_by(|(one, _), (two, _)| one.cmp(two));
        names.dedup_by(|(one, _), (two, _)| one == two);
        for (name, owner) in names {
            if met.executed_part_of(owner, &name)? {
                continue;
            }
            let rows = match (self.delivered(&name, owner)?, other.delivered(&name, owner)?) {
                (Delivered::All, Delivered::All) => continue,
                (Delivered::Part(rows), Delivered::All) | (Delivered::All, Delivered::Part(rows)) => rows.clone(),
                (Delivered::Part(a), Delivered::Part(b)) => {
                    a.iter().filter_map(|(table, rows)| Some((table.clone(), *rows.min(b.get(table)?)))).collect()
                }
                (Delivered::None, _) | (_, Delivered::None) => continue,
            };
            let rows: BTreeMap<Box<str>, u64> = rows.into_iter().filter(|(table, _)| !self.counts_otherwise(other, table)).collect();
            met.open.push(Part { transaction: name, rows });
        }
        Ok(met)
    }

    /// The XA transactions that are open at one of two places.
    fn prepared_here_or_there(&self, other: &Self) -> Vec<Prepared> {
        let missing = other.prepared.iter().filter(|prepared| !self.prepared.iter().any(|known| known.xid == prepared.xid));
        self.prepared.iter().chain(missing).take(PREPARED_TRANSACTIONS).cloned().collect()
    }

    /// Whether the rows of the table were counted on two servers that may have logged them in another order.
    fn counts_otherwise(&self, other: &Self, table: &str) -> bool {
        is_keyless(table) && self.is_of_another_server(other.server.as_deref())
    }

    /// What it has of a transaction, of which `owner` has a part.
    fn delivered(&self, name: &str, owner: &Self) -> Result<Delivered<'_>> {
        if self.executed_part_of(owner, name)? {
            return Ok(Delivered::All);
        }
        Ok(self.part(name).map_or(Delivered::None, |part| Delivered::Part(&part.rows)))
    }

    /// What was delivered at one of them at least. Where neither has everything of the other, the file is not known.
    pub fn join(&self, other: &Self) -> Result<Self> {
        let higher = match (self.set_covers(other)?, other.set_covers(self)?) {
            (true, _) => Some(self),
            (_, true) => Some(other),
            _ => None,
        };
        let gtid_set = match (higher, &self.gtid_set, &other.gtid_set) {
            (Some(higher), ..) => higher.gtid_set.clone(),
            (None, Some(own), Some(other)) => Some(Arc::new(own.join(other))),
            _ => None,
        };
        let mut joined = Self { gtid_set, open: Vec::new(), skip: None, ..higher.unwrap_or(self).clone() };
        if higher.is_none() {
            // what was prepared before one of them and is not open there has ended
            let ended = |place: &Self, prepared: &Prepared| -> Result<bool> {
                let executed = prepared.transaction.as_deref().map_or(Ok(false), |name| place.executed(name))?;
                Ok(executed && !place.prepared.iter().any(|known| known.xid == prepared.xid))
            };
            joined.prepared.clear();
            for prepared in self.prepared_here_or_there(other) {
                if !ended(self, &prepared)? && !ended(other, &prepared)? {
                    joined.prepared.push(prepared);
                }
            }
            (joined.file, joined.position) = ("".into(), super::start::FIRST);
        }
        let mut open: BTreeMap<Arc<str>, BTreeMap<Box<str>, u64>> = BTreeMap::new();
        let parts = self.open.iter().map(|part| (part, self)).chain(other.open.iter().map(|part| (part, other)));
        for (part, owner) in parts {
            if joined.executed_part_of(owner, &part.transaction)? {
                continue;
            }
            let rows = open.entry(part.transaction.clone()).or_default();
            for (table, delivered) in part.rows.iter().filter(|(table, _)| !self.counts_otherwise(other, table)) {
                let most = rows.entry(table.clone()).or_default();
                *most = (*most).max(*delivered);
            }
        }
        joined.open = open.into_iter().map(|(transaction, rows)| Part { transaction, rows }).collect();
        Ok(joined)
    }
}

/// What a place has of a transaction.
enum Delivered<'a> {
    All,
    Part(&'a BTreeMap<Box<str>, u64>),
    None,
}

/// The least of all places, which may be the place of none of them.
pub fn meet(places: &[BinlogPosition]) -> Result<Option<BinlogPosition>> {
    let Some((first, rest)) = places.split_first() else { return Ok(None) };
    // how version 1 counted cannot be compared: it holds where all are at one place
    if rest.iter().all(|place| place == first) {
        return Ok(Some(first.clone()));
    }
    if places.iter().any(|place| place.skip.is_some()) {
        tracing::warn!("the sinks stand at different rows of a transaction, counted as an older version did: it comes again as a whole");
    }
    rest.iter().try_fold(BinlogPosition { skip: None, ..first.clone() }, |met, place| met.meet(place)).map(Some)
}

/// The changes of the batch that were delivered before `offset`, as rising ranges of places in the batch.
fn had(offset: &BinlogPosition, batch: &Batch) -> Result<Vec<Range<usize>>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    // by transaction of the batch
    let mut known: HashMap<u32, Delivered<'_>> = HashMap::new();
    let now = batch.offset.place::<BinlogPosition>();
    let elsewhere = now.is_some_and(|now| offset.is_of_another_server(now.server.as_deref()));
    for (at, change) in batch.changes.iter().enumerate() {
        let dangling = || Error::new(ErrorKind::Internal, "a change of an event that the batch does not have");
        let (event, transaction) = batch.event(change).ok_or_else(dangling)?;
        let delivered = match known.entry(event.transaction) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(of_transaction(offset, transaction, now)?),
        };
        let was_had = match delivered {
            Delivered::All => true,
            Delivered::None => false,
            Delivered::Part(rows) => {
                let table = event.table.as_deref().unwrap_or_default();
                rows.get(table).is_some_and(|done| event.rows_before(change.row) < *done) && !(elsewhere && is_keyless(table))
            }
        };
        match ranges.last_mut().filter(|last| was_had && last.end == at) {
            Some(last) => last.end = at + 1,
            None if was_had => ranges.push(at..at + 1),
            None => {}
        }
    }
    Ok(ranges)
}

/// What was delivered of a transaction that is read at the place `now`.
fn of_transaction<'a>(offset: &'a BinlogPosition, transaction: &Transaction, now: Option<&BinlogPosition>) -> Result<Delivered<'a>> {
    let with_gtids = offset.gtid_set.is_some();
    let name = transaction_name(transaction.id.as_ref(), with_gtids, &transaction.file, transaction.position);
    let executed = match now.is_some_and(|now| offset.shares_log(now)) {
        true => linear(&transaction.file, transaction.position)? < linear(&offset.file, offset.position)?,
        false => offset.executed(&name)?,
    };
    if executed {
        return Ok(Delivered::All);
    }
    Ok(offset.part(&name).map_or(Delivered::None, |part| Delivered::Part(&part.rows)))
}

/// Whether a set of the server's own holds everything that a position has.
pub fn is_part_of(position: &BinlogPosition, executed: &GtidSet) -> bool {
    position.gtid_set.as_deref().is_none_or(|set| executed.covers(set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Flavour;

    fn at(server: &str, gtids: &str, rows: &[(&str, u64)]) -> BinlogPosition {
        let rows: BTreeMap<Box<str>, u64> = rows.iter().map(|(table, rows)| ((*table).into(), *rows)).collect();
        BinlogPosition {
            flavour: Flavour::MariaDb,
            server: Some(server.into()),
            file: "b.1".into(),
            position: 100,
            gtid_set: Some(Arc::new(GtidSet::parse_mariadb(gtids).unwrap())),
            open: if rows.is_empty() { Vec::new() } else { vec![Part { transaction: "0-1-6".into(), rows }] },
            prepared: Vec::new(),
            skip: None,
            created: None,
        }
    }

    #[test]
    fn the_name_of_a_table_without_a_key_is_that_of_no_other_table() {
        assert_eq!(&*counted_name(&TableName::new("shop", "orders"), true), "shop.orders");
        assert_eq!(&*counted_name(&TableName::new("shop", "orders"), false), "shop.orders (no key)");
        assert_eq!(&*counted_name(&TableName::new("shop", "orders (no key)"), true), "shop.`orders (no key)`");
        assert!(!is_keyless(&counted_name(&TableName::new("shop", "orders (no key)"), true)));
    }

    #[test]
    fn rows_of_tables_without_a_key_that_two_servers_counted_are_in_neither_meet_nor_join() {
        let one = at("one", "0-1-5", &[("d.k", 4), ("d.n (no key)", 4)]);
        let same = at("one", "0-1-5", &[("d.k", 2), ("d.n (no key)", 7)]);
        let other = at("two", "0-1-5", &[("d.k", 2), ("d.n (no key)", 7)]);
        assert_eq!(one.meet(&same).unwrap().open, at("", "", &[("d.k", 2), ("d.n (no key)", 4)]).open);
        assert_eq!(one.join(&same).unwrap().open, at("", "", &[("d.k", 4), ("d.n (no key)", 7)]).open);
        assert_eq!(one.meet(&other).unwrap().open, at("", "", &[("d.k", 2)]).open);
        assert_eq!(one.join(&other).unwrap().open, at("", "", &[("d.k", 4)]).open);
    }

    #[test]
    fn where_a_transaction_was_prepared_means_nothing_on_another_server() {
        let prepared = Prepared { xid: "X'31',X'',1".into(), transaction: None, file: "b.1".into(), position: 4 };
        let mut place = BinlogPosition { prepared: vec![prepared], ..at("one", "0-1-5", &[]) };
        place.go_on_with(Some("one"));
        assert_eq!(place.prepared.len(), 1);
        place.go_on_with(Some("two"));
        assert_eq!(place.prepared, []);
    }

    #[test]
    fn a_prepared_transaction_is_open_at_a_meet_where_it_is_at_one_place_and_at_a_join_where_none_has_its_end() {
        let place = |gtids: &str, prepared: &[u64]| {
            let prepared = prepared.iter().map(|number| Prepared {
                xid: format!("X'3{number}',X'',1").into(),
                transaction: Some(format!("0-1-{number}").into()),
                file: "b.1".into(),
                position: *number,
            });
            BinlogPosition { prepared: prepared.collect(), ..at("one", gtids, &[]) }
        };
        let numbers = |place: BinlogPosition| place.prepared.iter().map(|prepared| prepared.position).collect::<Vec<_>>();
        // one has read further in domain 0, the other in domain 1; 4 ended in one of them
        let (one, other) = (place("0-1-9,1-1-1", &[8, 2]), place("0-1-5,1-1-9", &[4, 2]));
        let other = BinlogPosition { server: Some("two".into()), ..other };
        assert_eq!(numbers(one.meet(&other).unwrap()), [8, 2, 4]);
        assert_eq!(numbers(one.join(&other).unwrap()), [8, 2]);
        let (low, high) = (place("0-1-5", &[4]), BinlogPosition { position: 900, ..place("0-1-9", &[8]) });
        assert_eq!(numbers(low.meet(&high).unwrap()), [4]);
        assert_eq!(numbers(low.join(&high).unwrap()), [8]);
    }

    /// With `gtid_strict_mode` off, 0-1-6 may come again behind 0-1-9.
    #[test]
    fn in_the_log_of_one_mariadb_server_file_and_position_say_what_was_had() {
        let place = |server: &str, position: u64, rows: &[(&str, u64)]| BinlogPosition { position, ..at(server, "0-1-9", rows) };
        let transaction = |position: u64| Transaction { id: Some("0-1-6".into()), file: "b.1".into(), position, complete: true };
        let had = |offset: &BinlogPosition, position: u64, now: &str| {
            matches!(of_transaction(offset, &transaction(position), Some(&place(now, 900, &[]))).unwrap(), Delivered::All)
        };
        let offset = place("one", 500, &[]);
        assert!(had(&offset, 499, "one") && !had(&offset, 500, "one"));
        assert!(had(&offset, 500, "two"), "another server's positions say nothing");
        let later = place("one", 800, &[]);
        assert!(later.covers(&offset).unwrap() && !offset.covers(&later).unwrap());
        // a part of a transaction whose number was had before
        let part = place("one", 500, &[("d.k", 4)]);
        assert!(part.covers(&offset).unwrap() && !offset.covers(&part).unwrap());
        assert_eq!(offset.join(&part).unwrap(), part);
        assert_eq!(offset.meet(&part).unwrap(), offset);
        assert_eq!(place("one", 400, &[]).meet(&part).unwrap().open, []);
        assert_eq!(later.meet(&part).unwrap(), part);
        assert_eq!(later.join(&part).unwrap(), later);
    }

    #[test]
    fn places_before_and_behind_a_reset_are_not_compared() {
        let place = |created: u32| BinlogPosition { created: Some(created), ..at("one", "0-1-5", &[]) };
        assert!(place(1).covers(&place(1)).unwrap());
        assert!(place(1).covers(&place(2)).is_err());
        assert!(place(1).covers(&at("one", "0-1-5", &[])).unwrap(), "an older version's place does not say when its file was begun");
    }

    #[test]
    fn another_server_gives_the_rows_of_tables_without_a_key_again() {
        let mut place = at("one", "0-1-5", &[("d.k", 4), ("d.n (no key)", 4)]);
        place.go_on_with(Some("one"));
        assert_eq!(place, at("one", "0-1-5", &[("d.k", 4), ("d.n (no key)", 4)]));
        place.go_on_with(Some("two"));
        assert_eq!(place, at("one", "0-1-5", &[("d.k", 4)]));
    }
}
