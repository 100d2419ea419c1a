//! Names of tables.

use std::fmt;

use crate::piece::{Fault, Piece, pieces};

/// A table's name in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name<'a> {
    /// The database.
    pub database: &'a str,
    /// The schema, where the source has such a thing.
    pub schema: Option<&'a str>,
    /// The table.
    pub table: &'a str,
}

impl fmt::Display for Name<'_> {
    /// As a pattern or [`name_parts`] takes it: a part that would not be read back stands in backticks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        part(self.database, f)?;
        if let Some(schema) = self.schema {
            f.write_str(".")?;
            part(schema, f)?;
        }
        f.write_str(".")?;
        part(self.table, f)
    }
}

fn part(part: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let plain = !part.is_empty() && !part.starts_with('!') && part.trim() == part && !part.contains(['.', '`', '*', '?']);
    if plain { f.write_str(part) } else { write!(f, "`{}`", part.replace('`', "``")) }
}

/// The parts of a name: text between dots, with backticks around what holds a dot. Wildcards are characters like any other.
///
/// # Errors
/// When a part is empty or a backtick is not closed.
pub fn name_parts(text: &str) -> Result<Vec<String>, Fault> {
    let pieces = pieces(text)?;
    let parts = pieces.split(|piece| *piece == Piece::Dot);
    Ok(parts.map(|part| part.iter().map(|piece| piece.character()).collect()).collect())
}

impl Piece {
    /// As it is written.
    fn character(self) -> char {
        match self {
            Piece::One(one) => one,
            Piece::Any => '?',
            Piece::Run => '*',
            Piece::Dot => '.',
        }
    }
}
