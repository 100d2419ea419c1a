//! Text that must not be seen.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use sluicegate_storage::file;

/// A secret's file of more bytes is refused.
pub(crate) const MOST_SECRET_BYTES: u64 = 64 << 10;

/// A password or the like. It prints as `***`; only [`Secret::reveal`] gives the text, at the place that needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), file: None }
    }

    /// The secret that a file holds. One line end at its end is left out.
    ///
    /// # Errors
    /// The file cannot be read, is too large, or is not UTF-8. The error quotes nothing of it.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut text = file::read_text(path, MOST_SECRET_BYTES)?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(Self { text, file: Some(path.to_owned()) })
    }

    /// The secret as it is now: one that stands in a file is read again, because it may have been renewed.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn renewed(&self) -> io::Result<Self> {
        self.file.as_deref().map_or_else(|| Ok(self.clone()), Self::read)
    }

    /// The file that it stands in, if any.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The text itself. Never put it into an error or a log.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_a_file_is_read_again_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "one\r\n").unwrap();
        let secret = Secret::read(&path).unwrap();
        assert_eq!((secret.reveal(), format!("{secret:?}")), ("one", "***".to_owned()));
        std::fs::write(&path, "two").unwrap();
        assert_eq!(secret.renewed().unwrap().reveal(), "two");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret.renewed().unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(Secret::new("text").renewed().unwrap().reveal(), "text");
    }
}
