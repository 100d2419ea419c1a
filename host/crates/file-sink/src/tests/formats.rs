//! What formats may do: gather changes in a record, and files that a reader understands as a whole only.

use super::*;
use sluicegate_format::{Durable, FileFormat, Format, Records, TableEncoder};
use sluicegate_model::change::{Table, TableRows, Truncate};

/// A list, which is whole where it ends.
struct List;

impl FileFormat for List {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"[");
    }

    fn end_record(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b",");
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"]");
    }

    fn durable(&self) -> Durable {
        Durable::AtEnd
    }
}

/// A record for each two changes: the numbers of their rows. The row 7 cannot be written.
struct Pairs;

impl Format for Pairs {
    fn table(&self, _table: &Arc<Table>) -> Box<dyn TableEncoder> {
        Box::new(Self)
    }
}

impl TableEncoder for Pairs {
    fn encode(&mut self, _batch: &Batch, changes: &[Change], out: &mut dyn Records) -> Result<()> {
        for pair in changes.chunks(2) {
            let good = pair.iter().take_while(|change| change.after != 7);
            let rows: Vec<String> = good.map(|change| change.after.to_string()).collect();
            out.buffer().extend_from_slice(rows.join("-").as_bytes());
            if !rows.is_empty() {
                out.end(rows.len())?;
            }
            if rows.len() < pair.len() {
                out.buffer().extend_from_slice(b"half a record");
                return Err(Error::new(ErrorKind::Record, "row 7"));
            }
        }
        Ok(())
    }

    fn truncate(&mut self, _truncate: &Truncate, out: &mut dyn Records) -> Result<()> {
        out.end(0)
    }

    fn key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<bool> {
        Ok(false)
    }

    fn row_key(&mut self, _rows: &TableRows, _row: u32, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }

    fn headers(&mut self, _rows: &TableRows, _row: u32, _each: &mut dyn FnMut(&str, &[u8])) -> Result<()> {
        Ok(())
    }
}

fn open_pairs(settings: &Settings, state: Option<&str>, format: Box<dyn FileFormat>, numbers: Numbers) -> FileSink {
    let letters = Arc::new(DeadLetters::new(settings.folder.with_extension("dead"), 1 << 20));
    let policy = Policy::new("files", OnError::Skip, letters);
    let resume = FileResume::new(settings, policy, state, &small_buffer(), numbers);
    let mut sink = resume.open(Encoder::of(Pairs)).unwrap();
    sink.streams.set_format(format);
    sink
}

fn texts(settings: &Settings) -> Vec<String> {
    files(settings).into_iter().map(|(_, content)| String::from_utf8(content).unwrap()).collect()
}

#[test]
fn a_record_may_stand_for_several_changes_and_a_fault_costs_its_own_change_only() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, numbers) = (settings(folder.path(), 1 << 20, None), numbers());
    let mut sink = open_pairs(&settings, None, Box::new(Lines), numbers.clone());
    sink.write(&inserts(0, 0..12, "")).unwrap();
    sink.commit(&Frontier::default()).unwrap();
    assert_eq!(texts(&settings), ["0-1\n2-3\n4-5\n6\n8-9\n10-11\n"]);
    assert_eq!((numbers.get().records.get(), numbers.get().skipped.get()), (6, 1));
}

#[test]
fn files_that_are_whole_at_their_end_are_ended_by_each_commit() {
    for zstd in [None, Some(1)] {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), 1 << 20, zstd);
        let mut sink = open_pairs(&settings, None, Box::new(List), numbers());
        sink.write(&inserts(0, 0..4, "")).unwrap();
        sink.commit(&Frontier::default()).unwrap();
        sink.write(&inserts(4, 0..2, "")).unwrap();
        let state = sink.commit(&Frontier::default()).unwrap();
        assert_eq!(texts(&settings), ["[0-1,2-3,]", "[0-1,]"]);
        // nothing came: nothing is begun, and nothing is ended twice
        assert_eq!(sink.commit(&Frontier::default()).unwrap(), state);
        sink.write(&inserts(6, 0..2, "")).unwrap();
        sink.idle().unwrap();
        drop(sink);
        open_pairs(&settings, Some(&state), Box::new(List), numbers());
        assert_eq!(texts(&settings), ["[0-1,2-3,]", "[0-1,]"], "half a file is undone");
    }
}
