//! The heartbeat of our own: a statement that is run on the server again and again, on a connection of its own. It moves the log of a
//! server on which nothing else is written. Without such a statement nothing is ever written to the source.

use std::{sync::Arc, time::Duration};

use mysql_async::{Conn, prelude::Queryable};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connection::Connector;
use sluicegate_config::Heartbeat;
use sluicegate_model::Result;
use sluicegate_status::Status;

/// Begins to run the statement, if there is one, until the guard is dropped.
pub(super) fn start(connector: &Connector, heartbeat: &Heartbeat, status: &Arc<Status>) -> Option<DropGuard> {
    let beat = Beat {
        connector: connector.clone(),
        statement: heartbeat.statement.clone()?,
        every: heartbeat.every,
        status: status.clone(),
        session: None,
    };
    let stop = CancellationToken::new();
    let over = stop.clone();
    tokio::spawn(async move { over.run_until_cancelled(beat.go_on()).await });
    Some(stop.drop_guard())
}

/// The server's text may hold a value of the statement or of a row: number and SQL state say what is wrong.
fn without_text(error: mysql_async::Error) -> mysql_async::Error {
    match error {
        mysql_async::Error::Server(error) => {
            let message = "its text is left out, as it may hold values".to_owned();
            mysql_async::Error::Server(mysql_async::ServerError { message, ..error })
        }
        other => other,
    }
}

struct Beat {
    connector: Connector,
    statement: String,
    every: Duration,
    status: Arc<Status>,
    /// The connection, and the server that it leads to.
    session: Option<(Conn, String)>,
}

impl Beat {
    async fn go_on(mut self) {
        let mut tick = interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fails = false;
        loop {
            tick.tick().await;
            match self.beat().await {
                Ok(()) => {
                    self.status.source.heartbeats.add(1);
                    if fails {
                        tracing::info!("the heartbeat statement works again");
                    }
                    fails = false;
                }
                Err(error) => {
                    self.session = None;
                    self.status.source.heartbeat_failures.add(1);
                    if !fails {
                        let remedy = error.remedy_text().unwrap_or_default();
                        tracing::warn!(error = error.chain(), remedy, "the heartbeat statement fails; the stream goes on");
                    }
                    fails = true;
                }
            }
        }
    }

    async fn beat(&mut self) -> Result<()> {
        // the stream may have gone to another server
        if self.session.as_ref().is_some_and(|(_, address)| address != self.connector.address()) {
            self.session = None;
        }
        let (conn, _) = match &mut self.session {
            Some(session) => session,
            None => {
                let address = self.connector.address().to_owned();
                self.session.insert((self.connector.connect().await?, address))
            }
        };
        let answer = conn.query_drop(&self.statement);
        let answer = async { answer.await.map_err(without_text) };
        self.connector.within("run the heartbeat statement on", answer).await
    }
}
