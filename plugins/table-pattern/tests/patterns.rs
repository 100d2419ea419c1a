//! What patterns select, against the definition.
#![allow(missing_docs, reason = "tests")]

use proptest::prelude::*;
use sluicegate_table_pattern::{Fault, Name, TablePattern, TablePatterns, name_parts};

fn name<'a>(database: &'a str, schema: Option<&'a str>, table: &'a str) -> Name<'a> {
    Name { database, schema, table }
}

fn selects(pattern: &str, database: &str, table: &str) -> bool {
    TablePattern::new(pattern).unwrap().matches(name(database, None, table))
}

#[test]
fn a_pattern_selects_by_star_and_question_mark() {
    for (pattern, database, table, expected) in [
        ("shop.orders", "shop", "orders", true),
        ("shop.orders", "shop", "Orders", false),
        ("shop.*", "shop", "orders", true),
        ("*.orders", "shop", "orders", true),
        ("*", "shop", "orders", true),
        ("shop.order_??", "shop", "order_01", true),
        ("shop.order_??", "shop", "order_1", false),
        ("shop.*_log", "shop", "a_log_log", true),
        ("shop.*_log", "shop", "a_log_lo", false),
        ("s?op.o*", "shop", "o", true),
    ] {
        assert_eq!(selects(pattern, database, table), expected, "{pattern} on {database}.{table}");
    }
}

#[test]
fn a_table_is_named_by_a_pattern_without_wildcards_only() {
    for (patterns, expected) in [
        (&["shop.orders"] as &[&str], true),
        (&["*", "shop.orders"], true),
        (&["shop.*"], false),
        (&["shop.order?"], false),
        (&["shop.orders", "!shop.*"], false),
        (&["crm.orders", "shop.*"], false),
        (&[], false),
    ] {
        assert_eq!(TablePatterns::new(patterns).unwrap().names(name("shop", None, "orders")), expected, "{patterns:?}");
    }
}

#[test]
fn a_question_mark_is_one_character_whatever_its_bytes() {
    for character in ["e", "\u{e9}", "\u{4e2d}", "\u{1f600}"] {
        assert!(selects("shop.caf?", "shop", &format!("caf{character}")), "{character}");
        assert!(!selects("shop.caf??", "shop", &format!("caf{character}")), "{character}");
        assert!(selects("shop.*?x", "shop", &format!("{character}x")), "{character}");
    }
}

#[test]
fn a_pattern_is_matched_part_by_part() {
    for (pattern, database, table, expected) in [
        ("shop.*", "shop", "eu.t", true),
        ("shop.*", "shop.eu", "t", false),
        ("*.t", "shop.eu", "t", true),
        ("*.t", "shop", "eu.t", false),
        ("shop*.t", "shop.eu", "t", true),
        ("shop.`eu.t`", "shop", "eu.t", true),
        ("shop.`eu.t`", "shop.eu", "t", false),
        ("`shop.eu`.t", "shop.eu", "t", true),
        ("`shop.eu`.t", "shop", "eu.t", false),
        ("`shop.`*.t", "shop.eu", "t", true),
        ("`shop.`*.t", "shop", "t", false),
        // without backticks either reading is meant
        ("shop.eu.t", "shop", "eu.t", true),
        ("shop.eu.t", "shop.eu", "t", true),
        ("shop.eu.?", "shop", "eu.t", true),
        ("shop.eu.t", "shop", "t", false),
        ("a.b.c.d", "a.b", "c.d", true),
    ] {
        assert_eq!(selects(pattern, database, table), expected, "{pattern} on `{database}`.`{table}`");
    }
}

#[test]
fn in_backticks_every_character_stands_for_itself() {
    assert!(selects("`a*`.`b?`", "a*", "b?"));
    assert!(!selects("`a*`.b", "ab", "b"));
    assert!(selects("`!a`.`b``c`", "!a", "b`c"));
    assert!(selects("` a`.b", " a", "b"));
}

#[test]
fn a_pattern_without_a_schema_selects_in_every_schema() {
    for (pattern, expected) in [
        ("erp.orders", true),
        ("erp.*", true),
        ("erp.dbo.*", true),
        ("*.*.orders", true),
        ("*", true),
        ("erp.log.*", false),
        ("dbo.orders", false),
        ("erp.dbo.x.orders", false),
    ] {
        assert_eq!(TablePattern::new(pattern).unwrap().matches(name("erp", Some("dbo"), "orders")), expected, "{pattern}");
    }
    assert!(TablePattern::new("a.b.c.d").unwrap().matches(name("a", Some("b.c"), "d")));
}

#[test]
fn a_pattern_says_which_databases_it_may_be_in() {
    for (pattern, database, may, named) in [
        ("*", "shop", true, false),
        ("shop.*", "shop", true, true),
        ("shop.*", "shop.eu", false, false),
        ("sh*.t", "shop", true, false),
        ("sh*.t", "log", false, false),
        ("`shop.eu`.t", "shop.eu", true, true),
        ("`shop.eu`.t", "shop", false, false),
        ("shop.eu.t", "shop", true, true),
        ("shop.eu.t", "shop.eu", true, true),
    ] {
        let pattern = TablePattern::new(pattern).unwrap();
        assert_eq!((pattern.may_be_in(database), pattern.names_database(database)), (may, named), "{pattern:?} {database}");
    }
}

