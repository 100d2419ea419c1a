//! What a statement in the log means: schema changes, changes without rows, and rows that go with a table.

use sluicegate_harness::{database::Flavor, host::Sluicegate, mariadb, mysql};

use super::*;

/// Swaps the names of two columns of one type: the table map is the same, but for the names, which are not in it by default.
const SWAP: &str = "RENAME COLUMN v TO w, RENAME COLUMN w TO v";
const COLUMNS: &str = "(id INT PRIMARY KEY, v VARCHAR(9), w VARCHAR(9))";

/// Statements that swap the columns of the table `{t}` in the database `{d}`, each hidden in another way.
const DISGUISES: &[(Option<Flavor>, &str)] = &[
    (None, "ALTER TABLE {t} {swap}"),
    (None, "/*!50003 ALTER TABLE {t} {swap} */"),
    (None, "/*!50003 ALTER */ /*!50003 TABLE {t} */ {swap}"),
    (None, "/* a; b */ ALTER -- c\n TABLE # d\n {t} {swap}"),
    (None, "/*!999999 INSERT INTO x */ ALTER TABLE {t} {swap}"),
    (None, "SET sql_mode = 'ANSI_QUOTES'; ALTER TABLE \"{n}\" {swap}; SET sql_mode = ''"),
    (None, "USE mysql; ALTER TABLE {d}.{t} {swap}; USE {d}"),
    (None, "CREATE PROCEDURE p{i}() ALTER TABLE {t} {swap}; CALL p{i}()"),
    (None, "CREATE PROCEDURE p{i}() BEGIN IF 1 THEN /*!50003 ALTER TABLE {t} {swap} */; END IF; END; CALL p{i}()"),
    (None, "SET @s = '/*!50003 ALTER TABLE {t} {swap} */'; PREPARE s FROM @s; EXECUTE s"),
    (None, "CREATE TABLE new{i} LIKE {t}; ALTER TABLE new{i} {swap}; RENAME TABLE {t} TO old{i}, new{i} TO {t}"),
    (None, "RENAME TABLE {t} TO x{i}; ALTER TABLE x{i} {swap}; ALTER TABLE x{i} COMMENT 'RENAME', RENAME TO {t}"),
    (None, "DROP TABLE {t}; CREATE TABLE {t} (id INT PRIMARY KEY, w VARCHAR(9), v VARCHAR(9))"),
    (
        None,
        "DROP TABLE /* x */ IF EXISTS missing, {t}; CREATE TABLE s{i} (id INT PRIMARY KEY, w VARCHAR(9), v VARCHAR(9)); CREATE TABLE {t} LIKE s{i}",
    ),
    (None, "ALTER TABLE {t} {swap} PARTITION BY HASH (id) PARTITIONS 2"),
    (Some(Flavor::MySql), "/*!80000 ALTER TABLE {t} {swap} */"),
    (Some(Flavor::MySql), "/*M!100100 not for MySQL */ ALTER TABLE {t} {swap}"),
    (
        Some(Flavor::MySql),
        "DROP TABLE {t}; CREATE TABLE {t} (PRIMARY KEY (id)) AS SELECT 0 AS id, REPEAT('w', 9) AS w, REPEAT('v', 9) AS v",
    ),
    (Some(Flavor::MariaDb), "SET STATEMENT lock_wait_timeout=5 FOR ALTER TABLE {t} {swap}"),
    (
        Some(Flavor::MariaDb),
        "set statement sql_mode='ANSI', lock_wait_timeout=(5) for /*!set*/ statement max_statement_time=9 for alter table {t} {swap}",
    ),
    (Some(Flavor::MariaDb), "/*M!100100 ALTER TABLE {t} {swap} */"),
    (Some(Flavor::MariaDb), "/*M! ALTER*/ /*!100100 ONLINE*/ /*!80000 not for MariaDB */ TABLE IF EXISTS {t} WAIT 5 {swap}"),
    (Some(Flavor::MariaDb), "EXECUTE IMMEDIATE CONCAT('ALTER TABLE {t} ', '{swap}')"),
    (Some(Flavor::MariaDb), "BEGIN NOT ATOMIC DECLARE x INT; ALTER TABLE {t} {swap}; END"),
    (Some(Flavor::MariaDb), "CREATE OR REPLACE TABLE {t} (id INT PRIMARY KEY, w VARCHAR(9), v VARCHAR(9))"),
    (Some(Flavor::MariaDb), "ALTER TABLE {t} {swap}, ADD SYSTEM VERSIONING; ALTER TABLE {t} DROP SYSTEM VERSIONING"),
];

