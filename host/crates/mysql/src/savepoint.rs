//! Savepoints of a transaction in the log: their statements and their names.
//!
//! Servers write these statements themselves, in one form, whatever the client wrote; only the quotes depend on the session
//! (`sql_mode = ANSI_QUOTES`, MariaDB's `sql_quote_show_create`). `RELEASE SAVEPOINT` is not logged: a savepoint that was released
//! cannot be named any more, so that nothing has to be known of it.

use std::{collections::HashMap, sync::Arc};

use icu_normalizer::DecomposingNormalizerBorrowed;
use sluicegate_model::limits::SAVEPOINTS;

/// A statement about a savepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SavepointStatement {
    /// `SAVEPOINT name`: one of the same name is moved here.
    Set(Name),
    /// `ROLLBACK TO name`: what came since is taken back, and the savepoints since are gone.
    RollBackTo(Name),
    /// `RELEASE SAVEPOINT name`, which only logs of old servers may have.
    Release,
}

/// A savepoint's name, in a form that is equal where the server takes two names for one.
///
/// It compares them by the collation `utf8_general_ci`: the first character of each character's decomposition, in upper case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(Arc<str>);

impl Name {
    fn new(name: &str) -> Self {
        let base = |c: char| match c {
            'ß' => 'S',
            c if c.is_ascii() => c.to_ascii_uppercase(),
            c => {
                let base = DecomposingNormalizerBorrowed::new_nfd().normalize_iter(std::iter::once(c)).next().unwrap_or(c);
                let mut upper = base.to_uppercase();
                // what becomes several characters stays what it is
                if upper.len() == 1 { upper.next().unwrap_or(base) } else { base }
            }
        };
        Self(name.chars().map(base).collect::<String>().into())
    }
}

/// The savepoints of a transaction, each with what is known of its place.
#[derive(Clone, Debug)]
pub struct Savepoints<T> {
    /// In the order in which they were set. One whose name was set again later is gone at the server, and still stands here: nothing
    /// can name it.
    set: Vec<(Name, T)>,
    /// The last one of each name.
    last: HashMap<Name, usize>,
}

/// There are more savepoints than are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl<T> Default for Savepoints<T> {
    fn default() -> Self {
        Self { set: Vec::new(), last: HashMap::new() }
    }
}

