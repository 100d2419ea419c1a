//! Rows are read with the schema of their time, or not at all, on servers that log as they do by default: MariaDB neither names nor
//! signs, MySQL no names.

use serde_json::json;
use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql, until,
};

use super::*;

/// A table of which the schema changes while the number of its columns stays.
struct Change {
    table: &'static str,
    /// The columns at first.
    columns: &'static str,
    before: &'static str,
    change: &'static str,
    after: &'static str,
    /// The rows, without what the format adds.
    rows: [Value; 2],
    /// Only on this server.
    only: Option<Flavor>,
}

/// `T` stands for the table.
fn changes() -> Vec<Change> {
    let change = |table, columns, before, change, after, rows| Change { table, columns, before, change, after, rows, only: None };
    let mut all = vec![
        change(
            "labels",
            "e ENUM('new','paid')",
            "(1, 'paid')",
            "ALTER TABLE T MODIFY e ENUM('new','cancelled','paid')",
            "(2, 'paid')",
            [json!({ "id": 1, "e": "paid" }), json!({ "id": 2, "e": "paid" })],
        ),
        change(
            "flags",
            "s SET('a','b')",
            "(1, 'b')",
            "ALTER TABLE T MODIFY s SET('x','a','b')",
            "(2, 'b')",
            [json!({ "id": 1, "s": "b" }), json!({ "id": 2, "s": "b" })],
        ),
        change(
            "swapped",
            "a INT, b INT",
            "(1, 10, 20)",
            "ALTER TABLE T RENAME COLUMN a TO b, RENAME COLUMN b TO a",
            "(2, 30, 40)",
            [json!({ "id": 1, "a": 10, "b": 20 }), json!({ "id": 2, "b": 30, "a": 40 })],
        ),
        change(
            "moved",
            "a INT, b INT",
            "(1, 10, 20)",
            "ALTER TABLE T MODIFY b INT AFTER id",
            "(2, 30, 40)",
            [json!({ "id": 1, "a": 10, "b": 20 }), json!({ "id": 2, "b": 30, "a": 40 })],
        ),
        change(
            "replaced",
            "a INT",
            "(1, 10)",
            "ALTER TABLE T DROP a, ADD z INT",
            "(2, 30)",
            [json!({ "id": 1, "a": 10 }), json!({ "id": 2, "z": 30 })],
        ),
        change(
            "signs",
            "n INT",
            "(1, -5)",
            "DELETE FROM T; ALTER TABLE T MODIFY n INT UNSIGNED",
            "(2, 4000000000)",
            [json!({ "id": 1, "n": -5 }), json!({ "id": 2, "n": 4_000_000_000_u64 })],
        ),
        change(
            "charsets",
            "v VARCHAR(20) CHARACTER SET utf8mb4",
            "(1, 'né')",
            "ALTER TABLE T MODIFY v VARCHAR(20) CHARACTER SET latin1",
            "(2, 'né')",
            [json!({ "id": 1, "v": "né" }), json!({ "id": 2, "v": "né" })],
        ),
        change(
            "bytes",
            "v VARCHAR(8) CHARACTER SET latin1",
            "(1, 'ab')",
            "ALTER TABLE T MODIFY v VARBINARY(8)",
            "(2, 'ab')",
            [json!({ "id": 1, "v": "ab" }), json!({ "id": 2, "v": "YWI=" })],
        ),
        change(
            "anew",
            "a INT",
            "(1, 10)",
            "DROP TABLE T; CREATE TABLE T (id INT PRIMARY KEY, other INT)",
            "(2, 30)",
            [json!({ "id": 1, "a": 10 }), json!({ "id": 2, "other": 30 })],
        ),
    ];
    for (table, declared, value, text) in [
        ("uuids", "UUID", "'9b2d6f0a-1c3e-4f5a-8b7c-0123456789ab'", "9b2d6f0a-1c3e-4f5a-8b7c-0123456789ab"),
        ("addresses", "INET6", "'2001:db8::1'", "2001:db8::1"),
    ] {
        all.push(Change {
            table,
            columns: "u BINARY(16)",
            before: "(1, X'000102030405060708090A0B0C0D0E0F')",
            change: if declared == "UUID" { "ALTER TABLE T MODIFY u UUID" } else { "ALTER TABLE T MODIFY u INET6" },
            after: if declared == "UUID" { "(2, '9b2d6f0a-1c3e-4f5a-8b7c-0123456789ab')" } else { "(2, '2001:db8::1')" },
            rows: [json!({ "id": 1, "u": "AAECAwQFBgcICQoLDA0ODw==" }), json!({ "id": 2, "u": text })],
            only: Some(Flavor::MariaDb),
        });
        assert!(value.contains(text));
    }
    all
}

