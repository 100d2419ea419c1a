//! The shop's changes, batch by batch, from any number on.

use std::sync::Arc;

use super::{
    ledger::{LANE, Place},
    rows::{Customers, LARGEST_IMAGE, OrderLines, Orders, Tables},
    schedule::{Cursor, Schedule, Slot, Step},
    shop::{Customer, Order, Stage, time_us},
};
use sluicegate_model::{
    change::{Batch, Change, Event, Image, Lane, NO_IMAGE, Offset, Operation, Transaction},
    limits::Limits,
};

/// The changes of the shop with one seed. The same change has the same number, place and content always, wherever the stream begins.
pub(super) struct Stream {
    seed: u64,
    schedule: Schedule,
    tables: Tables,
    file: Arc<str>,
    cursor: Cursor,
    /// Number of the next change.
    change: u64,
    /// Changes given so far.
    given: u64,
    lane: Lane,
    batch_changes: u64,
    batch_bytes: usize,
}

/// A change that is picked for a batch.
pub(super) struct Picked {
    /// Its number.
    pub(super) change: u64,
    /// What its transaction is called.
    pub(super) transaction: Arc<str>,
    /// The table of its row.
    pub(super) table: &'static str,
    /// How many rows of that table stand before it in its transaction.
    pub(super) rows_before: u64,
    /// Whether its transaction ends behind it.
    pub(super) ends: bool,
}

/// A batch while it is filled.
struct Filling {
    customers: Customers,
    orders: Orders,
    lines: OrderLines,
    /// Index in the finished batch of each table that has occurred.
    tables: [Option<u32>; 3],
    used: u32,
    bytes: usize,
    batch: Batch,
}

impl Stream {
    /// The shop in the database `database`, for a lane whose transactions come in any order: see [`Self::pick`].
    pub(super) fn of_lane(seed: u64, database: &str, file: Arc<str>, lane: Lane, limits: &Limits) -> Self {
        Self { tables: Tables::new(database), file, lane, ..Self::new(seed, 0, limits) }
    }

    /// A batch of changes that are picked one by one: at most `limit`, and at most what a batch may hold. `number` is that of the
    /// batch. Whoever picks says where the lane is after it. `None` if there is none to pick.
    pub(super) fn pick(&mut self, limit: u64, number: u64, mut next: impl FnMut(&Schedule) -> Option<Picked>) -> Option<Batch> {
        let (most, mut filling) = self.begin(limit);
        let mut ends = true;
        while filling.has_room(most, self.batch_bytes)
            && let Some(picked) = next(&self.schedule)
        {
            let begins = picked.change != self.change;
            (self.change, self.cursor) = (picked.change, self.schedule.locate(picked.change));
            let slot = *self.schedule.slot(self.cursor);
            let events = filling.batch.events.len();
            self.append(&slot, &mut filling, begins);
            if let Some(transaction) = filling.batch.transactions.last_mut() {
                transaction.id.get_or_insert_with(|| picked.transaction.clone());
            }
            if let Some(event) = filling.batch.events.get_mut(events) {
                (event.table, event.rows_before) = (Some(picked.table.into()), picked.rows_before - u64::from(slot.in_event));
            }
            ends = picked.ends;
            self.change += 1;
        }
        if filling.batch.changes.is_empty() {
            return None;
        }
        if let Some(last) = filling.batch.transactions.last_mut() {
            last.complete = ends;
        }
        let mut batch = filling.finish(&self.tables);
        batch.number = number;
        Some(batch)
    }

    /// A stream whose next change is number `change`.
    pub(super) fn new(seed: u64, change: u64, limits: &Limits) -> Self {
        let schedule = Schedule::new(seed);
        let cursor = schedule.locate(change);
        let batch_changes = limits.batch_changes.max(1) as u64;
        let batch_bytes = limits.batch_bytes;
        let (tables, file, lane) = (Tables::new("shop"), "generator".into(), Lane::new(LANE));
        Self { seed, schedule, tables, file, cursor, change, given: 0, lane, batch_changes, batch_bytes }
    }

    /// Number of the next change.
    pub(super) fn change(&self) -> u64 {
        self.change
    }

    /// A batch of the next changes: at most `limit`, and at most what a batch may hold.
    pub(super) fn batch(&mut self, limit: u64) -> Batch {
        let (most, mut filling) = self.begin(limit);
        while filling.has_room(most, self.batch_bytes) {
            let slot = *self.schedule.slot(self.cursor);
            self.append(&slot, &mut filling, false);
            self.cursor = self.schedule.next(self.cursor);
            self.change += 1;
        }
        let ended = self.schedule.slot(self.cursor).in_transaction == 0;
        if let Some(last) = filling.batch.transactions.last_mut() {
            last.complete = ended;
        }
        let mut batch = filling.finish(&self.tables);
        batch.offset = Offset::new(Place { seed: self.seed, change: self.change });
        self.given = batch.next_number();
        batch
    }

    /// An empty batch, and how many changes go in at most.
    fn begin(&self, limit: u64) -> (usize, Filling) {
        let most = limit.min(self.batch_changes).min((self.batch_bytes / LARGEST_IMAGE) as u64).max(1) as usize;
        let mut filling = Filling {
            // a round has these shares of images, and a batch is seldom shorter than a round
            customers: Customers::with_capacity(most / 8),
            orders: Orders::with_capacity(most),
            lines: OrderLines::with_capacity(most / 2),
            tables: [None; 3],
            used: 0,
            bytes: 0,
            batch: Batch::empty(self.given, self.lane.clone(), Offset::from_json("")),
        };
        filling.batch.changes.reserve_exact(most);
        (most, filling)
    }

