//! Where chance comes from: everything is a function of the seed.

use sluicegate_model::splitmix;

/// A number that looks random, from the seed, what it is for, and a row's number.
#[inline]
pub(super) fn mix(seed: u64, purpose: u64, number: u64) -> u64 {
    splitmix::mix(seed ^ (purpose << 56) ^ number.wrapping_mul(splitmix::STEP))
}