impl Change {
    fn is_for(&self, server: &Server) -> bool {
        self.only.is_none_or(|only| only == server.flavor())
    }

    fn sql(&self, database: &str, text: &str) -> String {
        text.replace(" T ", &format!(" {database}.{} ", self.table)).replace(" T;", &format!(" {database}.{};", self.table))
    }

    fn create(&self, database: &str) -> String {
        format!("CREATE TABLE {database}.{} (id INT PRIMARY KEY, {});", self.table, self.columns)
    }

    /// A row before the change, and one behind it.
    fn happen(&self, database: &str) -> String {
        let table = format!("{database}.{}", self.table);
        let change = self.sql(database, self.change);
        format!("INSERT INTO {table} VALUES {}; {change}; INSERT INTO {table} VALUES {};", self.before, self.after)
    }
}

/// The inserted rows of a table, without what the format adds.
fn rows(host: &Sluicegate, sink: &str, table: &str) -> Vec<Value> {
    let records = files::records(&host.path("out"), sink);
    let of_table = records.into_iter().filter(|r| r["_table"] == table && r["_op"] == "c");
    of_table
        .map(|mut record| {
            record.as_object_mut().expect("an object").retain(|name, _| !name.starts_with('_'));
            record
        })
        .collect()
}

fn servers() -> [Server; 2] {
    [mariadb::start(&["--binlog-row-metadata=NO_LOG"]), mysql::start(&["--binlog-row-metadata=MINIMAL"])]
}

/// A database with the tables, and a pipeline over it that has seen them and was stopped.
fn seen_before(server: &Server, sinks: &str) -> (String, Sluicegate) {
    let database = server.database("schemas");
    let create: String = changes().iter().filter(|c| c.is_for(server)).map(|c| c.create(&database)).collect();
    server.sql(&format!("{create} CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
    let host = Sluicegate::new(BINARY, &pipeline(server, &format!("['{database}.*']"), sinks));
    stop(start(&host));
    (database, host)
}

fn earliest(server: &Server, tables: &str) -> String {
    pipeline(server, tables, &format!("[{}]", file("t"))).replace("heartbeat: 1s", "heartbeat: 1s, start: earliest")
}

#[test]
fn rows_from_before_a_schema_change_are_read_with_the_schema_of_their_time() {
    for server in servers() {
        // a reader that was there before the changes
        let (database, host) = seen_before(&server, &format!("[{}]", file("t")));
        let concerned = || changes().into_iter().filter(|change| change.is_for(&server));
        let all: String = concerned().map(|change| change.happen(&database)).collect();
        server.sql(&format!("{all} INSERT INTO {database}.last VALUES (1)"));
        run_to(&host, &["t"], 1);
        for change in concerned() {
            assert_eq!(rows(&host, "t", change.table), change.rows, "{}", change.table);
        }
        // one that comes when all of it is done
        for change in concerned() {
            let host = Sluicegate::new(BINARY, &earliest(&server, &format!("['{database}.{}', '{database}.last']", change.table)));
            run_to(&host, &["t"], 1);
            assert_eq!(rows(&host, "t", change.table), change.rows, "{}", change.table);
        }
    }
}

#[test]
fn rows_from_before_a_change_that_keeps_every_column_are_read() {
    for server in servers() {
        let database = server.database("kept");
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        // a place before everything
        stop(start(&host));
        let table = format!("{database}.t");
        server.sql(&format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, e ENUM('a','b')); INSERT INTO {table} VALUES (1, 'a');
             ALTER TABLE {table} COMMENT 'x', ALTER e SET DEFAULT 'b', ADD INDEX i (e); INSERT INTO {table} VALUES (2, 'b');
             CREATE INDEX j ON {table} (e, id); INSERT INTO {table} VALUES (3, 'a');
             CREATE TABLE {database}.last (id INT PRIMARY KEY); INSERT INTO {database}.last VALUES (1)"
        ));
        run_to(&host, &["t"], 1);
        let expected = [(1, "a"), (2, "b"), (3, "a")].map(|(id, e)| json!({ "id": id, "e": e }));
        assert_eq!(rows(&host, "t", "t"), expected);
    }
}

