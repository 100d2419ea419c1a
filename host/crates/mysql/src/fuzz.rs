//! Entrances for the fuzz targets in `host/fuzz`: whatever the bytes, an answer or an error, never a panic.

use std::sync::{Arc, LazyLock};

use futures_util::FutureExt;
use mysql_async::binlog::{
    BinlogChecksumAlg, BinlogVersion,
    events::{BinlogEventFooter, Event, FormatDescriptionEvent},
};
use tokio::{runtime::Runtime, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    captured::Captured,
    capturing::Capturing,
    catalogue::Catalogue,
    charset::Collations,
    connection::{Connector, Server},
    cursor::{Cursor, Fault},
    decoder, event,
    gtid::GtidSet,
    internal::Internals,
    json, partial_json,
    place::Place,
    plan,
    position::{BinlogPosition, Flavour, LONGEST_FILE, Skip},
    query::Watch,
    schema::CatalogueColumn,
    schemas::{InMemory, Surroundings},
    statement::{self, Syntax},
    stream::{Reader, Stream},
    table_map::{self, ColumnMap},
};
use sluicegate_config::{Address, Heartbeat, MySqlSource, Rate, RowImage, Secret, Snapshot, StartAt, TablePatterns, TlsMode, Unlogged};
use sluicegate_model::{
    change::{Column, Item, LanePlace as _, Offset, TableName},
    limits::Limits,
};
use sluicegate_source::Pace;
use sluicegate_status::Status;

fn collations() -> Collations {
    Collations::new([(8, "latin1".to_owned()), (11, "ascii".to_owned()), (28, "gbk".to_owned()), (45, "utf8mb4".to_owned())])
}

/// A table map, and rows of the table that it describes: the first two bytes are the table map's length.
pub fn row(data: &[u8]) {
    let mut cursor = Cursor(data);
    let Ok(length) = cursor.u16() else { return };
    let Ok(body) = cursor.take(usize::from(length)) else { return };
    let _ = table_map::head(body);
    let _ = event::rows(event::kind::WRITE_ROWS, cursor.0, 1 << 20);
    let Ok(map) = table_map::parse(body, Flavour::MariaDb) else { return };
    let collations = collations();
    let name = TableName::new("d", "t");
    let Ok(Some(descriptions)) = plan::describe(&name, &map, &collations) else { return };
    let Ok(plan) = plan::build(name, &map, &descriptions, Internals::default(), 1 << 16) else { return };
    let _ = partial_json::expand(&plan.decoders, cursor.0, 1 << 16);
    read_all(&plan, &mut cursor);
}

/// A binary JSON document.
pub fn json(data: &[u8]) {
    let mut out = Vec::new();
    if json::write(data, &mut out).is_ok() {
        assert!(std::str::from_utf8(&out).is_ok());
    }
}

/// GTID sets and statements.
pub fn gtid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for flavour in [Flavour::MySql, Flavour::MariaDb] {
        let _ = statement::classify("d", text, Syntax::of(flavour));
    }
    let _ = GtidSet::parse_mariadb(text);
    if let Ok(set) = GtidSet::parse_mysql(text) {
        assert!(GtidSet::parse_mysql(&set.to_string()).is_ok_and(|again| again == set));
    }
}

/// A position as the checkpoint holds it.
pub fn position(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(position) = BinlogPosition::parse(text) else { return };
    assert!(BinlogPosition::parse(&position.to_json()).is_ok_and(|again| again == position));
    // whatever it names, it has everything of itself, or cannot be compared at all
    if let Ok(covers) = position.covers(&position) {
        assert!(covers, "a place that lacks something of itself");
        assert!(position.meet(&position).is_ok_and(|met| met == position));
    }
    assert_eq!(Place::new(&position).resume(), position);
    if let Some(set @ GtidSet::MySql(_)) = position.resumable_gtids() {
        assert!(set.sids().is_ok(), "a set that the server cannot be asked for");
    }
}

