//! What the log says of tables is followed: rows from long ago are read with the schema of their time, although the catalogue knows only
//! that of today, on servers that log as they do by default. The server itself is the judge: what SELECT printed at the time.

use sluicegate_harness::{
    database::{Client, Flavor, Server},
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

/// What the program says where the catalogue contradicts what it worked out.
const CONTRADICTED: &str = "another schema than its last logged change gave it";

/// Rows of tables as SELECT printed them at their time: the database and table, and `name=value` of each column.
#[derive(Default)]
struct Told(Vec<(String, String)>);

/// A column, and how SELECT prints what is delivered of it.
fn shown(client: &mut Client, database: &str, table: &str) -> Vec<(String, String, bool)> {
    let query = format!(
        "SELECT column_name, data_type, COALESCE(generation_expression, '') <> '' FROM information_schema.columns \
         WHERE table_schema = '{database}' AND table_name = '{table}' ORDER BY ordinal_position"
    );
    let column = |mut row: Vec<Option<String>>| {
        let (generated, data_type, name) =
            (row.pop().flatten(), row.pop().flatten().expect("a type"), row.pop().flatten().expect("a name"));
        let quoted = format!("`{}`", name.replace('`', "``"));
        let shown = match data_type.to_lowercase().as_str() {
            "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => format!("REPLACE(TO_BASE64({quoted}), '\\n', '')"),
            "bit" | "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => format!("{quoted} + 0"),
            // of these the format has another form
            "float" | "double" | "timestamp" | "datetime" | "date" | "time" | "year" | "json" | "point" | "geometry" | "vector" => {
                format!("IF({quoted} IS NULL, NULL, '?')")
            }
            _ => quoted,
        };
        (name, shown, generated.as_deref() == Some("1"))
    };
    client.query(&query).into_iter().map(column).collect()
}

impl Told {
    /// Inserts a row with this id into a table that there is, and notes what SELECT prints.
    fn insert(&mut self, client: &mut Client, database: &str, table: &str, id: usize) {
        let columns = shown(client, database, table);
        if !columns.iter().any(|(name, ..)| name == "id") {
            return;
        }
        let own: Vec<_> = columns.iter().filter(|(name, _, generated)| name != "id" && !generated).collect();
        let names: String = own.iter().map(|(name, ..)| format!(", `{}`", name.replace('`', "``"))).collect();
        let values: String = (1..=own.len()).map(|place| format!(", '{place}'")).collect();
        client.sql("SET sql_mode = ''");
        let full = format!("INSERT INTO `{database}`.`{table}` (id{names}) VALUES ({id}{values})");
        if client.try_sql(&full).is_err()
            && client.try_sql(&format!("INSERT IGNORE INTO `{database}`.`{table}` (id) VALUES ({id})")).is_err()
        {
            return;
        }
        let list: Vec<String> = columns.iter().map(|(_, shown, _)| shown.clone()).collect();
        let query = format!("SELECT {} FROM `{database}`.`{table}` WHERE id = {id}", list.join(", "));
        let Some(row) = client.query(&query).pop() else { return };
        let value = |((name, ..), value): (&(String, String, bool), Option<String>)| format!("{name}={}", value.unwrap_or("NULL".into()));
        self.0.push((table.to_owned(), columns.iter().zip(row).map(value).collect::<Vec<_>>().join("\u{1f}")));
    }

    /// Compares them with what was delivered.
    #[track_caller]
    fn compare(&self, host: &Sluicegate, table: &str) {
        let told: Vec<&str> = self.0.iter().filter(|(of, _)| of == table).map(|(_, row)| row.as_str()).collect();
        let records = files::records(&host.path("out"), "t");
        let delivered: Vec<String> = records.iter().filter(|r| r["_table"] == table && r["_op"] == "c").map(printed).collect();
        assert_eq!(delivered.len(), told.len(), "{table}: {delivered:#?} {told:#?}");
        for (delivered, told) in delivered.iter().zip(told) {
            let masked: Vec<String> = delivered
                .split('\u{1f}')
                .zip(told.split('\u{1f}'))
                .map(|(column, expected)| match expected.split_once('=') {
                    Some((name, "?")) if column.starts_with(&format!("{name}=")) && !column.ends_with("=NULL") => expected.to_owned(),
                    _ => column.to_owned(),
                })
                .collect();
            assert_eq!(masked.join("\u{1f}"), told, "{table}: {delivered}");
        }
    }
}

pub(super) fn printed(record: &Value) -> String {
    let columns = record.as_object().expect("an object").iter().filter(|(name, _)| !name.starts_with('_'));
    let value = |value: &Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    columns.map(|(name, of)| format!("{name}={}", value(of))).collect::<Vec<_>>().join("\u{1f}")
}

fn servers() -> [Server; 2] {
    [mariadb::start(&["--binlog-row-metadata=NO_LOG"]), mysql::start(&["--binlog-row-metadata=MINIMAL"])]
}

/// A pipeline that begins where the log does, and captures the tables of a database.
fn earliest(server: &Server, tables: &str) -> Sluicegate {
    let text = pipeline(server, tables, &format!("[{}]", file("t")));
    Sluicegate::new(BINARY, &text.replace("heartbeat: 1s", "heartbeat: 1s, start: earliest"))
}

/// Runs statements in a database, with a row into `t` at each `ROW`; then a pipeline that was not there reads all of it.
#[track_caller]
fn follows(server: &Server, statements: &str) {
    let database = server.database("evolution");
    let mut client = server.client();
    client.sql(&format!("USE {database}"));
    let mut told = Told::default();
    let mut tables = "['DB.*']";
    for (id, statement) in (1..).zip(statements.split(" | ")) {
        match statement {
            "ONLY t" => tables = "['DB.t', 'DB.last']",
            "ROW" => told.insert(&mut client, &database, "t", id),
            statement => client.sql(&statement.replace("DB", &database)),
        }
    }
    client.sql("CREATE TABLE last (id INT PRIMARY KEY); INSERT INTO last VALUES (1)");
    let host = earliest(server, &tables.replace("DB", &database));
    let ended = run_to(&host, &["t"], 1);
    assert!(!ended.stderr.contains(CONTRADICTED), "{statements}: {}", ended.stderr);
    assert!(told.0.len() > 1, "{statements}");
    told.compare(&host, "t");
}

/// Statements that both servers know; `ROW` is a row into `t`, `DB` the database, and `ONLY t` captures that table alone.
const SEQUENCES: [&str; 18] = [
    "CREATE TABLE t (id INT, a INT, b INT) | ROW | ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a | ROW | ALTER TABLE t ADD c INT FIRST, DROP a | ROW",
    "CREATE TABLE t (id INT, e ENUM('1','x','2')) | ROW | ALTER TABLE t MODIFY e ENUM('x','1','2') | ROW | ALTER TABLE t CHANGE e f ENUM('2','1') AFTER id | ROW",
    "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9)) | ROW | ALTER TABLE t CONVERT TO CHARACTER SET latin1 | ROW | ALTER TABLE t ADD w TEXT | ROW | ALTER TABLE t MODIFY w BLOB | ROW",
    "ONLY t | CREATE TABLE t (id INT PRIMARY KEY, a INT) | ROW | CREATE TABLE _t_gho LIKE t | ALTER TABLE _t_gho ADD COLUMN b INT FIRST | INSERT INTO _t_gho (id) SELECT id FROM t | ROW | RENAME TABLE t TO _t_del, _t_gho TO t | ROW | DROP TABLE IF EXISTS _t_del | ALTER TABLE t DROP a | ROW",
    "ONLY t | CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(9) DEFAULT NULL) | ROW | CREATE TABLE `DB`.`_t_new` (`id` int NOT NULL, `a` varchar(9) DEFAULT NULL, PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 | ALTER TABLE `DB`.`_t_new` MODIFY a CHAR(9) FIRST, ADD b INT | INSERT LOW_PRIORITY IGNORE INTO `DB`.`_t_new` (`id`, `a`) SELECT `id`, `a` FROM t | RENAME TABLE `DB`.`t` TO `DB`.`_t_old`, `DB`.`_t_new` TO `DB`.`t` | ROW | DROP TABLE IF EXISTS `DB`.`_t_old` | ALTER TABLE t DROP b | ROW",
    "CREATE TABLE t (id INT, a INT) | ROW | DROP TABLE t | CREATE TABLE IF NOT EXISTS t (id INT, b INT) | ROW | CREATE TABLE IF NOT EXISTS t (id INT, c INT) | ROW | ALTER TABLE t RENAME COLUMN b TO c | ROW",
    "CREATE TABLE t (id INT, a INT) | ROW | ALTER TABLE t RENAME TO u, ADD b INT AFTER id | RENAME TABLE u TO t | ROW | ALTER TABLE t DROP b | ROW",
    "ALTER DATABASE DB CHARACTER SET latin1 | CREATE TABLE t (id INT, a VARCHAR(9)) | ROW | ALTER DATABASE DB CHARACTER SET utf8mb4 | CREATE TABLE u (id INT, a VARCHAR(9)) | ROW | RENAME TABLE t TO s, u TO t, s TO u | ROW | ALTER TABLE t RENAME COLUMN a TO b | ROW",
    "SET sql_mode = 'ANSI_QUOTES' | CREATE TABLE \"t\" (\"id\" INT, \"a b\" INT, \"c`d\" INT) | ROW | SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' | ALTER TABLE t RENAME COLUMN \"a b\" TO \"c\", ADD f ENUM('\\','1') | ROW | ALTER TABLE t DROP c | ROW",
    "CREATE TABLE t (id INT, e ENUM(x'61', 0x31, b'00110010') CHARACTER SET utf8mb4, s SET(X'C3A4', '2', 0x31)) | ROW | ALTER TABLE t MODIFY e ENUM(0x32, 'x', x'31') FIRST, ADD f ENUM(0x33, x'e282ac', 0b01100001) CHARACTER SET utf8mb3 | ROW | ALTER TABLE t DROP s | ROW",
    r"CREATE TABLE t (id INT, e ENUM('x\\y','a\\\'b','1\n','\%','\q'), f SET('''', '\\\\')) | ROW | SET sql_mode = 'NO_BACKSLASH_ESCAPES' | ALTER TABLE t MODIFY e ENUM('a\','x\y','b\\n') COMMENT 'x\' FIRST, ADD g ENUM('g','\%','\') | ROW | ALTER TABLE t MODIFY f SET('\\','a\'b','c') | ROW | ALTER TABLE t DROP g | ROW",
    r#"SET sql_mode = 'ANSI_QUOTES' | CREATE TABLE "t" ("id" INT, "a""b" ENUM('x"y','1'), "c\d" SET('"','`')) | ROW | SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES' | ALTER TABLE "t" RENAME COLUMN "a""b" TO "e'", MODIFY "c\d" SET('\"') FIRST | ROW | ALTER TABLE t CHANGE `e'` f ENUM("1", "x'\"y") | ROW | ALTER TABLE t DROP f | ROW"#,
    "/*!50000 CREATE TABLE t (id INT, a INT) */ | ROW | /* x */ /*!50000 ALTER */ TABLE t -- y\n RENAME COLUMN a TO b | ROW | ALTER TABLE t CHANGE b c BIGINT UNSIGNED | ROW",
    "CREATE TABLE t (id INT, a INT, g INT GENERATED ALWAYS AS (a + 1) STORED, h INT AS (a + 2)) | ROW | ALTER TABLE t MODIFY g INT GENERATED ALWAYS AS (a + 1) STORED FIRST | ROW | ALTER TABLE t DROP h | ROW",
    "CREATE TABLE t (id INT NOT NULL, a INT NOT NULL, UNIQUE (a), UNIQUE (id)) | ROW | ALTER TABLE t ADD PRIMARY KEY (id) | ROW | ALTER TABLE t DROP PRIMARY KEY, DROP INDEX a | ROW | ALTER TABLE t ADD b INT FIRST | ROW",
    "CREATE TABLE t (id INT, a INT) PARTITION BY HASH (id) PARTITIONS 2 | ROW | ALTER TABLE t ADD PARTITION PARTITIONS 1 | ROW | ALTER TABLE t REMOVE PARTITIONING | ALTER TABLE t RENAME COLUMN a TO b | ROW | ALTER TABLE t ADD a INT, ALGORITHM=INSTANT | ROW",
    "CREATE TABLE t (id INT, v VARCHAR(9)) CHARSET latin1 | ROW | ALTER TABLE t CONVERT TO CHARACTER SET latin2, ADD w VARCHAR(9) CHARACTER SET utf8mb4, ADD x TEXT(100) CHARACTER SET utf8mb4 | ROW | ALTER TABLE t ADD y INT FIRST | ROW",
    "CREATE TABLE u (id INT, a INT); INSERT INTO u VALUES (100, 1); CREATE TABLE t SELECT id, a, 'x' AS b FROM u WHERE id = 0 | ROW | ALTER TABLE t DROP a | ROW | ALTER TABLE t ADD c INT AFTER id | ROW",
];

/// Those that only MariaDB knows.
const OF_MARIADB: [&str; 8] = [
    "CREATE OR REPLACE TABLE t (id INT, a INT) | ROW | CREATE OR REPLACE TABLE t (id INT, b INT, u UUID) | ROW | ALTER TABLE t ADD COLUMN IF NOT EXISTS b INT FIRST, ADD COLUMN IF NOT EXISTS c INT FIRST, DROP COLUMN IF EXISTS x, MODIFY IF EXISTS u BINARY(16) | ROW | ALTER TABLE IF EXISTS t DROP c | ROW",
    "CREATE TABLE t (id INT, a INT, j JSON, u INET6) | ROW | SET STATEMENT lock_wait_timeout=5 FOR ALTER TABLE t WAIT 5 RENAME COLUMN a TO b | ROW | ALTER TABLE t MODIFY u BINARY(16), CONVERT TO CHARACTER SET latin1 | ROW | RENAME TABLE IF EXISTS t WAIT 5 TO u, nothing TO nowhere | RENAME TABLE u TO t | ROW",
    "CREATE TABLE t (id INT, a INT) WITH SYSTEM VERSIONING | ROW | SET system_versioning_alter_history = KEEP | ALTER TABLE t ADD b INT AFTER id | ROW | ALTER TABLE t DROP a | ROW",
    "CREATE TABLE t (id INT, b BLOB, a INT, UNIQUE (b)) | ROW | DELETE FROM t | ALTER TABLE t RENAME COLUMN a TO c | ROW | DELETE FROM t | ALTER TABLE t ADD d INT FIRST | ROW",
    "CREATE TABLE t (id INT, s DATE DEFAULT '2020-01-01', e DATE DEFAULT '2021-01-01', PERIOD FOR p (s, e)) | ROW | ALTER TABLE t ADD a INT FIRST | ROW | ALTER TABLE t DROP a | ROW",
    "SET sql_mode = 'ORACLE' | CREATE TABLE t (id INT, a VARCHAR2(9)) | SET sql_mode = '' | DROP TABLE t | CREATE TABLE t (id INT, a INT) | ROW | ALTER TABLE t RENAME COLUMN a TO b | ROW | ALTER TABLE t ADD a INT | ROW",
    "CREATE TABLE t (id INT PRIMARY KEY, a INT) | ROW | ALTER TABLE t ADD INDEX IF NOT EXISTS i (a), ADD b INT FIRST | ROW | CREATE INDEX IF NOT EXISTS i ON t (b) | CREATE OR REPLACE INDEX i ON t (b) | ALTER TABLE t RENAME COLUMN a TO c | ROW",
    "CREATE TABLE t (id INT, a INT INVISIBLE, v VARCHAR(9) COMPRESSED) | ROW | ALTER TABLE t MODIFY v VARCHAR(20) COMPRESSED FIRST | ROW | ALTER TABLE t DROP a | ROW",
];

#[test]
fn rows_between_changes_that_nobody_saw_are_read_with_the_schema_of_their_time() {
    for server in servers() {
        let of_mariadb: &[&str] = if server.flavor() == Flavor::MariaDb { &OF_MARIADB } else { &[] };
        SEQUENCES.iter().chain(of_mariadb).for_each(|statements| follows(&server, statements));
    }
}

/// MariaDB's modes under which names of types mean something else, and `[…]` is a name.
#[test]
fn what_other_dialects_of_mariadb_do_to_tables_is_read_or_told() {
    let server = mariadb::start(&["--binlog-row-metadata=NO_LOG"]);
    for mode in ["ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL"] {
        let database = server.database("dialect");
        let mut client = server.client();
        client.sql(&format!("USE {database}; CREATE TABLE last (id INT PRIMARY KEY); SET sql_mode = '{mode}'"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        let name = if mode == "MSSQL" { "[t x]" } else { "\"t x\"" };
        let text = if mode == "ORACLE" { "VARCHAR2(20)" } else { "VARCHAR(20)" };
        client.sql(&format!("CREATE TABLE {name} (id INT PRIMARY KEY, v {text}, \"e\" ENUM('a','b\"c','d'), d DATE)"));
        client.sql(&format!("INSERT INTO {name} VALUES (1, 'v', 'b\"c', '2024-02-29')"));
        client.sql("INSERT INTO last VALUES (1)");
        wait_for(&mut process, &host, "t", "last", 1);
        client.sql(&format!("ALTER TABLE {name} ADD \"w\" {text} FIRST, MODIFY \"e\" ENUM('d','b\"c')"));
        client.sql(&format!("INSERT INTO {name} VALUES ('w', 2, 'v', 'd', NULL)"));
        client.sql("INSERT INTO last VALUES (2)");
        wait_for(&mut process, &host, "t", "last", 2);
        client.sql(&format!("TRUNCATE TABLE {name}"));
        client.sql("INSERT INTO last VALUES (3)");
        wait_for(&mut process, &host, "t", "last", 3);
        stop(process);
        let records: Vec<Value> = files::records(&host.path("out"), "t").into_iter().filter(|r| r["_table"] == "t x").collect();
        let rows: Vec<String> = records.iter().filter(|r| r["_op"] == "c").map(printed).collect();
        // its DATE has a time
        let date = if mode == "ORACLE" { "2024-02-29 00:00:00" } else { "2024-02-29" };
        let expected = [format!("id=1\u{1f}v=v\u{1f}e=b\"c\u{1f}d={date}"), "w=w\u{1f}id=2\u{1f}v=v\u{1f}e=d\u{1f}d=NULL".to_owned()];
        assert_eq!(rows, expected, "{mode}");
        assert_eq!(records.last().map(|r| r["_op"].as_str()), Some(Some("t")), "{mode}");

        // nobody saw the versions between: nothing is guessed
        client.sql(&format!("ALTER TABLE {name} ADD \"x\" INT FIRST; INSERT INTO {name} (id) VALUES (3); ALTER TABLE {name} DROP \"x\""));
        client.sql("INSERT INTO last VALUES (4)");
        let (code, said) = refused(&host);
        assert_eq!(code, Some(1), "{mode}: {said}");
        assert!(said.contains(&format!("the schema of {database}.t x at ")) && said.contains("is not known"), "{mode}: {said}");
    }
}

/// The catalogue does not tell names of keys: what is known of them from the log stays.
#[test]
fn keys_are_known_behind_a_schema_that_the_catalogue_has_confirmed() {
    for server in servers() {
        let database = server.database("keys");
        let mut client = server.client();
        let mut told = Told::default();
        client.sql(&format!("USE {database}; CREATE TABLE last (id INT PRIMARY KEY)"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        client.sql("CREATE TABLE t (id INT PRIMARY KEY, a INT, KEY i (a))");
        told.insert(&mut client, &database, "t", 1);
        client.sql("INSERT INTO last VALUES (1)");
        wait_for(&mut process, &host, "t", "last", 1);
        stop(process);
        client.sql("ALTER TABLE t DROP KEY i, ADD b INT FIRST");
        told.insert(&mut client, &database, "t", 2);
        client.sql("ALTER TABLE t MODIFY id BIGINT, RENAME COLUMN a TO c");
        told.insert(&mut client, &database, "t", 3);
        client.sql("ALTER TABLE t ADD d INT; INSERT INTO last VALUES (2)");
        run_to(&host, &["t"], 2);
        told.compare(&host, "t");
    }
}

/// Of a table that was there before, the catalogue tells that its key is a primary one: it holds no NULL, whatever an ALTER says of its
/// columns, and other keys may go.
#[test]
fn a_primary_key_of_the_catalogue_is_known_through_changes_of_its_columns() {
    for server in servers() {
        let database = server.database("primary");
        let mut client = server.client();
        let mut told = Told::default();
        client.sql(&format!(
            "USE {database}; CREATE TABLE last (id INT PRIMARY KEY); CREATE TABLE t (id INT PRIMARY KEY, w INT, x INT, UNIQUE KEY u (x))"
        ));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &format!("['{database}.*']"), &format!("[{}]", file("t"))));
        let mut process = start(&host);
        client.sql("INSERT INTO last VALUES (1)");
        wait_for(&mut process, &host, "t", "last", 1);
        stop(process);
        let changes = [
            "ALTER TABLE t MODIFY id BIGINT, DROP KEY u",
            "ALTER TABLE t ADD n INT AFTER w, MODIFY w INT FIRST",
            "ALTER TABLE t CHANGE id id INT NULL",
        ];
        // MariaDB takes NULL for what it cannot be; MySQL refuses
        let changes = &changes[..if server.flavor() == Flavor::MariaDb { 3 } else { 2 }];
        for (id, change) in (1..).zip(changes) {
            client.sql(change);
            told.insert(&mut client, &database, "t", id);
        }
        client.sql("ALTER TABLE t ADD d INT; INSERT INTO last VALUES (2)");
        run_to(&host, &["t"], 2);
        told.compare(&host, "t");
    }
}

#[test]
fn versions_are_kept_of_tables_whose_patterns_are_written_in_another_case() {
    let server = mariadb::start(&["--binlog-row-metadata=NO_LOG", "--lower-case-table-names=1"]);
    let database = server.database("cased");
    let mut client = server.client();
    let mut told = Told::default();
    client.sql(&format!("USE {database}; CREATE TABLE last (id INT PRIMARY KEY); CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)"));
    let tables = format!("['{}.*']", database.to_uppercase());
    let host = Sluicegate::new(BINARY, &pipeline(&server, &tables, &format!("[{}]", file("t"))));
    let mut process = start(&host);
    told.insert(&mut client, &database, "t", 1);
    client.sql("INSERT INTO last VALUES (1)");
    wait_for(&mut process, &host, "t", "last", 1);
    stop(process);
    told.insert(&mut client, &database, "t", 2);
    client.sql("ALTER TABLE T RENAME COLUMN a TO b, RENAME COLUMN b TO a");
    told.insert(&mut client, &database, "t", 3);
    client.sql("INSERT INTO last VALUES (2)");
    run_to(&host, &["t"], 2);
    told.compare(&host, "t");
}

#[test]
fn an_alter_that_mariadb_logs_twice_counts_when_it_is_done() {
    let server = mariadb::start(&["--binlog-row-metadata=NO_LOG", "--binlog-alter-two-phase=ON"]);
    let database = server.database("halves");
    server.sql(&format!(
        "USE {database}; CREATE TABLE t (id INT, a INT, b INT); CREATE TABLE last (id INT PRIMARY KEY); INSERT INTO t VALUES (1, 10, 20);
         ALTER TABLE t CHANGE a b INT, CHANGE b a INT, ALGORITHM=COPY; INSERT INTO t VALUES (2, 30, 40)"
    ));
    // taken back
    let duplicate =
        format!("USE {database}; INSERT INTO t VALUES (2, 30, 40); ALTER TABLE t RENAME COLUMN a TO c, ADD UNIQUE (id), ALGORITHM=COPY");
    server.client().try_sql(&duplicate).expect_err("a duplicate");
    server.sql(&format!("USE {database}; INSERT INTO t VALUES (3, 50, 60); ALTER TABLE t DROP a; INSERT INTO last VALUES (1)"));
    let host = earliest(&server, &format!("['{database}.*']"));
    run_to(&host, &["t"], 1);
    let delivered: Vec<String> = files::records(&host.path("out"), "t").iter().filter(|r| r["_table"] == "t").map(printed).collect();
    let row = |id: u32, one: &str, two: &str| format!("id={id}\u{1f}{one}\u{1f}{two}");
    let second = row(2, "b=30", "a=40");
    assert_eq!(delivered, [row(1, "a=10", "b=20"), second.clone(), second, row(3, "b=50", "a=60")]);
}

/// A generator of numbers that is the same everywhere.
pub(super) struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }

    pub fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const TYPES: [&str; 52] = [
    "INT",
    "BIGINT UNSIGNED",
    "TINYINT(1)",
    "BOOL NOT NULL DEFAULT 0",
    "MEDIUMINT ZEROFILL",
    "SMALLINT UNSIGNED NULL",
    "DECIMAL(7,2)",
    "NUMERIC(5) UNSIGNED",
    "DEC",
    "FLOAT",
    "FLOAT(30)",
    "DOUBLE PRECISION",
    "REAL",
    "BIT(9)",
    "YEAR",
    "DATE",
    "TIME(3)",
    "DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6)",
    "TIMESTAMP NULL",
    "TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP",
    "CHAR",
    "CHAR(7) CHARACTER SET latin1",
    "CHARACTER VARYING(20)",
    "VARCHAR(20) COLLATE utf8mb4_bin NOT NULL DEFAULT 'a,b'",
    "VARCHAR(300) CHARACTER SET utf8mb3",
    "VARCHAR(20) CHARACTER SET ucs2",
    "VARCHAR(10) CHARACTER SET binary",
    "VARCHAR(70000)",
    "VARCHAR(20000)",
    "NCHAR(5)",
    "NATIONAL VARCHAR(9)",
    "NVARCHAR(9) NULL",
    "BINARY(5)",
    "BINARY",
    "VARBINARY(30)",
    "CHAR(4) BYTE",
    "CHAR(4) ASCII",
    "CHAR(4) UNICODE",
    "TEXT",
    "TEXT(60)",
    "TEXT(100) CHARACTER SET utf8mb4",
    "TINYTEXT",
    "MEDIUMTEXT CHARACTER SET latin1",
    "LONG VARCHAR",
    "LONGTEXT",
    "BLOB",
    "BLOB(100)",
    "LONGBLOB",
    "ENUM('1','x','it''s, 2','3 ')",
    "ENUM('é','2') CHARACTER SET utf8mb4 NOT NULL",
    "SET('a','1','4') COMMENT 'FIRST, AFTER'",
    "JSON",
];

/// Clauses of ALTER TABLE. `T` stands for a type, `C` for a column that there may be, `N` for a new name.
const CLAUSES: [&str; 36] = [
    "ADD N T",
    "ADD COLUMN N T FIRST",
    "ADD N T AFTER C",
    "ADD (N T)",
    "ADD N INT AS (1 + 2)",
    "ADD N INT GENERATED ALWAYS AS (length('a,)')) STORED AFTER C",
    "DROP C",
    "DROP COLUMN C",
    "MODIFY C T",
    "MODIFY COLUMN C T FIRST",
    "MODIFY C T AFTER C",
    "CHANGE C N T",
    "CHANGE COLUMN C N T AFTER C",
    "RENAME COLUMN C TO N",
    "RENAME COLUMN C TO C",
    "CONVERT TO CHARACTER SET latin1",
    "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CONVERT TO CHARACTER SET utf8mb3",
    "CONVERT TO CHARACTER SET DEFAULT",
    "DEFAULT CHARACTER SET = latin1",
    "COLLATE utf8mb4_general_ci",
    "CHARSET utf8mb3",
    "ADD PRIMARY KEY (id)",
    "ADD CONSTRAINT PRIMARY KEY USING BTREE (id, C)",
    "DROP PRIMARY KEY",
    "ADD UNIQUE (id)",
    "ADD UNIQUE KEY k (C)",
    "ADD INDEX (C)",
    "DROP INDEX id",
    "DROP KEY k",
    "MODIFY id INT NOT NULL",
    "MODIFY id BIGINT",
    "MODIFY id INT UNIQUE",
    "COMMENT 'x', ALGORITHM=COPY",
    "ENGINE=InnoDB",
    "ADD CONSTRAINT CHECK (id > 0)",
];

const COLUMNS: [&str; 6] = ["a", "b", "`c d`", "e", "Fä", "g"];

fn filled(random: &mut Random, clause: &str) -> String {
    let words = clause.split(' ').map(|word| match word.trim_matches(['(', ')', ',']) {
        "T" => word.replace('T', random.of(&TYPES)),
        "C" | "N" => word.replace(['C', 'N'], random.of(&COLUMNS)),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn create(random: &mut Random, table: &str) -> String {
    let mut parts =
        vec![random.of(&["id INT", "id INT PRIMARY KEY", "id BIGINT NOT NULL UNIQUE", "id SERIAL", "id INT NOT NULL"]).to_owned()];
    for column in &COLUMNS[..random.below(COLUMNS.len())] {
        parts.insert(random.below(parts.len() + 1), format!("{column} {}", random.of(&TYPES)));
    }
    let options = ["", "DEFAULT CHARSET=latin1", "COLLATE = utf8mb4_bin", "ENGINE=InnoDB CHARACTER SET utf8mb3 COMMENT='CHARSET=ucs2'"];
    format!("CREATE TABLE {table} ({}) {}", parts.join(", "), random.of(&options))
}

/// Any changes of a table, with rows between them; those that the server refuses are none. Each final version is compared with the
/// catalogue's by the program itself, and each row here.
#[test]
fn random_changes_are_followed_and_end_in_the_catalogues_schema() {
    const TABLES: usize = 24;
    const CHANGES: usize = 7;
    let seed = std::env::var("SLUICEGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed_0001);
    std::thread::scope(|scope| {
        for server in servers() {
            scope.spawn(move || {
                let mut random = Random(seed);
                let database = server.database("random");
                let mut client = server.client();
                client.sql(&format!("USE {database}"));
                let (mut told, mut changes, mut log) = (Told::default(), 0, Vec::new());
                for table in (0..TABLES).map(|number| format!("t{number}")) {
                    let mut id = 0;
                    let mut run = |client: &mut Client, told: &mut Told, random: &mut Random, statement: &str| {
                        client.sql(random.of(&[
                            "SET sql_mode = ''",
                            "SET sql_mode = 'STRICT_ALL_TABLES'",
                            "SET sql_mode = 'REAL_AS_FLOAT,ANSI_QUOTES'",
                        ]));
                        if client.try_sql(statement).is_ok() {
                            log.push(statement.to_owned());
                            changes += 1;
                            id += 1;
                            told.insert(client, &database, &table, id);
                        }
                    };
                    while told.0.last().is_none_or(|(last, _)| *last != table) {
                        let statement = create(&mut random, &table);
                        run(&mut client, &mut told, &mut random, &format!("DROP TABLE IF EXISTS {table}"));
                        run(&mut client, &mut told, &mut random, &statement);
                    }
                    for _ in 0..CHANGES {
                        let mut clauses = Vec::new();
                        for _ in 0..=random.below(3) {
                            let clause = random.of(&CLAUSES);
                            clauses.push(filled(&mut random, clause));
                        }
                        let statement = format!("ALTER TABLE {table} {}", clauses.join(", "));
                        run(&mut client, &mut told, &mut random, &statement);
                    }
                }
                assert!(changes > TABLES * 3, "{changes} changes");
                client.sql("CREATE TABLE last (id INT PRIMARY KEY); INSERT INTO last VALUES (1)");
                let host = earliest(&server, &format!("['{database}.*']"));
                let mut process = host.spawn();
                process.wait_until("the last row", PATIENCE, || ids(&host, "t", "last") == [1]);
                let ended = stop(process);
                assert!(!ended.stderr.contains(CONTRADICTED), "{log:#?}\n{}", ended.stderr);
                for table in 0..TABLES {
                    told.compare(&host, &format!("t{table}"));
                }
            });
        }
    });
}
