//! Plugins that are `fail_closed`: whatever becomes of their entries, what they hid stays hidden.

use super::*;
use sluicegate_harness::host::Process;

fn mask(columns: &[&str], rest: &str) -> String {
    let steps: Vec<String> = columns.iter().map(|column| format!("{{ column: {column}, mask: {{ first: 1 }} }}")).collect();
    let steps = steps.join(", ");
    format!("{{ use: rewrite-columns, name: mask, config: {{ tables: [{{ table: 'DB.*', columns: [{steps}] }}] }}, {rest} }}")
}

/// As editors save: the new content under another name, then a rename.
fn save(host: &Sluicegate, text: &str) {
    fs::write(host.path("new"), text).expect("written");
    fs::rename(host.path("new"), host.path("pipeline.yaml")).expect("renamed");
}

fn refusals(process: &Process) -> Vec<String> {
    let refused = |line: &Value| line["message"].as_str().is_some_and(|message| message.starts_with("the edited pipeline file is refused"));
    process.log().iter().filter(|line| refused(line)).map(|line| line["error"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_a_fail_closed_plugin_hid_stays_hidden_whatever_becomes_of_its_entry() {
    const CLOSED: &str = "fail_closed: true";
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("closed");
        server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40), phone VARCHAR(40))"));
        let text = |plugins: &str| pipeline(&server, &database, plugins, "");
        let good = format!("[{}]", mask(&["email", "phone"], CLOSED));
        let host = host(&text(&good));
        let insert =
            |id: usize| server.sql(&format!("INSERT INTO {database}.customers VALUES ({id}, 'ada@example.org', '12 example.org')"));
        let mut process = host.spawn();
        process.wait_for_line("starting to read the binlog", PATIENCE);
        let folder = host.path("out");
        let mut rows = 0;
        let mut masked = |process: &mut Process| {
            rows += 1;
            insert(rows);
            process.wait_until("the row", PATIENCE, || files::count_so_far(&folder, "s") >= rows);
            let record = delivered(&host).pop().expect("a record");
            assert_eq!((&record["email"], &record["phone"]), (&json!("a**************"), &json!("1*************")), "{rows}");
        };
        masked(&mut process);
        let edits = [
            // cut, taken off, with less to do, for less tables, behind a plugin that renames
            ("[]".to_owned(), "`mask`, which was `fail_closed` until now, is missing"),
            (format!("[{}]", mask(&["email", "phone"], "fail_closed: false")), "is no longer `fail_closed`"),
            (format!("[{}]", mask(&["email"], CLOSED)), "`phone` of table DB.customers would pass the plugin as it is"),
            (format!("[{}]", mask(&["email", "phone"], &format!("{CLOSED}, tables: ['DB.orders']"))), "`email`, `phone` of table"),
            (
                format!(
                    "[{{ use: map-names, config: {{ columns: [{{ from: phone, to: tel }}] }} }}, {}]",
                    mask(&["email", "phone"], CLOSED)
                ),
                "`phone`",
            ),
            // it only reads one of them now
            (
                good.replace("{ column: phone, mask: { first: 1 } }", "{ column: contact, concat: { of: [phone] } }"),
                "`phone` of table DB.customers would pass the plugin as it is",
            ),
            (good.replace("name: mask", "name: veil"), "`mask`, which was `fail_closed` until now, is missing"),
        ];
        for (index, (plugins, expected)) in edits.iter().enumerate() {
            save(&host, &text(plugins));
            let told = process.wait_for("a refusal", PATIENCE, |process| refusals(process).get(index).cloned());
            assert!(told.replace(&database, "DB").contains(expected), "{plugins}: {told}");
            masked(&mut process);
        }
        // another plugin in front of it, and more to hide
        let more = format!("[{{ use: filter, config: {{ operations: [insert] }} }}, {}]", mask(&["email", "phone", "fax"], CLOSED));
        save(&host, &text(&more));
        process.wait_for_line("pipeline edited", PATIENCE);
        masked(&mut process);
        stop(process);
        nothing_in_clear(&host);

        // the same at a start
        insert(100);
        for (plugins, expected) in &edits {
            host.write_pipeline(&text(plugins));
            let told = stops(&host, &database);
            assert!(
                told.contains(expected) && told.contains("sluicegate checkpoint release PIPELINE.yaml --plugin mask"),
                "{plugins}: {told}"
            );
        }
        host.write_pipeline(&text("[]"));
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        assert!(ended.status.code() == Some(3) && ended.stdout.contains("fail  plugins: the plugin `mask`"), "{}", ended.stdout);
        let shown = host.run(&["checkpoint", "show", "pipeline.yaml"], PATIENCE);
        let shown: Value = serde_json::from_str(&shown.stdout).expect("JSON");
        assert_eq!(shown["fail_closed"], json!([{"plugin": "mask", "tables": [format!("{database}.customers")]}]));
        nothing_in_clear(&host);
        let released = host.run(&["checkpoint", "release", "pipeline.yaml", "--plugin", "mask"], PATIENCE);
        assert!(released.status.success(), "{}", released.stderr);
        let again = host.run(&["checkpoint", "release", "pipeline.yaml", "--plugin", "mask"], PATIENCE);
        assert!(
            again.status.code() == Some(2) && again.stderr.contains("knows no plugin `mask` that is `fail_closed`"),
            "{}",
            again.stderr
        );
        run_to(&host, edits.len() + 3);
        assert_eq!(delivered(&host).pop().expect("a record")["email"], "ada@example.org");
    }
}

