//! Random bytes. Without the grant they are the same at every start: a runtime that seeds its hash tables has something to
//! seed them with, and the same rows give the same answers.

use super::Refused;
use sluicegate_model::{limits::PLUGIN_RANDOM_BYTES, splitmix};

/// Where an instance's random bytes come from.
pub(crate) enum Random {
    /// The operating system.
    System,
    /// SplitMix64 with a fixed seed.
    Fixed(u64),
}

impl Random {
    /// The system's if granted.
    pub fn new(granted: bool) -> Self {
        if granted { Self::System } else { Self::Fixed(0x5eed_0f51_u64) }
    }

    /// So many bytes, at most [`PLUGIN_RANDOM_BYTES`].
    pub fn bytes(&mut self, count: u64) -> wasmtime::Result<Vec<u8>> {
        let count = usize::try_from(count).ok().filter(|count| *count <= PLUGIN_RANDOM_BYTES).ok_or_else(|| {
            Refused::new(
                format!("it asked for {count} random bytes in one call, the limit is {PLUGIN_RANDOM_BYTES}"),
                "ask for fewer bytes at a time",
            )
        })?;
        let mut bytes = vec![0; count];
        match self {
            Self::System => {
                let fault = |e| wasmtime::Error::msg(format!("the operating system gives no random bytes: {e}"));
                getrandom::fill(&mut bytes).map_err(fault)?;
            }
            Self::Fixed(state) => {
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&splitmix::next(state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
        Ok(bytes)
    }

    /// A random number.
    pub fn number(&mut self) -> wasmtime::Result<u64> {
        let bytes = self.bytes(8)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_bytes_repeat_with_each_start_and_real_ones_do_not() {
        let start = |granted| {
            let mut random = Random::new(granted);
            (random.bytes(33).unwrap(), random.number().unwrap())
        };
        assert_eq!(start(false), start(false));
        assert_ne!(start(true), start(true));
    }

    #[test]
    fn more_than_the_limit_is_refused_whatever_the_number() {
        for count in [65_537, u64::from(u32::MAX), u64::MAX] {
            assert!(Random::new(false).bytes(count).is_err());
        }
        assert_eq!(Random::new(true).bytes(65_536).unwrap().len(), 65_536);
    }
}
