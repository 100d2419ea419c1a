//! MySQL's tokens, and nothing of its grammar.

use std::any::TypeId;

use sqlparser::dialect::{Dialect, MySqlDialect};

/// The tokenizer's questions answered as [`MySqlDialect`] does. That type itself carries MySQL's statements with it, and
/// through them sqlparser's whole parser.
#[derive(Debug)]
pub struct MySqlTokens;

impl Dialect for MySqlTokens {
    fn dialect(&self) -> TypeId {
        TypeId::of::<MySqlDialect>()
    }

    fn is_identifier_start(&self, character: char) -> bool {
        MySqlDialect {}.is_identifier_start(character)
    }

    fn is_identifier_part(&self, character: char) -> bool {
        MySqlDialect {}.is_identifier_part(character)
    }

    fn is_delimited_identifier_start(&self, character: char) -> bool {
        MySqlDialect {}.is_delimited_identifier_start(character)
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }

    fn ignores_wildcard_escapes(&self) -> bool {
        true
    }

    fn supports_numeric_prefix(&self) -> bool {
        true
    }

    fn requires_single_line_comment_whitespace(&self) -> bool {
        MySqlDialect {}.requires_single_line_comment_whitespace()
    }

    fn supports_multiline_comment_hints(&self) -> bool {
        true
    }
}