/// Names of tables that need quotes.
const NAMES: &[&str] = &["a.b", "a b", "größe", "☃", "a``b", "/*x*/", "to", "Big"];

#[test]
fn a_schema_change_is_followed_however_it_is_written() {
    for server in [mariadb::start(&["--binlog-row-metadata=NO_LOG"]), mysql::start(&["--binlog-row-metadata=MINIMAL"])] {
        let database = server.database("disguises");
        let disguises = DISGUISES.iter().filter(|(flavor, _)| flavor.is_none_or(|f| f == server.flavor())).map(|(_, text)| *text);
        let named = NAMES.iter().map(|_| "/*!50003 ALTER TABLE {t} {swap} */");
        let changes: Vec<(String, &str)> = disguises
            .enumerate()
            .map(|(i, text)| (format!("t{i}"), text))
            .chain(NAMES.iter().map(|name| (*name).to_owned()).zip(named))
            .collect();
        let mut client = server.client();
        client.sql(&format!("USE {database}; SET NAMES utf8mb4; CREATE TABLE last (id INT PRIMARY KEY)"));
        for (name, _) in &changes {
            client.sql(&format!("CREATE TABLE `{name}` {COLUMNS}"));
        }
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        for (name, _) in &changes {
            client.sql(&format!("INSERT INTO `{name}` VALUES (1, 'v', 'w')"));
        }
        client.sql("INSERT INTO last VALUES (1)");
        wait_for(&mut process, &host, "t", "last", 1);
        for (i, (name, text)) in changes.iter().enumerate() {
            let text = text.replace("{t}", &format!("`{name}`")).replace("{n}", name).replace("{d}", &database);
            client.sql(&text.replace("{swap}", SWAP).replace("{i}", &i.to_string()));
            client.sql(&format!("INSERT INTO `{name}` (id, v, w) VALUES (2, 'v', 'w')"));
        }
        client.sql("INSERT INTO last VALUES (2)");
        wait_for(&mut process, &host, "t", "last", 2);
        stop(process);
        let records = files::records(&host.path("out"), "t");
        for (name, text) in &changes {
            let table = name.replace("``", "`");
            let rows: Vec<_> = records.iter().filter(|r| r["_table"] == table.as_str() && r["id"] == 2 && r["_op"] == "c").collect();
            assert_eq!(rows.len(), 1, "{name}: {text}");
            assert_eq!((rows[0]["v"].as_str(), rows[0]["w"].as_str()), (Some("v"), Some("w")), "{name}: {text}");
        }
    }
}

