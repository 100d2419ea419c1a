//! Accounts: sockets, authentication plugins, passwords that are renewed.

use std::process::Command;

use super::*;

#[test]
fn a_server_is_read_over_its_socket() {
    for server in shared() {
        let database = table(&server, "socket");
        // over the socket the account is another one
        server.sql(&format!("CREATE USER '{database}'@'localhost' IDENTIFIED BY 'pw'; GRANT ALL ON *.* TO '{database}'@'localhost'"));
        let socket = server.folder().join("socket");
        let source = format!("socket: {}, user: {database}, password: pw", socket.display());
        let host = Sluicegate::new(BINARY, &pipeline(&database, &source, ""));
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
        wait_for(&mut process, &host, 1);
        stop(process);
        assert_eq!(ids(&host), [1]);
    }
}

#[test]
fn a_password_that_is_renewed_in_its_file_is_used_for_the_next_connection() {
    for server in shared() {
        let database = table(&server, "renewed");
        let user = format!("'{database}'@'127.0.0.1'");
        server.sql(&format!("CREATE USER {user} IDENTIFIED BY 'first'; GRANT ALL ON *.* TO {user}"));
        let source = format!("host: 127.0.0.1, port: {}, user: {database}, password: {{ file: secret }}", server.port());
        let host = Sluicegate::new(BINARY, &pipeline(&database, &source, ""));
        fs::write(host.path("secret"), "first\n").expect("written");
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
        wait_for(&mut process, &host, 1);
        fs::write(host.path("secret"), "second\n").expect("written");
        server.sql(&format!("ALTER USER {user} IDENTIFIED BY 'second'"));
        disconnect(&server, &database);
        server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
        wait_for(&mut process, &host, 2);
        let ended = stop(process);
        assert!(!ended.stderr.contains("second\""), "{}", ended.stderr);
        assert!(!ended.stderr.contains("starts over"), "{}", ended.stderr);
        assert_eq!(ids(&host), [1, 2]);
    }
}

#[test]
fn an_account_whose_plugin_cannot_be_used_is_told_which_can() {
    let server = mysql::shared();
    let database = table(&server, "plugin");
    let user = format!("'{database}'@'127.0.0.1'");
    let mut client = server.client();
    // later versions of MySQL no longer have it
    if client.try_sql(&format!("CREATE USER {user} IDENTIFIED WITH sha256_password BY 'pw'")).is_err() {
        return;
    }
    client.sql(&format!("GRANT ALL ON *.* TO {user}"));
    let source = format!("host: 127.0.0.1, port: {}, user: {database}, password: pw", server.port());
    let (code, said) = check(&Sluicegate::new(BINARY, &pipeline(&database, &source, "")));
    assert!(code == Some(3) && said.contains("caching_sha2_password"), "{said}");
}

#[test]
fn an_account_of_mariadb_logs_in_with_ed25519_or_by_its_socket_and_what_fails_is_told() {
    let server = mariadb::start(&[&format!("--plugin-dir={}", mariadb::plugins().display())]);
    let database = table(&server, "curve");
    server.sql(
        "INSTALL SONAME 'auth_ed25519'; CREATE USER 'curve'@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('p ä');
         CREATE USER 'either'@'127.0.0.1' IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('p ä'); CREATE USER 'peer'@'127.0.0.1' IDENTIFIED VIA unix_socket;
         GRANT ALL ON *.* TO 'curve'@'127.0.0.1'; GRANT ALL ON *.* TO 'either'@'127.0.0.1'; GRANT ALL ON *.* TO 'peer'@'127.0.0.1'",
    );
    let source = |user: &str, password: &str| format!("host: 127.0.0.1, port: {}, user: {user}, password: '{password}'", server.port());
    for (row, user) in [(1, "curve"), (2, "either")] {
        let host = Sluicegate::new(BINARY, &pipeline(&database, &source(user, "p ä"), ""));
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES ({row})"));
        wait_for(&mut process, &host, 1);
        stop(process);
        assert_eq!(ids(&host), [row]);
    }
    let (code, said) = check(&Sluicegate::new(BINARY, &pipeline(&database, &source("curve", "wrong"), "")));
    assert!(code == Some(3) && said.contains("Check the source's user and password; the account is 'curve'"), "{said}");
    let (code, said) = check(&Sluicegate::new(BINARY, &pipeline(&database, &source("peer", "p"), "")));
    assert!(code == Some(3) && said.contains("unix_socket") && said.contains("ed25519 or mysql_native_password"), "{said}");
    // over the socket, the server takes the operating system's word
    let own = Command::new("id").arg("-un").output().expect("the user's name").stdout;
    let own = String::from_utf8(own).expect("UTF-8").trim().to_owned();
    server.sql(&format!("CREATE OR REPLACE USER '{own}'@'localhost' IDENTIFIED VIA unix_socket; GRANT ALL ON *.* TO '{own}'@'localhost'"));
    let source = format!("socket: {}, user: {own}, password: none", server.folder().join("socket").display());
    let host = Sluicegate::new(BINARY, &pipeline(&database, &source, ""));
    let mut process = start(&host);
    server.sql(&format!("INSERT INTO {database}.t VALUES (3)"));
    wait_for(&mut process, &host, 1);
    stop(process);
}
