//! Folders by the sink's `path` template.

use std::{collections::BTreeMap, ops::Range};

use super::*;
use sluicegate_config::{NameCase, PathTemplate};
use sluicegate_model::change::TableName;

const DAY: i64 = 86_400_000_000;

fn with_path(folder: &Path, template: &str) -> Settings {
    let path = PathTemplate { template: template.parse().unwrap(), shared: false, case: NameCase::AsIs };
    Settings { path: Some(path), ..settings(folder, 1 << 20, None) }
}

/// Inserts of a day.
fn on_day(day: i64, ids: Range<i64>) -> Batch {
    let mut batch = inserts(ids.start as u64, ids, "");
    batch.events.iter_mut().for_each(|event| event.time_us = day * DAY + 5);
    batch
}

fn of_table(database: &str, table: &str, ids: Range<i64>) -> Batch {
    let mut batch = on_day(0, ids);
    let name = TableName::new(database, table);
    batch.tables[0].table = Arc::new(Table { name, ..Table::clone(&batch.tables[0].table) });
    batch
}

/// The ids of the records in each folder, in the order of its files.
fn content(settings: &Settings) -> BTreeMap<String, Vec<i64>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![settings.folder.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            }
        }
        let ids = ids(&Settings { folder: folder.clone(), ..settings.clone() });
        if !ids.is_empty() {
            found.insert(folder.strip_prefix(&settings.folder).unwrap().display().to_string(), ids);
        }
    }
    found
}

fn deliver(settings: &Settings, batches: &[Batch]) -> Result<BTreeMap<String, Vec<i64>>> {
    let mut sink = open(settings, None)?;
    batches.iter().try_for_each(|batch| sink.write(batch))?;
    sink.commit(&Frontier::default())?;
    Ok(content(settings))
}

#[test]
fn records_stand_in_the_folders_that_the_template_gives() {
    let folder = tempfile::tempdir().unwrap();
    let found =
        deliver(&with_path(folder.path(), "{database}/{table}/{date}"), &[on_day(0, 0..2), on_day(1, 2..4), of_table("a/b", "..", 4..5)]);
    let expected = [("a%2Fb/%2E%2E/1970-01-01", vec![4]), ("shop/orders/1970-01-01", vec![0, 1]), ("shop/orders/1970-01-02", vec![2, 3])];
    assert_eq!(found.unwrap(), expected.map(|(folder, ids)| (folder.to_owned(), ids)).into());
}

#[test]
fn a_batch_is_parted_where_the_operation_changes() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_path(folder.path(), "{operation}");
    let mut batch = on_day(0, 0..6);
    for n in [1, 2, 5] {
        let change = &mut batch.changes[n];
        (change.operation, change.before, change.after) = (Operation::Delete, change.after, NO_IMAGE);
    }
    let found = deliver(&settings, &[batch]).unwrap();
    assert_eq!(found, [("delete".to_owned(), vec![1, 2, 5]), ("insert".to_owned(), vec![0, 3, 4])].into());
}

#[test]
fn what_a_plugin_chose_stands_in_the_path_or_in_its_place() {
    let chosen = || {
        let mut batch = on_day(0, 0..1);
        batch.tables[0].table = Arc::new(Table { destination: Some("eu/x".into()), ..Table::clone(&batch.tables[0].table) });
        batch
    };
    for (template, expected) in [("{table}", "eu/x"), ("cdc/{destination}", "cdc/eu/x")] {
        let folder = tempfile::tempdir().unwrap();
        let found = deliver(&with_path(folder.path(), template), &[chosen()]).unwrap();
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [expected]);
    }
    let folder = tempfile::tempdir().unwrap();
    let found = deliver(&with_path(folder.path(), "cdc/{destination}"), &[on_day(0, 0..1)]).unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["cdc/shop.orders"]);
}

