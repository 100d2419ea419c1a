//! Entrance for the fuzz targets in `host/fuzz`: whatever position a checkpoint holds, the changes behind it or an error.

use std::sync::Arc;

use super::{Generator, LANE, Stream, lanes, shop::LAST_CHANGE};
use sluicegate_config::GeneratorSource;
use sluicegate_model::{
    change::{Frontier, Lane, Offset},
    limits::Limits,
};
use sluicegate_status::Status;

const SEED: u64 = 7;

/// A position of the generator.
pub fn position(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let settings = GeneratorSource { seed: SEED, ..GeneratorSource::default() };
    let generator = Generator::new(settings, Limits::default(), Arc::new(Status::default()));
    let frontier = Frontier::of(Lane::new(LANE), Offset::from_json(text));
    lanes::fuzz(text, SEED);
    let Ok(first) = generator.first_change(&frontier) else { return };
    if first < LAST_CHANGE {
        let batch = Stream::new(SEED, first, &Limits::default()).batch((LAST_CHANGE - first).min(8));
        assert!(batch.validate().is_ok() && !batch.changes.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn generator_position_takes_any_bytes() {
        fuzz::run("generator_position", super::position, 100);
    }
}
