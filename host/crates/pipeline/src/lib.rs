//! Wires source, plugins and sinks together.
//!
//! The source runs as a task, the chain on a thread of its own or on several, and each sink on a thread of its own; bounded
//! queues of items stand between them. Each sink commits its own progress to the checkpoint, after what it wrote is durable. The
//! source starts at the least place of all sinks, and tells which changes a sink had.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod any_source;
mod apart;
mod beginning;
mod blocking;
mod check;
mod delivery;
mod folders;
mod gate;
mod hub;
mod in_force;
mod kept;
mod letters;
mod memory;
mod next_run;
mod opening;
mod output;
mod parallel;
mod place_in_log;
mod prepare;
mod reach;
mod reached;
mod reload;
pub mod replay;
pub mod request;
mod sample;
mod schema_store;
pub mod sinks;
mod swap;
mod treatments;
mod unread;
mod versions;
mod worker;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::any_source::AnySource;
pub use check::{Report, TableReport, check};
pub use kept::Kept;
pub use next_run::{Commands, NextRun, Reset, SavedProgress, Wanted};
pub use sinks::state_elsewhere;
pub use treatments::{closed, release};

use apart::Apart;
use beginning::begins;
use blocking::blocking;
use delivery::{Context, Delivery, Turn};
use gate::Gate;
use hub::{Hub, Seat};
use in_force::InForce;
use memory::Memory;
use opening::Opened;
use output::{Made, Output};
use prepare::Ready;
use reached::Reached;
use reload::{Capture, Reloader, Setup};
use sample::{Sampler, Samples};
use sluicegate_config::{self as config, PluginOrigin, WhenSlow};
use sluicegate_model::{
    Error, ErrorKind, Result,
    budget::Budget,
    change::{Frontier, Item, TableName},
    limits::{HELD_INTERVAL, JOIN_INTERVAL},
};
use sluicegate_source::{Items, Ledger, Source};
use sluicegate_state::{Checkpoint, Progress};
use sluicegate_status::Status;
use versions::Versions;
use worker::{Way, Worker};

/// What a run did.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Changes read from the source.
    pub changes: u64,
    /// Time from the start of the stream to the end.
    pub elapsed: Duration,
    /// Where the checkpoint stands.
    pub state: PathBuf,
    /// Whether the stream began: a stop may come while the start is still waiting for a server.
    pub began: bool,
}

impl Summary {
    /// Of a run that was stopped before its stream began.
    fn nothing(pipeline: config::Pipeline) -> Self {
        Self { changes: 0, elapsed: Duration::ZERO, state: pipeline.state, began: false }
    }
}

/// Numbers for a pipeline, with names filled in.
pub fn status(pipeline: &config::Pipeline) -> Arc<Status> {
    use sluicegate_status::{PluginStatus, SinkStatus};
    let sink = |sink: &config::Sink| {
        let numbers = SinkStatus { name: sink.name.clone(), ..Default::default() };
        if sink.when_slow == WhenSlow::Apart {
            numbers.apart.allow();
        }
        numbers
    };
    Arc::new(Status {
        plugins: pipeline.plugins.iter().map(|p| PluginStatus::new(&p.name)).collect(),
        sinks: pipeline.sinks.iter().map(sink).collect(),
        ..Default::default()
    })
}

/// How places of the pipeline's source compare. Nothing is connected.
pub fn ledger(pipeline: &config::Pipeline) -> Arc<dyn Ledger> {
    AnySource::new(pipeline, &status(pipeline)).ledger()
}

/// The schema that a table has in a dump, in the form in which versions of schemas are kept for the pipeline's source; `place` is from
/// where on it holds.
///
/// # Errors
/// `Config`: the source keeps none, or one of the texts cannot be used.
pub fn schema_of_dump(pipeline: &config::Pipeline, table: &str, place: &str, dump: &str) -> Result<(TableName, String)> {
    match &pipeline.source {
        config::Source::MySql(_) => sluicegate_mysql::schema_of_dump(table, place, dump),
        config::Source::Generator(_) | config::Source::SqlServer(_) | config::Source::Kafka(_) | config::Source::DeadLetters(_) => {
            Err(Error::new(ErrorKind::Config, "the pipeline's source needs no schemas of tables")
                .remedy("name a pipeline that reads a MySQL or MariaDB server"))
        }
    }
}

