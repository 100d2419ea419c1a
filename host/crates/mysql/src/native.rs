//! The native types of columns: as they were logged, and as the server's catalogue writes them. Both give the same type, without
//! display widths, which the log does not hold.

use std::sync::Arc;

use super::{charset::Charset, column_type as ct, decoder::Special, plan::Description, table_map::ColumnMap};
use sluicegate_model::change::NativeType;

/// The type of a column that was logged.
pub fn logged(column: &ColumnMap, description: &Description) -> NativeType {
    let meta = u32::from(column.meta);
    let name = description.charset.as_deref().unwrap_or("binary");
    let charset = Charset::named(name);
    let binary = charset == Charset::Binary;
    let characters = meta / charset.bytes_a_character(name);
    let number = |name| NativeType::named(name).unsigned(description.unsigned);
    // the old types do not log their fraction's digits
    let digits = if let Some(Special::Fraction(digits)) = description.special { u32::from(digits) } else { meta };
    let fraction = |name| if digits == 0 { NativeType::named(name) } else { NativeType::with_number(name, digits) };
    let text = |native: NativeType| native.in_character_set(Some(name));
    match column.kind {
        ct::TINY => number("tinyint"),
        ct::SHORT => number("smallint"),
        ct::INT24 => number("mediumint"),
        ct::LONG => number("int"),
        ct::LONGLONG => number("bigint"),
        ct::FLOAT => number("float"),
        ct::DOUBLE => number("double"),
        ct::NEWDECIMAL => NativeType::with_precision("decimal", meta >> 8, meta & 255).unsigned(description.unsigned),
        ct::YEAR => NativeType::named("year"),
        ct::DATE | ct::NEWDATE => NativeType::named("date"),
        ct::TIME | ct::TIME2 => fraction("time"),
        ct::DATETIME | ct::DATETIME2 => fraction("datetime"),
        ct::TIMESTAMP | ct::TIMESTAMP2 => fraction("timestamp"),
        ct::BIT => NativeType::with_number("bit", meta),
        ct::ENUM => text(NativeType::with_labels("enum", description.labels.clone())),
        ct::SET => text(NativeType::with_labels("set", description.labels.clone())),
        ct::STRING => match description.special {
            Some(Special::Uuid) => NativeType::named("uuid"),
            Some(Special::Inet6) => NativeType::named("inet6"),
            Some(Special::Inet4) => NativeType::named("inet4"),
            _ if binary => NativeType::with_number("binary", meta),
            _ => text(NativeType::with_number("char", characters)),
        },
        ct::VARCHAR | ct::VAR_STRING if binary => NativeType::with_number("varbinary", meta),
        ct::VARCHAR | ct::VAR_STRING => text(NativeType::with_number("varchar", characters)),
        ct::TINY_BLOB..=ct::BLOB | ct::BLOB_COMPRESSED if binary => NativeType::named(match meta {
            1 => "tinyblob",
            3 => "mediumblob",
            4 => "longblob",
            _ => "blob",
        }),
        ct::TINY_BLOB..=ct::BLOB | ct::BLOB_COMPRESSED => text(NativeType::named(match meta {
            1 => "tinytext",
            3 => "mediumtext",
            4 => "longtext",
            _ => "text",
        })),
        ct::JSON => NativeType::named("json"),
        // the catalogue names the kinds of geometry apart, the log does not
        ct::GEOMETRY => NativeType::named("geometry"),
        ct::VECTOR => NativeType::named("vector"),
        // one byte says how a value is compressed
        ct::VARCHAR_COMPRESSED if binary => NativeType::with_number("varbinary", meta.saturating_sub(1)),
        ct::VARCHAR_COMPRESSED => text(NativeType::with_number("varchar", meta.saturating_sub(1) / charset.bytes_a_character(name))),
        _ => NativeType::default(),
    }
}

/// The type that the catalogue writes as `column_type`: `int(10) unsigned zerofill`, `enum('a','b')`, `datetime /* mariadb-5.3 */`.
pub fn of_catalogue(data_type: &str, column_type: &str, character_set: Option<&str>) -> NativeType {
    let native = match data_type {
        "enum" => NativeType::with_labels("enum", labels(column_type)),
        "set" => NativeType::with_labels("set", labels(column_type)),
        _ if is_geometry(data_type) => NativeType::named("geometry"),
        "vector" => NativeType::named("vector"),
        _ => {
            let mut words = column_type.split(' ');
            let declared = words.next().unwrap_or_default();
            let has_display_width =
                matches!(data_type, "tinyint" | "smallint" | "mediumint" | "int" | "bigint" | "year" | "float" | "double");
            NativeType::parse(if has_display_width { data_type } else { declared }).unsigned(words.any(|word| word == "unsigned"))
        }
    };
    native.in_character_set(character_set)
}

/// Whether the catalogue's name of a type is that of a geometry.
pub fn is_geometry(data_type: &str) -> bool {
    matches!(
        data_type,
        "geometry"
            | "point"
            | "linestring"
            | "polygon"
            | "multipoint"
            | "multilinestring"
            | "multipolygon"
            | "geomcollection"
            | "geometrycollection"
    )
}

