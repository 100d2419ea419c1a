//! What may pass is tried again: connections for one window, everything else for another, with the reason in `/readyz`.

use sluicegate_harness::free_port;

use super::*;

#[test]
fn c37_a_connection_is_tried_again_within_its_window_and_health_says_why() {
    for mut server in [mariadb::start(&[]), mysql::start(&[])] {
        server.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)");
        let port = free_port();
        let source = format!("host: 127.0.0.1, port: {}, {}", server.port(), account(&server));
        let host = Sluicegate::new(BINARY, &format!("{}http: 127.0.0.1:{port}\n", pipeline("d", &source, "")));
        let mut process = start(&host);
        server.sql("INSERT INTO d.t VALUES (1)");
        wait_for(&mut process, &host, 1);
        server.stop();
        let why = format!("the connection to the source broke and is being made again: cannot connect to 127.0.0.1:{}", server.port());
        wait_until_ready_says(&mut process, port, &why);
        server.start_again();
        server.sql("INSERT INTO d.t VALUES (2)");
        wait_for(&mut process, &host, 2);
        wait_until_ready_says(&mut process, port, "\"ready\":true");
        stop(process);
        assert_eq!(ids(&host), [1, 2]);
        // and for no longer than the window
        host.write_pipeline(&pipeline("d", &source, ", retry_window: 1s"));
        let process = start(&host);
        server.stop();
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("gave up after 1s"), "{}", ended.stderr);
    }
}

#[test]
fn c38_a_login_that_is_refused_meanwhile_is_tried_again_within_the_other_window_and_health_says_why() {
    for server in shared() {
        let database = table(&server, "refused");
        let user = format!("'{database}'@'127.0.0.1'");
        server.sql(&format!("CREATE USER {user} IDENTIFIED BY 'first'; GRANT ALL ON *.* TO {user}"));
        let port = free_port();
        let source = format!("host: 127.0.0.1, port: {}, user: {database}, password: {{ file: secret }}", server.port());
        let host = Sluicegate::new(BINARY, &format!("{}http: 127.0.0.1:{port}\n", pipeline(&database, &source, "")));
        fs::write(host.path("secret"), "first").expect("written");
        let mut process = start(&host);
        server.sql(&format!("INSERT INTO {database}.t VALUES (1)"));
        wait_for(&mut process, &host, 1);
        // the server has the new password before the file does
        server.sql(&format!("ALTER USER {user} IDENTIFIED BY 'second'"));
        disconnect(&server, &database);
        process.wait_for_line("the pipeline failed, and starts over at its checkpoint", PATIENCE);
        wait_until_ready_says(&mut process, port, "waiting for the pipeline to start over: cannot connect to");
        server.sql(&format!("INSERT INTO {database}.t VALUES (2)"));
        fs::write(host.path("secret"), "second").expect("written");
        wait_for(&mut process, &host, 2);
        wait_until_ready_says(&mut process, port, "\"ready\":true");
        stop(process);
        assert_eq!(ids(&host), [1, 2]);
        // once the window has passed, the exit code says that a supervisor may start it again
        host.write_pipeline(&pipeline(&database, &source, ", other_retry_window: 1s"));
        let process = start(&host);
        server.sql(&format!("ALTER USER {user} IDENTIFIED BY 'third'"));
        disconnect(&server, &database);
        let ended = process.wait(PATIENCE);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("gave up after 1s") && ended.stderr.contains("Check the source's user and password"),
            "{}",
            ended.stderr
        );
        // and at the first start it is told at once
        let ended = host.run(&["--log-format", "text", "run", "pipeline.yaml"], PATIENCE);
        assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    }
}
