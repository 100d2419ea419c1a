//! Where in the log the stream is: file, position, GTIDs, and the open transaction.

use std::sync::Arc;

use mysql_async::binlog::events::BinlogEventHeader;

use super::{
    event::{self, kind},
    gtid::{Gtid, GtidSet},
    ledger::{STATEMENT, transaction_name},
    position::{BinlogPosition, Flavour, Part, Skip},
    prepared::Prepared,
    start::FIRST,
};
use sluicegate_model::limits::PREPARED_TRANSACTIONS;

/// The transaction whose events are being read.
#[derive(Clone, Debug)]
pub struct Open {
    /// File that it stands in.
    pub file: Arc<str>,
    /// Position of its first event.
    pub position: u64,
    /// Its GTID.
    pub gtid: Option<Gtid>,
    /// The GTID's text.
    pub id: Option<Arc<str>>,
    /// When it was committed at its origin, microseconds, where the log says so.
    pub time_us: Option<i64>,
    /// Whether its end is marked by a commit, not by the end of its only statement.
    pub begun: bool,
    /// Whether it was delivered as a whole before: then nothing of it is delivered again.
    pub had: bool,
    /// What of it was delivered before the stream was opened.
    pub part: Option<Part>,
    /// The same as a version 1 checkpoint counted it.
    pub skip: Skip,
    /// Where `skip` stands, as long as its rows may have to be counted again.
    counted: Option<Counted>,
    /// Rows events read: for `skip`, and for what the server took back.
    pub events: u64,
    /// Rows that went before in the event out of which this transaction is unpacked.
    pub unpacked_rows: u32,
}

/// Rows of one table that were read of the open transaction.
#[derive(Clone, Debug)]
struct Count {
    table: Arc<str>,
    rows: u64,
}

/// What of a transaction was delivered, as a version 1 checkpoint counted it: it begins at a file and a position.
#[derive(Clone, Debug)]
struct Counted {
    file: Arc<str>,
    position: u64,
    skip: Skip,
}

/// The stream's place.
#[derive(Clone, Debug)]
pub struct Place {
    flavour: Flavour,
    server: Option<Box<str>>,
    /// The file being read.
    pub file: Arc<str>,
    /// Position after the last event read.
    pub position: u64,
    /// What has been executed up to the open transaction.
    pub executed: Option<Arc<GtidSet>>,
    /// The open transaction.
    pub open: Option<Open>,
    /// Rows read of the open transaction, by table. Kept from one to the next, so that transactions cost no allocation.
    counts: Vec<Count>,
    /// Transactions that were delivered in part before the stream was opened, and have not come yet.
    parts: Vec<Part>,
    /// XA transactions that were prepared and have not ended, oldest first.
    prepared: Vec<Prepared>,
    /// What of the transaction at a place was delivered, as a version 1 checkpoint counted it. Until the stream has passed that.
    skip: Option<Counted>,
    /// Whether transactions may come that are in `executed`: the place was put together from two servers' logs, and MariaDB
    /// is asked with the last transaction of each domain only.
    overlaps: bool,
    /// Whether the place was read from another server's log, where files and positions are others.
    elsewhere: bool,
    /// File and position of what was executed, until the server says where that is in what it sends. It begins with the first events
    /// of a file, and passes over everything that was executed.
    asked: Option<(Arc<str>, u64)>,
    /// When the server began a file: the one that was described last, and that of the place at which reading began.
    created: [Option<(Arc<str>, u32)>; 2],
    /// Whether the place has changed since this was last set to false.
    pub moved: bool,
    /// Transactions read to their end.
    pub ended: u64,
}

