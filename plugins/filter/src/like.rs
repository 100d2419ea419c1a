//! `LIKE` patterns: `%` stands for any characters, `_` for one. Case counts.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    One,
    Any,
}

/// A compiled pattern. The frequent shapes are compared as plain bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Like {
    /// No wildcard.
    Exact(Vec<u8>),
    /// `text%`.
    Prefix(Vec<u8>),
    /// `%text`.
    Suffix(Vec<u8>),
    /// `%text%`.
    Contains(Vec<u8>),
    /// Everything else.
    General(GeneralPattern),
}

/// A pattern with wildcards in other places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralPattern(Vec<Piece>);

impl Like {
    /// Compiles a pattern; an escape character at its end is an error.
    pub fn compile(pattern: &str, escape: Option<char>) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            let mut buffer = [0; 4];
            match character {
                c if Some(c) == escape => {
                    let escaped = characters.next().ok_or("the LIKE pattern ends with its escape character; double it")?;
                    pieces.extend(escaped.encode_utf8(&mut buffer).bytes().map(Piece::Byte));
                }
                '%' if pieces.last() == Some(&Piece::Any) => {}
                '%' => pieces.push(Piece::Any),
                '_' => pieces.push(Piece::One),
                c => pieces.extend(c.encode_utf8(&mut buffer).bytes().map(Piece::Byte)),
            }
        }
        let plain = |pieces: &[Piece]| {
            pieces.iter().map(|piece| if let Piece::Byte(byte) = piece { Some(*byte) } else { None }).collect::<Option<Vec<u8>>>()
        };
        let shaped = match pieces.as_slice() {
            [Piece::Any, middle @ .., Piece::Any] => plain(middle).map(Like::Contains),
            [Piece::Any, rest @ ..] => plain(rest).map(Like::Suffix),
            [rest @ .., Piece::Any] => plain(rest).map(Like::Prefix),
            all => plain(all).map(Like::Exact),
        };
        Ok(shaped.unwrap_or(Like::General(GeneralPattern(pieces))))
    }

    /// Whether the UTF-8 text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        match self {
            Like::Exact(exact) => text == exact,
            Like::Prefix(prefix) => text.starts_with(prefix),
            Like::Suffix(suffix) => text.ends_with(suffix),
            Like::Contains(part) => part.is_empty() || text.windows(part.len()).any(|window| window == part),
            Like::General(pattern) => pattern.matches(text),
        }
    }
}

impl GeneralPattern {
    /// Linear apart from backtracking to the last `%`.
    fn matches(&self, text: &[u8]) -> bool {
        let character = |at: usize| match text.get(at) {
            Some(0xf0..) => 4,
            Some(0xe0..) => 3,
            Some(0xc0..) => 2,
            _ => 1,
        };
        let (mut p, mut t, mut back) = (0, 0, None);
        while let Some(&byte) = text.get(t) {
            match self.0.get(p) {
                Some(Piece::Any) => {
                    p += 1;
                    back = Some((p, t));
                }
                Some(Piece::One) => {
                    p += 1;
                    t += character(t);
                }
                Some(Piece::Byte(want)) if *want == byte => {
                    p += 1;
                    t += 1;
                }
                _ => match back {
                    Some((after, from)) => {
                        t = from + character(from);
                        p = after;
                        back = Some((after, t));
                    }
                    None => return false,
                },
            }
        }
        self.0.iter().skip(p).all(|piece| *piece == Piece::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['%', rest @ ..], _) => naive(rest, text) || (!text.is_empty() && naive(pattern, &text[1..])),
            (['_', rest @ ..], [_, after @ ..]) => naive(rest, after),
            ([c, rest @ ..], [d, after @ ..]) => c == d && naive(rest, after),
            _ => false,
        }
    }

    #[test]
    fn escaped_wildcards_are_characters() {
        let like = |pattern, escape| Like::compile(pattern, escape).unwrap();
        assert!(like(r"100\%", Some('\\')).matches(b"100%"));
        assert!(!like(r"100\%", Some('\\')).matches(b"1000"));
        assert!(like("a|_b%", Some('|')).matches(b"a_bc"));
        assert!(like(r"a\b", None).matches(br"a\b"));
        assert!(Like::compile("abc|", Some('|')).is_err());
    }

    proptest! {
        #[test]
        fn a_pattern_matches_like_the_naive_matcher(pattern in "[ab%_é]{0,8}", text in "[abé]{0,10}") {
            let compiled = Like::compile(&pattern, None).unwrap();
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(compiled.matches(text.as_bytes()), naive(&p, &t));
        }
    }
}
