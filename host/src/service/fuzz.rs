//! Entrance for the fuzz target in `host/fuzz`: whatever bytes a connection to the HTTP address brings, an answer or the connection's end.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use axum::{Extension, extract::ConnectInfo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::{admin, connection::Clock};
use sluicegate_model::limits::Limits;
use sluicegate_status::{PluginStatus, Status};

/// One connection, the client's side of which is held here.
struct Once(Option<DuplexStream>);

impl axum::serve::Listener for Once {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.0.take() {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(())
    }
}

/// The bytes of a connection to an address with `admin: true`.
pub fn http_request(data: &[u8]) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let status = Status { plugins: [PluginStatus::new("filter")].into_iter().collect(), ..Status::default() };
    status.started.store(true, Ordering::Relaxed);
    // nobody takes the requests: they are refused at once
    let (admin, requests) = admin::channel(&Limits { plugin_file_bytes: 1000, ..Limits::default() });
    drop(requests);
    let (mut client, server) = duplex(64 << 10);
    let router = admin::router(admin, Arc::new(status)).layer(Extension(ConnectInfo(Clock::default())));
    runtime.block_on(async {
        let serving = async {
            match axum::serve(Once(Some(server)), router).await {
                Ok(()) | Err(_) => std::future::pending::<Infallible>().await,
            }
        };
        let asking = async {
            let (mut reader, mut writer) = tokio::io::split(&mut client);
            let mut answers = Vec::new();
            let ask = async {
                // a server that has closed the connection takes nothing further
                let _ = writer.write_all(data).await;
                let _ = writer.shutdown().await;
            };
            let (_, read) = tokio::join!(ask, reader.read_to_end(&mut answers));
            assert!(read.is_ok());
            assert!(answers.is_empty() || answers.starts_with(b"HTTP/1."), "an answer that is not HTTP");
            assert!(!answers.starts_with(b"HTTP/1.1 500"), "a request that the server has no answer to");
        };
        tokio::select! {
            _ = serving => {}
            () = asking => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn http_request_takes_any_bytes() {
        fuzz::run("http_request", super::http_request, 100);
    }
}
