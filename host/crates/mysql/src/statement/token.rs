//! Tokens of a statement as servers log it: comments are passed over, and what stands in executable comments is part of the
//! statement.
//!
//! The version in an executable comment needs no look: a server that does not run the text inside replaces the `!` with a blank
//! before it logs the statement (MySQL and MariaDB, also for prepared statements and in procedures), so that no replica runs it.
//! Where a `!` still stands, the text was run. Only `/*M!` is a plain comment to MySQL, which leaves it as it is.

use std::borrow::Cow;

use sluicegate_model::change::TableName;

use super::super::position::Flavour;

/// How the server reads quotes.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    /// Whose statement it is.
    pub flavour: Flavour,
    /// `"…"` is a name (`sql_mode` ANSI_QUOTES).
    pub ansi_quotes: bool,
    /// `[…]` is a name (MariaDB's `sql_mode` MSSQL).
    pub brackets: bool,
    /// A backslash in a string is a backslash (`sql_mode` NO_BACKSLASH_ESCAPES).
    pub no_backslash_escapes: bool,
    /// The server stores names in lower case (`lower_case_table_names` = 1).
    pub lower_case_names: bool,
}

impl Syntax {
    /// As a server reads by default.
    pub fn of(flavour: Flavour) -> Self {
        Self { flavour, ansi_quotes: false, brackets: false, no_backslash_escapes: false, lower_case_names: false }
    }
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A keyword, a name without quotes, or a number.
    Word(&'a str),
    /// What stands between backticks, brackets or double quotes. The last of them is a string where the syntax does not have it as a name; where
    /// the grammar has a name, it can only be one.
    Quoted(Cow<'a, str>),
    /// A string in single quotes.
    Text,
    /// Any other character.
    Sign(char),
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Self::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    /// Whether it may be this name.
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::Word(word) => word.eq_ignore_ascii_case(name),
            Self::Quoted(quoted) => quoted.eq_ignore_ascii_case(name),
            Self::Text | Self::Sign(_) => false,
        }
    }
}

/// The rest of a statement. A copy looks ahead.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    rest: &'a str,
    syntax: Syntax,
    /// Inside an executable comment, which the next `*/` ends.
    executable: bool,
}

impl<'a> Tokens<'a> {
    /// Of a whole statement.
    pub fn new(text: &'a str, syntax: Syntax) -> Self {
        Self { rest: text, syntax, executable: false }
    }

