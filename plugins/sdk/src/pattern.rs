//! Table patterns, and the nearest name for error texts.

use std::fmt;

use crate::{TableName, plan::display_name};

/// A pattern for tables: `database.table`, with a schema `database.schema.table`; `*` stands for any characters, `?` for
/// one. Case-sensitive, like the `tables` of the pipeline file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TablePattern(String);

impl TablePattern {
    /// A pattern from its text. An empty one, or one with an empty part (`shop.`), is an error.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.split('.').any(str::is_empty) {
            return Err(format!("`{text}` is no table pattern; write it as `database.table`, with `*` and `?` where needed"));
        }
        Ok(Self(text.to_string()))
    }

    /// Whether the pattern stands for this table.
    pub fn matches(&self, name: &TableName) -> bool {
        glob(self.0.as_bytes(), display_name(name).as_bytes())
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A selection of tables: one or more patterns, `!` in front excludes. Without any, every table is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablePatterns {
    include: Vec<TablePattern>,
    exclude: Vec<TablePattern>,
}

impl TablePatterns {
    /// A selection from patterns as written.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        let mut selection = Self::default();
        for pattern in patterns {
            match pattern.as_ref().strip_prefix('!') {
                Some(excluded) => selection.exclude.push(TablePattern::new(excluded)?),
                None => selection.include.push(TablePattern::new(pattern.as_ref())?),
            }
        }
        Ok(selection)
    }

    /// Whether the tables are named one by one, without wildcards.
    pub fn is_exact(&self) -> bool {
        !self.include.is_empty() && !self.include.iter().any(|pattern| pattern.0.contains(['*', '?']))
    }

    /// Whether the table is selected.
    pub fn selects(&self, name: &TableName) -> bool {
        (self.include.is_empty() || self.include.iter().any(|p| p.matches(name))) && !self.exclude.iter().any(|p| p.matches(name))
    }
}

impl fmt::Display for TablePatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.include.is_empty() {
            f.write_str("every table")?;
        }
        for (i, pattern) in self.include.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { ", " }, pattern.as_str())?;
        }
        self.exclude.iter().try_for_each(|pattern| write!(f, ", !{}", pattern.as_str()))
    }
}

/// One pattern or a list of them.
#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for TablePatterns {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Patterns;

        impl<'de> serde::de::Visitor<'de> for Patterns {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table pattern such as `shop.order_*`, or a list of them")
            }
            fn visit_str<E>(self, pattern: &str) -> Result<Self::Value, E> {
                Ok(vec![pattern.to_string()])
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                Ok(patterns)
            }
        }

        let patterns = deserializer.deserialize_any(Patterns)?;
        TablePatterns::new(&patterns).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "config")]
impl schemars::JsonSchema for TablePatterns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TablePatterns".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = schemars::json_schema!({ "type": "string", "minLength": 1 });
        schemars::json_schema!({
            "description": "Tables: `database.table` patterns with `*` and `?`; `!` in front excludes",
            "anyOf": [pattern, { "type": "array", "items": pattern }],
        })
    }
}

/// Linear apart from backtracking to the last `*`. `?` stands for one byte of ASCII or one whole UTF-8 character.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while let Some(&byte) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
                while text.get(t).is_some_and(|b| b & 0xc0 == 0x80) {
                    t += 1;
                }
            }
            Some(&c) if c == byte => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    p = after;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == b'*')
}

/// The name among `names` that `wanted` was probably meant to be, if one is near enough.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, database: &str, schema: Option<&str>, table: &str) -> bool {
        let name = TableName { database: database.into(), schema: schema.map(Into::into), table: table.into() };
        TablePattern::new(pattern).unwrap().matches(&name)
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
            ("shop.caf?", "shop", "café", true),
        ] {
            assert_eq!(matches(pattern, database, None, table), expected, "{pattern} on {database}.{table}");
        }
        assert!(matches("erp.dbo.*", "erp", Some("dbo"), "orders"));
    }

    #[test]
    fn an_unfinished_pattern_is_refused() {
        for text in ["", "shop.", ".orders", "a..b"] {
            assert!(TablePattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_nearest_name_is_only_named_when_it_is_near() {
        assert_eq!(nearest("emial", ["id", "email", "name"]), Some("email"));
        assert_eq!(nearest("Amount", ["id", "amount"]), Some("amount"));
        assert_eq!(nearest("zzzzz", ["id", "email"]), None);
    }
}
