//! What the shop's rows hold: everything follows from the seed and the row's number.

use super::{
    mixing::mix,
    schedule::{self, CUSTOMERS, ORDERS},
};

/// The shop opens on 2024-01-01; this many microseconds pass between two changes.
const TICK_US: u64 = 137;
const OPENING_US: i64 = 1_704_067_200_000_000;

/// The shop's calendar ends before year 7000, after this many changes: years of running at full speed.
pub(super) const LAST_CHANGE: u64 = 1 << 50;

/// The shop's time at a change, microseconds since 1970. Not the real time: the same change has the same time always.
pub(super) fn time_us(change: u64) -> i64 {
    OPENING_US + (change.min(LAST_CHANGE) * TICK_US) as i64
}

/// Purposes of [`mix`]; 0 mixes the schedule.
const CUSTOMER: u64 = 1;
const ORDER: u64 = 2;
const LINE: u64 = 3;

/// First names, as written and as in an address.
const FIRST: [(&str, &str); 16] = [
    ("Anne", "anne"),
    ("Jørgen", "jorgen"),
    ("Zoë", "zoe"),
    ("Miguel", "miguel"),
    ("Priya", "priya"),
    ("Łukasz", "lukasz"),
    ("Chen", "chen"),
    ("Fatima", "fatima"),
    ("Olga", "olga"),
    ("Tomás", "tomas"),
    ("Grace", "grace"),
    ("Yuki", "yuki"),
    ("Samuel", "samuel"),
    ("Ines", "ines"),
    ("David", "david"),
    ("Amara", "amara"),
];
const LAST: [(&str, &str); 16] = [
    ("Kretchmar", "kretchmar"),
    ("Nørgaard", "norgaard"),
    ("O'Brien", "obrien"),
    ("García", "garcia"),
    ("Sharma", "sharma"),
    ("Nowak", "nowak"),
    ("Wei", "wei"),
    ("Haddad", "haddad"),
    ("Ivanova", "ivanova"),
    ("Müller", "mueller"),
    ("Okafor", "okafor"),
    ("Tanaka", "tanaka"),
    ("Smith", "smith"),
    ("Rossi", "rossi"),
    ("Dubois", "dubois"),
    ("Silva", "silva"),
];
const HOSTS: [&str; 4] = ["@example.com", "@example.org", "@example.net", "@mail.example.org"];
const COUNTRIES: [&str; 8] = ["DE", "FR", "ES", "PL", "DK", "GB", "JP", "US"];
const PREFERENCES: [&str; 4] =
    [r#"{"newsletter": true}"#, r#"{"newsletter": false, "language": "de"}"#, r#"{"theme": "dark"}"#, r#"{"sizes": [38, 39]}"#];
const NOTES: [&str; 4] = ["leave at the door", "gift, please wrap", "call before delivery", "invoice to \"accounting\""];
const CANCELLED: [&str; 2] = ["cancelled by the customer", "cancelled: out of stock"];
/// Products with their prices in cents.
const PRODUCTS: [(&str, u64); 8] = [
    ("desk lamp", 2_499),
    ("notebook A5", 349),
    ("fountain pen", 3_990),
    ("office chair", 18_900),
    ("coffee mug", 795),
    ("monitor stand", 4_550),
    ("backpack", 6_999),
    ("cable, 2 m", 599),
];

/// A customer.
#[derive(Clone, Copy)]
pub(super) struct Customer {
    pub(super) id: u64,
    hash: u64,
}

impl Customer {
    pub(super) fn new(seed: u64, round: u64, item: u64) -> Self {
        Self::with_id(seed, round * CUSTOMERS + item + 1)
    }

    fn with_id(seed: u64, id: u64) -> Self {
        Self { id, hash: mix(seed, CUSTOMER, id) }
    }

    fn names(&self) -> (&'static (&'static str, &'static str), &'static (&'static str, &'static str)) {
        (&FIRST[(self.hash & 15) as usize], &LAST[(self.hash >> 4 & 15) as usize])
    }

    pub(super) fn name(&self, out: &mut Vec<u8>) {
        let (first, last) = self.names();
        out.extend_from_slice(first.0.as_bytes());
        out.push(b' ');
        out.extend_from_slice(last.0.as_bytes());
    }

    pub(super) fn email(&self, out: &mut Vec<u8>) {
        let (first, last) = self.names();
        out.extend_from_slice(first.1.as_bytes());
        out.push(b'.');
        out.extend_from_slice(last.1.as_bytes());
        number(self.id, out);
        out.extend_from_slice(HOSTS[(self.hash >> 8 & 3) as usize].as_bytes());
    }

    pub(super) fn country(&self) -> &'static str {
        COUNTRIES[(self.hash >> 10 & 7) as usize]
    }

    /// None at first, later between 0 and 5.
    pub(super) fn rating(&self, rated: bool) -> Option<f64> {
        rated.then(|| (self.hash >> 16 & 0xffff) as f64 * 5.0 / 65_535.0)
    }

    pub(super) fn preferences(&self, rated: bool) -> Option<&'static str> {
        let choice = (self.hash >> 32) + u64::from(rated);
        (choice % 8 < 4).then(|| PREFERENCES[(choice % 4) as usize])
    }
}

