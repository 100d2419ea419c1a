//! The Kafka sink against a real broker.

mod with_kafka {
    use std::{
        collections::BTreeMap,
        sync::Arc,
        time::{Duration, Instant},
    };

    use serde_json::Value;
    use sluicegate::{
        Error, ErrorKind, Result,
        change::{
            Batch, Change, ColumnInfo, DataType, Event, Image, NO_IMAGE, Operation, Place, Position, Table, TableName, TableRows,
            Transaction, Values,
        },
        config::{KafkaSink, Keyless, OnError, PluginVersions, RecordFormat, Secret, Sink as Settings, SinkKind},
        limits::Limits,
        service::{Status, status::SinkStatus},
        sink::{self, DeadLetters, Sink},
    };
    use sluicegate_harness::kafka::{self, Broker, Record};

    /// A sink under test, with what stands around it.
    struct Bench {
        sink: Box<dyn Sink>,
        status: Arc<Status>,
        folder: tempfile::TempDir,
    }

    impl Bench {
        fn open(settings: KafkaSink, on_error: OnError) -> Result<Self> {
            Self::open_with(settings, on_error, PluginVersions::Omitted, &Limits::default())
        }

        fn open_with(settings: KafkaSink, on_error: OnError, plugin_versions: PluginVersions, limits: &Limits) -> Result<Self> {
            let folder = tempfile::tempdir().unwrap();
            let letters = Arc::new(DeadLetters::new(folder.path(), 16 << 20));
            let status = Arc::new(Status { sinks: vec![SinkStatus::default()], ..Status::default() });
            let settings =
                Settings { name: "kafka".into(), format: RecordFormat::Flat, plugin_versions, on_error, kind: SinkKind::Kafka(settings) };
            let sink = sink::open(&settings, "shop", "mysql", None, limits, letters, status.clone(), 0)?;
            Ok(Self { sink, status, folder })
        }

        fn dead_letters(&self) -> Vec<Value> {
            let text = std::fs::read_to_string(self.folder.path().join("kafka.ndjson")).unwrap_or_default();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        }
    }

    fn settings(broker: &Broker, topic: &str) -> KafkaSink {
        KafkaSink {
            brokers: broker.brokers().into(),
            topic: format!("{topic}.{{table}}"),
            tombstones: true,
            keyless: Keyless::Stop,
            delivery_timeout: Duration::from_secs(60),
            options: BTreeMap::new(),
        }
    }

    /// `shop.{name} (id bigint [primary key], note text)`.
    fn table(name: &str, key: bool) -> Arc<Table> {
        let column = |name: &str, data_type, primary_key| ColumnInfo {
            name: name.into(),
            data_type,
            native_type: String::new(),
            nullable: false,
            primary_key,
            place: Place::Value,
        };
        Arc::new(Table {
            name: TableName::new("shop", name),
            destination: None,
            columns: vec![column("id", DataType::Int64, key), column("note", DataType::Text, false)],
        })
    }

    fn batch(sequence: u64, table: Arc<Table>) -> Batch {
        let mut batch = Batch::empty(sequence, Position::new("{}"));
        batch.tables.push(TableRows::new(table));
        batch.events.push(Event { transaction: 0, position: 4, time_us: 1_700_000_000_000_000, server_id: 1 });
        batch.transactions.push(Transaction { id: None, file: "binlog.000001".into() });
        batch
    }

