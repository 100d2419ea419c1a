use proptest::prelude::*;

use super::*;

fn table(database: &str, table: &str) -> TableName {
    TableName::new(database, table)
}

fn settings(template: &str) -> Settings {
    Settings { topic: template.parse().unwrap(), ..crate::tests::settings("127.0.0.1:1") }
}

fn of(template: &str) -> Topics {
    Topics::new(&settings(template), 2, None)
}

/// The topic of a table of which no plugin chose anything.
fn topic(topics: &mut Topics, table: &TableName) -> Result<Arc<str>> {
    let number = topics.table(table);
    topics.topic(number, None, Variant::default()).map(Option::unwrap)
}

/// The topics of the tables, or the first error.
fn all(mut topics: Topics, tables: &[(&str, &str)]) -> Result<Vec<String>> {
    tables.iter().map(|(database, name)| topic(&mut topics, &table(database, name)).map(|topic| topic.to_string())).collect()
}

fn topics(template: &str, tables: &[(&str, &str)]) -> Result<Vec<String>> {
    all(of(template), tables)
}

#[test]
fn characters_that_kafka_does_not_allow_are_replaced_and_never_bring_tables_together() {
    let template = "cdc.{database}.{table}";
    assert_eq!(
        topics(template, &[("shop", "orders"), ("shop", "{database}"), ("shop", "caf\u{e9}"), ("shop", "caf\u{e9}")]).unwrap(),
        ["cdc.shop.orders", "cdc.shop._database_", "cdc.shop.caf_", "cdc.shop.caf_"]
    );
    insta::assert_snapshot!(topics(template, &[("shop", "caf\u{e9}"), ("shop", "caf\u{e8}")]).unwrap_err(), @r"
    tables shop.café and shop.cafè would share topic `cdc.shop.caf_`, because characters that Kafka does not allow become `_`
      remedy: give one of the tables another name with the `map-names` plugin; then start again: nothing is lost
    ");
    for (first, second) in [("a_b", "a b"), ("a b", "a_b")] {
        assert!(topics(template, &[("shop", first), ("shop", second)]).is_err(), "{first}, {second}");
    }
    insta::assert_snapshot!(topics(template, &[("shop", &"x".repeat(250))]).unwrap_err().to_string().replace(&"x".repeat(250), "x…"), @r"
    the topic name of table shop.x… is empty, `.`, `..` or longer than 249 characters
      remedy: change the sink's `topic` template, or give the table another name with the `map-names` plugin
    ");
}

#[test]
fn tables_that_the_template_names_apart_never_share_a_topic() {
    let error = topics("{database}.{table}", &[("shop", "eu.t"), ("shop.eu", "t")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    insta::assert_snapshot!(error, @r"
    tables shop.`eu.t` and `shop.eu`.t would share topic `shop.eu.t`, because the parts of their names run together in `{database}.{table}`
      remedy: give one of the tables another name with the `map-names` plugin, or write `{database}-{table}` as the sink's `topic`; then start again: nothing is lost
    ");
    // as the remedy says
    assert_eq!(topics("{database}-{table}", &[("shop", "eu.t"), ("shop.eu", "t")]).unwrap(), ["shop-eu.t", "shop.eu-t"]);
    assert!(topics("{database}{table}", &[("a", "bc"), ("ab", "c")]).is_err());
    assert!(topics("{database}", &[("a b", "t"), ("a_b", "t")]).is_err());
}

#[test]
fn topics_that_kafka_takes_for_the_same_are_refused() {
    insta::assert_snapshot!(topics("{database}.{table}", &[("shop", "eu_orders"), ("shop_eu", "orders")]).unwrap_err(), @r"
    tables shop.eu_orders and shop_eu.orders would have the topics `shop.eu_orders` and `shop_eu.orders`, and Kafka cannot have both: it takes `.` and `_` for the same in the names of its metrics
      remedy: give one of the tables another name with the `map-names` plugin, or write `{database}-{table}` as the sink's `topic`; then start again: nothing is lost
    ");
    // as the remedy says
    assert!(topics("{database}-{table}", &[("shop", "eu_orders"), ("shop_eu", "orders")]).is_ok());
    insta::assert_snapshot!(topics("{database}.{table}", &[("shop", "a_b"), ("shop", "a.b")]).unwrap_err(), @r"
    tables shop.a_b and shop.`a.b` would have the topics `shop.a_b` and `shop.a.b`, and Kafka cannot have both: it takes `.` and `_` for the same in the names of its metrics
      remedy: give one of the tables another name with the `map-names` plugin; then start again: nothing is lost
    ");
    assert!(topics("{table}", &[("a", "x.y"), ("b", "x_y")]).is_err());
}

#[test]
fn no_rows_come_into_a_topic_that_is_for_something_else_whoever_chose_it() {
    let transactions = sluicegate_config::Transactions { transactional_id: "id".into(), positions_topic: "positions.p".into() };
    let settings = |template: &str| Settings {
        schema_topic: Some("shop.changes".into()),
        transaction_topic: Some("p.transaction".into()),
        delivery: Delivery::ExactlyOnce(transactions.clone()),
        ..settings(template)
    };
    let chosen = |name: &str| {
        let mut topics = Topics::new(&settings("{database}.{table}"), 9, None);
        let number = topics.table(&table("shop", "orders"));
        topics.topic(number, Some(name), Variant::default())
    };
    insta::assert_snapshot!(chosen("shop.changes").unwrap_err(), @r"
    table shop.orders would share topic `shop.changes` with the changes of schemas
      remedy: give `schema_changes` of the sink another topic, or let the plugin choose another one; then start again: nothing is lost
    ");
    insta::assert_snapshot!(chosen("positions_p").unwrap_err(), @r"
    table shop.orders would share topic `positions_p` with the sink's progress
      remedy: give `positions_topic` of the sink another topic, or let the plugin choose another one; then start again: nothing is lost
    ");
    insta::assert_snapshot!(chosen("p.transaction").unwrap_err(), @"
    table shop.orders would share topic `p.transaction` with what is told of transactions
      remedy: give `transaction_metadata` of the sink another topic, or let the plugin choose another one; then start again: nothing is lost
    ");
    assert!(chosen("shop.others").unwrap().is_some());
    for (template, name) in [("{database}.{table}", "changes"), ("shop.changes", "orders"), ("positions.{table}", "p")] {
        let error = all(Topics::new(&settings(template), 9, None), &[("shop", name)]).unwrap_err();
        assert!(error.message().contains("would share topic"), "{error}");
    }
    let mut topics = Topics::new(&settings("{database}.{destination}"), 9, None);
    let number = topics.table(&table("shop", "orders"));
    assert!(topics.topic(number, Some("changes"), Variant::default()).is_err());
}

#[test]
fn tables_share_a_topic_where_the_template_gathers_them_or_the_settings_say_so() {
    assert_eq!(topics("{schema}all", &[("shop", "a"), ("shop", "b"), ("log", "a.b")]).unwrap(), ["all"; 3]);
    assert_eq!(topics("{database}", &[("shop", "a"), ("shop", "b")]).unwrap(), ["shop"; 2]);
    let shards = [("shard_1", "orders"), ("shard_2", "orders")];
    insta::assert_snapshot!(topics("{table}", &shards).unwrap_err(), @r"
    tables shard_1.orders and shard_2.orders would share topic `orders`, because `{table}` leaves out `{database}`, in which they differ
      remedy: add `{database}` to the sink's `topic`; or, if they are meant to share it, set `shared_topic: allow`; then start again: nothing is lost
    ");
    let allowed = |template: &str| Topics::new(&Settings { shared_topic: true, ..settings(template) }, 0, None);
    assert_eq!(all(allowed("{table}"), &shards).unwrap(), ["orders"; 2]);
    // by accident no table comes in all the same
    assert!(all(allowed("{database}.{table}"), &[("shop", "eu.t"), ("shop.eu", "t")]).is_err());
    let mut topics = of("{database}.{table}");
    for (schema, fine) in [("dbo", true), ("sales", false)] {
        let orders = TableName { schema: Some(schema.into()), ..table("shop", "orders") };
        let told = topic(&mut topics, &orders).map_err(|error| error.to_string());
        assert_eq!(told.is_ok(), fine);
        assert!(fine || told.unwrap_err().contains("leaves out `{schema}`"));
    }
}

#[test]
fn c29_names_that_become_the_same_in_another_case_do_not_share_a_topic() {
    let cased = |name_case| Topics::new(&Settings { name_case, ..settings("CDC.{database}.{table}") }, 0, None);
    assert_eq!(all(cased(NameCase::Lower), &[("Shop", "Orders"), ("Shop", "Lines")]).unwrap(), ["CDC.shop.orders", "CDC.shop.lines"]);
    assert_eq!(all(cased(NameCase::Upper), &[("Shop", "Orders")]).unwrap(), ["CDC.SHOP.ORDERS"]);
    assert_eq!(all(cased(NameCase::AsIs), &[("Shop", "Orders"), ("shop", "orders")]).unwrap(), ["CDC.Shop.Orders", "CDC.shop.orders"]);
    insta::assert_snapshot!(all(cased(NameCase::Lower), &[("Shop", "Orders"), ("shop", "orders")]).unwrap_err(), @r"
    tables Shop.Orders and shop.orders would share topic `CDC.shop.orders`, because the sink's `name_case` makes their names the same
      remedy: give one of the tables another name with the `map-names` plugin; then start again: nothing is lost
    ");
}

#[test]
fn a_topic_that_follows_the_operation_or_the_day_is_one_for_each() {
    let mut topics = of("{table}.{operation}.{date}");
    let template = topics.template().clone();
    let orders = topics.table(&table("shop", "orders"));
    let mut of = |operation, days: i64| {
        let variant = Variant::of(&template, operation, days * 86_400_000_000 + 1);
        topics.topic(orders, None, variant).unwrap().unwrap().to_string()
    };
    use sluicegate_model::change::Operation::{Delete, Insert};
    assert_eq!(
        [of(Insert, 0), of(Delete, 0), of(Insert, 1)],
        ["orders.insert.1970-01-01", "orders.delete.1970-01-01", "orders.insert.1970-01-02"]
    );
    // also past what is kept
    for _ in 0..2 {
        for day in 0..2 * KAFKA_TOPIC_VARIANTS as i64 {
            of(Insert, day);
        }
    }
    assert_eq!(of(Insert, 0), "orders.insert.1970-01-01");
    assert!(topics.recent.names(orders) <= KAFKA_TOPIC_VARIANTS);
}

#[test]
fn what_a_plugin_chose_stands_in_the_template_or_in_its_place() {
    let mut plain = of("cdc.{table}");
    let number = plain.table(&table("shop", "orders"));
    assert_eq!(plain.topic(number, Some("eu"), Variant::default()).unwrap().as_deref(), Some("eu"));
    let mut within = of("cdc.{destination}");
    let mut chosen = |name: &str, chosen: Option<&str>| {
        let number = within.table(&table("shop", name));
        within.topic(number, chosen, Variant::default()).map(|topic| topic.map(|topic| topic.to_string()))
    };
    assert_eq!(chosen("orders", Some("eu")).unwrap().as_deref(), Some("cdc.eu"));
    assert_eq!(chosen("orders", None).unwrap().as_deref(), Some("cdc.shop.orders"));
    // plugins want these together
    assert_eq!(chosen("lines", Some("eu")).unwrap().as_deref(), Some("cdc.eu"));
    assert_eq!(chosen("lines", Some("shop.orders")).unwrap().as_deref(), Some("cdc.shop.orders"));
    assert_eq!(chosen("lines", Some("a b")).unwrap(), None);
    assert_eq!(chosen("lines", Some(&"x".repeat(250))).unwrap(), None);
    assert!(chosen("lines", Some("third")).is_err(), "one too many");
    // Kafka cannot have both
    assert!(chosen("orders_", None).is_ok() && chosen("lines", None).is_ok());
}

#[test]
fn no_topic_is_forgotten_however_many_tables_come() {
    let mut topics = of("{database}.{table}");
    topic(&mut topics, &table("shop", "eu.t")).unwrap();
    for n in 0..KAFKA_TOPIC_TABLES + 5 {
        topics.begin();
        topic(&mut topics, &table("shop", &n.to_string())).unwrap();
    }
    assert!(topics.recent.tables() <= KAFKA_TOPIC_TABLES);
    assert!(topic(&mut topics, &table("shop.eu", "t")).is_err());
    assert_eq!(&*topic(&mut topics, &table("shop", "eu.t")).unwrap(), "shop.eu.t");
}

#[test]
fn one_topic_too_many_is_refused_but_not_one_table() {
    let mut topics = Topics { most_given: 2, ..Topics::new(&Settings { shared_topic: true, ..settings("{table}") }, 0, None) };
    for (database, name) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "y")] {
        topic(&mut topics, &table(database, name)).unwrap();
    }
    insta::assert_snapshot!(topic(&mut topics, &table("a", "z")).unwrap_err(), @r"
    the sink's `topic` template gives more than 2 topics
      remedy: let tables share topics by leaving `{table}` out of it, or divide the tables among several pipelines; then start again: nothing is lost
    ");
}

#[test]
fn a_chosen_topic_is_taken_as_it_is_or_not_at_all_and_they_are_bounded() {
    let mut topics = of("{table}");
    let long = "x".repeat(MAX_NAME + 1);
    for bad in ["", ".", "..", "a b", "a/b", "caf\u{e9}", "a\0", &long] {
        assert_eq!(topics.chosen(bad, 0).unwrap(), None, "{bad}");
    }
    for good in ["eu.orders", "...", &long[1..], "eu.orders"] {
        let chosen = topics.chosen(good, 0);
        if good == &long[1..] {
            insta::assert_snapshot!(chosen.unwrap_err(), @r#"
            plugins or the sink's template gave more than 2 different destinations
              remedy: let them give fewer, or raise `limits.destinations`; then start again: nothing is lost
            "#);
        } else {
            assert_eq!(chosen.unwrap().as_deref(), Some(good));
        }
    }
    insta::assert_snapshot!(bad_destination(&TableName::new("shop", "orders")), @r#"
    the destination that a plugin chose for a record of table shop.orders is no topic name
      remedy: let the plugin choose letters, digits, `.`, `_` and `-`, at most 249 of them, or set `on_error`
    "#);
}

proptest! {
    #[test]
    fn two_tables_share_a_topic_only_where_the_template_says_so(
        template in prop::sample::select(vec!["{database}.{table}", "{database}_{table}", "x{table}", "{database}-{table}", "x", "{database}{table}"]),
        tables in prop::collection::vec(("[a._é-]{1,3}", "[a._ -]{1,3}"), 2..8),
    ) {
        let mut topics = Topics::new(&Settings { shared_topic: true, ..settings(template) }, 0, None);
        let mut taken: Vec<(TableName, Arc<str>)> = Vec::new();
        let taken_of = |table: &TableName| {
            let database = template.contains("{database}").then(|| table.database.clone());
            (database, template.contains("{table}").then(|| table.table.clone()))
        };
        for (database, name) in &tables {
            let table = table(database, name);
            let subject = Subject { table: &table, chosen: None, variant: Variant::default() };
            let named = super::name(topics.template(), NameCase::AsIs, &subject);
            match topic(&mut topics, &table) {
                Ok(topic) => {
                    prop_assert_eq!(&*topic, &*named);
                    for (other, theirs) in &taken {
                        prop_assert_eq!(*theirs == topic, taken_of(other) == taken_of(&table));
                        prop_assert!(*theirs == topic || metric(theirs) != metric(&topic));
                    }
                    taken.push((table, topic));
                }
                Err(error) => {
                    let first = taken.iter().find(|(_, theirs)| metric(theirs) == metric(&named)).map(|(first, _)| first.to_string());
                    // or Kafka has no such name
                    prop_assert!(!fits(&named) || first.is_some_and(|first| error.to_string().contains(&first)), "{}", error);
                }
            }
        }
    }
}
