//! The source's own type of a column, in its parts.

use std::{borrow::Cow, fmt, sync::Arc};

/// A column's type as its source declares it: `decimal(12,2)`, `varchar(20)`, `bigint unsigned`, `enum('a','b''c')`; empty for a
/// computed column. Copies share their parts.
///
/// The text ([`Display`](fmt::Display)) is what plugins see, in MySQL's notation without display widths. [`NativeType::parse`]
/// reads any text back, so that text and type are one to one, but for the character set, which is not in the text.
///
/// What a number in parentheses means follows from the name. Widths and zero fill of MySQL are left out: they say how a client
/// displays a value, and binlogs do not hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NativeType(Option<Arc<Parts>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Parts {
    /// Without parentheses and without `unsigned`; a text that could not be parsed, as a whole.
    name: Cow<'static, str>,
    parameters: Parameters,
    unsigned: bool,
    character_set: Option<Box<str>>,
}

/// What stands in parentheses behind the name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Parameters {
    None,
    /// A length, a precision or digits of a fraction, as the name says.
    Number(u32),
    /// Precision and scale.
    Numbers(u32, u32),
    /// SQL Server's `varchar(max)`.
    Max,
    Labels(Arc<[Box<str>]>),
}

/// Types whose number is a precision and whose scale is 0 where none is named.
const EXACT: [&str; 5] = ["decimal", "numeric", "dec", "fixed", "number"];
/// Types whose number is a precision; they have no scale of their own.
const APPROXIMATE: [&str; 3] = ["float", "double", "real"];
/// Types whose number is that of a fraction's digits.
const TEMPORAL: [&str; 5] = ["time", "datetime", "timestamp", "datetime2", "datetimeoffset"];
/// Types whose number is a display width.
const INTEGERS: [&str; 7] = ["tinyint", "smallint", "mediumint", "int", "integer", "bigint", "year"];

const UNSIGNED: &str = " unsigned";

impl NativeType {
    /// A type that is a name alone: `date`, `text`, `bigint`.
    pub fn named(name: &'static str) -> Self {
        Self::new(name, Parameters::None)
    }

    /// A type with one number: `varchar(20)`, `bit(8)`, `datetime(6)`.
    pub fn with_number(name: &'static str, number: u32) -> Self {
        Self::new(name, Parameters::Number(number))
    }

    /// A type with precision and scale: `decimal(12,2)`.
    pub fn with_precision(name: &'static str, precision: u32, scale: u32) -> Self {
        Self::new(name, Parameters::Numbers(precision, scale))
    }

    /// A type with labels: `enum('a','b')`, `set('a','b')`.
    pub fn with_labels(name: &'static str, labels: Arc<[Box<str>]>) -> Self {
        Self::new(name, Parameters::Labels(labels))
    }

    fn new(name: &'static str, parameters: Parameters) -> Self {
        Self(Some(Arc::new(Parts { name: name.into(), parameters, unsigned: false, character_set: None })))
    }

    /// The same, unsigned or not.
    pub fn unsigned(mut self, unsigned: bool) -> Self {
        if let Some(parts) = &mut self.0 {
            Arc::make_mut(parts).unsigned = unsigned;
        }
        self
    }

    /// The same, with text that the source stores in this character set.
    pub fn in_character_set(mut self, character_set: Option<&str>) -> Self {
        if let Some(parts) = &mut self.0 {
            Arc::make_mut(parts).character_set = character_set.map(Into::into);
        }
        self
    }

