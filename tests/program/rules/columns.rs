//! Rules for columns that tables lose, rename or never had.

use super::*;

fn mask(table: &str, columns: &str) -> String {
    format!("[{{ use: rewrite-columns, config: {{ tables: [{{ table: {table}, {columns} }}] }} }}]")
}

const EMAIL: &str = "columns: [{ column: email, mask: { first: 1 } }]";
const E_MAIL: &str = "columns: [{ column: e_mail, mask: { first: 1 } }]";
const BOTH: &str =
    "columns: [{ column: email, mask: { first: 1 }, missing: ignore }, { column: e_mail, mask: { first: 1 }, missing: ignore }]";

/// Two rows, the renaming, two more changes: behind the reader, so that they fit in one batch.
const RENAMED: &str = "USE DB; INSERT INTO customers VALUES (1, 'ada@example.org'), (2, 'bob@example.org');
    ALTER TABLE customers RENAME COLUMN email TO e_mail;
    INSERT INTO customers VALUES (3, 'cyd@example.org'); UPDATE customers SET e_mail = 'bobby@example.org' WHERE id = 2";

fn expected() -> Vec<Value> {
    vec![
        json!({"_op": "c", "_table": "customers", "id": 1, "email": "a**************"}),
        json!({"_op": "c", "_table": "customers", "id": 2, "email": "b**************"}),
        json!({"_op": "c", "_table": "customers", "id": 3, "e_mail": "c**************"}),
        json!({"_op": "u", "_table": "customers", "id": 2, "e_mail": "b****************"}),
    ]
}

#[test]
fn what_came_before_a_version_that_cannot_be_planned_is_delivered_and_the_next_start_begins_there() {
    for (server, rest) in [(mariadb::shared(), ""), (mysql::shared(), "workers: 3\n")] {
        let database = server.database("renamed");
        server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40))"));
        let host = host(&pipeline(&server, &database, &mask("DB.customers", EMAIL), rest));
        begin(&host);
        server.sql(&RENAMED.replace("DB", &database));
        for _ in 0..2 {
            insta::allow_duplicates! {
                insta::assert_snapshot!(stops(&host, &database), @r"
                error: plugin `rewrite-columns`: DB.customers (id, e_mail): cannot plan the table: table DB.customers: there is no column `email`; did you mean `e_mail`?
                remedy: correct the plugin's `config`, or take the table out of its `tables`
                ");
            }
            assert_eq!(delivered(&host), expected()[..2], "what came before");
        }
        host.write_pipeline(&pipeline(&server, &database, &mask("DB.customers", E_MAIL), rest));
        run_to(&host, 4);
        assert_eq!(delivered(&host), expected());
        nothing_in_clear(&host);
    }
}

#[test]
fn rows_of_other_tables_before_a_version_that_cannot_be_planned_are_delivered() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("others");
        server.sql(&format!(
            "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(40)); CREATE TABLE orders (id INT PRIMARY KEY)"
        ));
        let host = host(&pipeline(&server, &database, &mask("DB.customers", EMAIL), ""));
        begin(&host);
        // behind the reader; also in the transaction of the row that cannot be planned
        server.sql(&format!(
            "USE {database}; INSERT INTO orders VALUES (1); ALTER TABLE customers RENAME COLUMN email TO e_mail; INSERT INTO orders VALUES (2);
             BEGIN; INSERT INTO orders VALUES (3); SAVEPOINT s; INSERT INTO orders VALUES (4); ROLLBACK TO s;
             INSERT INTO customers VALUES (1, 'ada@example.org'); INSERT INTO orders VALUES (5); COMMIT; INSERT INTO orders VALUES (6)"
        ));
        let order = |id: u32| json!({"_op": "c", "_table": "orders", "id": id});
        for _ in 0..2 {
            assert!(stops(&host, &database).contains("there is no column `email`"));
            assert_eq!(delivered(&host), [order(1), order(2), order(3)]);
        }
        host.write_pipeline(&pipeline(&server, &database, &mask("DB.customers", E_MAIL), ""));
        run_to(&host, 6);
        let masked = json!({"_op": "c", "_table": "customers", "id": 1, "e_mail": "a**************"});
        assert_eq!(delivered(&host), [order(1), order(2), order(3), masked, order(5), order(6)]);
    }
}

