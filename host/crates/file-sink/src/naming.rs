//! Names of the files of one sink: `{prefix}-{number:08}.ndjson`, with `.zst` behind when compressed.

/// What the files of a sink are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Naming {
    /// In front of the number.
    pub prefix: String,
    /// Whether they are compressed.
    pub zstd: bool,
}

impl Naming {
    /// The name of file `number`.
    pub fn file(&self, number: u64) -> String {
        format!("{}-{number:08}.ndjson{}", self.prefix, if self.zstd { ".zst" } else { "" })
    }

    /// How to tell a person which files are meant.
    pub fn file_pattern(&self) -> String {
        format!("{}-*.ndjson{}", self.prefix, if self.zstd { ".zst" } else { "" })
    }

    /// Takes a name apart; `None` when it is not one of ours.
    pub fn parse(name: &str) -> Option<(Self, u64)> {
        let (stem, zstd) = match name.strip_suffix(".ndjson.zst") {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(".ndjson")?, false),
        };
        let (prefix, digits) = stem.rsplit_once('-')?;
        if digits.len() < 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let naming = Self { prefix: prefix.to_owned(), zstd };
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
            && ![".ndjson", ".ndjson.zst"].iter().any(|end| name.ends_with(end))
            && !name.contains('\\')
            && !name.contains(char::is_control)
    };
    destination.len() <= MOST_BYTES.0 && destination.split('/').all(name)
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
        assert_eq!(Naming::parse("a-b-00000012.ndjson.zst"), Some((Naming { prefix: "a-b".into(), zstd: true }, 12)));
    }

    proptest! {
        #[test]
        fn every_name_reads_back(prefix in "[a-zA-Z0-9._-]{0,12}", zstd: bool, number: u64) {
            let naming = Naming { prefix, zstd };
            prop_assert_eq!(Naming::parse(&naming.file(number)), Some((naming, number)));
        }
    }
}
