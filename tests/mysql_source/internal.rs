//! What a server keeps for itself: sequences, hidden columns, the history of versioned tables.

use sluicegate_config::RowImage;
use sluicegate_harness::{database::Server, mariadb, mysql};
use sluicegate_model::{change::Operation, limits::Limits};

use crate::capture::{Capture, TextChange, anew, settings};

/// The operation, the table and the row that it leaves, or removes.
fn shown(change: &TextChange) -> String {
    let row = change.after.as_ref().or(change.before.as_ref()).unwrap();
    let values: Vec<_> = row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
    format!("{:?} {} {}", change.operation, change.table, values.join(" "))
}

fn columns(capture: &Capture, table: &str) -> Vec<String> {
    let rows = capture.held.iter().flat_map(|batch| &batch.tables).find(|rows| rows.table.name.table == table).unwrap();
    rows.table.columns.iter().map(|column| format!("{}{}", column.name, if column.primary_key { " key" } else { "" })).collect()
}

/// MariaDB with all of its metadata, and with its default, none.
fn each_mariadb(test: impl Fn(&Server)) {
    test(&mariadb::shared());
    test(&mariadb::start(&["--binlog-row-metadata=NO_LOG"]));
}

#[test]
fn sequences_are_no_rows_and_stop_nothing() {
    each_mariadb(|server| {
        let database = server.database("sequences");
        server.sql(&format!(
            "CREATE SEQUENCE {database}.numbers START WITH 100 CACHE 10; CREATE SEQUENCE {database}.gone; CREATE SEQUENCE {database}.reused;
             CREATE TABLE {database}.orders (id bigint PRIMARY KEY DEFAULT NEXTVAL({database}.numbers), note varchar(9));
             CREATE TABLE {database}.looks_like_one (next_not_cached_value bigint NOT NULL, minimum_value bigint NOT NULL, maximum_value bigint NOT NULL, \
             start_value bigint NOT NULL, increment bigint NOT NULL, cache_size bigint unsigned NOT NULL, cycle_option tinyint unsigned NOT NULL, \
             cycle_count bigint NOT NULL)"
        ));
        // a pattern that names a sequence exactly does not make it a table either
        let mut settings = settings(server, &database);
        settings.tables = sluicegate_config::TablePatterns::new(&[format!("{database}.*"), format!("{database}.numbers")]).unwrap();
        let mut capture = Capture::start(settings.clone(), anew(), Limits::default());
        server.sql(&format!(
            "INSERT INTO {database}.orders (note) VALUES ('a'); SELECT SETVAL({database}.numbers, 500);
             INSERT INTO {database}.orders (note) VALUES ('b'); INSERT INTO {database}.looks_like_one VALUES (1, 2, 3, 4, 5, 6, 7, 8)"
        ));
        let expected = ["Insert orders 100 a", "Insert orders 501 b", "Insert looks_like_one 1 2 3 4 5 6 7 8"];
        assert_eq!(capture.changes(3).iter().map(shown).collect::<Vec<_>>(), expected);
        // a table under the name of a sequence that was read
        server.sql(&format!("SELECT SETVAL({database}.reused, 7); INSERT INTO {database}.orders (note) VALUES ('read')"));
        assert_eq!(capture.changes(4).iter().map(shown).next_back().as_deref(), Some("Insert orders 502 read"));
        server.sql(&format!(
            "DROP SEQUENCE {database}.reused; CREATE TABLE {database}.reused LIKE {database}.looks_like_one;
             INSERT INTO {database}.reused VALUES (8, 7, 6, 5, 4, 3, 2, 1)"
        ));
        assert_eq!(capture.changes(5).iter().map(shown).next_back().as_deref(), Some("Insert reused 8 7 6 5 4 3 2 1"));
        let place = capture.position();
        capture.stop();
        // rows of a sequence that is gone when they are read; where the log has no names, only what a checkpoint keeps tells it from a
        // table of that shape (`program::binlog::vanished`)
        let gone = if server.client().value("SELECT @@binlog_row_metadata").as_deref() == Some("FULL") { "gone" } else { "numbers" };
        server.sql(&format!(
            "SELECT SETVAL({database}.{gone}, 600); DROP SEQUENCE {database}.gone; ALTER SEQUENCE {database}.numbers RESTART 900;
             INSERT INTO {database}.orders (note) VALUES ('c')"
        ));
        let mut capture = Capture::start(settings, place, Limits::default());
        assert_eq!(capture.changes(1).iter().map(shown).collect::<Vec<_>>(), ["Insert orders 900 c"]);
        capture.stop();
    });
}

