//! A compressed transaction: the events that a MySQL server has packed into one (`binlog_transaction_compression`), taken
//! out one by one.
//!
//! Its head has fields of a type, a length and a value, in any order, up to one of type 0; behind it stands a zstd stream, or
//! the events as they are: `mysql/binlog/event/codecs/binary.cpp` of the server. The events have no checksums (the outer
//! event has one for all), and their positions mean nothing.
//!
//! The memory is the packed bytes, the decoder's window (zstd allows 128 MiB; the server's usual level needs 2) and one event:
//! no size that the server declares is allocated before that many bytes have come, and an event has a limit. The declared
//! sizes have to be right: a stream that unpacks to anything else is an error.

use std::io::{self, Read};

use mysql_async::binlog::{
    BinlogVersion,
    events::{BinlogEventHeader, Event, FormatDescriptionEvent},
};
use zstd::stream::read::Decoder;

use super::{
    cursor::{Cursor, Fault},
    dispatch::Site,
    event::kind,
    stream::{Halt, Stream},
};
use sluicegate_model::limits::EVENT_HEAD_BYTES;

/// Compressions, as numbered in the head.
const ZSTD: u64 = 0;
const NONE: u64 = 255;

/// What an event has to hold at least.
const HEADER: usize = BinlogEventHeader::LEN;
/// Allocated for an event before its bytes have come.
const FIRST_BYTES: usize = 16 << 10;

/// Why a compressed transaction cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Its bytes are no such thing.
    Garbled(Fault),
    /// An event in it is larger than the limit.
    Large {
        /// As large as it says.
        bytes: u64,
    },
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Refusal::Garbled(fault)
    }
}

fn garbled<T>(what: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Garbled(Fault::Invalid(what)))
}

/// The head of a compressed transaction.
struct Head<'a> {
    zstd: bool,
    /// What it unpacks to, in bytes.
    size: u64,
    packed: &'a [u8],
}

fn head(body: &[u8]) -> Result<Head<'_>, Fault> {
    let mut cursor = Cursor(body);
    let (mut packed, mut compression, mut size) = (None, None, None);
    loop {
        let field = cursor.lenenc()?;
        if field == 0 {
            break;
        }
        let mut value = Cursor(cursor.lenenc_bytes()?);
        match field {
            1 => packed = Some(value.lenenc()?),
            2 => compression = Some(value.lenenc()?),
            3 => size = Some(value.lenenc()?),
            _ => {}
        }
    }
    let held = cursor.len() as u64;
    match packed {
        Some(packed) if packed == held => {}
        Some(packed) if packed < held => return Err(Fault::Invalid("more bytes than it says")),
        _ => return Err(Fault::Truncated),
    }
    let zstd = match compression {
        Some(ZSTD) => true,
        Some(NONE) => false,
        _ => return Err(Fault::Invalid("an unknown compression")),
    };
    let size = match size {
        Some(size) => size,
        None if zstd => return Err(Fault::Invalid("no size")),
        None => held,
    };
    Ok(Head { zstd, size, packed: cursor.0 })
}

enum Source<'a> {
    Plain(&'a [u8]),
    Zstd(Decoder<'a, &'a [u8]>),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Source::Plain(bytes) => bytes.read(buffer),
            Source::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// The events of a compressed transaction that have not been read yet.
pub struct Payload<'a> {
    source: Source<'a>,
    /// Bytes of events to come, as the head says.
    left: u64,
    /// Size of one event, at most.
    limit: u64,
    /// One event's bytes, kept for the next.
    bytes: Vec<u8>,
    description: FormatDescriptionEvent<'static>,
}