impl Place {
    /// At a position.
    pub fn new(position: &BinlogPosition) -> Self {
        Self {
            flavour: position.flavour,
            server: position.server.clone(),
            file: position.file.clone(),
            position: position.position,
            executed: position.gtid_set.clone(),
            open: None,
            counts: Vec::new(),
            parts: position.open.clone(),
            prepared: position.prepared.clone(),
            skip: position.skip.map(|skip| Counted { file: position.file.clone(), position: position.position, skip }),
            overlaps: !position.has_file(),
            elsewhere: false,
            asked: None,
            created: [None, position.created.map(|created| (position.file.clone(), created))],
            moved: false,
            ended: 0,
        }
    }

    /// Goes back to where a new connection to a server begins to read.
    pub fn restart(&mut self, position: &BinlogPosition, server: Option<Box<str>>) {
        let elsewhere = self.server.is_some() && self.server != server;
        let mut position = position.clone();
        position.go_on_with(server.as_deref());
        let mut place = Self { overlaps: self.overlaps, ended: self.ended, moved: true, ..Self::new(&position) };
        place.overlaps |= !position.has_file();
        place.elsewhere |= elsewhere;
        place.asked = position.resumable_gtids().map(|_| match elsewhere {
            true => ("".into(), FIRST),
            false => (position.file.clone(), position.position),
        });
        if elsewhere {
            place.created = [None, None];
        }
        place.server = server;
        *self = place;
    }

    /// Where to resume.
    pub fn resume(&self) -> BinlogPosition {
        self.resume_with(self.skip.as_ref(), &self.counts)
    }

    /// Where to resume, as if nothing of the open transaction had been read.
    pub fn resume_before(&self) -> BinlogPosition {
        let counted = self.open.as_ref().and_then(|open| open.counted.as_ref());
        self.resume_with(self.skip.as_ref().or(counted), &[])
    }

    fn resume_with(&self, counted: Option<&Counted>, counts: &[Count]) -> BinlogPosition {
        let (file, position) = match (counted, &self.open) {
            (Some(counted), _) => (counted.file.clone(), counted.position),
            (None, Some(open)) => (open.file.clone(), open.position),
            (None, None) => self.asked.clone().unwrap_or_else(|| (self.file.clone(), self.position)),
        };
        let mut open = self.parts.clone();
        open.extend(self.open.as_ref().filter(|_| counted.is_none()).and_then(|open| self.part(open, counts)));
        let skip = counted.map(|counted| counted.skip);
        let (server, prepared) = (self.server.clone(), self.prepared.clone());
        let created = self.created.iter().flatten().find(|(described, _)| *described == file).map(|(_, created)| *created);
        BinlogPosition { flavour: self.flavour, server, file, position, gtid_set: self.executed.clone(), open, prepared, skip, created }
    }

    /// What was delivered of the open transaction: now, or before the stream was opened.
    fn part(&self, open: &Open, counts: &[Count]) -> Option<Part> {
        let mut rows = open.part.as_ref().map(|part| part.rows.clone()).unwrap_or_default();
        for count in counts.iter().filter(|count| count.rows > 0) {
            let most = rows.entry((&*count.table).into()).or_default();
            *most = (*most).max(count.rows);
        }
        (!rows.is_empty()).then(|| Part { transaction: self.name(open), rows })
    }

    fn name(&self, open: &Open) -> Arc<str> {
        transaction_name(open.id.as_ref(), self.executed.is_some(), &open.file, open.position)
    }

    /// Rows of the table that were read of the open transaction.
    pub fn rows_read(&self, table: &Arc<str>) -> u64 {
        self.counts.iter().find(|count| count.is_of(table)).map_or(0, |count| count.rows)
    }

    /// Notes that so many rows of the table were read of the open transaction in all.
    pub fn read_up_to(&mut self, table: &Arc<str>, rows: u64) {
        match self.counts.iter_mut().find(|count| count.is_of(table)) {
            Some(count) => count.rows = rows,
            None => self.counts.push(Count { table: table.clone(), rows }),
        }
    }

    /// Rows that were read of the open transaction, by table.
    pub fn rows_by_table(&self) -> Vec<u64> {
        self.counts.iter().map(|count| count.rows).collect()
    }