#[test]
fn an_unfinished_pattern_is_refused() {
    for (text, fault) in [
        ("", Fault::Empty),
        ("shop.", Fault::EmptyPart),
        (".orders", Fault::EmptyPart),
        ("a..b", Fault::EmptyPart),
        ("shop.``", Fault::EmptyPart),
        ("orders", Fault::NoDatabase),
        ("`shop.orders`", Fault::NoDatabase),
        (" shop.orders", Fault::Space),
        ("shop.`orders", Fault::Backtick),
    ] {
        assert_eq!(TablePattern::new(text), Err(fault), "{text}");
    }
    assert_eq!(
        TablePatterns::new(&["shop.*", "!log"]).unwrap_err(),
        "`log` is no table pattern: it does not say which database; write `database.table`, where `*` stands for any characters and `?` \
         for one, e.g. `shop.*`, with backticks around a name that holds a dot; `!` in front excludes"
    );
}

#[test]
fn a_selection_takes_what_one_pattern_includes_and_none_excludes() {
    let selection = TablePatterns::new(&["shop.*", "log.a", "!shop.tmp_*"]).unwrap();
    assert_eq!(selection.to_string(), "shop.*, log.a, !shop.tmp_*");
    for (database, table, expected) in [("shop", "orders", true), ("shop", "tmp_1", false), ("log", "a", true), ("log", "b", false)] {
        assert_eq!(selection.selects(name(database, None, table)), expected, "{database}.{table}");
    }
    assert!(!selection.is_exact());
    assert!(TablePatterns::new(&["shop.`a*`"]).unwrap().is_exact());
    let all = TablePatterns::new::<&str>(&[]).unwrap();
    assert!(all.selects(name("a", None, "b")) && !all.is_exact());
}

/// A pattern's pieces as the model sees them.
#[derive(Clone, Debug)]
enum Wanted {
    One(char),
    Any,
    Run,
}

/// By the definition: a run is empty, or takes one character and goes on.
fn model(pattern: &[Wanted], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((Wanted::Run, behind)), _) => model(behind, text) || text.split_first().is_some_and(|(_, rest)| model(pattern, rest)),
        (Some((Wanted::Any, behind)), Some((_, rest))) => model(behind, rest),
        (Some((Wanted::One(one), behind)), Some((first, rest))) => one == first && model(behind, rest),
        _ => false,
    }
}

/// As an operator writes it: `all` = every character between backticks, else only where it has to be.
fn written(part: &[Wanted], all: bool) -> String {
    let (mut text, mut quoted) = (String::new(), false);
    for piece in part {
        let (quote, piece) = match piece {
            Wanted::Any => (false, "?".to_owned()),
            Wanted::Run => (false, "*".to_owned()),
            Wanted::One('`') => (true, "``".to_owned()),
            Wanted::One(c) => (all || matches!(c, '.' | '*' | '?'), c.to_string()),
        };
        if quote != quoted {
            text.push('`');
            quoted = quote;
        }
        text += &piece;
    }
    text + if quoted { "`" } else { "" }
}

/// Few characters, so that patterns meet names; among them the special ones, and some of several bytes.
fn character() -> impl Strategy<Value = char> {
    prop::sample::select(vec!['a', 'b', '.', '*', '?', '`', '\u{e9}', '\u{4e2d}'])
}

fn part() -> impl Strategy<Value = Vec<Wanted>> {
    let piece = prop_oneof![3 => character().prop_map(Wanted::One), 1 => Just(Wanted::Any), 1 => Just(Wanted::Run)];
    prop::collection::vec(piece, 1..6)
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(character(), 1..7).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn patterns_match_as_the_definition_says(
        parts in prop::collection::vec(part(), 2..=3), quote: bool, database in text(), schema in prop::option::of(text()), table in text(),
    ) {
        let pattern = parts.iter().map(|part| written(part, quote)).collect::<Vec<_>>().join(".");
        let is = |part: &[Wanted], text: &str| model(part, &text.chars().collect::<Vec<_>>());
        let joined = |a: &[Wanted], b: &[Wanted]| [a, &[Wanted::One('.')], b].concat();
        let expected = match (&parts[..], &schema) {
            ([d, t], _) => is(d, &database) && is(t, &table),
            ([d, s, t], Some(schema)) => is(d, &database) && is(s, schema) && is(t, &table),
            ([a, b, c], None) => (is(a, &database) && is(&joined(b, c), &table)) || (is(&joined(a, b), &database) && is(c, &table)),
            _ => unreachable!("two or three parts"),
        };
        let compiled = TablePattern::new(&pattern).unwrap();
        prop_assert_eq!(compiled.matches(name(&database, schema.as_deref(), &table)), expected, "{}", pattern);
    }

    #[test]
    fn a_name_is_read_back_as_it_was_and_selects_itself_only(
        database in "\\PC{1,6}", schema in prop::option::of("[a.`*? !]{1,4}"), table in "[a.`*? !é]{1,5}", other in "[a.`*? !é]{1,5}",
    ) {
        let shown = name(&database, schema.as_deref(), &table);
        let parts = name_parts(&shown.to_string()).unwrap();
        let expected: Vec<&str> = [Some(&*database), schema.as_deref(), Some(&*table)].into_iter().flatten().collect();
        prop_assert_eq!(&parts, &expected);
        let pattern = TablePatterns::new(&[shown.to_string()]).unwrap();
        prop_assert!(pattern.is_exact() && pattern.selects(shown));
        if schema.is_none() {
            prop_assert_eq!(pattern.selects(name(&database, None, &other)), other == table);
        }
    }

    #[test]
    fn any_text_is_a_pattern_or_a_fault(text in "[a.`*? !\u{e9}]{0,12}") {
        if let Ok(pattern) = TablePattern::new(&text) {
            pattern.matches(name("a", Some("."), "`"));
        }
        let _ = name_parts(&text);
    }
}