/// Asks that a table is copied anew at the next start, for every sink. Answers which copy of it that is.
///
/// # Errors
/// `Config`: the source copies no tables, or does not capture this one. `State`: the checkpoint cannot be read or written.
pub fn copy_anew(pipeline: &config::Pipeline, checkpoint: &Checkpoint, table: &str) -> Result<u32> {
    let config::Source::MySql(settings) = &pipeline.source else {
        return Err(Error::new(ErrorKind::Config, "the pipeline's source copies no tables")
            .remedy("name a pipeline that reads a MySQL or MariaDB server"));
    };
    let sinks: Vec<_> = checkpoint.all()?.into_iter().map(|(_, progress)| progress.frontier).collect();
    let (number, kept) = sluicegate_mysql::copy_anew(settings, checkpoint.captured()?.as_deref(), &sinks, table)?;
    checkpoint.keep_captured(&kept)?;
    Ok(number)
}

/// Runs a pipeline until its source ends, `stop` is cancelled, or an error. Whatever was read before is drained.
///
/// A source server or a broker that cannot be reached at the start is waited for, as long as `limits.retry_window` says.
///
/// When it returns, nothing of the run commits any more. A thread that is stuck in one call (a write to a pipe that nobody reads)
/// cannot be ended: the error after `limits.drain_timeout` says so. That call may still write; nothing behind it does, and until it
/// returns the state file is locked, so that no other run of the pipeline can begin beside it.
pub async fn run(pipeline: config::Pipeline, status: Arc<Status>, stop: CancellationToken) -> Result<Summary> {
    run_with(pipeline, status, stop, Commands::default()).await
}

