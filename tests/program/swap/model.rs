//! Random swaps, kills and rows, against a model.
//!
//! The model: a life of the program begins at some change (it says which) and takes back what was written behind it. In a
//! life each swap that took over says at which change. So every record's versions are known: those of the last life that
//! began at or before it, after the last swap at or before it. The one thing that is not known is a swap that took over just
//! before a kill and could not say so any more.

use proptest::{prelude::*, test_runner::Config};

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A new version of the component, used twice in the chain.
    Swap,
    /// A file that is no component.
    Broken,
    /// A component that cannot do with the configuration.
    Misconfigured,
    /// The columns' names are exchanged in the pipeline file, and exchanged back.
    Edit,
    /// Some rows pass.
    Rows,
    /// kill -9, and a new life.
    Kill,
    /// A version is installed, and the program killed at once.
    SwapAndKill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Swap),
        1 => Just(Step::Broken),
        1 => Just(Step::Misconfigured),
        2 => Just(Step::Edit),
        1 => Just(Step::Rows),
        2 => Just(Step::Kill),
        1 => Just(Step::SwapAndKill),
    ];
    prop::collection::vec(step, 4..10)
}

/// What the chain does: the component's version, and whether the columns' names are exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain {
    version: u32,
    exchanged: bool,
}

struct Life {
    from: u64,
    /// What runs from which change on.
    chains: Vec<(u64, Chain)>,
    /// What may have taken over without a word before the end.
    perhaps: Option<Chain>,
}

struct World {
    host: Sluicegate,
    workers: u64,
    process: Option<Process>,
    lives: Vec<Life>,
    /// What the files say now.
    wanted: Chain,
    versions: u32,
    bad: u8,
}

fn text(workers: u64, exchanged: bool) -> String {
    let (a, b) = if exchanged { ("b", "a") } else { ("a", "b") };
    let plugins = format!(
        "  - {{ name: one, file: stamp.wasm, config: {{ column: {a} }} }}\n  - {{ name: two, file: stamp.wasm, config: {{ column: {b} }} }}"
    );
    format!("workers: {workers}\n{}", pipeline(&plugins))
}

/// The number of the generator's next change at the position that a line names.
fn change(line: &Value) -> u64 {
    let position = line["position"].as_str().and_then(|text| text.find('{').map(|at| &text[at..])).expect("a position");
    serde_json::from_str::<Value>(position).expect("JSON")["change"].as_u64().expect("a number")
}

impl World {
    fn new(workers: u64) -> Self {
        let host = host(&text(workers, false));
        let process = Some(host.spawn());
        let wanted = Chain { version: 1, exchanged: false };
        let mut world = Self { host, workers, process, lives: Vec::new(), wanted, versions: 1, bad: 0 };
        world.begin();
        world
    }

    fn lines(&self, message: &str) -> Vec<Value> {
        lines(self.process.as_ref().expect("runs"), message)
    }

    fn wait(&mut self, message: &str, count: usize) -> Vec<Value> {
        wait_for_lines(self.process.as_mut().expect("runs"), message, count)
    }

    /// Notes where the life that has just begun begins.
    fn begin(&mut self) {
        let told = self.wait("streaming from this position on", 1);
        let from = change(&told[0]);
        self.lives.push(Life { from, chains: vec![(from, self.wanted)], perhaps: None });
    }

    fn took_over(&mut self, line: &Value) {
        let at = change(line);
        self.lives.last_mut().expect("a life").chains.push((at, self.wanted));
    }

    fn next_version(&mut self) -> Vec<u8> {
        self.versions += 1;
        self.wanted.version = self.versions;
        guests::stamp(self.versions)
    }

    fn run(&mut self, step: &Step) {
        let stamp = self.host.path("stamp.wasm");
        match step {
            Step::Swap => {
                let count = self.lines("plugin swapped").len();
                install(&stamp, &self.next_version());
                let told = self.wait("plugin swapped", count + 2);
                self.took_over(&told[count]);
            }
            Step::Broken | Step::Misconfigured => {
                // never the same content twice: it would be told only once
                self.bad += 1;
                let component = if matches!(step, Step::Broken) { guests::truncated() } else { guests::standard("rewrite-columns") };
                let component = variant(&component, self.bad);
                let count = self.lines("the new plugin file is refused").len();
                let swaps = self.lines("plugin swapped").len();
                install(&stamp, &component);
                self.wait("the new plugin file is refused", count + 1);
                assert_eq!(self.lines("plugin swapped").len(), swaps, "a bad file never takes over");
                // the good one again, or the next life could not begin; it runs already
                install(&stamp, &guests::stamp(self.wanted.version));
                more_records(&self.host, self.process.as_mut().expect("runs"));
                assert_eq!(self.lines("plugin swapped").len(), swaps);
            }
            Step::Edit => {
                let count = self.lines("pipeline edited").len();
                self.wanted.exchanged = !self.wanted.exchanged;
                install(&self.host.path("pipeline.yaml"), text(self.workers, self.wanted.exchanged).as_bytes());
                let told = self.wait("pipeline edited", count + 1);
                self.took_over(&told[count]);
            }
            Step::Rows => more_records(&self.host, self.process.as_mut().expect("runs")),
            Step::Kill => self.kill(),
            Step::SwapAndKill => {
                install(&stamp, &self.next_version());
                self.lives.last_mut().expect("a life").perhaps = Some(self.wanted);
                self.kill();
            }
        }
    }

    fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill9();
        }
        self.process = Some(self.host.spawn());
        self.begin();
    }

    /// Ends in order and compares every record with the model.
    fn check(mut self) -> Result<(), TestCaseError> {
        more_records(&self.host, self.process.as_mut().expect("runs"));
        end(self.process.take().expect("runs"));
        let records = records(&self.host);
        // a swap that could not say so any more may have taken over at any one change of its life, for all behind it
        let mut unsaid = vec![false; self.lives.len()];
        for (index, (number, record)) in records.iter().enumerate() {
            prop_assert_eq!(*number, index as u64, "each change once, in order");
            let life = self.lives.iter().rposition(|life| life.from <= *number).expect("the first life begins at 0");
            let Life { chains, perhaps, .. } = &self.lives[life];
            let (_, known) = chains.iter().rfind(|(at, _)| at <= number).expect("a chain from the life's beginning on");
            let found = [&record["a"], &record["b"]];
            let fits = |chain: &Chain| {
                let version = format!("VERSION-{:04}", chain.version);
                found.iter().all(|f| **f == version.as_str())
            };
            let is_last = chains.last().is_some_and(|(at, _)| at <= number);
            if is_last && !fits(known) && perhaps.as_ref().is_some_and(fits) {
                unsaid[life] = true;
            } else {
                prop_assert!(fits(known) && !unsaid[life], "change {number} of life {life}: {found:?}, not {known:?}");
            }
            // which column stands first tells the configuration: both plugins and their configurations change together
            let first = record.as_object().and_then(|r| r.keys().find(|k| *k == "a" || *k == "b")).map(String::as_str);
            prop_assert_eq!(first, Some(if known.exchanged { "b" } else { "a" }), "change {}", number);
        }
        Ok(())
    }
}

proptest! {
    // each case is some seconds of a real program
    #![proptest_config(Config { cases: 12, failure_persistence: None, max_shrink_iters: 0, ..Config::default() })]

    #[test]
    fn whatever_is_swapped_and_killed_each_row_is_delivered_once_in_order_by_one_version(workers in 1..=2u64, steps in steps()) {
        let mut world = World::new(workers);
        for step in &steps {
            world.run(step);
        }
        world.check()?;
    }
}
