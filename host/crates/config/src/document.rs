//! A YAML file as a tree that knows where each value stands, so that faults found much later can still be located.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;
use serde_saphyr::Spanned;

use super::problem::Problem;

/// A pipeline file of more bytes is refused unread.
pub const MOST_BYTES: u64 = 1 << 20;

/// A value and its place. Without `Debug` on purpose: texts may be secrets.
#[derive(Clone)]
pub(super) struct Node {
    /// Keys and indexes from the top, e.g. `sinks[0].topic`.
    pub path: String,
    /// Line of its key, or of itself in a list; from 1.
    pub line: u64,
    /// Whether (part of) it came from the environment: then text may also stand for a number or a boolean.
    pub substituted: bool,
    /// The value.
    pub value: Value,
}

/// A YAML value of the JSON kinds.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; keys differ.
    Map(Vec<(String, Node)>),
}

impl Value {
    /// The kind in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "an empty value",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// Parses YAML text. Anchors, aliases and merge keys work within bounds; a key that stands twice is a fault.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let options = serde_saphyr::options! {
            with_snippet: false,
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
        };
        match serde_saphyr::from_str_with_options::<Node>(text, options) {
            Ok(mut root) => {
                root.place(String::new());
                Ok(root)
            }
            Err(error) => Err(fault(error.without_snippet())),
        }
    }

    fn place(&mut self, path: String) {
        match &mut self.value {
            Value::List(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    item.place(format!("{path}[{i}]"));
                }
            }
            Value::Map(entries) => {
                for (key, node) in entries {
                    node.place(if path.is_empty() { shown(key) } else { format!("{path}.{}", shown(key)) });
                }
            }
            _ => {}
        }
        self.path = path;
    }

    /// The value under `key` of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k == key).map(|(_, n)| n),
            _ => None,
        }
    }

    /// The node at `path`.
    pub fn find(&self, path: &str) -> Option<&Node> {
        if self.path == path {
            return Some(self);
        }
        self.children().find_map(|n| n.find(path))
    }

    /// Takes the node at `path` out of the tree; the others keep their paths.
    pub fn remove(&mut self, path: &str) -> bool {
        match &mut self.value {
            Value::List(items) => match items.iter().position(|n| n.path == path) {
                Some(i) => {
                    items.remove(i);
                    true
                }
                None => items.iter_mut().any(|n| n.remove(path)),
            },
            Value::Map(entries) => match entries.iter().position(|(_, n)| n.path == path) {
                Some(i) => {
                    entries.remove(i);
                    true
                }
                None => entries.iter_mut().any(|(_, n)| n.remove(path)),
            },
            _ => false,
        }
    }

    /// The line of the innermost node that is there at or above `path`.
    pub fn line_of(&self, path: &str) -> u64 {
        let mut path = path;
        loop {
            if let Some(node) = self.find(path) {
                return node.line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 0,
            }
        }
    }

    fn children(&self) -> impl Iterator<Item = &Node> {
        let (items, entries) = match &self.value {
            Value::List(items) => (items.as_slice(), [].as_slice()),
            Value::Map(entries) => ([].as_slice(), entries.as_slice()),
            _ => ([].as_slice(), [].as_slice()),
        };
        items.iter().chain(entries.iter().map(|(_, n)| n))
    }
}

/// A key as it is shown in a path: printable and not too long.
pub(super) fn shown(key: &str) -> String {
    key.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A YAML fault in this program's words. The parser's texts speak of structure, not of values.
fn fault(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error as E;
    let problem = |what: String, remedy: &str| Problem {
        path: String::new(),
        line: error.location().map_or(0, |l| l.line()),
        what,
        remedy: remedy.into(),
    };
    match error {
        E::DuplicateMappingKey { key, .. } => problem(
            key.as_deref().map_or_else(|| "a key stands twice".into(), |k| format!("the key `{}` stands twice", shown(k))),
            "remove one of the two",
        ),
        E::MultipleDocuments { .. } => {
            problem("a second YAML document begins here".into(), "keep one pipeline in a file, and start a process for each")
        }
        E::Eof { .. } => problem("the file is empty".into(), "write a pipeline: `name`, `source` and `sinks` at least"),
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            // the place stands in front already
            let what = line.rfind(" at line ").map_or(line, |end| &line[..end]);
            problem(
                format!("this is not valid YAML: {what}"),
                "correct the YAML: blanks for indentation, `key: value`, lists with `- `, text with special characters in quotes",
            )
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { path: String::new(), line: spanned.referenced.line(), substituted: false, value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON has too")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, mut node)) = map.next_entry::<Spanned<String>, Node>()? {
            // the key's line is where people look, the value may begin further down
            node.line = key.referenced.line();
            entries.push((key.value, node));
        }
        Ok(Value::Map(entries))
    }
}
