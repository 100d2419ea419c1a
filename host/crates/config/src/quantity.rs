//! Sizes and times as people write them: `64MiB`, `500ms`.

use std::{borrow::Cow, fmt, time::Duration};

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, Unexpected, Visitor},
};
use sluicegate_model::limits::Memory;

/// A number of bytes: `64MiB`, `10MB`, or a plain number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub u64);

const UNITS: [(&str, u64); 10] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (digits, factor) =
            UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|d| (d.trim_end(), *factor))).unwrap_or((text, 1));
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        digits.parse::<u64>().ok()?.checked_mul(factor).map(Self)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS[..4].iter().rev().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as `64MiB`, `10MB` or a whole number of bytes")
            }
            fn visit_u64<E>(self, v: u64) -> Result<Size, E> {
                Ok(Size(v))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Size, E> {
                Size::parse(v).ok_or_else(|| E::invalid_value(Unexpected::Str(v), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes: `64MiB`, `10MB`, or a plain number",
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^\\d+ *([KMGT]iB|[kKMGT]?B)?$"}]
        })
    }
}

/// An amount of memory: a number of bytes, or a share such as `75%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount(pub Memory);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as `512MiB`, or a share of the memory such as `75%`")
            }
            fn visit_u64<E>(self, v: u64) -> Result<Amount, E> {
                Ok(Amount(Memory::Bytes(v)))
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Amount, E> {
                let share = v.trim().strip_suffix('%').map(str::trim_end).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
                let memory = match share {
                    Some(digits) => digits.parse().ok().map(Memory::Percent),
                    None => Size::parse(v).map(|size| Memory::Bytes(size.0)),
                };
                memory.map(Amount).ok_or_else(|| E::invalid_value(Unexpected::Str(v), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes: `512MiB`, `2GB`, or a plain number; or a share of the memory: `75%`",
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": "^\\d+ *([KMGT]iB|[kKMGT]?B|%)?$"}]
        })
    }
}

/// A time span: `500ms`, `30s`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time(pub Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SignedDuration::try_from(self.0) {
            Ok(d) => write!(f, "{d:#}"),
            Err(_) => write!(f, "{}s", self.0.as_secs()),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time with its unit, such as `500ms`, `30s` or `12h`")
            }
            fn visit_str<E: de::Error>(self, v: &str) -> Result<Time, E> {
                v.trim()
                    .parse::<SignedDuration>()
                    .ok()
                    .and_then(|d| Duration::try_from(d).ok())
                    .map(Time)
                    .ok_or_else(|| E::invalid_value(Unexpected::Str(v), &self))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A time with its unit: `500ms`, `30s`, `12h`, `1h 30m`",
            "type": "string",
            "pattern": "^\\s*\\d"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_is_a_size_or_a_share() {
        let read = |text: &str| Amount::deserialize(de::value::StrDeserializer::<de::value::Error>::new(text)).ok().map(|amount| amount.0);
        assert_eq!(read("75%"), Some(Memory::Percent(75)));
        assert_eq!(read(" 5 %"), Some(Memory::Percent(5)));
        assert_eq!(read("512MiB"), Some(Memory::Bytes(512 << 20)));
        for text in ["", "%", "-5%", "7.5%", "half"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown_with_their_units() {
        for (text, bytes) in [("64MiB", 64 << 20), ("10 MB", 10_000_000), ("4096", 4096), ("1GiB", 1 << 30), ("7B", 7), ("2kB", 2000)] {
            assert_eq!(Size::parse(text), Some(Size(bytes)), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "99999999TiB", "1 QiB", "+1"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        assert_eq!(Size(64 << 20).to_string(), "64MiB");
        assert_eq!(Size(1500).to_string(), "1500B");
        assert_eq!(Time(Duration::from_millis(500)).to_string(), "500ms");
        assert_eq!(Time(Duration::from_secs(12 * 3600)).to_string(), "12h");
    }
}