/// Statements that change rows of the table `{d}.stock`, or may do so, and are logged in place of the rows.
const CHANGES: &[(Option<Flavor>, &str, &str)] = &[
    (None, "INSERT INTO stock VALUES (1)", "stock"),
    (None, "/*!50003 INSERT INTO stock VALUES (1) */", "stock"),
    (None, "/* x */ REPLACE /*!50003 INTO*/ `stock` SELECT 1", "stock"),
    (None, "LOAD DATA INFILE '{file}' INTO TABLE stock", "stock"),
    (None, "SELECT {d}.add_stock(1)", "stock"),
    (None, "DO {d}.add_stock(1)", "stock"),
    (None, "SET @x = {d}.add_stock(1)", "stock"),
    (None, "USE {o}; SELECT {o}.add_there(1)", "stock"),
    (None, "INSERT INTO {o}.log SELECT {o}.add_there(1)", "stock"),
    (None, "INSERT INTO {o}.traced VALUES (1)", "stock"),
    (None, "INSERT INTO {o}.v VALUES (1)", "stock"),
    (None, "DELETE FROM {o}.parent", "child"),
    (None, "CALL {o}.p()", "stock"),
    (None, "CREATE TABLE copied AS SELECT 4 AS id", "copied"),
    (None, "CREATE TABLE copied (id INT) SELECT 4 AS id", "copied"),
    (None, "DELETE FROM stock WHERE id = 0", "stock"),
    (None, "USE mysql; UPDATE {o}.log, {d}.stock SET stock.id = 7 WHERE stock.id = 0", "stock"),
    (None, "DELETE s FROM {d}.stock AS s JOIN {d}.stock AS t USING (id)", "stock"),
    (None, "DELETE FROM s USING {o}.log AS l JOIN stock AS s", "stock"),
    (None, "UPDATE {o}.notes stock JOIN stock AS s SET s.id = 7 WHERE stock.note IS NULL", "stock"),
    (None, "UPDATE {o}.notes JOIN stock SET id = 7", "stock"),
    (None, "SET @q = 'INSERT INTO stock VALUES (?)'; SET @a = 1; PREPARE s FROM @q; EXECUTE s USING @a", "stock"),
    (Some(Flavor::MySql), "WITH c AS (SELECT 0 AS id) DELETE FROM stock WHERE id IN (SELECT id FROM c)", "stock"),
    (Some(Flavor::MySql), "CREATE TABLE copied TABLE stock", "copied"),
    (Some(Flavor::MariaDb), "SET STATEMENT max_statement_time=9 FOR INSERT INTO stock VALUES (1)", "stock"),
    (Some(Flavor::MariaDb), "/*M!100100 INSERT INTO stock VALUES (1) */", "stock"),
    (Some(Flavor::MariaDb), "EXECUTE IMMEDIATE 'INSERT INTO stock VALUES (1)'", "stock"),
    (Some(Flavor::MariaDb), "ANALYZE UPDATE stock SET id = 8", "stock"),
    (Some(Flavor::MariaDb), "CREATE OR REPLACE TABLE copied AS SELECT 1 AS id", "copied"),
];

