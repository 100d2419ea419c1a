//! `sluicegate run`.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{FAILED, Run, again::Again, block_on, logging::Look, summary};
use crate::service::{admin, http::Server, live::Console};
use sluicegate_authoring as authoring;
use sluicegate_config::{self as config, Pipeline, SinkKind, Source};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_pipeline::{self as pipeline, Commands, Kept, NextRun, Reset, SavedProgress};
use sluicegate_status::{Status, relaxed};

/// What `/readyz` waits for while a pipeline is about to start over.
const AFTER_FAILURE: &str = "the pipeline to start over";

/// Loads the pipeline and runs it to its end; the plugins in the folders of `--watch-build` are built before, and when they change.
pub(super) fn run(arguments: &Run, console: &Console, look: Look) -> Result<()> {
    authoring::rebuild(&arguments.watch_build)?;
    let settings = load(arguments)?;
    block_on(follow(arguments.clone(), settings, console.clone(), look))
}

fn load(arguments: &Run) -> Result<Pipeline> {
    let mut settings = config::load(&arguments.pipeline.path)?;
    if arguments.until_drained {
        match &mut settings.source {
            Source::SqlServer(source) => source.until_drained = true,
            Source::Generator(_) | Source::MySql(_) | Source::Kafka(_) | Source::DeadLetters(_) => {
                return Err(Error::new(ErrorKind::Config, "only a source of type `sqlserver` has an end to drain up to")
                    .remedy("leave `--until-drained` out; SIGTERM ends a run after what has been read"));
            }
        }
    }
    Ok(settings)
}

/// Runs the pipeline; and again after a failure that may pass, and with other outputs.
async fn follow(arguments: Run, mut settings: Pipeline, console: Console, look: Look) -> Result<()> {
    let stop = CancellationToken::new();
    watch_signals(stop.clone(), console.clone())?;
    let mut again = Again::new(&settings.limits);
    let (mut waiting, mut reset, mut refused) = (None, None, None);
    let kept = Arc::new(Kept::default());
    // what ran before the settings changed: the pipeline goes on with it where it does not start with the change
    let mut fallback: Option<Fallback> = None;
    loop {
        let status = pipeline::status(&settings);
        let end = stop.child_token();
        let next = Arc::new(NextRun::new(end.clone(), refused.take()));
        let commands = Commands { requests: None, next: Some(next.clone()), reset: reset.clone(), kept: kept.clone() };
        let ended = once(settings.clone(), &status, waiting.take(), (&end, &stop), &console, look, commands).await;
        if relaxed(&status.started) {
            (fallback, reset) = (None, None);
        }
        if let Some(running) = next.running() {
            settings = running;
        }
        if let Some(wanted) = next.take().filter(|_| !stop.is_cancelled()) {
            if let Err(error) = ended {
                // a thread that is stuck keeps the checkpoint: the next run waits for it
                tracing::error!(error = %error.chain(), "the pipeline failed while it drained: what was not delivered comes again");
            }
            let before = std::mem::replace(&mut settings, wanted.pipeline);
            fallback = Some(Fallback::to(before, wanted.reset.clone(), Some(wanted.content)).await?);
            (reset, refused) = (wanted.reset, None);
            continue;
        }
        let Err(error) = ended else { return Ok(()) };
        // what may pass is tried again with the same settings; what does not, or not for the whole window, gives way to what ran before
        let delay = match error.may_pass() || fallback.is_none() {
            true => again.after(error, &status),
            false => Err(error),
        };
        let (delay, error) = match (delay, fallback.take_if(|_| !stop.is_cancelled())) {
            (Err(error), Some(before)) => {
                tracing::error!(
                    error = error.chain(),
                    remedy = error.remedy_text().unwrap_or_default(),
                    "the pipeline does not start with the edited file, or with what was asked for: it goes on as before"
                );
                ((settings, refused), reset) = (before.take().await?, None);
                continue;
            }
            (delay, before) => {
                fallback = before;
                delay?
            }
        };
        tracing::warn!(
            error = error.chain(),
            remedy = error.remedy_text().unwrap_or_default(),
            retry_in_ms = delay.as_millis() as u64,
            "the pipeline failed, and starts over at its checkpoint"
        );
        waiting = Some((delay, error));
        let arguments = arguments.clone();
        let loading = tokio::task::spawn_blocking(move || load(&arguments));
        let loaded = match loading.await.map_err(panicked)? {
            Ok(loaded) => loaded,
            // an edit that is refused while the pipeline runs is no reason to end it later
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    remedy = error.remedy_text().unwrap_or_default(),
                    "the pipeline file cannot be used: the pipeline starts over with what it ran with"
                );
                continue;
            }
        };
        let started_over = Kept::start_over(loaded, &settings);
        let running = std::mem::replace(&mut settings, started_over);
        if fallback.is_none() && (running.sinks != settings.sinks || running.source != settings.source) {
            // an edit that was refused, or not yet looked at, is no reason to end
            fallback = Some(Fallback::to(running, None, None).await?);
        }
    }
}