#[test]
fn a_sequence_whose_name_a_table_of_other_columns_has_today_is_no_table() {
    // where the log has no names, a checkpoint tells (`program::binlog::vanished`), or nobody knows, and the stream stops
    let server = mariadb::shared();
    let database = server.database("taken");
    server.sql(&format!("USE {database}; CREATE TABLE orders (id INT PRIMARY KEY); CREATE SEQUENCE numbers"));
    let mut first = Capture::start(settings(&server, &database), anew(), Limits::default());
    server.sql(&format!("INSERT INTO {database}.orders VALUES (1)"));
    assert_eq!(first.changes(1).iter().map(shown).collect::<Vec<_>>(), ["Insert orders 1"]);
    let place = first.position();
    first.stop();
    server.sql(&format!(
        "USE {database}; SELECT SETVAL(numbers, 7); DROP SEQUENCE numbers; CREATE TABLE numbers (id INT PRIMARY KEY); INSERT INTO numbers VALUES (2)"
    ));
    let mut capture = Capture::start(settings(&server, &database), place, Limits::default());
    assert_eq!(capture.changes(1).iter().map(shown).collect::<Vec<_>>(), ["Insert numbers 2"]);
    capture.stop();
}

#[test]
fn the_columns_of_hash_indexes_are_not_delivered() {
    each_mariadb(|server| {
        let database = server.database("hashed");
        server.sql(&format!(
            "CREATE TABLE {database}.one (id int PRIMARY KEY, b blob, UNIQUE (b));
             CREATE TABLE {database}.two (id int, a text, b text, UNIQUE (a), UNIQUE (b));
             CREATE TABLE {database}.own (id int PRIMARY KEY, DB_ROW_HASH_1 bigint unsigned);
             CREATE TABLE {database}.memory (id int, x bigint, UNIQUE (id) USING HASH) ENGINE = MEMORY"
        ));
        let mut capture = Capture::start(settings(server, &database), anew(), Limits::default());
        server.sql(&format!(
            "INSERT INTO {database}.one VALUES (1, 'a'), (2, NULL); UPDATE {database}.one SET b = 'b' WHERE id = 1; DELETE FROM {database}.one WHERE id = 1;
             INSERT INTO {database}.two VALUES (1, 'x', NULL); INSERT INTO {database}.own VALUES (1, 18446744073709551615);
             INSERT INTO {database}.memory VALUES (1, -1)"
        ));
        let expected = [
            "Insert one 1 61",
            "Insert one 2 NULL",
            "Update one 1 62",
            "Delete one 1 62",
            "Insert two 1 x NULL",
            "Insert own 1 18446744073709551615",
            "Insert memory 1 -1",
        ];
        assert_eq!(capture.changes(expected.len()).iter().map(shown).collect::<Vec<_>>(), expected);
        for (alter, insert, expected_row) in [
            ("ADD z int DEFAULT 5", "(3, 'c', 6)", "Insert one 3 63 6"),
            ("DROP INDEX b", "(4, 'd', 7)", "Insert one 4 64 7"),
            ("ADD UNIQUE (b), DROP COLUMN z", "(5, 'e')", "Insert one 5 65"),
        ] {
            server.sql(&format!("ALTER TABLE {database}.one {alter}; INSERT INTO {database}.one VALUES {insert}"));
            let count = capture.held.iter().map(|batch| batch.changes.len()).sum::<usize>();
            assert_eq!(shown(&capture.changes(count + 1)[count]), expected_row);
        }
        assert_eq!(columns(&capture, "one"), ["id key", "b"]);
        assert_eq!(columns(&capture, "two"), ["id", "a", "b"]);
        assert_eq!(columns(&capture, "own"), ["id key", "DB_ROW_HASH_1"]);
        capture.stop();
    });
}

