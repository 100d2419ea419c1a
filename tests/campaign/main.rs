//! The campaign: a real database that is written to all the time, a real broker, and the program between them, while random things
//! happen. The program and the broker are killed, the network to either breaks off, stalls or loses answers, a plugin is swapped, outputs
//! are paused, added, removed and brought back. After each round the writers pause, and every output has to have every change once, in the
//! order of its key; at the end, a consumer of Kafka's own and the files are judged once more, as a whole, beside the tables.
//!
//! Short by default; `tests/campaign/run 200` is long. The seed is printed: `SLUICEGATE_SEED` repeats its decisions, though not the moments.

mod chaos;
mod journal;
mod judge;
mod output;
#[path = "../main_job/random.rs"]
mod random;
mod writer;

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// For anything that takes a moment; machines under load take several.
const PATIENCE: Duration = Duration::from_secs(120);

/// A number that the environment gives.
fn given(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn seed() -> u64 {
    given("SLUICEGATE_SEED").unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as u64)
}

mod with_kafka {
    use sluicegate_harness::{mariadb, mysql};

    use super::{chaos::Campaign, given, seed};

    /// Rounds where the environment does not say how many.
    const ROUNDS: u64 = 4;

    #[test]
    fn every_output_has_every_change_once_whatever_happens_mariadb() {
        Campaign::run(mariadb::start(&[]), seed(), given("SLUICEGATE_CAMPAIGN_ROUNDS").unwrap_or(ROUNDS));
    }

    #[test]
    fn every_output_has_every_change_once_whatever_happens_mysql() {
        Campaign::run(mysql::start(&[]), seed(), given("SLUICEGATE_CAMPAIGN_ROUNDS").unwrap_or(ROUNDS));
    }
}
