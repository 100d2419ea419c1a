use proptest::prelude::*;

use super::*;

fn table(database: &str, table: &str) -> TableName {
    TableName::new(database, table)
}

/// The topics of the tables, or the first error.
fn topics(template: &str, tables: &[(&str, &str)]) -> Result<Vec<String>> {
    let mut topics = Topics::new(template, 0);
    tables.iter().map(|(database, name)| topics.topic(&table(database, name)).map(|topic| topic.to_string())).collect()
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
fn tables_that_differ_in_what_the_template_leaves_out_share_a_topic() {
    assert_eq!(topics("{schema}all", &[("shop", "a"), ("shop", "b"), ("log", "a.b")]).unwrap(), ["all"; 3]);
    assert_eq!(topics("{table}", &[("shard_1", "orders"), ("shard_2", "orders")]).unwrap(), ["orders"; 2]);
    assert_eq!(topics("{database}", &[("shop", "a"), ("shop", "b")]).unwrap(), ["shop"; 2]);
}

#[test]
fn no_topic_is_forgotten_however_many_tables_come() {
    let mut topics = Topics::new("{database}.{table}", 0);
    topics.topic(&table("shop", "eu.t")).unwrap();
    for n in 0..KAFKA_TOPIC_TABLES + 5 {
        topics.topic(&table("shop", &n.to_string())).unwrap();
    }
    assert!(topics.by_table.len() <= KAFKA_TOPIC_TABLES);
    assert!(topics.topic(&table("shop.eu", "t")).is_err());
    assert_eq!(&*topics.topic(&table("shop", "eu.t")).unwrap(), "shop.eu.t");
}

#[test]
fn one_topic_too_many_is_refused_but_not_one_table() {
    let mut topics = Topics { most_given: 2, ..Topics::new("{table}", 0) };
    for (database, name) in [("a", "x"), ("a", "y"), ("b", "x"), ("c", "y")] {
        topics.topic(&table(database, name)).unwrap();
    }
    insta::assert_snapshot!(topics.topic(&table("a", "z")).unwrap_err(), @r"
    the sink's `topic` template gives more than 2 topics
      remedy: let tables share topics by leaving `{table}` out of it, or divide the tables among several pipelines; then start again: nothing is lost
    ");
}

#[test]
fn a_chosen_topic_is_taken_as_it_is_or_not_at_all_and_they_are_bounded() {
    let mut topics = Topics::new("{table}", 2);
    let long = "x".repeat(MAX_NAME + 1);
    for bad in ["", ".", "..", "a b", "a/b", "caf\u{e9}", "a\0", &long] {
        assert_eq!(topics.chosen(bad).unwrap(), None, "{bad}");
    }
    for good in ["eu.orders", "...", &long[1..], "eu.orders"] {
        let chosen = topics.chosen(good);
        if good == &long[1..] {
            insta::assert_snapshot!(chosen.unwrap_err(), @r#"
            the plugins have chosen more than 2 different destinations
              remedy: let them choose fewer, or raise `limits.destinations`; then start again: nothing is lost
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
        template in prop::sample::select(vec!["{database}.{table}", "{database}_{table}", "x{table}", "{database}-{table}", "{", "{database}{table}"]),
        tables in prop::collection::vec(("[a._é-]{1,3}", "[a._ -]{1,3}"), 2..8),
    ) {
        let mut topics = Topics::new(template, 0);
        let mut taken: Vec<(TableName, Arc<str>)> = Vec::new();
        let taken_of = |table: &TableName| {
            let database = template.contains("{database}").then(|| table.database.clone());
            (database, template.contains("{table}").then(|| table.table.clone()))
        };
        for (database, name) in &tables {
            let table = table(database, name);
            let named = super::name(template, &table);
            match topics.topic(&table) {
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
