//! What `check` says of tables, rules and their effect, and what a run warns of.

use super::*;
use sluicegate_harness::{free_port, host::http_get};

/// The exit code, and the lines of a check about these items, with the database's name replaced.
fn check(host: &Sluicegate, database: &str, items: &[&str], arguments: &[&str]) -> (Option<i32>, String) {
    let ended = host.run(&[&["check", "pipeline.yaml"], arguments].concat(), PATIENCE);
    let mut shown = Vec::new();
    let mut wanted = false;
    for line in ended.stdout.lines() {
        let of_an_item =
            |line: &str| items.iter().any(|item| line.split_once("  ").is_some_and(|(_, rest)| rest.starts_with(&format!("{item}: "))));
        wanted = if line.starts_with("      ") { wanted } else { of_an_item(line) || line.contains("ready") && !line.contains("is ready") };
        if wanted {
            shown.push(line);
        }
    }
    (ended.status.code(), shown.join("\n").replace(database, "DB"))
}

const ITEMS: [&str; 5] = ["tables", "views", "plan", "rules", "collations"];

#[test]
fn names_that_match_nothing_are_told_with_the_one_that_was_meant() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("slips");
        server.sql(&format!(
            "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, tenant VARCHAR(10), email VARCHAR(40)); CREATE TABLE orders (id INT PRIMARY KEY);
             CREATE VIEW v AS SELECT * FROM orders"
        ));
        let source =
            |tables: &str| pipeline(&server, &database, "[]", "").replace(&format!("['{database}.*']"), &tables.replace("DB", &database));
        let mut told = Vec::new();
        let mut say = |text: String| {
            let host = host(&text);
            let (code, said) = check(&host, &database, &ITEMS, &[]);
            told.push(format!("exit {}\n{said}", code.expect("a code")));
        };
        say(source("[DB.custmers, DB.orders]"));
        say(source("[DB.Customers]"));
        say(source("[DB.v, '!DB.sesions', 'DB.ord*', 'DB.nothing_*']"));
        let plugins = |plugins: &str| pipeline(&server, &database, plugins, "");
        say(plugins("[{ use: rewrite-columns, config: { tables: [{ table: DB.custmers, columns: [{ column: email, drop: true }] }] } }]"));
        say(plugins(
            "[{ use: rewrite-columns, tables: [DB.order], config: { tables: [{ table: '*', columns: [{ column: email, drop: true }] }] } }]",
        ));
        say(plugins(
            "[{ use: rewrite-columns, config: { tables: [{ table: DB.customers, columns: [{ column: emial, hash: { salt: x } }] }] } }]",
        ));
        say(plugins(
            "[{ use: rewrite-columns, config: { tables: [{ table: 'DB.*', columns: [{ column: emial, mask: {} }, { column: iban, drop: true }, { column: EMAIL, mask: {} }] }] } }]",
        ));
        say(plugins("[{ use: filter, config: { tables: [{ table: DB.customers, where: \"tennant <> 'test'\" }] } }]"));
        say(plugins(
            "[{ use: filter, config: { tables: [{ table: 'DB.*', where: 'deleted = 0' }, { table: 'DB.*', where: 'id > 0' }] } }]",
        ));
        say(plugins("[{ use: filter, config: { where: \"tenant = 'x' AND amout >= 0\" } }]"));
        say(plugins(
            "[{ use: map-names, config: { tables: [{ from: DB.oders, to: x }], columns: [{ table: 'DB.*', from: emial, to: mail }] } }]",
        ));
        insta::allow_duplicates! { insta::assert_snapshot!(told.join("\n\n")); }
    }
}