/// How far an order has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Placed,
    Paid,
    Shipped,
    Delivered,
    Cancelled,
}

impl Stage {
    pub(super) fn text(self) -> &'static str {
        match self {
            Stage::Placed => "placed",
            Stage::Paid => "paid",
            Stage::Shipped => "shipped",
            Stage::Delivered => "delivered",
            Stage::Cancelled => "cancelled",
        }
    }
}

/// An order.
#[derive(Clone, Copy)]
pub(super) struct Order {
    pub(super) id: u64,
    seed: u64,
    round: u64,
    item: u64,
    hash: u64,
}

/// Rounds back from which an order's customer comes, at most.
const LOYALTY: u64 = 1000;

impl Order {
    pub(super) fn new(seed: u64, round: u64, item: u64) -> Self {
        let id = round * ORDERS + item + 1;
        Self { id, seed, round, item, hash: mix(seed, ORDER, id) }
    }

    /// Somebody who joined in an earlier round, or in the first one.
    pub(super) fn customer(&self) -> Customer {
        let back = if self.round == 0 { 0 } else { 1 + (self.hash & 0xffff) % self.round.min(LOYALTY) };
        let item = (self.hash >> 16 & 0xff) % (CUSTOMERS - 1);
        Customer::new(self.seed, self.round - back, item)
    }

    pub(super) fn number(&self, out: &mut Vec<u8>) {
        let mut digits = *b"SO-000000000";
        let mut rest = self.id;
        for digit in digits[3..].iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        if rest > 0 {
            out.extend_from_slice(b"SO-");
            number(rest, out);
            out.extend_from_slice(&digits[3..]);
        } else {
            out.extend_from_slice(&digits);
        }
    }

    pub(super) fn line(&self, line: u64) -> Line {
        let hash = mix(self.seed, LINE, self.id * 4 + line);
        let (product, cents) = PRODUCTS[(hash & 7) as usize];
        Line { product, cents, quantity: 1 + (hash >> 3) % 5 }
    }

    /// The sum of its lines, in cents.
    pub(super) fn cents(&self) -> u64 {
        (1..=schedule::lines(self.item)).map(|line| self.line(line)).map(|l| l.cents * l.quantity).sum()
    }

    pub(super) fn note(&self, stage: Stage) -> Option<&'static str> {
        if stage == Stage::Cancelled {
            return Some(CANCELLED[(self.hash >> 40 & 1) as usize]);
        }
        (self.hash >> 32 & 3 == 0).then(|| NOTES[(self.hash >> 34 & 3) as usize])
    }
}

/// A line of an order.
pub(super) struct Line {
    pub(super) product: &'static str,
    /// Price of one piece.
    pub(super) cents: u64,
    pub(super) quantity: u64,
}

/// Appends a decimal with two places.
pub(super) fn decimal(cents: u64, out: &mut Vec<u8>) {
    number(cents / 100, out);
    out.extend_from_slice(&[b'.', b'0' + (cents / 10 % 10) as u8, b'0' + (cents % 10) as u8]);
}

fn number(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
