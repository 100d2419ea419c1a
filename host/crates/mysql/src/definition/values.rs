//! Whether a change of a column's definition may change values of rows that are there: no server logs these rows.
//!
//! Where `sql_mode` is strict, the server refuses the statement if a value does not fit; but it rounds, pads and converts all the same.

use super::{super::schema::CatalogueColumn, Characters, alter::Clause};
use sluicegate_model::change::{ColumnInfo, NativeType};

/// What a table was altered under.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Session {
    /// Whether `sql_mode` refuses values that do not fit.
    pub strict: bool,
}

/// Character sets that hold what UTF-16 has no single unit for.
const BEYOND_BMP: [&str; 5] = ["utf8mb4", "utf16", "utf16le", "utf32", "gb18030"];
/// Character sets that hold every text.
const EVERY_TEXT: [&str; 4] = ["utf8mb4", "utf16", "utf16le", "utf32"];

/// The columns of which values may change by the clauses of an `ALTER TABLE`. `before`: the table's columns, if they are known.
pub(in super::super) fn changed(clauses: &[Clause], before: Option<&[ColumnInfo]>, session: Session) -> Vec<String> {
    let mut changed = Vec::new();
    for clause in clauses {
        match (clause, before) {
            (Clause::Change { old, column, .. }, Some(before)) => {
                // without one of that name, the server did nothing
                let Some(known) = before.iter().find(|known| known.name.to_lowercase() == old.to_lowercase()) else { continue };
                let set = known.native_type.character_set().unwrap_or("utf8mb4");
                let differs = match column.in_table(Some(set), None) {
                    Some(new) => column.is_computed() || may_differ(known, &new, &column.exact_type(&new), session),
                    None => true,
                };
                changed.extend(differs.then(|| known.name.clone()));
            }
            (Clause::Change { old, .. }, None) if !session.strict => changed.push(old.clone()),
            // text becomes bytes
            (Clause::Convert(Characters::Set(set)), Some(before)) if set == "binary" => {
                let text = |column: &&ColumnInfo| column.native_type.character_set().is_some_and(|own| own != "binary");
                changed.extend(before.iter().filter(text).map(|column| column.name.clone()));
            }
            (Clause::Convert(to), Some(before)) if !session.strict => {
                let lossy = |column: &&ColumnInfo| match (column.native_type.character_set(), to) {
                    (None | Some("binary"), _) => false,
                    (Some(own), Characters::Set(set)) => !holds(set, own),
                    (Some(_), Characters::Default) => true,
                };
                changed.extend(before.iter().filter(lossy).map(|column| column.name.clone()));
            }
            // a column that goes and comes again in one statement; what is new in a row has no value before
            (Clause::Add { column, .. }, before) => {
                let is = |name: &str| name.to_lowercase() == column.name.to_lowercase();
                let goes = clauses.iter().filter_map(Clause::drops).any(is);
                let was = before.is_none_or(|before| before.iter().any(|known| is(&known.name)));
                changed.extend((goes && was).then(|| column.name.clone()));
            }
            // the columns of a primary key are never NULL
            (Clause::AddKey(key), Some(before)) if !session.strict && key.is_primary() => {
                let of_key =
                    |known: &&ColumnInfo| known.nullable && key.columns.iter().any(|c| c.to_lowercase() == known.name.to_lowercase());
                changed.extend(before.iter().filter(of_key).map(|column| column.name.clone()));
            }
            _ => {}
        }
    }
    changed
}

/// Whether a value of the old column may be another one in the new column.
fn may_differ(old: &ColumnInfo, new: &CatalogueColumn, native: &NativeType, session: Session) -> bool {
    // NULL becomes 0 or an empty text
    if !session.strict && old.nullable && new.nullable == Some(false) {
        return true;
    }
    match fate(&old.native_type, native) {
        Fate::Kept => false,
        Fate::Refused => !session.strict,
        Fate::Changed => true,
    }
}

/// What becomes of values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Each is the same.
    Kept,
    /// One that does not fit is refused where `sql_mode` is strict, and is made to fit elsewhere.
    Refused,
    /// Some are rounded, padded or converted in any case.
    Changed,
}

/// Kept if they all fit.
fn if_fits(fits: bool) -> Fate {
    if fits { Fate::Kept } else { Fate::Refused }
}