/// The same, granting requests, and ending for another run where that is asked for.
pub async fn run_with(pipeline: config::Pipeline, status: Arc<Status>, stop: CancellationToken, commands: Commands) -> Result<Summary> {
    let Commands { requests, next, reset, kept } = commands;
    if status.ended.load(Ordering::Acquire) {
        return Err(Error::new(ErrorKind::Internal, "the numbers given to a run are those of one that has ended"));
    }
    let can_swap = requests.is_some() || can_swap(&pipeline);
    let memory = Memory::of(&pipeline, can_swap)?;
    let budget = Budget::new(memory.of_batches(pipeline.plugins.len())?);
    let budget = status.budget.get_or_init(|| budget).clone();
    // what writes is always waited for; what only computes or waits is abandoned at a stop
    let opening = {
        let (state, name) = (pipeline.state.clone(), pipeline.name.clone());
        move || Checkpoint::open(&state, &name)
    };
    let checkpoint = Arc::new(blocking("checkpoint", opening).await?);
    let dead_letters = letters::of(&pipeline);
    let around = prepare::surroundings(&pipeline, &status, &dead_letters);
    around.known.treatments().remember(treatments::read(checkpoint.treatments()?)?);
    treatments::admit(around.known.treatments(), &pipeline.plugins)?;
    treatments::close(around.known.treatments(), &pipeline.plugins);
    let preparing = {
        let (pipeline, around, kept) = (pipeline.clone(), around.clone(), kept.clone());
        move || prepare::ready(&pipeline, &around, &kept)
    };
    let Ready { engine, members, contents, mut chains } = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Summary::nothing(pipeline)),
        ready = blocking("prepare", preparing) => ready?,
    };
    if let Some(chain) = chains.first() {
        prepare::note(chain, &members, &status);
        prepare::announce(chain, &members);
    }

    let looking = {
        let (checkpoint, status) = (checkpoint.clone(), status.clone());
        move || Ok((pauses(&checkpoint, &status)?, checkpoint.all()?, checkpoint.left()?))
    };
    let (stored_pauses, mut progress, left) = blocking("checkpoint", looking).await?;
    let reset = reset.and_then(|reset| {
        let index = pipeline.sinks.iter().position(|sink| sink.name == reset.output)?;
        let known = progress.iter_mut().find(|(name, _)| *name == reset.output);
        let kept = known.zip(pipeline.sinks.get(index)).map(|((_, known), sink)| {
            known.state = state_elsewhere(sink, &known.state);
            known.state.clone()
        });
        Some((index, reset, kept.unwrap_or_default()))
    });
    // what a sink knows that forgot its place is all that it needs to resume
    let left = left.into_iter().map(|(name, state)| (name, Progress { frontier: Frontier::default(), state }));
    let known: Vec<(String, Progress)> = progress.iter().cloned().chain(left).collect();
    let membership = match &pipeline.source {
        config::Source::Kafka(settings) => sluicegate_kafka_source::membership(settings),
        _ => None,
    };
    let resumed = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Summary::nothing(pipeline)),
        resumed = opening::resume(&pipeline, &known, &dead_letters, &status, membership.as_ref()) => resumed?,
    };
    let stored: Vec<_> = resumed.iter().map(|sink| sink.stored.clone()).collect();
    let mut begins = begins(&progress, &stored, &pipeline)?;
    if let Some((index, reset, _)) = &reset {
        beginning::reset(&mut begins, *index, reset);
    }
    let mut source = AnySource::new(&pipeline, &status);
    source.keep_schemas(Arc::new(schema_store::InCheckpoint(checkpoint.clone())));
    if let Some(membership) = membership {
        source.share(membership);
    }
    source.set_aside_in(Arc::new(unread::Unread(source.connector(), dead_letters.clone())));
    let apart_is_wanted = apart::is_wanted(&pipeline, &source)?;
    // before the sinks begin: they undo what came after their progress, and nothing is undone that the source cannot give again
    let starts = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Summary::nothing(pipeline)),
        reached = reach::all(&mut source, &begins, &pipeline, &status) => {
            reached.map_err(|error| beginning::in_topics(error, &stored, &pipeline))?
        }
    };
    if beginning::is_now(&begins, &pipeline)
        && let Some(mut chain) = chains.pop()
    {
        // a change of a table's columns counts from here on, also before the first of its rows
        let tables = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(Summary::nothing(pipeline)),
            tables = reach::tables(&source, &pipeline, &status) => tables?,
        };
        let foreseeing = move || {
            tables.iter().for_each(|table| chain.foresee(table));
            Ok(chain)
        };
        chains.push(blocking("plan", foreseeing).await?);
    }
    // before anything is delivered: sinks without progress begin here, also after a crash before their first commit
    let storing = {
        let (checkpoint, pipeline, starts) = (checkpoint.clone(), pipeline.clone(), starts.clone());
        move || {
            if let Some((index, reset, state)) = reset
                && let Some(start) = starts.get(index)
            {
                tracing::info!(sink = reset.output, position = %place_in_log::frontier(start), "the output begins at another place");
                checkpoint.set(&reset.output, &Progress { frontier: start.clone(), state })?;
            }
            checkpoint.begin(pipeline.sinks.iter().map(|s| s.name.as_str()).zip(&starts))
        }
    };
    blocking("checkpoint", storing).await?;
    let ledger = source.ledger();
    // a stream apart would not know from which place on
    let control = if apart_is_wanted { None } else { source.control() };
    let capture = Capture { control, checkpoint: Arc::downgrade(&checkpoint), runtime: tokio::runtime::Handle::current() };

    // a failure anywhere ends everything else in order: what is already read is drained, and nothing more is asked for
    let failed = stop.child_token();
    let gate = Arc::new(Gate::new(checkpoint.clone(), dead_letters.clone(), status.clone(), around.known.clone()));
    let mut together = apart::together(&pipeline, &starts, &*ledger);
    let paused: Vec<bool> = status.sinks.iter().map(|sink| sink.apart.is_paused()).collect();
    together.iter_mut().zip(&paused).for_each(|(together, paused)| *together &= !paused);
    let mut sinks = Vec::new();
    let each = pipeline.sinks.iter().zip(&starts).zip(resumed).zip(&mut together);
    for (index, (((settings, start), sink), together)) in each.enumerate() {
        let context = Context {
            name: settings.name.clone(),
            index,
            checkpoint: gate.clone(),
            dead_letters: dead_letters.clone(),
            status: status.clone(),
            interval: pipeline.limits.checkpoint_interval,
            rate: settings.rate,
            stop: failed.clone(),
        };
        let encoder = sinks::encoder(settings, &pipeline.name, source.connector(), source.capabilities(), &pipeline.limits);
        let (made, reason) = match opening::begin(&pipeline, settings, sink, start, encoder, *together).await? {
            Opened::Begun(sink) => {
                let reached = Reached::new(ledger.clone(), start.clone());
                (Made::Begun(Box::new(Delivery::new(context.clone(), sink, reached, budget.clone()))), String::new())
            }
            Opened::Apart(made, _) if paused.get(index) == Some(&true) => (made, "it is paused".to_owned()),
            Opened::Apart(made, reason) => (made, reason),
        };
        *together = matches!(made, Made::Begun(_));
        sinks.push((settings, context, made, reason));
    }
    let mut versions = Versions::beside(&pipeline.state);
    if let Some(chain) = chains.first() {
        let (members, status, checkpoint, rules) = (members.clone(), status.clone(), checkpoint.clone(), chain.rules());
        let known = around.known.clone();
        // before anything is delivered: from now on no start does without what is `fail_closed`; behind whatever a start fails of
        let settling = move || {
            treatments::store(&checkpoint, known.treatments())?;
            checkpoint.keep_treatments(&rules.iter().map(String::as_str).collect::<Vec<_>>())?;
            prepare::settle(&versions, &members, contents, &status).map(|()| versions)
        };
        versions = blocking("versions", settling).await?;
    }
    let queue = pipeline.limits.queue_batches;
    let (to_chain, from_source) = mpsc::channel::<Item>(queue);
    let (swap_in, swap_out) = mpsc::channel(1);
    let mut threads = Vec::new();
    let seats = pipeline.sinks.iter().zip(&together);
    let seats = seats.map(|(sink, attached)| Seat { attached: *attached, may_leave: sink.when_slow == WhenSlow::Apart });
    // where all begin apart, the stream waits at the place of the first one
    let first = together.iter().position(|together| *together).unwrap_or_default();
    let begin = starts.get(first).cloned().unwrap_or_default();
    let hub = Hub::new(seats, begin, queue, pipeline.limits.apart_after, ledger.clone(), budget.clone(), status.clone());
    let in_force = InForce::new(members.clone(), around.clone());
    kept.runs(engine.clone(), in_force.clone());
    let apart = apart_is_wanted.then(|| {
        Arc::new(Apart {
            source: source.beside(&pipeline, "", &status),
            pipeline: pipeline.clone(),
            plugins: in_force.clone(),
            gate: gate.clone(),
            ledger: ledger.clone(),
            budget: budget.clone(),
            hub: hub.clone(),
            stop: failed.clone(),
            runtime: tokio::runtime::Handle::current(),
        })
    });
    for (settings, context, made, reason) in sinks {
        let name = format!("sink-{}", settings.name);
        let (together, settings) = (matches!(made, Made::Begun(_)), settings.clone());
        let job = match (made, &apart) {
            (Made::Begun(mut delivery), _) if settings.when_slow == WhenSlow::Hold => {
                let reader = hub.reader(context.index);
                spawn(&name, &failed, &gate, move || delivery.run(&reader, None, |_| Ok(Turn::On)).map(|_| ()))
            }
            (made, Some(apart)) => {
                let kept = stored_pauses.contains(&settings.name);
                let output = Output { apart: apart.clone(), context, settings, made, together, reason, before: None, kept };
                spawn(&name, &failed, &gate, move || output.run())
            }
            _ => Err(Error::new(ErrorKind::Internal, format!("{name} was not begun"))),
        };
        threads.push(job?);
    }
    let ending = tokio::spawn({
        let (failed, hub) = (failed.clone(), hub.clone());
        async move {
            failed.cancelled().await;
            hub.drain();
        }
    });
    let watching = apart.map(|apart| tokio::spawn(output::watch(apart, HELD_INTERVAL)));
    let samples = can_swap.then(Samples::default);
    let to_sinks = hub.sender();
    let way = match (chains.pop(), chains.is_empty()) {
        (Some(chain), true) => Way::Here { chain: Box::new(chain), to_sinks },
        (last, _) => {
            chains.extend(last);
            let (workers, appliers, collector) = parallel::workers(chains, around.known.clone(), to_sinks);
            for (index, applier) in appliers.into_iter().enumerate() {
                threads.push(spawn(&format!("plugins-{index}"), &failed, &gate, move || applier.run())?);
            }
            threads.push(spawn("collect", &failed, &gate, move || collector.run())?);
            Way::Workers(workers)
        }
    };
    let worker = Worker {
        way,
        from_source,
        swaps: swap_out,
        sampler: Sampler::new(samples.clone(), pipeline.limits.batch_bytes),
        status: status.clone(),
        reached: swap::Reached::default(),
        checkpoint: gate.clone(),
    };
    threads.push(spawn("plugins", &failed, &gate, move || worker.run())?);
    let looking = check::at_start::look(pipeline.clone(), members.clone(), status.clone(), failed.clone());
    let reloader = match samples {
        Some(samples) => {
            let setup = Setup {
                engine,
                members,
                in_force,
                around,
                memory,
                swaps: swap_in,
                samples,
                versions,
                started: pipeline.clone(),
                capture,
                next,
                kept,
            };
            let runtime = tokio::runtime::Handle::current();
            let starting = move || {
                let _entered = runtime.enter();
                Reloader::start(setup, requests)
            };
            Some(blocking("watch", starting).await?)
        }
        None => None,
    };
    status.started.store(true, Ordering::Relaxed);
    let looking = tokio::spawn(looking);

    let begin = Instant::now();
    let first: Vec<Frontier> = starts.iter().zip(&together).filter(|(_, together)| **together).map(|(start, _)| start.clone()).collect();
    // where none begins with the others, these wait at the place of the first sink
    let first = if first.is_empty() { starts.get(..1).unwrap_or_default().to_vec() } else { first };
    let items = Items::new(to_chain, budget.clone());
    let begun = items.begun();
    let told = starts.clone();
    let tell = async {
        begun.cancelled().await;
        for (settings, start) in pipeline.sinks.iter().zip(&told) {
            tracing::info!(sink = %settings.name, position = %place_in_log::frontier(start), "streaming from this position on");
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = source.run(first, items, failed.clone()) => ended,
        never = tell => never,
    };
    if ended.is_err() {
        failed.cancel();
    }
    status.stopping.store(true, Ordering::Relaxed);
    // outputs that are apart read on to the end of the stream, too
    let (drained, stuck) = join(threads, pipeline.limits.drain_timeout, || !failed.is_cancelled() && hub.is_one_apart()).await;
    ending.abort();
    if let Some(watching) = watching {
        watching.abort();
        // it holds the gate until then
        let _ = watching.await;
    }
    gate.close().await;
    // threads that are left wait for nothing more
    budget.close();
    drop(reloader);
    looking.abort();
    // a sink's or plugin's failure is the cause where there is one: the source then ended because nobody listened
    let cause = drained.and(ended);
    if let (Err(_), Err(stuck)) = (&cause, &stuck) {
        tracing::error!(error = %stuck.chain(), "a thread is left behind, too");
    }
    // one that did not end is no cause, but for a drain that nothing else ended
    cause.and(stuck)?;
    Ok(Summary { changes: status.source.changes.get(), elapsed: begin.elapsed(), state: pipeline.state, began: true })
}

