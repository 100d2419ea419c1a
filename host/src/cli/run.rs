//! `sluicegate run`.

use std::io::IsTerminal as _;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{FAILED, Run, block_on, logging::Look, summary};
use crate::service::{admin, http::Server, live::Console};
use sluicegate_authoring as authoring;
use sluicegate_config::{self as config, Pipeline, SinkKind, Source};
use sluicegate_model::{Error, ErrorKind, Result};
use sluicegate_pipeline as pipeline;

/// Loads the pipeline and runs it to its end; the plugins in the folders of `--watch-build` are built before, and when they change.
pub(super) fn run(arguments: &Run, console: &Console, look: Look) -> Result<()> {
    authoring::rebuild(&arguments.watch_build)?;
    let mut settings = config::load(&arguments.pipeline.path)?;
    if arguments.until_drained {
        match &mut settings.source {
            Source::SqlServer(source) => source.until_drained = true,
            Source::Generator(_) | Source::MySql(_) => {
                return Err(Error::new(ErrorKind::Config, "only a source of type `sqlserver` has an end to drain up to")
                    .remedy("leave `--until-drained` out; SIGTERM ends a run after what has been read"));
            }
        }
    }
    block_on(follow(settings, console.clone(), look))
}

async fn follow(settings: Pipeline, console: Console, look: Look) -> Result<()> {
    let status = pipeline::status(&settings);
    let stop = CancellationToken::new();
    let over = CancellationToken::new();
    let _ends_the_side_tasks = over.clone().drop_guard();
    watch_signals(stop.clone(), console.clone())?;
    let mut requests = None;
    if let Some(address) = settings.http {
        let mut server = Server::bind(address).await?;
        tracing::info!(address = %server.address(), plugins = settings.admin, "serving /healthz, /readyz and /metrics");
        if settings.admin {
            let (admin, received) = admin::channel(&settings.limits);
            server = server.with_admin(admin);
            requests = Some(received);
        }
        let (name, limits, status, over) = (settings.name.clone(), settings.limits.clone(), status.clone(), over.clone());
        tokio::spawn(async move {
            if let Err(error) = server.serve(&name, status, &limits, over).await {
                tracing::error!(error = %error.chain(), "health and metrics are no longer served");
            }
        });
    }
    // records on the same terminal would be torn by a live line
    let records_here = settings.sinks.iter().any(|s| matches!(s.kind, SinkKind::Stdout)) && std::io::stdout().is_terminal();
    let live = look.terminal && !look.json && !records_here;
    let following = tokio::spawn({
        let (console, status, over) = (console.clone(), status.clone(), over.clone());
        async move { console.follow(status, live, over).await }
    });
    tracing::info!(pipeline = %settings.name, version = env!("CARGO_PKG_VERSION"), "starting");
    let result = pipeline::run_with_admin(settings.clone(), status.clone(), stop, requests).await;
    over.cancel();
    // the live line is gone before anything else is printed; a panic in it must not hide the result
    let _ = following.await;
    let done = result?;
    if look.json {
        summary::log(&settings, &status, &done);
    } else {
        console.print(&summary::text(&settings, &status, &done));
    }
    Ok(())
}

/// The first SIGTERM or SIGINT drains, a second one ends at once.
fn watch_signals(stop: CancellationToken, console: Console) -> Result<()> {
    let listen = |kind: SignalKind| -> Result<Signal> {
        signal(kind).map_err(|e| Error::new(ErrorKind::Internal, "signals cannot be received").caused_by(e))
    };
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
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
