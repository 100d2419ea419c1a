//! Where chance comes from: everything is a function of the seed.

/// A number that looks random, from the seed, what it is for, and a row's number: the finaliser of SplitMix64 (Steele, Lea
/// and Flood, 2014).
#[inline]
pub(super) fn mix(seed: u64, purpose: u64, number: u64) -> u64 {
    let mut z = seed ^ (purpose << 56) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
