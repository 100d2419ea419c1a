//! Templates of destinations: text with placeholders for parts of a change. One language for topics and for paths.

use std::{fmt, str::FromStr};

/// A placeholder's name in an error, at most: it may be something else between two braces.
const MOST_SHOWN: usize = 32;

/// A template: `{database}.{table}`. A brace that is text is doubled: `{{`, `}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// It stands for itself.
    Text(String),
    /// It stands for something of the change.
    Field(Field),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The table's database.
    Database,
    /// Its schema; nothing where the source has none.
    Schema,
    /// The table's own name.
    Table,
    /// What a plugin chose for the row or its table; `database.table` where none did.
    Destination,
    /// What happened to the row.
    Operation,
    /// The day, in UTC, on which the source executed the change.
    Date,
    /// The hour of that day.
    Hour,
}

impl Field {
    /// Every placeholder, by its name.
    pub const ALL: [(&str, Self); 7] = [
        ("database", Self::Database),
        ("schema", Self::Schema),
        ("table", Self::Table),
        ("destination", Self::Destination),
        ("operation", Self::Operation),
        ("date", Self::Date),
        ("hour", Self::Hour),
    ];

    /// Its name, as it stands between braces.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateFault {
    /// A placeholder that there is not; its name, if it can be one.
    Unknown(Option<String>),
    /// A brace without its other one.
    Brace,
    /// There is nothing in it.
    Empty,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(Some(name)) => write!(f, "there is no placeholder `{{{name}}}`"),
            Self::Unknown(None) => f.write_str("it has a placeholder that there is not"),
            Self::Brace => f.write_str("it has a brace without the other one"),
            Self::Empty => f.write_str("it is empty"),
        }
    }
}

impl FromStr for Template {
    type Err = TemplateFault;

    fn from_str(text: &str) -> Result<Self, TemplateFault> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let behind = &rest[at..];
            if let Some((brace, behind)) = doubled(behind) {
                plain.push(brace);
                rest = behind;
                continue;
            }
            let (name, behind) = behind.strip_prefix('{').and_then(|inside| inside.split_once('}')).ok_or(TemplateFault::Brace)?;
            let field = Field::ALL.iter().find(|(known, _)| *known == name).map(|(_, field)| *field);
            let field = field.ok_or_else(|| TemplateFault::Unknown(shown(name)))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Field(field));
            rest = behind;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        if parts.is_empty() { Err(TemplateFault::Empty) } else { Ok(Self { text: text.to_owned(), parts }) }
    }
}

/// The brace that a doubled one at the beginning stands for, and what is behind it.
fn doubled(text: &str) -> Option<(char, &str)> {
    ["{{", "}}"].into_iter().zip(['{', '}']).find_map(|(twice, brace)| text.strip_prefix(twice).map(|behind| (brace, behind)))
}

/// What may be told of a placeholder's name: the file may hold secrets.
fn shown(name: &str) -> Option<String> {
    let is_word = !name.is_empty() && name.len() <= MOST_SHOWN && name.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-'));
    is_word.then(|| name.to_owned())
}

impl Template {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its parts in order; no two texts follow each other.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether the placeholder occurs.
    pub fn has(&self, field: Field) -> bool {
        self.parts.contains(&Part::Field(field))
    }

    /// Whether it gives rows of one table different names, whatever plugins choose.
    pub fn varies(&self) -> bool {
        [Field::Operation, Field::Date, Field::Hour].into_iter().any(|field| self.has(field))
    }

    /// Whether it leaves the table out, so that tables are meant to come together.
    pub fn gathers(&self) -> bool {
        !self.has(Field::Table) && !self.has(Field::Destination)
    }

    /// A template of these parts.
    pub fn of(parts: impl IntoIterator<Item = Part>) -> Self {
        let parts: Vec<Part> = parts.into_iter().collect();
        let text = parts.iter().map(Part::to_string).collect();
        Self { text, parts }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Self::Field(field) => write!(f, "{{{}}}", field.name()),
        }
    }
}

/// What becomes of the letters of names in a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameCase {
    /// They stay.
    #[default]
    AsIs,
    /// Small ones.
    Lower,
    /// Capital ones.
    Upper,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<Vec<Part>, TemplateFault> {
        text.parse::<Template>().map(|template| template.parts().to_vec())
    }

    #[test]
    fn placeholders_are_known_ones_and_braces_that_are_text_are_doubled() {
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(
            parsed("cdc.{database}.{table}").unwrap(),
            [text("cdc."), Part::Field(Field::Database), text("."), Part::Field(Field::Table)]
        );
        assert_eq!(parsed("{{{table}}}").unwrap(), [text("{"), Part::Field(Field::Table), text("}")]);
        assert_eq!(parsed("a{{b}}").unwrap(), [text("a{b}")]);
        for (bad, fault) in [
            ("", "it is empty"),
            ("{tabel}", "there is no placeholder `{tabel}`"),
            ("{}", "it has a placeholder that there is not"),
            ("{hunter2 secret}", "it has a placeholder that there is not"),
            ("{table", "it has a brace without the other one"),
            ("table}", "it has a brace without the other one"),
            ("{{table}", "it has a brace without the other one"),
        ] {
            assert_eq!(parsed(bad).unwrap_err().to_string(), fault, "{bad}");
        }
    }

    #[test]
    fn a_template_tells_what_it_depends_on() {
        let of = |text: &str| {
            let template: Template = text.parse().unwrap();
            (template.varies(), template.gathers())
        };
        assert_eq!(of("{database}.{table}"), (false, false));
        assert_eq!(of("all"), (false, true));
        assert_eq!(of("{database}/{date}"), (true, true));
        assert_eq!(of("{destination}.{operation}"), (true, false));
    }

    proptest! {
        #[test]
        fn what_is_put_together_reads_back(parts in prop::collection::vec((any::<bool>(), 0usize..7, "[a{}é.]{1,3}"), 1..6)) {
            let mut list: Vec<Part> = Vec::new();
            for (is_field, index, text) in parts {
                // two texts would become one
                let field = is_field || matches!(list.last(), Some(Part::Text(_)));
                list.push(if field { Part::Field(Field::ALL[index].1) } else { Part::Text(text) });
            }
            let template = Template::of(list.clone());
            prop_assert_eq!(parsed(template.text()), Ok(list));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a{}é table]{0,20}") {
            let _ = text.parse::<Template>();
        }
    }
}
