//! The stream waits while a table without a key is copied.
//!
//! Rows without a key cannot be told from the stream's changes. So the stream is stopped between two transactions, a view is opened
//! behind that place, and the stream goes on up to the view's own place and waits there until the rows are delivered. MariaDB says
//! where in its log a view was opened. MySQL says only which transactions the view has for certain, and where the log ended right after
//! it was opened: if the table was changed between the two, another view is opened.

use std::convert::Infallible;

use tokio::sync::oneshot;

use super::{
    super::{
        position::BinlogPosition,
        stream::{Halt, Stream},
    },
    command::{Command, Rows, View},
    merge::{Origin, batch},
    recording::Spoiled,
};
use sluicegate_model::change::{Event, Item, Mark, MarkKind, Offset, TableName};

/// The stream is held, or goes on up to a view.
#[derive(Debug)]
pub struct Hold {
    /// What its reader knows it by.
    ticket: u64,
    /// The table.
    table: TableName,
    /// Closed when the reader is gone.
    reader: oneshot::Receiver<Infallible>,
    /// How far the stream goes.
    view: Option<View>,
    /// Takes that it is there.
    answer: Option<oneshot::Sender<Result<bool, Spoiled>>>,
    /// Whether a transaction has changed the table of which it is not known yet whether the view has it.
    changing: bool,
    /// Why the view cannot be used.
    spoiled: Option<Spoiled>,
}

impl Hold {
    /// Holds the stream where it is.
    pub fn new(ticket: u64, table: TableName, reader: oneshot::Receiver<Infallible>) -> Self {
        Self { ticket, table, reader, view: None, answer: None, changing: false, spoiled: None }
    }

    /// Takes in what is delivered on the way to the view.
    pub fn see(&mut self, item: &Item) {
        match item {
            Item::Rows(batch) => {
                self.changing |= batch.tables.iter().any(|rows| rows.table.name == self.table);
                if let Some(place) = batch.offset.place::<BinlogPosition>() {
                    self.look(place);
                }
            }
            Item::Mark(mark) => {
                let concerns = match &mark.kind {
                    MarkKind::Truncate(truncate) => truncate.table.name == self.table,
                    MarkKind::Schema(change) => {
                        change.name == self.table || change.table.as_ref().is_some_and(|table| table.name == self.table)
                    }
                    _ => false,
                };
                if concerns {
                    self.spoil(Spoiled::Altered);
                }
            }
        }
    }

    /// Whether the transaction that changed the table is in the view, once it ends: at this place it has, or it is open.
    fn look(&mut self, place: &BinlogPosition) {
        let Some(has) = self.view.as_ref().and_then(|view| view.has.as_deref()) else { return };
        if self.changing && place.open.is_empty() {
            self.changing = false;
            if !place.gtid_set.as_ref().is_some_and(|executed| has.covers(executed)) {
                self.spoil(Spoiled::Changed);
            }
        }
    }

    /// The table.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The view cannot be used.
    pub fn spoil(&mut self, why: Spoiled) {
        self.spoiled.get_or_insert(why);
    }
}

impl Stream {
    /// Whether the stream has to wait here. Tells the reader that the view is reached.
    pub(super) async fn is_held(&mut self) -> Result<bool, Halt> {
        let Some(hold) = self.copying.as_mut().and_then(|copying| copying.hold.as_mut()) else { return Ok(false) };
        let gone = matches!(hold.reader.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        if gone {
            self.let_go();
            return Ok(false);
        }
        let Some(view) = hold.view.clone() else { return Ok(true) };
        if hold.spoiled.is_none() && !self.has_passed(&view.place) {
            return Ok(false);
        }
        // what was read and not delivered may be of the table
        self.send_held().await?;
        let at = self.place.resume();
        let Some(copying) = &mut self.copying else { return Ok(false) };
        let Some(hold) = &mut copying.hold else { return Ok(false) };
        hold.look(&at);
        let (spoiled, answer, table) = (hold.spoiled, hold.answer.take(), hold.table.clone());
        if let Some(answer) = answer {
            // a reader that is gone needs no answer
            let _ = answer.send(spoiled.map_or_else(|| Ok(copying.may_have_delivered(&table)), Err));
        }
        // what comes to be known later does not matter: the rows are of the view that has been reached
        if spoiled.is_some() {
            self.let_go();
        }
        Ok(spoiled.is_none())
    }

    /// Waits for the next command while the stream is held.
    pub(super) async fn wait_held(&mut self) -> Result<(), Halt> {
        let stop = self.reader.stop.clone();
        let Some(copying) = &mut self.copying else { return Ok(()) };
        let Some(hold) = &mut copying.hold else { return Ok(()) };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(Halt::Stop),
            command = copying.commands.recv() => {
                copying.waiting.extend(command);
                // the log is not listened to, but the server is at work
                self.reader.status.source.hear();
                Ok(())
            }
            // its sender is only ever dropped
            _ = &mut hold.reader => {
                copying.hold = None;
                Ok(())
            }
        }
    }

