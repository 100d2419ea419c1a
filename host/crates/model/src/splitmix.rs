//! SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014): numbers that look random, from a seed.

/// What the state grows by with each number.
pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next number.
#[inline]
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(STEP);
    mix(*state)
}

/// The number of a state: each number is that of exactly one.
#[inline]
pub fn mix(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_its_published_numbers() {
        // seed 0: the reference implementation's first outputs
        let mut state = 0;
        assert_eq!([next(&mut state), next(&mut state)], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
