//! What the file sink wrote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

/// The files `{prefix}-{number}.ndjson[.zst]` of a folder, in the order of their numbers.
pub fn list(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| {
                let number = rest.strip_suffix(".ndjson").or_else(|| rest.strip_suffix(".ndjson.zst"));
                number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            })
        })
        .collect();
    files.sort();
    files
}

/// All records of a finished run, in order. A last line without an end is a fault.
#[track_caller]
pub fn records(folder: &Path, prefix: &str) -> Vec<Value> {
    let mut records = Vec::new();
    for file in list(folder, prefix) {
        let text = read(&file);
        assert!(text.is_empty() || text.ends_with('\n'), "{} ends in the middle of a record", file.display());
        records.extend(text.lines().map(|line| parse(&file, line)));
    }
    records
}

/// The number of whole records written so far, also while they are being written. Compressed files count up to their
/// last whole frame.
pub fn count_so_far(folder: &Path, prefix: &str) -> usize {
    list(folder, prefix).iter().map(|file| read(file).bytes().filter(|b| *b == b'\n').count()).sum()
}

/// The whole lines of one file so far, also while it is being written.
pub fn lines_so_far(file: &Path) -> Vec<String> {
    let text = read(file);
    text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).map(str::to_owned).collect()
}

/// Bytes written so far: cheap to ask for often. A restart may take some back.
pub fn bytes_so_far(folder: &Path, prefix: &str) -> u64 {
    // rolled or taken back between listing and looking
    list(folder, prefix).iter().map(|file| fs::metadata(file).map_or(0, |data| data.len())).sum()
}

fn read(file: &Path) -> String {
    let bytes = match fs::read(file) {
        Ok(bytes) => bytes,
        // rolled or taken back between listing and reading
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return String::new(),
        Err(error) => panic!("{}: {error}", file.display()),
    };
    let bytes = if file.extension().is_some_and(|e| e == "zst") {
        let mut out = Vec::new();
        let mut decoder = zstd::stream::read::Decoder::new(&bytes[..]).expect("a decoder can be made");
        // an error here is the frame that is being written; records() then sees a torn or missing line
        let _ = std::io::Read::read_to_end(&mut decoder, &mut out);
        out
    } else {
        bytes
    };
    String::from_utf8(bytes).unwrap_or_else(|_| panic!("{} is not UTF-8", file.display()))
}

fn parse(file: &Path, line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error} in: {line}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_in_the_order_of_the_files_packed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        write("a-00000001.ndjson", b"{\"n\":3}\n");
        let mut packed = zstd::encode_all(&b"{\"n\":1}\n"[..], 1).unwrap();
        packed.extend(zstd::encode_all(&b"{\"n\":2}\n"[..], 1).unwrap());
        write("a-00000000.ndjson.zst", &packed);
        write("a-b-00000000.ndjson", b"{\"n\":9}\n");
        write("a-00000002.ndjson.part", b"{");
        let numbers: Vec<u64> = records(folder.path(), "a").iter().map(|r| r["n"].as_u64().unwrap()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(count_so_far(folder.path(), "a"), 3);
    }

    #[test]
    #[should_panic = "ends in the middle of a record"]
    fn a_torn_record_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a-00000000.ndjson"), b"{\"n\":1}\n{\"n\"").unwrap();
        records(folder.path(), "a");
    }
}
