use proptest::prelude::*;

use super::*;

const A: &str = "e3cecf61-e5c9-11f1-8ff0-02fc00000001";
const B: &str = "f3cecf61-e5c9-11f1-8ff0-02fc00000001";

fn canonical(text: &str) -> Result<String, NotAGtidSet> {
    GtidSet::parse_mysql(text).map(|s| s.to_string())
}

#[test]
fn a_tagged_set_is_read_and_requested() {
    // P28: a tagged set was refused as malformed
    let text = format!("{A}:1-5:7:blue:1-3:green:9,{B}:4");
    let set = GtidSet::parse_mysql(&text).unwrap();
    assert_eq!(set.to_string(), text);
    let sids = set.sids().unwrap();
    assert_eq!(sids.len(), 4);
    assert_eq!(sids.iter().filter(|s| s.tag().is_some()).count(), 2);
    assert_eq!((sids[0].intervals()[0].start(), sids[0].intervals()[0].end()), (1, 6), "the end is excluded on the wire");
}

#[test]
fn intervals_merge() {
    assert_eq!(canonical(&format!("{A}:3:1-2:5-9:4,\n {A}:20")).unwrap(), format!("{A}:1-9:20"));
    assert_eq!(canonical("").unwrap(), "");
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["x", A, &format!("{A}:"), &format!("{A}:0"), &format!("{A}:5-3"), &format!("{A}:1-"), &format!("{A}:ta g:1"), "0-1-2"] {
        assert_eq!(canonical(text), Err(NotAGtidSet), "{text}");
    }
    for text in ["x", "0-1", "0-1-2-3", "0-1-2,", "a-1-2"] {
        assert_eq!(GtidSet::parse_mariadb(text).is_err(), text != "0-1-2,", "{text}");
    }
}

/// A tag and intervals.
type Entry<'a> = (Option<&'a str>, &'a [(u64, u64)]);

