//! `GET /healthz`, `/readyz`, `/metrics` and `/tables`, and `/plugins` and `/outputs` where it is allowed.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State as Shared,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{
    admin::{self, Admin},
    connection::{BoundedListener, Clock},
    metrics, outputs,
    readiness::Watch,
    tables,
};
use sluicegate_model::{Error, ErrorKind, Result, limits::Limits};
use sluicegate_status::Status;

/// A bound address. Nobody is answered before [`Server::serve`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    admin: Option<Admin>,
    labels: BTreeMap<String, String>,
}

impl Server {
    /// Binds `address`; port 0 = any free one.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let refuse = |error: io::Error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => "another process has this port: stop it, or choose another port in the pipeline file's `http`",
                io::ErrorKind::AddrNotAvailable => "this machine has no such address: correct the pipeline file's `http`",
                io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one in the pipeline file's `http`",
                _ => "correct the pipeline file's `http`",
            };
            Error::new(ErrorKind::Precheck, format!("the HTTP address {address} cannot be bound")).caused_by(error).remedy(remedy)
        };
        let listener = TcpListener::bind(address).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Self { listener, address, admin: None, labels: BTreeMap::new() })
    }

    /// The address with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `/plugins`, too. Only for an address that no other machine can reach.
    pub fn with_admin(self, admin: Admin) -> Self {
        Self { admin: Some(admin), ..self }
    }

    /// Gives all metrics these labels.
    pub fn with_labels(self, labels: BTreeMap<String, String>) -> Self {
        Self { labels, ..self }
    }

    /// Answers until `stop` is cancelled.
    pub async fn serve(self, pipeline: &str, status: Arc<Status>, limits: &Limits, stop: CancellationToken) -> Result<()> {
        let watch = Arc::new(Mutex::new(Watch::new(&status, limits.stalled_after)));
        let view = View {
            registry: Arc::new(metrics::registry(pipeline, &self.labels, status.clone())),
            status: status.clone(),
            watch: watch.clone(),
        };
        let mut router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(scrape))
            .route("/tables", get(list_tables))
            .with_state(view);
        if let Some(admin) = self.admin {
            router = router.merge(admin::router(admin, status.clone())).merge(outputs::router(status.clone()));
        }
        let bounded = BoundedListener::new(self.listener, limits.http_connections, limits.http_connection_time);
        let service = router.into_make_service_with_connect_info::<Clock>();
        let looking = async {
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                watch.lock().unwrap_or_else(PoisonError::into_inner).look(&status, Instant::now());
            }
        };
        // connections that are still open when the pipeline ends are cut: the process ends anyway
        tokio::select! {
            served = axum::serve(bounded, service).into_future() => {
                served.map_err(|e| Error::new(ErrorKind::Internal, "the HTTP server ended").caused_by(e))
            }
            () = looking => Ok(()),
            () = stop.cancelled() => Ok(()),
        }
    }
}

#[derive(Clone)]
struct View {
    registry: Arc<Registry>,
    status: Arc<Status>,
    watch: Arc<Mutex<Watch>>,
}

