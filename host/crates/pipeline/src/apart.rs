//! Outputs that are apart: each has a session of the source and a chain of its own, from where its sink is, until it has caught up.
//!
//! Nothing is kept for such an output, since the source can give everything again: its session begins at what is durable in the sink,
//! like a start. A swap ends the session, and the next one has the new plugins.

use std::sync::Arc;

use tokio::{runtime::Handle, sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Job,
    any_source::AnySource,
    gate::Gate,
    hub::{Hub, Reader, Seat},
    in_force::InForce,
    sample::Sampler,
    schema_store,
    swap::Reached,
    worker::{Way, Worker},
};
use sluicegate_config::{Pipeline, WhenSlow};
use sluicegate_model::{
    Error, ErrorKind, Result,
    budget::Budget,
    change::{Frontier, Item},
};
use sluicegate_source::{Begin, Items, Ledger, Source};
use sluicegate_status::Status;

/// What the outputs share that may go apart.
pub(super) struct Apart {
    pub pipeline: Pipeline,
    /// Of this the sessions are made.
    pub source: AnySource,
    pub plugins: Arc<InForce>,
    pub gate: Arc<Gate>,
    pub ledger: Arc<dyn Ledger>,
    /// The budget of the others.
    pub budget: Arc<Budget>,
    /// The queues of the stream of the others.
    pub hub: Arc<Hub>,
    /// Cancelled when the run ends.
    pub stop: CancellationToken,
    pub runtime: Handle,
}

/// Whether outputs of the pipeline may go apart.
///
/// # Errors
/// `Config`: its source cannot be read twice.
pub(super) fn is_wanted(pipeline: &Pipeline, source: &AnySource) -> Result<bool> {
    match pipeline.sinks.iter().find(|sink| sink.when_slow == WhenSlow::Apart) {
        None => Ok(false),
        Some(_) if source.reads_twice() => Ok(true),
        Some(sink) => {
            let what = format!("the sink `{}` has `when_slow: apart`, but the pipeline's source cannot be read twice at a time", sink.name);
            Err(Error::new(ErrorKind::Config, what).remedy("write `when_slow: hold`, or give the sink a pipeline of its own"))
        }
    }
}

/// Which sinks begin together, by their places: those that the others wait for, and of the rest those that have everything that these
/// have. Where all may be apart, the first one that has everything of all counts, else the first.
pub(super) fn together(pipeline: &Pipeline, starts: &[Frontier], ledger: &dyn Ledger) -> Vec<bool> {
    let all = 0..pipeline.sinks.len();
    let covers = |one: usize, other: usize| {
        one == other || starts.get(one).zip(starts.get(other)).is_some_and(|(one, other)| super::hub::covers(ledger, one, other))
    };
    let mut first: Vec<usize> =
        all.clone().zip(&pipeline.sinks).filter(|(_, sink)| sink.when_slow == WhenSlow::Hold).map(|(index, _)| index).collect();
    if first.is_empty() {
        first.push(all.clone().find(|index| all.clone().all(|other| covers(*index, other))).unwrap_or_default());
    }
    all.map(|index| first.contains(&index) || first.iter().all(|other| covers(index, *other))).collect()
}

/// A stream of one output.
pub(super) struct Session {
    pub reader: Reader,
    pub budget: Arc<Budget>,
    /// Its source's numbers.
    pub status: Arc<Status>,
    /// Which plugins its chain has.
    pub generation: u64,
    stop: DropGuard,
    source: JoinHandle<Result<()>>,
    worker: Job,
}

impl Apart {
    /// A source for a sink that is at `frontier`, and where it begins; `None` when the run ends.
    pub fn check(&self, sink: &str, frontier: Frontier) -> Result<Option<(AnySource, Arc<Status>, Frontier)>> {
        let status = Arc::new(Status::default());
        let mut source = self.source.beside(&self.pipeline, sink, &status);
        source.keep_schemas(Arc::new(schema_store::Beside(self.gate.checkpoint().clone())));
        let begins = [Begin::At(frontier)];
        let checked = self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => None,
                checked = source.check(&begins) => Some(checked),
            }
        });
        match checked.transpose()?.and_then(|starts| starts.into_iter().next()) {
            Some(start) => Ok(Some((source, status, start))),
            None => Ok(None),
        }
    }

    /// Starts a stream.
    pub fn open(&self, sink: &str, source: AnySource, status: Arc<Status>, start: Frontier) -> Result<Session> {
        let limits = &self.pipeline.limits;
        let (chain, generation) = self.plugins.chain()?;
        let budget = Budget::new(super::memory::of_one_apart(limits));
        let seat = Seat { attached: true, may_leave: false };
        let (ledger, numbers) = (self.ledger.clone(), status.clone());
        let hub = Hub::new([seat], start.clone(), limits.queue_batches, limits.apart_after, ledger, budget.clone(), numbers);
        let reader = hub.reader(0);
        let (to_chain, from_source) = mpsc::channel::<Item>(limits.queue_batches);
        // nothing is swapped here
        let (_, swaps) = mpsc::channel(1);
        let worker = Worker {
            way: Way::Here { chain: Box::new(chain), to_sinks: hub.sender() },
            from_source,
            swaps,
            sampler: Sampler::new(None, 0),
            status: status.clone(),
            reached: Reached::default(),
            checkpoint: self.gate.clone(),
        };
        let stop = self.stop.child_token();
        let worker = super::spawn(&format!("apart-{sink}"), &stop, &self.gate, move || worker.run())?;
        let items = Items::new(to_chain, budget.clone());
        let source = {
            let stop = stop.clone();
            self.runtime.spawn(async move { source.run(vec![start], items, stop).await })
        };
        Ok(Session { reader, budget, status, generation, stop: stop.drop_guard(), source, worker })
    }
}

impl Session {
    /// Ends the stream, if it has not ended; answers what it failed of.
    pub async fn end(self) -> Result<()> {
        let Self { reader, budget, stop, source, worker, .. } = self;
        drop(stop);
        drop(reader);
        budget.close();
        let (name, worker) = worker;
        let panicked = |name: &str| {
            Error::new(ErrorKind::Internal, format!("the thread {name} panicked"))
                .remedy("this is a fault of this program: please report it with the log")
        };
        let worked = match worker.await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(panicked(&name)),
        };
        let read = source.await.unwrap_or_else(|_| Err(panicked("of the source")));
        // a plugin's failure is the cause where there is one: the source then ended because nobody listened
        worked.and(read)
    }
}
