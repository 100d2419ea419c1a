//! Handing on what was read: batches, and marks between them.

use std::time::Instant;

use sluicegate_model::change::{Item, Mark, MarkKind, Offset};

use super::stream::{Halt, Stream};

impl Stream {
    /// Sends the batches that go before everything else.
    pub(super) async fn send_ready(&mut self) -> Result<(), Halt> {
        for batch in std::mem::take(&mut self.ready) {
            self.give(Item::Rows(batch)).await?;
        }
        Ok(())
    }

    /// Sends what is held, or else a heartbeat, with the present position. Waits for room in the queue. Of a transaction that is held,
    /// nothing goes.
    pub(super) async fn send(&mut self) -> Result<(), Halt> {
        self.send_ready().await?;
        let (held, begin) = (self.group.held_from(), self.group.begins_at());
        if !begin.is_nothing() {
            return self.send_before_group(begin).await;
        }
        let offset = Offset::new(if held.is_some() { self.place.resume_before() } else { self.place.resume() });
        let item = match held.is_some() || self.assembly.is_empty() {
            true => Item::Mark(Mark { lane: self.lane.clone(), offset, kind: MarkKind::Heartbeat }),
            false => {
                self.group.begin_anew();
                Item::Rows(self.assembly.take(offset))
            }
        };
        self.give(item).await
    }

    /// Sends what stands before a mark.
    pub(super) async fn send_before_mark(&mut self) -> Result<(), Halt> {
        if self.holds_rows_of_group() {
            self.settle().await?;
        }
        self.send_held().await
    }

    /// Sends a mark, behind what is held.
    pub(super) async fn mark(&mut self, kind: MarkKind) -> Result<(), Halt> {
        self.send_before_mark().await?;
        let offset = Offset::new(self.place.resume());
        self.give(Item::Mark(Mark { lane: self.lane.clone(), offset, kind })).await
    }

    /// Gives an item, behind the end of a transaction that is to be told.
    pub(super) async fn give(&mut self, item: Item) -> Result<(), Halt> {
        if self.ends.are_due() {
            self.give_end().await?;
        }
        self.hand_out(item).await
    }

    pub(super) async fn hand_out(&mut self, item: Item) -> Result<(), Halt> {
        if let Some(copying) = &mut self.copying {
            if *item.lane() == self.lane {
                copying.see(&item);
            } else {
                self.capturing.note(item.lane(), item.offset())?;
            }
        }
        let read = match &item {
            Item::Rows(batch) if batch.lane == self.lane => {
                self.ends.gave(batch);
                (batch.changes.len(), batch.bytes)
            }
            _ => (0, 0),
        };
        let sent = tokio::select! {
            biased;
            () = self.reader.stop.cancelled() => return Err(Halt::Stop),
            sent = self.reader.out.send(item) => sent,
        };
        self.sent = Instant::now();
        self.place.moved = false;
        sent.map_err(|_| Halt::Stop)?;
        let Some(wait) = self.reader.pace.after(read.0, read.1, self.sent) else { return Ok(()) };
        tokio::select! {
            biased;
            () = self.reader.stop.cancelled() => Err(Halt::Stop),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }
}