#[test]
fn what_changes_as_soon_as_the_pipeline_says_that_it_streams_is_followed() {
    for server in servers() {
        let database = server.database("at_once");
        server.sql(&format!(
            "CREATE TABLE {database}.t (id INT PRIMARY KEY, e ENUM('a','b')); CREATE TABLE {database}.last (id INT PRIMARY KEY)"
        ));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        let mut process = host.spawn();
        process.wait_for_line("streaming from this position on", PATIENCE);
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES (1, 'a'); ALTER TABLE {database}.t MODIFY e ENUM('b','a');
             INSERT INTO {database}.t VALUES (2, 'a'); INSERT INTO {database}.last VALUES (1)"
        ));
        wait_for(&mut process, &host, "t", "last", 1);
        stop(process);
        assert_eq!(rows(&host, "t", "t"), [json!({ "id": 1, "e": "a" }), json!({ "id": 2, "e": "a" })]);
    }
}

#[test]
fn what_the_log_of_mariadb_never_tells_is_not_guessed_either() {
    // with FULL metadata
    let server = mariadb::shared();
    let (database, host) = seen_before(&server, &format!("[{}]", file("t")));
    let special = || changes().into_iter().filter(|change| change.only.is_some());
    let all: String = special().map(|change| change.happen(&database)).collect();
    server.sql(&format!("{all} INSERT INTO {database}.last VALUES (1)"));
    run_to(&host, &["t"], 1);
    for change in special() {
        assert_eq!(rows(&host, "t", change.table), change.rows);
        let host = Sluicegate::new(BINARY, &earliest(&server, &format!("['{database}.{}', '{database}.last']", change.table)));
        run_to(&host, &["t"], 1);
        assert_eq!(rows(&host, "t", change.table), change.rows);
    }
}

#[test]
fn a_sink_that_lags_behind_several_changes_gets_each_row_with_the_schema_of_its_time() {
    for server in servers() {
        let database = server.database("lags");
        server.sql(&format!(
            "CREATE TABLE {database}.t (id INT PRIMARY KEY, a INT, b INT); CREATE TABLE {database}.u (id INT PRIMARY KEY, x INT, y INT);
             CREATE TABLE {database}.last (id INT PRIMARY KEY)"
        ));
        let tables = format!("['{database}.*']");
        let both = pipeline(&server, &tables, &format!("[{}, {}]", file("ahead"), file("behind")));
        let host = Sluicegate::new(BINARY, &both);
        stop(start(&host));
        host.write_pipeline(&pipeline(&server, &tables, &format!("[{}]", file("ahead"))));
        let mut process = start(&host);
        let steps = [
            format!("INSERT INTO {database}.t VALUES (1, 10, 20)"),
            format!("ALTER TABLE {database}.t RENAME COLUMN a TO b, RENAME COLUMN b TO a; INSERT INTO {database}.t VALUES (2, 30, 40)"),
            format!(
                "RENAME TABLE {database}.t TO {database}.s, {database}.u TO {database}.t, {database}.s TO {database}.u; INSERT INTO {database}.t VALUES (3, 50, 60)"
            ),
            format!("ALTER TABLE {database}.t DROP y, ADD w INT; INSERT INTO {database}.t VALUES (4, 70, 80)"),
        ];
        for (id, step) in (1..).zip(&steps) {
            server.sql(&format!("{step}; INSERT INTO {database}.last VALUES ({id})"));
            wait_for(&mut process, &host, "ahead", "last", id);
            // reading ahead ends no dump
            assert!(!process.stderr().contains("lost the connection"), "{}", process.stderr());
            // the catalogue is asked anew where nothing waits: once its answer is stored, a crash loses nothing
            process.kill9();
            process = start(&host);
        }
        stop(process);
        host.write_pipeline(&both);
        run_to(&host, &["behind"], 4);
        let expected = [
            json!({ "id": 1, "a": 10, "b": 20 }),
            json!({ "id": 2, "b": 30, "a": 40 }),
            json!({ "id": 3, "x": 50, "y": 60 }),
            json!({ "id": 4, "x": 70, "w": 80 }),
        ];
        assert_eq!(rows(&host, "ahead", "t"), expected);
        assert_eq!(rows(&host, "behind", "t"), expected);
    }
}