    /// The next token, without taking it.
    pub fn peek(&self) -> Option<Token<'a>> {
        let mut ahead = *self;
        ahead.next()
    }

    /// Takes the keyword if it comes next.
    pub fn word(&mut self, keyword: &str) -> bool {
        let mut ahead = *self;
        let is = ahead.next().is_some_and(|token| token.is(keyword));
        if is {
            *self = ahead;
        }
        is
    }

    /// Takes the keywords if they come next, in this order; otherwise none of them.
    pub fn words(&mut self, keywords: &[&str]) -> bool {
        let mut ahead = *self;
        let are = keywords.iter().all(|keyword| ahead.word(keyword));
        if are {
            *self = ahead;
        }
        are
    }

    /// Takes any of the keywords, as long as one comes next.
    pub fn any_words(&mut self, keywords: &[&str]) {
        while keywords.iter().any(|keyword| self.word(keyword)) {}
    }

    /// Takes the sign if it comes next.
    pub fn sign(&mut self, sign: char) -> bool {
        let mut ahead = *self;
        let is = ahead.next() == Some(Token::Sign(sign));
        if is {
            *self = ahead;
        }
        is
    }

    /// Takes a string, as the server reads it. One with characters that could not be read is none.
    pub fn text(&mut self) -> Option<String> {
        let mut ahead = *self;
        Self::skip(&mut ahead);
        let before = ahead.rest;
        let quote = before.chars().next().filter(|c| *c == '\'' || (*c == '"' && !self.syntax.ansi_quotes))?;
        ahead.next();
        // without the quotes; a string that does not end has no closing one
        let length = before.len().checked_sub(ahead.rest.len()).filter(|length| *length >= 2)?;
        let inner = before.get(1..length - 1).filter(|_| before[..length].ends_with(quote))?;
        *self = ahead;
        (!inner.contains(char::REPLACEMENT_CHARACTER)).then(|| self.unescaped(inner, quote))
    }

    fn unescaped(&self, inner: &str, quote: char) -> String {
        let mut text = String::with_capacity(inner.len());
        let mut characters = inner.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' if !self.syntax.no_backslash_escapes => match characters.next() {
                    Some('0') => text.push('\0'),
                    Some('b') => text.push('\u{8}'),
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some('t') => text.push('\t'),
                    Some('Z') => text.push('\u{1a}'),
                    Some(kept @ ('%' | '_')) => text.extend(['\\', kept]),
                    other => text.extend(other),
                },
                // the second of a doubled quote
                doubled if doubled == quote => text.extend(characters.next()),
                other => text.push(other),
            }
        }
        text
    }

    /// Takes a string whose bytes are written in hexadecimal or binary digits: `x'61'`, `0x61`, `b'01100001'`, `0b01100001`.
    pub fn coded(&mut self) -> Option<Vec<u8>> {
        let mut ahead = *self;
        Self::skip(&mut ahead);
        let before = ahead.rest;
        let Some(Token::Word(word)) = ahead.next() else { return None };
        let (bits, digits) = match word {
            "x" | "X" | "b" | "B" => {
                let quoted = before.get(1..)?.strip_prefix('\'')?;
                ahead.next();
                (if word.eq_ignore_ascii_case("x") { 4 } else { 1 }, quoted.split_once('\'')?.0)
            }
            word => match word.strip_prefix("0x") {
                Some(digits) => (4, digits),
                None => (1, word.strip_prefix("0b")?),
            },
        };
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = Vec::new();
        let whole = 8 / bits;
        // what is missing in the first byte is zeros
        let first = digits.len().checked_sub(1).map_or(0, |before| before % whole + 1);
        let mut rest = digits.get(first..)?;
        let mut next = digits.get(..first)?;
        while !next.is_empty() {
            bytes.push(u8::from_str_radix(next, 1 << bits).ok()?);
            (next, rest) = rest.split_at_checked(whole.min(rest.len()))?;
        }
        *self = ahead;
        Some(bytes)
    }

    /// Passes over what stands up to the closing parenthesis, behind the opening one; whether there is one.
    pub fn close(&mut self) -> bool {
        let mut depth = 1_u32;
        for token in self.by_ref() {
            match token {
                Token::Sign('(') => depth += 1,
                Token::Sign(')') if depth == 1 => return true,
                Token::Sign(')') => depth -= 1,
                _ => {}
            }
        }
        false
    }

    /// Takes a name. One with characters that could not be read is none.
    pub fn name(&mut self) -> Option<String> {
        let mut ahead = *self;
        let name = match ahead.next()? {
            Token::Word(word) => word.to_owned(),
            Token::Quoted(name) => name.into_owned(),
            Token::Text | Token::Sign(_) => return None,
        };
        *self = ahead;
        (!name.contains(char::REPLACEMENT_CHARACTER)).then_some(name)
    }

    /// Takes a table's name; `database` is the session's default.
    pub fn table(&mut self, database: &str) -> Option<TableName> {
        // `.t` is `t`, for ODBC
        let dotted = self.sign('.');
        let first = self.stored_name()?;
        if !dotted && self.sign('.') {
            return Some(TableName::new(first, self.stored_name()?));
        }
        (!database.is_empty()).then(|| TableName::new(database, first))
    }

    /// Takes the name of a database or table, as the server stores it.
    pub fn stored_name(&mut self) -> Option<String> {
        let lower = self.syntax.lower_case_names;
        self.name().map(|name| if lower { name.to_lowercase() } else { name })
    }

    /// Passes over white space and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}' || c == '\0');
            if self.executable && self.rest.starts_with("*/") {
                self.executable = false;
                self.rest = &self.rest[2..];
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let run = match self.syntax.flavour {
                    Flavour::MySql => comment.strip_prefix('!'),
                    Flavour::MariaDb => comment.strip_prefix('!').or_else(|| comment.strip_prefix("M!")),
                };
                match run {
                    Some(run) if !self.executable => {
                        self.executable = true;
                        self.rest = after_version(run);
                    }
                    _ => self.rest = comment.split_once("*/").map_or("", |(_, rest)| rest),
                }
            } else if self.rest.starts_with('#') || starts_dashes(self.rest) {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else {
                return;
            }
        }
    }

    /// Takes what stands up to the closing quote; a doubled quote is one of them.
    fn quoted(&mut self, quote: char, escapes: bool) -> Cow<'a, str> {
        let text = self.rest;
        let mut doubled = false;
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            if byte == b'\\' && escapes {
                bytes.next();
            } else if byte == quote as u8 {
                if bytes.next_if(|(_, next)| *next == byte).is_some() {
                    doubled = true;
                    continue;
                }
                self.rest = text.get(at + 1..).unwrap_or_default();
                let inner = text.get(..at).unwrap_or_default();
                return if doubled { inner.replace(&format!("{quote}{quote}"), &quote.to_string()).into() } else { inner.into() };
            }
        }
        self.rest = "";
        text.into()
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip();
        let first = self.rest.chars().next()?;
        if is_word(first) {
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(Token::Word(word));
        }
        self.rest = &self.rest[first.len_utf8()..];
        let escapes = !self.syntax.no_backslash_escapes;
        Some(match first {
            '`' => Token::Quoted(self.quoted('`', false)),
            '[' if self.syntax.brackets => Token::Quoted(self.quoted(']', false)),
            '"' => Token::Quoted(self.quoted('"', escapes && !self.syntax.ansi_quotes)),
            '\'' => {
                self.quoted('\'', escapes);
                Token::Text
            }
            sign => Token::Sign(sign),
        })
    }
}

