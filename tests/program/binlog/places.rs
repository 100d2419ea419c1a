//! Sinks at different places, while the captured tables change.

use serde_json::json;
use sluicegate_harness::{
    database::{Flavor, Server},
    host::Sluicegate,
    mariadb, mysql,
};

use super::*;

#[test]
fn sinks_at_different_places_get_each_change_of_added_tables_from_their_own_place_on() {
    for server in [mariadb::shared(), mysql::shared()] {
        let database = server.database("places");
        for table in ["kept", "removed", "added", "last"] {
            server.sql(&format!("CREATE TABLE {database}.{table} (id INT PRIMARY KEY)"));
        }
        let tables = |captured: &[&str]| {
            let names: Vec<String> = captured.iter().map(|table| format!("{database}.{table}")).collect();
            format!("[{}]", names.join(", "))
        };
        let (before, after) = (tables(&["kept", "removed", "last"]), tables(&["kept", "added", "last"]));
        let round = |id: u32| {
            for table in ["added", "removed", "kept", "last"] {
                server.sql(&format!("INSERT INTO {database}.{table} VALUES ({id})"));
            }
        };
        let both = format!("[{}, {}]", file("ahead"), file("behind"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, &before, &both));
        stop(start(&host));
        round(1);
        run_to(&host, &["ahead", "behind"], 1);
        host.write_pipeline(&pipeline(&server, &before, &format!("[{}]", file("ahead"))));
        round(2);
        run_to(&host, &["ahead"], 2);
        host.write_pipeline(&pipeline(&server, &after, &both));
        round(3);
        run_to(&host, &["ahead", "behind"], 3);

        let of = |sink: &str| ["kept", "removed", "added", "last"].map(|table| ids(&host, sink, table));
        assert_eq!(of("ahead"), [vec![1, 2, 3], vec![1, 2], vec![3], vec![1, 2, 3]]);
        assert_eq!(of("behind"), [vec![1, 2, 3], vec![1], vec![2, 3], vec![1, 2, 3]]);
    }
}

/// The identity that the next transaction gets.
fn next_transaction(server: &Server) -> String {
    let query = match server.flavor() {
        Flavor::MariaDb => "SELECT @@gtid_binlog_pos",
        Flavor::MySql => "SELECT @@GLOBAL.gtid_executed",
    };
    let last = server.client().value(query).expect("a set");
    let (before, number) = last.rsplit_once(['-', ':']).expect("numbers");
    let separator = if server.flavor() == Flavor::MariaDb { '-' } else { ':' };
    // MySQL writes uuid:1-5
    let before = if server.flavor() == Flavor::MySql { before.rsplit_once(':').map_or(before, |(uuid, _)| uuid) } else { before };
    format!("{before}{separator}{}", number.parse::<u64>().expect("a number") + 1)
}

#[test]
fn sinks_at_different_rows_of_a_transaction_get_the_rest_of_each_captured_table() {
    for server in [mariadb::start(&[]), mysql::start(&[])] {
        server.sql("CREATE DATABASE d");
        for table in ["kept", "removed", "added", "last"] {
            server.sql(&format!("CREATE TABLE d.{table} (id INT PRIMARY KEY)"));
        }
        let both = format!("[{}, {}]", file("a"), file("b"));
        let host = Sluicegate::new(BINARY, &pipeline(&server, "[d.kept, d.removed, d.last]", &both));
        stop(start(&host));
        let place = shown(&host, "a")["lanes"]["binlog"].clone();
        let transaction = next_transaction(&server);
        let statements: String = (0..10)
            .map(|i| {
                let i = 10 * i;
                format!(
                    "INSERT INTO d.kept VALUES ({}), ({}); INSERT INTO d.added VALUES ({}); INSERT INTO d.removed VALUES ({}), ({}), ({});",
                    i + 1,
                    i + 2,
                    i + 1,
                    i + 1,
                    i + 2,
                    i + 3
                )
            })
            .collect();
        server.sql(&format!("BEGIN; {statements} COMMIT; INSERT INTO d.last VALUES (1)"));
        for (sink, kept, removed) in [("a", 7, 9), ("b", 2, 4)] {
            let mut place = place.clone();
            place["open"] = json!([{ "transaction": transaction, "rows": { "d.kept": kept, "d.removed": removed } }]);
            set_place(&host, sink, &place);
        }
        host.write_pipeline(&pipeline(&server, "[d.kept, d.added, d.last]", &both));
        run_to(&host, &["a", "b"], 1);
        let kept: Vec<u64> = (0..10).flat_map(|i| [10 * i + 1, 10 * i + 2]).collect();
        let added: Vec<u64> = (0..10).map(|i| 10 * i + 1).collect();
        assert_eq!(ids(&host, "a", "kept"), kept[7..]);
        assert_eq!(ids(&host, "b", "kept"), kept[2..]);
        for sink in ["a", "b"] {
            assert_eq!(ids(&host, sink, "added"), added);
            assert_eq!(ids(&host, sink, "removed"), [0_u64; 0]);
        }
    }
}
