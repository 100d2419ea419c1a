//! What `docs/mysql.md` tells a DBA to do, from an untouched server to records.

use super::*;

const PAGE: &str = include_str!("../../../docs/mysql.md");

/// The blocks of the page whose first line has this word.
fn blocks(word: &str) -> Vec<&'static str> {
    let blocks = PAGE.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    blocks.filter(|(kind, _)| kind.split(' ').skip(1).any(|one| one == word)).map(|(_, text)| text).collect()
}

fn leads_to_records(server: &Server, word: &str) {
    server.sql("CREATE TABLE shop.orders (id INT PRIMARY KEY); INSERT INTO shop.orders VALUES (1)");
    let statements = blocks(word);
    assert_eq!(statements.len(), 2, "the server and the account");
    for statements in statements {
        server.sql(statements);
    }
    let [text] = blocks("pipeline")[..] else { panic!("one pipeline file") };
    let here = text
        .replace("host: db-1.example", &format!("host: 127.0.0.1\n  port: {}", server.port()))
        .replace("format: flat", "format: flat, prefix: t");
    assert_ne!(here, text);
    let host = Sluicegate::new(BINARY, &here);
    fs::write(host.path("password"), "change me\n").expect("written");
    let (code, said) = check(&host);
    assert_eq!(code, Some(0), "{said}");
    let warned: Vec<&str> = said.lines().filter(|line| line.starts_with("warn")).collect();
    assert!(warned.is_empty(), "{warned:?}");
    let mut process = start(&host);
    wait_for(&mut process, &host, 1);
    server.sql("INSERT INTO shop.orders VALUES (2)");
    wait_for(&mut process, &host, 2);
    stop(process);
    assert_eq!(ids(&host), [1, 2]);
}

#[test]
fn what_the_page_says_leads_from_an_untouched_mysql_to_records() {
    // as the server is without a configuration file
    let server = mysql::start(&["--binlog-row-metadata=MINIMAL", "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]);
    leads_to_records(&server, "mysql");
}

#[test]
fn what_the_page_says_leads_from_a_mariadb_with_a_binlog_to_records() {
    let server = mariadb::start(&["--binlog-format=MIXED", "--binlog-row-metadata=NO_LOG", "--gtid-strict-mode=OFF"]);
    leads_to_records(&server, "mariadb");
}

#[test]
fn the_settings_that_the_page_shows_are_those_of_a_pipeline_file() {
    let shown = PAGE.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut count = 0;
    for setting in shown {
        let reach = if setting.contains("hosts") { "" } else { "host: h, " };
        let text = pipeline("d", &format!("{reach}user: u, {setting}"), "");
        sluicegate_config::load_str(&text, std::path::Path::new("/tmp"), |_| None).unwrap_or_else(|e| panic!("{e}\n{text}"));
        count += 1;
    }
    assert_eq!(count, 2);
}