/// Lets outputs that were paused stay so, unless an operator has asked for something else meanwhile. Answers those that the checkpoint has.
fn pauses(checkpoint: &Checkpoint, status: &Status) -> Result<Vec<String>> {
    let stored = checkpoint.paused()?;
    for sink in &status.sinks {
        let paused = stored.contains(&sink.name);
        if sink.apart.is_allowed() {
            sink.apart.restore_pause(paused);
        } else if paused {
            tracing::warn!(sink = sink.name, "the output was paused, and goes on: it no longer has `when_slow: apart`");
            checkpoint.keep_paused(&sink.name, false)?;
        }
    }
    Ok(stored)
}

/// Whether its plugins may be swapped: the pipeline file, or that of a plugin, may be written anew.
fn can_swap(pipeline: &config::Pipeline) -> bool {
    pipeline.file.is_some() || pipeline.plugins.iter().any(|plugin| matches!(plugin.origin, PluginOrigin::File(_)))
}

type Job = (String, tokio::sync::oneshot::Receiver<thread::Result<Result<()>>>);

/// A thread whose end can be awaited; its failure cancels the others. It keeps the gate until it has ended.
fn spawn(name: &str, failed: &CancellationToken, gate: &Arc<Gate>, job: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Job> {
    let (ended, end) = tokio::sync::oneshot::channel();
    let (failed, gate) = (failed.clone(), gate.clone());
    thread::Builder::new()
        .name(name.chars().take(15).collect())
        .spawn(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            drop(gate);
            if !matches!(result, Ok(Ok(()))) {
                failed.cancel();
            }
            let _ = ended.send(result);
        })
        .map_err(|e| Error::new(ErrorKind::Internal, format!("the thread {name} cannot be started")).caused_by(e))?;
    Ok((name.to_owned(), end))
}

