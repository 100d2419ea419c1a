//! The thread of a sink that may go apart: it delivers from the stream of all, or from one of its own, and joins the others again where
//! both have been.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::{
    apart::Apart,
    beginning,
    delivery::{Context, Delivery, Outcome, Turn},
    hub::{covers, departs},
    reach,
    reached::Reached,
    sinks,
};
use sluicegate_config::Sink as Settings;
use sluicegate_model::{
    Error, ErrorKind, Result,
    change::Frontier,
    limits::{HELD_INTERVAL, JOIN_HOLD, JOIN_INTERVAL, JOIN_PAUSE},
};
use sluicegate_sink::Resume;
use sluicegate_source::{Patience, Source as _};
use sluicegate_status::{Apart as Numbers, Standing};

/// A sink that may go apart.
pub(super) struct Output {
    pub apart: Arc<Apart>,
    pub context: Context,
    pub settings: Settings,
    pub made: Made,
    /// Whether it begins with the stream of all, to which its queue is then attached.
    pub together: bool,
    /// Why not, in words.
    pub reason: String,
    /// The stream that it had before, which may not have ended.
    pub before: Option<JoinHandle<()>>,
    /// Whether the checkpoint says that it is paused.
    pub kept: bool,
}

/// How far the sink is made.
pub(super) enum Made {
    /// It failed, or was never there.
    Nothing,
    Resumed(Box<dyn Resume>),
    Begun(Box<Delivery>),
}

/// What went wrong while a sink was apart.
enum Fault {
    /// With the sink or its stream: it is tried again.
    Passing(Error),
    /// With what all share.
    Final(Error),
}

impl Output {
    /// Delivers until the streams end, or something fails that all share, or that did not get better for the whole of
    /// `limits.retry_window`.
    pub fn run(mut self) -> Result<()> {
        let ended = self.deliver();
        self.wait_for_the_stream_before();
        ended
    }