#[test]
fn one_configuration_may_name_a_column_before_and_after_its_renaming() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("both");
        server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40))"));
        let host = host(&pipeline(&server, &database, &mask("DB.customers", BOTH), ""));
        begin(&host);
        server.sql(&RENAMED.replace("DB", &database));
        run_to(&host, 4);
        assert_eq!(delivered(&host), expected());
    }
}

#[test]
fn a_rule_for_many_tables_is_for_those_that_have_its_columns() {
    let plugins = "
  - use: rewrite-columns
    config:
      tables:
        - table: ['DB.*', '!DB.zz_*']
          columns: [{ column: EMAIL, mask: { first: 1 } }, { column: password, drop: true }, { column: phone, rename: telephone }]
  - { use: filter, config: { tables: [{ table: 'DB.*', where: \"tenant <> 'test'\" }] } }";
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("many");
        server.sql(&format!(
            "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, tenant VARCHAR(10), email VARCHAR(40));
             CREATE TABLE orders (id INT PRIMARY KEY, tenant VARCHAR(10)); CREATE TABLE staff (id INT PRIMARY KEY, Email VARCHAR(40), password VARCHAR(9), phone INT)"
        ));
        let host = host(&pipeline(&server, &database, plugins, ""));
        begin(&host);
        server.sql(&format!(
            "USE {database}; INSERT INTO customers VALUES (1, 'eu', 'ada@example.org'), (2, 'test', 'bob@example.org');
             INSERT INTO orders VALUES (1, 'eu'), (2, 'test'); INSERT INTO staff VALUES (1, 'eve@example.org', 'secret', 7)"
        ));
        run_to(&host, 3);
        let expected = [
            json!({"_op": "c", "_table": "customers", "id": 1, "tenant": "eu", "email": "a**************"}),
            json!({"_op": "c", "_table": "orders", "id": 1, "tenant": "eu"}),
            json!({"_op": "c", "_table": "staff", "id": 1, "Email": "e**************", "telephone": 7}),
        ];
        assert_eq!(delivered(&host), expected);
    }
}

#[test]
fn a_rule_for_many_tables_never_passes_on_a_masked_column_under_another_name() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("lost");
        server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40))"));
        let host = host(&pipeline(&server, &database, &mask("DB.*", EMAIL), ""));
        begin(&host);
        // both versions in one run
        server.sql(&RENAMED.replace("DB", &database));
        for _ in 0..2 {
            insta::allow_duplicates! {
                insta::assert_snapshot!(stops(&host, &database), @r"
                error: plugin `rewrite-columns`: in table DB.customers, the column `e_mail`, which the plugin would pass on as it is, is the one that was called `email` and that it treated
                remedy: what came before is delivered; treat the column by its new name in the plugin's `config`, too; if it may pass as it is, say so with any other change of that `config`, e.g. `missing: ignore` in the entry; then start again
                ");
            }
            assert_eq!(delivered(&host), expected()[..2]);
        }
        let both = "columns: [{ column: email, mask: { first: 1 } }, { column: e_mail, mask: { first: 1 } }]";
        host.write_pipeline(&pipeline(&server, &database, &mask("DB.*", both), ""));
        run_to(&host, 4);
        assert_eq!(delivered(&host), expected());
        // the next renaming comes between two runs
        server.sql(&format!(
            "USE {database}; ALTER TABLE customers RENAME COLUMN e_mail TO mail; INSERT INTO customers VALUES (9, 'zoe@example.org')"
        ));
        assert!(stops(&host, &database).contains("`mail`, which the plugin would pass on as it is, is the one that was called `e_mail`"));
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        let told =
            ["no longer has the column `e_mail`", "is the one that was called `e_mail`"].iter().any(|told| ended.stdout.contains(told));
        assert!(ended.status.code() == Some(3) && told, "{}", ended.stdout);
        nothing_in_clear(&host);
        // a column that goes takes nothing with it
        server
            .sql(&format!("USE {database}; CREATE TABLE leads (id INT PRIMARY KEY, email VARCHAR(40)); INSERT INTO leads VALUES (1, 'x')"));
        let all = format!("{both}, missing: ignore");
        host.write_pipeline(&pipeline(&server, &database, &mask("[DB.leads, DB.*]", &all), ""));
        run_to(&host, 6);
        server.sql(&format!("USE {database}; ALTER TABLE leads DROP COLUMN email; INSERT INTO leads VALUES (2)"));
        run_to(&host, 7);
        assert_eq!(delivered(&host).pop(), Some(json!({"_op": "c", "_table": "leads", "id": 2})));
    }
}

