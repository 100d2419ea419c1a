//! What the loader makes of good files, and what it says about bad ones.

use std::{fmt::Write as _, path::Path, time::Duration};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

mod format;
mod kafka_security;
mod kafka_source;
mod routing;
mod schema;
mod snapshot;
mod transactions;

const HEAD: &str = "name: shop\nsource: { type: generator }\n";
const SINK: &str = "sinks:\n  - { type: stdout }\n";

fn env(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2 secret".into()),
        "PORT" => Some("3307".into()),
        "FLAG" => Some("true".into()),
        _ => None,
    }
}

fn loaded(text: &str) -> Result<Pipeline> {
    load_str(text, Path::new("/base"), env)
}

/// Each file's error, below its title.
fn faults(files: &[(&str, String)]) -> String {
    let mut out = String::new();
    for (title, text) in files {
        match loaded(text) {
            Ok(_) => panic!("{title}: loaded"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Config, "{title}");
                assert!(error.remedy_text().is_some(), "{title}: no remedy");
                writeln!(out, "# {title}\n{error}").unwrap();
            }
        }
    }
    out
}

fn head(rest: &str) -> String {
    format!("{HEAD}{rest}{SINK}")
}

fn mysql(rest: &str) -> String {
    format!("name: shop\nsource:\n  type: mysql\n  host: db.example\n  user: repl\n{rest}{SINK}")
}

fn sink(rest: &str) -> String {
    format!("{HEAD}sinks:\n  - {rest}\n")
}

