//! Changes of schemas, in a topic of their own.

use sluicegate_config::{Delivery, Transactions};
use sluicegate_model::change::{Mark, MarkKind, SchemaChange, SchemaEffect, SchemaStatement};

use super::*;

fn mark(text: &str) -> Mark {
    let statement = SchemaStatement { text: text.into(), number: 0, event: Event::default(), transaction: Transaction::default() };
    let change = SchemaChange {
        name: TableName::new("shop", "orders"),
        effect: SchemaEffect::Altered,
        table: Some(table("orders", true)),
        statement: Some(Box::new(statement)),
    };
    Mark { lane: Lane::new("rows"), offset: Offset::from_json("1"), kind: MarkKind::Schema(change) }
}

#[test]
fn they_stand_in_one_partition_of_their_topic_keyed_by_the_database_in_both_deliveries() {
    let broker = kafka::shared();
    for (topic, exactly_once) in [("altered", false), ("altered-once", true)] {
        broker.create_topic_with(&format!("{topic}-schemas"), 3, &[("cleanup.policy", "compact")]);
        let mut kafka = KafkaSink { schema_topic: Some(format!("{topic}-schemas")), ..settings(&broker, topic) };
        if exactly_once {
            let transactions = Transactions { transactional_id: format!("id.{topic}"), positions_topic: format!("{topic}-positions") };
            kafka.delivery = Delivery::ExactlyOnce(transactions);
        }
        let mut bench = Bench::open_telling(kafka);
        bench.sink.write(&inserts(0, [1], "")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        bench.sink.mark(&mark("ALTER TABLE orders ADD a INT")).unwrap();
        bench.sink.commit(&Frontier::default()).unwrap();
        let records = broker.records(&format!("{topic}-schemas"));
        let [record] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((record.partition, record.key.as_deref()), (0, Some(r#"{"databaseName":"shop"}"#)));
        assert_eq!(field(record, "_ddl"), Some("ALTER TABLE orders ADD a INT".into()));
        assert_eq!(broker.records(&format!("{topic}.orders")).len(), 1);
    }
}

#[test]
fn a_table_does_not_share_their_topic() {
    let broker = kafka::shared();
    let mut bench = Bench::open_telling(KafkaSink { schema_topic: Some("meet.orders".into()), ..settings(&broker, "meet") });
    let error = bench.sink.write(&inserts(0, [1], "")).unwrap_err();
    insta::assert_snapshot!(error, @r"
    table shop.orders would share topic `meet.orders` with the changes of schemas
      remedy: give `schema_changes` of the sink another topic, or change `topic`; then start again: nothing is lost
    ");
}
