//! Change Tracking read by the whole program: rows per CPU-second and peak memory, beside reading the same rows with the bare driver and
//! throwing them away (the limit); then what 1,000 tables cost in which nothing changes.
//!
//! Cost model, estimated from its parts and not measured as a whole yet: the driver allocates once for each row and once for each text in
//! it, which should be most of the cost; then its cells (five of Change Tracking, the key, the columns) are moved into columns, and records
//! are written as in format.rs. A visit of a table costs five statements beside the one that reads it. A look at 1,000 tables is one batch
//! of 1,000 parameters and ten answers, and the list of tables is 1,000 rows of the catalogue.
//!
//! The server is the simulator of tests/mssql in a process of its own, whose CPU time is not counted: what Microsoft's server takes for
//! the same is not measured. Run with `cargo bench --bench sqlserver [-- ROWS]`.

mod process;

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use sluicegate_config as config;
use sluicegate_mssql_simulator::Simulator;
use sluicegate_pipeline as pipeline;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio_util::{compat::TokioAsyncWriteCompatExt as _, sync::CancellationToken};

use process::Variant;

/// Tables in which nothing changes.
const QUIET: usize = 1000;
/// How long they are looked at, once a second.
const QUIET_TIME: Duration = Duration::from_secs(20);
/// Rows that one statement inserts, and one version holds.
const ROWS_A_VERSION: u64 = 1000;

