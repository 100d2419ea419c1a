//! Types the parsed file. A deserializer of its own, because it has to know more than a general one: where each value
//! stands, the known keys nearest to an unknown one, and that a value must never appear in an error.

use std::{cell::RefCell, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor},
    forward_to_deserialize_any,
};

use super::{
    document::{Node, Value, shown},
    problem::{MOST_PROBLEMS, Problem, and, list, nearest},
};

/// The key that selects among several kinds of a thing: `type: mysql`.
const TAG: &str = "type";

/// Types the whole tree. After a fault it goes on without the faulty value, so that one run tells all faults.
pub(super) fn read<T: for<'de> Deserialize<'de>>(mut root: Node) -> Result<T, Vec<Problem>> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    loop {
        let unknown = RefCell::new(Vec::new());
        let read = T::deserialize(Reader { node: &root, tagged: false, unknown: &unknown });
        for problem in unknown.into_inner() {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let fault = match read {
            Ok(value) if problems.is_empty() => return Ok(value),
            Ok(_) => return Err(problems),
            Err(fault) => fault,
        };
        let Some((path, line)) = fault.place.clone() else {
            problems.push(fault.into_problem());
            return Err(problems);
        };
        if let Some(field) = fault.missing {
            let full = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
            if !removed.contains(&full) {
                problems.push(Problem { path: path.clone(), line, what: fault.what, remedy: fault.remedy });
            }
        } else {
            problems.push(fault.into_problem());
        }
        // what cannot be left out ends the search
        if problems.len() > MOST_PROBLEMS || !root.remove(&path) {
            return Err(problems);
        }
        removed.push(path);
    }
}

/// Why a value does not fit. Made without the value itself.
#[derive(Debug)]
pub(super) struct Fault {
    place: Option<(String, u64)>,
    what: String,
    remedy: String,
    /// The key that is not there.
    missing: Option<&'static str>,
}

impl Fault {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { place: None, what: what.into(), remedy: remedy.into(), missing: None }
    }

    fn at(mut self, node: &Node) -> Self {
        self.place.get_or_insert_with(|| (node.path.clone(), node.line));
        self
    }

    fn into_problem(self) -> Problem {
        let (path, line) = self.place.unwrap_or_default();
        Problem { path, line, what: self.what, remedy: self.remedy }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "an empty value",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a mapping",
        _ => "something else",
    }
}

/// What serde calls an expected type, in the words of the manual.
fn words(expected: &dyn de::Expected) -> String {
    match expected.to_string().as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" => "a whole number, 0 or more".into(),
        "i32" | "i64" => "a whole number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" | "path string" => "text".into(),
        "a sequence" => "a list: lines that begin with `- `".into(),
        "a map" => "a mapping: lines of `key: value`".into(),
        other if other.starts_with("struct ") => "a mapping: lines of `key: value`".into(),
        other => other.into(),
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self::new(what.to_string(), "correct the value")
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = words(expected);
        if expected == "newtype variant" {
            // a word stands where the kind of a thing and its settings belong
            return Self::new("a single word does not belong here", format!("write a mapping: `{TAG}: …` and its settings"));
        }
        let quotes = if expected == "text" && matches!(kind(&found), "a number" | "a boolean") { ", in quotes" } else { "" };
        Self::new(format!("{} does not belong here", kind(&found)), format!("write {expected}{quotes}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new("the value is not usable", format!("write {}", words(expected)))
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        match nearest(found, known.iter().copied()) {
            Some(near) => Self::new("unknown choice", format!("did you mean `{near}`? There are {}", and(known.iter().copied()))),
            None => Self::new("unknown choice", format!("write {}", list(known.iter().copied()))),
        }
    }

    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        let (what, remedy) = unknown_key(found, known);
        Self::new(format!("{what} `{}`", shown(found)), remedy)
    }

    fn missing_field(field: &'static str) -> Self {
        Self { missing: Some(field), ..Self::new(format!("`{field}` is missing"), format!("add `{field}: …`")) }
    }
}

fn unknown_key(found: &str, known: &[&str]) -> (&'static str, String) {
    let remedy = match nearest(found, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("remove it; there are {}", and(known.iter().copied())),
    };
    ("unknown key", remedy)
}