    /// Goes on up to a view.
    pub(super) fn go_to(&mut self, ticket: u64, view: View, answer: oneshot::Sender<Result<bool, Spoiled>>) {
        match self.copying.as_mut().and_then(|copying| copying.hold.as_mut()) {
            Some(hold) if hold.ticket == ticket => (hold.view, hold.answer) = (Some(view), Some(answer)),
            // a reader that is gone needs no answer
            _ => drop(answer.send(Err(Spoiled::Reconnected))),
        }
    }

    fn let_go(&mut self) {
        if let Some(copying) = &mut self.copying {
            copying.hold = None;
        }
    }

    /// Delivers rows of a table without a key.
    pub(super) async fn deliver_rows(&mut self, rows: Rows) -> Result<(), Halt> {
        let Rows { ticket, lane, table, part, begins, place, view, time_us, server_id, answer } = rows;
        let held = self.copying.as_ref().and_then(|copying| copying.hold.as_ref());
        if !held.is_some_and(|hold| hold.ticket == ticket && hold.view.is_some() && hold.answer.is_none()) {
            // a reader that is gone needs no answer
            let _ = answer.send(false);
            return Ok(());
        }
        // the place of the log in front of the rows is that of the view
        if self.place.moved {
            self.send().await?;
        }
        let table = self.reader.catalogue.adopt(&table);
        if let Some(from) = begins {
            let kind = MarkKind::Copy { table: table.clone(), ends: false };
            self.give(Item::Mark(Mark { lane: lane.clone(), offset: Offset::new(from), kind })).await?;
        }
        let done = place.is_done();
        let (end, rows_so_far) = (Offset::new(place.clone()), place.rows);
        if let Some(part) = part {
            let mut rows = part.rows;
            rows.table = table.clone();
            let all: Vec<u32> = (0..rows.len() as u32).collect();
            let number = self.assembly.count(all.len() as u64);
            let event = Event { position: view.place.position, time_us, server_id, ..Event::default() };
            // rows are told apart by their number in the copy
            let first = (rows_so_far.saturating_sub(all.len() as u64)) as u32;
            let origin = Origin { first, event, file: view.place.file.as_str().into() };
            self.give(Item::Rows(batch(number, lane, end, rows, &all, origin))).await?;
        } else if done {
            self.give(Item::Mark(Mark { lane, offset: end, kind: MarkKind::Copy { table, ends: true } })).await?;
        }
        if done {
            self.let_go();
        }
        // a reader that is gone needs no answer
        let _ = answer.send(true);
        Ok(())
    }
}

/// A command that the stream cannot do while another table holds it.
pub(super) fn has_to_wait(command: &Command, held: bool) -> bool {
    held && matches!(command, Command::Hold { .. })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{copy::chunk::High, gtid::GtidSet, position::Flavour};

    const SERVER: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn set(numbers: &str) -> GtidSet {
        GtidSet::parse_mysql(&format!("{SERVER}:{numbers}")).unwrap()
    }

    fn at(numbers: &str) -> BinlogPosition {
        BinlogPosition {
            flavour: Flavour::MySql,
            server: None,
            file: "binlog.000001".into(),
            position: 4,
            gtid_set: Some(Arc::new(set(numbers))),
            open: Vec::new(),
            prepared: Vec::new(),
            skip: None,
            created: None,
        }
    }

    /// A hold whose view has transactions up to 5 for certain.
    fn hold() -> Hold {
        let mut hold = Hold::new(1, TableName::new("d", "t"), oneshot::channel().1);
        let place = High { file: "binlog.000001".into(), position: 9000, gtids: None };
        hold.view = Some(View { place, has: Some(Arc::new(set("1-5"))) });
        hold
    }

    #[test]
    fn a_change_counts_when_its_transaction_has_ended() {
        let mut seen = hold();
        seen.changing = true;
        seen.look(&at("1-5"));
        assert_eq!((seen.spoiled, seen.changing), (None, false));
        // others may come that the view does not have
        seen.look(&at("1-6"));
        assert_eq!(seen.spoiled, None);
        seen.changing = true;
        seen.look(&at("1-7"));
        assert_eq!(seen.spoiled, Some(Spoiled::Changed));
    }
}
