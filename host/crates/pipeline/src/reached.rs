//! How far a sink is, and what of the stream it had before this run.

use std::{ops::Range, sync::Arc};

use sluicegate_model::{
    Result,
    change::{Batch, Frontier, Item, Lane, Mark, MarkKind, Offset},
};
use sluicegate_source::Ledger;

/// A sink's place in the stream. The stream begins at the least place of all sinks, so it may give a sink what it had: that is
/// asked for each batch, lane by lane, until the stream has passed everything that the sink had when it began.
pub(super) struct Reached {
    ledger: Arc<dyn Ledger>,
    /// Where the sink was when the stream began, in the lanes in which the stream has not passed that place.
    own: Frontier,
    /// The lanes that moved since the last commit, as the stream has them.
    moved: Frontier,
}

impl Reached {
    pub fn new(ledger: Arc<dyn Ledger>, own: Frontier) -> Self {
        Self { ledger, own, moved: Frontier::default() }
    }

    /// The changes of the batch that the sink had, as rising ranges.
    pub fn had(&self, batch: &Batch) -> Result<Vec<Range<usize>>> {
        match self.own.get(batch.lane.name()) {
            Some(own) => self.ledger.had(own, batch),
            None => Ok(Vec::new()),
        }
    }

    /// Whether the sink had what the mark says.
    pub fn had_mark(&self, mark: &Mark) -> Result<bool> {
        match (&mark.kind, self.own.get(mark.lane.name())) {
            (MarkKind::Truncate(truncate), Some(own)) => self.ledger.had_whole(own, &truncate.transaction),
            _ => Ok(false),
        }
    }

    /// The sink has the item, or had it before.
    pub fn pass(&mut self, item: &Item) -> Result<()> {
        let (lane, offset) = (item.lane(), item.offset());
        if let Some(own) = self.own.get(lane.name())
            && self.ledger.covers(offset, own)?
        {
            self.own.remove(lane.name());
        }
        self.moved.set(lane.clone(), offset.clone());
        Ok(())
    }

    /// Whether a lane moved since the last commit.
    pub fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// The lanes that moved since the last commit, each where the sink is in it: what it had before counts, too, so that no lane
    /// goes back.
    pub fn take_moved(&mut self) -> Result<Frontier> {
        let moved = std::mem::take(&mut self.moved);
        let place = |(lane, offset): (&Lane, &Offset)| {
            let place = match self.own.get(lane.name()) {
                Some(own) => self.ledger.join(offset, own)?,
                None => offset.clone(),
            };
            Ok((lane.clone(), place))
        };
        moved.lanes().map(place).collect()
    }
}

/// The batch without some of its changes.
pub(super) fn without(batch: &Batch, had: &[Range<usize>]) -> Batch {
    let mut rest = batch.clone();
    let mut had = had.iter().peekable();
    let mut at = 0;
    rest.changes.retain(|_| {
        while had.next_if(|range| range.end <= at).is_some() {}
        let keep = had.peek().is_none_or(|range| !range.contains(&at));
        at += 1;
        keep
    });
    rest
}
