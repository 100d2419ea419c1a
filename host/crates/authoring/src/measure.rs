//! What a plugin costs a row, beside the boundary alone and a copy of the rows in native code.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use super::{rows::Rows, trial::Subject};
use sluicegate_model::{Result, change::Batch};

/// Changes in a batch that are measured.
pub const SIZES: [usize; 4] = [1, 16, 256, 1024];

/// A round repeats the work until it has taken so long.
const ROUND: Duration = Duration::from_millis(60);

/// Rounds of each measurement. The fastest counts: what else the machine does only ever makes a round slower.
const ROUNDS: usize = 7;

/// One way to treat a batch.
#[derive(Clone, Debug)]
pub struct Way {
    /// Its name.
    pub name: String,
    /// Nanoseconds a change, for each of [`SIZES`].
    pub nanoseconds: [f64; SIZES.len()],
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// A copy in native code, the plugin that changes nothing, and the plugin. The copy that precedes each call is not counted.
    pub ways: Vec<Way>,
    /// How much slower the median round was than the fastest, at worst: 0.1 = 10 %.
    pub noise: f64,
}

/// Measures a plugin over changes.
pub fn measure(subject: &Subject, rows: &Rows) -> Result<Measurement> {
    let mut ways = vec![Way { name: "copy in native code".into(), nanoseconds: [0.0; SIZES.len()] }];
    let mut noise = 0f64;
    let batches = |size: usize| (0..(1024 / size).clamp(1, 64)).map(|i| rows.batch(i * size, size)).collect::<Result<Vec<Batch>>>();
    for (place, size) in SIZES.into_iter().enumerate() {
        let batches = batches(size)?;
        let timed = best(batches.len() * size, &mut noise, || {
            batches.iter().for_each(|batch| drop(black_box(batch.clone())));
            Ok(())
        })?;
        ways[0].nanoseconds[place] = timed;
    }
    for (name, subject) in [("no-op plugin".to_owned(), &Subject::no_op()?), (subject.title()?, subject)] {
        let mut nanoseconds = [0.0; SIZES.len()];
        for (place, size) in SIZES.into_iter().enumerate() {
            let batches = batches(size)?;
            let mut chain = subject.chain()?;
            let timed = best(batches.len() * size, &mut noise, || {
                batches.iter().try_for_each(|batch| chain.apply(batch.clone()).map(|answer| drop(black_box(answer))))
            })?;
            nanoseconds[place] = (timed - ways[0].nanoseconds[place]).max(0.0);
        }
        ways.push(Way { name, nanoseconds });
    }
    Ok(Measurement { ways, noise })
}

/// Nanoseconds for each of `count` items of the work, in the fastest round.
fn best(count: usize, noise: &mut f64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut round = |repeats: u32| -> Result<f64> {
        let began = Instant::now();
        (0..repeats).try_for_each(|_| work())?;
        Ok(began.elapsed().as_nanos() as f64)
    };
    let mut repeats = 1;
    while round(repeats)? < ROUND.as_nanos() as f64 && repeats < 1 << 24 {
        repeats *= 2;
    }
    let mut rounds = (0..ROUNDS).map(|_| round(repeats)).collect::<Result<Vec<f64>>>()?;
    rounds.sort_by(f64::total_cmp);
    let (fastest, median) = (rounds[0].max(1.0), rounds[ROUNDS / 2]);
    *noise = noise.max(median / fastest - 1.0);
    Ok(fastest / f64::from(repeats) / count as f64)
}