    /// Appends the change at the cursor. `begins`: the one before it in the batch is not the one before it in the shop.
    fn append(&self, slot: &Slot, filling: &mut Filling, begins: bool) {
        let begins = begins || filling.batch.changes.is_empty();
        if begins || slot.in_transaction == 0 {
            let position = self.change - u64::from(slot.in_transaction);
            // whether it ends is known when the next one begins
            if let Some(before) = filling.batch.transactions.last_mut() {
                before.complete = true;
            }
            filling.batch.transactions.push(Transaction { id: None, file: self.file.clone(), position, complete: false });
        }
        if begins || slot.in_event == 0 {
            // an event is placed and dated by its first change, also when the stream begins inside of it
            let first = self.change - u64::from(slot.in_event);
            let transaction = filling.batch.transactions.len() as u32 - 1;
            filling.batch.events.push(Event { transaction, position: first, time_us: time_us(first), ..Event::default() });
        }
        let (operation, before, after) = self.images(slot, filling);
        let table = filling.table(slot.step.table());
        let event = filling.batch.events.len() as u32 - 1;
        filling.batch.changes.push(Change { table, before, after, operation, event, row: slot.in_event });
        filling.bytes += LARGEST_IMAGE * (1 + usize::from(operation == Operation::Update));
    }

    /// Writes the images of a change.
    fn images(&self, slot: &Slot, filling: &mut Filling) -> (Operation, u32, u32) {
        use Step::*;
        let round = self.cursor.round - slot.age;
        match slot.step {
            CustomerJoins | CustomerIsRated | CustomerLeaves => {
                let customer = Customer::new(self.seed, round, slot.item);
                let joined_us = time_us(self.schedule.joined(round, slot.item));
                let mut write = |image, rated| filling.customers.push(image, &customer, joined_us, rated);
                match slot.step {
                    CustomerJoins => insert(write(Image::After, false)),
                    CustomerLeaves => delete(write(Image::Before, false)),
                    _ => update(write(Image::Before, false), write(Image::After, true)),
                }
            }
            LineIsAdded | LineIsPicked | LineIsRemoved => {
                let order = Order::new(self.seed, round, slot.item);
                let line = order.line(slot.line);
                let mut write = |image, picked| filling.lines.push(image, &order, slot.line, &line, picked);
                match slot.step {
                    LineIsAdded => insert(write(Image::After, None)),
                    LineIsRemoved => delete(write(Image::Before, None)),
                    _ => update(write(Image::Before, None), write(Image::After, Some(time_us(self.change)))),
                }
            }
            _ => {
                let order = Order::new(self.seed, round, slot.item);
                let placed_us = time_us(self.schedule.placed(round, slot.item));
                let mut write = |image, stage| filling.orders.push(image, &order, placed_us, stage);
                match slot.step {
                    OrderIsPaid => update(write(Image::Before, Stage::Placed), write(Image::After, Stage::Paid)),
                    OrderIsShipped => update(write(Image::Before, Stage::Paid), write(Image::After, Stage::Shipped)),
                    OrderIsCancelled => update(write(Image::Before, Stage::Paid), write(Image::After, Stage::Cancelled)),
                    OrderIsDelivered => update(write(Image::Before, Stage::Shipped), write(Image::After, Stage::Delivered)),
                    OrderIsRemoved => delete(write(Image::Before, Stage::Cancelled)),
                    _ => insert(write(Image::After, Stage::Placed)),
                }
            }
        }
    }
}

fn insert(after: u32) -> (Operation, u32, u32) {
    (Operation::Insert, NO_IMAGE, after)
}

fn update(before: u32, after: u32) -> (Operation, u32, u32) {
    (Operation::Update, before, after)
}

fn delete(before: u32) -> (Operation, u32, u32) {
    (Operation::Delete, before, NO_IMAGE)
}

impl Filling {
    /// Whether one more change fits. An empty batch takes one, whatever the bounds.
    fn has_room(&self, most: usize, most_bytes: usize) -> bool {
        let changes = self.batch.changes.len();
        changes < most && (changes == 0 || self.bytes + 2 * LARGEST_IMAGE <= most_bytes)
    }

    /// Index of a table in the batch, given out when it first occurs.
    fn table(&mut self, table: usize) -> u32 {
        *self.tables[table].get_or_insert_with(|| {
            self.used += 1;
            self.used - 1
        })
    }

    fn finish(self, tables: &Tables) -> Batch {
        let Tables([customers, orders, lines]) = tables;
        let all = [self.customers.into_rows(customers), self.orders.into_rows(orders), self.lines.into_rows(lines)];
        let mut used: Vec<_> = self.tables.into_iter().zip(all).filter_map(|(index, rows)| Some((index?, rows))).collect();
        used.sort_by_key(|(index, _)| *index);
        let mut batch = self.batch;
        batch.tables = used.into_iter().map(|(_, rows)| rows).collect();
        batch.bytes = batch.measure();
        batch.taken = batch.changes.len() as u32;
        batch
    }
}
