use super::{
    super::{Hold, tests::*},
    *,
};

fn renamed(columns: &[(&str, &str)]) -> Renamed {
    let name = TableName::new("shop", "customers");
    let columns = columns.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
    Renamed { columns, ..Renamed::new(name.clone(), name) }
}

/// What `follow` and `guard` say of a version.
fn both(treatments: &Treatments, columns: &[&str], masked: &[&str]) -> [Result<()>; 2] {
    let table = table(columns);
    let plan = plan(&table, masked);
    let pairs = pairs(&treatments.renamed(&table.name), &table, |at| vec![table.columns[at].name.clone()]);
    let hold = |name: &&str| if masked.contains(name) { Hold::Hidden } else { Hold::Passes };
    let held: Vec<Hold> = columns.iter().map(hold).collect();
    [treatments.follow("r", &table, Some(&plan), &pairs), treatments.guard("mask", &table, &held, &pairs)].map(|treats| treats.map(|_| ()))
}

#[test]
fn a_treated_column_that_leaves_its_name_to_a_new_one_is_not_passed_on() {
    for steps in [&[&[("email", "contact")][..]][..], &[&[("email", "e_mail")], &[("e_mail", "contact")]]] {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
        steps.iter().for_each(|columns| drop(treatments.rename(&renamed(columns)).unwrap()));
        let after = Treatments::default();
        after.remember(treatments.take_news());
        for treatments in [&treatments, &after] {
            let [followed, guarded] = both(treatments, &["id", "contact", "email", "old"], &["email"]);
            let (followed, guarded) = (followed.unwrap_err(), guarded.unwrap_err());
            let what = "the column `contact`, which the plugin would pass on as it is, is the one that was called `email`";
            assert!(followed.message().contains(what) && guarded.message().contains(what), "{followed} {guarded}");
            assert!(guarded.message().starts_with("plugin `mask` is `fail_closed`: "), "{guarded}");
            assert!(both(treatments, &["id", "contact", "email", "old"], &["contact", "email"]).iter().all(Result::is_ok));
        }
        // a version without the new name says nothing of it
        treatments.settle_renamed(&table(&["id", "email"]));
        assert_eq!(treatments.renamed(&TableName::new("shop", "customers")).len(), 1);
        treatments.settle_renamed(&table(&["id", "contact", "email", "old"]));
        assert!(treatments.renamed(&TableName::new("shop", "customers")).is_empty());
        assert!(treatments.take_news().iter().any(|news| news.rule == RENAMED && news.renames.pairs.is_empty()));
    }
}

#[test]
fn a_new_column_that_nothing_explains_is_not_passed_on_beside_a_treated_one() {
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    drop(treatments.rename(&Renamed { far: true, ..renamed(&[("", "contact")]) }).unwrap());
    let after = Treatments::default();
    after.remember(treatments.take_news());
    for treatments in [&treatments, &after] {
        let what = "no statement in the log explains the columns of table shop.customers: `contact`";
        for refused in both(treatments, &["id", "contact", "email"], &["email"]) {
            let refused = refused.unwrap_err();
            assert!(refused.message().contains(what) && refused.message().contains("(`email`)"), "{refused}");
        }
        assert!(both(treatments, &["id", "contact", "email"], &["contact", "email"]).iter().all(Result::is_ok));
        // it is known from here on, and says nothing new when it is told again
        assert!(both(treatments, &["id", "contact", "email"], &["contact", "email"]).iter().all(Result::is_ok));
    }
    // a table without treated columns is not concerned
    let others = Treatments::default();
    assert!(both(&others, &["id", "email"], &[]).iter().all(Result::is_ok));
    drop(others.rename(&Renamed { far: true, ..renamed(&[("", "contact")]) }).unwrap());
    assert!(both(&others, &["id", "contact", "email"], &[]).iter().all(Result::is_ok));
}