    /// Reads a type's text. One that is not in the notation of [`NativeType`] becomes the name as a whole, so that every text is
    /// given back as it was.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self::default();
        }
        let whole = || Parts { name: text.to_owned().into(), parameters: Parameters::None, unsigned: false, character_set: None };
        // a number with leading zeros, say, would be written otherwise
        let parts = parts(text).filter(|parts| parts.to_string() == text).unwrap_or_else(whole);
        Self(Some(Arc::new(parts)))
    }

    /// Whether there is none: the column is computed.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The name alone: `decimal`, `varchar`, `bigint`; empty for a computed column.
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("", |parts| &parts.name)
    }

    fn is_one_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name().eq_ignore_ascii_case(name))
    }

    fn parameters(&self) -> &Parameters {
        self.0.as_ref().map_or(&Parameters::None, |parts| &parts.parameters)
    }

    fn number(&self) -> Option<u32> {
        match self.parameters() {
            Parameters::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The most that a value takes, in what the type counts: characters of `varchar`, bytes of `varbinary`, bits of `bit`.
    pub fn length(&self) -> Option<u32> {
        let other = self.is_one_of(&EXACT) || self.is_one_of(&APPROXIMATE) || self.is_one_of(&TEMPORAL) || self.is_one_of(&INTEGERS);
        self.number().filter(|_| !other)
    }

    /// Whether the length is SQL Server's `max`: up to 2 GiB, which is no number that such a column declares.
    pub fn has_max_length(&self) -> bool {
        matches!(self.parameters(), Parameters::Max)
    }

    /// Digits of a number in all; of SQL Server's `float` bits.
    pub fn precision(&self) -> Option<u32> {
        match self.parameters() {
            Parameters::Numbers(precision, _) => Some(*precision),
            _ => self.number().filter(|_| self.is_one_of(&EXACT) || self.is_one_of(&APPROXIMATE)),
        }
    }

    /// Digits of a number behind the point.
    pub fn scale(&self) -> Option<u32> {
        match self.parameters() {
            Parameters::Numbers(_, scale) => Some(*scale),
            Parameters::Number(_) if self.is_one_of(&EXACT) => Some(0),
            _ => None,
        }
    }

    /// Digits of a second's fraction. Where the type names none, its source's default holds: none for MySQL and MariaDB.
    pub fn fraction_digits(&self) -> Option<u32> {
        self.number().filter(|_| self.is_one_of(&TEMPORAL))
    }

    /// Whether it holds no negative numbers.
    pub fn is_unsigned(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.unsigned)
    }

    /// The source's name of the character set that it stores the text in (values are UTF-8 here in any case); not known of a type
    /// that was parsed.
    pub fn character_set(&self) -> Option<&str> {
        self.0.as_ref().and_then(|parts| parts.character_set.as_deref())
    }

    /// Labels of `enum` and `set`, in the order of their numbers.
    pub fn labels(&self) -> Option<&Arc<[Box<str>]>> {
        match self.parameters() {
            Parameters::Labels(labels) => Some(labels),
            _ => None,
        }
    }
}

impl fmt::Display for NativeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |parts| parts.fmt(f))
    }
}

impl serde::Serialize for NativeType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.parameters {
            Parameters::None => {}
            Parameters::Number(number) => write!(f, "({number})")?,
            Parameters::Numbers(precision, scale) => write!(f, "({precision},{scale})")?,
            Parameters::Max => f.write_str("(max)")?,
            Parameters::Labels(labels) => {
                f.write_str("(")?;
                for (i, label) in labels.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}'{}'", label.replace('\'', "''"))?;
                }
                f.write_str(")")?;
            }
        }
        if self.unsigned { f.write_str(UNSIGNED) } else { Ok(()) }
    }
}

fn parts(text: &str) -> Option<Parts> {
    let (text, unsigned) = text.strip_suffix(UNSIGNED).map_or((text, false), |rest| (rest, true));
    let (name, parameters) = match text.split_once('(') {
        Some((name, rest)) => (name, parameters(rest.strip_suffix(')')?)?),
        None => (text, Parameters::None),
    };
    (!name.is_empty()).then(|| Parts { name: name.to_owned().into(), parameters, unsigned, character_set: None })
}

fn parameters(text: &str) -> Option<Parameters> {
    if text == "max" {
        return Some(Parameters::Max);
    }
    if text.is_empty() || text.starts_with('\'') {
        return labels(text).map(Parameters::Labels);
    }
    Some(match text.split_once(',') {
        Some((precision, scale)) => Parameters::Numbers(precision.parse().ok()?, scale.parse().ok()?),
        None => Parameters::Number(text.parse().ok()?),
    })
}