#[test]
fn a_rule_for_many_tables_notices_columns_that_come_later_exchange_their_names_or_stand_in_a_copy() {
    let steps = [
        // in two steps, with rows between them
        (
            "INSERT INTO customers VALUES (1, 'ada@example.org', 'x'); ALTER TABLE customers DROP email; INSERT INTO customers VALUES (2, 'y');
             ALTER TABLE customers ADD e_mail VARCHAR(40); INSERT INTO customers VALUES (3, 'z', 'cyd@example.org')",
            "no longer has the column `email`",
            2,
        ),
        // an exchange of names
        (
            "INSERT INTO customers VALUES (1, 'ada@example.org', 'x'); ALTER TABLE customers RENAME COLUMN email TO note, RENAME COLUMN note TO email;
             INSERT INTO customers VALUES (3, 'cyd@example.org', 'z')",
            "`note`, which the plugin would pass on as it is, is the one that was called `email`",
            1,
        ),
        // the copy of gh-ost
        (
            "INSERT INTO customers VALUES (1, 'ada@example.org', 'x'); CREATE TABLE _customers_gho LIKE customers;
             ALTER TABLE _customers_gho RENAME COLUMN email TO e_mail; INSERT INTO _customers_gho VALUES (1, 'ada@example.org', 'x')",
            "_customers_gho, the column `e_mail`, which the plugin would pass on as it is, is the one that was called `email`",
            1,
        ),
    ];
    for server in [mariadb::shared(), mysql::shared()] {
        for (statements, said, before) in steps {
            let database = server.database("later");
            server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40), note VARCHAR(40))"));
            // the copy is captured only where it is named
            let both = format!("{database}.*', '{database}._customers_gho'], heartbeat");
            let host = host(&pipeline(&server, &database, &mask("DB.*", EMAIL), "").replace(&format!("{database}.*'], heartbeat"), &both));
            begin(&host);
            server.sql(&format!("USE {database}; {statements}"));
            for _ in 0..2 {
                let error = stops(&host, &database);
                assert!(error.contains(said), "{error}");
                assert_eq!(delivered(&host).len(), before);
            }
            nothing_in_clear(&host);
        }
    }
}

const CLOSED: &str = "fail_closed: true, ";

