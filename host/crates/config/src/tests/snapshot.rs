//! How tables are copied.

use super::*;

fn snapshot(settings: &str) -> Result<Snapshot> {
    loaded(&mysql(&format!("  snapshot: {{ {settings} }}\n"))).map(|pipeline| match pipeline.source {
        Source::MySql(source) => source.snapshot,
        Source::Generator(_) | Source::SqlServer(_) | Source::Kafka(_) | Source::DeadLetters(_) => panic!("the text says mysql"),
    })
}

#[test]
fn rates_readers_conditions_and_the_load_of_the_server_are_read() {
    let read = snapshot(
        "readers: 4, rows_per_second: 5, bytes_per_second: 4MB, queries_per_second: 6, share_locks: true, \
         pause_above: { threads_running: 40, replication_lag: 30s }, where: { 'shop.orders': 'id > 7', '`a.b`.c': 'x = 1' }",
    );
    let read = read.unwrap();
    assert_eq!(
        (read.readers(), read.rows_per_second, read.bytes_per_second, read.queries_per_second),
        (4, Some(5), Some(4_000_000), Some(6))
    );
    assert_eq!((read.most_threads_running, read.most_replication_lag), (Some(40), Some(Duration::from_secs(30))));
    assert!(read.share_locks);
    let name = |database: &str, table: &str| (database.to_owned(), table.to_owned());
    assert_eq!(read.conditions.get(&name("shop", "orders")).map(String::as_str), Some("id > 7"));
    assert_eq!(read.conditions.get(&name("a.b", "c")).map(String::as_str), Some("x = 1"));
    let plain = snapshot("mode: initial").unwrap();
    assert_eq!((plain.readers(), plain.share_locks, plain.conditions.len()), (2, false, 0));
}

#[test]
fn copies_that_would_never_end_and_tables_without_a_name_are_refused() {
    for (settings, path, what) in [
        ("rows_per_second: 0", "source.snapshot.rows_per_second", "no rows at all"),
        ("bytes_per_second: 0MB", "source.snapshot.bytes_per_second", "no rows at all"),
        ("queries_per_second: 0", "source.snapshot.queries_per_second", "no rows at all"),
        ("readers: 0", "source.snapshot.readers", "not from 1 to 16"),
        ("readers: 17", "source.snapshot.readers", "not from 1 to 16"),
        ("pause_above: { threads_running: 0 }", "source.snapshot.pause_above.threads_running", "always wait"),
        ("where: { orders: 'id > 7' }", "source.snapshot.where.orders", "not the name of one table"),
        ("where: { 'shop.orders': ' ' }", "source.snapshot.where.shop.orders", "an empty condition"),
    ] {
        let error = snapshot(settings).expect_err(settings);
        let text = format!("{error}");
        assert!(text.contains(path) && text.contains(what), "{settings}: {text}");
    }
}