    type Row<'a> = Option<(i64, &'a str)>;

    fn push(batch: &mut Batch, before: Row<'_>, after: Row<'_>) {
        let rows = &mut batch.tables[0];
        let mut image = |row: Row<'_>, image: Image| {
            let Some((id, note)) = row else { return NO_IMAGE };
            rows.images.push(image as u8);
            if let Values::Int64(v) = &mut rows.columns[0].values {
                v.push(id);
            }
            if let Values::Text(v) = &mut rows.columns[1].values {
                v.push(note.as_bytes());
            }
            rows.len() as u32 - 1
        };
        let (before, after) = (image(before, Image::Before), image(after, Image::After));
        let operation = match (before, after) {
            (NO_IMAGE, _) => Operation::Insert,
            (_, NO_IMAGE) => Operation::Delete,
            _ => Operation::Update,
        };
        let offset = batch.taken;
        batch.taken += 1;
        batch.bytes += 100;
        batch.changes.push(Change { table: 0, before, after, operation, event: 0, row: offset, offset });
    }

    fn inserts(sequence: u64, ids: impl IntoIterator<Item = i64>, note: &str) -> Batch {
        let mut batch = batch(sequence, table("orders", true));
        ids.into_iter().for_each(|id| push(&mut batch, None, Some((id, note))));
        batch
    }

    fn field(record: &Record, name: &str) -> Option<Value> {
        record.value.as_ref().map(|value| serde_json::from_str::<Value>(value).unwrap()[name].clone())
    }

    fn id(record: &Record) -> i64 {
        field(record, "id").unwrap().as_i64().unwrap()
    }

    #[test]
    fn keys_tombstones_and_changed_keys_are_as_debezium_writes_them() {
        let broker = kafka::shared();
        let mut bench = Bench::open(settings(&broker, "kinds"), OnError::Stop).unwrap();
        let mut batch = batch(0, table("orders", true));
        push(&mut batch, None, Some((1, "a")));
        push(&mut batch, Some((1, "a")), Some((1, "b")));
        push(&mut batch, Some((1, "b")), Some((2, "b")));
        push(&mut batch, Some((2, "b")), None);
        bench.sink.write(&batch).unwrap();
        bench.sink.flush().unwrap();
        let records = broker.records("kinds.orders");
        let seen: Vec<_> = records
            .iter()
            .map(|r| {
                let headers: Vec<_> = r.headers.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap())).collect();
                (r.key.as_deref().unwrap(), field(r, "_op").map(|op| op.as_str().unwrap().to_owned()), headers.join(","))
            })
            .collect();
        let (one, two) = (r#"{"id":1}"#, r#"{"id":2}"#);
        let (new, old) = (format!("__debezium.newkey={two}"), format!("__debezium.oldkey={one}"));
        let op = |op: &str| Some(op.to_owned());
        assert_eq!(
            seen,
            [
                (one, op("c"), String::new()),
                (one, op("u"), String::new()),
                (one, op("d"), new.clone()),
                (one, None, new),
                (two, op("c"), old),
                (two, op("d"), String::new()),
                (two, None, String::new()),
            ]
        );
        assert_eq!(bench.status.sinks[0].records.get(), 7);
    }

    #[test]
    fn tables_without_a_key_follow_the_policy() {
        let broker = kafka::shared();
        let mut batch = batch(0, table("log", false));
        push(&mut batch, None, Some((1, "a")));
        push(&mut batch, Some((1, "a")), None);

        let mut stop = Bench::open(settings(&broker, "keyless-stop"), OnError::Stop).unwrap();
        let error = stop.sink.write(&batch).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        insta::assert_snapshot!(error, @r"
table shop.log has no primary key, so its records have no key
  remedy: give the table a primary key, set `keyless` to `whole-row` or `no-key`, or leave the table out
");

        let mut whole = Bench::open(KafkaSink { keyless: Keyless::WholeRow, ..settings(&broker, "keyless-row") }, OnError::Stop).unwrap();
        whole.sink.write(&batch).unwrap();
        whole.sink.flush().unwrap();
        let keys: Vec<_> = broker.records("keyless-row.log").into_iter().map(|r| (r.key.unwrap(), r.value.is_some())).collect();
        let key = r#"{"id":1,"note":"a"}"#.to_owned();
        assert_eq!(keys, [(key.clone(), true), (key.clone(), true), (key, false)]);

        broker.create_topic("keyless-none.log", 3);
        let mut none = Bench::open(KafkaSink { keyless: Keyless::NoKey, ..settings(&broker, "keyless-none") }, OnError::Stop).unwrap();
        none.sink.write(&batch).unwrap();
        none.sink.flush().unwrap();
        let places: Vec<_> = broker.records("keyless-none.log").into_iter().map(|r| (r.partition, r.key, r.value.is_some())).collect();
        assert_eq!(places, [(0, None, true), (0, None, true)]);
    }

    #[test]
    fn order_per_key_is_kept_over_partitions_and_full_queues() {
        let broker = kafka::shared();
        broker.create_topic("order.orders", 4);
        let mut bench = Bench::open(settings(&broker, "order"), OnError::Stop).unwrap();
        let table = table("orders", true);
        for sequence in (0..200_000_u64).step_by(1000) {
            let mut batch = batch(sequence, table.clone());
            for n in sequence..sequence + 1000 {
                push(&mut batch, None, Some((n as i64 % 50, &n.to_string())));
            }
            bench.sink.write(&batch).unwrap();
        }
        bench.sink.flush().unwrap();
        assert_each_once_in_order(&broker.records("order.orders"), 200_000);
        assert_eq!(bench.status.sinks[0].records.get(), 200_000);
    }

    /// Records of `id = n % 50, note = n`: every `n` once, ascending for each id, and each id in one partition.
    fn assert_each_once_in_order(records: &[Record], count: usize) {
        let mut by_id: BTreeMap<i64, Vec<(i32, u64)>> = BTreeMap::new();
        for record in records {
            let note = field(record, "note").unwrap().as_str().unwrap().parse().unwrap();
            by_id.entry(id(record)).or_default().push((record.partition, note));
        }
        for (id, seen) in by_id {
            assert!(seen.windows(2).all(|w| w[0].0 == w[1].0 && w[0].1 < w[1].1), "key {id} is out of order");
        }
        assert_eq!(records.len(), count);
    }

    #[test]
    fn a_broker_killed_and_started_again_loses_repeats_and_reorders_nothing() {
        let mut broker = kafka::start(&[]);
        broker.create_topic("kill.orders", 3);
        let mut bench = Bench::open(settings(&broker, "kill"), OnError::Stop).unwrap();
        let (done, written) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            let table = table("orders", true);
            for sequence in (0..40_000_u64).step_by(200) {
                let mut batch = batch(sequence, table.clone());
                for n in sequence..sequence + 200 {
                    push(&mut batch, None, Some((n as i64 % 50, &n.to_string())));
                }
                bench.sink.write(&batch).unwrap();
                if sequence % 1000 == 0 {
                    bench.sink.flush().unwrap();
                }
                done.send(sequence).unwrap();
            }
            bench.sink.flush().unwrap();
        });
        while written.recv().unwrap() < 10_000 {}
        broker.kill9();
        broker.start_again();
        writer.join().unwrap();
        assert_each_once_in_order(&broker.records("kill.orders"), 40_000);
    }

    #[test]
    fn a_refused_record_goes_to_the_dead_letters_and_its_neighbours_are_delivered() {
        // a whole request of small records is larger than this broker takes, too
        let broker = kafka::start(&["message.max.bytes=20000"]);
        for (name, on_error) in [("letters", OnError::DeadLetter), ("skip", OnError::Skip)] {
            let mut bench = Bench::open(settings(&broker, name), on_error).unwrap();
            let huge = "x".repeat(30_000); // the client takes it, the broker does not
            let mut batch = inserts(0, 0..150, &"n".repeat(200));
            push(&mut batch, None, Some((150, &huge)));
            push(&mut batch, None, Some((151, "last")));
            bench.sink.write(&batch).unwrap();
            bench.sink.flush().unwrap();
            bench.sink.write(&inserts(152, [152], "")).unwrap();
            bench.sink.flush().unwrap();

            let topic = format!("{name}.orders");
            let mut last = BTreeMap::new();
            for record in broker.records(&topic) {
                last.insert(id(&record), record);
            }
            let expected: Vec<i64> = (0..153).filter(|n| *n != 150).collect();
            assert_eq!(last.into_keys().collect::<Vec<_>>(), expected);
            let numbers = &bench.status.sinks[0];
            if on_error == OnError::Skip {
                assert_eq!((numbers.skipped.get(), bench.dead_letters().len()), (1, 0));
                continue;
            }
            let letters = bench.dead_letters();
            assert_eq!((numbers.dead_lettered.get(), letters.len()), (1, 1));
            assert_eq!((&letters[0]["sequence"], &letters[0]["after"]["note"]), (&150.into(), &Value::from(huge)));
            assert!(!letters[0]["error"].as_str().unwrap().contains("xxx"));
        }
    }

    #[test]
    fn a_record_larger_than_the_client_takes_goes_to_the_dead_letters_at_once() {
        let broker = kafka::shared();
        let mut bench = Bench::open(settings(&broker, "client-limit"), OnError::DeadLetter).unwrap();
        let mut batch = batch(7, table("orders", true));
        push(&mut batch, None, Some((1, "a")));
        push(&mut batch, None, Some((2, &"x".repeat(2_000_000))));
        push(&mut batch, None, Some((3, "c")));
        bench.sink.write(&batch).unwrap();
        bench.sink.flush().unwrap();
        assert_eq!(broker.records("client-limit.orders").iter().map(id).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(bench.dead_letters()[0]["sequence"], 8);
    }

    #[test]
    fn by_default_a_refused_record_stops_the_sink() {
        let broker = kafka::start(&["message.max.bytes=20000"]);
        let mut bench = Bench::open(settings(&broker, "stop"), OnError::Stop).unwrap();
        let error = fails(&mut bench, &inserts(0, [1], &"x".repeat(30_000)));
        assert_eq!(error.kind(), ErrorKind::Record);
        insta::assert_snapshot!(error, @r"
a record, or a batch of records, is larger than topic `stop.orders` or the client allows
  remedy: raise `max.message.bytes` of the topic and `message.max.bytes` in the sink's `options`, keep `batch.size` below the topic's limit, or set `on_error`
");

        let mut bench = Bench::open(settings(&broker, "stop"), OnError::Stop).unwrap();
        let error = fails(&mut bench, &inserts(0, [1], &"x".repeat(2_000_000)));
        insta::assert_snapshot!(error, @r"
change 0 of table shop.orders: a record, or a batch of records, is larger than topic `stop.orders` or the client allows
  remedy: raise `max.message.bytes` of the topic and `message.max.bytes` in the sink's `options`, keep `batch.size` below the topic's limit, or set `on_error`
");
    }

    /// The error of a write or of the flush after it.
    fn fails(bench: &mut Bench, batch: &Batch) -> Error {
        bench.sink.write(batch).and_then(|()| bench.sink.flush()).unwrap_err()
    }

    #[test]
    fn a_missing_topic_is_named() {
        let broker = kafka::start(&["auto.create.topics.enable=false"]);
        // by default librdkafka gives a new topic half a minute to become known
        let options = BTreeMap::from([("topic.metadata.propagation.max.ms".to_owned(), Secret::new("500"))]);
        let mut bench = Bench::open(KafkaSink { options, ..settings(&broker, "missing") }, OnError::DeadLetter).unwrap();
        let error = fails(&mut bench, &inserts(0, [1], ""));
        assert_eq!(error.kind(), ErrorKind::Sink, "{error}");
        insta::assert_snapshot!(error, @r"
topic `missing.orders` does not exist, and the brokers do not make it: UnknownTopicOrPartition (Broker: Unknown topic or partition)
  remedy: make the topic, or let the brokers do it (`auto.create.topics.enable`), then start again: nothing is lost
");
    }

    #[test]
    fn a_broker_that_stays_down_stops_the_sink_within_the_delivery_timeout() {
        let broker = kafka::start(&[]);
        let mut bench =
            Bench::open(KafkaSink { delivery_timeout: Duration::from_secs(3), ..settings(&broker, "down") }, OnError::Skip).unwrap();
        bench.sink.write(&inserts(0, 0..10, "")).unwrap();
        bench.sink.flush().unwrap();
        broker.kill9();
        let begin = Instant::now();
        let error = fails(&mut bench, &inserts(10, 10..20, ""));
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
        assert_eq!(error.kind(), ErrorKind::Sink);
        let text = error.to_string().replace(broker.brokers(), "BROKER");
        assert!(text.starts_with("BROKER did not acknowledge records for topic `down.orders` within 3s: "), "{text}");
        assert!(text.ends_with("then start again: nothing is lost"), "{text}");
        assert_eq!(bench.status.sinks[0].skipped.get(), 0);
    }

    #[test]
    fn a_refused_login_and_a_missing_grant_are_told_apart_and_show_no_password() {
        let broker = kafka::start(&[
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT",
            "inter.broker.listener.name=PLAINTEXT",
            "sasl.mechanism.inter.broker.protocol=PLAIN",
            "sasl.enabled.mechanisms=PLAIN",
            "listener.name.plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"admin\" password=\"boss\" user_admin=\"boss\" user_cdc=\"r1ght\";",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:admin;User:ANONYMOUS",
        ]);
        let with = |password: &str, delivery_timeout| {
            let options = [
                ("security.protocol", "sasl_plaintext"),
                ("sasl.mechanism", "PLAIN"),
                ("sasl.username", "cdc"),
                ("sasl.password", password),
            ];
            let options = options.into_iter().map(|(name, value)| (name.to_owned(), Secret::new(value))).collect();
            KafkaSink { options, delivery_timeout, ..settings(&broker, "grants") }
        };
        let (soon, patient) = (Duration::from_secs(5), Duration::from_secs(60));
        let precheck = |password: &str, connect_timeout| {
            let kind = SinkKind::Kafka(with(password, soon));
            let settings = Settings {
                name: "kafka".into(),
                format: RecordFormat::Flat,
                plugin_versions: PluginVersions::Omitted,
                on_error: OnError::Stop,
                kind,
            };
            sink::precheck(&settings, &Limits { connect_timeout, ..Limits::default() })
        };
        let text = |error: &Error| error.to_string().replace(broker.brokers(), "BROKER");
        precheck("r1ght", patient).unwrap();
        let error = precheck("wr0ng", soon).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precheck);
        assert!(text(&error).starts_with("BROKER refused the login"), "{error}");
        assert!(!text(&error).contains("wr0ng"), "{error}");

        let error = fails(&mut Bench::open(with("wr0ng", soon), OnError::Skip).unwrap(), &inserts(0, [1], ""));
        assert_eq!(error.kind(), ErrorKind::Sink);
        assert!(text(&error).starts_with("BROKER refused the login"), "{error}");

        let error = fails(&mut Bench::open(with("r1ght", patient), OnError::Skip).unwrap(), &inserts(0, [1], ""));
        assert_eq!(error.kind(), ErrorKind::Sink);
        // whichever answer comes first: that to the record, or that to the request for a producer id
        let either = text(&error).replace("ClusterAuthorizationFailed (Broker: Cluster", "TopicAuthorizationFailed (Broker: Topic");
        insta::assert_snapshot!(either, @r"
the account may not write to topic `grants.orders`: TopicAuthorizationFailed (Broker: Topic authorization failed)
  remedy: grant it WRITE and DESCRIBE on the topic (and CREATE, or make the topic first), then start again: nothing is lost
");
    }

    #[test]
    fn the_precheck_passes_with_a_broker() {
        let broker = kafka::shared();
        let kind = SinkKind::Kafka(settings(&broker, "check"));
        let settings = Settings {
            name: "kafka".into(),
            format: RecordFormat::Flat,
            plugin_versions: PluginVersions::Omitted,
            on_error: OnError::Stop,
            kind,
        };
        sink::precheck(&settings, &Limits::default()).unwrap();
    }

    /// A row whose plugin chose a topic and a header: id, note, topic, tenant.
    type Routed<'a> = Option<(i64, &'a str, Option<&'a str>, Option<&'a str>)>;

    /// Changes of `shop.orders`, each with its two images.
    fn routed<'a>(sequence: u64, changes: impl IntoIterator<Item = (Routed<'a>, Routed<'a>)>) -> Batch {
        let mut orders = Table::clone(&table("orders", true));
        for (name, place) in [("where", Place::Destination), ("tenant", Place::Header)] {
            orders.columns.push(ColumnInfo { name: name.into(), place, ..orders.columns[1].clone() });
        }
        let orders = Arc::new(orders);
        let mut batch = batch(sequence, orders);
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
            bench.sink.flush().unwrap();
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
        bench.sink.flush().unwrap();
        assert_eq!(seen(&broker, "chosen.eu"), [r#"{"id":1} c"#, r#"{"id":1} d"#, r#"{"id":1} -"#, r#"{"id":2} d"#, r#"{"id":2} -"#]);
        let new = r#"__debezium.newkey={"id":3}"#;
        let us =
            [r#"{"id":1} c"#.to_owned(), r#"{"id":1} u"#.to_owned(), format!(r#"{{"id":1}} d {new}"#), format!(r#"{{"id":1}} - {new}"#)];
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
        bench.sink.flush().unwrap();
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
        change 4 of table shop.orders: the destination that a plugin chose for a record of table shop.orders is no topic name
          remedy: let the plugin choose letters, digits, `.`, `_` and `-`, at most 249 of them, or set `on_error`
        "#);

        let mut bench = open("bad-letters", OnError::DeadLetter);
        let loaded = Some((4, "", None, Some("s3cret tenant, a long one")));
        // neither half of an update that cannot be delivered whole
        let mut batch = routed(0, [(None, good(1)), (None, bad(2)), (good(3), bad(3)), (None, loaded), (None, good(5))]);
        bench.sink.write(&batch).unwrap();
        batch.sequence = 5;
        batch.tables[0].table = Arc::new(Table { destination: Some("..".into()), ..Table::clone(&batch.tables[0].table) });
        bench.sink.write(&batch).unwrap();
        bench.sink.flush().unwrap();
        assert_eq!(seen(&broker, "bad-letters.orders"), [r#"{"id":1} c"#, r#"{"id":5} c"#]);
        let letters = bench.dead_letters();
        let sequences: Vec<_> = letters.iter().map(|l| l["sequence"].as_u64().unwrap()).collect();
        assert_eq!(sequences, [1, 2, 3, 5, 6, 7, 8, 9]);
        assert!(letters.iter().all(|l| !l["error"].as_str().unwrap().contains("s3cret")));

        let error = fails(
            &mut open("bad-many", OnError::Skip),
            &routed(0, ["bad-many.a", "bad-many.b"].map(|t| (None, Some((1, "", Some(t), None))))),
        );
        assert_eq!(error.kind(), ErrorKind::Sink);
    }
}