/// What the pipeline goes on with if it does not start with other settings.
struct Fallback {
    settings: Pipeline,
    saved: SavedProgress,
    reset: Option<Reset>,
    /// Hash of the pipeline file that asks for the others.
    content: Option<String>,
}

impl Fallback {
    async fn to(settings: Pipeline, reset: Option<Reset>, content: Option<String>) -> Result<Self> {
        let looking = move || SavedProgress::of(&settings).map(|saved| Self { settings, saved, reset, content });
        tokio::task::spawn_blocking(looking).await.map_err(panicked)?
    }

    /// The settings, and the hash; what the start has stored of outputs is taken back.
    async fn take(self) -> Result<(Pipeline, Option<String>)> {
        let Self { settings, saved, reset, content } = self;
        let restoring = move || saved.restore(&settings, reset.as_ref()).map(|()| (settings, content));
        tokio::task::spawn_blocking(restoring).await.map_err(panicked)?
    }
}

fn panicked(cause: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a task of the start panicked").caused_by(cause)
}

/// One run, after a wait if the one before it failed. `end` ends the run, `stop` the program.
async fn once(
    settings: Pipeline,
    status: &Arc<Status>,
    waiting: Option<(Duration, Error)>,
    (end, stop): (&CancellationToken, &CancellationToken),
    console: &Console,
    look: Look,
    mut commands: Commands,
) -> Result<()> {
    let over = CancellationToken::new();
    let _ends_the_side_tasks = over.clone().drop_guard();
    let mut serving = None;
    if let Some(address) = settings.http {
        let mut server = Server::bind(address).await?.with_labels(settings.labels.clone());
        tracing::info!(address = %server.address(), plugins = settings.admin, "serving /healthz, /readyz and /metrics");
        if settings.admin {
            let (admin, received) = admin::channel(&settings.limits);
            server = server.with_admin(admin);
            commands.requests = Some(received);
        }
        let (name, limits, status, over) = (settings.name.clone(), settings.limits.clone(), status.clone(), over.clone());
        serving = Some(tokio::spawn(async move {
            if let Err(error) = server.serve(&name, status, &limits, over).await {
                tracing::error!(error = %error.chain(), "health and metrics are no longer served");
            }
        }));
    }
    if let Some((delay, error)) = waiting {
        status.waiting.begin(AFTER_FAILURE, error.message());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = tokio::time::sleep(delay) => {}
        }
        status.waiting.end(AFTER_FAILURE);
    }
    // records on the same terminal would be torn by a live line
    let records_here = settings.sinks.iter().any(|s| matches!(s.kind, SinkKind::Stdout)) && std::io::stdout().is_terminal();
    let live = look.terminal && !look.json && !records_here;
    let following = tokio::spawn({
        let (console, status, over) = (console.clone(), status.clone(), over.clone());
        async move { console.follow(status, live, over).await }
    });
    tracing::info!(pipeline = %settings.name, version = env!("CARGO_PKG_VERSION"), "starting");
    let result = pipeline::run_with(settings.clone(), status.clone(), end.clone(), commands).await;
    over.cancel();
    // the live line is gone before anything else is printed; a panic in it must not hide the result
    let _ = following.await;
    // the next run binds the same address
    if let Some(serving) = serving {
        let _ = serving.await;
    }
    let done = result?;
    if end.is_cancelled() && !stop.is_cancelled() {
        // another run follows
        return Ok(());
    }
    if look.json {
        summary::log(&settings, status, &done);
    } else {
        console.print(&summary::text(&settings, status, &done));
    }
    Ok(())
}

/// The first SIGTERM, SIGINT or SIGHUP drains, a second one ends at once. A SIGHUP that is ignored at the start (`nohup`) stays so.
fn watch_signals(stop: CancellationToken, console: Console) -> Result<()> {
    let listen = |kind: SignalKind| -> Result<Signal> {
        signal(kind).map_err(|e| Error::new(ErrorKind::Internal, "signals cannot be received").caused_by(e))
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let mut hangup = if ignores_hangup() { None } else { Some(listen(SignalKind::hangup())?) };
    tokio::spawn(async move {
        let mut next = async || {
            let hangup = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hangup => "SIGHUP",
            }
        };
        let first = next().await;
        tracing::info!(signal = first, "draining what has been read; a second signal ends at once");
        stop.cancel();
        let second = next().await;
        tracing::warn!(signal = second, "ending at once; the next run goes on at the checkpoint");
        console.print("ended at once by a second signal: nothing is lost, the next run goes on at the checkpoint\n");
        std::process::exit(FAILED.into());
    });
    Ok(())
}

/// Whether the process was started with SIGHUP ignored, as the kernel tells it: a mask whose first bit is signal 1.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