/// What becomes of the table, and how many rows come before the first that would show an address.
const NAMES_TAKEN: [(&str, usize); 5] = [
    ("ALTER TABLE customers RENAME COLUMN email TO contact, ADD email VARCHAR(40); INSERT INTO customers (id, contact) VALUES (2, 'bob@example.org')", 1),
    (
        "ALTER TABLE customers CHANGE email e_mail VARCHAR(40); ALTER TABLE customers RENAME COLUMN e_mail TO contact;
         ALTER TABLE customers ADD email VARCHAR(80) FIRST; UPDATE customers SET email = 'x'",
        1,
    ),
    (
        "ALTER TABLE customers DROP old, CHANGE email old VARCHAR(40), ADD email VARCHAR(40) AFTER id;
         INSERT INTO customers (id, old) VALUES (2, 'bob@example.org')",
        1,
    ),
    (
        "ALTER TABLE customers DROP old; INSERT INTO customers VALUES (2, 'bob@example.org'); ALTER TABLE customers CHANGE email old VARCHAR(40);
         ALTER TABLE customers ADD email VARCHAR(40); INSERT INTO customers (id, old) VALUES (3, 'cyd@example.org')",
        2,
    ),
    (
        "ALTER TABLE customers RENAME TO clients; ALTER TABLE clients RENAME COLUMN email TO contact, ADD email VARCHAR(40);
         INSERT INTO clients (id, contact) VALUES (2, 'bob@example.org')",
        1,
    ),
];

#[test]
fn a_masked_column_that_leaves_its_name_to_a_new_one_is_not_passed_on() {
    let without_names = mariadb::start(&["--binlog-row-metadata=NO_LOG"]);
    for (server, workers, which) in [(mariadb::shared(), 2, 0..5), (mysql::shared(), 1, 0..2), (without_names, 1, 2..5)] {
        for ((statements, before), rest) in NAMES_TAKEN.into_iter().zip(["", CLOSED, "", CLOSED, ""]).skip(which.start).take(which.len()) {
            let database = server.database("taken");
            server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40), old VARCHAR(40))"));
            let plugins = mask("DB.*", EMAIL).replacen("{ use: rewrite-columns, ", &format!("{{ use: rewrite-columns, {rest}"), 1);
            assert_eq!(plugins.contains("fail_closed"), !rest.is_empty(), "{plugins}");
            let host = host(&pipeline(&server, &database, &plugins, &format!("workers: {workers}")));
            begin(&host);
            server.sql(&format!("USE {database}; INSERT INTO customers VALUES (1, 'ada@example.org', 'x'); {statements}"));
            for _ in 0..2 {
                let error = stops(&host, &database);
                assert!(error.contains("which the plugin would pass on as it is, is the one that was called `email`"), "{error}");
                assert_eq!(delivered(&host).len(), before, "{statements}");
            }
            // the plugin is told of both names
            let both = "columns: [{ column: email, mask: {} }, { column: old, mask: {} }, { column: contact, mask: {} }], missing: ignore";
            host.write_pipeline(&pipeline(&server, &database, &plugins.replace(EMAIL, both), &format!("workers: {workers}")));
            run_to(&host, before + 1);
            nothing_in_clear(&host);
        }
    }
}

#[test]
fn a_masked_column_that_a_tool_renames_in_its_copy_of_the_table_is_not_passed_on() {
    let server = mariadb::shared();
    let database = server.database("copied");
    server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40))"));
    // the copy is not captured
    let host = host(&pipeline(&server, &database, &mask("DB.*", EMAIL), "").replace(".*'], heartbeat", ".customers'], heartbeat"));
    begin(&host);
    server.sql(&format!(
        "USE {database}; INSERT INTO customers VALUES (1, 'ada@example.org'); CREATE TABLE _customers_gho LIKE customers;
         ALTER TABLE _customers_gho CHANGE email contact VARCHAR(40), ADD email VARCHAR(40);
         RENAME TABLE customers TO _customers_del, _customers_gho TO customers; INSERT INTO customers (id, contact) VALUES (2, 'bob@example.org')"
    ));
    for _ in 0..2 {
        let error = stops(&host, &database);
        assert!(error.contains("which the plugin would pass on as it is, is the one that was called `email`"), "{error}");
        assert_eq!(delivered(&host).len(), 1);
    }
    nothing_in_clear(&host);
}