#[test]
fn versioned_tables_are_what_select_shows_without_their_history() {
    each_mariadb(|server| {
        let database = server.database("versioned");
        server.sql(&format!(
            "CREATE TABLE {database}.implicit (id int PRIMARY KEY, x int) WITH SYSTEM VERSIONING;
             CREATE TABLE {database}.keyless (x int, b blob, UNIQUE (b)) WITH SYSTEM VERSIONING;
             CREATE TABLE {database}.declared (id int PRIMARY KEY, x int, s timestamp(6) GENERATED ALWAYS AS ROW START, \
             e timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING;
             CREATE TABLE {database}.plain (id int PRIMARY KEY, row_start timestamp(6) NOT NULL, row_end timestamp(6) NOT NULL)"
        ));
        let mut capture = Capture::start(settings(server, &database), anew(), Limits::default());
        server.sql(&format!(
            "SET time_zone = '+00:00'; INSERT INTO {database}.implicit VALUES (1, 1), (2, 1); UPDATE {database}.implicit SET x = x + 1 WHERE id = 1;
             UPDATE {database}.implicit SET id = 9 WHERE id = 2; DELETE FROM {database}.implicit; DELETE HISTORY FROM {database}.implicit;
             REPLACE INTO {database}.implicit VALUES (3, 1); REPLACE INTO {database}.implicit VALUES (3, 2);
             INSERT INTO {database}.keyless VALUES (1, 'a'); UPDATE {database}.keyless SET x = 2; DELETE FROM {database}.keyless;
             INSERT INTO {database}.plain VALUES (1, '2024-01-01', '2024-01-02'); UPDATE {database}.plain SET row_end = '2024-01-03'"
        ));
        let expected = [
            "Insert implicit 1 1",
            "Insert implicit 2 1",
            "Update implicit 1 2",
            "Update implicit 9 1",
            "Delete implicit 1 2",
            "Delete implicit 9 1",
            "Insert implicit 3 1",
            "Update implicit 3 2",
            "Insert keyless 1 61",
            "Update keyless 2 61",
            "Delete keyless 2 61",
            "Insert plain 1 2024-01-01T00:00:00.000000Z 2024-01-02T00:00:00.000000Z",
            "Update plain 1 2024-01-01T00:00:00.000000Z 2024-01-03T00:00:00.000000Z",
        ];
        assert_eq!(capture.changes(expected.len()).iter().map(shown).collect::<Vec<_>>(), expected);
        assert_eq!(columns(&capture, "implicit"), ["id key", "x"]);
        assert_eq!(columns(&capture, "keyless"), ["x", "b"]);
        assert_eq!(columns(&capture, "plain"), ["id key", "row_start", "row_end"]);

        // what is declared is delivered, as SELECT shows it
        server.sql(&format!("INSERT INTO {database}.declared (id, x) VALUES (1, 1); UPDATE {database}.declared SET x = 2"));
        let changes = capture.changes(expected.len() + 2);
        let select = format!("SELECT id, x, CONCAT(REPLACE(s, ' ', 'T'), 'Z'), CONCAT(REPLACE(e, ' ', 'T'), 'Z') FROM {database}.declared");
        assert_eq!(changes[expected.len() + 1].after.as_ref(), server.query(&select).first());
        server.sql(&format!("DELETE FROM {database}.declared"));
        let changes = capture.changes(expected.len() + 3);
        let last = changes.last().unwrap();
        assert_eq!((last.operation, last.after.as_ref()), (Operation::Delete, None));
        assert_eq!(columns(&capture, "declared"), ["id key", "x", "s", "e"]);
        let place = capture.position();
        capture.stop();
        // rows of history count as rows of the log: a start in the middle repeats nothing
        server.sql(&format!("UPDATE {database}.declared SET x = 3; INSERT INTO {database}.plain VALUES (2, '2024-01-01', '2024-01-02')"));
        let mut capture = Capture::start(settings(server, &database), place, Limits::default());
        assert!(shown(&capture.changes(1)[0]).starts_with("Insert plain 2"));
        capture.stop();
    });
}

#[test]
fn history_and_hidden_columns_stay_out_of_rows_that_are_logged_in_part() {
    for image in ["MINIMAL", "NOBLOB"] {
        for metadata in ["FULL", "NO_LOG"] {
            let server = mariadb::start(&[&format!("--binlog-row-image={image}"), &format!("--binlog-row-metadata={metadata}")]);
            let database = server.database("in_part");
            server.sql(&format!(
                "CREATE TABLE {database}.versioned (id int PRIMARY KEY, x int, y int DEFAULT 1, b blob, UNIQUE (b)) WITH SYSTEM VERSIONING;
                 CREATE TABLE {database}.hashed (id int PRIMARY KEY, b blob, c int, UNIQUE (b));
                 CREATE TABLE {database}.keyless (id int, x int) WITH SYSTEM VERSIONING"
            ));
            let mut settings = settings(&server, &database);
            settings.row_image = RowImage::Partial;
            let mut capture = Capture::start(settings, anew(), Limits::default());
            server.sql(&format!(
                "INSERT INTO {database}.versioned (id, x, b) VALUES (1, 1, 'a'), (2, 1, 'b'); UPDATE {database}.versioned SET x = x + 1 WHERE id = 1;
                 DELETE FROM {database}.versioned WHERE id = 1; UPDATE {database}.versioned SET b = 'c'; DELETE HISTORY FROM {database}.versioned;
                 INSERT INTO {database}.hashed (id, b) VALUES (1, 'a'); UPDATE {database}.hashed SET b = 'b'; UPDATE {database}.hashed SET c = 1;
                 DELETE FROM {database}.hashed; INSERT INTO {database}.keyless VALUES (1, 1); UPDATE {database}.keyless SET x = 2; DELETE FROM {database}.keyless"
            ));
            let expected = [
                "Insert versioned 1",
                "Insert versioned 2",
                "Update versioned 1",
                "Delete versioned 1",
                "Update versioned 2",
                "Insert hashed 1",
                "Update hashed 1",
                "Update hashed 1",
                "Delete hashed 1",
                "Insert keyless 1",
                "Update keyless 1",
                "Delete keyless 1",
            ];
            let keys = |change: &TextChange| shown(change).split(' ').take(3).collect::<Vec<_>>().join(" ");
            assert_eq!(capture.changes(expected.len()).iter().map(keys).collect::<Vec<_>>(), expected, "{image} {metadata}");
            capture.stop();
        }
    }
}

#[test]
fn hidden_columns_of_mysql_are_not_logged_and_those_that_can_be_asked_for_are_delivered() {
    for server in [mysql::shared(), mysql::start(&["--binlog-row-metadata=MINIMAL"])] {
        let database = server.database("hidden");
        server.sql(&format!(
            "CREATE TABLE {database}.functional (id int PRIMARY KEY, a varchar(20), KEY ((LOWER(a))), KEY ((id + 1)));
             CREATE TABLE {database}.multi (id int PRIMARY KEY, j json, KEY mv ((CAST(j->'$[*]' AS unsigned array))));
             CREATE TABLE {database}.generated (id int PRIMARY KEY, x int, y int AS (x + 1) VIRTUAL, z int AS (x + 2) STORED, i int DEFAULT 7 INVISIBLE);
             SET sql_generate_invisible_primary_key = ON; CREATE TABLE {database}.keyless (x int)"
        ));
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        server.sql(&format!(
            "INSERT INTO {database}.functional VALUES (1, 'A'); UPDATE {database}.functional SET a = 'B'; INSERT INTO {database}.multi VALUES (1, '[1, 2]');
             INSERT INTO {database}.generated (id, x) VALUES (1, 1); UPDATE {database}.generated SET x = 2; INSERT INTO {database}.keyless VALUES (5)"
        ));
        let expected = [
            "Insert functional 1 A",
            "Update functional 1 B",
            "Insert multi 1 [1, 2]",
            "Insert generated 1 1 2 3 7",
            "Update generated 1 2 3 4 7",
            "Insert keyless 1 5",
        ];
        assert_eq!(capture.changes(expected.len()).iter().map(shown).collect::<Vec<_>>(), expected);
        assert_eq!(columns(&capture, "keyless"), ["my_row_id key", "x"]);
        capture.stop();
    }
}

/// What gh-ost and pt-online-schema-change do, with their statements.
#[test]
fn k6_p17_helper_tables_of_online_schema_changes_are_not_delivered() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("online");
        server.sql(&format!(
            "CREATE TABLE {database}.a (id INT PRIMARY KEY, note VARCHAR(9)); CREATE TABLE {database}.b (id INT PRIMARY KEY, note VARCHAR(9))"
        ));
        let mut capture = Capture::start(settings(&server, &database), anew(), Limits::default());
        let insert = |table: &str, id: u32| format!("INSERT INTO {database}.{table} (id, note) VALUES ({id}, 'x')");
        server.sql(&format!("{}; {}", insert("a", 1), insert("b", 1)));
        server.sql(&format!(
            "USE {database}; CREATE TABLE _a_ghc (id BIGINT AUTO_INCREMENT PRIMARY KEY, hint VARCHAR(64), value VARCHAR(100));
             CREATE TABLE _a_gho LIKE a; ALTER TABLE _a_gho ADD c INT DEFAULT 7;
             INSERT INTO _a_ghc (hint, value) VALUES ('state', 'GhostTableMigrated');
             INSERT /* gh-ost */ IGNORE INTO _a_gho (id, note) SELECT id, note FROM a FORCE INDEX (PRIMARY);
             CREATE TABLE _a_del (id INT PRIMARY KEY) COMMENT='ghost-cut-over-sentry'; DROP TABLE _a_del;
             RENAME TABLE a TO _a_del, _a_gho TO a; DROP TABLE IF EXISTS _a_ghc; {}; DROP TABLE IF EXISTS _a_del",
            insert("a", 2)
        ));
        server.sql(&format!(
            "USE {database}; CREATE TABLE _b_new LIKE b; ALTER TABLE _b_new ADD c INT DEFAULT 8;
             CREATE TRIGGER pt_osc_ins AFTER INSERT ON b FOR EACH ROW REPLACE INTO _b_new (id, note) VALUES (NEW.id, NEW.note); {};
             INSERT LOW_PRIORITY IGNORE INTO _b_new (id, note) SELECT id, note FROM b LOCK IN SHARE MODE;
             RENAME TABLE b TO _b_old, _b_new TO b; DROP TRIGGER pt_osc_ins; DROP TABLE IF EXISTS _b_old; {}",
            insert("b", 2),
            insert("b", 3)
        ));
        let seen: Vec<String> = capture.changes(5).iter().map(shown).collect();
        assert_eq!(seen, ["Insert a 1 x", "Insert b 1 x", "Insert a 2 x 7", "Insert b 2 x", "Insert b 3 x 8"]);
    }
}
