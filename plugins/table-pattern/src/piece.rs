//! What the text of a pattern or name is made of, and how pieces match a text.

use std::{fmt, str::Chars};

/// How patterns are written: the remedy for a faulty one.
pub const HOW_TO_WRITE: &str = "write `database.table`, where `*` stands for any characters and `?` for one, e.g. `shop.*`, \
    with backticks around a name that holds a dot; `!` in front excludes";

/// Why a text is no pattern, or no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is nothing.
    Empty,
    /// A part is empty: `shop.`, `a..b`.
    EmptyPart,
    /// One part that is not `*`: the database is missing.
    NoDatabase,
    /// Space at an end, outside of backticks.
    Space,
    /// A backtick that is not closed.
    Backtick,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Empty => "it is empty",
            Fault::EmptyPart => "a part of it is empty",
            Fault::NoDatabase => "it does not say which database",
            Fault::Space => "there is space at its end or in front",
            Fault::Backtick => "a backtick in it is not closed",
        })
    }
}

impl std::error::Error for Fault {}

/// A part of a pattern's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    /// This character.
    One(char),
    /// `?`: any character.
    Any,
    /// `*`: any characters.
    Run,
    /// A dot outside of backticks. In a part, it is a dot like any other.
    Dot,
}

impl Piece {
    fn is(self, character: char) -> bool {
        match self {
            Piece::One(one) => one == character,
            Piece::Any => true,
            Piece::Run => false,
            Piece::Dot => character == '.',
        }
    }
}

/// Takes a text apart; no part of it is empty.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, Fault> {
    if text.is_empty() {
        return Err(Fault::Empty);
    }
    if text.trim() != text {
        return Err(Fault::Space);
    }
    let mut pieces = Vec::with_capacity(text.len());
    let (mut characters, mut quoted) = (text.chars().peekable(), false);
    while let Some(character) = characters.next() {
        let piece = match character {
            '`' if quoted && characters.next_if_eq(&'`').is_some() => Piece::One('`'),
            '`' => {
                quoted = !quoted;
                continue;
            }
            '.' if !quoted => Piece::Dot,
            '*' if !quoted => Piece::Run,
            '?' if !quoted => Piece::Any,
            character => Piece::One(character),
        };
        pieces.push(piece);
    }
    if quoted {
        return Err(Fault::Backtick);
    }
    match pieces.split(|piece| *piece == Piece::Dot).any(<[Piece]>::is_empty) {
        true => Err(Fault::EmptyPart),
        false => Ok(pieces),
    }
}

/// Whether the pieces match the whole text. A mismatch gives the last `*` one more character.
pub(crate) fn matches(pieces: &[Piece], text: &str) -> bool {
    let (mut rest, mut at) = (text.chars(), 0);
    let mut last_run: Option<(usize, Chars<'_>)> = None;
    loop {
        match pieces.get(at) {
            Some(Piece::Run) => {
                at += 1;
                last_run = Some((at, rest.clone()));
                continue;
            }
            Some(piece) => {
                let mut ahead = rest.clone();
                if ahead.next().is_some_and(|character| piece.is(character)) {
                    (rest, at) = (ahead, at + 1);
                    continue;
                }
            }
            None if rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((behind, from)) = &mut last_run else { return false };
        if from.next().is_none() {
            return false;
        }
        (rest, at) = (from.clone(), *behind);
    }
}