#[test]
fn what_the_log_says_again_after_a_restart_is_not_taken_twice() {
    let at = |sequence| Some(LogPlace { log: "0".into(), sequence, position: 0, number: 0, seconds: 100 });
    let exchange = Renamed { at: at(5), ..renamed(&[("email", "points"), ("points", "email")]) };
    let other = Renamed { from: TableName::new("shop", "a"), to: TableName::new("shop", "b"), at: at(4), ..renamed(&[]) };
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email", "points"], &["email"]).iter().all(Result::is_ok));
    for _ in 0..3 {
        treatments.rename(&other).unwrap();
        treatments.rename(&exchange).unwrap();
        for refused in both(&treatments, &["id", "points", "email"], &["email"]) {
            refused.unwrap_err();
        }
    }
    // a stream that is behind hears it again
    treatments.settle_renamed(&table(&["id", "points", "email"]));
    let behind = Treatments::default();
    behind.remember(treatments.all());
    behind.rename(&exchange).unwrap();
    assert!(behind.renamed(&TableName::new("shop", "customers")).is_empty());
    // what comes later, another log, and one that began anew
    let again = LogPlace { seconds: 200, ..at(1).unwrap() };
    let elsewhere = LogPlace { log: "1".into(), ..at(1).unwrap() };
    for place in [LogPlace { sequence: 6, ..at(5).unwrap() }, elsewhere, again] {
        behind.rename(&Renamed { at: Some(place), ..exchange.clone() }).unwrap();
        assert_eq!(behind.renamed(&TableName::new("shop", "customers")).len(), 2);
        behind.settle_renamed(&table(&["id", "points", "email"]));
    }
}

#[test]
fn names_of_what_is_gone_are_forgotten() {
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    let name = TableName::new("shop", "customers");
    let dropped = Renamed { dropped: vec!["Contact".into()], ..renamed(&[]) };
    for gone in [dropped, Renamed { anew: true, ..renamed(&[]) }] {
        treatments.rename(&renamed(&[("email", "contact")])).unwrap();
        assert_eq!(treatments.renamed(&name).len(), 1);
        treatments.rename(&gone).unwrap();
        assert!(treatments.renamed(&name).is_empty());
    }
}

#[test]
fn a_table_that_is_made_like_another_one_is_treated_like_it() {
    let [customers, leads] = ["customers", "leads"].map(|name| TableName::new("shop", name));
    let like = |anew| Renamed { from: customers.clone(), to: leads.clone(), anew, copied: true, ..renamed(&[]) };
    let contact = Renamed { from: leads.clone(), to: leads.clone(), ..renamed(&[("email", "contact")]) };
    let judged = |treatments: &Treatments, columns: &[&str], masked: &[&str]| {
        let table = Table { name: leads.clone(), ..table(columns) };
        let pairs = pairs(&treatments.renamed(&leads), &table, |at| vec![table.columns[at].name.clone()]);
        treatments.follow("r", &table, Some(&plan(&table, masked)), &pairs)
    };
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    treatments.rename(&like(true)).unwrap();
    treatments.rename(&contact).unwrap();
    let error = judged(&treatments, &["id", "contact"], &[]).unwrap_err();
    assert!(error.message().contains("the column `contact`, which the plugin would pass on as it is"), "{error}");
    judged(&treatments, &["id", "contact"], &["contact"]).unwrap();
    // one that is there already stays as it is
    treatments.rename(&like(false)).unwrap();
    judged(&treatments, &["id", "contact"], &["contact"]).unwrap();
    // the original is as it was
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
}

#[test]
fn what_becomes_of_a_table_elsewhere_counts_where_it_was_captured_before() {
    let [customers, away, back] = [("shop", "customers"), ("attic", "x"), ("shop", "back")].map(|(d, t)| TableName::new(d, t));
    let step = |from: &TableName, to: &TableName, columns: &[(&str, &str)]| Renamed {
        from: from.clone(),
        to: to.clone(),
        far: to.database == "attic",
        ..renamed(columns)
    };
    let treatments = Treatments::default();
    treatments.rename(&step(&away, &away, &[("a", "b")])).unwrap();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    let other = TableName::new("attic", "other");
    treatments.rename(&step(&other, &other, &[("a", "b")])).unwrap();
    assert!(treatments.renamed(&other).is_empty(), "a table that was never captured");
    for (from, to, columns) in [(&customers, &away, &[][..]), (&away, &away, &[("email", "contact")]), (&away, &back, &[])] {
        treatments.rename(&step(from, to, columns)).unwrap();
    }
    assert_eq!(treatments.renamed(&back), [("email".to_owned(), "contact".to_owned())]);
    let table = Table { name: back.clone(), ..table(&["id", "contact"]) };
    let pairs = pairs(&treatments.renamed(&back), &table, |at| vec![table.columns[at].name.clone()]);
    treatments.follow("r", &table, Some(&plan(&table, &[])), &pairs).unwrap_err();
}

