//! What the pipeline file may grant: `grants: [clock, random]`. A component that calls one of these is refused without it.

/// The time of day, microseconds since 1970 UTC; natively that of this machine.
pub fn now() -> i64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::sluicegate::plugin::clock::now();
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::time::{SystemTime, UNIX_EPOCH};
        let micros = |since: std::time::Duration| i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        SystemTime::now().duration_since(UNIX_EPOCH).map_or_else(|before| -micros(before.duration()), micros)
    }
}

/// So many random bytes, fit for keys; at most 65,536. Natively, for tests, they come from the standard library's hash seeds and
/// are not fit for keys.
pub fn random_bytes(count: u32) -> Vec<u8> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::sluicegate::plugin::random::get_bytes(count);
    #[cfg(not(target_arch = "wasm32"))]
    {
        use std::hash::{BuildHasher, RandomState};
        let words = (0..count.div_ceil(8)).flat_map(|word| RandomState::new().hash_one(word).to_le_bytes());
        words.take(count as usize).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_native_test_gets_time_and_bytes_too() {
        assert!(now() > 1_700_000_000_000_000);
        assert_eq!((random_bytes(0).len(), random_bytes(13).len()), (0, 13));
        assert_ne!(random_bytes(32), random_bytes(32));
    }
}
