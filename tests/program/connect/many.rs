//! A server with thousands of tables.

use sluicegate_model::limits::SURVEYED_AT_START;

use super::*;

/// More than a start looks at one by one.
const TABLES: usize = SURVEYED_AT_START + 200;
/// Memory that is the process's own, at most.
const MOST_MEMORY: u64 = 40 << 20;

/// Memory that is the process's own, not that of files.
fn resident(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).expect("the status can be read");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the status has it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Each table has a column of its own name, and servers log as they do by default: without names.
fn thousands_of_tables_are_captured(server: &Server) {
    let database = server.database("many");
    let mut client = server.client();
    client.sql(&format!("USE {database}; SET sql_log_bin = 0"));
    let create = |i: usize| format!("CREATE TABLE t{i} (id INT PRIMARY KEY, c{i} VARCHAR(9), e ENUM('a{i}','b')) ENGINE=MEMORY");
    for some in (0..TABLES).map(create).collect::<Vec<_>>().chunks(100) {
        client.sql(&some.join("; "));
    }
    client.sql("SET sql_log_bin = 1");
    let source = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(server));
    let host = Sluicegate::new(BINARY, &pipeline(&database, &source, "").replace("connect_timeout: 5s", "connect_timeout: 20s"));
    let (code, said) = check(&host);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("tables: {TABLES} captured")) && said.contains(&format!("plan: {TABLES} planned")), "{said}");
    for round in 0..2 {
        let mut process = start(&host);
        let most = resident(&process);
        let insert = |i: usize| format!("INSERT INTO t{i} VALUES ({round}, 'v{i}', 1)");
        for some in (0..TABLES).map(insert).collect::<Vec<_>>().chunks(100) {
            client.sql(&some.join("; "));
        }
        wait_for(&mut process, &host, TABLES * (round + 1));
        let most = most.max(resident(&process));
        assert!(most <= MOST_MEMORY, "{} MiB", most >> 20);
        stop(process);
    }
    let records = files::records(&host.path("out"), "t");
    assert_eq!(records.len(), 2 * TABLES);
    for (number, record) in records.iter().enumerate() {
        let (i, round) = (number % TABLES, number / TABLES);
        let found = (&record["_table"], &record["id"], &record[format!("c{i}")], &record["e"]);
        let expected = (&format!("t{i}").into(), &round.into(), &format!("v{i}").into(), &format!("a{i}").into());
        assert_eq!(found, expected);
    }
}

// thousands of files take seconds where each is synced
#[test]
fn c2_thousands_of_tables_of_mariadb_are_captured() {
    thousands_of_tables_are_captured(&mariadb::start(&["--binlog-row-metadata=NO_LOG", "--sync-frm=OFF", "--debug-no-sync=ON"]));
}

#[test]
fn c2_thousands_of_tables_of_mysql_are_captured() {
    thousands_of_tables_are_captured(&mysql::start(&[
        "--binlog-row-metadata=MINIMAL",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-flush-method=nosync",
    ]));
}