#[test]
fn a_file_that_is_no_pipeline_is_told_with_line_and_remedy() {
    assert_snapshot!(faults(&[
        ("empty", String::new()),
        ("a list", "- a\n- b\n".into()),
        ("broken YAML", "name: [shop\nsource: x\n".into()),
        ("tab", "name: shop\nsource:\n\ttype: generator\n".into()),
        ("a key twice", head("name: again\n")),
        ("two documents", format!("{}---\nname: x\n", head(""))),
        ("nothing but a name", "name: shop\n".into()),
        ("unknown key", head("plugin: []\n")),
        ("unknown key without a near one", head("xyzzy: 1\n")),
        ("unknown key in the source", "name: shop\nsource:\n  type: generator\n  sede: 3\nsinks: [{type: stdout}]\n".into()),
        ("several at once", format!("nam: shop\nsource:\n  type: mysql\n  hots: db\n  user: 12\n  port: 99999\n{SINK}htpp: x\n")),
    ]), @r#"
    # empty
    pipeline file: line 1: an empty value does not belong here
      remedy: write a mapping: lines of `key: value`
    # a list
    pipeline file: line 1: a list does not belong here
      remedy: write a mapping: lines of `key: value`
    # broken YAML
    pipeline file: line 2: this is not valid YAML: illegal placement of ':' indicator
      remedy: correct the YAML: blanks for indentation, `key: value`, lists with `- `, text with special characters in quotes
    # tab
    pipeline file: line 3: this is not valid YAML: tabs disallowed within this context (block indentation)
      remedy: correct the YAML: blanks for indentation, `key: value`, lists with `- `, text with special characters in quotes
    # a key twice
    pipeline file: line 3: the key `name` stands twice
      remedy: remove one of the two
    # two documents
    pipeline file: line 6: a second YAML document begins here
      remedy: keep one pipeline in a file, and start a process for each
    # nothing but a name
    pipeline file: line 1: `source` is missing
      remedy: add `source: …`
    # unknown key
    pipeline file: line 3, plugin: unknown key
      remedy: did you mean `plugins`?
    # unknown key without a near one
    pipeline file: line 3, xyzzy: unknown key
      remedy: remove it; there are `name`, `labels`, `source`, `plugins`, `sinks`, `state`, `dead_letter`, `cache`, `http`, `workers` and `limits`
    # unknown key in the source
    pipeline file: line 4, source.sede: unknown key
      remedy: did you mean `seed`?
    # several at once
    pipeline file: 6 problems
      - line 1, nam: unknown key; remedy: did you mean `name`?
      - line 1: `name` is missing; remedy: add `name: …`
      - line 4, source.hots: unknown key; remedy: did you mean `host`?
      - line 5, source.user: a number does not belong here; remedy: write text, in quotes
      - line 6, source.port: the value is not usable; remedy: write a whole number from 0 to 65535
      - line 9, htpp: unknown key; remedy: did you mean `http`?
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    "#);
}

#[test]
fn a_value_that_does_not_fit_is_told_with_what_fits() {
    assert_snapshot!(faults(&[
        ("number as a name", format!("name: 5\nsource: {{ type: generator }}\n{SINK}")),
        ("name with a slash", format!("name: a/b\nsource: {{ type: generator }}\n{SINK}")),
        ("unknown source", format!("name: shop\nsource: {{ type: mysl }}\n{SINK}")),
        ("source without a type", format!("name: shop\nsource: {{ host: db }}\n{SINK}")),
        ("source is text", format!("name: shop\nsource: mysql\n{SINK}")),
        ("port is text", mysql("  port: http\n")),
        ("port out of range", mysql("  port: 70000\n")),
        ("negative rate", format!("name: shop\nsource: {{ type: generator, rate: -1 }}\n{SINK}")),
        ("rate 0", format!("name: shop\nsource: {{ type: generator, rate: 0 }}\n{SINK}")),
        ("no lanes", format!("name: shop\nsource: {{ type: generator, lanes: 0 }}\n{SINK}")),
        ("too many lanes", format!("name: shop\nsource: {{ type: generator, lanes: 65 }}\n{SINK}")),
        ("heartbeat without a unit", mysql("  heartbeat: 5\n")),
        ("heartbeat that is no time", mysql("  heartbeat: soon\n")),
        ("heartbeat too long", mysql("  heartbeat: 2h\n")),
        ("start with two positions", mysql("  start: { file: binlog.000001, gtid: 0-1-2 }\n")),
        ("start with an unknown word", mysql("  start: yesterday\n")),
        ("start with an unknown key", mysql("  start: { fiel: binlog.000001 }\n")),
        ("tls", mysql("  tls: verify\n")),
        ("ca_file without verification", mysql("  tls: required\n  ca_file: ca.pem\n")),
        ("table pattern without a database", mysql("  tables: [orders, '!']\n")),
    ]), @r##"
    # number as a name
    pipeline file: line 1, name: a number does not belong here
      remedy: write text, in quotes
    # name with a slash
    pipeline file: line 1, name: this is not usable as a name
      remedy: use letters, digits, `-`, `_` and `.`, at most 64, with a letter, a digit or `_` in front
    # unknown source
    pipeline file: line 2, source.type: unknown choice
      remedy: did you mean `mysql`? There are `mysql`, `sqlserver`, `kafka` and `generator`
    # source without a type
    pipeline file: line 2, source: `type` is missing
      remedy: add `type:` with `mysql`, `sqlserver`, `kafka` or `generator`
    # source is text
    pipeline file: line 2, source: a single word does not belong here
      remedy: write a mapping: `type: …` and its settings
    # port is text
    pipeline file: line 6, source.port: text does not belong here
      remedy: write a whole number from 0 to 65535
    # port out of range
    pipeline file: line 6, source.port: the value is not usable
      remedy: write a whole number from 0 to 65535
    # negative rate
    pipeline file: line 2, source.rate: the value is not usable
      remedy: write a whole number, 0 or more
    # rate 0
    pipeline file: line 2, source.rate: no changes a second
      remedy: write 1 or more, or leave it out to go as fast as possible
    # no lanes
    pipeline file: line 2, source.lanes: no lanes at all
      remedy: write a number from 1 to 64, or leave it out
    # too many lanes
    pipeline file: line 2, source.lanes: too many lanes
      remedy: write a number from 1 to 64, or leave it out
    # heartbeat without a unit
    pipeline file: line 6, source.heartbeat: a number does not belong here
      remedy: write a time with its unit, such as `500ms`, `30s` or `12h`, or `{ every: 1s, statement: "UPDATE …" }`
    # heartbeat that is no time
    pipeline file: line 6, source.heartbeat: the value is not usable
      remedy: write a time with its unit, such as `500ms`, `30s` or `12h`, or `{ every: 1s, statement: "UPDATE …" }`
    # heartbeat too long
    pipeline file: line 6, source.heartbeat: this time is out of bounds
      remedy: write a time from 100ms to 1h
    # start with two positions
    pipeline file: line 6, source.start: this does not name one position
      remedy: write `now`, `earliest`, `{ file: binlog.000003, position: 4 }` or `{ gtid: … }`
    # start with an unknown word
    pipeline file: line 6, source.start: the value is not usable
      remedy: write `now`, `earliest`, `{ file: binlog.000003, position: 4 }` or `{ gtid: … }`
    # start with an unknown key
    pipeline file: line 6, source.start: unknown key `fiel`
      remedy: did you mean `file`?
    # tls
    pipeline file: line 6, source.tls: unknown choice
      remedy: did you mean `verify-ca`? There are `disabled`, `preferred`, `required`, `verify-ca` and `verify-identity`
    # ca_file without verification
    pipeline file: line 7, source.ca_file: certificates are not checked with this `tls`
      remedy: write `tls: verify-identity` or `tls: verify-ca`, or leave this out
    # table pattern without a database
    pipeline file: 2 problems
      - line 6, source.tables[0]: this is not a table pattern: it does not say which database; remedy: write `database.table`, where `*` stands for any characters and `?` for one, e.g. `shop.*`, with backticks around a name that holds a dot; `!` in front excludes
      - line 6, source.tables[1]: this is not a table pattern: it is empty; remedy: write `database.table`, where `*` stands for any characters and `?` for one, e.g. `shop.*`, with backticks around a name that holds a dot; `!` in front excludes
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    "##);
}

#[test]
fn plugins_sinks_and_bounds_are_checked() {
    assert_snapshot!(faults(&[
        ("unknown standard plugin", head("plugins:\n  - use: fitler\n")),
        ("neither use nor file", head("plugins:\n  - config: {}\n")),
        ("both use and file", head("plugins:\n  - { use: filter, file: x.wasm }\n")),
        ("same name twice", head("plugins:\n  - use: filter\n  - use: filter\n")),
        ("policy", head("plugins:\n  - { use: filter, on_error: ignore }\n")),
        ("grant", head("plugins:\n  - { use: filter, grants: [network] }\n")),
        ("no sinks", format!("{HEAD}sinks: []\n")),
        ("sink without a folder", sink("{ type: file }")),
        ("zstd level", sink("{ type: file, folder: out, zstd: 99 }")),
        ("roll", sink("{ type: file, folder: out, roll: { bytes: 1B, every: 1ms } }")),
        ("size", sink("{ type: file, folder: out, roll: { bytes: 10 elephants } }")),
        ("two sinks in one place", sink("{ type: file, folder: out, name: a }\n  - { type: file, folder: ./out, name: b }")),
        ("topic", sink("{ type: kafka, brokers: 'b:9092', topic: '{db}.x' }")),
        ("topic's characters", sink("{ type: kafka, brokers: 'b:9092', topic: 'a b' }")),
        ("refused Kafka setting", sink("{ type: kafka, brokers: 'b:9092', options: { acks: 1, linger.ms: 5 } }")),
        ("http beyond this machine", head("http: 0.0.0.0:8080\n")),
        ("http", head("http: 8080\n")),
        ("plugins swapped from other machines", head("http: { listen: '0.0.0.0:1', allow_remote: true, admin: true }\n")),
        ("workers", head("workers: 65\n")),
        ("limits", head("limits: { batch_changes: 0, plugin_memory: 1KiB, retry_windw: 1s }\n")),
        ("limits in bounds", head("limits: { batch_changes: 0, plugin_memory: 1KiB }\n")),
        ("variable that is not set", mysql("  password: ${NOPE}\n")),
        ("secret's file", mysql("  password: { file: /nowhere/secret }\n")),
        ("password as a number", mysql("  password: 123456\n")),
    ]), @r#"
    # unknown standard plugin
    pipeline file: line 4, plugins[0].use: unknown standard plugin
      remedy: did you mean `filter`? A plugin of your own goes under `file`
    # neither use nor file
    pipeline file: line 4, plugins[0]: neither `use` nor `file` is there
      remedy: write `use:` with `filter`, `map-names` or `rewrite-columns`, or `file: ./plugin.wasm`
    # both use and file
    pipeline file: line 4, plugins[0]: both `use` and `file` are there
      remedy: write `use:` with `filter`, `map-names` or `rewrite-columns`, or `file: ./plugin.wasm`
    # same name twice
    pipeline file: line 5, plugins[1]: a second one with the name `filter`
      remedy: give it a name of its own, e.g. `name: filter-2`
    # policy
    pipeline file: line 4, plugins[0].on_error: unknown choice
      remedy: write `stop`, `skip`, `dead-letter` or `pass-through`
    # grant
    pipeline file: line 4, plugins[0].grants[0]: unknown choice
      remedy: write `clock` or `random`
    # no sinks
    pipeline file: line 3, sinks: there is no sink
      remedy: add one, e.g. `- { type: file, folder: ./out }`
    # sink without a folder
    pipeline file: line 4, sinks[0]: `folder` is missing
      remedy: add `folder: …`
    # zstd level
    pipeline file: line 4, sinks[0].zstd: there is no such zstd level
      remedy: write a level from 1 (fast) to 19 (small)
    # roll
    pipeline file: 2 problems
      - line 4, sinks[0].roll.bytes: this size is out of bounds; remedy: write a size from 4KiB to 1TiB
      - line 4, sinks[0].roll.every: this time is out of bounds; remedy: write a time from 100ms to 8784h
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    # size
    pipeline file: line 4, sinks[0].roll.bytes: the value is not usable
      remedy: write a size such as `64MiB`, `10MB` or a whole number of bytes
    # two sinks in one place
    pipeline file: line 5, sinks[1]: another sink writes files of this prefix into this folder
      remedy: give it another `folder` or `prefix`
    # topic
    pipeline file: line 4, sinks[0].topic: there is no placeholder `{db}`
      remedy: use only `{database}`, `{schema}`, `{table}`, `{destination}`, `{operation}`, `{date}`, `{hour}`
    # topic's characters
    pipeline file: line 4, sinks[0].topic: Kafka allows no such topic name
      remedy: use letters, digits, `.`, `_`, `-` and the placeholders
    # refused Kafka setting
    pipeline file: line 4, sinks[0].options.acks: this setting is not free: an acknowledgement has to mean that the record is durable
      remedy: remove it
    # http beyond this machine
    pipeline file: line 3, http: other machines can reach this address, and there is no authentication
      remedy: write `127.0.0.1:8080`, or allow it: `http: { listen: …, allow_remote: true }`
    # http
    pipeline file: line 3, http: a number does not belong here
      remedy: write an address such as `127.0.0.1:8080`, or `{ listen: …, allow_remote: true }`
    # plugins swapped from other machines
    pipeline file: line 3, http.admin: other machines can reach this address, and whoever does could run plugins of their own: there is no authentication
      remedy: write `listen: 127.0.0.1:8080`, and reach it from elsewhere through an SSH tunnel
    # workers
    pipeline file: line 3, workers: this number is out of bounds
      remedy: write a number from 1 to 64
    # limits
    pipeline file: line 3, limits.retry_windw: unknown key
      remedy: did you mean `retry_window`?
    # limits in bounds
    pipeline file: 2 problems
      - line 3, limits.plugin_memory: this size is out of bounds; remedy: write a size from 1MiB to 4GiB
      - line 3, limits.batch_changes: this number is out of bounds; remedy: write a number from 1 to 65536
      remedy: correct each of them; `sluicegate schema` prints every key that there is
    # variable that is not set
    pipeline file: line 6, source.password: the environment variable NOPE is not set
      remedy: set NOPE, or give a default with `${NOPE:-default}`
    # secret's file
    pipeline file: line 6, source.password: the secret's file /nowhere/secret cannot be read: No such file or directory (os error 2)
      remedy: give the path of a text file that this account can read
    # password as a number
    pipeline file: line 6, source.password: a number does not belong here
      remedy: write the secret in quotes, `${NAME}` for one from the environment, or `{ file: /path/to/it }`
    "#);
}

#[test]
fn a_topic_of_dead_letters_belongs_to_a_kafka_sink() {
    let text = |letters: &str, sinks: &str| format!("name: p\ndead_letter: {letters}\nsource: {{ type: generator }}\nsinks: [{sinks}]\n");
    let kafka = |name: &str| format!("{{ type: kafka, name: {name}, brokers: 'k:1', heartbeats: {{}} }}");
    let both = format!("{}, {}", kafka("a"), kafka("b"));
    let loaded_topic = |letters: &str, sinks: &str| loaded(&text(letters, sinks)).unwrap();
    let pipeline = loaded_topic("{ topic: dead }", &kafka("a"));
    let letters = pipeline.letter_topic.unwrap();
    assert_eq!((letters.topic.as_str(), letters.sink.as_str(), letters.settings.brokers.as_str()), ("dead", "a", "k:1"));
    assert_eq!(pipeline.dead_letter, Path::new("/base/sluicegate-state/p-dead-letters"));
    let pipeline = loaded_topic("{ topic: dead, sink: b, folder: ./copy }", &both);
    assert_eq!((pipeline.letter_topic.unwrap().sink.as_str(), pipeline.dead_letter.as_path()), ("b", Path::new("/base/./copy")));
    assert!(loaded_topic("./files", &both).letter_topic.is_none());
    let refused = |letters: &str, sinks: &str| loaded(&text(letters, sinks)).unwrap_err().to_string();
    insta::assert_snapshot!([
        refused("{ topic: dead }", "{ type: stdout }"),
        refused("{ topic: dead }", &both),
        refused("{ topic: dead, sink: c }", &both),
        refused("{ topic: 'a b' }", &kafka("a")),
        refused("{ topic: __debezium-heartbeat_p }", &kafka("a")),
    ].join("\n"), @r"
    pipeline file: line 2, dead_letter.sink: there is no Kafka sink whose brokers could have it
      remedy: name a folder in place of a topic
    pipeline file: line 2, dead_letter.sink: there are several Kafka sinks
      remedy: name the one whose brokers have the topic: `sink: NAME`
    pipeline file: line 2, dead_letter.sink: there is no Kafka sink `c`
      remedy: name a sink of type `kafka`, whose brokers have the topic
    pipeline file: line 2, dead_letter.topic: Kafka allows no such topic name
      remedy: use letters, digits, `.`, `_` and `-`
    pipeline file: line 2, dead_letter.topic: it is the same as `heartbeats` of the sink
      remedy: give one of them another topic
    ");
}

#[test]
fn defaults_are_as_documented() {
    let pipeline = loaded(&mysql("")).unwrap();
    assert_eq!(pipeline.state, Path::new("/base/sluicegate-state/shop.db"));
    assert_eq!(pipeline.dead_letter, Path::new("/base/sluicegate-state/shop-dead-letters"));
    assert_eq!(pipeline.cache, Path::new("/base/sluicegate-state/cache"));
    assert_eq!(pipeline.limits, sluicegate_model::limits::Limits::default());
    assert!(pipeline.http.is_none() && !pipeline.admin);
    assert_eq!(pipeline.workers, 1);
    let Source::MySql(source) = &pipeline.source else { panic!("not MySQL") };
    assert_eq!(source.addresses, [Address::Tcp { host: "db.example".into(), port: 3306 }]);
    assert_eq!((&source.start, &source.heartbeat), (&StartAt::Now, &Heartbeat { every: Duration::from_secs(5), statement: None }));
    assert_eq!(source.tls, TlsMode::VerifyIdentity, "a server on another machine");
    assert_eq!((pipeline.sinks[0].format.record, pipeline.sinks[0].on_error), (RecordFormat::Debezium, OnError::Stop));

    let local = loaded(&mysql("").replace("db.example", "127.0.0.1")).unwrap();
    assert!(matches!(local.source, Source::MySql(MySqlSource { tls: TlsMode::Disabled, .. })));
    let file = loaded(&sink("{ type: file, folder: out }")).unwrap();
    let SinkKind::File(file) = &file.sinks[0].kind else { panic!("not a file sink") };
    assert_eq!((file.folder.as_path(), file.prefix.as_str(), file.zstd), (Path::new("/base/out"), "shop", None));
    assert_eq!(file.roll, Roll { bytes: 256 << 20, every: None });
    let kafka = loaded(&sink("{ type: kafka, brokers: 'b:9092' }")).unwrap();
    let SinkKind::Kafka(kafka) = &kafka.sinks[0].kind else { panic!("not a Kafka sink") };
    assert_eq!((kafka.topic.text(), kafka.tombstones, kafka.keyless), ("{database}.{table}", true, Keyless::Stop));
}

#[test]
fn variables_stand_for_numbers_booleans_and_text_but_cannot_change_the_structure() {
    let pipeline = load_str(
        &format!("name: shop\nsource: {{ type: mysql, host: '${{HOST}}', user: u, port: '${{PORT}}' }}\n{SINK}"),
        Path::new("/"),
        |name| match name {
            "HOST" => Some("a\nname: evil".into()),
            "PORT" => Some("3307".into()),
            _ => None,
        },
    )
    .unwrap();
    assert_eq!(pipeline.name, "shop");
    let Source::MySql(source) = &pipeline.source else { panic!("not MySQL") };
    assert_eq!(source.addresses, [Address::Tcp { host: "a\nname: evil".into(), port: 3307 }]);
    let remote = loaded(&head("http: { listen: '0.0.0.0:1', allow_remote: '${FLAG}' }\n")).unwrap();
    assert!(remote.http.is_some());
    // text that was written as text stays text
    assert!(loaded(&mysql("  port: '3307'\n")).is_err());
}

#[test]
fn a_plugins_configuration_reaches_it_as_json_in_the_order_of_the_file() {
    let pipeline = loaded(&head(
        "plugins:\n  - use: rewrite-columns\n    config: { z: 1, a: [1.5, null, true, ' x '], s: '${SECRET}', group: '${1}', e: '$${X}' }\n",
    ))
    .unwrap();
    assert_eq!(pipeline.plugins[0].config, r#"{"z":1,"a":[1.5,null,true," x "],"s":"hunter2 secret","group":"${1}","e":"${X}"}"#);
    assert_eq!(loaded(&head("plugins:\n  - use: filter\n")).unwrap().plugins[0].config, "null");
}

#[test]
fn a_plugin_is_granted_nothing_unless_the_file_says_so() {
    let grants = |line: &str| loaded(&head(&format!("plugins:\n  - use: filter\n{line}"))).unwrap().plugins[0].grants;
    assert_eq!(grants(""), Grants::default());
    assert_eq!(grants("    grants: []\n"), Grants { clock: false, random: false });
    assert_eq!(grants("    grants: [clock]\n"), Grants { clock: true, random: false });
    assert_eq!(grants("    grants: [random, clock, random]\n"), Grants::ALL);
}

#[test]
fn a_secret_is_in_no_error_and_no_debug_text() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pw"), "hunter2-file\n").unwrap();
    let good = "
name: shop
source: { type: mysql, host: h, user: u, password: { file: pw } }
plugins:
  - use: rewrite-columns
    config: { salt: '${SECRET}' }
sinks:
  - { type: kafka, brokers: b, options: { sasl.password: '${SECRET}' } }
";
    let pipeline = load_str(good, folder.path(), env).unwrap();
    let Source::MySql(source) = &pipeline.source else { panic!("not MySQL") };
    assert_eq!(source.password.reveal(), "hunter2-file");
    let debug = format!("{pipeline:?} {pipeline:#?}");
    assert!(!debug.contains("hunter2"), "{debug}");

    // a secret in any wrong place: none of the errors quotes it
    for place in [
        "name: '@'\n",
        "source: '@'\n",
        "source: { type: '@' }\n",
        "source: { type: mysql, host: h, user: u, port: '@' }\n",
        "source: { type: mysql, host: h, user: u, tls: '@' }\n",
        "source: { type: mysql, host: h, user: u, start: '@' }\n",
        "source: { type: mysql, host: h, user: u, heartbeat: '@' }\n",
        "source: { type: mysql, host: h, user: u, password: ['@'] }\n",
        "source: { type: mysql, host: h, user: u, tables: ['@'] }\n",
        "http: '@'\n",
        "limits: { row_bytes: '@' }\n",
        "limits: '@'\n",
        "plugins: [{ use: '@' }]\n",
        "sinks: [{ type: kafka, brokers: b, topic: '@ @' }]\n",
        "sinks: [{ type: file, folder: x, prefix: '@/' }]\n",
    ] {
        for secret in ["hunter2 secret", "${SECRET}"] {
            let mut text = place.replace('@', secret);
            for (key, default) in [("name", "name: shop\n"), ("source", "source: { type: generator }\n"), ("sinks", SINK)] {
                if !place.starts_with(key) {
                    text.push_str(default);
                }
            }
            let error = loaded(&text).unwrap_err();
            let shown = format!("{error} {error:?} {}", error.chain());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[test]
fn a_missing_file_and_a_file_that_is_not_text_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load(&folder.path().join("none.yaml")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Config);
    assert!(missing.to_string().contains("none.yaml cannot be read"), "{missing}");
    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    assert!(load(&binary).unwrap_err().to_string().contains("save the file as UTF-8"));
    let huge = folder.path().join("huge.yaml");
    std::fs::write(&huge, vec![b'#'; (MOST_BYTES + 1) as usize]).unwrap();
    assert!(load(&huge).unwrap_err().to_string().contains("larger than 1 MiB"));
}

proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "(?s).{0,200}") {
        let _ = loaded(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_loader_panic(
        lines in prop::collection::vec("( {0,6})(- )?(name|source|sinks|plugins|type|use|config|limits|http|tables|start|[a-z&*!<]{1,4}): ?(mysql|file|generator|[{\\[]|[0-9.e-]{1,9}|\\$\\{[A-Z:-]{0,6}\\}?|[^\\n]{0,12})", 0..12)
    ) {
        let _ = loaded(&lines.join("\n"));
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_loader_panic(at in 0usize..400, with in any::<char>(), cut in any::<bool>()) {
        let mut good: Vec<char> = mysql("  port: 1\n  password: ${SECRET}\n  tables: [a.b]\n  start: { gtid: 0-1-2 }\n").chars().collect();
        let at = at % good.len();
        if cut { good.truncate(at) } else { good[at] = with }
        let _ = loaded(&good.into_iter().collect::<String>());
    }
}
