//! What the precheck finds, and what it says.

use std::collections::BTreeSet;

use sluicegate_config::{Address, RowImage, Secret, SnapshotMode, StartAt, TlsMode};
use sluicegate_harness::{free_port, mariadb, mysql};
use sluicegate_model::{Error, ErrorKind, limits::Limits};

use crate::{
    capture::{Capture, DEADLINE, anew, precheck, settings},
    resume::without_gtids,
};

/// The error with ports replaced.
fn shown(error: &Error) -> String {
    let text = error.to_string();
    regex_lite::Regex::new(r"127\.0\.0\.1:\d+").unwrap().replace_all(&text, "HOST").into_owned()
}

#[test]
fn every_fault_of_the_server_is_listed_with_its_remedy() {
    let server = mysql::start(&["--binlog-format=STATEMENT", "--binlog-row-image=MINIMAL"]);
    server.sql(
        "CREATE DATABASE d; CREATE TABLE d.t (id int); CREATE USER 'weak'@'127.0.0.1' IDENTIFIED BY 'pw';
         GRANT SELECT ON *.* TO 'weak'@'127.0.0.1'",
    );
    let mut settings = settings(&server, "d");
    settings.user = "weak".into();
    settings.password = Secret::new("pw");
    settings.start = StartAt::File { file: "binlog.009999".into(), position: 4 };
    let error = precheck(settings, &anew()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precheck);
    insta::assert_snapshot!(shown(&error), @r"
    HOST is not ready, 4 faults:
      - binlog_format is STATEMENT
        remedy: Set it to ROW: SET GLOBAL binlog_format = 'ROW', also in the server's configuration file.
      - binlog_row_image is MINIMAL
        remedy: Set it to FULL: SET GLOBAL binlog_row_image = 'FULL', also in the server's configuration file. Or take rows without the columns that are not logged: write `row_image: partial` at the source.
      - the account 'weak'@'127.0.0.1' lacks the privilege REPLICATION SLAVE
        remedy: GRANT REPLICATION SLAVE ON *.* TO 'weak'@'127.0.0.1'
      - the account 'weak'@'127.0.0.1' lacks the privilege REPLICATION CLIENT
        remedy: GRANT REPLICATION CLIENT ON *.* TO 'weak'@'127.0.0.1'
    ");
    let mut settings = self::settings(&server, "d");
    settings.row_image = RowImage::Partial;
    let error = precheck(settings, &anew()).unwrap_err();
    assert!(error.message().contains("binlog_format") && !error.message().contains("binlog_row_image"), "{error}");
}

/// The account may read the log, and no table.
#[test]
fn c21_an_account_without_select_is_told_before_anything_runs() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        server.sql(
            "CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY); CREATE USER 'blind'@'127.0.0.1' IDENTIFIED BY 'pw';
             GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'blind'@'127.0.0.1'",
        );
        let mut settings = settings(&server, "d");
        (settings.user, settings.password) = ("blind".into(), Secret::new("pw"));
        // the tests' servers log names
        precheck(settings.clone(), &anew()).unwrap();
        server.sql("SET GLOBAL binlog_row_metadata = 'MINIMAL'");
        let error = precheck(settings.clone(), &anew()).unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(shown(&error), @r"
            HOST is not ready: the account 'blind'@'127.0.0.1' has SELECT on no table, and binlog_row_metadata is not FULL: the names of columns cannot be found out
              remedy: GRANT SELECT ON *.* TO 'blind'@'127.0.0.1', or on the captured databases or tables only
            ");
        }
        server.sql("SET GLOBAL binlog_row_metadata = 'FULL'");
        let mut copies = settings.clone();
        copies.snapshot.mode = SnapshotMode::Initial;
        let error = precheck(copies.clone(), &anew()).unwrap_err();
        assert!(error.message().ends_with("has SELECT on no table, and `snapshot` is to copy rows"), "{error}");
        server.sql("GRANT SELECT ON d.t TO 'blind'@'127.0.0.1'");
        precheck(copies, &anew()).unwrap();
    }
}