/// Labels as the catalogue writes them.
pub fn list<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for label in labels {
        let label = label.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n").replace('\r', "\\r").replace('\0', "\\0");
        list.push_str(if list.is_empty() { "'" } else { ",'" });
        list.push_str(&label);
        list.push('\'');
    }
    list
}

/// The labels of `enum('a','b''c')`, as the server escapes them: quotes doubled, `\\`, `\n`, `\r` and `\0` with a backslash.
fn labels(column_type: &str) -> Arc<[Box<str>]> {
    let mut labels: Vec<Box<str>> = Vec::new();
    let mut characters = column_type.chars().peekable();
    while characters.by_ref().any(|c| c == '\'') {
        let mut label = String::new();
        loop {
            match characters.next() {
                Some('\'') if characters.peek() == Some(&'\'') => {
                    characters.next();
                    label.push('\'');
                }
                Some('\\') => label.push(match characters.next() {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('0') => '\0',
                    other => other.unwrap_or('\\'),
                }),
                Some('\'') => break,
                Some(character) => label.push(character),
                None => return labels.into(),
            }
        }
        labels.push(label.into());
    }
    labels.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_quotes_and_commas() {
        let labels = |text| labels(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(labels("enum('a','b''c',',','')"), ["a", "b'c", ",", ""]);
        assert_eq!(labels("set('x')"), ["x"]);
        assert_eq!(labels(r"enum('a\\b','c\nd')"), ["a\\b", "c\nd"]);
        assert!(labels("enum('broken").is_empty());
    }

    #[test]
    fn log_and_catalogue_give_the_same_type() {
        let described = |unsigned, charset: Option<&str>, labels: &[&str]| Description {
            name: "c".into(),
            unsigned,
            charset: charset.map(Into::into),
            labels: labels.iter().map(|label| (*label).into()).collect(),
            primary_key: false,
            special: None,
        };
        let uuid = Description { special: Some(Special::Uuid), ..described(false, Some("binary"), &[]) };
        let number = |unsigned| described(unsigned, None, &[]);
        let text = |charset| described(false, Some(charset), &[]);
        for (kind, meta, description, data_type, column_type, charset, expected) in [
            (ct::LONG, 0, number(false), "int", "int(11)", None, "int"),
            (ct::LONG, 0, number(true), "int", "int(10) unsigned zerofill", None, "int unsigned"),
            (ct::LONGLONG, 0, number(true), "bigint", "bigint unsigned", None, "bigint unsigned"),
            (ct::TINY, 0, number(false), "tinyint", "tinyint(1)", None, "tinyint"),
            (ct::YEAR, 0, number(true), "year", "year(4)", None, "year"),
            (ct::DOUBLE, 8, number(true), "double", "double(10,2) unsigned", None, "double unsigned"),
            (ct::NEWDECIMAL, 0x0c02, number(false), "decimal", "decimal(12,2)", None, "decimal(12,2)"),
            (ct::NEWDECIMAL, 0x411e, number(true), "decimal", "decimal(65,30) unsigned", None, "decimal(65,30) unsigned"),
            (ct::DATETIME2, 6, number(false), "datetime", "datetime(6)", None, "datetime(6)"),
            (ct::TIME2, 0, number(false), "time", "time", None, "time"),
            (ct::TIMESTAMP, 0, number(false), "timestamp", "timestamp /* mariadb-5.3 */", None, "timestamp"),
            (ct::BIT, 12, number(false), "bit", "bit(12)", None, "bit(12)"),
            (ct::VARCHAR, 80, text("utf8mb4"), "varchar", "varchar(20)", Some("utf8mb4"), "varchar(20)"),
            (ct::STRING, 30, text("utf8mb3"), "char", "char(10)", Some("utf8mb3"), "char(10)"),
            (ct::VARCHAR, 20, text("binary"), "varbinary", "varbinary(20)", None, "varbinary(20)"),
            (ct::BLOB, 3, text("latin1"), "mediumtext", "mediumtext", Some("latin1"), "mediumtext"),
            (ct::BLOB, 2, text("binary"), "blob", "blob", None, "blob"),
            (ct::JSON, 4, number(false), "json", "json", None, "json"),
            (ct::STRING, 16, uuid, "uuid", "uuid", None, "uuid"),
            (
                ct::ENUM,
                1,
                described(false, Some("utf8mb4"), &["unsigned", "gr'een", "a(1)"]),
                "enum",
                "enum('unsigned','gr''een','a(1)')",
                Some("utf8mb4"),
                "enum('unsigned','gr''een','a(1)')",
            ),
        ] {
            let logged = logged(&ColumnMap { kind, meta, nullable: true }, &description);
            assert_eq!(logged.to_string(), expected);
            assert_eq!(of_catalogue(data_type, column_type, charset), logged, "{column_type}");
            assert_eq!(NativeType::parse(expected).in_character_set(charset), logged);
        }
    }
}