    /// The server took back what came since so many rows of each table: these do not count.
    pub fn go_back_to_rows(&mut self, rows: &[u64]) {
        // items of statements are given at once, and cannot be taken back
        for (number, count) in self.counts.iter_mut().enumerate().filter(|(_, count)| *count.table != *STATEMENT) {
            count.rows = rows.get(number).copied().unwrap_or(0);
        }
    }

    /// None of the rows that were read of the open transaction counts.
    pub fn forget_rows(&mut self) {
        self.counts.retain(|count| *count.table == *STATEMENT);
        if let Some(counted) = self.open.as_ref().and_then(|open| open.counted.clone()) {
            self.skip = Some(counted);
        }
    }

    /// The open transaction is an XA transaction that is only prepared.
    pub fn prepare(&mut self, xid: Arc<str>) {
        let Some(open) = &self.open else { return };
        let prepared = Prepared { xid, transaction: open.id.clone(), file: open.file.clone(), position: open.position };
        // it cannot be prepared twice: another one of the name has ended unseen
        self.end_prepared(&prepared.xid);
        if self.prepared.len() >= PREPARED_TRANSACTIONS {
            self.prepared.remove(0);
        }
        self.prepared.push(prepared);
    }

    /// Where the XA transaction was prepared, if that is known.
    pub fn prepared(&self, xid: &str) -> Option<&Prepared> {
        self.prepared.iter().find(|prepared| *prepared.xid == *xid)
    }

    /// The XA transaction was committed or rolled back.
    pub fn end_prepared(&mut self, xid: &str) {
        self.prepared.retain(|prepared| *prepared.xid != *xid);
    }

    /// Takes an event's header in and returns the event's own position. Not for events out of a compressed transaction: these
    /// have none.
    pub fn locate(&mut self, header: &BinlogEventHeader) -> u64 {
        let (event, size) = (header.event_type_raw(), u64::from(header.event_size()));
        let made_up = header.flags_raw() & event::ARTIFICIAL != 0
            || matches!(event, kind::HEARTBEAT | kind::HEARTBEAT_V2)
            || (header.log_pos() == 0 && matches!(event, kind::FORMAT_DESCRIPTION | kind::ROTATE));
        if made_up {
            return self.position;
        }
        let end = match header.log_pos() {
            // servers may leave the position of events inside a transaction away
            0 => self.position + size,
            low => widen(self.position, low),
        };
        self.position = end;
        self.moved |= self.open.is_none();
        end.saturating_sub(size)
    }

    /// A heartbeat: the server is at `low` of the same file and has nothing (for us) before that.
    pub fn heartbeat(&mut self, low: u32) {
        let position = widen(self.position, low);
        if self.open.is_none() && low != 0 {
            self.asked = None;
        }
        if self.open.is_none() && low != 0 && position > self.position && position - self.position < u64::from(u32::MAX) / 2 {
            self.position = position;
            self.moved = true;
        }
    }

    /// The stream goes on in another file (or says which one it begins with).
    pub fn rotate(&mut self, file: &str, position: u64) {
        if *self.file != *file || self.position != position {
            self.file = file.into();
            self.position = position;
            self.moved |= self.open.is_none();
        }
    }

    /// The server described the file that it sends: it began that at this time, in seconds since 1970.
    pub fn describe(&mut self, created: u32) {
        if created != 0 && !matches!(&self.created[0], Some((file, known)) if *file == self.file && *known == created) {
            self.created[0] = Some((self.file.clone(), created));
            self.moved |= self.open.is_none();
        }
    }