/// A database whose tables are captured and one whose are not, with all that leads from the one to the other.
fn two_databases(server: &Server) -> (String, String) {
    let (shop, other) = (server.database("captured"), server.database("passed"));
    server.sql(&format!(
        "SET GLOBAL log_bin_trust_function_creators = 1;
         CREATE TABLE {shop}.stock (id INT PRIMARY KEY); CREATE TABLE {shop}.last (id INT PRIMARY KEY); CREATE TABLE {other}.log (id INT);
         CREATE FUNCTION {shop}.add_stock(x INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO stock VALUES (x); RETURN x; END;
         CREATE FUNCTION {other}.add_there(x INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO {shop}.stock VALUES (x); RETURN x; END;
         CREATE FUNCTION {other}.add_log(x INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO log VALUES (x); RETURN x; END;
         CREATE PROCEDURE {other}.p() INSERT INTO {shop}.stock VALUES (1);
         CREATE TABLE {other}.traced (id INT);
         CREATE TRIGGER {other}.tr AFTER INSERT ON {other}.traced FOR EACH ROW INSERT INTO {shop}.stock VALUES (NEW.id);
         CREATE TABLE {other}.quiet (id INT); CREATE TABLE {other}.notes (note INT); INSERT INTO {other}.notes VALUES (1);
         CREATE TRIGGER {other}.tr2 AFTER INSERT ON {other}.quiet FOR EACH ROW INSERT INTO {other}.log VALUES (NEW.id);
         CREATE VIEW {other}.v AS SELECT * FROM {shop}.stock; CREATE VIEW {other}.own AS SELECT * FROM {other}.log;
         CREATE TABLE {other}.parent (id INT PRIMARY KEY);
         CREATE TABLE {shop}.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES {other}.parent (id) ON DELETE CASCADE);
         INSERT INTO {shop}.stock VALUES (0); INSERT INTO {other}.parent VALUES (1); INSERT INTO {shop}.child VALUES (1, 1)"
    ));
    (shop, other)
}

#[test]
fn a_change_that_is_logged_as_a_statement_is_noticed_however_it_is_written() {
    for server in [mariadb::start(&["--secure-file-priv="]), mysql::start(&["--secure-file-priv="])] {
        let all = format!("['captured_{}_*.*']", std::process::id());
        // to go on behind each of them
        let warning = pipeline(&server, &all, &format!("[{}]", file("t"))).replace("heartbeat:", "statements: warn, heartbeat:");
        let host = Sluicegate::new(BINARY, &warning);
        fs::write(host.path("load.tsv"), "7\n8\n").unwrap();
        let mut process = start(&host);
        let mut expected = Vec::new();
        for (flavor, text, table) in CHANGES {
            if flavor.is_some_and(|f| f != server.flavor()) {
                continue;
            }
            let (shop, other) = two_databases(&server);
            let text = text.replace("{d}", &shop).replace("{o}", &other).replace("{file}", host.path("load.tsv").to_str().unwrap());
            server.sql(&format!("USE {shop}; SET SESSION binlog_format = STATEMENT; {text}"));
            // MySQL names the database where it cannot be more exact
            expected.push((text, [format!("\"table\":\"{shop}.{table}\""), format!("\"table\":\"the database {shop}\"")]));
        }
        let (shop, _) = two_databases(&server);
        server.sql(&format!("INSERT INTO {shop}.last VALUES (1)"));
        wait_for(&mut process, &host, "t", "last", 1);
        let ended = stop(process);
        let warnings: Vec<_> = ended.stderr.lines().filter(|line| line.contains("logged as a statement instead of rows")).collect();
        for (text, told) in &expected {
            assert!(warnings.iter().any(|line| told.iter().any(|told| line.contains(told))), "{text}: {warnings:#?}");
        }
    }
}

#[test]
fn a_change_that_is_logged_as_a_statement_stops_the_stream_by_default() {
    for server in [mariadb::shared(), mysql::shared()] {
        let (shop, _) = two_databases(&server);
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{shop}.*']"), &format!("[{}]", file("t"))));
        let process = start(&host);
        server.sql(&format!("USE {shop}; INSERT INTO last VALUES (1); SET SESSION binlog_format = STATEMENT; SELECT add_stock(1)"));
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("{shop}.stock as a statement"))
                || ended.stderr.contains(&format!("the database {shop} as a statement"))
        );
        assert_eq!(ids(&host, "t", "last"), [1]);
    }
}

