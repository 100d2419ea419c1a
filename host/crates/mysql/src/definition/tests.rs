use super::*;
use crate::schema::CatalogueColumn;

fn collations() -> Collations {
    let sets = ["utf8mb4", "utf8mb3", "latin1", "ascii", "ucs2", "gbk", "binary"];
    Collations::new((1..).zip(sets).map(|(id, set)| (id, set.to_owned())))
}

fn read(flavour: Flavour, text: &str) -> Option<Vec<Step>> {
    let collations = collations();
    let (server_charset, real_as_float, explicit_timestamps) = (Some("utf8mb4"), false, Some(true));
    let session = Session { database: "d", flavour, collations: &collations, server_charset, real_as_float, explicit_timestamps };
    super::read(text, Syntax::of(flavour), &session)
}

/// What is known of `d.t` behind these statements, in a database of latin1.
fn after(flavour: Flavour, statements: &[&str]) -> Presence {
    let mut known = std::collections::HashMap::new();
    for statement in statements {
        let Some(steps) = read(flavour, statement) else { return Presence::Unknown };
        for step in steps {
            let mut changed = Vec::new();
            let find = |table: &TableName| known.get(table).cloned().unwrap_or_default();
            apply(&step, Some("latin1"), &collations(), find, |table, presence| changed.push((table, presence)));
            known.extend(changed);
        }
    }
    known.remove(&TableName::new("d", "t")).unwrap_or_default()
}

fn told(column: &CatalogueColumn) -> String {
    let charset = column.charset.as_deref().map(|charset| format!(" {charset}")).unwrap_or_default();
    let key = if column.key.is_empty() { String::new() } else { format!(" {}", column.key) };
    let null = match column.nullable {
        Some(true) => "",
        Some(false) => " NOT NULL",
        None => " ?",
    };
    format!("{} {}{charset}{null}{key}", column.name, column.column_type)
}

#[track_caller]
fn columns(flavour: Flavour, statements: &[&str]) -> Vec<String> {
    match after(flavour, statements) {
        Presence::There(schema) => schema.columns.iter().map(told).collect(),
        other => panic!("{other:?}: {statements:?}"),
    }
}

#[test]
fn types_are_read_with_all_their_names() {
    for (declared, expected) in [
        ("INT", "int"),
        ("INTEGER(11) ZEROFILL", "int unsigned"),
        ("SERIAL", "bigint unsigned NOT NULL PRI"),
        ("BOOL", "tinyint(1)"),
        ("NUMERIC(5)", "decimal(5,0)"),
        ("DEC", "decimal(10,0)"),
        ("FLOAT(25)", "double"),
        ("DOUBLE PRECISION(10,2) UNSIGNED", "double unsigned"),
        ("CHAR", "char(1) latin1"),
        ("CHARACTER VARYING(5)", "varchar(5) latin1"),
        ("NATIONAL CHAR VARYING(5)", "varchar(5) utf8mb3"),
        ("NCHAR(3)", "char(3) utf8mb3"),
        ("VARCHAR(5) CHARACTER SET utf8", "varchar(5) utf8mb3"),
        ("VARCHAR(5) CHARSET binary", "varbinary(5)"),
        ("TEXT COLLATE utf8mb4_bin", "text utf8mb4"),
        ("TEXT(100)", "tinytext latin1"),
        ("TEXT(100) CHARACTER SET utf8mb4", "text utf8mb4"),
        ("BLOB(70000)", "mediumblob"),
        ("VARCHAR(70000)", "mediumtext latin1"),
        ("LONG VARCHAR", "mediumtext latin1"),
        ("CHAR(3) BYTE", "binary(3)"),
        ("CHAR(3) UNICODE", "char(3) ucs2"),
        ("TIMESTAMP(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3)", "timestamp(3)"),
        ("ENUM('a','it''s','x\\\\y  ') NOT NULL DEFAULT 'a' COMMENT 'b'", r"enum('a','it''s','x\\y') latin1 NOT NULL"),
        ("SET('a','b') CHARACTER SET binary", "set('a','b') binary"),
        ("ENUM(x'61', 0x626320, b'01100100', 0b01100101, \"f\")", "enum('a','bc','d','e','f') latin1"),
        ("SET(x'C3A4', 'b') CHARACTER SET utf8mb4", "set('ä','b') utf8mb4"),
        ("INT GENERATED ALWAYS AS (id + length('),')) STORED NOT NULL", "int NOT NULL"),
        ("INT DEFAULT -1 CHECK (v > 0) INVISIBLE", "int"),
        ("INT DEFAULT (uuid()) REFERENCES o (i) ON DELETE SET NULL ON UPDATE NO ACTION", "int"),
        ("BIT DEFAULT b'0'", "bit(1)"),
        ("POINT NOT NULL SRID 4326", "geometry NOT NULL"),
    ] {
        let create = format!("CREATE TABLE t (id INT, v {declared}, w INT)");
        assert_eq!(columns(Flavour::MySql, &[&create])[1], format!("v {expected}"), "{declared}");
    }
    assert_eq!(columns(Flavour::MariaDb, &["CREATE TABLE t (u UUID, j JSON, i INET6)"]), ["u uuid", "j longtext utf8mb4", "i inet6"]);
}