    fn deliver(&mut self) -> Result<()> {
        let queue = self.apart.hub.reader(self.context.index);
        let mut patience = Patience::new(self.apart.pipeline.limits.retry_window);
        if !self.is_paused() {
            // an operator let it go on while the pipeline started
            self.keep_paused(false)?;
        }
        if !self.together {
            let reason = std::mem::take(&mut self.reason);
            self.departs(&reason);
        }
        loop {
            if self.together {
                let Made::Begun(delivery) = &mut self.made else { return Err(unmade()) };
                match delivery.run(&queue, None, |_| Ok(Turn::On)) {
                    Ok(Outcome::Left) => self.together = false,
                    Ok(Outcome::Ended | Outcome::Joined) => return Ok(()),
                    Err(error) if delivery.has_failed() && !self.apart.stop.is_cancelled() => {
                        queue.leave();
                        self.made = Made::Nothing;
                        self.departs(&error.chain());
                        if !self.waits(&mut patience, error)? {
                            return Ok(());
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            if !self.wait_while_paused()? {
                return Ok(());
            }
            let alone = self.alone();
            if let Made::Begun(delivery) = &mut self.made
                && delivery.take_committed()
            {
                patience.reset();
            }
            match alone {
                Ok(Outcome::Joined) => self.joins(),
                Ok(Outcome::Left) => {}
                Ok(Outcome::Ended) => return Ok(()),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing(error)) => {
                    if let Made::Begun(delivery) = &self.made
                        && delivery.has_failed()
                    {
                        self.made = Made::Nothing;
                    }
                    if !self.waits(&mut patience, error)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Waits as long as an operator wants it to; `false` when the run ends meanwhile.
    ///
    /// # Errors
    /// `State`: it cannot be stored that the output is paused, or no longer is.
    fn wait_while_paused(&mut self) -> Result<bool> {
        let stop = self.apart.stop.clone();
        let mut told = false;
        while self.is_paused() && !stop.is_cancelled() {
            if !told {
                told = true;
                // before it is told: the next start goes by it
                self.keep_paused(true)?;
                self.numbers(|numbers| numbers.stand(Standing::Paused));
                tracing::info!(sink = %self.context.name, "the output is paused");
            }
            self.apart.runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(HELD_INTERVAL) => {}
                }
            });
        }
        if !self.is_paused() {
            // also when the run ends
            self.keep_paused(false)?;
        }
        if told && !self.apart.stop.is_cancelled() {
            self.numbers(|numbers| numbers.stand(Standing::Apart));
            tracing::info!(sink = %self.context.name, "the output goes on");
        }
        Ok(!self.apart.stop.is_cancelled())
    }

    /// Stores whether it is paused.
    fn keep_paused(&mut self, paused: bool) -> Result<()> {
        if self.kept != paused {
            self.apart.gate.checkpoint().keep_paused(&self.context.name, paused)?;
            self.kept = paused;
        }
        Ok(())
    }

    fn is_paused(&self) -> bool {
        self.context.status.sinks.get(self.context.index).is_some_and(|numbers| numbers.apart.is_paused())
    }

    /// Delivers from a stream of its own.
    fn alone(&mut self) -> Result<Outcome, Fault> {
        let apart = self.apart.clone();
        // there is no memory for two
        self.wait_for_the_stream_before();
        let progress = apart.gate.progress(&self.context.name).map_err(Fault::Final)?;
        let mut frontier = progress.frontier.clone();
        if !matches!(self.made, Made::Begun(_)) {
            let (resumed, stored) = self.resumed(&progress.state).map_err(Fault::Passing)?;
            self.made = Made::Resumed(resumed);
            frontier = beginning::place(&progress, stored.as_ref());
        }
        let checked = apart.check(&self.context.name, frontier).map_err(Fault::Passing)?;
        let Some((source, status, start)) = checked else { return Ok(Outcome::Ended) };
        let limits = &apart.pipeline.limits;
        let mut delivery = match std::mem::replace(&mut self.made, Made::Nothing) {
            Made::Begun(delivery) => delivery,
            Made::Nothing => return Err(Fault::Final(unmade())),
            Made::Resumed(resumed) => {
                let encoder = sinks::encoder(&self.settings, &apart.pipeline.name, source.connector(), source.capabilities(), limits);
                let named = |e: Error| e.context(format_args!("sink `{}`", self.context.name));
                let sink = resumed.begin(&start, encoder).map_err(|e| Fault::Passing(named(e)))?;
                let reached = Reached::apart(apart.ledger.clone(), start.clone());
                Box::new(Delivery::new(self.context.clone(), sink, reached, apart.budget.clone()))
            }
        };
        delivery.reached = Reached::apart(apart.ledger.clone(), start.clone());
        let session = match apart.open(&self.context.name, source, status, start) {
            Ok(session) => session,
            Err(error) => {
                self.made = Made::Begun(delivery);
                return Err(Fault::Passing(error));
            }
        };
        delivery.budget = session.budget.clone();
        self.numbers(|numbers| numbers.reads(Some(session.status.clone())));
        let mut way = WayBack { output: self, generation: session.generation, held: None, target: None, look: Instant::now() };
        let outcome = delivery.run(&session.reader, Some(JOIN_INTERVAL), |reached| way.turn(reached));
        way.release();
        self.numbers(|numbers| numbers.reads(None));
        if matches!(outcome, Ok(Outcome::Joined)) {
            delivery.reached.joined().map_err(Fault::Final)?;
            delivery.budget = apart.budget.clone();
            self.made = Made::Begun(delivery);
            // the others are not kept waiting
            self.before = Some(apart.runtime.spawn(async move {
                if let Err(error) = session.end().await {
                    tracing::debug!(error = %error.chain(), "a stream that is needed no longer ended with an error");
                }
            }));
            return Ok(Outcome::Joined);
        }
        let ended = apart.runtime.block_on(session.end());
        let failed = delivery.has_failed();
        self.made = Made::Begun(delivery);
        match (outcome, ended) {
            (Err(error), _) if failed => Err(Fault::Passing(error)),
            (Err(error), _) => Err(Fault::Final(error)),
            (Ok(Outcome::Ended), Err(error)) => Err(Fault::Passing(error)),
            (Ok(outcome), _) => Ok(outcome),
        }
    }

    fn wait_for_the_stream_before(&mut self) {
        if let Some(before) = self.before.take() {
            // it has logged what it ended of
            let _ = self.apart.runtime.block_on(before);
        }
    }

    /// The sink before it begins, and the progress that it stores itself.
    fn resumed(&mut self, state: &str) -> Result<(Box<dyn Resume>, Option<Frontier>)> {
        let Context { name, index, dead_letters, status, .. } = &self.context;
        let limits = &self.apart.pipeline.limits;
        let mut resumed = match std::mem::replace(&mut self.made, Made::Nothing) {
            Made::Resumed(resumed) => resumed,
            _ => {
                self.apart.runtime.block_on(reach::sink(&self.settings, limits))?;
                sinks::resume(&self.settings, Some(state), limits, dead_letters.clone(), status.clone(), *index)?
            }
        };
        let stored = resumed.resume().map_err(|e| e.context(format_args!("sink `{name}`")))?;
        Ok((resumed, stored))
    }

    fn numbers(&self, note: impl FnOnce(&Numbers)) {
        if let Some(numbers) = self.context.status.sinks.get(self.context.index) {
            note(&numbers.apart);
        }
    }

    /// The others go on without it.
    fn departs(&mut self, reason: &str) {
        self.together = false;
        departs(&self.context.status, self.context.index, reason);
    }

    fn joins(&mut self) {
        self.together = true;
        tracing::info!(sink = %self.context.name, "the output has caught up: it goes with the others again");
    }

    /// Waits before another attempt; `false` when the run ends meanwhile.
    ///
    /// # Errors
    /// `error` itself, when no attempt has worked for long enough.
    fn waits(&self, patience: &mut Patience, error: Error) -> Result<bool> {
        let stop = &self.apart.stop;
        if stop.is_cancelled() {
            tracing::warn!(sink = %self.context.name, error = %error.chain(), "the output is behind: the next start goes on at its place");
            return Ok(false);
        }
        let (delay, error) = patience.delay(error)?;
        self.numbers(|numbers| {
            numbers.failures.add(1);
            numbers.because(&error.chain());
        });
        tracing::warn!(
            sink = %self.context.name,
            error = error.chain(),
            remedy = error.remedy_text().unwrap_or_default(),
            retry_in_ms = delay.as_millis() as u64,
            "the output is apart, and failed; it is tried again"
        );
        Ok(self.apart.runtime.block_on(async {
            tokio::select! {
                biased;
                () = stop.cancelled() => false,
                () = tokio::time::sleep(delay) => true,
            }
        }))
    }
}

fn unmade() -> Error {
    Error::new(ErrorKind::Internal, "an output without a sink")
}

/// How an output that is apart comes back: it notes where the others are, and when it gets there soon enough they wait for it.
struct WayBack<'a> {
    output: &'a Output,
    /// Which plugins its chain has.
    generation: u64,
    /// Until when the others wait.
    held: Option<Instant>,
    /// Where the others were, and when.
    target: Option<(Frontier, Instant)>,
    /// When it is worth to look again.
    look: Instant,
}

impl WayBack<'_> {
    fn turn(&mut self, reached: &Reached) -> Result<Turn> {
        let (apart, index) = (&self.output.apart, self.output.context.index);
        if apart.plugins.generation() != self.generation || self.output.is_paused() {
            return Ok(Turn::Leave);
        }
        let now = Instant::now();
        if (self.held.is_none() && now < self.look) || apart.hub.is_over() {
            return Ok(Turn::On);
        }
        self.look = now + JOIN_INTERVAL;
        let own = reached.place()?;
        if self.held.is_none() {
            let (target, since) = self.target.get_or_insert_with(|| (apart.hub.passed(), now));
            if !covers(&*apart.ledger, &own, target) {
                return Ok(Turn::On);
            }
            let near = since.elapsed() <= JOIN_HOLD;
            self.target = None;
            if !near {
                return Ok(Turn::On);
            }
            self.output.numbers(|numbers| numbers.stand(Standing::Joining));
            apart.hub.hold(index);
            self.held = Some(now + JOIN_HOLD);
        }
        if apart.hub.attach(index, &own) {
            self.held = None;
            return Ok(Turn::Joined);
        }
        if self.held.is_some_and(|until| now >= until) {
            self.release();
            self.look = now + JOIN_PAUSE;
        }
        Ok(Turn::On)
    }

    /// The others do not wait any longer.
    fn release(&mut self) {
        if self.held.take().is_some() {
            self.output.apart.hub.release(self.output.context.index);
            self.output.numbers(|numbers| numbers.stand(Standing::Apart));
        }
    }
}

/// Notices, until the run ends, which outputs hold the others back by the memory of their batches, and which are to wait.
pub(super) async fn watch(apart: Arc<Apart>, every: Duration) {
    let mut before = Instant::now();
    while !apart.stop.is_cancelled() {
        tokio::time::sleep(every).await;
        let now = Instant::now();
        apart.hub.look(now.duration_since(before));
        before = now;
    }
}