#[test]
fn statements_that_reach_no_captured_table_do_no_harm() {
    for server in [mariadb::shared(), mysql::shared()] {
        let (shop, other) = two_databases(&server);
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{shop}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        let mut client = server.client();
        client.sql(&format!("USE {shop}; SET SESSION binlog_format = STATEMENT"));
        for text in [
            "INSERT INTO {o}.log VALUES (1)",
            "INSERT INTO {o}.log SELECT id FROM stock",
            "SELECT {o}.add_log(1)",
            "INSERT INTO {o}.quiet VALUES (1), (ABS(-2))",
            "INSERT INTO {o}.own VALUES (1)",
            "UPDATE {o}.log SET id = 5 ORDER BY id LIMIT 1",
            // tables that are joined and only read
            "UPDATE {o}.log l JOIN stock s ON l.id > s.id SET l.id = 6, l.id = 7 + s.id",
            "UPDATE stock, {o}.log SET log.id = (SELECT MAX(id) FROM stock AS s)",
            "DELETE l FROM {o}.log AS l JOIN stock ON l.id > stock.id",
            "INSERT INTO {o}.log VALUES (9); DELETE FROM {o}.log.* USING {o}.log JOIN stock",
            "CREATE TEMPORARY TABLE tmp (id INT); INSERT INTO tmp VALUES (1); INSERT INTO tmp SELECT id FROM stock; DROP TABLE tmp",
            "CREATE TEMPORARY TABLE stock (id INT); TRUNCATE stock; ALTER TABLE stock RENAME tmp; DELETE FROM tmp; ALTER TABLE tmp RENAME last; \
             TRUNCATE last; INSERT INTO last VALUES (7); DROP TABLE last",
            "CREATE TEMPORARY TABLE tmp AS SELECT * FROM stock; DELETE FROM tmp; DROP /*!40005 TEMPORARY */ TABLE tmp",
            "CREATE TABLE {o}.copied AS SELECT * FROM stock",
            "CREATE USER u_{o}; GRANT SELECT ON {o}.* TO u_{o}; DROP USER u_{o}",
            "FLUSH TABLES; ANALYZE TABLE stock; OPTIMIZE TABLE stock",
            "CREATE FUNCTION f() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM stock; RETURN 1; END; DROP FUNCTION f",
            "CREATE TRIGGER tr3 BEFORE INSERT ON stock FOR EACH ROW SET NEW.id = NEW.id; DROP TRIGGER tr3",
            "CREATE TABLE bare LIKE stock",
            "DROP TABLE {o}.copied; TRUNCATE {o}.log",
        ] {
            client.sql(&text.replace("{o}", &other));
        }
        server.sql(&format!("INSERT INTO {shop}.last VALUES (1)"));
        wait_for(&mut process, &host, "t", "last", 1);
        // the captured table has no such column, and nothing behind the statement may have changed it
        client.sql(&format!("UPDATE {other}.notes JOIN stock ON id < 1 SET note = 2"));
        server.sql(&format!("INSERT INTO {shop}.last VALUES (2)"));
        wait_for(&mut process, &host, "t", "last", 2);
        stop(process);
        assert_eq!(story(&host), ["c last 1", "c last 2"], "temporary tables hide others of their names");
    }
}

/// A pipeline of its own that stops at what these statements log, and what it says.
#[track_caller]
fn stopped_by(server: &Server, shop: &str, statements: &str) -> String {
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{shop}.*']"), &format!("[{}]", file("t"))));
    let process = start(&host);
    server.sql(statements);
    let ended = process.wait(PATIENCE);
    assert_eq!(ended.status.code(), Some(1), "{statements}: {}", ended.stderr);
    ended.stderr
}

#[test]
fn where_it_cannot_be_told_which_of_the_joined_tables_changes_the_stop_says_so() {
    for server in [mariadb::shared(), mysql::shared()] {
        let (shop, other) = two_databases(&server);
        let said = stopped_by(
            &server,
            &shop,
            &format!("USE {shop}; SET SESSION binlog_format = STATEMENT; UPDATE {other}.notes JOIN stock SET id = 7"),
        );
        let what = format!("a change of {shop}.stock as a statement instead of rows (or of a table that is joined with it");
        assert!(said.contains(&what), "{said}");
    }
}