#[test]
fn the_ways_on_that_the_error_names_lead_on() {
    for server in servers() {
        let database = server.database("ways");
        server.sql(&format!(
            "CREATE TABLE {database}.t (id INT PRIMARY KEY, a INT, b INT); CREATE TABLE {database}.last (id INT PRIMARY KEY)"
        ));
        let with_table = pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t")));
        let hosts = [Sluicegate::new(BINARY, &with_table), Sluicegate::new(BINARY, &with_table)];
        hosts.iter().for_each(|host| drop(stop(start(host))));
        // nobody was there to see the version in the middle, and the statement has a clause that is not followed
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES (1, 1, 2); ALTER TABLE {database}.t RENAME COLUMN a TO c, ORDER BY b, id; INSERT INTO {database}.t VALUES (2, 1, 2)"
        ));
        let dump = server.query(&format!("SHOW CREATE TABLE {database}.t")).remove(0).remove(1).expect("a statement");
        server.sql(&format!(
            "ALTER TABLE {database}.t RENAME COLUMN b TO a; INSERT INTO {database}.t VALUES (3, 1, 2); INSERT INTO {database}.last VALUES (1)"
        ));
        let [first, second, third] =
            [json!({ "id": 1, "a": 1, "b": 2 }), json!({ "id": 2, "c": 1, "b": 2 }), json!({ "id": 3, "c": 1, "a": 2 })];
        let errors = hosts.each_ref().map(|host| {
            let (code, said) = refused(host);
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains(&format!("the schema of {database}.t at ")), "{said}");
            assert_eq!(rows(host, "t", "t"), std::slice::from_ref(&first), "what stood before is delivered");
            said
        });
        // with a dump of the schema from then
        let [host, _] = &hosts;
        fs::write(host.path("dump.sql"), dump).expect("a file can be written");
        let place = argument(&errors[0], "--place");
        let table = format!("{database}.t");
        let (code, said) = command(host, &["schema", "import", "pipeline.yaml", "--table", &table, "--place", &place, "dump.sql"]);
        assert_eq!(code, Some(0), "{said}");
        run_to(host, &["t"], 1);
        assert_eq!(rows(host, "t", "t"), [first.clone(), second, third.clone()]);
        let [_, host] = &hosts;
        // behind its last change: the version that is known must not be taken for what holds there
        let place = shown(host, "t")["lanes"]["binlog"].clone();
        let offset = argument(&errors[1], "--offset");
        set_place(host, "t", &serde_json::from_str(&offset).expect("an offset"));
        // a file sink whose place is set begins other files
        host.write_pipeline(&with_table.replace("prefix: t", "prefix: later"));
        wait_and_stop(host, "later", 1);
        assert_eq!(rows(host, "later", "t"), [third]);
        // without the table
        let without = pipeline(&server, &format!("['{database}.*', '!{database}.t']"), &format!("[{}]", file("t")));
        host.write_pipeline(&without.replace("prefix: t", "prefix: without"));
        set_place(host, "t", &place);
        wait_and_stop(host, "without", 1);
        assert_eq!(rows(host, "without", "t"), [Value::Null; 0]);
    }
}

/// Runs until the row `id` of a table `last` is in the files of this prefix.
#[track_caller]
fn wait_and_stop(host: &Sluicegate, prefix: &str, id: u32) {
    let mut process = start(host);
    wait_for(&mut process, host, prefix, "last", id);
    stop(process);
}

/// What an error proposes as the value of an option, in single quotes.
#[track_caller]
fn argument(said: &str, option: &str) -> String {
    let value = said.split(&format!("{option} '")).nth(1).and_then(|rest| rest.split('\'').next());
    value.unwrap_or_else(|| panic!("no {option} in {said}")).to_owned()
}