/// A type by what a value of it may be.
#[derive(Clone, Copy, Debug)]
enum Kind<'a> {
    Integer {
        bits: u32,
        unsigned: bool,
    },
    Exact {
        whole: u32,
        scale: u32,
        unsigned: bool,
    },
    /// A floating-point number of so many bits.
    Approximate(u32),
    /// So many characters, which take so many bytes; `char` loses spaces at its end.
    Text {
        characters: u64,
        bytes: u64,
        padded: bool,
    },
    Bytes {
        length: u64,
        padded: bool,
    },
    Labels,
    Bits(u32),
    /// Of this name, with so many digits of a second's fraction.
    Time(&'a str, u32),
    Other(&'a str),
}

fn kind(native: &NativeType) -> Kind<'_> {
    let unsigned = native.is_unsigned();
    let integer = |bits| Kind::Integer { bits, unsigned };
    let length = u64::from(native.length().unwrap_or_default());
    let text = |padded| {
        let width = native.character_set().map_or(4, width);
        Kind::Text { characters: length, bytes: length.saturating_mul(width), padded }
    };
    // each character has a byte at least
    let long_text = |bytes| Kind::Text { characters: bytes, bytes, padded: false };
    let bytes = |length| Kind::Bytes { length, padded: false };
    match native.name() {
        "tinyint" => integer(8),
        "smallint" => integer(16),
        "mediumint" => integer(24),
        "int" => integer(32),
        "bigint" => integer(64),
        "decimal" => {
            let scale = native.scale().unwrap_or_default();
            Kind::Exact { whole: native.precision().unwrap_or_default().saturating_sub(scale), scale, unsigned }
        }
        "float" => Kind::Approximate(32),
        "double" => Kind::Approximate(64),
        "char" => text(true),
        "varchar" => text(false),
        "tinytext" => long_text(0xff),
        "text" => long_text(0xffff),
        "mediumtext" => long_text(0xff_ffff),
        "longtext" => long_text(0xffff_ffff),
        "binary" => Kind::Bytes { length, padded: true },
        "varbinary" => bytes(length),
        "tinyblob" => bytes(0xff),
        "blob" => bytes(0xffff),
        "mediumblob" => bytes(0xff_ffff),
        "longblob" => bytes(0xffff_ffff),
        "enum" | "set" => Kind::Labels,
        "bit" => Kind::Bits(native.length().unwrap_or(1)),
        name @ ("time" | "datetime" | "timestamp") => Kind::Time(name, native.fraction_digits().unwrap_or_default()),
        name => Kind::Other(name),
    }
}

/// Bytes of the widest character.
fn width(charset: &str) -> u64 {
    match charset {
        "latin1" | "latin2" | "ascii" | "binary" => 1,
        "utf8mb3" | "utf8" => 3,
        _ => 4,
    }
}

/// Whether a character set holds every text of another one.
fn holds(charset: &str, other: &str) -> bool {
    let utf8mb3 = |name: &str| matches!(name, "utf8" | "utf8mb3");
    charset == other
        || EVERY_TEXT.contains(&charset)
        || other == "ascii"
        || (utf8mb3(charset) || charset == "ucs2") && !BEYOND_BMP.contains(&other)
}

