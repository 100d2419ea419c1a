//! Several patterns.

use std::fmt;

use crate::{HOW_TO_WRITE, Name, TablePattern};

/// A selection of tables: one or more patterns, `!` in front excludes. Without any, every table is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablePatterns {
    include: Vec<TablePattern>,
    exclude: Vec<TablePattern>,
}

impl TablePatterns {
    /// A selection from patterns as written.
    ///
    /// # Errors
    /// The first pattern that is none, why, and how patterns are written.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, String> {
        let mut selection = Self::default();
        for pattern in patterns {
            let (list, text) = match pattern.as_ref().strip_prefix('!') {
                Some(excluded) => (&mut selection.exclude, excluded),
                None => (&mut selection.include, pattern.as_ref()),
            };
            list.push(TablePattern::new(text).map_err(|fault| format!("`{text}` is no table pattern: {fault}; {HOW_TO_WRITE}"))?);
        }
        Ok(selection)
    }

    /// One of these has to match; none = every table.
    pub fn include(&self) -> &[TablePattern] {
        &self.include
    }

    /// None of these may match.
    pub fn exclude(&self) -> &[TablePattern] {
        &self.exclude
    }

    /// Whether the tables are named one by one, without wildcards.
    pub fn is_exact(&self) -> bool {
        !self.include.is_empty() && self.include.iter().all(TablePattern::is_exact)
    }

    /// Whether the table is selected, and a pattern without wildcards is one of those that select it: it was meant, and not only
    /// met by a rule for many.
    pub fn names<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        let name = name.into();
        self.selects(name) && self.include.iter().any(|p| p.is_exact() && p.matches(name))
    }

    /// Whether the table is selected.
    pub fn selects<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        let name = name.into();
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
        Self::new(&patterns).map_err(serde::de::Error::custom)
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for TablePatterns {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TablePatterns".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let pattern = schemars::json_schema!({ "type": "string", "minLength": 1 });
        schemars::json_schema!({
            "description": "Tables: `database.table` patterns with `*` and `?`; backticks around a name that holds a dot; `!` in front excludes",
            "anyOf": [pattern, { "type": "array", "items": pattern }],
        })
    }
}