#[test]
fn another_server_goes_on_with_the_versions_of_the_first() {
    for flavor in [Flavor::MariaDb, Flavor::MySql] {
        let (primary, replica) = match flavor {
            Flavor::MariaDb => (
                mariadb::start(&["--binlog-row-metadata=NO_LOG"]),
                mariadb::start(&["--binlog-row-metadata=NO_LOG", "--server-id=2002", "--log-bin=other", "--log-slave-updates"]),
            ),
            Flavor::MySql => (
                mysql::start(&["--binlog-row-metadata=MINIMAL"]),
                mysql::start(&["--binlog-row-metadata=MINIMAL", "--server-id=1002", "--log-bin=other"]),
            ),
        };
        primary.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY, a INT, b INT); CREATE TABLE d.last (id INT PRIMARY KEY)");
        failover::follow(&replica, &primary);
        let of = |server: &Server| pipeline(server, "['d.*']", &format!("[{}]", file("t")));
        let host = Sluicegate::new(BINARY, &of(&primary));
        stop(start(&host));
        primary.sql(
            "INSERT INTO d.t VALUES (1, 10, 20); ALTER TABLE d.t RENAME COLUMN a TO b, RENAME COLUMN b TO a; INSERT INTO d.t VALUES (2, 30, 40);
             INSERT INTO d.last VALUES (1)",
        );
        until("the replica has the rows", PATIENCE, || {
            let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'd' AND table_name = 'last'";
            replica.query(tables)[0][0].as_deref() == Some("1")
                && replica.query("SELECT count(*) FROM d.last")[0][0].as_deref() == Some("1")
        });
        host.write_pipeline(&of(&replica));
        run_to(&host, &["t"], 1);
        assert_eq!(rows(&host, "t", "t"), [json!({ "id": 1, "a": 10, "b": 20 }), json!({ "id": 2, "b": 30, "a": 40 })]);
    }
}

#[test]
fn a_change_that_was_not_logged_is_noticed_where_the_rows_contradict_what_is_known() {
    for server in servers() {
        let database = server.database("unlogged");
        server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY, a INT); CREATE TABLE {database}.last (id INT PRIMARY KEY)"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        stop(start(&host));
        server.sql(&format!(
            "INSERT INTO {database}.t VALUES (1, 10); SET sql_log_bin = 0; ALTER TABLE {database}.t ADD c VARCHAR(9); SET sql_log_bin = 1;
             INSERT INTO {database}.t VALUES (2, 30, 'x'); INSERT INTO {database}.last VALUES (1)"
        ));
        run_to(&host, &["t"], 1);
        assert_eq!(rows(&host, "t", "t"), [json!({ "id": 1, "a": 10 }), json!({ "id": 2, "a": 30, "c": "x" })]);
    }
}

/// The catalogue is in utf8mb3, and shows a question mark for each character beyond that.
#[test]
fn labels_that_the_catalogue_cannot_show_are_read_as_they_are() {
    for server in [mariadb::start(&["--binlog-row-metadata=NO_LOG"]), mysql::start(&["--binlog-row-metadata=MINIMAL"])] {
        let database = server.database("labels");
        server.sql(&format!(
            "USE {database}; CREATE TABLE last (id INT PRIMARY KEY);
             CREATE TABLE t (id INT PRIMARY KEY, e ENUM('😀','b?','日😀?') CHARACTER SET utf8mb4 NOT NULL, s SET('a','y😀') CHARACTER SET utf16);
             INSERT INTO t VALUES (1, 1, 3)"
        ));
        let text = pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t")));
        let host = Sluicegate::new(BINARY, &text.replace("heartbeat: 1s", "heartbeat: 1s, snapshot: initial"));
        let mut process = start(&host);
        process.wait_until("the row that is copied", PATIENCE, || ids(&host, "t", "t") == [1]);
        server.sql(&format!("USE {database}; INSERT INTO t VALUES (2, 2, 2), (3, 3, 1); INSERT INTO last VALUES (1)"));
        wait_for(&mut process, &host, "t", "last", 1);
        stop(process);
        let records = files::records(&host.path("out"), "t");
        let delivered: Vec<Value> =
            records.iter().filter(|r| r["_table"] == "t").map(|r| json!([r["_op"], r["id"], r["e"], r["s"]])).collect();
        let expected = [json!(["r", 1, "😀", "a,y😀"]), json!(["c", 2, "b?", "y😀"]), json!(["c", 3, "日😀?", "a"])];
        assert_eq!(delivered, expected);
    }
}