fn fate(from: &NativeType, to: &NativeType) -> Fate {
    let sets = (from.character_set().unwrap_or("binary"), to.character_set().unwrap_or("binary"));
    match (kind(from), kind(to)) {
        (Kind::Integer { bits, unsigned }, Kind::Integer { bits: new, unsigned: positive }) => {
            if_fits(if unsigned == positive { new >= bits } else { unsigned && new > bits })
        }
        (Kind::Integer { bits, unsigned }, Kind::Exact { whole, unsigned: positive, .. }) => {
            if_fits(whole >= digits(bits, unsigned) && (unsigned || !positive))
        }
        (Kind::Integer { bits, .. }, Kind::Approximate(size)) if bits <= if size == 64 { 53 } else { 24 } => Fate::Kept,
        (Kind::Integer { bits, unsigned }, Kind::Text { characters, .. }) => {
            if_fits(characters >= u64::from(digits(bits, unsigned) + u32::from(!unsigned)))
        }
        (Kind::Exact { whole, scale, unsigned }, Kind::Exact { whole: room, scale: kept, unsigned: positive }) => match kept < scale {
            true => Fate::Changed,
            false => if_fits(room >= whole && (unsigned || !positive)),
        },
        (Kind::Exact { scale: 0, .. }, Kind::Integer { .. }) => Fate::Refused,
        (Kind::Exact { whole, scale, .. }, Kind::Text { characters, .. }) => if_fits(characters >= u64::from(whole + scale) + 3),
        // with digits behind the point, the server rounds
        (Kind::Approximate(_), Kind::Approximate(_)) if to.scale().is_some_and(|kept| from.scale().is_none_or(|had| had > kept)) => {
            Fate::Changed
        }
        (Kind::Approximate(one), Kind::Approximate(other)) if one == other => {
            let room = whole(to).is_none_or(|room| whole(from).is_some_and(|had| had <= room));
            if_fits(room && (from.is_unsigned() || !to.is_unsigned()))
        }
        (Kind::Text { padded, .. }, Kind::Text { padded: true, .. }) if !padded => Fate::Changed,
        (Kind::Text { characters, bytes, .. }, Kind::Text { characters: room, bytes: space, .. }) => {
            let counts_characters = to.length().is_some();
            // in another character set each character may take as much as the widest
            let needed = if sets.0 == sets.1 { bytes } else { characters.saturating_mul(width(sets.1)) };
            if_fits(holds(sets.1, sets.0) && if counts_characters { room >= characters } else { space >= needed })
        }
        (Kind::Bytes { length, padded }, Kind::Bytes { length: room, padded: fills }) => match fills && !(padded && room == length) {
            true => Fate::Changed,
            false => if_fits(room >= length),
        },
        (Kind::Labels, Kind::Labels) if from.name() == to.name() => {
            match from.labels().zip(to.labels()) {
                Some((old, new)) if old.iter().all(|label| new.contains(label)) => Fate::Kept,
                // labels that are the same under the collation are one to the server, whatever their case and accents
                Some((old, new)) => {
                    let gone: Vec<String> = old.iter().filter(|label| !new.contains(label)).map(|label| label.to_lowercase()).collect();
                    let added = new.iter().filter(|label| !old.contains(label)).map(|label| label.to_lowercase());
                    let mut same = added.map(|added| gone.iter().any(|gone| *gone == added || !(gone.is_ascii() && added.is_ascii())));
                    if same.any(|same| same) { Fate::Changed } else { Fate::Refused }
                }
                None => Fate::Changed,
            }
        }
        (Kind::Labels, Kind::Text { characters, padded, .. }) => {
            let all = from.labels().map(|labels| labels.iter().map(|label| label.chars().count() as u64 + 1).sum::<u64>());
            if padded { Fate::Changed } else { if_fits(all.is_some_and(|all| characters >= all) && holds(sets.1, sets.0)) }
        }
        (Kind::Bits(old), Kind::Bits(new)) => if_fits(new >= old),
        (Kind::Time(one, digits), Kind::Time(other, kept)) if one == other && kept >= digits => Fate::Kept,
        (Kind::Other(one), Kind::Other(other)) if one == other => Fate::Kept,
        _ => Fate::Changed,
    }
}

/// Digits in front of the point, where they are bounded.
fn whole(native: &NativeType) -> Option<u32> {
    native.precision().zip(native.scale()).map(|(precision, scale)| precision.saturating_sub(scale))
}

/// Digits of the largest integer.
fn digits(bits: u32, unsigned: bool) -> u32 {
    let largest = if unsigned { u64::MAX >> (64 - bits) } else { u64::MAX >> (65 - bits) };
    largest.ilog10() + 1
}

#[cfg(test)]
mod tests {
    use sluicegate_model::change::{DataType, Place};

    use super::*;

    fn native(text: &str) -> NativeType {
        let (text, set) = text.split_once(" in ").map_or((text, None), |(text, set)| (text, Some(set)));
        let textual = ["char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"];
        let native = NativeType::parse(text);
        let set = if textual.contains(&native.name()) { Some(set.unwrap_or("utf8mb4")) } else { None };
        native.in_character_set(set)
    }