#[test]
fn columns_are_altered_as_servers_alter_them() {
    let create = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(5), c TEXT) DEFAULT CHARSET=utf8mb4";
    for (alter, expected) in [
        ("ADD d INT", "id a b c d"),
        ("ADD COLUMN d INT FIRST, ADD e INT AFTER a", "d id a e b c"),
        ("ADD (d INT, e INT)", "id a b c d e"),
        ("DROP a, ADD a INT", "id b c a"),
        ("MODIFY c TEXT AFTER id", "id c a b"),
        ("CHANGE a z INT FIRST", "z id b c"),
        ("ADD d INT AFTER a, MODIFY a INT FIRST", "a id d b c"),
        ("MODIFY a INT AFTER e, CHANGE c e TEXT FIRST", "e id b a"),
        ("CHANGE a b INT AFTER c, CHANGE b a TEXT", "id a c b"),
        ("RENAME COLUMN a TO b, RENAME COLUMN b TO a", "id b a c"),
        ("MODIFY a INT AFTER c, ADD d INT AFTER a", "id b c a d"),
        ("DROP COLUMN `b` RESTRICT, ALGORITHM=INSTANT, LOCK=DEFAULT", "id a c"),
        ("ENGINE=InnoDB ROW_FORMAT=DYNAMIC, COMMENT='ADD x INT', FORCE", "id a b c"),
        ("ADD INDEX (a), ADD CONSTRAINT x CHECK (a > 1), ALTER b SET DEFAULT (concat('a', ',')), ADD d INT", "id a b c d"),
        ("ADD d INT PARTITION BY HASH (id) PARTITIONS 4", "id a b c d"),
    ] {
        let text = format!("ALTER TABLE t {alter}");
        let found = columns(Flavour::MySql, &[create, &text]);
        let names: Vec<&str> = found.iter().map(|column| column.split(' ').next().unwrap()).collect();
        assert_eq!(names.join(" "), expected, "{alter}");
    }
}

#[test]
fn what_is_not_sure_is_not_known() {
    let create = "CREATE TABLE t (id INT PRIMARY KEY, a INT, e ENUM('é') CHARACTER SET utf8mb4)";
    for alter in [
        "ALTER TABLE t ADD d",
        "ALTER TABLE t ADD d WHATEVER",
        "ALTER TABLE t ADD d INT WHATEVER",
        "ALTER TABLE t WHATEVER",
        "ALTER TABLE t DROP x",
        "ALTER TABLE t ADD a INT",
        "ALTER TABLE t MODIFY x INT",
        "ALTER TABLE t ADD d INT AFTER x",
        "ALTER TABLE t ADD d ENUM(0xe4) CHARACTER SET latin1",
        "ALTER TABLE t ADD d ENUM(0xc3a4) CHARACTER SET latin1",
        "ALTER TABLE t ADD d ENUM(0x5b) CHARACTER SET swe7",
        "ALTER TABLE t ADD d ENUM(0x0061) CHARACTER SET ucs2",
        "ALTER TABLE t ADD d ENUM(0x61, 0xff) CHARACTER SET binary",
        "ALTER TABLE t ADD d ENUM(_latin1'a')",
        "ALTER TABLE t ADD d VARCHAR(5) CHARACTER SET klingon",
        "ALTER TABLE t CONVERT TO CHARACTER SET latin1, CONVERT TO CHARACTER SET gbk COLLATE ascii_bin",
        "ALTER TABLE t CONVERT TO CHARACTER SET ascii",
        "SET STATEMENT sql_mode = 'ORACLE' FOR ALTER TABLE t ADD d INT",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TABLE t (a INT) SELECT 1 AS b",
        "CREATE TABLE t (a INT) PARTITION BY LIST (a) (PARTITION p VALUES IN (1)) SELECT 1 AS b",
        "CREATE TABLE t LIKE other",
    ] {
        assert_eq!(after(Flavour::MariaDb, &[create, alter]), Presence::Unknown, "{alter}");
    }
}