/// What is made with the columns of a masked table, and a table that was away for a while.
#[test]
fn a_masked_column_is_followed_into_tables_that_are_made_like_its_own_and_through_other_databases() {
    let elsewhere = |database: &str| format!("{database}_elsewhere");
    for server in [mariadb::shared(), mysql::shared()] {
        for made in [
            "CREATE TABLE lhmn_customers LIKE customers; ALTER TABLE lhmn_customers CHANGE email contact VARCHAR(40), ADD email INT;
             INSERT INTO lhmn_customers (id, contact) VALUES (2, 'bob@example.org')",
            "RENAME TABLE customers TO ELSE.x; ALTER TABLE ELSE.x CHANGE email contact VARCHAR(40); RENAME TABLE ELSE.x TO clients;
             INSERT INTO clients (id, contact) VALUES (2, 'bob@example.org')",
        ] {
            let database = server.database("made_like");
            server.sql(&format!(
                "CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40)); CREATE DATABASE {}",
                elsewhere(&database)
            ));
            let host = host(&pipeline(&server, &database, &mask("DB.*", EMAIL), ""));
            begin(&host);
            server.sql(&format!(
                "USE {database}; INSERT INTO customers VALUES (1, 'ada@example.org'); {}",
                made.replace("ELSE", &elsewhere(&database))
            ));
            for _ in 0..2 {
                let error = stops(&host, &database);
                assert!(
                    error.contains("`contact`, which the plugin would pass on as it is, is the one that was called `email`"),
                    "{error}"
                );
            }
            nothing_in_clear(&host);
        }
    }
}

/// `SET sql_log_bin = 0`: nothing in the log says that the column got another name, and that another one took its name.
#[test]
fn a_change_of_columns_that_no_logged_statement_explains_never_lets_a_masked_column_through() {
    let plain = ["--binlog-row-metadata=MINIMAL"];
    for server in [mariadb::shared(), mysql::shared(), mariadb::start(&["--binlog-row-metadata=NO_LOG"]), mysql::start(&plain)] {
        for closed in ["", ", fail_closed: true"] {
            let database = server.database("unlogged");
            server.sql(&format!(
                "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(40)); CREATE TABLE orders (id INT PRIMARY KEY)"
            ));
            let text = |columns: &str| {
                let tables = format!("[{{ table: 'DB.customers', columns: [{columns}] }}]");
                let plugins = format!("[{{ use: rewrite-columns, name: mask, config: {{ tables: {tables} }}{closed} }}]");
                pipeline(&server, &database, &plugins, "")
            };
            let email = "{ column: email, mask: { first: 1 } }";
            let host = host(&text(email));
            let mut process = host.spawn();
            process.wait_for_line("starting to read the binlog", PATIENCE);
            let folder = host.path("out");
            // a table without masks is not held up, and neither is a change that was logged
            server.sql(&format!(
                "USE {database}; INSERT INTO customers VALUES (1, 'ada@example.org'); INSERT INTO orders VALUES (1);
                 ALTER TABLE customers ADD note INT; INSERT INTO customers VALUES (2, 'bob@example.org', 7);
                 SET sql_log_bin = 0; ALTER TABLE orders ADD n INT; SET sql_log_bin = 1; INSERT INTO orders VALUES (2, 5)"
            ));
            process.wait_until("4 records", PATIENCE, || files::count_so_far(&folder, "s") >= 4);
            server.sql(&format!(
                "USE {database}; SET sql_log_bin = 0; ALTER TABLE customers CHANGE email contact VARCHAR(40), ADD email VARCHAR(40) FIRST;
                 SET sql_log_bin = 1; INSERT INTO customers (id, contact) VALUES (3, 'cyd@example.org')"
            ));
            let ended = process.wait(PATIENCE);
            assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
            for said in [ended.stderr, stops(&host, &database), stops(&host, &database)] {
                let said = said.replace(&database, "DB");
                assert!(said.contains("no statement in the log explains the columns of table DB.customers: `contact`"), "{said}");
            }
            nothing_in_clear(&host);
            // the remedy
            host.write_pipeline(&text(&format!("{email}, {{ column: contact, mask: {{ first: 1 }} }}")));
            run_to(&host, 5);
            let last = delivered(&host).pop().expect("a record");
            assert_eq!((&last["id"], &last["contact"]), (&json!(3), &json!("c**************")));
            server.sql(&format!("INSERT INTO {database}.customers (id, contact) VALUES (4, 'dan@example.org')"));
            run_to(&host, 6);
            nothing_in_clear(&host);
        }
    }
}