fn encoded(head: u64, origins: &[Entry<'_>]) -> Vec<u8> {
    let mut bytes = head.to_le_bytes().to_vec();
    for (tag, intervals) in origins {
        bytes.extend(parse_uuid(A).unwrap());
        if head >> 56 != 0 {
            let tag = tag.unwrap_or_default();
            bytes.push((tag.len() << 1) as u8); // below 128: one byte, whose lowest bit is 0
            bytes.extend(tag.as_bytes());
        }
        bytes.extend((intervals.len() as u64).to_le_bytes());
        bytes.extend(intervals.iter().flat_map(|(first, end)| [first.to_le_bytes(), end.to_le_bytes()]).flatten());
    }
    bytes
}

#[test]
fn the_binary_form_tells_the_same_set_as_the_text() {
    let plain = encoded(1, &[(None, &[(1, 6), (8, 9)])]);
    assert_eq!(GtidSet::decode_mysql(&plain).unwrap().to_string(), format!("{A}:1-5:8"));
    let tagged = encoded(1 << 56 | 2 << 8 | 1, &[(None, &[(1, 6)]), (Some("Blue"), &[(3, 4)])]);
    assert_eq!(GtidSet::decode_mysql(&tagged).unwrap().to_string(), format!("{A}:1-5:blue:3"));
    assert!(GtidSet::decode_mysql(&encoded(0, &[])).unwrap().is_empty());
    for cut in 0..tagged.len() {
        assert!(GtidSet::decode_mysql(&tagged[..cut]).is_err(), "{cut}");
    }
}

/// The library reserves memory for as many entries as the event announces: it panicked, or took all memory.
#[test]
fn a_binary_form_that_announces_more_than_it_holds_is_refused() {
    let mut counts = encoded(1, &[(None, &[(1, 2)])]);
    counts[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    for bytes in [encoded(1 << 55, &[]), encoded(2, &[(None, &[(1, 2)])]), counts] {
        assert_eq!(GtidSet::decode_mysql(&bytes), Err(Fault::Truncated));
    }
}

#[test]
fn a_binary_form_with_impossible_numbers_or_tags_is_refused() {
    let tagged = |tag| encoded(1 << 56 | 1 << 8 | 1, &[(Some(tag), &[(1, 2)])]);
    let mut behind = encoded(0, &[]);
    behind.push(0);
    for interval in [(0, 5), (5, 5), (6, 5), (1, u64::MAX), (u64::MAX, u64::MAX), (1, 0)] {
        let refused = GtidSet::decode_mysql(&encoded(1, &[(None, &[interval])]));
        assert!(matches!(refused, Err(Fault::Invalid(_))), "{interval:?}");
    }
    for bytes in [tagged("1a"), tagged("a b"), tagged("a23456789012345678901234567890123"), behind] {
        assert!(matches!(GtidSet::decode_mysql(&bytes), Err(Fault::Invalid(_))));
    }
}

#[test]
fn mariadb_keeps_the_last_of_each_server_in_each_domain() {
    let mut set = GtidSet::parse_mariadb("0-2001-5,1-7-9").unwrap();
    set.add(&Gtid::MariaDb { domain: 0, server: 2002, sequence: 6 });
    assert_eq!(set.to_string(), "0-2001-5,0-2002-6,1-7-9");
    assert_eq!(set.position_text(), "0-2002-6,1-7-9");
    assert_eq!(GtidSet::parse_mariadb(&set.to_string()).unwrap(), set, "the last of a domain stays the last");
}

/// With gtid_strict_mode off these follow each other: 0-2001-7, 0-7-3, 0-2001-8. The last of the domain says nothing of them.
#[test]
fn a_lower_number_of_another_server_is_not_taken_as_had() {
    let behind = GtidSet::parse_mariadb("0-2001-7").unwrap();
    let ahead = GtidSet::parse_mariadb("0-2001-7,0-7-3").unwrap();
    assert!(!behind.contains(&Gtid::parse("0-7-3").unwrap()));
    assert!(ahead.contains(&Gtid::parse("0-7-3").unwrap()) && ahead.covers(&behind) && !behind.covers(&ahead));
    assert_eq!(ahead.meet(&behind).position_text(), "0-2001-7");
    assert_eq!(behind.join(&ahead), ahead);
}

#[test]
fn a_lower_number_that_was_logged_last_is_the_last_and_the_highest_stays_known() {
    let mut set = GtidSet::parse_mariadb("0-2001-13").unwrap();
    set.add(&Gtid::parse("0-2001-8").unwrap());
    assert_eq!(set.position_text(), "0-2001-8");
    assert!(set.contains(&Gtid::parse("0-2001-13").unwrap()));
    assert_eq!(set.to_string(), "0-2001-13,0-2001-8");
    assert_eq!(GtidSet::parse_mariadb(&set.to_string()).unwrap(), set);
}

#[test]
fn a_gtid_survives_its_text() {
    for text in [format!("{A}:7"), format!("{A}:blue:7"), "0-1-5".to_owned()] {
        assert_eq!(Gtid::parse(&text).unwrap().to_string(), text);
    }
    for text in ["", "0-1", "0-1-2-3", A, &format!("{A}:blue:red:7"), "binlog.000001:4"] {
        assert_eq!(Gtid::parse(text), None, "{text}");
    }
}

fn of(numbers: &std::collections::BTreeSet<u64>) -> GtidSet {
    let mut set = GtidSet::parse_mysql("").unwrap();
    numbers.iter().for_each(|n| set.add(&Gtid::MySql { uuid: parse_uuid(A).unwrap(), tag: None, number: *n }));
    set
}

/// Transactions of three servers in one domain, each a number of its own server.
fn state(highest: [u64; 3], last: usize) -> GtidSet {
    let mut set = GtidSet::parse_mariadb("").unwrap();
    let servers = (0..3).filter(|s| *s != last).chain([last]).filter(|s| highest[*s] > 0);
    servers.for_each(|s| set.add(&Gtid::MariaDb { domain: 0, server: s as u32, sequence: highest[s] }));
    set
}

proptest! {
    #[test]
    fn meet_join_and_covers_are_those_of_sets(a in prop::collection::btree_set(1_u64..40, 0..30), b in prop::collection::btree_set(1_u64..40, 0..30)) {
        let (x, y) = (of(&a), of(&b));
        prop_assert_eq!(x.meet(&y), of(&a.intersection(&b).copied().collect()));
        prop_assert_eq!(x.join(&y), of(&a.union(&b).copied().collect()));
        prop_assert_eq!(x.covers(&y), a.is_superset(&b));
        for n in 1..40 {
            prop_assert_eq!(x.contains(&Gtid::MySql { uuid: parse_uuid(A).unwrap(), tag: None, number: n }), a.contains(&n));
        }
    }

    #[test]
    fn what_both_have_of_mariadbs_servers_is_in_the_meet_and_nothing_else(a: [u8; 3], b: [u8; 3], last: [bool; 2]) {
        let numbers = |n: [u8; 3]| n.map(|n| u64::from(n % 5));
        let (a, b) = (numbers(a), numbers(b));
        let (x, y) = (state(a, usize::from(last[0])), state(b, usize::from(last[1])));
        let (meet, join) = (x.meet(&y), x.join(&y));
        for server in 0..3_u32 {
            for sequence in 1..6 {
                let gtid = Gtid::MariaDb { domain: 0, server, sequence };
                prop_assert_eq!(meet.contains(&gtid), x.contains(&gtid) && y.contains(&gtid));
                prop_assert_eq!(join.contains(&gtid), x.contains(&gtid) || y.contains(&gtid));
            }
        }
        prop_assert!(x.covers(&meet) && y.covers(&meet) && join.covers(&x) && join.covers(&y));
    }

    #[test]
    fn adding_one_by_one_in_any_order_gives_the_set(numbers in prop::collection::hash_set(1_u64..60, 0..60)) {
        let mut set = GtidSet::parse_mysql("").unwrap();
        for number in &numbers {
            set.add(&Gtid::MySql { uuid: parse_uuid(A).unwrap(), tag: None, number: *number });
        }
        let GtidSet::MySql(map) = &set else { unreachable!() };
        let intervals = map.values().next().cloned().unwrap_or_default();
        let held: std::collections::HashSet<u64> = intervals.iter().flat_map(|(a, b)| *a..=*b).collect();
        prop_assert_eq!(held, numbers);
        prop_assert!(intervals.windows(2).all(|w| w[0].1 + 1 < w[1].0), "sorted and merged: {:?}", intervals);
        prop_assert_eq!(GtidSet::parse_mysql(&set.to_string()).unwrap(), set);
    }

    #[test]
    fn any_text_ends_in_a_set_or_an_error(text in ".{0,80}") {
        let _ = GtidSet::parse_mysql(&text);
        let _ = GtidSet::parse_mariadb(&text);
    }
}