/// Labels in quotes with commas between; a quote inside a label is doubled.
fn labels(text: &str) -> Option<Arc<[Box<str>]>> {
    let mut labels: Vec<Box<str>> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = if labels.is_empty() { rest } else { rest.strip_prefix(',')? };
        rest = rest.strip_prefix('\'')?;
        let mut label = String::new();
        loop {
            let (part, behind) = rest.split_once('\'')?;
            label.push_str(part);
            rest = behind;
            match behind.strip_prefix('\'') {
                Some(behind) => {
                    label.push('\'');
                    rest = behind;
                }
                None => break,
            }
        }
        labels.push(label.into());
    }
    Some(labels.into())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn any_type() -> impl Strategy<Value = NativeType> {
        let names = [EXACT.as_slice(), &APPROXIMATE, &TEMPORAL, &INTEGERS, &["varchar", "bit", "enum", "set", "json", "geometry"]].concat();
        let name = prop::sample::select(names);
        let parameters = prop_oneof![
            Just(Parameters::None),
            Just(Parameters::Max),
            any::<u32>().prop_map(Parameters::Number),
            any::<(u32, u32)>().prop_map(|(precision, scale)| Parameters::Numbers(precision, scale)),
            vec("[a',(\\\\ )é\n]{0,4}", 0..5).prop_map(|labels| Parameters::Labels(labels.into_iter().map(Into::into).collect())),
        ];
        (name, parameters, any::<bool>()).prop_map(|(name, parameters, unsigned)| NativeType::new(name, parameters).unsigned(unsigned))
    }

    /// Texts that are nearly types.
    fn any_text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "decimal",
            "varchar",
            "int",
            "(",
            ")",
            ",",
            "'",
            "''",
            " ",
            " unsigned",
            "max",
            "0",
            "12",
            "4294967296",
            "+1",
            "é",
            "\\",
        ]);
        prop_oneof![any::<String>(), vec(piece, 0..8).prop_map(|pieces| pieces.concat())]
    }

    proptest! {
        #[test]
        fn a_type_reads_back_from_its_text(native in any_type()) {
            prop_assert_eq!(NativeType::parse(&native.to_string()), native);
        }

        #[test]
        fn every_text_is_kept(text in any_text()) {
            prop_assert_eq!(NativeType::parse(&text).to_string(), text);
        }
    }

    #[test]
    fn the_parts_are_those_of_the_text() {
        let parts = |text: &str| {
            let native = NativeType::parse(text);
            let numbers = [native.length(), native.precision(), native.scale(), native.fraction_digits()];
            (native.name().to_owned(), numbers, native.is_unsigned())
        };
        for (text, name, numbers, unsigned) in [
            ("bigint unsigned", "bigint", [None; 4], true),
            ("varchar(20)", "varchar", [Some(20), None, None, None], false),
            ("bit(8)", "bit", [Some(8), None, None, None], false),
            ("decimal(12,2)", "decimal", [None, Some(12), Some(2), None], false),
            ("decimal(65,30) unsigned", "decimal", [None, Some(65), Some(30), None], true),
            ("DECIMAL(12)", "DECIMAL", [None, Some(12), Some(0), None], false),
            ("float(53)", "float", [None, Some(53), None, None], false),
            ("datetime(6)", "datetime", [None, None, None, Some(6)], false),
            ("datetimeoffset(7)", "datetimeoffset", [None, None, None, Some(7)], false),
            ("time", "time", [None; 4], false),
            ("int(11)", "int", [None; 4], false),
            // nothing of it is lost
            ("decimal(12, 2)", "decimal(12, 2)", [None; 4], false),
            ("decimal(012,2)", "decimal(012,2)", [None; 4], false),
            ("varchar(20", "varchar(20", [None; 4], false),
            ("enum('a)", "enum('a)", [None; 4], false),
            ("(3)", "(3)", [None; 4], false),
            ("", "", [None; 4], false),
        ] {
            assert_eq!(parts(text), (name.to_owned(), numbers, unsigned), "{text}");
        }
        assert!(NativeType::parse("").is_empty() && NativeType::parse("varbinary(max)").has_max_length());
    }

    #[test]
    fn labels_keep_their_quotes_and_commas() {
        let native = NativeType::parse("enum('a','b''c',',','')");
        assert_eq!(native.labels().map(|labels| labels.to_vec()), Some(["a", "b'c", ",", ""].map(Into::into).to_vec()));
        assert_eq!(NativeType::parse("enum()"), NativeType::with_labels("enum", Arc::default()));
    }

    #[test]
    fn the_character_set_is_part_of_the_type_and_not_of_its_text() {
        let plain = NativeType::with_number("varchar", 20);
        let latin = plain.clone().in_character_set(Some("latin1"));
        assert_eq!((latin.character_set(), plain.character_set()), (Some("latin1"), None));
        assert_eq!(latin.to_string(), plain.to_string());
        assert_ne!(latin, plain);
    }
}