#[test]
fn a_conversion_takes_every_text_along() {
    let create = "CREATE TABLE t (a VARCHAR(5), b TEXT, c TINYTEXT, d ENUM('x'), e VARBINARY(3), f VARCHAR(30000), g LONGTEXT)";
    assert_eq!(
        columns(Flavour::MySql, &[create, "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, ADD h CHAR(2)"]),
        [
            "a varchar(5) utf8mb4",
            "b mediumtext utf8mb4",
            "c text utf8mb4",
            "d enum('x') utf8mb4",
            "e varbinary(3)",
            "f mediumtext utf8mb4",
            "g longtext utf8mb4",
            "h char(2) utf8mb4",
        ]
    );
    // it goes before what a column says, but for bytes
    let alter = "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, ADD b VARCHAR(5) CHARACTER SET gbk, ADD c TEXT(100) CHARACTER SET ascii, \
        ADD d NATIONAL CHAR(2), ADD e CHAR(2) CHARACTER SET binary, ADD f ENUM('x') COLLATE latin1_bin, MODIFY a VARCHAR(3) CHARACTER SET latin1";
    for flavour in [Flavour::MySql, Flavour::MariaDb] {
        assert_eq!(
            columns(flavour, &["CREATE TABLE t (a VARCHAR(5))", alter]),
            ["a varchar(3) utf8mb4", "b varchar(5) utf8mb4", "c text utf8mb4", "d char(2) utf8mb4", "e binary(2)", "f enum('x') utf8mb4",]
        );
    }
    let text = ["CREATE TABLE t (a TEXT)", "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, MODIFY a TINYTEXT CHARACTER SET latin1"];
    assert_eq!(after(Flavour::MySql, &text), Presence::Unknown);
}

#[test]
fn keys_are_those_that_the_catalogue_marks() {
    let key = |statements: &[&str]| {
        let found = columns(Flavour::MySql, statements);
        let marked = found.iter().filter(|column| column.ends_with("PRI")).map(|column| column.split(' ').next().unwrap().to_owned());
        marked.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(key(&["CREATE TABLE t (a INT, b INT, PRIMARY KEY (b, a))"]), "a b");
    assert_eq!(key(&["CREATE TABLE t (a INT, b INT NOT NULL UNIQUE, UNIQUE KEY (a))"]), "b");
    assert_eq!(key(&["CREATE TABLE t (a INT NOT NULL UNIQUE, b INT PRIMARY KEY)", "ALTER TABLE t DROP PRIMARY KEY"]), "a");
    assert_eq!(key(&["CREATE TABLE t (a INT NOT NULL, b INT)", "ALTER TABLE t ADD UNIQUE (a)", "ALTER TABLE t MODIFY a INT NULL"]), "");
    assert_eq!(key(&["CREATE TABLE t (a INT NOT NULL, KEY (a))", "ALTER TABLE t ADD UNIQUE (a)", "DROP INDEX a ON t"]), "a");
    assert_eq!(
        key(&["CREATE TABLE t (a INT, b INT, PRIMARY KEY (a, b))", "ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO c"]),
        "b c"
    );
}

#[test]
fn tables_follow_their_names() {
    let swap = [
        "CREATE TABLE t (a INT)",
        "CREATE TABLE _t_gho LIKE t",
        "ALTER TABLE _t_gho ADD COLUMN b INT",
        "RENAME TABLE t TO _t_del, _t_gho TO t",
    ];
    assert_eq!(columns(Flavour::MySql, &swap), ["a int", "b int"]);
    let back = ["CREATE TABLE t (a INT)", "ALTER TABLE t RENAME u, ADD b INT", "RENAME TABLES u TO d.t"];
    assert_eq!(columns(Flavour::MySql, &back), ["a int", "b int"]);
    assert_eq!(after(Flavour::MySql, &["CREATE TABLE t (a INT)", "DROP TABLE IF EXISTS u, t"]), Presence::Gone);
    let kept = ["CREATE TABLE t (a INT)", "CREATE TABLE IF NOT EXISTS t (b INT)"];
    assert_eq!(columns(Flavour::MySql, &kept), ["a int"]);
    assert_eq!(after(Flavour::MySql, &["CREATE TABLE IF NOT EXISTS t (b INT)"]), Presence::Unknown);
    let anew = ["CREATE TABLE t (a INT)", "CREATE OR REPLACE TABLE t (b INT)"];
    assert_eq!(columns(Flavour::MariaDb, &anew), ["b int"]);
}

#[test]
fn schemas_are_kept_whole_and_those_of_earlier_versions_are_read() {
    let Presence::There(schema) = after(Flavour::MySql, &["CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9), UNIQUE (v))"]) else {
        panic!()
    };
    let kept = serde_json::to_string(&schema).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&kept).unwrap(), schema);
    assert!(schema.applied && schema.charset.as_deref() == Some("latin1") && schema.keys.as_ref().unwrap().len() == 2);
    let columns = serde_json::to_string(&schema.columns).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&columns).unwrap(), Schema::of(schema.columns));
}