impl<'a> Payload<'a> {
    /// Reads the head. Rows take `row_bytes` at most.
    pub fn open(body: &'a [u8], row_bytes: usize) -> Result<Self, Refusal> {
        let Head { zstd, size, packed } = head(body)?;
        let source = if zstd {
            Source::Zstd(Decoder::with_buffer(packed).map_err(|_| Fault::Invalid("no decoder for it"))?)
        } else {
            Source::Plain(packed)
        };
        // both images of a row stand in one event
        let limit = (row_bytes as u64).saturating_mul(2).saturating_add(EVENT_HEAD_BYTES as u64);
        // of this version, and without checksums
        let description = FormatDescriptionEvent::new(BinlogVersion::Version4);
        Ok(Self { source, left: size, limit, bytes: Vec::new(), description })
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Event>, Refusal> {
        if self.left == 0 {
            return self.check_end();
        }
        self.bytes.clear();
        self.pull(HEADER as u64)?;
        let mut header = Cursor(&self.bytes);
        header.take(4)?;
        let event_type = header.u8()?;
        header.take(4)?;
        let size = u64::from(header.u32()?);
        if size > self.limit {
            return Err(Refusal::Large { bytes: size });
        }
        let body = size.checked_sub(HEADER as u64).ok_or(Fault::Invalid("an event that is shorter than its header"))?;
        if stands_alone(event_type) {
            return garbled("an event of a type that stands outside of compressed transactions only");
        }
        self.pull(body)?;
        match Event::read(&self.description, self.bytes.as_slice()) {
            Ok(event) => Ok(Some(event)),
            Err(_) => garbled("an event that cannot be read"),
        }
    }

    /// Reads `count` bytes more.
    fn pull(&mut self, count: u64) -> Result<(), Refusal> {
        self.left = self.left.checked_sub(count).ok_or(Fault::Invalid("an event that is longer than the whole"))?;
        self.bytes.reserve(count.min(FIRST_BYTES as u64) as usize);
        match self.source.by_ref().take(count).read_to_end(&mut self.bytes) {
            Ok(read) if read as u64 == count => Ok(()),
            Ok(_) => garbled("fewer bytes than it says"),
            Err(_) => garbled("bytes that cannot be unpacked"),
        }
    }

    fn check_end(&mut self) -> Result<Option<Event>, Refusal> {
        match self.source.read(&mut [0]) {
            Ok(0) => Ok(None),
            Ok(_) => garbled("more bytes than it says"),
            Err(_) => garbled("bytes that cannot be unpacked"),
        }
    }
}

/// Whether events of a type never stand in a compressed transaction.
pub fn stands_alone(event_type: u8) -> bool {
    matches!(
        event_type,
        kind::STOP
            | kind::ROTATE
            | kind::FORMAT_DESCRIPTION
            | kind::INCIDENT
            | kind::HEARTBEAT
            | kind::GTID
            | kind::ANONYMOUS_GTID
            | kind::PREVIOUS_GTIDS
            | kind::TRANSACTION_PAYLOAD
            | kind::HEARTBEAT_V2
            | kind::GTID_TAGGED
            | kind::MARIADB_GTID
    )
}

impl Stream {
    /// Takes in the events of the compressed transaction that stands at `start`.
    pub(super) async fn on_payload(&mut self, body: &[u8], start: u64) -> Result<(), Halt> {
        let mut payload = Payload::open(body, self.reader.limits.row_bytes).map_err(|refusal| self.refuse(refusal))?;
        self.open_transaction(start);
        while let Some(event) = payload.next().map_err(|refusal| self.refuse(refusal))? {
            if self.place.open.is_none() {
                return Err(self.refuse(Fault::Invalid("an event behind the end of the transaction").into()));
            }
            self.dispatch(&event, Site { start, inner: true }).await?;
            // one of these can take minutes: what the stream does between two events is done here, too
            if self.reader.stop.is_cancelled() {
                return Err(Halt::Stop);
            }
            self.reader.status.source.hear();
            self.flush_if_due().await?;
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    pub(super) fn refuse(&self, refusal: Refusal) -> Halt {
        match refusal {
            Refusal::Garbled(fault) => self
                .fault("a compressed transaction that cannot be read")
                .remedy("Check the server's binlog with mysqlbinlog --verify-binlog-checksum.")
                .caused_by(fault),
            Refusal::Large { bytes } => self
                .fault(format_args!("a compressed transaction with an event of {bytes} bytes, which is more than limits.row_bytes allows"))
                .remedy(format!("Raise limits.row_bytes to {bytes} or more.")),
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROW_BYTES: usize = 1 << 16;

    fn event(event_type: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 0, 0, 0, event_type, 7, 0, 0, 0];
        bytes.extend(((HEADER + body.len()) as u32).to_le_bytes());
        bytes.extend([0; 6]);
        bytes.extend(body);
        bytes
    }

    /// A length-encoded number, in the longest form.
    fn number(value: u64) -> Vec<u8> {
        let mut bytes = vec![0xfe];
        bytes.extend(value.to_le_bytes());
        bytes
    }

    fn field(field: u8, value: u64) -> Vec<u8> {
        let value = number(value);
        [&[field, value.len() as u8][..], &value].concat()
    }

    fn packed(compression: u64, size: u64, packed: &[u8]) -> Vec<u8> {
        [&field(2, compression)[..], &field(3, size), &field(1, packed.len() as u64), &[0], packed].concat()
    }

    fn zstd(events: &[u8]) -> Vec<u8> {
        packed(ZSTD, events.len() as u64, &zstd::encode_all(events, 3).unwrap())
    }

    /// The events as they went in.
    fn read(body: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut payload = Payload::open(body, ROW_BYTES)?;
        let mut events = Vec::new();
        while let Some(read) = payload.next()? {
            let header = read.header();
            assert_eq!(header.event_size() as usize, HEADER + read.data().len());
            events.push(event(header.event_type_raw(), read.data()));
        }
        Ok(events)
    }

    fn why(body: &[u8]) -> String {
        match read(body).unwrap_err() {
            Refusal::Garbled(fault) => fault.to_string(),
            Refusal::Large { bytes } => format!("an event of {bytes} bytes"),
        }
    }

    #[test]
    fn packed_and_plain_events_come_out_whatever_the_order_of_the_fields() {
        let events = [event(kind::QUERY, b"BEGIN"), event(kind::WRITE_ROWS, &[]), event(kind::XID, &[9; 8])];
        let all = events.concat();
        assert_eq!(read(&zstd(&all)).unwrap(), events);
        assert_eq!(read(&packed(NONE, all.len() as u64, &all)).unwrap(), events);
        let bytes = zstd::encode_all(&all[..], 19).unwrap();
        let mut fields = [field(1, bytes.len() as u64), field(2, ZSTD), field(3, all.len() as u64), field(77, 5)];
        for _ in 0..fields.len() {
            fields.rotate_left(1);
            assert_eq!(read(&[&fields.concat()[..], &[0], &bytes].concat()).unwrap(), events, "{fields:?}");
        }
        // without compression the size need not be said
        assert_eq!(read(&[&field(1, all.len() as u64)[..], &field(2, NONE), &[0], &all].concat()).unwrap(), events);
        assert_eq!(read(&zstd(&[])).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_head_that_does_not_fit_is_refused() {
        let events = event(kind::XID, &[9; 8]);
        let bytes = zstd::encode_all(&events[..], 3).unwrap();
        let (size, held) = (field(3, events.len() as u64), field(1, bytes.len() as u64));
        let with = |fields: &[&[u8]]| [&fields.concat()[..], &[0], &bytes].concat();
        assert_eq!(why(&with(&[&size, &held])), "an unknown compression");
        // the library panicked at it
        assert_eq!(why(&with(&[&field(2, 7), &size, &held])), "an unknown compression");
        assert_eq!(why(&with(&[&field(2, ZSTD), &held])), "no size");
        assert_eq!(why(&with(&[&field(2, ZSTD), &size])), "the data ends too early");
        assert_eq!(why(&with(&[&field(2, ZSTD), &size, &field(1, bytes.len() as u64 + 1)])), "the data ends too early");
        assert_eq!(why(&with(&[&field(2, ZSTD), &size, &field(1, bytes.len() as u64 - 1)])), "more bytes than it says");
        for short in [&[][..], &[0], &[2, 1], &[2, 9, 0]] {
            assert_eq!(why(short), "the data ends too early", "{short:?}");
        }
    }

    #[test]
    fn a_size_that_is_not_true_is_refused_either_way() {
        let all = [event(kind::QUERY, b"BEGIN"), event(kind::XID, &[9; 8])].concat();
        let bytes = zstd::encode_all(&all[..], 3).unwrap();
        let size = all.len() as u64;
        assert_eq!(why(&packed(ZSTD, size - 27, &bytes)), "more bytes than it says");
        assert_eq!(why(&packed(ZSTD, size - 1, &bytes)), "an event that is longer than the whole");
        assert_eq!(why(&packed(ZSTD, size + 1, &bytes)), "an event that is longer than the whole");
        assert_eq!(why(&packed(ZSTD, size + 19, &bytes)), "fewer bytes than it says");
        // nothing is allocated for it
        assert_eq!(why(&packed(ZSTD, u64::MAX, &bytes)), "fewer bytes than it says");
        assert_eq!(why(&packed(NONE, size + 19, &all)), "fewer bytes than it says");
        assert_eq!(why(&packed(NONE, 24, &all)), "more bytes than it says");
    }

    #[test]
    fn bytes_that_are_cut_or_garbled_are_refused() {
        let all = [event(kind::QUERY, b"BEGIN"), event(kind::XID, &[9; 8])].concat();
        let bytes = zstd::encode_all(&all[..], 3).unwrap();
        for end in 0..bytes.len() {
            assert!(read(&packed(ZSTD, all.len() as u64, &bytes[..end])).is_err(), "{end}");
        }
        assert_eq!(why(&packed(ZSTD, all.len() as u64, b"not a zstd stream at all")), "bytes that cannot be unpacked");
        assert_eq!(why(&packed(ZSTD, all.len() as u64, &[&bytes[..], b"behind"].concat())), "bytes that cannot be unpacked");
        // a second frame goes on where the first ends
        let two = [zstd::encode_all(&all[..30], 3).unwrap(), zstd::encode_all(&all[30..], 3).unwrap()].concat();
        assert_eq!(read(&packed(ZSTD, all.len() as u64, &two)).unwrap().concat(), all);
    }

    #[test]
    fn an_event_is_no_larger_than_two_images_and_none_is_allocated_before_it_has_come() {
        let limit = 2 * ROW_BYTES + EVENT_HEAD_BYTES;
        let largest = event(kind::WRITE_ROWS, &vec![0; limit - HEADER]);
        assert_eq!(read(&zstd(&largest)).unwrap(), [largest]);
        assert_eq!(why(&zstd(&event(kind::WRITE_ROWS, &vec![0; limit + 1 - HEADER]))), format!("an event of {} bytes", limit + 1));
        // its header alone
        let mut lying = event(kind::WRITE_ROWS, &[]);
        lying[9..13].copy_from_slice(&(limit as u32).to_le_bytes());
        let body = packed(ZSTD, limit as u64, &zstd::encode_all(&lying[..], 3).unwrap());
        let mut payload = Payload::open(&body, ROW_BYTES).unwrap();
        assert_eq!(payload.next().unwrap_err(), Refusal::Garbled(Fault::Invalid("fewer bytes than it says")));
        assert!(payload.bytes.capacity() < 2 * FIRST_BYTES, "{}", payload.bytes.capacity());
        for size in [0_u32, 18] {
            lying[9..13].copy_from_slice(&size.to_le_bytes());
            assert_eq!(why(&zstd(&lying)), "an event that is shorter than its header");
        }
    }

    #[test]
    fn events_that_stand_alone_are_refused_inside() {
        let nested = event(kind::TRANSACTION_PAYLOAD, &zstd(&event(kind::XID, &[9; 8])));
        assert_eq!(why(&zstd(&nested)), "an event of a type that stands outside of compressed transactions only");
        // the library cannot take the checksum's algorithm from so short a one
        for event_type in [kind::FORMAT_DESCRIPTION, kind::GTID, kind::ROTATE, kind::HEARTBEAT] {
            assert_eq!(why(&zstd(&event(event_type, &[]))), "an event of a type that stands outside of compressed transactions only");
        }
    }

    proptest! {
        #[test]
        fn any_events_come_out_as_they_went_in_however_they_were_packed(
            bodies in prop::collection::vec((prop::sample::select(&[kind::QUERY, kind::XID, kind::TABLE_MAP, kind::WRITE_ROWS, 29][..]), prop::collection::vec(any::<u8>(), 0..3000)), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            level in 1..4_i32,
        ) {
            let events: Vec<Vec<u8>> = bodies.iter().map(|(event_type, body)| event(*event_type, body)).collect();
            let all = events.concat();
            // the stream flushed at any place, in the middle of events too
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(all.len() + 1)).collect();
            cuts.sort_unstable();
            let mut encoder = zstd::Encoder::new(Vec::new(), level).unwrap();
            let mut from = 0;
            for cut in cuts {
                io::Write::write_all(&mut encoder, &all[from..cut]).unwrap();
                io::Write::flush(&mut encoder).unwrap();
                from = cut;
            }
            io::Write::write_all(&mut encoder, &all[from..]).unwrap();
            let bytes = encoder.finish().unwrap();
            prop_assert_eq!(read(&packed(ZSTD, all.len() as u64, &bytes)).unwrap(), events);
            if all.len() > 1 {
                prop_assert!(read(&packed(ZSTD, all.len() as u64 - 1, &bytes)).is_err());
            }
            prop_assert!(read(&packed(ZSTD, all.len() as u64 + 1, &bytes)).is_err());
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>, plain: bool, size in 0..200_u64) {
            let _ = read(&bytes);
            let _ = read(&packed(if plain { NONE } else { ZSTD }, size, &bytes));
            let _ = read(&zstd(&bytes));
        }
    }
}
