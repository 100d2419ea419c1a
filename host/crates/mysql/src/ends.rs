//! Ends of transactions that no batch could tell: the last rows had been given before the end was read.
//!
//! A batch ends with a transaction where one ends in it, and says so. Only of a transaction that is larger than a batch, and is streamed as
//! it comes, the rows may be gone when its end is read.

use super::stream::{Halt, Stream};
use sluicegate_model::change::{Batch, Item, Lane, Mark, MarkKind, Offset, Transaction};

/// The end of the transaction whose rows were given last.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// The transaction, unless its end was told.
    open: Option<Transaction>,
    /// Its end, to be given before everything else.
    due: Option<Mark>,
}

impl Ends {
    /// A batch of the log was given.
    pub fn gave(&mut self, batch: &Batch) {
        self.open = batch.transactions.last().filter(|last| !last.complete).cloned();
    }

    /// The end of this transaction was read, and no rows of it are held. `before`: rows of it were given before the stream was opened.
    fn ended(&mut self, ended: Transaction, before: bool, lane: &Lane, offset: impl FnOnce() -> Offset) {
        if self.open.take_if(|open| open.is_same(&ended)).is_some() || before {
            self.due = Some(Mark { lane: lane.clone(), offset: offset(), kind: MarkKind::TransactionEnds(ended) });
        }
    }

    /// Whether an end is to be given.
    pub fn are_due(&self) -> bool {
        self.due.is_some()
    }

    pub fn take(&mut self) -> Option<Item> {
        self.due.take().map(Item::Mark)
    }
}

impl Stream {
    /// The open transaction ends, if there is one.
    pub(super) fn end_transaction(&mut self) {
        let open = self.place.open.as_ref().map(|open| open.position);
        let told = open.is_none_or(|open| self.assembly.end_transaction(open) || self.group.end_in_full(open));
        let ended = self.place.open.as_ref().filter(|_| !told).map(|open| {
            let (id, file, position) = (open.id.clone(), open.file.clone(), open.position);
            (Transaction { id, file, position, complete: true }, open.part.is_some())
        });
        self.end_group();
        self.place.end();
        if let Some((ended, before)) = ended {
            self.ends.ended(ended, before, &self.lane, || Offset::new(self.place.resume()));
        }
    }

    /// Gives the end of a transaction that no batch could tell.
    pub(super) async fn give_end(&mut self) -> Result<(), Halt> {
        match self.ends.take() {
            Some(end) => self.hand_out(end).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(id: Option<&str>, position: u64, complete: bool) -> Transaction {
        Transaction { id: id.map(Into::into), file: "binlog.000001".into(), position, complete }
    }

    fn given(last: Transaction) -> Ends {
        let mut ends = Ends::default();
        let mut batch = Batch::empty(0, Lane::new("binlog"), Offset::from_json("{}"));
        batch.transactions.push(last);
        ends.gave(&batch);
        ends
    }

    #[test]
    fn an_end_is_told_once_and_only_of_the_transaction_whose_rows_were_given() {
        let end = |ends: &mut Ends, of: &Transaction| {
            ends.ended(of.clone(), false, &Lane::new("binlog"), || Offset::from_json("{}"));
            ends.take()
        };
        let mut ends = given(transaction(None, 4, false));
        assert!(end(&mut ends, &transaction(None, 900, true)).is_none(), "another one, without rows");
        assert!(matches!(end(&mut ends, &transaction(None, 4, true)), Some(Item::Mark(Mark { kind: MarkKind::TransactionEnds(_), .. }))));
        assert!(end(&mut ends, &transaction(None, 4, true)).is_none());
        assert!(end(&mut given(transaction(None, 4, true)), &transaction(None, 4, true)).is_none(), "its batch said so");
    }

    #[test]
    fn a_transaction_that_another_server_goes_on_with_ends_by_its_gtid() {
        let mut ends = given(transaction(Some("0-1-7"), 4, false));
        ends.ended(transaction(Some("0-1-7"), 1234, true), false, &Lane::new("binlog"), || Offset::from_json("{}"));
        assert!(ends.are_due());
    }

    #[test]
    fn the_end_of_a_transaction_of_which_all_was_delivered_before_a_start_is_told() {
        let mut ends = Ends::default();
        ends.ended(transaction(None, 4, true), true, &Lane::new("binlog"), || Offset::from_json("{}"));
        assert!(ends.are_due());
    }
}
