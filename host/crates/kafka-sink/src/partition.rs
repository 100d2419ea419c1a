//! The partition of a record that its key does not decide.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::producer::Producer as _;

use super::client::Client;
use sluicegate_model::{Error, ErrorKind, Result, limits::KAFKA_TOPIC_LIMIT_AGE};

/// Pause before the brokers are asked again for a topic that is being made.
const PAUSE: Duration = Duration::from_millis(20);

/// How many partitions topics have.
pub(super) struct Partitions {
    /// Each topic's, and until when that counts.
    known: HashMap<Arc<str>, (u32, Instant)>,
    timeout: Duration,
}

impl Partitions {
    /// `timeout` bounds the wait for an answer.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { known: HashMap::new(), timeout }
    }

    /// The partition, in a topic, of records whose partition these bytes decide: the one of a record with them as its key.
    ///
    /// # Errors
    /// `Sink`: the brokers do not tell.
    pub(super) fn of(&mut self, client: &Client, topic: &Arc<str>, bytes: &[u8]) -> Result<i32> {
        let now = Instant::now();
        let count = match self.known.get(topic) {
            Some((count, until)) if now < *until => *count,
            _ => {
                let count = self.ask(client, topic)?;
                self.known.insert(topic.clone(), (count, now + KAFKA_TOPIC_LIMIT_AGE));
                count
            }
        };
        Ok((positive(murmur2(bytes)) % count) as i32) // below the count, which Kafka bounds
    }

    /// Asking lets the brokers make the topic, as the first record would.
    fn ask(&self, client: &Client, topic: &str) -> Result<u32> {
        let end = Instant::now() + self.timeout;
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(PAUSE);
            let told = client.client().fetch_metadata(Some(topic), left);
            let count = told.as_ref().ok().and_then(|cluster| {
                let found = cluster.topics().iter().find(|found| found.name() == topic && found.error().is_none())?;
                u32::try_from(found.partitions().len()).ok().filter(|count| *count > 0)
            });
            if let Some(count) = count {
                return Ok(count);
            }
            if Instant::now() >= end {
                let error = Error::new(ErrorKind::Sink, format!("the brokers do not tell how many partitions topic `{topic}` has"))
                    .remedy(
                        "see that the brokers run, make the topic, or grant the account DESCRIBE on it; then start again: nothing is lost",
                    )
                    .that_may_pass(true);
                return Err(match told {
                    Err(cause) => error.caused_by(cause),
                    Ok(_) => error,
                });
            }
            client.poll(PAUSE);
        }
    }
}

/// As the Java client makes a number that is not negative.
fn positive(hash: u32) -> u32 {
    hash & 0x7fff_ffff
}

/// MurmurHash2 as the Java client computes it (`org.apache.kafka.common.utils.Utils.murmur2`), and librdkafka for keys
/// (`murmur2_random`).
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ bytes.len() as u32; // of a record's size
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte)).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of Kafka's own test, `UtilsTest.testMurmur2`.
    #[test]
    fn the_hash_is_that_of_the_java_client() {
        for (text, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, hash, "{text}");
        }
    }
}