#[test]
fn a_statement_counts_when_its_transaction_is_committed_and_never_when_it_is_taken_back() {
    for server in [mariadb::shared(), mysql::shared()] {
        let (shop, other) = two_databases(&server);
        server.sql(&format!(
            "CREATE TABLE {other}.plain (id INT) ENGINE=MyISAM; CREATE TABLE {shop}.kept (id INT PRIMARY KEY) ENGINE=MyISAM"
        ));
        let session = format!("USE {shop}; SET SESSION binlog_format = STATEMENT");
        let xa = |name: &str, text: &str, end: &str| {
            format!("{session}; XA START '{shop}{name}'; {text}; XA END '{shop}{name}'; {}", end.replace("{x}", &format!("'{shop}{name}'")))
        };
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{shop}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        server.sql(&xa("a", "UPDATE stock SET id = 5", "XA PREPARE {x}; XA ROLLBACK {x}"));
        server.sql(&xa("b", "INSERT INTO last VALUES (7); DELETE FROM stock", "XA PREPARE {x}"));
        server.sql(&format!("INSERT INTO {shop}.last VALUES (1); XA ROLLBACK '{shop}b'"));
        // one that is rolled back is logged where it also changed what no rollback takes back; with GTIDs, MySQL refuses that
        if server.flavor() == Flavor::MariaDb {
            server.sql(&format!("{session}; BEGIN; UPDATE stock SET id = 5; INSERT INTO {other}.plain VALUES (1); ROLLBACK"));
            server.sql(&format!(
                "{session}; BEGIN; INSERT INTO {other}.plain VALUES (2); SAVEPOINT s; UPDATE stock SET id = 5; INSERT INTO {other}.plain VALUES (3);
                 ROLLBACK TO s; COMMIT"
            ));
        }
        server.sql(&format!("INSERT INTO {shop}.last VALUES (2)"));
        wait_for(&mut process, &host, "t", "last", 2);
        // between the two, nothing stops
        server.sql(&xa("c", "UPDATE stock SET id = 5", "XA PREPARE {x}"));
        server.sql(&format!("INSERT INTO {shop}.last VALUES (3)"));
        wait_for(&mut process, &host, "t", "last", 3);
        server.sql(&format!("XA COMMIT '{shop}c'"));
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("a change of {shop}.stock as a statement instead of rows, after")), "{}", ended.stderr);
        assert_eq!(ids(&host, "t", "last"), [1, 2, 3]);

        let said = stopped_by(&server, &shop, &xa("d", "UPDATE stock SET id = 6", "XA COMMIT {x} ONE PHASE"));
        assert!(said.contains(&format!("a change of {shop}.stock as a statement instead of rows, after")), "{said}");
        if server.flavor() == Flavor::MariaDb {
            let kept = "INSERT INTO stock VALUES (9); INSERT INTO kept VALUES (9)";
            let said = stopped_by(&server, &shop, &xa("e", kept, "XA PREPARE {x}; XA ROLLBACK {x}"));
            assert!(said.contains(&format!("a change of {shop}.kept as a statement instead of rows (in a transaction that is")), "{said}");
            assert_eq!(server.query(&format!("SELECT id FROM {shop}.kept")).len(), 1, "it was not taken back");
            let part = "BEGIN; SAVEPOINT s; UPDATE stock SET id = id + 10; INSERT INTO kept VALUES (10); ROLLBACK TO s; COMMIT";
            let said = stopped_by(&server, &shop, &format!("{session}; {part}"));
            assert!(said.contains(&format!("a change of {shop}.kept as a statement instead of rows (in a transaction that is")), "{said}");
            let part = "BEGIN; INSERT INTO {o}.plain VALUES (4); UPDATE stock SET id = id + 10; SAVEPOINT s; INSERT INTO {o}.plain VALUES (5); ROLLBACK TO s; COMMIT";
            let said = stopped_by(&server, &shop, &format!("{session}; {}", part.replace("{o}", &other)));
            assert!(said.contains(&format!("a change of {shop}.stock as a statement instead of rows, after")), "{said}");
        }
    }
}

#[test]
fn by_policy_a_change_that_is_logged_as_a_statement_is_warned_of_and_counted() {
    for server in [mariadb::shared(), mysql::shared()] {
        let (shop, _) = two_databases(&server);
        let warning =
            pipeline(&server, &format!("['{shop}.*']"), &format!("[{}]", file("t"))).replace("heartbeat:", "statements: warn, heartbeat:");
        let host = Sluicegate::new(BINARY, &warning);
        let mut process = start(&host);
        server.sql(&format!(
            "SET SESSION binlog_format = STATEMENT; INSERT INTO {shop}.stock VALUES (1); INSERT INTO {shop}.stock VALUES (2);
             SET SESSION binlog_format = ROW; INSERT INTO {shop}.last VALUES (1)"
        ));
        wait_for(&mut process, &host, "t", "last", 1);
        let ended = stop(process);
        let told = ended.stderr.lines().filter(|line| line.contains("\"WARN\"") && line.contains("logged as a statement")).count();
        assert_eq!(told, 1, "each table once: {}", ended.stderr);
        assert!(ended.stderr.contains(&format!("{shop}.stock")));
    }
}

/// The operations, tables and ids of the records, in order.
fn story(host: &Sluicegate) -> Vec<String> {
    let records = files::records(&host.path("out"), "t");
    records.iter().map(|r| format!("{} {} {}", r["_op"].as_str().unwrap(), r["_table"].as_str().unwrap(), r["id"])).collect()
}

