//! What a guest writes to stdout and stderr, cut into lines for the log.

/// The beginning of a line whose end has not come yet: at most as much of it as is logged.
#[derive(Default)]
pub(super) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    /// Adds what was written, and returns each line that it ends, without more than `most` bytes and one.
    pub fn push(&mut self, written: &[u8], most: usize, mut ended: impl FnMut(String)) {
        for part in written.split_inclusive(|b| *b == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            // one more than is logged, so that the cut shows
            let room = most.saturating_add(1).saturating_sub(self.bytes.len());
            self.bytes.extend_from_slice(text.get(..room).unwrap_or(text));
            if part.len() > text.len() {
                ended(self.end().unwrap_or_default());
            }
        }
    }

    /// What stands there without a line end; `None` = nothing.
    pub fn end(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.bytes);
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(&bytes)).into_owned();
        (!bytes.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]], most: usize) -> (Vec<String>, Option<String>) {
        let (mut line, mut lines) = (Line::default(), Vec::new());
        for piece in pieces {
            line.push(piece, most, |text| lines.push(text));
        }
        let rest = line.end();
        (lines, rest)
    }

    #[test]
    fn lines_come_whole_however_they_were_written() {
        let texts = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&[b"a", b"b\nc\r\n\nd"], 100), (texts(&["ab", "c", ""]), Some("d".into())));
        assert_eq!(lines(&[b"\xff\n"], 100), (texts(&["\u{fffd}"]), None));
    }

    proptest! {
        #[test]
        fn no_line_holds_more_than_its_bound(pieces in prop::collection::vec(prop::collection::vec(b'\t'..b'\x20', 0..30), 0..9)) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let (lines, rest) = lines(&pieces, 8);
            prop_assert_eq!(lines.len(), pieces.concat().iter().filter(|b| **b == b'\n').count());
            prop_assert!(lines.iter().chain(&rest).all(|line| line.len() <= 9));
        }
    }
}