/// Deserializes one node.
#[derive(Clone, Copy)]
struct Reader<'a> {
    node: &'a Node,
    /// Whether the mapping's [`TAG`] has been read already.
    tagged: bool,
    unknown: &'a RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    fn child(self, node: &'a Node) -> Self {
        Self { node, tagged: false, ..self }
    }

    fn fields(self, known: Option<&'static [&'static str]>) -> Fields<'a> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        Fields { reader: self, known, entries: entries.iter(), value: None }
    }

    /// A text that came from the environment, as the number or boolean that it spells.
    fn spelled(self) -> Option<serde_json::Value> {
        match &self.node.value {
            Value::Text(text) if self.node.substituted => {
                serde_json::from_str(text.trim()).ok().filter(|v: &serde_json::Value| v.is_number() || v.is_boolean())
            }
            _ => None,
        }
    }

    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.spelled() {
            Some(serde_json::Value::Bool(b)) => visitor.visit_bool(b),
            Some(serde_json::Value::Number(n)) => number(&n, visitor),
            _ => return self.deserialize_any(visitor),
        }
        .map_err(|e: Fault| e.at(self.node))
    }
}

fn number<'de, V: Visitor<'de>>(number: &serde_json::Number, visitor: V) -> Result<V::Value, Fault> {
    match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(n), _, _) => visitor.visit_u64(n),
        (_, Some(n), _) => visitor.visit_i64(n),
        (_, _, Some(n)) => visitor.visit_f64(n),
        _ => Err(Fault::custom("a number out of range")),
    }
}

macro_rules! scalars {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.scalar(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Fault;

    scalars! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => number(n, visitor),
            Value::Text(t) => visitor.visit_str(t),
            Value::List(items) => visitor.visit_seq(Items { reader: self, items: items.iter() }),
            Value::Map(_) => visitor.visit_map(self.fields(None)),
        }
        .map_err(|e: Fault| e.at(self.node))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(self, _: &'static str, known: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Map(_) => visitor.visit_map(self.fields(Some(known))).map_err(|e| e.at(self.node)),
            other => {
                Err(Fault::new(format!("{} does not belong here", other.kind()), "write a mapping: lines of `key: value`").at(self.node))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(self, _: &'static str, known: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Text(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            Value::Map(_) => match self.node.get(TAG) {
                Some(tag) => visitor.visit_enum(Tagged { reader: self, tag }),
                None => Err(Fault {
                    missing: Some(TAG),
                    ..Fault::new(format!("`{TAG}` is missing"), format!("add `{TAG}:` with {}", list(known.iter().copied())))
                }),
            },
            other => Err(Fault::new(format!("{} does not belong here", other.kind()), format!("write {}", list(known.iter().copied())))),
        }
        .map_err(|e: Fault| e.at(self.node))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

struct Items<'a> {
    reader: Reader<'a>,
    items: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        self.items.next().map(|node| seed.deserialize(self.reader.child(node)).map_err(|e| e.at(node))).transpose()
    }
}

struct Fields<'a> {
    reader: Reader<'a>,
    known: Option<&'static [&'static str]>,
    entries: std::slice::Iter<'a, (String, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        for (key, node) in self.entries.by_ref() {
            if self.reader.tagged && key == TAG {
                continue;
            }
            if let Some(known) = self.known.filter(|known| !known.contains(&key.as_str())) {
                let (what, remedy) = unknown_key(key, known);
                self.reader.unknown.borrow_mut().push(Problem { path: node.path.clone(), line: node.line, what: what.into(), remedy });
                continue;
            }
            self.value = Some(node);
            return seed.deserialize(key.as_str().into_deserializer()).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let node = self.value.take().ok_or_else(|| Fault::custom("a value was asked for before its key"))?;
        seed.deserialize(self.reader.child(node)).map_err(|e| e.at(node))
    }
}

/// A mapping whose [`TAG`] selects the variant; its other keys are the variant's.
struct Tagged<'a> {
    reader: Reader<'a>,
    tag: &'a Node,
}

impl<'de, 'a> EnumAccess<'de> for Tagged<'a> {
    type Error = Fault;
    type Variant = Reader<'a>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Reader<'a>), Fault> {
        let variant = seed.deserialize(self.reader.child(self.tag)).map_err(|e| e.at(self.tag))?;
        Ok((variant, Reader { tagged: true, ..self.reader }))
    }
}

impl<'de> VariantAccess<'de> for Reader<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        self.struct_variant(&[], de::IgnoredAny).map(|_| ())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, known: &'static [&'static str], visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_struct("", known, visitor)
    }
}
