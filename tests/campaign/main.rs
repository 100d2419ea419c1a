//! The campaign: a real database that is written to all the time, a real broker, and the program between them, while random things
//! happen. The program and the broker are killed, the network to either breaks off, stalls or loses answers, a plugin is swapped, outputs
//! are paused, added, removed and brought back. After each round the writers pause, and every output has to have every change once, in the
//! order of its key; at the end, a consumer of Kafka's own and the files are judged once more, as a whole, beside the tables.
//!
//! Short by default; `tests/campaign/run` is long, with another seed each time. `SLUICEGATE_SEED` repeats a run's decisions, though not its
//! moments.

mod chaos;
mod journal;
mod judge;
mod output;
#[path = "../main_job/random.rs"]
mod random;
mod writer;

use std::{env, time::Duration};

/// For anything that takes a moment; machines under load take several.
const PATIENCE: Duration = Duration::from_secs(120);

/// A number that the environment gives.
fn given(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

mod with_kafka {
    use sluicegate_harness::{database::Server, mariadb, mysql};

    use super::{chaos::Campaign, given};

    /// `seed` and `rounds`: where the environment does not say.
    fn run(server: Server, seed: u64, rounds: u64) {
        Campaign::run(server, given("SLUICEGATE_SEED").unwrap_or(seed), given("SLUICEGATE_CAMPAIGN_ROUNDS").unwrap_or(rounds));
    }

    #[test]
    fn every_output_has_every_change_once_whatever_happens_mariadb() {
        run(mariadb::start(&[]), 2201, 2);
    }

    #[test]
    fn every_output_has_every_change_once_whatever_happens_mysql() {
        run(mysql::start(&[]), 1002, 2);
    }
}