    #[test]
    fn what_becomes_of_values_follows_from_the_types() {
        use Fate::{Changed, Kept, Refused};
        for (from, to, expected) in [
            ("int", "int", Kept),
            ("int", "bigint", Kept),
            ("int", "tinyint", Refused),
            ("int", "int unsigned", Refused),
            ("int unsigned", "bigint", Kept),
            ("int unsigned", "int", Refused),
            ("int", "decimal(10,2)", Refused),
            ("int", "decimal(12,2)", Kept),
            ("int", "double", Kept),
            ("int", "float", Changed),
            ("bigint", "double", Changed),
            ("bigint", "varchar(20)", Kept),
            ("bigint", "varchar(19)", Refused),
            ("decimal(10,2)", "decimal(12,4)", Kept),
            ("decimal(10,2)", "decimal(10,4)", Refused),
            ("decimal(10,2)", "decimal(10,1)", Changed),
            ("decimal(10,2)", "int", Changed),
            ("decimal(5,0)", "int", Refused),
            ("double", "float", Changed),
            ("float", "double", Changed),
            ("double", "int", Changed),
            ("double", "double(10,2)", Changed),
            ("double(10,2)", "double(12,4)", Kept),
            ("double(10,2)", "double(8,2)", Refused),
            ("double(10,2)", "double", Kept),
            ("varchar(40)", "varchar(40)", Kept),
            ("varchar(40)", "varchar(50)", Kept),
            ("varchar(40)", "varchar(5)", Refused),
            ("varchar(40)", "text", Kept),
            ("varchar(16383)", "text", Kept),
            ("text", "varchar(5)", Refused),
            ("text", "mediumtext", Kept),
            ("text", "tinytext", Refused),
            ("char(4)", "varchar(4)", Kept),
            ("varchar(4)", "char(4)", Changed),
            ("char(4)", "char(9)", Kept),
            ("varchar(4) in latin1", "varchar(4)", Kept),
            ("text in latin1", "text", Refused),
            ("varchar(4)", "varchar(4) in latin1", Refused),
            ("varchar(4) in latin1", "varchar(4) in utf8mb3", Kept),
            ("varchar(9)", "int", Changed),
            ("varchar(9)", "varbinary(36)", Changed),
            ("varbinary(9)", "varbinary(10)", Kept),
            ("varbinary(9)", "blob", Kept),
            ("blob", "varbinary(9)", Refused),
            ("binary(3)", "binary(3)", Kept),
            ("binary(3)", "binary(5)", Changed),
            ("binary(3)", "varbinary(3)", Kept),
            ("varbinary(3)", "binary(3)", Changed),
            ("enum('a','b')", "enum('b','c','a')", Kept),
            ("enum('a','b')", "enum('b')", Refused),
            ("enum('a','b')", "enum('A','B')", Changed),
            ("enum('a','b')", "enum('a','c')", Refused),
            ("set('a','b')", "set('b','á')", Changed),
            ("float", "float(7,1)", Changed),
            ("float(7,1)", "float(9,3)", Kept),
            ("enum('a','b')", "varchar(9)", Kept),
            ("set('a','b')", "set('a','b','c')", Kept),
            ("datetime", "datetime(6)", Kept),
            ("datetime(6)", "datetime", Changed),
            ("datetime", "timestamp", Changed),
            ("date", "datetime", Changed),
            ("date", "date", Kept),
            ("bit(3)", "bit(8)", Kept),
            ("bit(8)", "bit(3)", Refused),
            ("json", "json", Kept),
            ("json", "longtext", Changed),
            ("year", "year", Kept),
        ] {
            assert_eq!(fate(&native(from), &native(to)), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_null_is_another_value_where_the_server_makes_it_one() {
        let column = |nullable: bool| ColumnInfo {
            name: "c".into(),
            data_type: DataType::Int64,
            native_type: native("int"),
            nullable,
            primary_key: false,
            place: Place::Value,
        };
        let new = CatalogueColumn {
            name: "c".into(),
            data_type: "int".into(),
            column_type: "int".into(),
            charset: None,
            key: String::new(),
            nullable: Some(false),
            bytes: None,
        };
        let differs = |nullable, strict| may_differ(&column(nullable), &new, &new.native_type(), Session { strict });
        assert_eq!([differs(true, false), differs(true, true), differs(false, false)], [true, false, false]);
    }
}
