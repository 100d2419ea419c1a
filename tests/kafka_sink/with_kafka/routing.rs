//! Headers, and topics that plugins choose.

use super::*;

/// A row whose plugin chose a topic and a header: id, note, topic, tenant.
pub(super) type Routed<'a> = Option<(i64, &'a str, Option<&'a str>, Option<&'a str>)>;

/// Changes of `shop.orders`, each with its two images.
pub(super) fn routed<'a>(number: u64, changes: impl IntoIterator<Item = (Routed<'a>, Routed<'a>)>) -> Batch {
    let mut orders = Table::clone(&table("orders", true));
    for (name, place) in [("where", Place::Destination), ("tenant", Place::Header)] {
        orders.columns.push(ColumnInfo { name: name.into(), place, ..orders.columns[1].clone() });
    }
    let orders = Arc::new(orders);
    let mut batch = batch(number, orders);
    for (before, after) in changes {
        let plain = |row: Routed<'a>| row.map(|(id, note, ..)| (id, note));
        push(&mut batch, plain(before), plain(after));
        for (_, _, topic, tenant) in [before, after].into_iter().flatten() {
            for (column, value) in [(2, topic), (3, tenant)] {
                let column = &mut batch.tables[0].columns[column];
                match (&mut column.values, value) {
                    (Values::Text(strings), Some(value)) => strings.push(value.as_bytes()),
                    _ => column.push_null(),
                }
            }
        }
    }
    batch.validate().unwrap();
    batch
}

/// Key, operation and headers of each record of a topic.
fn seen(broker: &Broker, topic: &str) -> Vec<String> {
    let shown = |record: &Record| {
        let operation = field(record, "_op").map_or("-".to_owned(), |op| op.as_str().unwrap().to_owned());
        let headers = record.headers.iter().map(|(name, value)| format!(" {name}={}", value.as_deref().unwrap()));
        format!("{} {operation}{}", record.key.as_deref().unwrap(), headers.collect::<String>())
    };
    broker.records(topic).iter().map(shown).collect()
}