/// A column as the server's catalogue describes it (five texts with a zero byte behind each), how it was logged (three bytes),
/// and rows.
pub fn catalogue(data: &[u8]) {
    let mut parts = data.splitn(6, |byte| *byte == 0);
    let mut text = || parts.next().and_then(|part| std::str::from_utf8(part).ok()).map(str::to_owned);
    let (Some(name), Some(data_type), Some(column_type), Some(charset), Some(key)) = (text(), text(), text(), text(), text()) else {
        return;
    };
    let mut rows = Cursor(parts.next().unwrap_or_default());
    let (Ok(kind), Ok(meta)) = (rows.u8(), rows.u16()) else { return };
    let charset = Some(charset).filter(|name| !name.is_empty());
    let column = CatalogueColumn { name, data_type, column_type, charset, key, nullable: None, bytes: None };
    let logged = ColumnMap { kind, meta, nullable: true };
    if !column.agrees(&logged) {
        return;
    }
    let map = table_map::TableMap { columns: vec![logged], metadata: table_map::Metadata::default() };
    let Ok(plan) = plan::build(TableName::new("d", "t"), &map, &[column.describe()], Internals::default(), 1 << 16) else { return };
    read_all(&plan, &mut rows);
}

fn read_all(plan: &plan::Plan, rows: &mut Cursor<'_>) {
    let mut columns: Vec<Column> = plan.table.columns.iter().map(|c| Column::new(c.data_type)).collect();
    while !plan.decoders.is_empty() && !rows.is_empty() && decoder::image(&plan.decoders, rows, &mut columns).is_ok() {}
}

/// Events through the whole stream, but for its connection: one byte of flags, where the stream stands (8 bytes), and events as
/// they come over the wire, each behind its length (2 bytes). Size and checksum in an event need not be right.
pub fn stream(data: &[u8]) {
    static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_all().build().ok());
    let mut cursor = Cursor(data);
    let (Some(runtime), Ok(flags), Ok(place)) = (&*RUNTIME, cursor.u8(), cursor.u64()) else { return };
    let (out, mut items) = mpsc::channel(1000);
    let mut stream = new_stream(flags, place, out);
    let algorithm = if flags & 4 == 0 { BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_OFF } else { BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_CRC32 };
    let description = FormatDescriptionEvent::new(BinlogVersion::Version4).with_footer(BinlogEventFooter::new(algorithm));
    runtime.block_on(async {
        while let Ok(event) = next_event(&mut cursor, &description) {
            // a stream that waits asks a server
            let Some(Ok(())) = stream.take_event(&event).now_or_never() else { break };
        }
        // what was read before an error goes on, whatever the error
        let held = stream.send().now_or_never();
        assert!(!matches!(held, Some(Err(_))), "what is held cannot be sent");
        let mut number = 0;
        while let Ok(item) = items.try_recv() {
            check_offset(item.offset());
            if let Item::Rows(batch) = item {
                assert_eq!(batch.validate(), Ok(()));
                assert_eq!(batch.number, number);
                number = batch.next_number();
            }
        }
    });
}

