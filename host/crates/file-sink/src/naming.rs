//! Names of the files of one sink: `{prefix}-{number:08}.ndjson` or `.csv`, with `.zst` behind when compressed, `.parquet` or `.avro`; and
//! of folders.

use sluicegate_config::FileRecords;
use sluicegate_model::change::TableName;

/// What the files of a sink are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// In front of the number.
    pub prefix: String,
    /// What is in them.
    pub records: FileRecords,
    /// Whether they are compressed.
    pub zstd: bool,
}

fn extension(records: FileRecords) -> &'static str {
    match records {
        FileRecords::Lines => ".ndjson",
        FileRecords::Csv => ".csv",
        FileRecords::Parquet => ".parquet",
        FileRecords::Avro => ".avro",
    }
}

impl Naming {
    /// What the names end with.
    fn end(&self) -> String {
        format!("{}{}", extension(self.records), if self.zstd { ".zst" } else { "" })
    }

    /// The name of file `number`.
    pub fn file(&self, number: u64) -> String {
        format!("{}-{number:08}{}", self.prefix, self.end())
    }

    /// How to tell a person which files are meant.
    pub fn file_pattern(&self) -> String {
        format!("{}-*{}", self.prefix, self.end())
    }

    /// Takes a name apart; `None` when it is not one of ours.
    pub fn parse(name: &str) -> Option<(Self, u64)> {
        let (rest, zstd) = name.strip_suffix(".zst").map_or((name, false), |rest| (rest, true));
        let of = |records| rest.strip_suffix(extension(records)).map(|stem| (stem, records));
        let kinds = [FileRecords::Lines, FileRecords::Csv, FileRecords::Parquet, FileRecords::Avro];
        let (stem, records) = kinds.into_iter().find_map(of)?;
        let (prefix, digits) = stem.rsplit_once('-')?;
        if digits.len() < 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let naming = Self { prefix: prefix.to_owned(), records, zstd };
        let number = digits.parse().ok()?;
        // `x-000000000001` is not how we would have written it
        (naming.file(number) == name).then_some((naming, number))
    }
}

/// The longest destination and the longest name of a folder in it, in bytes.
const MOST_BYTES: (usize, usize) = (512, 255);

/// Whether a destination can be a folder inside the sink's: names with `/` between them, none that leads elsewhere, could
/// be one of our files or is hidden (as our own lock is), and nothing that cannot be shown.
pub(super) fn is_folder(destination: &str) -> bool {
    let name = |name: &str| {
        !name.is_empty()
            && name.len() <= MOST_BYTES.1
            && !name.starts_with('.')
            && ![".ndjson", ".ndjson.zst", ".csv", ".csv.zst", ".parquet", ".avro"].iter().any(|end| name.ends_with(end))
            && !name.contains('\\')
            && !name.contains(char::is_control)
    };
    destination.len() <= MOST_BYTES.0 && destination.split('/').all(name)
}

/// The folder of a table's files: the parts of its name with dots between them. Two tables never have the same one: what a folder's name
/// cannot hold, and dots and `%` inside a part, are `%` and two hexadecimal digits.
pub(super) fn table_folder(table: &TableName) -> String {
    let escaped = |part: &str, first: bool| {
        let mut out = String::new();
        escaped(part, first, &mut out);
        out
    };
    let named = |first| {
        let parts = [Some(table.database.as_str()), table.schema.as_deref()].into_iter().flatten().map(|part| escaped(part, false));
        parts.chain([escaped(&table.table, first)]).collect::<Vec<_>>().join(".")
    };
    let name = named(false);
    // a table `csv` would have a folder that looks like a file
    if is_folder(&name) { name } else { named(true) }
}

/// Appends a part of a table's name, without what a folder's name cannot hold; `first`: its first character is written so, too.
pub(super) fn escaped(part: &str, first: bool, out: &mut String) {
    for (i, c) in part.chars().enumerate() {
        if matches!(c, '.' | '%' | '/' | '\\') || c.is_control() || (first && i == 0) {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_our_own_names_are_taken_apart() {
        for name in ["x.ndjson", "x-1.ndjson", "x-00000001.json", "x-0000000a.ndjson", "x-000000000001.ndjson", "-", "x-00000001.ndjson.gz"]
        {
            assert_eq!(Naming::parse(name), None, "{name}");
        }
        assert_eq!(
            Naming::parse("a-b-00000012.ndjson.zst"),
            Some((Naming { prefix: "a-b".into(), records: FileRecords::Lines, zstd: true }, 12))
        );
        assert_eq!(Naming::parse("x-00000012.csv"), Some((Naming { prefix: "x".into(), records: FileRecords::Csv, zstd: false }, 12)));
    }

    proptest! {
        #[test]
        fn every_name_reads_back(prefix in "[a-zA-Z0-9._-]{0,12}", csv: bool, zstd: bool, number: u64) {
            let naming = Naming { prefix, records: if csv { FileRecords::Csv } else { FileRecords::Lines }, zstd };
            prop_assert_eq!(Naming::parse(&naming.file(number)), Some((naming, number)));
        }
    }

    #[test]
    fn tables_never_share_a_folder() {
        let folder = |database: &str, table: &str| table_folder(&TableName::new(database, table));
        assert_eq!(folder("shop", "orders"), "shop.orders");
        assert_eq!(folder("a.b", "c"), "a%2Eb.c");
        assert_eq!(folder("a", "b.c"), "a.b%2Ec");
        assert_eq!(folder("a", "../x"), "a.%2E%2E%2Fx");
        assert_eq!(folder("a", "csv"), "a.%63sv");
        for (database, table) in [("a.b", "c"), ("a", "../x"), ("a", "csv"), ("a", "ndjson"), ("x", "\n"), ("é", "%")] {
            assert!(is_folder(&folder(database, table)), "{database} {table}");
        }
    }
}
