//! Accounts: sockets, authentication plugins, passwords that are renewed.

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
