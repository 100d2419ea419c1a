//! What the pipeline file may grant: `grants: [clock, random]`. A component that calls one of these is refused without it.

/// The time of day, microseconds since 1970 UTC; natively that of this machine.
pub fn now() -> i64 {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::sluicegate::plugin::clock::now();
    #[cfg(not(target_arch = "wasm32"))]
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// So many random bytes, fit for keys; at most 65,536. Natively there are none: an empty list.
pub fn random_bytes(count: u32) -> Vec<u8> {
    #[cfg(target_arch = "wasm32")]
    return crate::bindings::sluicegate::plugin::random::get_bytes(count);
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = count;
        Vec::new()
    }
}
