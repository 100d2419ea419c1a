//! Another server goes on for the first one, inside a transaction: a replica, with file names, positions and rows events of its
//! own.

use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql, until,
};

use super::{transactions::*, *};

/// The id of a row in `one` from another transaction.
const OTHER: u64 = ROWS + 1;

/// Makes `replica` follow `primary`, but for the transactions of MariaDB's domain 1.
pub(crate) fn follow(replica: &Server, primary: &Server) {
    let (port, user, password) = (primary.port(), primary.user(), primary.password());
    replica.sql(&match replica.flavor() {
        Flavor::MariaDb => format!(
            "CHANGE MASTER TO master_host='127.0.0.1', master_port={port}, master_user='{user}', master_password='{password}',
             master_use_gtid=slave_pos, ignore_domain_ids=(1); START SLAVE"
        ),
        Flavor::MySql => format!(
            "CHANGE REPLICATION SOURCE TO source_host='127.0.0.1', source_port={port}, source_user='{user}', source_password='{password}',
             source_auto_position=1, get_source_public_key=1; START REPLICA"
        ),
    });
}

fn stop_following(replica: &Server) {
    replica.sql(if replica.flavor() == Flavor::MariaDb { "STOP SLAVE" } else { "STOP REPLICA" });
}

/// Stops inside a transaction on the first server, and goes on with the second.
fn failover(primary: &Server, replica: &Server) -> (Sluicegate, Ended) {
    primary.sql("CREATE DATABASE d");
    tables(primary, "d");
    let pipeline = |server: &Server| pipeline_with(server, "['d.*']", &format!("[{}]", file("t")), CUT);
    let host = Sluicegate::new(BINARY, &pipeline(primary));
    follow(replica, primary);
    stop(start(&host));
    let mut session = primary.client();
    if primary.flavor() == Flavor::MariaDb {
        // before the transaction here, and after it on the replica
        session.sql(&format!("SET gtid_domain_id = 1; INSERT INTO d.one VALUES ('', {OTHER}); SET gtid_domain_id = 0"));
    }
    session.sql(&transaction("d", 10_000));
    kill_inside(host.spawn(), &host, "t", 100);
    until("the replica has the transaction", PATIENCE, || {
        let there = replica.query("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'd' AND table_name = 'last'");
        there[0][0].as_deref() == Some("1") && replica.query("SELECT count(*) FROM d.two")[0][0].as_deref() == Some(&*ROWS.to_string())
    });
    stop_following(replica);
    if primary.flavor() == Flavor::MariaDb {
        let domain_1 = primary.query("SELECT @@gtid_binlog_pos").remove(0).remove(0).expect("a position");
        let (_, sequence) = domain_1.split(',').find(|gtid| gtid.starts_with("1-")).expect("domain 1").rsplit_once('-').expect("a GTID");
        replica.sql(&format!(
            "SET gtid_domain_id = 1; SET server_id = 2001; SET gtid_seq_no = {sequence}; INSERT INTO d.one VALUES ('', {OTHER})"
        ));
        replica.sql("SET gtid_domain_id = 0; INSERT INTO d.last VALUES (1)");
    } else {
        replica.sql("INSERT INTO d.last VALUES (1)");
    }
    host.write_pipeline(&pipeline(replica));
    let ended = run_to(&host, &["t"], 1);
    (host, ended)
}

fn check(host: &Sluicegate, ended: &Ended, before: &[u64]) {
    let one: Vec<u64> = before.iter().copied().chain(keyed()).collect();
    assert_eq!(ids(host, "t", "one"), one);
    assert_eq!(ids(host, "t", "two"), keyed());
    // a table without a key: the transaction's rows of it come again as a whole, and it is said once
    let rows = ids(host, "t", "bare");
    let again = rows.len() - bare().len();
    assert!(again > 0 && rows[..again] == bare()[..again] && rows[again..] == bare(), "{rows:?}");
    let said = ended.stderr.lines().filter(|line| line.contains("tables without a key in another order: these rows come again")).count();
    assert_eq!(said, 1, "{}", ended.stderr);
}

#[test]
fn a_failover_inside_a_transaction_loses_nothing_and_repeats_only_tables_without_a_key_mariadb() {
    let primary = mariadb::start(&[]);
    let replica = mariadb::start(&["--server-id=2002", "--log-bin=other", "--binlog-row-event-max-size=256"]);
    let (host, ended) = failover(&primary, &replica);
    check(&host, &ended, &[OTHER]);
}

#[test]
fn a_failover_inside_a_transaction_loses_nothing_and_repeats_only_tables_without_a_key_mysql() {
    let primary = mysql::start(&[]);
    let replica = mysql::start(&["--server-id=2002", "--log-bin=other", "--binlog-row-event-max-size=256"]);
    let (host, ended) = failover(&primary, &replica);
    check(&host, &ended, &[]);
}