#[test]
fn rows_that_a_schema_change_removes_are_told_of_in_their_place() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        let mut server = server;
        let database = server.database("removed");
        server.sql(&format!(
            "USE {database}; CREATE TABLE t (id INT PRIMARY KEY); CREATE TABLE u (id INT PRIMARY KEY); CREATE TABLE spare (id INT PRIMARY KEY);
             CREATE TABLE part (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20));
             CREATE TABLE mem (id INT PRIMARY KEY) ENGINE=MEMORY; CREATE TABLE last (id INT PRIMARY KEY)"
        ));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        server.sql(&format!(
            "USE {database}; INSERT INTO t VALUES (1); /* x */ TRUNCATE /*!50003 TABLE */ t; INSERT INTO t VALUES (2);
             INSERT INTO u VALUES (1); DROP TABLE IF EXISTS t, u; CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (3);
             INSERT INTO part VALUES (1), (11); INSERT INTO spare VALUES (2); ALTER TABLE part EXCHANGE PARTITION p0 WITH TABLE spare;
             ALTER TABLE part TRUNCATE PARTITION p0; /*!50003 ALTER TABLE part DROP PARTITION p0 */; RENAME TABLE t TO renamed;
             INSERT INTO mem VALUES (1); INSERT INTO last VALUES (1)"
        ));
        if server.flavor() == Flavor::MariaDb {
            server.sql(&format!("USE {database}; CREATE OR REPLACE TABLE renamed (id INT PRIMARY KEY); INSERT INTO renamed VALUES (4)"));
        }
        wait_for(&mut process, &host, "t", "last", 1);
        // a table in memory is empty after a restart, and the first use of it logs that
        server.stop();
        server.start_again();
        server.sql(&format!("USE {database}; INSERT INTO mem VALUES (2); INSERT INTO last VALUES (2)"));
        wait_for(&mut process, &host, "t", "last", 2);
        server.sql(&format!("DROP DATABASE {database}; CREATE DATABASE {database}; CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
        server.sql(&format!("INSERT INTO {database}.last VALUES (3)"));
        wait_for(&mut process, &host, "t", "last", 3);
        let ended = stop(process);
        let place = shown(&host, "t")["lanes"].to_string();
        assert!(
            place.contains("gtid_set") && !place.replace(' ', "").contains("\"gtid_set\":null"),
            "every transaction had its GTID: {place}"
        );
        let story = story(&host);
        let of = |table: &str| story.iter().filter(|s| s.split(' ').nth(1) == Some(table)).map(String::as_str).collect::<Vec<_>>();
        assert_eq!(of("t"), ["c t 1", "t t null", "c t 2", "t t null", "c t 3"], "{story:?}");
        assert_eq!(of("mem"), ["c mem 1", "t mem null", "c mem 2", "t mem null"], "{story:?}");
        assert_eq!(of("last"), ["c last 1", "c last 2", "t last null", "c last 3"], "{story:?}");
        if server.flavor() == Flavor::MariaDb {
            assert_eq!(of("renamed"), ["t renamed null", "c renamed 4", "t renamed null"], "{story:?}");
        }
        let told = |table: &str, by: &str| {
            let line = |line: &&str| line.contains("\"WARN\"") && line.contains(&format!("{database}{table}\"")) && line.contains(by);
            assert_eq!(ended.stderr.lines().filter(line).count(), 1, "{table} {by}: {}", ended.stderr);
        };
        told(".part", "\"EXCHANGE or CONVERT PARTITION\"");
        told(".spare", "\"EXCHANGE or CONVERT PARTITION\"");
        told(".part", "\"TRUNCATE PARTITION\"");
        told(".part", "\"DROP PARTITION\"");
        told(".t", "RENAME TO");
        told("", "DROP DATABASE");
    }
}

