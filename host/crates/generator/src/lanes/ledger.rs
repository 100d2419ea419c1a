//! How places in the generator's lanes compare.

use std::ops::Range;

use super::{
    delivered::Delivered,
    names::{lane_number, parse_transaction},
};
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::{Batch, Offset, Transaction},
};
use sluicegate_source::Ledger;

/// Compares sets of transactions.
#[derive(Debug)]
pub(crate) struct Transactions;

impl Ledger for Transactions {
    fn had(&self, offset: &Offset, batch: &Batch) -> Result<Vec<Range<usize>>> {
        let place = Delivered::of(offset)?;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for (at, change) in batch.changes.iter().enumerate() {
            let unknown = || Error::new(ErrorKind::Internal, "a change of a transaction that is not the generator's");
            let (event, transaction) = batch.event(change).ok_or_else(unknown)?;
            let (generation, number) = transaction.id.as_deref().and_then(parse_transaction).ok_or_else(unknown)?;
            let table = event.table.as_deref().unwrap_or_default();
            let had = match generation.cmp(&place.generation) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Greater => false,
                std::cmp::Ordering::Equal => place.has(number) || event.rows_before(change.row) < place.rows(number, table),
            };
            match ranges.last_mut().filter(|last| had && last.end == at) {
                Some(last) => last.end = at + 1,
                None if had => ranges.push(at..at + 1),
                None => {}
            }
        }
        Ok(ranges)
    }

    fn had_whole(&self, offset: &Offset, transaction: &Transaction, _now: &Offset) -> Result<bool> {
        let place = Delivered::of(offset)?;
        let unknown = || Error::new(ErrorKind::Internal, "a transaction that is not the generator's");
        let (generation, number) = transaction.id.as_deref().and_then(parse_transaction).ok_or_else(unknown)?;
        Ok(generation < place.generation || (generation == place.generation && place.has(number)))
    }

    fn covers(&self, offset: &Offset, other: &Offset) -> Result<bool> {
        Ok(Delivered::of(offset)?.covers(&*Delivered::of(other)?))
    }

    fn join(&self, offset: &Offset, other: &Offset) -> Result<Offset> {
        Ok(Offset::new(Delivered::of(offset)?.join(&*Delivered::of(other)?)))
    }

    fn check(&self, lane: &str, offset: &Offset) -> Result<()> {
        if lane_number(lane).is_none() {
            return Err(Error::new(ErrorKind::State, format!("the generator has no lane `{lane}`"))
                .remedy("Its lanes are `generator/1`, `generator/2` and so on."));
        }
        Delivered::of(offset).map(|_| ())
    }
}
