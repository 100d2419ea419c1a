//! One pattern.

use crate::{
    Fault, Name,
    piece::{Piece, matches, pieces},
};

/// A pattern for tables: see the [crate].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TablePattern {
    text: String,
    pieces: Vec<Piece>,
    /// Where its dots are; none when it selects every table.
    dots: Vec<usize>,
}

impl TablePattern {
    /// A pattern from its text, without a `!`.
    ///
    /// # Errors
    /// When it is empty or has an empty part, when it is one part other than `*`, or when a backtick is not closed.
    pub fn new(text: &str) -> Result<Self, Fault> {
        let pieces = pieces(text)?;
        let dots: Vec<usize> = (0..).zip(&pieces).filter(|(_, piece)| **piece == Piece::Dot).map(|(at, _)| at).collect();
        if dots.is_empty() && pieces.iter().any(|piece| *piece != Piece::Run) {
            return Err(Fault::NoDatabase);
        }
        Ok(Self { text: text.to_owned(), pieces, dots })
    }

    /// Whether the pattern stands for this table.
    pub fn matches<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        let Name { database, schema, table } = name.into();
        let (first, last) = match (self.dots.first(), self.dots.last()) {
            (Some(first), Some(last)) => (*first, *last),
            _ => return true,
        };
        match schema {
            Some(_) if first == last => self.is(0, first, database) && self.is(first + 1, self.pieces.len(), table),
            Some(schema) => (1..self.dots.len()).any(|j| {
                let to = self.dots[j];
                let behind = self.is(to + 1, self.pieces.len(), table);
                behind && self.dots[..j].iter().any(|&from| self.is(0, from, database) && self.is(from + 1, to, schema))
            }),
            None => self.dots.iter().any(|&dot| self.is(0, dot, database) && self.is(dot + 1, self.pieces.len(), table)),
        }
    }

    /// Whether the pattern may stand for a table of this database.
    pub fn may_be_in(&self, database: &str) -> bool {
        self.dots.is_empty() || self.dots.iter().any(|&dot| self.is(0, dot, database))
    }

    /// Whether the pattern names this database, without wildcards.
    pub fn names_database(&self, database: &str) -> bool {
        let exact = |dot: usize| !self.pieces[..dot].iter().any(|piece| matches!(piece, Piece::Any | Piece::Run));
        self.dots.iter().any(|&dot| exact(dot) && self.is(0, dot, database))
    }

    /// Whether the pattern has no wildcards.
    pub fn is_exact(&self) -> bool {
        !self.pieces.iter().any(|piece| matches!(piece, Piece::Any | Piece::Run))
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn is(&self, from: usize, to: usize, text: &str) -> bool {
        self.pieces.get(from..to).is_some_and(|part| matches(part, text))
    }
}