#[test]
fn by_policy_a_schema_change_that_removes_rows_without_naming_them_stops_the_stream() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("partition");
        server.sql(&format!(
            "CREATE TABLE {database}.part (id INT PRIMARY KEY) PARTITION BY RANGE (id)
             (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (20))"
        ));
        let stopping = pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t")))
            .replace("heartbeat:", "rows_by_ddl: stop, heartbeat:");
        let host = Sluicegate::new(BINARY, &stopping);
        let process = start(&host);
        server.sql(&format!("INSERT INTO {database}.part VALUES (1); ALTER TABLE {database}.part DROP PARTITION p0"));
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("a schema change (DROP PARTITION) that removes rows of {database}.part")),
            "{}",
            ended.stderr
        );
        assert_eq!(ids(&host, "t", "part"), [1]);
    }
}

#[test]
fn types_that_may_have_changed_values_of_rows_are_told_of_and_others_are_not() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("retyped");
        server.sql(&format!(
            "USE {database}; CREATE TABLE t (v VARCHAR(40), n INT, d DECIMAL(10,2), e ENUM('a','b'), s VARCHAR(20), f FLOAT, c ENUM('a'), g INT, id INT PRIMARY KEY);
             CREATE TABLE b (id INT PRIMARY KEY, text VARCHAR(20)); CREATE TABLE last (id INT PRIMARY KEY)"
        ));
        let tables = format!("['{database}.*']");
        let host = Sluicegate::new(BINARY, &pipeline(&server, &tables, &format!("[{}]", file("t"))));
        let mut process = start(&host);
        let mut client = server.client();
        client.sql(&format!(
            "USE {database}; SET sql_mode = 'STRICT_TRANS_TABLES'; INSERT INTO b VALUES (1, 'x'); INSERT INTO t VALUES ('a long value', 1000, 1.25, 'b', 's', 1.19, 'a', 1, 1)"
        ));
        for statement in [
            // nothing changes, or the server would have refused it
            "ALTER TABLE t MODIFY s VARCHAR(30), CHANGE n n BIGINT, ADD more INT",
            "ALTER TABLE t MODIFY s VARCHAR(10)",
            "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4",
            "ALTER TABLE t DROP more, ADD other INT, ADD UNIQUE KEY (n)",
            // rounded, labels that are one under the collation, another column, bytes, cut, out of range, without its label, NULL
            "ALTER TABLE t MODIFY d DECIMAL(10,1)",
            "ALTER TABLE t MODIFY f FLOAT(7,1)",
            "ALTER TABLE t MODIFY c ENUM('A')",
            "ALTER TABLE t DROP COLUMN g, ADD g INT DEFAULT 5",
            "ALTER TABLE b CONVERT TO CHARACTER SET binary",
            "SET sql_mode = ''",
            "ALTER TABLE t MODIFY v VARCHAR(5)",
            "ALTER TABLE t CHANGE n m TINYINT",
            "ALTER TABLE t MODIFY e ENUM('a')",
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (id, s)",
            "INSERT INTO last VALUES (1)",
        ] {
            client.sql(statement);
        }
        wait_for(&mut process, &host, "t", "last", 1);
        let ended = stop(process);
        let of = |line: &&str| line.contains("\"WARN\"") && line.contains("a change of columns may have changed values");
        let told: Vec<&str> = ended.stderr.lines().filter(of).collect();
        let expected = ["t (d)", "t (f)", "t (c)", "t (g)", "b (text)", "t (v)", "t (n)", "t (e)", "t (s)"];
        assert_eq!(told.len(), expected.len(), "{}", ended.stderr);
        for (line, column) in told.iter().zip(expected) {
            assert!(line.contains(&format!("{database}.{column}")), "{column}: {line}");
        }

        let stopping = pipeline(&server, &tables, &format!("[{}]", file("t"))).replace("heartbeat:", "rows_by_ddl: stop, heartbeat:");
        let host = Sluicegate::new(BINARY, &stopping);
        let process = start(&host);
        client.sql("INSERT INTO t (id, v) VALUES (2, 'abcde')");
        client.sql("ALTER TABLE t MODIFY v VARCHAR(2)");
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let what = format!("a change of columns that may have changed values of rows of {database}.t (v)");
        assert!(ended.stderr.contains(&what), "{}", ended.stderr);
    }
}
