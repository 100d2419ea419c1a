//! Binlog events: kinds, checksums, and the bodies that the stream needs, parsed from raw bytes.
//!
//! MySQL: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html>. MariaDB:
//! <https://mariadb.com/docs/server/reference/clientserver-protocol/replication-protocol>.

use std::{borrow::Cow, io::Read};

use flate2::read::ZlibDecoder;
use mysql_async::binlog::{
    BinlogChecksumAlg,
    events::{Event, GtidEvent},
};

use super::{
    cursor::{Cursor, Fault},
    gtid::{Gtid, is_number},
    position::LONGEST_FILE,
    presence::Presence,
};
use sluicegate_model::change::Image;

/// Event types, as numbered in the header.
#[allow(missing_docs, reason = "the names are the protocol's")]
pub mod kind {
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const LOAD: u8 = 6;
    pub const CREATE_FILE: u8 = 8;
    pub const EXEC_LOAD: u8 = 10;
    pub const NEW_LOAD: u8 = 12;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const EXECUTE_LOAD_QUERY: u8 = 18;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const XA_PREPARE: u8 = 38;
    pub const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const HEARTBEAT_V2: u8 = 41;
    pub const GTID_TAGGED: u8 = 42;
    pub const MARIADB_GTID: u8 = 162;
    pub const MARIADB_QUERY_COMPRESSED: u8 = 165;
    pub const MARIADB_WRITE_ROWS_V1: u8 = 166;
    pub const MARIADB_UPDATE_ROWS_V1: u8 = 167;
    pub const MARIADB_DELETE_ROWS_V1: u8 = 168;
    pub const MARIADB_WRITE_ROWS: u8 = 169;
    pub const MARIADB_UPDATE_ROWS: u8 = 170;
    pub const MARIADB_DELETE_ROWS: u8 = 171;
}

/// Made up by the server for this connection, not in the log (`LOG_EVENT_ARTIFICIAL_F`).
pub const ARTIFICIAL: u16 = 0x20;
/// A reader that does not know the event may pass over it (`LOG_EVENT_IGNORABLE_F`).
pub const IGNORABLE: u16 = 0x80;

/// Whether the event's checksum is right, or there is none.
pub fn checksum_holds(event: &Event) -> bool {
    let footer = event.footer();
    if !footer.get_checksum_enabled() || !matches!(footer.get_checksum_alg(), Ok(Some(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32))) {
        return true;
    }
    event.checksum().is_none_or(|sum| u32::from_le_bytes(sum) == event.calc_checksum(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32))
}

/// A rotate event: the file that follows and the position in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// File name.
    pub file: String,
    /// Position of its first event.
    pub position: u64,
}

/// Reads a rotate event. Servers differ in whether one that they make up carries a checksum, and the library cannot know:
/// it cuts four bytes off, or leaves four on. A right checksum settles it.
pub fn rotate(event: &Event) -> Result<Rotate, Fault> {
    let header = event.header();
    let mut body = event.data().to_vec();
    if header.flags_raw() & ARTIFICIAL != 0 || header.log_pos() == 0 {
        let cut = header.event_size() as usize - body.len().min(header.event_size() as usize);
        if cut >= 23 {
            body.extend_from_slice(&event.checksum().unwrap_or_default());
        }
        if let Some((data, sum)) = body.split_last_chunk::<4>() {
            let mut hasher = crc32fast::Hasher::new();
            hasher.update(&header.timestamp().to_le_bytes());
            hasher.update(&[header.event_type_raw()]);
            hasher.update(&header.server_id().to_le_bytes());
            hasher.update(&header.event_size().to_le_bytes());
            hasher.update(&header.log_pos().to_le_bytes());
            hasher.update(&header.flags_raw().to_le_bytes());
            hasher.update(data);
            if hasher.finalize() == u32::from_le_bytes(*sum) {
                body.truncate(data.len());
            }
        }
    }
    let mut cursor = Cursor(&body);
    let position = cursor.u64()?;
    if position > LONGEST_FILE {
        return Err(Fault::Invalid("a position that no file reaches"));
    }
    let file = std::str::from_utf8(cursor.0).map_err(|_| Fault::Invalid("a file name that is not UTF-8"))?.to_owned();
    Ok(Rotate { file, position })
}

