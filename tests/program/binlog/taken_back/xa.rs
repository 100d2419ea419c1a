//! Rows of XA transactions come at their commit.

use sluicegate_harness::until;

use super::*;

/// Whether a temporary table may be made inside an XA transaction.
fn has_temporary_in_xa(server: &Server) -> bool {
    server.flavor() == Flavor::MariaDb
}

fn xa(server: &mut Server) {
    server.sql("CREATE DATABASE d");
    tables(server, "d");
    let host = reader(server, "d", SMALL);
    stop(start(&host));
    let mut client = server.client();
    let prepare = |client: &mut Client, name: &str, rows: &str| {
        client.sql(&format!("USE d; XA START {name}; {rows}; XA END {name}; XA PREPARE {name}"));
    };
    // in the order of commits, from another session, under names of every kind
    prepare(&mut client, "'one'", "INSERT INTO a VALUES ('one', 1), ('one', 11), ('one', 12), ('one', 13), ('one', 14)");
    drop(client);
    let mut client = server.client();
    prepare(&mut client, "'two','branch',7", "INSERT INTO a VALUES ('two', 2)");
    drop(client);
    let mut process = start(&host);
    let mut client = server.client();
    client.sql("INSERT INTO d.a VALUES ('between', 3)");
    end(server, "XA COMMIT 'two','branch',7");
    wait_for(&mut process, &host, "t", "a", 2);
    end(server, "XA COMMIT 'one'");
    wait_for(&mut process, &host, "t", "a", 14);
    // rolled back, in one phase, and with rows that were taken back before the prepare
    prepare(&mut client, "'three'", "INSERT INTO a VALUES ('back', 4)");
    client.sql("XA ROLLBACK 'three'");
    client.sql("XA START 'four'; INSERT INTO a VALUES ('kept', 5), ('kept', 51), ('kept', 52), ('kept', 53); XA END 'four'; XA COMMIT 'four' ONE PHASE");
    let temporary = if has_temporary_in_xa(server) { "CREATE TEMPORARY TABLE x (id INT);" } else { "" };
    let rows = format!(
        "INSERT INTO a VALUES ('kept', 6); SAVEPOINT s; {temporary} INSERT INTO a VALUES ('back', 7); ROLLBACK TO s; UPDATE a SET note = 'kept' WHERE id = 3"
    );
    prepare(&mut client, "X'00ff27','q',3", &rows);
    client.sql("XA COMMIT X'00ff27','q',3");
    wait_for(&mut process, &host, "t", "a", 6);
    // prepared, then the program, the server, and its file end
    prepare(&mut client, "'five'", "INSERT INTO a VALUES ('five', 8)");
    prepare_and_leave(server, "'six'", "INSERT INTO b VALUES ('back', 9)");
    drop(client);
    stop(process);
    server.stop();
    server.start_again();
    let mut process = start(&host);
    server.sql("INSERT INTO d.last VALUES (1)");
    wait_for(&mut process, &host, "t", "last", 1);
    process.wait_until("a commit of what is prepared", PATIENCE, || shown(&host, "t").to_string().contains("prepared"));
    process.kill9();
    server.sql("FLUSH BINARY LOGS");
    end(server, "XA COMMIT 'five'");
    end(server, "XA ROLLBACK 'six'");
    server.sql("INSERT INTO d.last VALUES (2)");
    run_to(&host, &["t"], 2);
    are_equal(server, "d", &host, "t");
    let order: Vec<u64> = ids(&host, "t", "a");
    assert_eq!(order, [3, 2, 1, 11, 12, 13, 14, 5, 51, 52, 53, 6, 3, 8]);
    assert!(!shown(&host, "t").to_string().contains("prepared"), "{}", shown(&host, "t"));
    // prepared before the pipeline's first start
    prepare_and_leave(server, "'seven'", "INSERT INTO b VALUES ('seven', 70), ('seven', 71)");
    server.sql("FLUSH BINARY LOGS");
    let late = reader(server, "d", "");
    let mut process = start(&late);
    server.sql("INSERT INTO d.last VALUES (3)");
    wait_for(&mut process, &late, "t", "last", 3);
    end(server, "XA COMMIT 'seven'");
    wait_for(&mut process, &late, "t", "b", 71);
    stop(process);
    assert_eq!(ids(&late, "t", "b"), [70, 71]);
    // the rows of one are larger than what is held, and its commit is interrupted
    let mut client = server.client();
    prepare(&mut client, "'large'", many("b", 1000, 600, "x").trim_end_matches(';'));
    // MariaDB lets another session commit it once its own has ended
    drop(client);
    end(server, "XA COMMIT 'large'");
    server.sql("INSERT INTO d.last VALUES (4)");
    let mut process = late.spawn();
    process.wait_until("a commit inside the transaction", PATIENCE, || rows_of_open_transaction(&late, "t") > 0 || is_at_end(&late, 4));
    process.kill9();
    run_to(&late, &["t"], 4);
    assert_eq!(ids(&late, "t", "b")[2..], (1000..1600).collect::<Vec<_>>());
    // large ones, of which it is known only at their end whether they are committed
    for (name, end, first) in [("'back'", "XA PREPARE 'back'; XA ROLLBACK 'back'", 2000), ("'kept'", "XA COMMIT 'kept' ONE PHASE", 3000)] {
        let rows = many("b", first, 300, "y");
        server.sql(&format!("USE d; XA START {name}; {rows} XA END {name}; {end}"));
    }
    server.sql("INSERT INTO d.last VALUES (40)");
    run_to(&late, &["t"], 40);
    assert_eq!(ids(&late, "t", "b")[602..], (3000..3300).collect::<Vec<_>>());
    // its file is gone
    prepare_and_leave(server, "'eight'", "INSERT INTO b VALUES ('eight', 80)");
    server.sql("FLUSH BINARY LOGS");
    server.sql("INSERT INTO d.last VALUES (5)");
    run_to(&late, &["t"], 5);
    server.sql("FLUSH BINARY LOGS");
    server.sql("INSERT INTO d.last VALUES (6)");
    run_to(&late, &["t"], 6);
    server.purge_logs();
    end(server, "XA COMMIT 'eight'");
    let (code, said) = refused(&late);
    assert_eq!(code, Some(1), "{said}");
    for part in ["the commit of the XA transaction X'6569676874',X'',1", "no longer in its log", "remedy: "] {
        assert!(said.contains(part), "{said}");
    }
}

/// Ends an XA transaction of another session. MariaDB takes that once the other session has ended on the server, too.
fn end(server: &Server, statement: &str) {
    let mut client = server.client();
    until("the other session has ended", PATIENCE, || client.try_sql(statement).is_ok());
}

/// Prepares on a connection that ends.
fn prepare_and_leave(server: &Server, name: &str, rows: &str) {
    server.sql(&format!("USE d; XA START {name}; {rows}; XA END {name}; XA PREPARE {name}"));
}

#[test]
fn rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mariadb() {
    xa(&mut mariadb::start(&[]));
}

#[test]
fn rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mysql() {
    xa(&mut mysql::start(&["--binlog-transaction-compression=ON"]));
}

#[test]
fn rows_of_xa_transactions_come_at_their_commit_in_the_order_of_commits_mysql_without_gtids() {
    xa(&mut mysql::start(&["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]));
}
