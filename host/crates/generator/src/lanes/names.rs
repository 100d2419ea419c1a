//! What lanes, log files, databases and transactions of several lanes are called.

use std::sync::Arc;

use sluicegate_model::{change::Lane, limits::GENERATOR_LANES};

/// The lane with a number, from 1.
pub(super) fn lane(number: u16) -> Lane {
    Lane::new(format!("generator/{number}"))
}

/// The number of a lane; `None` for a name that is none of ours.
pub(super) fn lane_number(name: &str) -> Option<u16> {
    let number = name.strip_prefix("generator/")?.parse().ok()?;
    ((1..=GENERATOR_LANES).contains(&number) && lane(number).name() == name).then_some(number)
}

/// The database of a lane's shop.
pub(super) fn database(lane: u16) -> String {
    format!("shop_{lane}")
}

/// The log file of a generation of a lane.
pub(super) fn file(lane: u16, generation: u64) -> Arc<str> {
    format!("generator/{lane}.{generation}").into()
}

/// A transaction of a lane, as a GTID: generation and number.
pub(super) fn transaction(generation: u64, number: u64) -> Arc<str> {
    format!("{generation}-{number}").into()
}

/// What [`transaction`] wrote.
pub(super) fn parse_transaction(id: &str) -> Option<(u64, u64)> {
    let (generation, number) = id.split_once('-')?;
    Some((generation.parse().ok()?, number.parse().ok()?))
}
