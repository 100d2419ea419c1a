//! The readers of copies: each takes one table after the other.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use tokio::{sync::mpsc, task::JoinSet};

use super::{
    command::Command,
    lanes::TableLane,
    reader::{Halt, Reader, Shared},
    throttle::Throttle,
};
use crate::stream;
use sluicegate_config::Snapshot;
use sluicegate_model::{Error, ErrorKind, limits::COPY_BYTES};
use sluicegate_status::CopyState;

/// The tables that are copied, and who reads them.
pub struct Readers {
    tables: Arc<Mutex<VecDeque<TableLane>>>,
    readers: u32,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Readers {
    pub fn new(tables: Vec<TableLane>, settings: &Snapshot, stream: &stream::Reader, commands: mpsc::Sender<Command>) -> Self {
        for table in &tables {
            stream.status.copies.update(&table.name.to_string(), |numbers| numbers.state = CopyState::Waiting);
        }
        let readers = settings.readers().min(u32::try_from(tables.len()).unwrap_or(u32::MAX)).max(1);
        let shared = Shared {
            connector: stream.connector.clone(),
            limits: stream.limits.clone(),
            status: stream.status.clone(),
            throttle: Throttle::new(settings),
            settings: settings.clone(),
            row_image: stream.row_image,
            // one chunk is read while the one before it waits to be delivered
            chunk_bytes: COPY_BYTES / (2 * readers as usize),
            estimated: AtomicBool::new(false),
        };
        Self { tables: Arc::new(Mutex::new(tables.into())), readers, shared: Arc::new(shared), commands }
    }

    /// Copies all tables.
    pub async fn run(self) {
        let mut readers = JoinSet::new();
        for _ in 0..self.readers {
            let (mut reader, tables) = (Reader::new(self.shared.clone(), self.commands.clone()), self.tables.clone());
            readers.spawn(async move {
                while let Some(table) = next(&tables) {
                    reader.copy(table).await?;
                }
                Ok(())
            });
        }
        while let Some(ended) = readers.join_next().await {
            let error = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(Halt::Stop)) => return,
                Ok(Err(Halt::Failed(error))) => error,
                Err(error) => Error::new(ErrorKind::Internal, "a reader of copies has ended").caused_by(error),
            };
            // the stream's own connection is not at fault
            let error = if error.kind() == ErrorKind::Connection { error.with_kind(ErrorKind::Source) } else { error };
            // a stream that has ended needs nothing further
            let _ = self.commands.send(Command::Failed(error)).await;
            return;
        }
        let _ = self.commands.send(Command::Finished).await;
    }
}

fn next(tables: &Mutex<VecDeque<TableLane>>) -> Option<TableLane> {
    tables.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}
