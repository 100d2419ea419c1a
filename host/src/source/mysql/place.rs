//! Where in the log the stream is: file, position, GTIDs, and the open transaction.

use std::sync::Arc;

use mysql_async::binlog::events::BinlogEventHeader;

use super::{
    event::{self, kind},
    gtid::{Gtid, GtidSet},
    position::{BinlogPosition, Flavour, Skip},
};

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
    /// Rows events read.
    pub events: u64,
    /// What had been delivered before the stream was opened: not delivered again.
    pub skip: Skip,
    /// What has been delivered.
    pub done: Skip,
}

/// The stream's place.
#[derive(Clone, Debug)]
pub struct Place {
    flavour: Flavour,
    server_uuid: Option<String>,
    /// The file being read.
    pub file: Arc<str>,
    /// Position after the last event read.
    pub position: u64,
    /// What has been executed up to the open transaction.
    pub executed: Option<GtidSet>,
    /// The open transaction.
    pub open: Option<Open>,
    /// What of the next transaction was delivered before the stream was opened.
    pub skip: Skip,
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
            server_uuid: position.server_uuid.clone(),
            file: position.file.as_str().into(),
            position: position.position,
            executed: position.gtid_set.clone(),
            open: None,
            skip: position.skip,
            moved: false,
            ended: 0,
        }
    }

    /// Where to resume.
    pub fn resume(&self) -> BinlogPosition {
        let (file, position, skip) = match &self.open {
            Some(open) => (&open.file, open.position, open.done),
            None => (&self.file, self.position, self.skip),
        };
        BinlogPosition {
            flavour: self.flavour,
            server_uuid: self.server_uuid.clone(),
            file: file.to_string(),
            position,
            gtid_set: self.executed.clone(),
            skip,
        }
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

    /// Opens a transaction at `start`.
    pub fn begin(&mut self, start: u64, gtid: Option<Gtid>, time_us: Option<i64>, begun: bool) -> &mut Open {
        let skip = std::mem::take(&mut self.skip);
        let id = gtid.as_ref().map(|g| g.to_string().into());
        self.open.insert(Open { file: self.file.clone(), position: start, gtid, id, time_us, begun, events: 0, skip, done: skip })
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
                (Some(executed), Some(gtid)) => executed.add(gtid),
                // a transaction without a GTID cannot be told by the set any more; file and position count from here on
                (executed @ Some(_), None) if self.flavour == Flavour::MySql => *executed = None,
                _ => {}
            }
            self.moved = true;
            self.ended += 1;
        }
    }
}

/// A position of 32 bits, as headers have it, near the position before it. Files can grow beyond 4 GiB with one transaction.
fn widen(previous: u64, low: u32) -> u64 {
    let candidate = previous & !0xffff_ffff | u64::from(low);
    if candidate + (1 << 31) < previous { candidate + (1 << 32) } else { candidate }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_beyond_four_gibibytes_keep_counting() {
        assert_eq!(widen(4, 1000), 1000);
        assert_eq!(widen(0xffff_fff0, 0x10), 0x1_0000_0010);
        assert_eq!(widen(0x1_0000_0010, 0x20), 0x1_0000_0020);
    }

    #[test]
    fn a_position_inside_a_transaction_names_the_row_within_it() {
        let start = BinlogPosition {
            flavour: Flavour::MariaDb,
            server_uuid: None,
            file: "b.1".into(),
            position: 100,
            gtid_set: Some(GtidSet::parse_mariadb("0-1-5").unwrap()),
            skip: Skip { events: 1, rows: 3 },
        };
        let mut place = Place::new(&start);
        assert_eq!(place.resume(), start, "nothing read yet: the same place, the skip included");
        let gtid = Gtid::MariaDb { domain: 0, server: 1, sequence: 6 };
        let open = place.begin(100, Some(gtid), None, true);
        assert_eq!(open.skip, Skip { events: 1, rows: 3 });
        open.done = Skip { events: 2, rows: 7 };
        place.position = 900;
        assert_eq!(place.resume().position, 100);
        assert_eq!(place.resume().skip, Skip { events: 2, rows: 7 });
        place.end();
        assert_eq!(place.resume().position, 900);
        assert_eq!(place.resume().skip, Skip::default());
        assert_eq!(place.resume().gtid_set.unwrap().to_string(), "0-1-6");
    }
}