#[test]
fn tables_that_exchange_their_names_exchange_their_treatments() {
    let treatments = Treatments::default();
    let named = |name: &str, columns: &[&str]| Table { name: TableName::new("shop", name), ..table(columns) };
    let (a, b) = (named("a", &["id", "email", "note"]), named("b", &["id", "mail", "memo"]));
    for (table, column) in [(&a, "email"), (&b, "mail")] {
        treatments.follow("r", table, Some(&plan(table, &[column])), &[]).unwrap();
    }
    for (from, to) in [("a", "tmp"), ("b", "a"), ("tmp", "b")] {
        let [from, to] = [from, to].map(|name| TableName::new("shop", name));
        treatments.rename(&Renamed { from, to, ..renamed(&[]) }).unwrap();
    }
    let (a, b) = (named("a", &["id", "mail", "memo"]), named("b", &["id", "email", "note"]));
    for (table, column) in [(&a, "mail"), (&b, "email")] {
        treatments.follow("r", table, Some(&plan(table, &[column])), &[]).unwrap();
    }
}

#[test]
fn a_number_of_the_catalogue_that_has_another_name_is_a_column_that_was_renamed_also_between_two_runs() {
    let name = TableName::new("shop", "customers");
    let numbered = |table: i64, columns: &[(i64, &str)]| {
        let columns = columns.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
        Renamed { numbered: Some(NumberedColumns { table, columns }), ..renamed(&[]) }
    };
    let before = numbered(7, &[(1, "id"), (2, "email"), (3, "n_points")]);
    let (taken, exchanged) = ([(1, "id"), (2, "contact"), (4, "email")], [(1, "id"), (2, "n_points"), (3, "email")]);
    type Case<'a> = (&'a [(i64, &'a str)], &'a [&'a str]);
    let cases: [Case<'_>; 2] = [(&taken, &["id", "contact", "email"]), (&exchanged, &["id", "n_points", "email"])];
    // told before anything was treated, and after; or what was stored before there were numbers
    for (first, kept) in [(true, true), (false, true), (false, false)] {
        for (columns, names) in cases {
            let treatments = Treatments::default();
            if first {
                treatments.rename(&before).unwrap();
                assert!(treatments.take_news().is_empty(), "nothing is treated");
            }
            assert!(both(&treatments, &["id", "email", "n_points"], &["email"]).iter().all(Result::is_ok));
            if !first && kept {
                treatments.rename(&before).unwrap();
            }
            let after = Treatments::default();
            after.remember(treatments.take_news());
            for treatments in [&treatments, &after] {
                // the numbers come with each start
                for _ in 0..2 {
                    treatments.rename(&numbered(7, columns)).unwrap();
                    assert_eq!(treatments.renamed(&name).is_empty(), !kept, "{names:?}");
                    let refused = both(treatments, names, &["email"]).iter().all(Result::is_err);
                    assert_eq!(refused, kept, "{names:?}");
                }
                assert!(!kept || both(treatments, names, &[names[1], "email"]).iter().all(Result::is_ok));
            }
            // another table has other columns
            treatments.rename(&numbered(8, &[(1, "id"), (2, "email"), (4, "contact")])).unwrap();
            assert!(treatments.renamed(&name).is_empty());
        }
    }
}

#[test]
fn a_column_of_another_name_that_is_gone_is_no_longer_waited_for() {
    let numbered = |columns: &[(i64, &str)]| {
        let columns = columns.iter().map(|(number, name)| (*number, (*name).to_owned())).collect();
        Renamed { numbered: Some(NumberedColumns { table: 7, columns }), ..renamed(&[]) }
    };
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    for columns in [&[(1, "id"), (2, "email")][..], &[(1, "id"), (2, "contact")], &[(1, "id"), (3, "email")]] {
        treatments.rename(&numbered(columns)).unwrap();
    }
    assert!(treatments.renamed(&TableName::new("shop", "customers")).is_empty());
}

#[test]
fn what_is_renamed_in_the_copy_of_a_table_comes_with_the_copy() {
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    let [table, copy, gone] = ["customers", "_customers_gho", "_customers_del"].map(|name| TableName::new("shop", name));
    let columns = vec![("email".to_owned(), "contact".to_owned())];
    treatments.rename(&Renamed { columns, ..Renamed::new(copy.clone(), copy.clone()) }).unwrap();
    let swap = |from: &TableName, to: &TableName| Renamed {
        from: from.clone(),
        to: to.clone(),
        columns: Vec::new(),
        dropped: Vec::new(),
        anew: false,
        copied: false,
        far: false,
        at: None,
        numbered: None,
    };
    treatments.rename(&swap(&table, &gone)).unwrap();
    treatments.rename(&swap(&copy, &table)).unwrap();
    for refused in both(&treatments, &["id", "contact", "email"], &["email"]) {
        refused.unwrap_err();
    }
    assert!(treatments.renamed(&copy).is_empty());
}

#[test]
fn a_treated_column_does_not_take_the_name_of_one_that_passes() {
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
    treatments.rename(&renamed(&[("email", "old")])).unwrap();
    for refused in both(&treatments, &["id", "old"], &[]) {
        assert!(refused.unwrap_err().message().contains("the column `old`"));
    }
}

#[test]
fn columns_that_were_not_treated_are_called_as_they_like() {
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email", "old"], &["email"]).iter().all(Result::is_ok));
    treatments.rename(&renamed(&[("old", "note")])).unwrap();
    assert!(both(&treatments, &["id", "email", "note", "old"], &["email"]).iter().all(Result::is_ok));
    assert!(treatments.renamed(&TableName::new("shop", "other")).is_empty());
}

#[test]
fn a_table_takes_what_is_treated_along_to_its_new_name() {
    let treatments = Treatments::default();
    assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
    let (from, to) = (TableName::new("shop", "customers"), TableName::new("shop", "clients"));
    let columns = vec![("email".to_owned(), "contact".to_owned())];
    let clients = Renamed { columns, ..Renamed::new(from.clone(), to.clone()) };
    assert_eq!(treatments.rename(&clients).unwrap(), [from, to.clone()]);
    let clients = Table { name: to, ..table(&["id", "contact", "email"]) };
    let pairs = pairs(&treatments.renamed(&clients.name), &clients, |at| vec![clients.columns[at].name.clone()]);
    treatments.follow("r", &clients, Some(&plan(&clients, &["email"])), &pairs).unwrap_err();
    treatments.guard("mask", &clients, &[Hold::Passes, Hold::Passes, Hold::Hidden], &pairs).unwrap_err();
}

#[test]
fn a_pipeline_without_treatments_keeps_nothing() {
    let treatments = Treatments::default();
    treatments.rename(&renamed(&[("a", "b")])).unwrap();
    assert!(treatments.all().is_empty() && treatments.take_news().is_empty());
}

#[test]
fn the_columns_of_the_last_version_are_kept_until_a_statement_changes_the_table() {
    let table = table(&["id", "email"]);
    let kept = |treatments: &Treatments| treatments.all().into_iter().find_map(|known| known.renames.columns);
    let elsewhere = TableName::new("other", "");
    let (database, all) = (TableName::new("SHOP", ""), TableName::new("", ""));
    let whole = |name: &TableName| Renamed::new(name.clone(), name.clone());
    for explains in [renamed(&[]), renamed(&[("email", "e_mail")]), whole(&database), whole(&all)] {
        let treatments = Treatments::default();
        assert!(both(&treatments, &["id", "email"], &["email"]).iter().all(Result::is_ok));
        treatments.keep_columns(&table);
        for says_nothing in [whole(&elsewhere), renamed(&[("", "contact")])] {
            treatments.rename(&says_nothing).unwrap();
        }
        let after = Treatments::default();
        after.remember(treatments.take_news());
        assert_eq!(kept(&after), Some(vec!["id".to_owned(), "email".to_owned()]));
        after.rename(&explains).unwrap();
        assert_eq!(kept(&after), None, "{explains:?}");
        let later = Treatments::default();
        later.remember(treatments.all());
        later.remember(after.take_news());
        assert_eq!(kept(&later), None, "it is durable: {explains:?}");
    }
}