#[test]
fn headers_and_the_plugins_versions_stand_beside_the_record() {
    let broker = kafka::shared();
    for (name, versions) in [("versions-header", PluginVersions::Header), ("versions-member", PluginVersions::Member)] {
        let mut bench = Bench::open_with(settings(&broker, name), OnError::Stop, versions, &Limits::default()).unwrap();
        let mut batch = routed(
            0,
            [
                (None, Some((1, "a", None, Some("eu")))),
                (Some((1, "a", None, Some("eu"))), Some((2, "a", None, None))),
                (Some((2, "a", None, Some("us"))), None),
            ],
        );
        batch.versions = Some("mask@1.0.0+0123456789ab".into());
        bench.sink.write(&batch).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let topic = format!("{name}.orders");
        let plugins = if versions == PluginVersions::Header { " sluicegate.plugins=mask@1.0.0+0123456789ab" } else { "" };
        assert_eq!(
            seen(&broker, &topic),
            [
                format!(r#"{{"id":1}} c tenant=eu{plugins}"#),
                format!(r#"{{"id":1}} d tenant=eu{plugins} __debezium.newkey={{"id":2}}"#),
                format!(r#"{{"id":1}} - tenant=eu{plugins} __debezium.newkey={{"id":2}}"#),
                format!(r#"{{"id":2}} c{plugins} __debezium.oldkey={{"id":1}}"#),
                format!(r#"{{"id":2}} d tenant=us{plugins}"#),
                format!(r#"{{"id":2}} - tenant=us{plugins}"#),
            ]
        );
        for record in broker.records(&topic).iter().filter(|r| r.value.is_some()) {
            assert!(field(record, "tenant").unwrap().is_null() && field(record, "where").unwrap().is_null());
            assert_eq!(field(record, "_plugins").unwrap().is_null(), versions == PluginVersions::Header);
        }
    }
}

#[test]
fn rows_go_to_the_topics_that_plugins_choose_and_leave_those_that_they_chose_before() {
    let broker = kafka::shared();
    let mut bench = Bench::open(settings(&broker, "chosen"), OnError::Stop).unwrap();
    let to = |id, topic| Some((id, "", topic, None));
    bench
        .sink
        .write(&routed(
            0,
            [
                (None, to(1, Some("chosen.eu"))),
                (None, to(2, None)),
                (to(1, Some("chosen.eu")), to(1, Some("chosen.us"))),
                (to(1, Some("chosen.us")), to(1, Some("chosen.us"))),
                (to(1, Some("chosen.us")), to(3, None)),
                (to(2, Some("chosen.eu")), None),
            ],
        ))
        .unwrap();
    let mut whole = inserts(6, [7], "");
    whole.tables[0].table = Arc::new(Table { destination: Some("chosen.all".into()), ..Table::clone(&whole.tables[0].table) });
    bench.sink.write(&whole).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(seen(&broker, "chosen.eu"), [r#"{"id":1} c"#, r#"{"id":1} d"#, r#"{"id":1} -"#, r#"{"id":2} d"#, r#"{"id":2} -"#]);
    let new = r#"__debezium.newkey={"id":3}"#;
    let us = [r#"{"id":1} c"#.to_owned(), r#"{"id":1} u"#.to_owned(), format!(r#"{{"id":1}} d {new}"#), format!(r#"{{"id":1}} - {new}"#)];
    assert_eq!(seen(&broker, "chosen.us"), us);
    assert_eq!(seen(&broker, "chosen.orders"), [r#"{"id":2} c"#, r#"{"id":3} c __debezium.oldkey={"id":1}"#]);
    assert_eq!(seen(&broker, "chosen.all"), [r#"{"id":7} c"#]);
}

#[test]
fn order_per_key_is_kept_within_each_chosen_topic() {
    let broker = kafka::shared();
    for topic in ["sorted.a", "sorted.b"] {
        broker.create_topic(topic, 3);
    }
    let mut bench = Bench::open(settings(&broker, "sorted"), OnError::Stop).unwrap();
    let notes: Vec<String> = (0..40_000).map(|n| n.to_string()).collect();
    for sequence in (0..40_000_usize).step_by(1000) {
        let rows = (sequence..sequence + 1000).map(|n| {
            let topic = if n % 3 == 0 { "sorted.a" } else { "sorted.b" };
            (None, Some((n as i64 % 50, notes[n].as_str(), Some(topic), None)))
        });
        bench.sink.write(&routed(sequence as u64, rows)).unwrap();
    }
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_each_once_in_order(&broker.records("sorted.a"), 13_334);
    assert_each_once_in_order(&broker.records("sorted.b"), 26_666);
}

#[test]
fn a_bad_topic_and_too_many_headers_follow_the_policy_and_are_not_shown() {
    let broker = kafka::shared();
    let limits = Limits { record_header_bytes: 20, destinations: 1, ..Limits::default() };
    let open = |name: &str, on_error| Bench::open_with(settings(&broker, name), on_error, PluginVersions::Omitted, &limits).unwrap();
    let bad = |id| Some((id, "", Some("s3cret topic"), None));
    let good = |id| Some((id, "", None, None));
    let error = fails(&mut open("bad-stop", OnError::Stop), &routed(4, [(None, bad(1))]));
    assert_eq!(error.kind(), ErrorKind::Record);
    insta::assert_snapshot!(error, @r#"
        a change of table shop.orders at binlog.000001:4, row 0: the destination that a plugin chose for a record of table shop.orders is no topic name
          remedy: let the plugin choose letters, digits, `.`, `_` and `-`, at most 249 of them, or set `on_error`
    "#);

    let mut bench = open("bad-letters", OnError::DeadLetter);
    let loaded = Some((4, "", None, Some("s3cret tenant, a long one")));
    // neither half of an update that cannot be delivered whole
    let mut batch = routed(0, [(None, good(1)), (None, bad(2)), (good(3), bad(3)), (None, loaded), (None, good(5))]);
    bench.sink.write(&batch).unwrap();
    batch.number = 5;
    batch.tables[0].table = Arc::new(Table { destination: Some("..".into()), ..Table::clone(&batch.tables[0].table) });
    bench.sink.write(&batch).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(seen(&broker, "bad-letters.orders"), [r#"{"id":1} c"#, r#"{"id":5} c"#]);
    let letters = bench.dead_letters();
    let rows: Vec<_> = letters.iter().map(|l| l["source"]["row"].as_u64().unwrap()).collect();
    assert_eq!(rows, [1, 2, 3, 0, 1, 2, 3, 4]);
    assert!(letters.iter().all(|l| !l["error"].as_str().unwrap().contains("s3cret")));

    let error =
        fails(&mut open("bad-many", OnError::Skip), &routed(0, ["bad-many.a", "bad-many.b"].map(|t| (None, Some((1, "", Some(t), None))))));
    assert_eq!(error.kind(), ErrorKind::Sink);
}