/// What stands behind the version of an executable comment: five digits, or six.
fn after_version(text: &str) -> &str {
    let digits = text.bytes().take(6).take_while(u8::is_ascii_digit).count();
    if digits >= 5 { &text[digits..] } else { text }
}

/// Whether a comment to the end of the line begins: behind the dashes, a blank or a control character has to stand.
fn starts_dashes(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|rest| rest.chars().next().is_none_or(|c| c.is_ascii_whitespace() || c.is_ascii_control()))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        Tokens::new(text, Syntax::of(Flavour::MariaDb)).collect()
    }

    fn names(text: &str) -> Vec<String> {
        tokens(text)
            .into_iter()
            .map(|token| match token {
                Token::Word(word) => word.to_owned(),
                Token::Quoted(name) => format!("`{name}`"),
                Token::Text => "''".to_owned(),
                Token::Sign(sign) => sign.to_string(),
            })
            .collect()
    }

    #[test]
    fn comments_of_every_kind_are_passed_over() {
        assert_eq!(names("/* a */ALTER -- b\n TABLE # c\n t--\n;"), ["ALTER", "TABLE", "t", ";"]);
        assert_eq!(names("a /*+ hint */ b --c"), ["a", "b", "-", "-", "c"]);
        assert_eq!(names("a /* not closed"), ["a"]);
        assert_eq!(names("/**/ a"), ["a"]);
    }

    #[test]
    fn the_text_in_executable_comments_belongs_to_the_statement() {
        assert_eq!(names("/*!80000 ALTER /* x */ TABLE t */ b"), ["ALTER", "TABLE", "t", "b"]);
        assert_eq!(names("/*!ALTER*/ /*!50003TABLE*//*M!100100 t*/"), ["ALTER", "TABLE", "t"]);
        assert_eq!(names("/*!100100a*/ /*!1234 b*/"), ["a", "1234", "b"]);
        let mysql = Tokens::new("a /*M!100100 b */ c", Syntax::of(Flavour::MySql));
        assert_eq!(mysql.collect::<Vec<_>>(), [Token::Word("a"), Token::Word("c")]);
    }

    #[test]
    fn quotes_are_read_as_the_session_reads_them() {
        assert_eq!(names(r"`a``b`.`c d` 'it''s \' */' x"), ["`a`b`", ".", "`c d`", "''", "x"]);
        assert_eq!(names(r#""a\"b" c"#), [r#"`a\"b`"#, "c"]);
        let ansi = Syntax { ansi_quotes: true, ..Syntax::of(Flavour::MySql) };
        assert_eq!(Tokens::new(r#""a\" "b""c""#, ansi).collect::<Vec<_>>(), [Token::Quoted(r"a\".into()), Token::Quoted("b\"c".into())]);
        let brackets = Syntax { brackets: true, ..Syntax::of(Flavour::MariaDb) };
        assert_eq!(
            Tokens::new("[a b]]c].[d]", brackets).collect::<Vec<_>>(),
            [Token::Quoted("a b]c".into()), Token::Sign('.'), Token::Quoted("d".into())]
        );
        let plain = Syntax { no_backslash_escapes: true, ..Syntax::of(Flavour::MySql) };
        assert_eq!(Tokens::new(r"'\' a", plain).collect::<Vec<_>>(), [Token::Text, Token::Word("a")]);
    }

    #[test]
    fn strings_in_digits_are_read() {
        let coded = |text: &str| Tokens::new(text, Syntax::of(Flavour::MySql)).coded();
        for text in ["x'6162'", "X'6162'", "/* x */ 0x6162", "b'110000101100010'", "B'0110000101100010'", "0b110000101100010"] {
            assert_eq!(coded(text).as_deref(), Some(&b"ab"[..]), "{text}");
        }
        assert_eq!(coded("x''"), Some(Vec::new()));
        assert_eq!(coded("0x6"), Some(vec![6]));
        for text in ["'a'", "x '61'", "y'61'", "0x6g", "x'é'", "b'2'", "n'a'", "_latin1'a'", "61", "x'+1'", "0x"] {
            assert!(coded(text).is_none_or(|bytes| bytes.is_empty()), "{text}");
        }
        let mut tokens = Tokens::new("x'61', 0x62)", Syntax::of(Flavour::MySql));
        assert!(tokens.coded().is_some() && tokens.sign(',') && tokens.coded().is_some() && tokens.sign(')'));
    }

    #[test]
    fn names_hold_anything() {
        let mut tokens = Tokens::new("`a.b` . `😀 x`, .t, größe, 1a.$b, `x\u{fffd}`", Syntax::of(Flavour::MySql));
        let mut next = || {
            let table = tokens.table("d");
            tokens.sign(',');
            table
        };
        assert_eq!(next(), Some(TableName::new("a.b", "😀 x")));
        assert_eq!(next(), Some(TableName::new("d", "t")));
        assert_eq!(next(), Some(TableName::new("d", "größe")));
        assert_eq!(next(), Some(TableName::new("1a", "$b")));
        assert_eq!(next(), None, "which character it is cannot be told");
    }

    proptest! {
        #[test]
        fn any_text_ends(text in ".{0,200}", flags: u8) {
            let flavour = if flags & 1 == 0 { Flavour::MySql } else { Flavour::MariaDb };
            let (ansi_quotes, no_backslash_escapes, brackets) = (flags & 2 != 0, flags & 4 != 0, flags & 8 != 0);
            let syntax = Syntax { flavour, ansi_quotes, brackets, no_backslash_escapes, lower_case_names: false };
            prop_assert!(Tokens::new(&text, syntax).count() <= text.len());
        }

        /// Comments between the tokens change nothing.
        #[test]
        fn comments_change_nothing(comments in prop::collection::vec(prop::sample::select(
            vec![" ", "/* ; */", "/*!50003 */", "/*M! */", "-- x\n", "#`\n", "\t", "/*+ y */"]), 5)) {
            let words = ["ALTER", "TABLE", "`a b`", "ADD", "x"];
            let text: String = words.iter().zip(&comments).map(|(word, comment)| format!("{comment} {word} ")).collect();
            prop_assert_eq!(names(&text), words);
        }

        /// A quoted name comes out as it is, whatever is in it.
        #[test]
        fn a_quoted_name_comes_out_as_it_is(name in "[^\u{fffd}]{1,20}") {
            let text = format!("`{}` x", name.replace('`', "``"));
            let mut tokens = Tokens::new(&text, Syntax::of(Flavour::MySql));
            prop_assert_eq!(tokens.name(), Some(name));
            prop_assert!(tokens.word("x"));
        }
    }
}
