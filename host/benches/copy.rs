//! The copy of a real MariaDB's tables by the whole program: rows per CPU-second and peak memory, beside reading the same rows with the
//! client library and throwing them away (the limit).
//!
//! Cost model: reading a row of 8 columns with `mysql_async` costs about 400 ns, most of it allocations of the library for the row and
//! each text in it, and the kernel's part; moving it into columns about 150 ns; records as in format.rs. A chunk costs five statements
//! beside the one that reads it, at 8,192 rows a chunk about 50 ns a row. The server's CPU time is not counted: it is another process.
//!
//! Starts a server of its own (tests/servers/mariadb.sh installs it) and fills two tables with orders. Run with
//! `cargo bench --bench copy [-- ROWS]`.

mod process;

use std::path::Path;

use mysql_async::{Conn, OptsBuilder, prelude::Queryable as _};
use sluicegate_config as config;
use sluicegate_harness::{database::Server, mariadb};
use sluicegate_pipeline as pipeline;
use tokio_util::sync::CancellationToken;

use process::Variant;

/// Rows that the limit reads with one statement, as a chunk does.
const CHUNK: u64 = 8192;
/// The tables that are copied.
const TABLES: [&str; 2] = ["orders", "old_orders"];

/// Without a format, the rows are only read.
const VARIANTS: [Variant; 6] = with_bars(process::variants("rows, thrown away", ""));

/// What a copy has to reach without plugins.
const fn with_bars(mut variants: [Variant; 6]) -> [Variant; 6] {
    variants[1].bar = Some(1e6);
    variants
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [run, index, rows, folder, cache, port, user, password] = args.as_slice()
        && run == "--run"
    {
        let server = (port.parse().unwrap(), user.as_str(), password.as_str());
        return measured(VARIANTS[index.parse::<usize>().unwrap()], rows.parse().unwrap(), [folder, cache].map(Path::new), server);
    }
    let rows: u64 = args.first().map_or(2_000_000, |a| a.parse().unwrap());
    let server = mariadb::start(&["--innodb-buffer-pool-size=512M"]);
    fill(&server, rows);
    println!("{rows} orders in two tables; CPU of the whole program, without the server;");
    let port = server.port().to_string();
    process::compare(&VARIANTS, rows, &[&port, server.user(), server.password()]);
}

fn fill(server: &Server, rows: u64) {
    let mut client = server.client();
    client.sql("SET SESSION sql_log_bin = 0; CREATE DATABASE IF NOT EXISTS shop; USE shop");
    for table in TABLES {
        client.sql(&format!(
            "CREATE TABLE {table} (id BIGINT PRIMARY KEY, customer_id BIGINT NOT NULL, order_no VARCHAR(20) NOT NULL, \
             email VARCHAR(120) NOT NULL, status ENUM('placed','paid','shipped','delivered','cancelled') NOT NULL, \
             amount DECIMAL(12,2) NOT NULL, created_at DATETIME(6) NOT NULL, note VARCHAR(200) NULL) CHARSET utf8mb4; \
             INSERT INTO {table} SELECT n, n % 5000, CONCAT('SO-', LPAD(n, 9, '0')), CONCAT('customer', n % 5000, '@mail.example.org'), \
             1 + n % 5, (n % 100000) / 7, '2024-01-01 10:00:00.123456' + INTERVAL n SECOND, IF(n % 3 = 0, 'leave it at the door', NULL) \
             FROM (SELECT seq AS n FROM seq_1_to_{}) numbers",
            rows / TABLES.len() as u64
        ));
    }
}

/// Runs one variant and prints CPU seconds, peak megabytes, megabytes written.
fn measured(variant: Variant, rows: u64, [folder, cache]: [&Path; 2], server: (u16, &str, &str)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (port, user, password) = server;
    let Variant { plugins, written: format, .. } = variant;
    if format.is_empty() {
        runtime.block_on(read(rows, server));
    } else {
        let text = format!(
            "name: bench\nsource: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['shop.*'], snapshot: only }}\n{plugins}\nstate: {0}/state.db\ncache: {1}\nsinks:\n  - {{ type: file, folder: {0}/out, format: {format} }}\n",
            folder.display(),
            cache.display()
        );
        let pipeline = config::load_str(&text, folder, |_| None).unwrap();
        let status = pipeline::status(&pipeline);
        // it ends by itself once everything has been copied
        runtime.block_on(pipeline::run(pipeline, status, CancellationToken::new())).unwrap();
    }
    process::tell(folder);
}

/// Reads the rows in chunks by their key, and looks at none but the last.
async fn read(rows: u64, (port, user, password): (u16, &str, &str)) {
    let options = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(port).user(Some(user)).pass(Some(password));
    let mut conn = Conn::new(options).await.unwrap();
    let mut all = 0;
    for table in TABLES {
        let mut last = 0_i64;
        loop {
            let statement = format!(
                "SELECT id, customer_id, order_no, email, CAST(status AS UNSIGNED), amount, created_at, note FROM shop.{table} \
                 FORCE INDEX (`PRIMARY`) WHERE id > {last} ORDER BY id LIMIT {CHUNK}"
            );
            let mut result = conn.exec_iter(statement, ()).await.unwrap();
            let mut read = 0;
            while let Some(row) = result.next().await.unwrap() {
                last = row.get(0).unwrap();
                read += 1;
            }
            all += read;
            if read < CHUNK {
                break;
            }
        }
    }
    assert_eq!(all, rows / TABLES.len() as u64 * TABLES.len() as u64);
}