    /// Opens a transaction at `start`. What was delivered of it before is found by what it is called, whichever transactions
    /// come first.
    pub fn begin(&mut self, start: u64, gtid: Option<Gtid>, time_us: Option<i64>, begun: bool) -> &mut Open {
        self.asked = None;
        let skip = self.counted_before(start);
        let id = gtid.as_ref().map(|g| g.to_string().into());
        let had = self.overlaps && matches!((&self.executed, &gtid), (Some(executed), Some(gtid)) if executed.contains(gtid));
        self.counts.clear();
        let counted = self.skip.clone();
        let (file, part, events, unpacked_rows) = (self.file.clone(), None, 0, 0);
        let mut open = Open { file, position: start, gtid, id, time_us, begun, had, part, skip, counted, events, unpacked_rows };
        if !self.parts.is_empty() {
            let name = self.name(&open);
            open.part = self.parts.iter().position(|part| part.transaction == name).map(|at| self.parts.swap_remove(at));
        }
        self.open.insert(open)
    }

    /// What a version 1 checkpoint counted of the transaction that begins at `start`. It means the transaction at the stored place of
    /// the same server; where another one comes first, nothing is known of how far that one was delivered.
    fn counted_before(&mut self, start: u64) -> Skip {
        match &self.skip {
            None => Skip::default(),
            Some(counted) if !self.elsewhere && counted.file == self.file && counted.position == start => counted.skip,
            Some(counted) => {
                tracing::warn!(
                    file = %counted.file, position = counted.position,
                    "the checkpoint counts rows of a transaction at this place as an older version did, and the log goes on with another one: \
                     that transaction comes again as a whole"
                );
                self.skip = None;
                Skip::default()
            }
        }
    }

    /// The open transaction was read beyond what a version 1 checkpoint counted of it: from here on its rows are counted by table.
    pub fn pass_counted(&mut self) {
        self.skip = None;
    }

    /// The open transaction; one is opened at `start` when there is none.
    pub fn transaction(&mut self, start: u64) -> &mut Open {
        match self.open.take() {
            Some(open) => self.open.insert(open),
            None => self.begin(start, None, None, true),
        }
    }

    /// Ends the open transaction.
    pub fn end(&mut self) {
        if let Some(open) = self.open.take() {
            match (&mut self.executed, &open.gtid) {
                // shared with the batches that carry it: a copy is made once a batch
                (Some(executed), Some(gtid)) => Arc::make_mut(executed).add(gtid),
                // a transaction without a GTID cannot be told by the set any more; file and position count from here on
                (executed @ Some(_), None) if self.flavour == Flavour::MySql => *executed = None,
                _ => {}
            }
            self.counts.clear();
            self.skip = None;
            self.moved = true;
            self.ended += 1;
        }
    }

    /// Leaves a transaction that has no end in its file: it was not committed.
    pub fn abandon(&mut self) {
        self.open = None;
        self.counts.clear();
        self.moved = true;
    }
}

impl Count {
    fn is_of(&self, table: &Arc<str>) -> bool {
        Arc::ptr_eq(&self.table, table) || self.table == *table
    }
}