/// What a foreign key changes: MySQL 9.6 and later log it.
#[test]
fn c12_rows_that_a_foreign_key_changes_are_delivered_where_the_server_logs_them() {
    let server = mysql::shared();
    let database = server.database("cascades");
    server.sql(&format!(
        "CREATE TABLE {database}.p (id INT PRIMARY KEY);
         CREATE TABLE {database}.c (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES {database}.p (id) ON DELETE CASCADE ON UPDATE CASCADE)"
    ));
    let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.p VALUES (1), (2); INSERT INTO {database}.c VALUES (10, 1), (20, 2)"));
    assert_eq!(capture.changes(4).len(), 4);
    server.sql(&format!("DELETE FROM {database}.p WHERE id = 1; UPDATE {database}.p SET id = 3 WHERE id = 2"));
    let seen = capture.changes(8);
    let seen: BTreeSet<String> = seen[4..].iter().map(|change| format!("{:?} {}", change.operation, change.table)).collect();
    assert_eq!(seen, BTreeSet::from(["Delete p", "Delete c", "Update p", "Update c"].map(str::to_owned)));
}

#[test]
fn partial_json_without_whole_rows_is_refused_before_anything_runs() {
    let server = mysql::start(&["--binlog-row-image=MINIMAL", "--binlog-row-value-options=PARTIAL_JSON"]);
    let mut settings = settings(&server, "d");
    settings.row_image = RowImage::Partial;
    let error = precheck(settings.clone(), &anew()).unwrap_err();
    insta::assert_snapshot!(shown(&error), @r"
    HOST is not ready: binlog_row_value_options is PARTIAL_JSON, and binlog_row_image is not FULL: changed JSON documents cannot be made whole
      remedy: Empty it: SET GLOBAL binlog_row_value_options = ''. Or set binlog_row_image to FULL.
    ");
    server.sql("SET GLOBAL binlog_row_image = 'FULL'");
    precheck(settings, &anew()).unwrap();
}

#[test]
fn a_wrong_password_is_refused_without_showing_it() {
    for server in [mariadb::shared(), mysql::shared()] {
        let mut settings = settings(&server, "d");
        settings.password = Secret::new("not-the-password");
        let error = precheck(settings, &anew()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precheck);
        assert!(error.to_string().contains("Check the source's user and password"), "{error}");
        assert!(!error.to_string().contains("not-the-password"));
    }
}

#[test]
fn tls_is_used_and_a_certificate_that_does_not_fit_is_refused() {
    // the server's own certificate is signed by an authority that it made up
    let server = mysql::shared();
    let mut settings = settings(&server, "d");
    settings.tls = TlsMode::Required;
    precheck(settings.clone(), &anew()).unwrap();
    settings.tls = TlsMode::VerifyIdentity;
    let error = precheck(settings, &anew()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Precheck);
    assert!(error.remedy_text().unwrap().contains("ca_file"), "{error}");
}

#[test]
fn a_ca_file_that_has_no_end_or_is_not_there_is_refused() {
    let server = mysql::shared();
    let mut settings = settings(&server, "d");
    settings.tls = TlsMode::VerifyIdentity;
    for path in ["/dev/zero", "/none/ca.pem"] {
        settings.ca_file = Some(path.into());
        let error = precheck(settings.clone(), &anew()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precheck);
        assert!(error.to_string().contains(&format!("cannot read the certificates in {path}")), "{error}");
    }
}

#[test]
fn an_unreachable_server_is_an_error_at_once() {
    let server = mariadb::shared();
    let mut settings = settings(&server, "d");
    settings.addresses = vec![Address::Tcp { host: "127.0.0.1".into(), port: free_port() }];
    let error = precheck(settings, &anew()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    insta::assert_snapshot!(shown(&error), @r"
    cannot connect to HOST: Input/output error: Input/output error: Connection refused (os error 111)
      remedy: Check host, port and firewall, and that the server is running.
    ");
}

#[test]
fn an_account_at_its_limit_of_connections_is_told_what_to_raise() {
    let server = mariadb::start(&[]);
    server.sql(
        "CREATE USER 'busy'@'127.0.0.1' IDENTIFIED BY 'pw' WITH MAX_CONNECTIONS_PER_HOUR 1; GRANT ALL ON *.* TO 'busy'@'127.0.0.1';
         CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY)",
    );
    let mut settings = settings(&server, "d");
    settings.user = "busy".into();
    settings.password = Secret::new("pw");
    precheck(settings.clone(), &anew()).unwrap();
    insta::assert_snapshot!(shown(&precheck(settings, &anew()).unwrap_err()), @r#"
    cannot connect to HOST: Server error: `ERROR 1226 (42000): User 'busy' has exceeded the 'max_connections_per_hour' resource (current value: 1)'
      remedy: Raise max_connections or the account's own limits, or close other clients.
    "#);
}

#[test]
fn a_binlog_that_is_off_is_found() {
    let server = mysql::start(&["--skip-log-bin"]);
    let error = precheck(settings(&server, "d"), &anew()).unwrap_err();
    assert!(error.to_string().contains("the binlog is off"), "{error}");
}

#[test]
fn a_purged_position_names_the_gap() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (id int PRIMARY KEY)");
        let capture = Capture::start(settings(&server, "d"), anew(), Limits::default());
        let old = capture.position();
        capture.stop();
        server.sql("INSERT INTO d.t VALUES (1); FLUSH BINARY LOGS; INSERT INTO d.t VALUES (2); FLUSH BINARY LOGS");
        let files = server.query("SHOW BINARY LOGS");
        let newest = files.last().unwrap()[0].clone().unwrap();
        server.purge_logs();

        let error = precheck(settings(&server, "d"), &old).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precheck);
        assert!(error.to_string().contains("has purged transactions that were not read yet"), "{error}");
        let by_file = without_gtids(&old);
        let error = precheck(settings(&server, "d"), &by_file).unwrap_err();
        assert!(error.to_string().contains(&format!("it has {newest} to {newest}")), "{error}");

        // the same without the precheck: final, not retried
        for start in [old.clone(), by_file] {
            let error = Capture::unchecked(settings(&server, "d"), &start, Limits::default()).failure();
            assert_eq!(error.kind(), ErrorKind::Source);
            assert!(error.to_string().contains("no longer in the server's binlog"), "{error}");
        }
    }
}

#[test]
fn a_position_of_another_kind_of_server_is_refused() {
    let capture = Capture::start(settings(&mariadb::shared(), "d"), anew(), Limits::default());
    let position = capture.position();
    capture.stop();
    let error = precheck(settings(&mysql::shared(), "d"), &position).unwrap_err();
    assert!(error.to_string().contains("one is MySQL, the other MariaDB"), "{error}");
}

#[test]
fn tables_without_a_key_are_named_before_anything_runs() {
    let server = mariadb::shared();
    let database = server.database("keyless");
    server.sql(&format!(
        "CREATE TABLE {database}.keyed (id INT PRIMARY KEY); CREATE TABLE {database}.loose (id INT);
         CREATE TABLE {database}.Keyed (id INT PRIMARY KEY); CREATE TABLE {database}.`kéyed` (id INT PRIMARY KEY)"
    ));
    let pipeline = format!(
        "name: p\nsource: {{ type: mysql, host: 127.0.0.1, port: {}, user: {}, password: {}, tables: ['{database}.*'] }}\nsinks: [{{ type: file, folder: out }}]\n",
        server.port(),
        server.user(),
        server.password()
    );
    let host = sluicegate_harness::host::Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
    let ended = host.run(&["--log-format", "json", "check", "pipeline.yaml"], DEADLINE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let line =
        ended.stderr.lines().find(|l| l.contains("captured tables have no primary key")).unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(
        line.contains(&format!("{database}.loose"))
            && !line.to_lowercase().contains("keyed")
            && !line.contains("kéyed")
            && line.contains("remedy"),
        "{line}"
    );
}

#[test]
fn names_that_match_no_table_are_warned_of_at_the_check() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("slips");
        server.sql(&format!(
            "CREATE TABLE {database}.customers (id int PRIMARY KEY); CREATE TABLE {database}.`eu.t` (id int PRIMARY KEY);
             CREATE VIEW {database}.v AS SELECT * FROM {database}.customers"
        ));
        let check = |tables: &[&str]| {
            let tables: Vec<String> = tables.iter().map(|table| table.replace("DB", &database)).collect();
            let pipeline = format!(
                "name: slips\nsource:\n  type: mysql\n  host: 127.0.0.1\n  port: {}\n  user: {}\n  password: \"{}\"\n  tables: {tables:?}\n\
                 sinks:\n  - type: stdout\n",
                server.port(),
                server.user(),
                server.password()
            );
            let host = sluicegate_harness::host::Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
            let ended = host.run(&["--log-format", "json", "check", "pipeline.yaml"], DEADLINE);
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
            ended.stderr.replace(&database, "DB")
        };
        let said = check(&["DB.custmers", "DB.Customers", "DB.v", "DB.*", "!DB.sesions"]);
        assert!(said.contains(r#""tables":"DB.custmers, DB.v, DB.sesions","count":3"#), "{said}");
        assert!(said.contains(r#""tables":"DB.Customers (the server has DB.customers)","count":1"#), "{said}");
        let said = check(&["DB.customers", "DB.eu.t", "DB.`eu.t`", "DB.no_*", "!DB.customers"]);
        assert!(!said.contains("these names"), "{said}");
    }
}