/// MariaDB's compressed part of an event: one byte `0x80 | algorithm << 4 | length bytes`, the unpacked length big-endian,
/// a zlib stream.
pub fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    let mut cursor = Cursor(packed);
    let head = cursor.u8()?;
    if head & 0xf0 != 0x80 || head & 7 > 4 {
        return Err(Fault::Invalid("an unknown compression"));
    }
    let length = cursor.uint_be(usize::from(head & 7))? as usize;
    if length > limit {
        return Err(Fault::Invalid("a compressed event that unpacks to more than the limit"));
    }
    // the declared length is not trusted with an allocation: a stream of n bytes unpacks to at most about 1032 n
    let mut data = Vec::with_capacity(length.min(cursor.len().saturating_mul(1040)));
    ZlibDecoder::new(cursor.0)
        .take(length as u64 + 1)
        .read_to_end(&mut data)
        .map_err(|_| Fault::Invalid("a compressed event that cannot be unpacked"))?;
    if data.len() == length { Ok(data) } else { Err(Fault::Invalid("a compressed event of another length than it says")) }
}

/// MariaDB's GTID event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MariaDbGtid {
    /// Number within the domain.
    pub sequence: u64,
    /// Replication domain.
    pub domain: u32,
    /// A single statement follows, with no commit behind it.
    pub standalone: bool,
    /// An XA transaction follows that is only prepared.
    pub prepares: bool,
    /// An `ALTER TABLE` follows that has only begun, or was taken back (`binlog_alter_two_phase`).
    pub half_alter: bool,
}

impl MariaDbGtid {
    /// The GTID of a transaction of this server.
    pub fn gtid(&self, server: u32) -> Gtid {
        Gtid::MariaDb { domain: self.domain, server, sequence: self.sequence }
    }
}

/// Reads MariaDB's GTID event.
pub fn mariadb_gtid(body: &[u8]) -> Result<MariaDbGtid, Fault> {
    let mut cursor = Cursor(body);
    let (sequence, domain, flags) = (cursor.u64()?, cursor.u32()?, cursor.u8()?);
    // servers before 10.8 have zeros there
    let half_alter = further_flags(cursor, flags).is_ok_and(|further| further & (START_ALTER | ROLLBACK_ALTER) != 0);
    Ok(MariaDbGtid { sequence, domain, standalone: flags & 1 != 0, prepares: flags & 0x40 != 0, half_alter })
}

const START_ALTER: u8 = 2;
const ROLLBACK_ALTER: u8 = 8;

/// What stands behind the number of a group commit, and the name of an XA transaction.
fn further_flags(mut cursor: Cursor<'_>, flags: u8) -> Result<u8, Fault> {
    if flags & 2 != 0 {
        cursor.u64()?;
    }
    if flags & 0xc0 != 0 {
        cursor.take(4)?;
        let (global, branch) = (cursor.u8()?, cursor.u8()?);
        cursor.take(usize::from(global) + usize::from(branch))?;
    }
    cursor.u8()
}

/// MySQL's GTID event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MySqlGtid {
    /// The GTID.
    pub gtid: Gtid,
    /// When the transaction was committed at its origin, microseconds since 1970 UTC; from MySQL 8.0 on.
    pub time_us: Option<i64>,
    /// The transaction holds row events only: the server has cut out of it what was taken back. From MySQL 5.7.19 on.
    pub rows_only: bool,
}

/// Reads MySQL's GTID event.
pub fn mysql_gtid(event: &Event) -> Result<MySqlGtid, Fault> {
    let parsed: GtidEvent = event.read_event().map_err(|_| Fault::Invalid("a GTID event that cannot be read"))?;
    if !is_number(parsed.gno()) {
        return Err(Fault::Invalid("a GTID with an impossible number"));
    }
    let gtid = Gtid::MySql { uuid: parsed.sid(), tag: parsed.tag().map(|t| t.to_string().into()), number: parsed.gno() };
    Ok(MySqlGtid { gtid, time_us: commit_time(&parsed), rows_only: rows_only(&parsed) })
}

/// When an anonymous transaction was committed at its origin, and whether it holds row events only.
pub fn anonymous_gtid(event: &Event) -> (Option<i64>, bool) {
    let parsed = event.read_event::<mysql_async::binlog::events::AnonymousGtidEvent>();
    parsed.map_or((None, false), |parsed| (commit_time(&parsed.0), rows_only(&parsed.0)))
}