fn check_offset(offset: &Offset) {
    let text = offset.to_json();
    // the last position that a server can name is also the last that can be read; nothing comes behind it
    let at_the_end = text.contains(r#""position":9223372036"#);
    assert!(at_the_end || BinlogPosition::parse(&text).is_ok(), "a position that a restart cannot read");
}

#[allow(clippy::expect_used, reason = "the patterns are written here")]
fn new_stream(flags: u8, position: u64, out: mpsc::Sender<Item>) -> Stream {
    let flavour = if flags & 1 == 0 { Flavour::MySql } else { Flavour::MariaDb };
    let settings = MySqlSource {
        addresses: vec![Address::Tcp { host: "127.0.0.1".into(), port: 9 }],
        user: "fuzz".into(),
        password: Secret::new(""),
        tls: TlsMode::Disabled,
        ca_file: None,
        client: None,
        server_id: None,
        tables: TablePatterns::new(&["d*.*", "!d.x"]).expect("patterns"),
        start: StartAt::Now,
        snapshot: Snapshot::default(),
        heartbeat: Heartbeat { every: std::time::Duration::from_secs(1), statement: None },
        rate: Rate::default(),
        row_image: if flags & 16 == 0 { RowImage::Full } else { RowImage::Partial },
        statements: Unlogged::Stop,
        rows_by_ddl: Unlogged::Warn,
        schema_changes: false,
    };
    let limits = Limits { batch_changes: 7, row_bytes: 4096, known_tables: 2, ..Limits::default() };
    let connector = Connector::new(&settings, limits.connect_timeout);
    let (status, stop) = (Arc::new(Status::default()), CancellationToken::new());
    let catalogue = Catalogue::new(Surroundings {
        connector: connector.clone(),
        captured: Captured::new(settings.tables.clone()),
        elsewhere: Vec::new(),
        store: Arc::new(InMemory::default()),
        status: status.clone(),
        stop: stop.clone(),
        heartbeat: settings.heartbeat.every,
        row_bytes: limits.row_bytes,
        tables: limits.known_tables,
    });
    let skip = (flags & 8 != 0).then_some(Skip { events: 1, rows: 2 });
    // below the half, so that what events add to it stays a position
    let position = position & (LONGEST_FILE / 2);
    let start = BinlogPosition {
        flavour,
        server: None,
        file: "b.1".into(),
        position,
        gtid_set: None,
        open: Vec::new(),
        prepared: Vec::new(),
        skip,
        created: None,
    };
    let reader = Reader {
        connector,
        server_id: 1,
        heartbeat: settings.heartbeat.every,
        row_image: settings.row_image,
        limits,
        status,
        catalogue,
        pace: Pace::new(settings.rate),
        watch: Watch::new(&settings),
        out: out.into(),
        stop,
    };
    let server = Server {
        flavour,
        version: "8".into(),
        identity: None,
        gtids: flags & 2 == 0,
        ignores_case: false,
        lower_case_names: false,
        collations: Arc::new(collations()),
    };
    Stream::new(reader, server, Place::new(&start), Capturing::default())
}

fn next_event(cursor: &mut Cursor<'_>, description: &FormatDescriptionEvent<'static>) -> Result<Event, Fault> {
    let length = usize::from(cursor.u16()?);
    let mut bytes = cursor.take(length)?.to_vec();
    let size = (length as u32).to_le_bytes();
    // shorter ones never come out of the library
    let (head, sum) = bytes.split_last_chunk_mut::<4>().filter(|(head, _)| head.len() >= 19).ok_or(Fault::Truncated)?;
    head[9..13].copy_from_slice(&size);
    if !matches!(description.footer().get_checksum_alg(), Ok(Some(BinlogChecksumAlg::BINLOG_CHECKSUM_ALG_OFF))) {
        *sum = crc32fast::hash(head).to_le_bytes();
    }
    Event::read(description, bytes.as_slice()).map_err(|_| Fault::Invalid("no event"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluicegate_samples::fuzz;

    #[test]
    fn mysql_catalogue_takes_any_bytes() {
        fuzz::run("mysql_catalogue", super::catalogue, 100);
    }

    #[test]
    fn mysql_gtid_takes_any_bytes() {
        fuzz::run("mysql_gtid", super::gtid, 100);
    }

    #[test]
    fn mysql_json_takes_any_bytes() {
        fuzz::run("mysql_json", super::json, 100);
    }

    #[test]
    fn mysql_position_takes_any_bytes() {
        fuzz::run("mysql_position", super::position, 100);
    }

    #[test]
    fn mysql_row_takes_any_bytes() {
        fuzz::run("mysql_row", super::row, 100);
    }

    #[test]
    fn mysql_stream_takes_any_bytes() {
        fuzz::run("mysql_stream", super::stream, 100);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(map in prop::collection::vec(any::<u8>(), 0..60), rows in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut data = (map.len() as u16).to_le_bytes().to_vec();
            data.extend(&map);
            data.extend(&rows);
            super::row(&data);
            super::json(&rows);
            super::gtid(&rows);
        }
    }
}