/// The same while the program does not run, whatever the log holds of its rows' columns: what the plugins knew of them is kept.
#[test]
fn a_change_of_columns_between_two_runs_that_no_logged_statement_explains_never_lets_a_masked_column_through() {
    let plain = ["--binlog-row-metadata=MINIMAL"];
    let renamed = ("", "CHANGE email contact VARCHAR(40), ADD email VARCHAR(40) FIRST");
    let added = (", fail_closed: true", "ADD contact VARCHAR(40)");
    let cases = [
        (mariadb::shared(), vec![renamed, added]),
        (mysql::shared(), vec![renamed, added]),
        (mariadb::start(&["--binlog-row-metadata=NO_LOG"]), vec![renamed]),
        (mysql::start(&plain), vec![added]),
    ];
    for (server, changes) in cases {
        for (closed, how) in changes {
            let database = server.database("between");
            server.sql(&format!(
                "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(40)); CREATE TABLE orders (id INT PRIMARY KEY)"
            ));
            let text = |columns: &str| {
                // the names at the source count, whatever a plugin before it makes of them
                let names = "{ use: map-names, config: { columns: [{ table: 'DB.customers', from: email, to: mail }] } }";
                let tables = format!("[{{ table: 'DB.customers', columns: [{columns}] }}]");
                let plugins = format!("[{names}, {{ use: rewrite-columns, name: mask, config: {{ tables: {tables} }}{closed} }}]");
                pipeline(&server, &database, &plugins, "")
            };
            let email = "{ column: mail, mask: { first: 1 } }";
            let host = host(&text(email));
            begin(&host);
            server.sql(&format!("INSERT INTO {database}.customers VALUES (1, 'ada@example.org')"));
            run_to(&host, 1);
            // what was logged is explained, also if the run ends before a row comes behind it
            server.sql(&format!("USE {database}; ALTER TABLE customers ADD note INT; INSERT INTO orders VALUES (1)"));
            run_to(&host, 2);
            server.sql(&format!("USE {database}; INSERT INTO customers VALUES (2, 'bob@example.org', 7)"));
            run_to(&host, 3);
            server.sql(&format!(
                "USE {database}; ALTER TABLE customers DROP note, ADD more INT; INSERT INTO customers VALUES (3, 'cyd@example.org', 8)"
            ));
            run_to(&host, 4);
            server.sql(&format!(
                "USE {database}; SET sql_log_bin = 0; ALTER TABLE customers {how}; ALTER TABLE orders ADD n INT; SET sql_log_bin = 1;
                 INSERT INTO orders VALUES (2, 5); INSERT INTO customers (id, contact) VALUES (4, 'dan@example.org')"
            ));
            for _ in 0..2 {
                let said = stops(&host, &database);
                assert!(said.contains("no statement in the log explains the columns of table DB.customers: `contact`"), "{said}");
            }
            nothing_in_clear(&host);
            // the remedy
            host.write_pipeline(&text(&format!("{email}, {{ column: contact, mask: {{ first: 1 }} }}")));
            run_to(&host, 6);
            let last = delivered(&host).pop().expect("a record");
            assert_eq!((&last["id"], &last["contact"]), (&json!(4), &json!("d**************")));
            server.sql(&format!("INSERT INTO {database}.customers (id, contact) VALUES (5, 'eve@example.org')"));
            run_to(&host, 7);
            nothing_in_clear(&host);
        }
    }
}