#[test]
fn a_fail_closed_column_under_another_name_is_hidden_by_a_configuration_that_names_it_and_by_no_other() {
    let server = mariadb::shared();
    let database = server.database("closing");
    server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, email VARCHAR(40))"));
    let text = |columns: &[&str]| pipeline(&server, &database, &format!("[{}]", mask(columns, "fail_closed: true")), "");
    let host = host(&text(&["email"]));
    begin(&host);
    server.sql(&format!(
        "USE {database}; INSERT INTO customers VALUES (1, 'ada@example.org'); ALTER TABLE customers RENAME COLUMN email TO e_mail;
         INSERT INTO customers VALUES (2, 'bob@example.org')"
    ));
    assert!(
        stops(&host, &database)
            .contains("the column `e_mail`, which the plugin would pass on as it is, is the one that was called `email`")
    );
    // any other change of the configuration is no answer here
    host.write_pipeline(&text(&["email", "mail"]));
    assert!(stops(&host, &database).contains("is the one that was called `email`"));
    host.write_pipeline(&text(&["email", "e_mail"]));
    run_to(&host, 2);
    nothing_in_clear(&host);
}

#[test]
fn a_fail_closed_filter_goes_on_judging_by_its_columns_and_what_a_plugin_only_reads_is_free() {
    let server = mariadb::shared();
    let database = server.database("judging");
    server.sql(&format!("CREATE TABLE {database}.customers (id INT PRIMARY KEY, state VARCHAR(9), tenant INT, name VARCHAR(9))"));
    let text = |condition: &str, label: &str| {
        let plugins = format!(
            "[{{ use: filter, name: gate, fail_closed: true, config: {{ where: \"{condition}\" }} }},
              {{ use: rewrite-columns, name: label, fail_closed: true, config: {{ tables: [{{ table: 'DB.customers', columns: [{label}] }}] }} }}]"
        );
        pipeline(&server, &database, &plugins, "")
    };
    let labels = "{ column: label, concat: { of: [name] } }";
    let host = host(&text("state = 'open'", labels));
    server.sql(&format!("INSERT INTO {database}.customers VALUES (1, 'open', 1, 'ada')"));
    begin(&host);
    server.sql(&format!("INSERT INTO {database}.customers VALUES (2, 'open', 1, 'bob')"));
    run_to(&host, 1);
    let check = |text: String| {
        host.write_pipeline(&text);
        let ended = host.run(&["check", "pipeline.yaml"], PATIENCE);
        (ended.status.code(), ended.stdout.replace(&database, "DB"))
    };
    let (code, told) = check(text("tenant = 1", labels));
    assert!(code == Some(3) && told.contains("rows of table DB.customers would pass the plugin whatever their `state`"), "{told}");
    // another condition on the column, more columns, and another label, are the pipeline's own affair
    for (condition, label) in [
        ("state <> 'closed'", labels),
        ("state = 'open' AND tenant = 1", "{ column: label, concat: { of: [state] } }"),
        ("state = 'open'", "{ column: label, constant: x }"),
    ] {
        let (code, told) = check(text(condition, label));
        assert_eq!(code, Some(0), "{condition}, {label}: {told}");
    }
}