/// The flag that some of a transaction may be logged as statements is clear. Older servers always set it.
fn rows_only(event: &GtidEvent) -> bool {
    event.flags_raw() & 1 == 0
}

fn commit_time(event: &GtidEvent) -> Option<i64> {
    [event.original_commit_timestamp(), event.immediate_commit_timestamp()].into_iter().find(|t| *t > 0).and_then(|t| i64::try_from(t).ok())
}

/// What a rows event does to its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsKind {
    /// After images.
    Write,
    /// Pairs of before and after images.
    Update,
    /// Before images.
    Delete,
}

impl RowsKind {
    /// The images of each row, in their order.
    pub fn images(self) -> &'static [Image] {
        match self {
            Self::Write => &[Image::After],
            Self::Update => &[Image::Before, Image::After],
            Self::Delete => &[Image::Before],
        }
    }
}

/// A rows event.
#[derive(Clone, Debug)]
pub struct Rows<'a> {
    /// What happened.
    pub kind: RowsKind,
    /// Columns of the table.
    pub columns: usize,
    /// Which columns the images hold; `None` = all of them.
    pub partial: Option<Presence>,
    /// The row images, one after the other.
    pub data: Cow<'a, [u8]>,
}

/// Whether an event type is a rows event: what it does, whether its head has the second version's extra data, and whether
/// its rows are compressed.
pub fn rows_kind(event_type: u8) -> Option<(RowsKind, bool, bool)> {
    Some(match event_type {
        kind::WRITE_ROWS_V1 => (RowsKind::Write, false, false),
        kind::UPDATE_ROWS_V1 => (RowsKind::Update, false, false),
        kind::DELETE_ROWS_V1 => (RowsKind::Delete, false, false),
        kind::WRITE_ROWS => (RowsKind::Write, true, false),
        kind::UPDATE_ROWS => (RowsKind::Update, true, false),
        kind::DELETE_ROWS => (RowsKind::Delete, true, false),
        kind::MARIADB_WRITE_ROWS_V1 => (RowsKind::Write, false, true),
        kind::MARIADB_UPDATE_ROWS_V1 => (RowsKind::Update, false, true),
        kind::MARIADB_DELETE_ROWS_V1 => (RowsKind::Delete, false, true),
        kind::MARIADB_WRITE_ROWS => (RowsKind::Write, true, true),
        kind::MARIADB_UPDATE_ROWS => (RowsKind::Update, true, true),
        kind::MARIADB_DELETE_ROWS => (RowsKind::Delete, true, true),
        _ => return None,
    })
}

/// The table id of a rows event, without reading further.
pub fn table_id(body: &[u8]) -> Result<u64, Fault> {
    Cursor(body).uint(6)
}

