//! JSON with its schemas in a registry, read and checked by Confluent's client.

use super::*;
use sluicegate_config::{Delivery, Transactions};

fn json_schema(url: &str, envelope: Envelope, subject: Subject) -> Format {
    let values = if envelope == Envelope::Flat { ValueModes::default() } else { ValueModes::DEBEZIUM };
    with_registry(RecordFormat::JsonSchema, url, envelope, values, subject)
}

#[test]
fn documents_keys_and_tombstones_are_read_and_fit_their_schemas_each_once() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    for (i, (envelope, subject)) in
        [(Envelope::Debezium, Subject::Topic), (Envelope::Flat, Subject::Record), (Envelope::Flat, Subject::TopicRecord)]
            .into_iter()
            .enumerate()
    {
        let prefix = format!("json-schema-{i}");
        let transactions = Transactions { transactional_id: prefix.clone(), positions_topic: format!("{prefix}-positions") };
        let kafka = KafkaSink { delivery: Delivery::ExactlyOnce(transactions), ..settings(&broker, &prefix) };
        let mut bench = Bench::open_in(kafka, json_schema(registry.url(), envelope, subject));
        let batch = life();
        bench.sink.write(&batch).unwrap();
        bench.sink.mark(&emptied(&batch)).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let topic = format!("{prefix}.orders");
        // a commit is answered before the broker has marked it in all partitions
        let records = broker.wait_for_records(&topic, 8, PATIENCE);
        let told: Vec<String> = read_back_in("json-schema", registry.url(), &topic, &records)
            .iter()
            .map(|(key, value)| {
                let id = key.as_ref().map_or("no key".to_owned(), |key| key["id"].to_string());
                match value {
                    None => format!("{id} tombstone"),
                    Some(value) if envelope == Envelope::Flat => format!("{id} {} {}", value["_op"].as_str().unwrap(), value["note"]),
                    Some(value) => {
                        assert_eq!((&value["source"]["table"], &value["source"]["snapshot"]), (&"orders".into(), &"false".into()));
                        format!("{id} {} {} -> {}", value["op"].as_str().unwrap(), value["before"]["note"], value["after"]["note"])
                    }
                }
            })
            .collect();
        let flat = ["1 c \"Zoë 😀\"", "1 u \"b\"", "1 d \"b\"", "1 tombstone", "2 c \"b\"", "2 d \"b\"", "2 tombstone", "no key t null"];
        let images = [
            "1 c null -> \"Zoë 😀\"",
            "1 u \"Zoë 😀\" -> \"b\"",
            "1 d \"b\" -> null",
            "1 tombstone",
            "2 c null -> \"b\"",
            "2 d \"b\" -> null",
            "2 tombstone",
            "no key t null -> null",
        ];
        assert_eq!(told, if envelope == Envelope::Flat { flat } else { images }, "{subject:?}");
    }
}

#[test]
fn a_column_that_may_be_null_is_a_compatible_version_and_others_are_refused_with_their_reason() {
    let (broker, registry) = (kafka::shared(), registry::shared());
    let format = json_schema(registry.url(), Envelope::Debezium, Subject::Topic);
    let topic = "json-schema-versions.orders";
    set_compatibility(&registry, &format!("{topic}-value"), "BACKWARD");
    let kafka = settings(&broker, "json-schema-versions");
    let mut bench = Bench::open_in(kafka.clone(), format.clone());
    bench.sink.write(&inserts(0, [1], "narrow")).unwrap();
    bench.sink.write(&widened(2, DataType::Int64, true)).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    let notes = || -> Vec<String> {
        let read = read_back_in("json-schema", registry.url(), topic, &broker.records(topic));
        read.iter().map(|(_, value)| value.as_ref().unwrap()["after"].to_string()).collect()
    };
    assert_eq!(notes(), [r#"{"id":1,"note":"narrow"}"#, r#"{"id":2,"note":"wide","more":null}"#]);
    let error = bench.sink.write(&widened(3, DataType::Text, false)).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Record);
    assert!(said.contains("refuses a new version of subject `json-schema-versions.orders-value`, which is not compatible"), "{said}");
    assert!(said.to_lowercase().contains("incompatible"), "the registry's own words are missing: {said}");
    let settings = Settings { format, ..sink_settings(kafka, OnError::DeadLetter, PluginVersions::Omitted) };
    let mut bench = Bench::open_settings(settings);
    bench.sink.write(&widened(4, DataType::Text, false)).unwrap();
    bench.sink.write(&inserts(5, [5], "narrow again")).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    assert_eq!(bench.dead_letters().len(), 1);
    assert_eq!(notes().last().unwrap(), r#"{"id":5,"note":"narrow again"}"#);
}