/// The process is alive, whatever the source and the sinks do.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(Shared(view): Shared<View>) -> Response {
    let now = Instant::now();
    let readiness = {
        let mut watch = view.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.look(&view.status, now);
        watch.readiness(&view.status, now)
    };
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&readiness) {
        Ok(body) => (code, [(header::CONTENT_TYPE, "application/json")], body + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn list_tables(Shared(view): Shared<View>) -> Response {
    let body = format!("{}\n", tables::described(&view.status.copies));
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn scrape(Shared(view): Shared<View>) -> Response {
    match metrics::encode(&view.registry) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
        sync::atomic::Ordering,
    };

    use super::*;
    use sluicegate_status::{ComponentId, PluginStatus, SinkStatus};

    fn status() -> Arc<Status> {
        let status = Status {
            plugins: [PluginStatus::new("filter")].into_iter().collect(),
            sinks: vec![SinkStatus { name: "file".into(), ..Default::default() }],
            ..Default::default()
        };
        status.source.changes.add(42);
        let filter = status.plugins.named("filter").unwrap();
        filter.set_component(ComponentId { version: "0.1.0".into(), sha256: "ab12".into(), ..Default::default() });
        filter.nanoseconds.add(1_500_000_000);
        status.sinks[0].bytes.add(1000);
        Arc::new(status)
    }

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    /// A server on a thread of its own, which ends with the token.
    fn serving(status: Arc<Status>, limits: Limits) -> (SocketAddr, tokio_util::sync::DropGuard) {
        serving_with(status, limits, None)
    }

    fn serving_with(status: Arc<Status>, limits: Limits, admin: Option<Admin>) -> (SocketAddr, tokio_util::sync::DropGuard) {
        let stop = CancellationToken::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        let child = stop.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let server = Server { admin, ..Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap() };
                sender.send(server.address()).unwrap();
                server.serve("shop", status, &limits, child).await.unwrap();
            });
        });
        (receiver.recv().unwrap(), stop.drop_guard())
    }

    #[test]
    fn health_readiness_and_metrics_are_served() {
        let status = status();
        let (address, _guard) = serving(status.clone(), Limits::default());
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        let starting = get(address, "/readyz");
        assert!(starting.starts_with("HTTP/1.1 503") && starting.contains(r#""state":"starting""#), "{starting}");
        status.started.store(true, Ordering::Relaxed);
        status.source.connect();
        let ready = get(address, "/readyz");
        assert!(ready.starts_with("HTTP/1.1 200") && ready.contains(r#""state":"streaming""#), "{ready}");
        assert!(get(address, "/nothing").starts_with("HTTP/1.1 404"));
        let metrics = get(address, "/metrics");
        assert!(metrics.contains("openmetrics-text"), "{metrics}");
        for line in [
            "# HELP sluicegate_source_changes Changes read",
            "sluicegate_source_changes_total{pipeline=\"shop\"} 42",
            "sluicegate_source_connected{pipeline=\"shop\"} 1.0",
            "sluicegate_plugin_busy_seconds_total{pipeline=\"shop\",plugin=\"filter\"} 1.5",
            "sluicegate_plugin_info{pipeline=\"shop\",plugin=\"filter\",version=\"0.1.0\",sha256=\"ab12\"} 1",
            "sluicegate_sink_written_bytes_total{pipeline=\"shop\",sink=\"file\"} 1000",
            "# EOF",
        ] {
            assert!(metrics.lines().any(|l| l == line), "no line {line}\n{metrics}");
        }
    }

    #[test]
    fn silent_clients_keep_their_slots_only_for_a_time() {
        let limits = Limits { http_connections: 2, http_connection_time: Duration::from_millis(200), ..Limits::default() };
        let (address, _guard) = serving(status(), limits);
        let silent: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
        // answered once the silent ones have been cut
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        drop(silent);
    }

    #[test]
    fn idle_connections_keep_nobody_from_being_answered() {
        let hour = Duration::from_secs(3600);
        let limits = Limits { http_connections: 2, http_connection_time: hour, ..Limits::default() };
        let (address, _guard, mut requests) = with_admin(limits);
        // what is being answered is not cut
        let client = rolled_back(address);
        let sluicegate_pipeline::request::Request::Swap(request) = requests.blocking_recv().unwrap() else { panic!("a swap") };
        let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        // one that was answered and is kept open is as idle
        let mut kept = TcpStream::connect(address).unwrap();
        write!(kept, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(matches!(kept.read(&mut [0; 16]), Ok(1..)));
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        request.answer.send(Ok(sluicegate_pipeline::request::Taken { changes: 7, lane: "binlog".into(), position: "{}".into() })).unwrap();
        assert!(kept.read_to_end(&mut Vec::new()).is_ok());
        drop(silent);
        drop(client);
    }

    /// A server that takes requests, and their receiver.
    fn with_admin(limits: Limits) -> (SocketAddr, tokio_util::sync::DropGuard, sluicegate_pipeline::request::Requests) {
        let status = status();
        status.started.store(true, Ordering::Relaxed);
        let (admin, requests) = admin::channel(&limits);
        let (address, guard) = serving_with(status, limits, Some(admin));
        (address, guard, requests)
    }

    /// What a client gets until the server ends the connection.
    fn rolled_back(address: SocketAddr) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "POST /plugins/filter/rollback HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            // a connection that is cut may end in an error, after what came before
            let _ = stream.read_to_end(&mut answer);
            String::from_utf8(answer).unwrap()
        })
    }

    #[test]
    fn a_swap_that_takes_longer_than_a_connection_may_is_answered_and_then_the_connection_ends() {
        let limits = Limits { http_connection_time: Duration::from_millis(500), ..Limits::default() };
        let (address, _guard, mut requests) = with_admin(limits);
        let client = rolled_back(address);
        let sluicegate_pipeline::request::Request::Swap(request) = requests.blocking_recv().unwrap() else { panic!("a swap") };
        // begun later than the client's connection, and cut: that one's time is over, too
        let mut later = TcpStream::connect(address).unwrap();
        assert!(matches!(later.read(&mut [0]), Ok(0) | Err(_)));
        request.answer.send(Ok(sluicegate_pipeline::request::Taken { changes: 7, lane: "binlog".into(), position: "{}".into() })).unwrap();
        let answer = client.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""changes":7"#), "{answer}");
    }

    #[test]
    fn a_swap_that_outlasts_its_own_bound_is_answered_with_202() {
        let none = Duration::ZERO;
        let limits =
            Limits { http_connection_time: Duration::from_millis(500), plugin_compile: none, plugin_start: none, ..Limits::default() };
        let (address, _guard, mut requests) = with_admin(limits);
        let client = rolled_back(address);
        let request = requests.blocking_recv().unwrap();
        let answer = client.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("still under way: GET /plugins"), "{answer}");
        drop(request);
    }

    #[test]
    fn a_pipeline_that_is_starting_takes_no_requests() {
        let (admin, mut requests) = admin::channel(&Limits::default());
        let limits = Limits { http_connection_time: Duration::from_millis(500), ..Limits::default() };
        let (address, _guard) = serving_with(status(), limits, Some(admin));
        let answer = rolled_back(address).join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the pipeline is starting"), "{answer}");
        assert!(requests.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_told() {
        let first = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = Server::bind(first.address()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Precheck);
        assert!(error.remedy_text().unwrap().contains("another process has this port"), "{error}");
    }
}