#[test]
fn a_key_that_rows_may_share_behind_a_plugin_is_told() {
    let server = mariadb::shared();
    let database = server.database("sharedkeys");
    server.sql(&format!(
        "CREATE TABLE {database}.t (code VARCHAR(10), n INT, note VARCHAR(10), PRIMARY KEY (code, n)); CREATE TABLE {database}.other (id INT PRIMARY KEY)"
    ));
    let said = |steps: &str| {
        let plugins = format!("[{{ use: rewrite-columns, config: {{ tables: [{{ table: DB.t, columns: [{steps}] }}] }} }}]");
        check(&host(&pipeline(&server, &database, &plugins, "")), &database, &["keys"], &[]).1
    };
    insta::assert_snapshot!(said("{ column: code, mask: { first: 2 } }, { column: note, constant: x }"), @r"
    warn  keys: plugin `rewrite-columns`: `mask` on the column `code` of DB.t, which is of its primary key: rows that differ in it may get one key, and the delete of one is that of all for a consumer
          remedy: use `hash`, which keeps different values apart, leave the column as it is, or leave it so if no two rows get the same value
    ready, 1 warning
    ");
    for steps in ["{ column: code, constant: x }", "{ column: code, truncate: 2 }", "{ column: CODE, mask: {} }"] {
        assert_eq!(said(steps).matches("the column `code` of DB.t").count(), 1, "{steps}");
    }
    for steps in ["{ column: code, hash: { salt: x } }", "{ column: note, mask: {} }"] {
        assert!(!said(steps).contains("keys:"), "{steps}");
    }
}

#[test]
fn slips_in_patterns_conditions_and_exclusions_are_told_and_tables_that_are_refused_are_not_missed() {
    let server = mariadb::shared();
    let (database, other) = (server.database("hints"), server.database("elsewhere"));
    server.sql(&format!(
        "CREATE TABLE {database}.customers (id INT PRIMARY KEY, tenant VARCHAR(10), email VARBINARY(40));
         CREATE TABLE {database}.orders (id INT PRIMARY KEY); CREATE TABLE {other}.leads (id INT PRIMARY KEY)"
    ));
    let mut told = Vec::new();
    let mut say = |text: String| {
        let (code, said) = check(&host(&text), &database, &ITEMS, &[]);
        told.push(format!("exit {}\n{}", code.expect("a code"), said.replace(&other, "OTHER")));
    };
    let plugins = |plugins: &str| pipeline(&server, &database, plugins, "");
    let tables = format!("['{database}x.*', '{database}.leads', '{database}.orders']");
    say(plugins("[]").replace(&format!("['{database}.*']"), &tables));
    say(plugins(
        "[{ use: rewrite-columns, tables: ['DB.*', '!DB.custmers'], config: { tables: [{ table: ['DB.*', '!DB.ordrs', '!DB.tmp_*', '!DB.sessions'], columns: [{ column: id, cast: text }] }] } }]",
    ));
    say(plugins("[{ use: filter, config: { tables: [{ table: 'DB.*', where: \"tennant <> 'emial'\" }] } }]"));
    say(plugins("[{ use: filter, config: { tables: [{ table: 'DB.*', where: \"tenant <> 'x' AND id > 0\" }] } }]"));
    say(plugins("[{ use: filter, config: { tables: [{ table: 'DB.*', where: \"tenant <> 'x' AND id > 0\", missing: ignore }] } }]"));
    say(plugins(
        "[{ use: map-names, config: { databases: [{ pattern: 'no(.*)', to: 'x$1' }], tables: [{ pattern: 'DB.cust(.*)', to: 'DB.k$1' }], columns: [{ table: 'DB.*', pattern: 'no_(.*)', to: '$1' }] } }]",
    ));
    // told once, by `plan`: another rule has the column of the table that is refused
    say(plugins("[{ use: rewrite-columns, config: { tables: [{ table: 'DB.*', columns: [{ column: email, mask: {} }] }] } }]"));
    say(plugins(
        "[{ use: rewrite-columns, config: { tables: [{ table: 'DB.*', missing: ignore, columns: [{ column: emial, drop: true }] }] } }]",
    ));
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn a_pattern_of_the_snapshot_that_selects_no_captured_table_is_told() {
    let server = mariadb::shared();
    let database = server.database("copies");
    server.sql(&format!("CREATE TABLE {database}.orders (id INT PRIMARY KEY); CREATE TABLE {database}.lines (id INT PRIMARY KEY)"));
    let snapshot =
        format!("tables: ['{database}.*'], snapshot: {{ mode: initial, tables: [{database}.ordres, '{database}.*', '!{database}.line'] }}");
    let text = pipeline(&server, &database, "[]", "").replace(&format!("tables: ['{database}.*']"), &snapshot);
    let (code, said) = check(&host(&text), &database, &["snapshot"], &[]);
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(said, @r"
    ok  snapshot: 2 tables can be copied
    warn  snapshot: `DB.ordres` in `snapshot.tables` matches no captured table; did you mean `DB.orders`?
          remedy: correct the source's `snapshot.tables`, take it out, or leave it so if the table is made later
    warn  snapshot: `!DB.line` in `snapshot.tables` matches no captured table; did you mean `DB.lines`?
          remedy: correct the source's `snapshot.tables`, take it out, or leave it so if the table is made later
    ready, 2 warnings
    ");
}

#[test]
fn the_effective_configuration_is_shown_table_by_table() {
    let plugins = "
  - use: rewrite-columns
    name: privacy
    config: { tables: [{ table: 'DB.*', columns: [{ column: email, mask: { first: 1 } }, { column: password, drop: true }, { column: origin, constant: shop }] }] }
  - { use: map-names, config: { tables: [{ from: DB.customers, to: crm.people }], columns: [{ table: DB.customers, from: note, to: remark }] } }
  - { use: filter, config: { tables: [{ table: 'DB.orders', where: 'id > 1', operations: [insert] }] } }";
    let server = mariadb::shared();
    let database = server.database("effect");
    server.sql(&format!(
        "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(40), password VARCHAR(9), note TEXT); CREATE TABLE orders (id INT PRIMARY KEY);
         CREATE TABLE children (id INT PRIMARY KEY, parent INT, CONSTRAINT parents FOREIGN KEY (parent) REFERENCES orders (id) ON DELETE CASCADE)"
    ));
    let host = host(&pipeline(&server, &database, plugins, ""));
    let ended = host.run(&["check", "--effective", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let tables = ended.stdout.split("\n\n").nth(1).expect("the tables").replace(&database, "DB");
    insta::assert_snapshot!(tables, @r"
    DB.children
      origin: added by `privacy`
    DB.customers as crm.people
      email: mask by `privacy`
      password: dropped by `privacy`
      origin: added by `privacy`
      note: renamed to `remark` by `map-names`
    DB.orders
      origin: added by `privacy`
      rows: filtered by `filter`
      rows: only some operations pass `filter`
    ");
    // the same for programs
    let ended = host.run(&["check", "--json", "pipeline.yaml"], PATIENCE);
    let document: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(document["ready"], true);
    assert_eq!(document["tables"][1]["columns"][0], json!({"column": "email", "effect": "mask by `privacy`"}));
    let cascades = document["items"].as_array().expect("items").iter().find(|item| item["item"] == "cascades").expect("told");
    assert_eq!(cascades["verdict"], "warn");
    assert!(cascades["found"].as_str().is_some_and(|found| found.ends_with(&format!("{database}.children (parents)"))), "{cascades}");
    // a warning may be left out, and only what there is
    let (code, said) = check(&host, &database, &["cascades"], &["--ignore", "cascades"]);
    assert_eq!((code, said.as_str()), (Some(0), "ready"));
    let ended = host.run(&["check", "--ignore", "casscades", "pipeline.yaml"], PATIENCE);
    assert!(ended.status.code() == Some(2) && ended.stderr.contains("`casscades` is no item of a check"), "{}", ended.stderr);
}

#[test]
fn tables_that_would_share_a_folder_are_foreseen() {
    let server = mariadb::shared();
    let database = server.database("folders");
    server.sql(&format!(
        "CREATE DATABASE {database}_b; CREATE TABLE {database}.t (id INT PRIMARY KEY); CREATE TABLE {database}_b.t (id INT PRIMARY KEY)"
    ));
    let both = format!("tables: ['{database}.t', '{database}_b.t']");
    let text = pipeline(&server, &database, "[]", "").replace(&format!("tables: ['{database}.*']"), &both);
    let (code, said) = check(&host(&text.replace("folder: out", "folder: out, path: '{table}'")), &database, &["folders"], &[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("tables DB.t and DB_b.t would share the folder `t`, because `{table}` leaves out `{database}`"), "{said}");
    let (code, said) = check(&host(&text.replace("folder: out", "folder: out, path: '{database}/{table}'")), &database, &["folders"], &[]);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn rules_for_tables_that_the_plugins_own_tables_leave_out_are_told() {
    let server = mariadb::shared();
    let database = server.database("narrow");
    server.sql(&format!(
        "USE {database}; CREATE TABLE customers (id INT PRIMARY KEY, email VARCHAR(40)); CREATE TABLE orders (id INT PRIMARY KEY)"
    ));
    for own in ["[DB.orders]", "['DB.*', '!DB.customers']"] {
        let plugins = format!(
            "[{{ use: rewrite-columns, tables: {own}, config: {{ tables: [{{ table: DB.customers, columns: [{{ column: email, mask: {{}} }}] }}] }} }}]"
        );
        let (code, said) = check(&host(&pipeline(&server, &database, &plugins, "")), &database, &["rules"], &[]);
        assert_eq!(code, Some(0), "{said}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @r"
    warn  rules: plugin `rewrite-columns`: `DB.customers` matches no table that its own `tables` let through, so the plugin does nothing for it
          remedy: correct the pattern in the plugin's `tables` or `config`: what it was to mask, drop or filter is delivered as it is; or leave it so if the table is made later
    ready, 1 warning
    ");
        }
    }
}

#[test]
fn foreign_keys_whose_changes_the_server_logs_are_no_warning() {
    let server = mysql::shared();
    let database = server.database("logged");
    server.sql(&format!(
        "USE {database}; CREATE TABLE orders (id INT PRIMARY KEY);
         CREATE TABLE children (id INT PRIMARY KEY, parent INT, CONSTRAINT parents FOREIGN KEY (parent) REFERENCES orders (id) ON DELETE CASCADE)"
    ));
    let (code, said) = check(&host(&pipeline(&server, &database, "[]", "")), &database, &["cascades", "select"], &[]);
    assert_eq!(code, Some(0), "{said}");
    insta::assert_snapshot!(said, @r"
    ok  select: the account may read tables
    ok  cascades: what foreign keys change is logged, and delivered, of DB.children (parents)
    ready
    ");
}

#[test]
fn what_fails_for_several_tables_is_one_error_that_names_each() {
    let server = mysql::shared();
    let database = server.database("several");
    server
        .sql(&format!("USE {database}; CREATE TABLE a (id INT PRIMARY KEY, tenant INT); CREATE TABLE b (id INT PRIMARY KEY, tenant INT)"));
    let host = host(&pipeline(&server, &database, "[{ use: filter, config: { where: 'tennant = 1' } }]", ""));
    let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
    assert_eq!(ended.status.code(), Some(3));
    assert!(ended.stdout.ends_with("not ready: 2 failed\n"), "{}", ended.stdout);
    assert!(ended.stderr.starts_with("error: not ready, 2 faults:\n"), "{}", ended.stderr);
}

#[test]
fn a_run_tells_what_of_its_configuration_has_no_effect() {
    let server = mariadb::shared();
    let database = server.database("silent");
    server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40))"));
    let plugins = "[{ use: rewrite-columns, config: { tables: [{ table: DB.custmers, columns: [{ column: email, mask: {} }] }] } }]";
    let port = free_port();
    let http = format!("http: 127.0.0.1:{port}\n");
    let host = host(&pipeline(&server, &database, plugins, &http));
    let mut process = host.spawn();
    let line = process.wait_for_line("the configuration has no effect", PATIENCE);
    assert!(line.contains("custmers` matches no captured table") && line.contains("did you mean"), "{line}");
    let readyz = |tells: &dyn Fn(&str) -> bool| http_get(port, "/readyz").is_some_and(|(_, body)| tells(&body));
    process.wait_until("it is in /readyz", PATIENCE, || readyz(&|body| body.contains("custmers` matches no")));
    // an edit is looked at, too: a good one takes the warning back
    host.write_pipeline(&pipeline(&server, &database, &plugins.replace("custmers", "customers"), &http));
    process.wait_until("it is no longer in /readyz", PATIENCE, || readyz(&|body| !body.contains("custmers")));
    let edited = plugins.replace("table: DB.custmers", "table: 'DB.*'").replace("column: email", "column: emial");
    host.write_pipeline(&pipeline(&server, &database, &edited, &http));
    let line = process.wait_for_line("mask `emial` applies to nothing", PATIENCE);
    assert!(line.contains("did you mean `email`?"), "{line}");
    process.wait_until("it is in /readyz", PATIENCE, || readyz(&|body| body.contains("emial` applies to nothing")));
    stop(process);
}

#[test]
fn names_of_tables_have_no_case_where_the_server_does_not_tell_them_apart() {
    let server = mariadb::start(&["--lower-case-table-names=1"]);
    let database = server.database("Case");
    server.sql(&format!("CREATE TABLE {database}.Customers (id INT PRIMARY KEY)"));
    let text = pipeline(&server, &database, "[]", "");
    let text = text.replace(&format!("['{database}.*']"), &format!("['{}.CUSTOMERS']", database.to_uppercase()));
    let host = host(&text);
    let (code, said) = check(&host, &database, &ITEMS, &[]);
    assert_eq!((code, said.as_str()), (Some(0), "ok  tables: 1 captured\nok  plan: 1 planned, 0 changed by plugins\nready"));
    begin(&host);
    server.sql(&format!("INSERT INTO {database}.CUSTOMERS VALUES (1)"));
    run_to(&host, 1);
}
