//! TLS with real certificates: each mode checks what it says it checks, in the connections that ask and in the one that reads.

use sluicegate_harness::authority::Authority;

use super::*;

fn servers(authority: &Authority) -> [Server; 2] {
    let options = [
        format!("--ssl-ca={}", authority.path("ca.pem")),
        format!("--ssl-cert={}", authority.path("server.pem")),
        format!("--ssl-key={}", authority.path("server.key")),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    [mariadb::start(&options), mysql::start(&options)]
}

/// Accounts that the server takes with TLS only, and with a certificate only.
fn accounts(server: &Server) {
    server.sql(
        "CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY);
         CREATE USER 'safe'@'127.0.0.1' IDENTIFIED BY 'pw' REQUIRE SSL; GRANT ALL ON *.* TO 'safe'@'127.0.0.1';
         CREATE USER 'known'@'127.0.0.1' IDENTIFIED BY 'pw' REQUIRE X509; GRANT ALL ON *.* TO 'known'@'127.0.0.1'",
    );
}

fn reload_certificate(server: &Server) {
    server.sql(if server.flavor() == Flavor::MariaDb { "FLUSH SSL" } else { "ALTER INSTANCE RELOAD TLS" });
}

#[test]
fn each_tls_mode_checks_what_it_says_also_on_the_connection_that_reads_the_log() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    authority.issue("server", "DNS:db.example");
    authority.issue("client", "DNS:client");
    for server in servers(&authority) {
        accounts(&server);
        let port = server.port();
        let (ours, theirs) = (format!(", ca_file: {}", authority.path("ca.pem")), format!(", ca_file: {}", stranger.path("ca.pem")));
        let shown = format!(", cert_file: {}, key_file: {}", authority.path("client.pem"), authority.path("client.key"));
        let source =
            |user: &str, tls: &str| pipeline("d", &format!("host: 127.0.0.1, port: {port}, user: {user}, password: pw, {tls}"), "");
        let host = Sluicegate::new(BINARY, &source("safe", "tls: required"));
        let verdict = |user: &str, tls: &str| {
            host.write_pipeline(&source(user, tls));
            check(&host)
        };
        // the certificate is for db.example
        for (user, tls, code, word) in [
            ("safe", "tls: disabled".to_owned(), 3, "Check the source's user and password"),
            ("safe", "tls: preferred".to_owned(), 0, "ready"),
            ("safe", "tls: required".to_owned(), 0, "ready"),
            ("safe", "tls: verify-identity".to_owned(), 3, "ca_file"),
            ("safe", format!("tls: verify-ca{theirs}"), 3, "ca_file"),
            ("safe", format!("tls: verify-ca{ours}"), 0, "ready"),
            ("safe", format!("tls: verify-identity{ours}"), 3, "tls: verify-ca"),
            ("known", "tls: required".to_owned(), 3, "Check the source's user and password"),
            ("known", format!("tls: required{shown}"), 0, "ready"),
            ("known", format!("tls: preferred{shown}"), 0, "ready"),
            ("known", format!("tls: verify-ca{ours}"), 3, "Check the source's user and password"),
            ("known", format!("tls: verify-ca{ours}{shown}"), 0, "ready"),
        ] {
            let (found, said) = verdict(user, &tls);
            assert!(found == Some(code) && said.contains(word), "{user} {tls}: {said}");
        }
        let mut rows = 0;
        let mut reads = |user: &str, tls: &str| {
            host.write_pipeline(&source(user, tls));
            let mut process = start(&host);
            rows += 1;
            server.sql(&format!("INSERT INTO d.t VALUES ({rows})"));
            wait_for(&mut process, &host, rows);
            stop(process);
        };
        reads("safe", "tls: preferred");
        reads("known", &format!("tls: required{shown}"));
        reads("known", &format!("tls: verify-ca{ours}{shown}"));
        // renewed, and now for this host
        authority.issue("server", "IP:127.0.0.1");
        reload_certificate(&server);
        reads("known", &format!("tls: verify-identity{ours}{shown}"));
        let (found, said) = verdict("safe", &format!("tls: verify-identity{theirs}"));
        assert_eq!(found, Some(3), "{said}");
        assert_eq!(ids(&host), [1, 2, 3, 4]);
        authority.issue("server", "DNS:db.example");
    }
}

#[test]
fn the_certificate_that_mysql_makes_for_itself_is_taken_with_its_own_authority_and_no_other() {
    let server = mysql::shared();
    let database = table(&server, "made_up");
    let (port, ca) = (server.port(), server.folder().join("data/ca.pem"));
    let source = |tls: &str| pipeline(&database, &format!("host: 127.0.0.1, port: {port}, {}, {tls}", account(&server)), "");
    let host = Sluicegate::new(BINARY, &source(&format!("tls: verify-ca, ca_file: {}", ca.display())));
    let (code, said) = check(&host);
    assert_eq!(code, Some(0), "{said}");
    let stranger = Authority::new();
    host.write_pipeline(&source(&format!("tls: verify-ca, ca_file: {}", stranger.path("ca.pem"))));
    let (code, said) = check(&host);
    assert!(code == Some(3) && said.contains("ca_file"), "{said}");
}

#[test]
fn tls_that_is_preferred_does_without_where_the_server_has_none() {
    // MariaDB has none unless it is given a certificate
    let server = mariadb::shared();
    let database = table(&server, "preferred");
    let source =
        |tls: &str| pipeline(&database, &format!("host: 127.0.0.1, port: {}, {}, tls: {tls}", server.port(), account(&server)), "");
    let host = Sluicegate::new(BINARY, &source("required"));
    let (code, said) = check(&host);
    assert!(code == Some(3) && said.contains("Enable TLS on the server"), "{said}");
    host.write_pipeline(&source("preferred"));
    let mut process = start(&host);
    server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
    wait_for(&mut process, &host, 1);
    stop(process);
    let plain = mysql::start(&["--tls-version="]);
    plain.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
    let host = Sluicegate::new(
        BINARY,
        &pipeline("d", &format!("host: 127.0.0.1, port: {}, {}, tls: preferred", plain.port(), account(&plain)), ""),
    );
    let mut process = start(&host);
    plain.sql("INSERT INTO d.t VALUES (1)");
    wait_for(&mut process, &host, 1);
    stop(process);
}