/// Without a format, the rows are only read.
const VARIANTS: [Variant; 6] = process::variants("changes, thrown away", "");

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.as_slice() {
        [serve, rows] if serve == "--serve" => self::serve(rows.parse().unwrap()),
        [run, index, rows, folder, cache, port] if run == "--run" => {
            let variant = VARIANTS[index.parse::<usize>().unwrap()];
            measured(variant, rows.parse().unwrap(), [folder, cache].map(Path::new), port.parse().unwrap());
        }
        [quiet, folder, port] if quiet == "--quiet" => look(Path::new(folder), port.parse().unwrap()),
        _ => {
            let rows: u64 = args.first().map_or(300_000, |a| a.parse().unwrap());
            let (mut server, port) = start(rows);
            println!("{rows} inserted orders in one table, {ROWS_A_VERSION} a version; CPU of the whole program, without the server;");
            process::compare(&VARIANTS, rows, &[&port]);
            quiet(&port);
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

/// The server in a process of its own, and its port.
fn start(rows: u64) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--serve", &rows.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    (child, port.trim().to_owned())
}

/// Serves both databases until standard input ends.
fn serve(rows: u64) {
    let simulator = Simulator::start();
    let run = |database: &str, sql: &str| {
        simulator.run(database, sql).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    };
    for name in ["shop", "quiet"] {
        run("master", &format!("CREATE DATABASE {name}"));
        run(name, "ALTER DATABASE CURRENT SET CHANGE_TRACKING = ON");
        run(name, "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON");
    }
    run(
        "shop",
        "CREATE TABLE dbo.orders (id bigint NOT NULL PRIMARY KEY, customer_id bigint NOT NULL, order_no nvarchar(20) NOT NULL, \
         email nvarchar(120) NOT NULL, status varchar(10) NOT NULL, amount decimal(12,2) NOT NULL, created_at datetime2(6) NOT NULL, \
         note nvarchar(200) NULL)",
    );
    run("shop", "ALTER TABLE dbo.orders ENABLE CHANGE_TRACKING WITH (TRACK_COLUMNS_UPDATED = ON)");
    let row = |n: u64| {
        let status = ["placed", "paid", "shipped", "delivered", "cancelled"][(n % 5) as usize];
        let note = if n.is_multiple_of(3) { "N'leave it at the door'" } else { "NULL" };
        format!(
            "({n}, {}, N'SO-{n:09}', N'customer{}@mail.example.org', '{status}', {}.{:02}, '2024-01-01T{:02}:{:02}:{:02}.123456', {note})",
            n % 5000,
            n % 5000,
            n % 100_000 / 7,
            n % 100,
            n / 3600 % 24,
            n / 60 % 60,
            n % 60
        )
    };
    for from in (0..rows).step_by(ROWS_A_VERSION as usize) {
        let rows: Vec<String> = (from..rows.min(from + ROWS_A_VERSION)).map(row).collect();
        run("shop", &format!("INSERT dbo.orders VALUES {}", rows.join(", ")));
    }
    for n in 0..QUIET {
        run("quiet", &format!("CREATE TABLE dbo.t{n} (id int NOT NULL PRIMARY KEY, v int NULL)"));
        run("quiet", &format!("ALTER TABLE dbo.t{n} ENABLE CHANGE_TRACKING"));
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", simulator.port()).unwrap();
    out.flush().unwrap();
    // until the parent ends
    let _ = std::io::stdin().lines().count();
}

/// The text of a pipeline file.
fn text(database: &str, port: u16, more: &str, plugins: &str, [folder, cache]: [&Path; 2], sink: &str) -> String {
    format!(
        "name: bench\nsource:\n  type: sqlserver\n  host: 127.0.0.1\n  port: {port}\n  database: {database}\n  user: sa\n  password: {}\n{more}\
         {plugins}\nstate: {}/state.db\ncache: {}\nsinks: [{sink}]\n",
        Simulator::PASSWORD,
        folder.display(),
        cache.display()
    )
}

/// Runs one variant and prints CPU seconds, peak megabytes, megabytes written.
fn measured(variant: Variant, rows: u64, [folder, cache]: [&Path; 2], port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let Variant { plugins, written: format, .. } = variant;
    if format.is_empty() {
        runtime.block_on(read(rows, port));
    } else {
        let sink = format!("{{ type: file, folder: {}/out, format: {format} }}", folder.display());
        let source = "  tables: [{ start: 0 }]\n  strategy: drain-table\n";
        let text = text("shop", port, source, plugins, [folder, cache], &sink);
        let mut pipeline = config::load_str(&text, folder, |_| None).unwrap();
        let config::Source::SqlServer(source) = &mut pipeline.source else { unreachable!("the text says sqlserver") };
        source.until_drained = true;
        let status = pipeline::status(&pipeline);
        runtime.block_on(pipeline::run(pipeline, status, CancellationToken::new())).unwrap();
    }
    process::tell(folder);
}

/// Reads the changes joined to their rows with the bare driver, and looks at none of them.
async fn read(rows: u64, port: u16) {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(port);
    config.database("shop");
    config.authentication(AuthMethod::sql_server("sa", Simulator::PASSWORD));
    config.encryption(EncryptionLevel::NotSupported);
    let socket = TcpStream::connect(config.get_addr()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut client = Client::connect(config, socket.compat_write()).await.unwrap();
    let query = "SELECT c.SYS_CHANGE_VERSION, c.SYS_CHANGE_CREATION_VERSION, c.SYS_CHANGE_OPERATION, c.SYS_CHANGE_COLUMNS, \
                 c.SYS_CHANGE_CONTEXT, c.[id], t.[id], t.[customer_id], t.[order_no], t.[email], t.[status], t.[amount], t.[created_at], \
                 t.[note] FROM CHANGETABLE(CHANGES [dbo].[orders], @P1) AS c LEFT OUTER JOIN [dbo].[orders] AS t ON t.[id] = c.[id] \
                 ORDER BY c.SYS_CHANGE_VERSION, c.[id]";
    let mut answer = client.query(query, &[&0_i64]).await.unwrap();
    let mut read = 0;
    while let Some(item) = answer.try_next().await.unwrap() {
        read += u64::from(item.into_row().is_some());
    }
    assert_eq!(read, rows);
}

/// Looks at the quiet tables for a while, and prints what [`process::tell`] does.
fn look(folder: &Path, port: u16) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let sink = format!("{{ type: file, folder: {}/out, format: flat }}", folder.display());
    let text = text("quiet", port, "  interval: 1s\n", "", [folder, folder], &sink);
    let pipeline = config::load_str(&text, folder, |_| None).unwrap();
    let status = pipeline::status(&pipeline);
    let stop = CancellationToken::new();
    runtime.block_on(async {
        let ended = tokio::spawn(pipeline::run(pipeline, status, stop.clone()));
        tokio::time::sleep(QUIET_TIME).await;
        stop.cancel();
        ended.await.unwrap().unwrap();
    });
    process::tell(folder);
}

fn quiet(port: &str) {
    let folder = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let output = Command::new(std::env::current_exe().unwrap()).arg("--quiet").arg(folder.path()).arg(port).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = told.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let share = numbers[0] / begin.elapsed().as_secs_f64() * 100.0;
    println!("\n{QUIET} tables in which nothing changes, a look a second: {share:.2} % of a core (bar 2 %), peak {:.0} MB", numbers[1]);
}
