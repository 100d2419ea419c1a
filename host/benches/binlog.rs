//! The whole program on the real binlog of a real MariaDB: rows per CPU-second and peak memory, beside reading the same
//! events and throwing them away (the limit).
//!
//! Cost model: reading an event off the socket, with its checksum, costs about 1 ns a byte (the limit below); decoding a row
//! of 8 columns into columns about 180 ns; plugins and records as in boundary.rs and format.rs. The server's CPU time is not
//! counted: it is another process.
//!
//! Starts a server of its own (tests/servers/mariadb.sh installs it) and fills it with orders, 1,000 rows a transaction. Run
//! with `cargo bench --bench binlog [-- ROWS]`.

mod orders;
mod process;

use std::{path::Path, time::Duration};

use futures_util::StreamExt as _;
use mysql_async::{BinlogStreamRequest, Conn, OptsBuilder, prelude::Queryable as _};
use sluicegate_config as config;
use sluicegate_harness::mariadb;
use sluicegate_pipeline as pipeline;
use tokio_util::sync::CancellationToken;

use process::Variant;

/// Without a format, the events are only read.
const VARIANTS: [Variant; 6] = process::variants("events, thrown away", "");

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [run, index, rows, folder, cache, port, user, password] = args.as_slice()
        && run == "--run"
    {
        let server = (port.parse().unwrap(), user.as_str(), password.as_str());
        return measured(VARIANTS[index.parse::<usize>().unwrap()], rows.parse().unwrap(), [folder, cache].map(Path::new), server);
    }
    let rows: u64 = args.first().map_or(2_000_000, |a| a.parse().unwrap());
    let server = mariadb::start(&[]);
    orders::fill(&server, "orders", rows, 1000);
    println!("{rows} inserted orders in the binlog, 1,000 a transaction; CPU of the whole program, without the server;");
    let port = server.port().to_string();
    process::compare(&VARIANTS, rows, &[&port, server.user(), server.password()]);
}

/// Runs one variant and prints CPU seconds, peak megabytes, megabytes written.
fn measured(variant: Variant, rows: u64, [folder, cache]: [&Path; 2], server: (u16, &str, &str)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (port, user, password) = server;
    let Variant { plugins, written: format, .. } = variant;
    if format.is_empty() {
        runtime.block_on(events(rows, server));
    } else {
        let text = format!(
            "name: bench\nsource: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['shop.*'], start: earliest }}\n{plugins}\nstate: {0}/state.db\ncache: {1}\nsinks:\n  - {{ type: file, folder: {0}/out, format: {format} }}\n",
            folder.display(),
            cache.display()
        );
        let pipeline = config::load_str(&text, folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        let stop = CancellationToken::new();
        let (seen, all) = (status.clone(), stop.clone());
        runtime.spawn(async move {
            while seen.source.changes.get() < rows {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            all.cancel();
        });
        runtime.block_on(pipeline::run(pipeline, status, stop)).unwrap();
    }
    process::tell(folder);
}

/// Reads the events up to the last transaction, and looks at none.
async fn events(rows: u64, (port, user, password): (u16, &str, &str)) {
    let options = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).user(Some(user)).pass(Some(password));
    let mut conn = Conn::new(options).await.unwrap();
    conn.query_drop("SET @mariadb_slave_capability = 4").await.unwrap();
    let first: mysql_async::Row = conn.query_first("SHOW BINARY LOGS").await.unwrap().unwrap();
    let file: String = first.get(0).unwrap();
    let request = BinlogStreamRequest::new(77).with_filename(file.as_bytes()).with_pos(4);
    let mut stream = conn.get_binlog_stream(request).await.unwrap();
    let mut transactions = 0;
    while transactions < rows.div_ceil(1000) {
        let event = stream.next().await.unwrap().unwrap();
        // XID_EVENT: a transaction's end
        transactions += u64::from(event.header().event_type_raw() == 16);
    }
}