/// A position of 32 bits, as headers have it, near the position before it. Files can grow beyond 4 GiB with one transaction.
pub(super) fn widen(previous: u64, low: u32) -> u64 {
    let candidate = previous & !0xffff_ffff | u64::from(low);
    if candidate + (1 << 31) < previous { candidate + (1 << 32) } else { candidate }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::LanePlace as _;

    /// A server that is asked with GTIDs begins with the first events of a file, and says later how far what was executed goes.
    #[test]
    fn a_place_fits_its_gtids_before_the_server_says_where_they_end() {
        let asked = at("0-1-5", Vec::new());
        let mut place = Place::new(&asked);
        place.restart(&asked, None);
        place.rotate("b.1", 4);
        place.position = 60;
        assert_eq!((&*place.resume().file, place.resume().position), ("b.1", 100));
        let mut idle = place.clone();
        idle.heartbeat(100);
        assert_eq!((&*idle.resume().file, idle.resume().position), ("b.1", 100));
        place.begin(70, Gtid::parse("0-1-6"), None, true);
        place.position = 130;
        place.end();
        assert_eq!(place.resume().position, 130);
        // another server's files and positions say nothing here
        let mut elsewhere = Place::new(&BinlogPosition { server: Some("one".into()), ..asked.clone() });
        elsewhere.restart(&elsewhere.resume(), Some("two".into()));
        elsewhere.rotate("b.7", 4);
        assert!(!elsewhere.resume().has_file());
        elsewhere.heartbeat(200);
        assert_eq!((&*elsewhere.resume().file, elsewhere.resume().position), ("b.7", 200));
    }

    #[test]
    fn positions_beyond_four_gibibytes_keep_counting() {
        assert_eq!(widen(4, 1000), 1000);
        assert_eq!(widen(0xffff_fff0, 0x10), 0x1_0000_0010);
        assert_eq!(widen(0x1_0000_0010, 0x20), 0x1_0000_0020);
    }

    fn at(gtids: &str, open: Vec<Part>) -> BinlogPosition {
        BinlogPosition {
            flavour: Flavour::MariaDb,
            server: None,
            file: "b.1".into(),
            position: 100,
            gtid_set: Some(Arc::new(GtidSet::parse_mariadb(gtids).unwrap())),
            open,
            prepared: Vec::new(),
            skip: None,
            created: None,
        }
    }

    fn part(transaction: &str, rows: u64) -> Part {
        Part { transaction: transaction.into(), rows: [("shop.orders".into(), rows)].into() }
    }

    #[test]
    fn a_position_inside_a_transaction_counts_the_rows_of_each_table() {
        let start = at("0-1-5", vec![part("0-1-6", 3)]);
        let mut place = Place::new(&start);
        assert_eq!(place.resume(), start, "nothing read yet: the same place, what was delivered in part included");
        let open = place.begin(100, Some(Gtid::MariaDb { domain: 0, server: 1, sequence: 6 }), None, true);
        assert_eq!(open.part, Some(part("0-1-6", 3)));
        place.position = 900;
        assert_eq!(place.resume(), start, "none of its rows read yet");
        let orders: Arc<str> = "shop.orders".into();
        place.read_up_to(&orders, 2);
        assert_eq!(place.resume(), start, "fewer than were delivered");
        place.read_up_to(&orders, 7);
        assert_eq!(place.resume(), at("0-1-5", vec![part("0-1-6", 7)]));
        place.end();
        assert_eq!(place.resume(), BinlogPosition { position: 900, ..at("0-1-6", Vec::new()) });
    }

    #[test]
    fn what_an_older_version_counted_is_kept_until_it_is_passed_and_holds_for_its_place_only() {
        let skip = Skip { events: 2, rows: 1 };
        let start = BinlogPosition { skip: Some(skip), ..at("0-1-5", Vec::new()) };
        let gtid = |sequence| Some(Gtid::MariaDb { domain: 0, server: 1, sequence });
        let mut place = Place::new(&start);
        place.rotate("b.1", 4);
        assert_eq!(place.resume(), start, "events of the file's head are no progress");
        assert_eq!(place.begin(100, gtid(6), None, true).skip, skip);
        place.read_up_to(&"shop.orders".into(), 2);
        assert_eq!(place.resume(), start, "fewer than were delivered");
        place.read_up_to(&"shop.orders".into(), 3);
        place.pass_counted();
        assert_eq!(place.resume(), at("0-1-5", vec![part("0-1-6", 3)]));

        let mut place = Place::new(&start);
        assert_eq!(place.begin(200, gtid(6), None, true).skip, Skip::default(), "another position");
        assert_eq!(place.resume().skip, None);
        let mut place = Place::new(&start);
        place.rotate("b.2", 100);
        assert_eq!(place.begin(100, gtid(6), None, true).skip, Skip::default(), "another file");
        let mut place = Place::new(&BinlogPosition { server: Some("one".into()), ..start });
        place.restart(&place.resume(), Some("two".into()));
        assert_eq!(place.begin(100, gtid(6), None, true).skip, Skip::default(), "another server");
    }

    #[test]
    fn rows_that_were_taken_back_do_not_count() {
        let gtid = |sequence| Some(Gtid::MariaDb { domain: 0, server: 1, sequence });
        let (orders, lines): (Arc<str>, Arc<str>) = ("shop.orders".into(), "shop.lines".into());
        let mut place = Place::new(&at("0-1-5", vec![part("0-1-6", 3)]));
        place.begin(100, gtid(6), None, true);
        place.read_up_to(&orders, 4);
        let savepoint = place.rows_by_table();
        place.read_up_to(&orders, 9);
        place.read_up_to(&lines, 2);
        place.go_back_to_rows(&savepoint);
        assert_eq!(place.resume().open, [part("0-1-6", 4)]);
        assert_eq!((place.rows_read(&orders), place.rows_read(&lines)), (4, 0));
        assert_eq!(place.resume_before().open, [part("0-1-6", 3)]);
        place.forget_rows();
        assert_eq!(place.resume(), place.resume_before());
    }

    #[test]
    fn what_an_older_version_counted_is_counted_again_when_its_transaction_comes_again() {
        let start = BinlogPosition { skip: Some(Skip { events: 2, rows: 1 }), ..at("0-1-5", Vec::new()) };
        let mut place = Place::new(&start);
        place.begin(100, Some(Gtid::MariaDb { domain: 0, server: 1, sequence: 6 }), None, true);
        place.pass_counted();
        place.read_up_to(&"shop.orders".into(), 3);
        assert_eq!(place.resume_before(), start);
        place.forget_rows();
        assert_eq!(place.resume(), start);
    }

    #[test]
    fn a_prepared_transaction_is_in_the_place_until_it_ends() {
        let gtid = |sequence| Some(Gtid::MariaDb { domain: 0, server: 1, sequence });
        let mut place = Place::new(&at("0-1-5", Vec::new()));
        for sequence in [6, 7] {
            place.begin(100 * sequence, gtid(sequence), None, true);
            place.prepare(format!("X'3{sequence}',X'',1").into());
            place.end();
        }
        let found = place.prepared("X'36',X'',1").map(|prepared| (prepared.position, prepared.transaction.clone()));
        assert_eq!(found, Some((600, Some("0-1-6".into()))));
        place.end_prepared("X'36',X'',1");
        let stored = place.resume().to_json();
        assert_eq!(Place::new(&BinlogPosition::parse(&stored).unwrap()).prepared, place.prepared);
        assert_eq!(place.prepared.len(), 1);
        for number in 0..2 * PREPARED_TRANSACTIONS {
            place.begin(1000, gtid(8), None, true);
            place.prepare(number.to_string().into());
        }
        assert_eq!(place.prepared.len(), PREPARED_TRANSACTIONS);
        assert!(place.prepared("0").is_none() && place.prepared(&(2 * PREPARED_TRANSACTIONS - 1).to_string()).is_some());
    }

    #[test]
    fn rows_that_were_delivered_are_not_taken_from_whichever_transaction_comes_first() {
        let mut place = Place::new(&at("0-1-5", vec![part("0-1-6", 3)]));
        assert_eq!(place.begin(100, Some(Gtid::MariaDb { domain: 1, server: 7, sequence: 1 }), None, true).part, None);
        place.read_up_to(&"shop.orders".into(), 1);
        assert_eq!(place.resume().open, [part("0-1-6", 3), part("1-7-1", 1)]);
        place.end();
        assert_eq!(place.resume().open, [part("0-1-6", 3)], "still to come");
        assert_eq!(place.begin(900, Some(Gtid::MariaDb { domain: 0, server: 1, sequence: 6 }), None, true).part, Some(part("0-1-6", 3)));
    }
}