#[test]
fn names_are_folded_where_the_server_does_not_tell_them_apart_by_case() {
    let steps = read(Flavour::MySql, "RENAME TABLE T TO Old, `New` TO d.t").unwrap();
    let folded: Vec<String> = steps
        .into_iter()
        .map(|step| step.with_names(crate::statement::lower_case))
        .flat_map(|step| step.tables().map(ToString::to_string).collect::<Vec<_>>())
        .collect();
    assert_eq!(folded, ["d.t", "d.old", "d.new", "d.t"]);
    let database =
        read(Flavour::MySql, "ALTER DATABASE Shop CHARACTER SET latin1").unwrap().remove(0).with_names(crate::statement::lower_case);
    assert!(matches!(database, Step::Database { name, .. } if name == "shop"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_not(text in r"(CREATE|ALTER) TABLE t [A-Za-z(),'` 0-9=]{0,60}") {
        let _ = read(Flavour::MySql, &text);
        let _ = read(Flavour::MariaDb, &text);
    }
}

/// To know the default, the log has to be read ahead. A step that says that it needs none gives the same with any.
#[test]
fn a_step_needs_the_default_of_the_database_only_where_it_makes_a_difference() {
    let statements = [
        ("CREATE TABLE t (a VARCHAR(5)) CHARSET utf8mb4", false),
        ("CREATE TABLE t (a VARCHAR(5) CHARACTER SET ucs2) COLLATE utf8mb4_bin", false),
        ("CREATE TABLE t (a VARCHAR(5))", true),
        ("CREATE TABLE t (a INT)", true),
        ("CREATE TABLE t LIKE u", false),
        ("ALTER TABLE t ADD b VARCHAR(5)", false),
        ("ALTER TABLE t CONVERT TO CHARACTER SET gbk", false),
        ("ALTER TABLE t CONVERT TO CHARACTER SET DEFAULT", true),
        ("ALTER TABLE t ADD b INT, CHARACTER SET DEFAULT", true),
        ("RENAME TABLE t TO v", false),
    ];
    for (statement, needs) in statements {
        for flavour in [Flavour::MySql, Flavour::MariaDb] {
            let steps = read(flavour, statement).unwrap();
            assert_eq!(steps.iter().any(|step| step.database() == Some("d")), needs, "{statement}");
            let before = after(flavour, &["CREATE TABLE t (z VARCHAR(5)) CHARSET gbk"]);
            let with = |default: Option<&str>| {
                let mut changed = Vec::new();
                let find = |_: &TableName| before.clone();
                steps.iter().for_each(|step| apply(step, default, &collations(), find, |table, presence| changed.push((table, presence))));
                changed
            };
            assert_eq!(with(Some("latin1")) != with(Some("ucs2")), needs, "{statement}");
        }
    }
}