#[test]
fn tables_do_not_share_a_folder_by_accident() {
    let told = |template: &str, change: fn(&mut PathTemplate), tables: [(&str, &str); 2]| {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = with_path(folder.path(), template);
        settings.path.as_mut().map(change);
        deliver(&settings, &tables.map(|(database, table)| of_table(database, table, 0..1))).map_err(|error| error.to_string())
    };
    let shards = [("shard_1", "orders"), ("shard_2", "orders")];
    insta::assert_snapshot!(told("{table}", |_| {}, shards).unwrap_err(), @r"
    tables shard_1.orders and shard_2.orders would share the folder `orders`, because `{table}` leaves out `{database}`, in which they differ
      remedy: add `{database}` to the sink's `path`; or, if they are meant to share it, set `shared_path: allow`; then start again: nothing is lost
    ");
    assert_eq!(told("{table}", |path| path.shared = true, shards).unwrap(), [("orders".to_owned(), vec![0, 0])].into());
    assert_eq!(told("all", |_| {}, shards).unwrap(), [("all".to_owned(), vec![0, 0])].into());
    insta::assert_snapshot!(told("{database}{table}", |_| {}, [("a", "bc"), ("ab", "c")]).unwrap_err(), @r"
    tables a.bc and ab.c would share the folder `abc`, because the parts of their names run together in `{database}{table}`
      remedy: give one of the tables another name with the `map-names` plugin, or write another `path`; then start again: nothing is lost
    ");
    insta::assert_snapshot!(told("{table}", |path| path.case = NameCase::Lower, [("a", "Orders"), ("a", "orders")]).unwrap_err(), @r"
    tables a.Orders and a.orders would share the folder `orders`, because the sink's `name_case` makes their names the same
      remedy: give one of the tables another name with the `map-names` plugin, or write another `path`; then start again: nothing is lost
    ");
    assert!(
        told("{schema}/{table}", |_| {}, shards)
            .unwrap_err()
            .starts_with("the sink's `path` gives table shard_1.orders no name that a folder can have")
    );
}

#[test]
fn c29_names_of_folders_are_written_in_the_case_that_the_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = with_path(folder.path(), "CDC/{database}/{table}");
    settings.path.as_mut().unwrap().case = NameCase::Upper;
    assert_eq!(deliver(&settings, &[on_day(0, 0..1)]).unwrap().into_keys().collect::<Vec<_>>(), ["CDC/SHOP/ORDERS"]);
}

#[test]
fn folders_of_days_that_have_passed_are_forgotten_and_come_back_without_loss_or_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_path(folder.path(), "{table}/{date}");
    let limits = Limits { destinations: 10, ..small_buffer() };
    let again = |state: Option<&str>| open_with(&settings, state, OnError::Stop, &limits, numbers()).unwrap();
    let mut sink = again(None);
    let mut stored = None;
    let mut expected: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for step in 0..30_i64 {
        // now and then a day comes again that was forgotten
        let day = if step % 5 == 4 { step / 5 } else { step };
        let ids = step * 3..step * 3 + 3;
        sink.write(&on_day(day, ids.clone())).unwrap();
        let folder = format!("orders/1970-{:02}-{:02}", day / 31 + 1, day % 31 + 1);
        expected.entry(folder).or_default().extend(ids);
        if step % 3 != 1 {
            stored = Some(sink.commit(&Frontier::default()).unwrap());
            sink.stored().unwrap();
            let state: serde_json::Value = serde_json::from_str(stored.as_deref().unwrap()).unwrap();
            assert!(state["destinations"].as_object().unwrap().len() <= 8, "{state}");
            // what no checkpoint knows is undone, also in folders that were forgotten
            for day in [0, day, 200 + step] {
                sink.write(&on_day(day, 1000..1002)).unwrap();
            }
            sink.idle().unwrap();
            drop(sink);
            sink = again(stored.as_deref());
            assert_eq!(content(&settings), expected, "step {step}");
        }
    }
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(content(&settings), expected);
    assert!(stored.is_some());
}

#[test]
fn tables_that_meet_in_the_folder_of_a_day_are_told_also_after_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = open(&with_path(folder.path(), "{table}/{date}"), None).unwrap();
    sink.write(&of_table("shop", "orders", 0..1)).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    sink.write(&of_table("shop", "orders", 1..2)).unwrap();
    let error = sink.write(&of_table("hr", "orders", 2..3)).unwrap_err();
    assert!(error.message().starts_with("tables shop.orders and hr.orders would share the folder `orders/1970-01-01`"), "{error}");
}

#[test]
fn folders_that_are_forgotten_may_have_been_removed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let settings = with_path(folder.path(), "{table}/dt={date}");
    let limits = Limits { destinations: 10, ..small_buffer() };
    let mut sink = open_with(&settings, None, OnError::Stop, &limits, numbers()).unwrap();
    for day in 0..5 {
        sink.write(&on_day(day, day..day + 1)).unwrap();
        sink.commit(&Frontier::default()).unwrap();
        sink.stored().unwrap();
    }
    let oldest = settings.folder.join("orders/dt=1970-01-01");
    fs::remove_dir_all(&oldest).unwrap();
    sink.write(&on_day(5, 5..6)).unwrap();
    let state = sink.commit(&Frontier::default()).unwrap();
    assert!(!state.contains("1970-01-01") && !oldest.exists(), "{state}");
    sink.stored().unwrap();
    drop(sink);
    let mut sink = open_with(&settings, Some(&state), OnError::Stop, &limits, numbers()).unwrap();
    sink.write(&on_day(0, 6..7)).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(content(&settings)["orders/dt=1970-01-01"], [6]);
}
