//! Files on disk that others may change at any moment: read whole within a bound, and recognised again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

/// Opens a regular file for reading. What is none is an error of kind `InvalidInput` or `IsADirectory`: a device may have no
/// end, and a pipe without a writer would hold the program up.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() {
        Ok(file)
    } else if kind.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// Opens a regular file for appending, and makes it if it is not there. A link is an error: somebody else may have put it there to
/// have another file written to.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    let file = options.open(path)?;
    if !file.metadata()?.file_type().is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Makes a file that must not be there; a link of that name counts as there.
pub fn make(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Reads a regular file of at most `most` bytes. One that has more, or gets more while it is read, is an error of kind
/// `FileTooLarge`.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let told = file.metadata()?.len();
    if told > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {told} bytes, the limit is {most}")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(told).unwrap_or_default());
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes, the limit")));
    }
    Ok(bytes)
}

/// Like [`read`], as text. What is not UTF-8 is an error of kind `InvalidData` that quotes nothing of it.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read(path, most)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Where a file that was opened by a path is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// The path leads to it.
    InPlace,
    /// It has another name: somebody moved it.
    Moved,
    /// It has no name any more: what is in it is gone when it is closed.
    Removed,
}

/// Looks where `file`, which was opened as `path`, is now.
pub fn whereabouts(file: &File, path: &Path) -> io::Result<Whereabouts> {
    let own = file.metadata()?;
    let there = match path.metadata() {
        Ok(there) => Some((there.dev(), there.ino())),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => None,
        Err(e) => return Err(e),
    };
    Ok(match (there == Some((own.dev(), own.ino())), own.nlink()) {
        (true, _) => Whereabouts::InPlace,
        (false, 0) => Whereabouts::Removed,
        (false, _) => Whereabouts::Moved,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn a_file_beyond_the_limit_is_refused_whatever_size_it_tells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "123456").unwrap();
        assert_eq!(read(&path, 6).unwrap(), b"123456");
        let error = read(&path, 5).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::FileTooLarge, "it has 6 bytes, the limit is 5"));
        if cfg!(target_os = "linux") {
            // says that it has no bytes, as a file does that grows after the look at its size
            let error = read(Path::new("/proc/self/maps"), 5).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::FileTooLarge, "it has more than 5 bytes, the limit"));
        }
    }

    #[test]
    fn only_regular_files_are_read_and_none_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for (path, kind) in [
            (pipe.as_path(), io::ErrorKind::InvalidInput),
            (Path::new("/dev/zero"), io::ErrorKind::InvalidInput),
            (folder.path(), io::ErrorKind::IsADirectory),
            (&folder.path().join("none"), io::ErrorKind::NotFound),
        ] {
            assert_eq!(read(path, 1 << 20).unwrap_err().kind(), kind, "{}", path.display());
        }
    }

    #[test]
    fn text_that_is_not_utf8_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, b"secret \xff").unwrap();
        assert_eq!(read_text(&path, 100).unwrap_err().to_string(), "it is not UTF-8 text");
        fs::write(&path, "caf\u{e9}").unwrap();
        assert_eq!(read_text(&path, 100).unwrap(), "caf\u{e9}");
    }

    #[test]
    fn an_open_file_that_was_moved_removed_or_replaced_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("x"), folder.path().join("y"));
        let file = File::create(&path).unwrap();
        let now = || whereabouts(&file, &path).unwrap();
        assert_eq!(now(), Whereabouts::InPlace);
        fs::rename(&path, &other).unwrap();
        assert_eq!(now(), Whereabouts::Moved);
        fs::write(&path, "").unwrap();
        assert_eq!(now(), Whereabouts::Moved);
        fs::remove_file(&other).unwrap();
        assert_eq!(now(), Whereabouts::Removed);
        fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(now(), Whereabouts::Removed);
    }
}