/// Reads a rows event's head; compressed rows are unpacked up to `limit` bytes.
pub fn rows(event_type: u8, body: &[u8], limit: usize) -> Result<Rows<'_>, Fault> {
    let (kind, second_version, compressed) = rows_kind(event_type).ok_or(Fault::Invalid("not a rows event"))?;
    let mut cursor = Cursor(body);
    cursor.take(8)?;
    if second_version {
        // the length counts itself
        let extra = usize::from(cursor.u16()?).checked_sub(2).ok_or(Fault::Truncated)?;
        cursor.take(extra)?;
    }
    let columns = cursor.lenenc()? as usize;
    let bitmap = columns.div_ceil(8);
    let first = cursor.take(bitmap)?;
    let second = if kind == RowsKind::Update { cursor.take(bitmap)? } else { first };
    let partial = Presence::unless_full(kind, first, second, columns);
    let data = if compressed { Cow::Owned(unpack(cursor.0, limit)?) } else { Cow::Borrowed(cursor.0) };
    Ok(Rows { kind, columns, partial, data })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use mysql_async::binlog::{
        BinlogVersion,
        events::{BinlogEventFooter, FormatDescriptionEvent},
    };
    use proptest::prelude::*;

    use super::*;

    fn pack(data: &[u8]) -> Vec<u8> {
        let mut packed = vec![0x84];
        packed.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let mut encoder = flate2::write::ZlibEncoder::new(packed, flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_declared_length_beyond_the_limit_is_refused_before_unpacking() {
        assert!(matches!(unpack(&[0x84, 0xff, 0xff, 0xff, 0xff], 1 << 20), Err(Fault::Invalid(_))));
        let mut lying = pack(b"abc");
        lying[4] = 2;
        assert!(unpack(&lying, 1 << 20).is_err());
    }

    #[test]
    fn a_row_image_that_lacks_columns_is_noticed() {
        // version 1, 3 columns, only two present
        let body = [1, 0, 0, 0, 0, 0, 0, 0, 3, 0b011, 9];
        assert!(rows(kind::WRITE_ROWS_V1, &body, 0).unwrap().partial.is_some());
        let body = [1, 0, 0, 0, 0, 0, 0, 0, 3, 0b1111_1111, 9];
        assert!(rows(kind::WRITE_ROWS_V1, &body, 0).unwrap().partial.is_none());
    }

    /// An XID event as it comes over the wire, checksum included.
    fn logged() -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&1_700_000_000_u32.to_le_bytes());
        bytes.push(kind::XID);
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&31_u32.to_le_bytes());
        bytes.extend_from_slice(&500_u32.to_le_bytes());
        bytes.extend_from_slice(&0_u16.to_le_bytes());
        bytes.extend_from_slice(&77_u64.to_le_bytes());
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Event {
        let footer = BinlogEventFooter::new(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32);
        Event::read(&FormatDescriptionEvent::new(BinlogVersion::Version4).with_footer(footer), bytes).unwrap()
    }

    #[test]
    fn one_flipped_bit_breaks_the_checksum() {
        let bytes = logged();
        assert!(checksum_holds(&read(&bytes)));
        for at in (0..bytes.len()).filter(|at| !(9..13).contains(at)) {
            for bit in 0..8 {
                let mut garbled = bytes.clone();
                garbled[at] ^= 1 << bit;
                // the flag "file in use" is not part of the sum
                if at != 17 || bit != 0 {
                    assert!(!checksum_holds(&read(&garbled)), "byte {at}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn the_file_of_a_rotate_event_is_found_with_and_without_a_checksum() {
        for (with_sum, library_expects_one) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut bytes = vec![0, 0, 0, 0, kind::ROTATE, 1, 0, 0, 0];
            let size = 19 + 8 + 13 + if with_sum { 4 } else { 0 };
            bytes.extend_from_slice(&(size as u32).to_le_bytes());
            bytes.extend_from_slice(&[0, 0, 0, 0, 0x20, 0]);
            bytes.extend_from_slice(&4_u64.to_le_bytes());
            bytes.extend_from_slice(b"binlog.000007");
            if with_sum {
                let sum = crc32fast::hash(&bytes);
                bytes.extend_from_slice(&sum.to_le_bytes());
            }
            let event = if library_expects_one {
                read(&bytes)
            } else {
                Event::read(&FormatDescriptionEvent::new(BinlogVersion::Version4), &bytes[..]).unwrap()
            };
            let expected = Rotate { file: "binlog.000007".into(), position: 4 };
            assert_eq!(rotate(&event), Ok(expected), "{with_sum} {library_expects_one}");
        }
    }

    #[test]
    fn a_gtid_with_an_impossible_number_is_refused() {
        for (number, possible) in [(0, false), (1, true), (i64::MAX as u64 - 1, true), (i64::MAX as u64, false), (u64::MAX, false)] {
            let mut bytes = logged();
            bytes.truncate(19);
            bytes[4] = kind::GTID;
            bytes.push(1);
            bytes.extend_from_slice(&[7; 16]);
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&[0; 4]);
            let size = (bytes.len() as u32).to_le_bytes();
            bytes[9..13].copy_from_slice(&size);
            assert_eq!(mysql_gtid(&read(&bytes)).is_ok(), possible, "{number}");
        }
    }

    proptest! {
        #[test]
        fn packed_data_survives(data: Vec<u8>) {
            let packed = pack(&data);
            prop_assert_eq!(unpack(&packed, 1 << 20).unwrap(), data);
            for cut in 0..packed.len() {
                prop_assert!(unpack(&packed[..cut], 1 << 20).is_err());
            }
        }

        #[test]
        fn any_bytes_end_in_an_event_or_an_error(bytes: Vec<u8>, event_type: u8) {
            let _ = rows(event_type, &bytes, 1 << 16);
            let _ = mariadb_gtid(&bytes);
            let _ = unpack(&bytes, 1 << 16);
        }
    }
}