impl<T> Savepoints<T> {
    /// None.
    pub fn clear(&mut self) {
        self.set.clear();
        self.last.clear();
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// A savepoint is set.
    pub fn set(&mut self, name: Name, place: T) -> Result<(), TooMany> {
        if self.set.len() >= SAVEPOINTS {
            self.forget_unnameable();
            if self.set.len() >= SAVEPOINTS {
                return Err(TooMany);
            }
        }
        self.last.insert(name.clone(), self.set.len());
        self.set.push((name, place));
        Ok(())
    }

    /// Goes back to a savepoint: those that were set since are gone. `None` when it was not set.
    pub fn go_back(&mut self, name: &Name) -> Option<&mut T> {
        let at = *self.last.get(name)?;
        self.go_back_to(at)
    }

    /// Goes back to the first savepoint whose place answers so; `None` when none does.
    pub fn go_back_where(&mut self, answers: impl Fn(&T) -> bool) -> Option<&mut T> {
        let at = self.set.iter().position(|(_, place)| answers(place))?;
        self.go_back_to(at)
    }

    /// The places, to be changed.
    pub fn places(&mut self) -> impl Iterator<Item = &mut T> {
        self.set.iter_mut().map(|(_, place)| place)
    }

    fn go_back_to(&mut self, at: usize) -> Option<&mut T> {
        for (number, (name, _)) in self.set.drain(at + 1..).enumerate() {
            if self.last.get(&name) == Some(&(at + 1 + number)) {
                self.last.remove(&name);
            }
        }
        self.set.last_mut().map(|(_, place)| place)
    }

    fn forget_unnameable(&mut self) {
        let mut number = 0;
        let last = &self.last;
        self.set.retain(|(name, _)| {
            number += 1;
            last.get(name) == Some(&(number - 1))
        });
        self.last = self.set.iter().enumerate().map(|(number, (name, _))| (name.clone(), number)).collect();
    }
}

/// Reads the statement, if it is one about a savepoint.
pub fn parse(text: &str) -> Option<SavepointStatement> {
    let (first, rest) = word(text)?;
    if first.eq_ignore_ascii_case("SAVEPOINT") {
        return Some(SavepointStatement::Set(name(rest)?));
    }
    if first.eq_ignore_ascii_case("RELEASE") {
        return word(rest).filter(|(second, _)| second.eq_ignore_ascii_case("SAVEPOINT")).map(|_| SavepointStatement::Release);
    }
    if !first.eq_ignore_ascii_case("ROLLBACK") {
        return None;
    }
    let (mut second, mut rest) = word(rest)?;
    if second.eq_ignore_ascii_case("WORK") {
        (second, rest) = word(rest)?;
    }
    if !second.eq_ignore_ascii_case("TO") {
        return None;
    }
    // `ROLLBACK TO SAVEPOINT a`, or one whose name is that word
    if let Some((third, behind)) = word(rest)
        && third.eq_ignore_ascii_case("SAVEPOINT")
        && let Some(name) = name(behind)
    {
        return Some(SavepointStatement::RollBackTo(name));
    }
    Some(SavepointStatement::RollBackTo(name(rest)?))
}

/// The next word, and what comes behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// The name that stands at the beginning.
fn name(text: &str) -> Option<Name> {
    let text = text.trim();
    let quote = text.chars().next()?;
    if !matches!(quote, '`' | '"') {
        return Some(Name::new(text.split(char::is_whitespace).next()?));
    }
    let mut name = String::new();
    let mut rest = text[1..].chars();
    while let Some(c) = rest.next() {
        if c == quote && rest.next() != Some(quote) {
            return Some(Name::new(&name));
        }
        name.push(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(name: &str) -> Option<SavepointStatement> {
        Some(SavepointStatement::Set(Name::new(name)))
    }

    fn back(name: &str) -> Option<SavepointStatement> {
        Some(SavepointStatement::RollBackTo(Name::new(name)))
    }

    #[test]
    fn the_forms_that_servers_write_are_read() {
        assert_eq!(parse("SAVEPOINT `a`"), set("a"));
        assert_eq!(parse("SAVEPOINT `S a``b`"), set("s A`B"));
        assert_eq!(parse("SAVEPOINT \"an\"\"si\""), set("an\"si"));
        assert_eq!(parse("SAVEPOINT noq"), set("NOQ"));
        assert_eq!(parse("ROLLBACK TO `b`"), back("B"));
        assert_eq!(parse("ROLLBACK TO noq"), back("noq"));
        assert_eq!(parse("rollback work to savepoint `x`"), back("x"));
        assert_eq!(parse("ROLLBACK TO `savepoint`"), back("savepoint"));
        assert_eq!(parse("ROLLBACK TO savepoint"), back("savepoint"));
        assert_eq!(parse("RELEASE SAVEPOINT `x`"), Some(SavepointStatement::Release));
        for other in [
            "ROLLBACK",
            "BEGIN",
            "COMMIT",
            "",
            "SAVEPOINT",
            "SAVEPOINT `a",
            "ROLLBACK WORK",
            "XA END X'31',X'',1",
            "INSERT INTO a VALUES (1)",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_one_where_the_server_takes_them_for_one() {
        for (one, other) in [("é", "E"), ("É", "e\u{301}".trim_end_matches('\u{301}')), ("straße", "STRASE"), ("ς", "σ"), ("Ñ", "n")]
        {
            assert_eq!(Name::new(one), Name::new(other));
        }
        for (one, other) in [("ø", "o"), ("a", "b"), ("æ", "ae"), ("a", "aa")] {
            assert_ne!(Name::new(one), Name::new(other));
        }
    }

    #[test]
    fn savepoints_of_one_name_do_not_pile_up_and_too_many_names_are_told() {
        let mut savepoints = Savepoints::default();
        for number in 0..3 * SAVEPOINTS {
            savepoints.set(Name::new(&format!("s{}", number % 7)), number).unwrap();
        }
        assert!(savepoints.len() <= SAVEPOINTS);
        assert_eq!(savepoints.go_back(&Name::new("S1")), Some(&mut (3 * SAVEPOINTS - (3 * SAVEPOINTS - 2) % 7 - 1)));
        let mut savepoints = Savepoints::default();
        let set: Result<(), TooMany> = (0..=SAVEPOINTS).try_for_each(|number| savepoints.set(Name::new(&number.to_string()), number));
        assert_eq!(set, Err(TooMany));
    }

    proptest! {
        #[test]
        fn any_name_survives_its_quotes(name in ".{1,20}", ansi: bool) {
            let quote = if ansi { "\"" } else { "`" };
            let quoted = format!("{quote}{}{quote}", name.replace(quote, &quote.repeat(2)));
            prop_assert_eq!(parse(&format!("SAVEPOINT {quoted}")), set(&name));
            prop_assert_eq!(parse(&format!("ROLLBACK TO {quoted}")), back(&name));
        }

        #[test]
        fn any_text_is_read(text in ".{0,60}") {
            parse(&text);
            parse(&format!("ROLLBACK TO {text}"));
        }
    }
}
