//! How far a sink is, and what of the stream it had before this run.

use std::{ops::Range, sync::Arc};

use sluicegate_model::{
    Result,
    change::{Batch, Frontier, Item, Lane, Mark, MarkKind, Offset, SchemaChange},
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
    /// Where the stream is in each lane, for a sink that has a stream of its own; others do not keep it.
    at: Option<Frontier>,
}

impl Reached {
    pub fn new(ledger: Arc<dyn Ledger>, own: Frontier) -> Self {
        Self { ledger, own, moved: Frontier::default(), at: None }
    }

    /// Of a sink with a stream of its own, that begins where the sink is.
    pub fn apart(ledger: Arc<dyn Ledger>, own: Frontier) -> Self {
        Self { at: Some(own.clone()), ..Self::new(ledger, own) }
    }

    /// Where the sink is, in every lane, as it would be read from the checkpoint: what one session knows of a place is not what another
    /// one does. Nothing for a sink without a stream of its own.
    pub fn place(&self) -> Result<Frontier> {
        let place = |(lane, offset): (&Lane, &Offset)| Ok((lane.clone(), Offset::from_json(self.join(lane, offset)?.to_json())));
        self.at.iter().flat_map(Frontier::lanes).map(place).collect()
    }

    /// The sink goes on with another stream, at the place where it is. What was not committed stays to be committed.
    pub fn joined(&mut self) -> Result<()> {
        self.own = self.place()?;
        self.moved = std::mem::take(&mut self.moved)
            .lanes()
            .map(|(lane, _)| lane.clone())
            .filter_map(|lane| {
                let offset = self.own.get(lane.name())?.clone();
                Some((lane, offset))
            })
            .collect();
        self.at = None;
        Ok(())
    }

    fn join(&self, lane: &Lane, offset: &Offset) -> Result<Offset> {
        match self.own.get(lane.name()) {
            Some(own) => self.ledger.join(offset, own),
            None => Ok(offset.clone()),
        }
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
            (MarkKind::Truncate(truncate), Some(own)) => self.ledger.had_whole(own, &truncate.transaction, &mark.offset),
            (MarkKind::Schema(SchemaChange { statement: Some(statement), .. }), Some(own)) => {
                self.ledger.had_statement(own, statement, &mark.offset)
            }
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
        if let Some(at) = &mut self.at {
            at.set(lane.clone(), offset.clone());
        }
        self.moved.set(lane.clone(), offset.clone());
        Ok(())
    }

    /// Whether a lane moved since the last commit.
    pub fn has_moved(&self) -> bool {
        !self.moved.is_empty()
    }

    /// What was written since the last commit was undone: it comes again in another stream.
    pub fn forget_moved(&mut self) {
        self.moved = Frontier::default();
    }

    /// The lanes that moved since the last commit, each where the sink is in it: what it had before counts, too, so that no lane
    /// goes back.
    pub fn take_moved(&mut self) -> Result<Frontier> {
        let moved = std::mem::take(&mut self.moved);
        moved.lanes().map(|(lane, offset)| Ok((lane.clone(), self.join(lane, offset)?))).collect()
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
