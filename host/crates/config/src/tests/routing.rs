//! Topics, keys, partitions, headers, folders and rates of sinks.

use super::*;

fn kafka(rest: &str) -> Result<KafkaSink> {
    let pipeline = loaded(&format!("labels: {{ environment: test }}\n{}", sink(&format!("{{ type: kafka, brokers: 'b:9092'{rest} }}"))))?;
    let SinkKind::Kafka(kafka) = pipeline.sinks[0].kind.clone() else { panic!("not a Kafka sink") };
    Ok(kafka)
}

fn file(rest: &str) -> Result<FileSink> {
    let pipeline = loaded(&sink(&format!("{{ type: file, folder: out{rest} }}")))?;
    let SinkKind::File(file) = pipeline.sinks[0].kind.clone() else { panic!("not a file sink") };
    Ok(file)
}

#[test]
fn keys_and_partitions_are_words_or_columns_also_for_single_tables() {
    let columns = |name: &str| vec![name.to_owned()];
    assert_eq!(kafka("").unwrap().keys, RecordKeys::default());
    let keys =
        kafka(", key: [a], partition_by: one, per_table: [{ tables: [shop.x], key: none }, { tables: ['shop.*'], partition_by: [b] }]");
    let keys = keys.unwrap().keys;
    assert_eq!((&keys.key, &keys.partition_by), (&KeyColumns::Columns(columns("a")), &PartitionBy::One));
    let shop = |table| sluicegate_table_pattern::Name { database: "shop", schema: None, table };
    assert_eq!((keys.key(shop("x")), keys.key(shop("y"))), (&KeyColumns::None, &KeyColumns::Columns(columns("a"))));
    assert_eq!(keys.partition_by(shop("x")), &PartitionBy::Columns(columns("b")));
    assert_eq!(kafka(", key: primary-key, partition_by: key").unwrap().keys, RecordKeys::default());
}

#[test]
fn topics_are_left_to_the_brokers_have_to_exist_or_are_made() {
    assert_eq!(kafka(", topics: automatic").unwrap().topics, TopicCreation::Automatic);
    assert_eq!(kafka(", topics: must-exist").unwrap().topics, TopicCreation::MustExist);
    let made =
        kafka(", topics: { partitions: 6, config: { cleanup.policy: compact, retention.ms: 5, unclean.leader.election.enable: false } }");
    let config = [("cleanup.policy", "compact"), ("retention.ms", "5"), ("unclean.leader.election.enable", "false")];
    let config = config.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(made.unwrap().topics, TopicCreation::Create(TopicSettings { partitions: Some(6), replication_factor: None, config }));
}

#[test]
fn headers_rates_and_folders_are_taken() {
    let headers = kafka(", headers: [operation, labels]").unwrap().headers;
    assert_eq!((headers.operation, headers.position, headers.source_time), (true, false, false));
    assert_eq!(headers.labels, [("environment".to_owned(), "test".to_owned())].into());
    let pipeline = loaded(&sink("{ type: stdout, rows_per_second: 200, bytes_per_second: 1MiB }")).unwrap();
    assert_eq!(pipeline.sinks[0].rate, Rate { rows: Some(200), bytes: Some(1 << 20) });
    assert_eq!((pipeline.limits.batch_changes, pipeline.limits.batch_bytes), (20, 104_857));
    let path = file(", path: '{table}/dt={date}', shared_path: allow, name_case: lower").unwrap().path.unwrap();
    assert_eq!((path.template.text(), path.shared, path.case), ("{table}/dt={date}", true, NameCase::Lower));
    assert_eq!(file("").unwrap().path, None);
}

#[test]
fn what_makes_no_sense_is_told() {
    let kafka = |rest: &str| sink(&format!("{{ type: kafka, brokers: 'b:9092'{rest} }}"));
    let file = |rest: &str| sink(&format!("{{ type: file, folder: out{rest} }}"));
    assert_snapshot!(faults(&[
        ("key", kafka(", key: primary")),
        ("no columns", kafka(", key: [], partition_by: [a, a]")),
        ("nothing of its tables", kafka(", per_table: [{ tables: ['*'] }]")),
        ("topics", kafka(", topics: never")),
        ("settings of topics", kafka(", topics: { partitions: 0, config: { 'a b': 1 } }")),
        ("header", kafka(", headers: [time]")),
        ("brace", kafka(", topic: 'a{'")),
        ("path", file(", path: '/{table}'")),
        ("CSV of several tables", file(", format: csv, path: 'all'")),
        ("deletes without a key", kafka(", format: plain, per_table: [{ tables: [a.b], key: none }]")),
        ("case without a path", file(", name_case: lower")),
        ("rate", file(", rows_per_second: 0")),
    ]), @r"
    # key
    pipeline file: line 4, sinks[0].key: the value is not usable
      remedy: write `primary-key`, `none` or a list of columns: `[customer_id]`
    # no columns
    pipeline file: 2 problems
      - line 4, sinks[0].key: a column's name is missing; remedy: write the names of columns as they are delivered: `[customer_id]`
      - line 4, sinks[0].partition_by: a column stands twice; remedy: remove one of the two
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    # nothing of its tables
    pipeline file: line 4, sinks[0].per_table[0]: it says nothing of its tables
      remedy: add `key` or `partition_by`, or remove it
    # topics
    pipeline file: line 4, sinks[0].topics: the value is not usable
      remedy: write `automatic`, `must-exist` or `{ partitions: 6, replication_factor: 3, config: { cleanup.policy: compact } }`
    # settings of topics
    pipeline file: 2 problems
      - line 4, sinks[0].topics.partitions: this number is out of bounds; remedy: write a number from 1 to 100000
      - line 4, sinks[0].topics.config: one of the names is none of Kafka's topic configuration, or its value is no text; remedy: use names as `cleanup.policy`
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    # header
    pipeline file: line 4, sinks[0].headers[0]: unknown choice
      remedy: write `operation`, `position`, `source-time` or `labels`
    # brace
    pipeline file: line 4, sinks[0].topic: it has a brace without the other one
      remedy: close the placeholder, or write `{{` and `}}` for braces that are text
    # path
    pipeline file: line 4, sinks[0].path: this is no path inside the sink's folder
      remedy: write names with `/` between them, none of which is empty, begins with `.` or holds `\`
    # CSV of several tables
    pipeline file: line 4, sinks[0].path: tables would share a folder, and a CSV file holds the rows of one table
      remedy: name `{database}` and `{table}` in it, and leave `shared_path` out
    # deletes without a key
    pipeline file: line 4, sinks[0].key: a record without a key and without a value tells nothing, so that deletes would be lost
      remedy: give the records a key, or set the format's `delete_tombstone_handling_mode` to another mode
    # case without a path
    pipeline file: line 4, sinks[0].name_case: it has no effect
      remedy: set `path`, or remove it
    # rate
    pipeline file: line 4, sinks[0].rows_per_second: nothing would pass at all
      remedy: write 1 or more, or leave it out to go as fast as possible
    ");
}