/// Waits for all threads, at most `most` from when `takes_longer` no longer says otherwise; the first failure counts, and the others
/// are logged. Beside it, that a thread did not end.
async fn join(jobs: Vec<Job>, most: Duration, takes_longer: impl Fn() -> bool) -> (Result<()>, Result<()>) {
    let mut end = tokio::time::Instant::now() + most;
    let (mut first, mut stuck) = (Ok(()), Ok(()));
    for (name, mut job) in jobs {
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut job => break Ok(outcome),
                () = tokio::time::sleep_until(end) => break Err(()),
                () = tokio::time::sleep(JOIN_INTERVAL) => {}
            }
            if takes_longer() {
                end = tokio::time::Instant::now() + most;
            }
        };
        let result = match outcome {
            Ok(Ok(Ok(result))) => result,
            Ok(_) => Err(Error::new(ErrorKind::Internal, format!("the thread {name} panicked"))
                .remedy("this is a fault of this program: please report it with the log")),
            Err(()) => {
                let error = Error::new(ErrorKind::Sink, format!("{name} did not drain within {} s", most.as_secs())).remedy(
                    "nothing is lost: the next start goes on at the checkpoint; raise limits.drain_timeout if the sink is just slow",
                );
                if let Err(before) = std::mem::replace(&mut stuck, Err(error)) {
                    tracing::error!(error = %before.chain(), "a thread is left behind");
                }
                continue;
            }
        };
        match (&first, result) {
            (_, Ok(())) => {}
            (Ok(()), Err(error)) => first = Err(error),
            (Err(_), Err(error)) => tracing::error!(error = %error.chain(), "{name} failed too"),
        }
    }
    (first, stuck)
}
