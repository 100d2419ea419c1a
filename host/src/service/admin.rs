//! `/plugins`: lists the plugins of a running pipeline, takes a new version of one, and rolls one back.
//!
//! Only served where the pipeline file says `admin: true`, on an address that no other machine can reach. A page in a browser
//! of the same machine could still send requests there: what a browser sends on a page's behalf carries an `Origin`, or the
//! name of the page's host, and is refused.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::connection::Clock;
use sluicegate_model::limits::{Limits, RESET_BYTES, SWAP_REQUESTS};
use sluicegate_pipeline::request::{
    Action, CopyRequest, CopyTaken, OutputReset, Reason, Refusal, Request, Requests, ResetRequest, SwapRequest,
};
use sluicegate_status::{PluginStatus, Status, relaxed};

const RESET_REMEDY: &str = r#"send {"start": "earliest"}, or "now", "copy", or a position as of a sink's `start` in the pipeline file"#;

/// The requests, on the side of HTTP.
#[derive(Clone, Debug)]
pub struct Admin {
    requests: mpsc::Sender<Request>,
    /// Uploads at a time: each holds a component in memory.
    uploads: Arc<Semaphore>,
    /// Requests that wait for their answer at a time: each keeps its connection.
    waiting: Arc<Semaphore>,
    most_bytes: u64,
    /// How long a request waits for its answer.
    most_wait: Duration,
}

/// Both sides.
pub fn channel(limits: &Limits) -> (Admin, Requests) {
    let (requests, received) = mpsc::channel(SWAP_REQUESTS);
    let admin = Admin {
        requests,
        uploads: Arc::new(Semaphore::new(1)),
        waiting: Arc::new(Semaphore::new(SWAP_REQUESTS)),
        most_bytes: limits.plugin_file_bytes,
        most_wait: limits.swap_answer(),
    };
    (admin, received)
}

#[derive(Clone)]
struct View {
    admin: Admin,
    status: Arc<Status>,
}

pub(super) fn router(admin: Admin, status: Arc<Status>) -> Router {
    Router::new()
        .route("/plugins", get(list))
        .route("/plugins/{name}", put(replace))
        .route("/plugins/{name}/rollback", post(rollback))
        .route("/tables/{name}/copy", post(copy))
        .route("/outputs/{name}/reset", post(reset))
        .with_state(View { admin, status })
}

async fn list(State(view): State<View>, headers: HeaderMap) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let plugins: Vec<Value> = view.status.plugins.all().iter().map(|p| described(p)).collect();
    answered(StatusCode::OK, &json!({ "plugins": plugins }))
}

async fn replace(
    State(view): State<View>,
    ConnectInfo(clock): ConnectInfo<Clock>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let promised = match sha256_of(&headers) {
        Ok(promised) => promised,
        Err(what) => {
            let remedy = "send `Content-Digest: sha-256=:BASE64:` (RFC 9530), the SHA-256 of the component in base64";
            return told(StatusCode::BAD_REQUEST, what, remedy);
        }
    };
    if view.status.plugins.named(&name).is_none() {
        return unknown(&name);
    }
    let Ok(_upload) = view.admin.uploads.try_acquire() else {
        return told(StatusCode::SERVICE_UNAVAILABLE, "another component is being taken", "try again in a moment");
    };
    let most = view.admin.most_bytes;
    let too_large = || {
        let what = format!("the component is larger than {most} bytes");
        told(StatusCode::PAYLOAD_TOO_LARGE, &what, "make it smaller (release build, strip) or raise limits.plugin_file_bytes")
    };
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > most) {
        return too_large();
    }
    let bytes = match axum::body::to_bytes(body, usize::try_from(most).unwrap_or(usize::MAX)).await {
        Ok(bytes) => bytes,
        // without a length only the limit ends a body before its end
        Err(_) if length.is_none() => return too_large(),
        Err(_) => return told(StatusCode::BAD_REQUEST, "the body broke off", "send it again"),
    };
    // a large one takes a moment, in which others are answered
    let digest = tokio::task::spawn_blocking({
        let bytes = bytes.clone();
        move || Sha256::digest(&bytes)
    });
    match digest.await {
        Ok(digest) if digest[..] == promised[..] => view.swap(&name, Action::Replace(bytes.into()), &clock).await,
        Ok(_) => told(StatusCode::BAD_REQUEST, "the body does not have the digest that was sent with it", "send the component again"),
        Err(_) => away(),
    }
}

async fn rollback(
    State(view): State<View>,
    ConnectInfo(clock): ConnectInfo<Clock>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    match foreign(&headers) {
        Some(refused) => refused,
        None => view.swap(&name, Action::Rollback, &clock).await,
    }
}

async fn copy(State(view): State<View>, ConnectInfo(clock): ConnectInfo<Clock>, Path(table): Path<String>, headers: HeaderMap) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let (answer, outcome) = oneshot::channel();
    let under_way = "the request is still waiting for the source: the log tells when the copy begins";
    match view.answer(Request::Copy(CopyRequest { table, answer }), outcome, &clock, under_way).await {
        Ok(CopyTaken { table, copy, position }) => answered(StatusCode::OK, &json!({ "table": table, "copy": copy, "position": position })),
        Err(response) => *response,
    }
}

/// The body of a request to begin an output elsewhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedReset {
    /// As a sink's `start` in a pipeline file.
    start: Value,
}

async fn reset(
    State(view): State<View>,
    ConnectInfo(clock): ConnectInfo<Clock>,
    Path(output): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let Ok(bytes) = axum::body::to_bytes(body, RESET_BYTES).await else {
        return told(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body broke off, or is larger than {RESET_BYTES} bytes"), RESET_REMEDY);
    };
    let Ok(asked) = serde_json::from_slice::<AskedReset>(&bytes) else {
        return told(StatusCode::BAD_REQUEST, "the body does not say where the output begins", RESET_REMEDY);
    };
    let start = match sluicegate_config::start_at(asked.start) {
        Ok(start) => start,
        Err(error) => return told(StatusCode::BAD_REQUEST, error.message(), error.remedy_text().unwrap_or(RESET_REMEDY)),
    };
    let (answer, outcome) = oneshot::channel();
    let under_way = "the request is still waiting for the source: the log tells what becomes of it";
    match view.answer(Request::Reset(ResetRequest { output, start, answer }), outcome, &clock, under_way).await {
        Ok(OutputReset { output }) => {
            let note = "the pipeline drains, and starts over with the output at that place";
            answered(StatusCode::ACCEPTED, &json!({ "output": output, "note": note }))
        }
        Err(response) => *response,
    }
}

impl View {
    /// Hands a swap to the pipeline and waits for the answer: longer than the connection may last otherwise, because the swap
    /// goes on whether its answer is waited for or not.
    async fn swap(&self, name: &str, action: Action, clock: &Clock) -> Response {
        let (answer, outcome) = oneshot::channel();
        let request = SwapRequest { plugin: name.to_owned(), action, answer };
        let under_way = "the swap is still under way: GET /plugins tells when it has taken over, or counts it as refused";
        match self.answer(Request::Swap(request), outcome, clock, under_way).await {
            Ok(taken) => {
                let plugin = self.status.plugins.named(name).map_or(Value::Null, |p| described(&p));
                answered(
                    StatusCode::OK,
                    &json!({ "plugin": plugin, "changes": taken.changes, "lane": taken.lane, "position": taken.position }),
                )
            }
            Err(response) => *response,
        }
    }

    /// Hands a request to the pipeline and waits for its answer; what is answered instead where there is none.
    async fn answer<T>(
        &self,
        request: Request,
        outcome: oneshot::Receiver<Result<T, Refusal>>,
        clock: &Clock,
        under_way: &str,
    ) -> Result<T, Box<Response>> {
        let busy = || told(StatusCode::SERVICE_UNAVAILABLE, "too many requests are waiting", "try again in a moment");
        if !relaxed(&self.status.started) {
            return Err(away().into());
        }
        let Ok(_place) = self.admin.waiting.try_acquire() else { return Err(busy().into()) };
        let plugin = match &request {
            Request::Swap(request) => Some(request.plugin.clone()),
            Request::Copy(_) | Request::Reset(_) => None,
        };
        if self.admin.requests.try_send(request).is_err() {
            return Err(busy().into());
        }
        let _stopped = clock.stop();
        let Ok(outcome) = tokio::time::timeout(self.admin.most_wait, outcome).await else {
            return Err(answered(StatusCode::ACCEPTED, &json!({ "note": under_way })).into());
        };
        Err(Box::new(match outcome {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(refusal)) => {
                if let (Reason::Unknown, Some(name)) = (refusal.reason, plugin) {
                    return Err(unknown(&name).into());
                }
                let code = match refusal.reason {
                    Reason::Unknown => StatusCode::NOT_FOUND,
                    Reason::Conflict => StatusCode::CONFLICT,
                    Reason::Unusable => StatusCode::UNPROCESSABLE_ENTITY,
                    Reason::Away => StatusCode::SERVICE_UNAVAILABLE,
                    Reason::NotStored => StatusCode::INTERNAL_SERVER_ERROR,
                };
                told(code, &refusal.error.chain(), refusal.error.remedy_text().unwrap_or(""))
            }
            // nobody listens: the pipeline has not started yet, or has ended
            Err(_) => away(),
        }))
    }
}

fn described(plugin: &PluginStatus) -> Value {
    let component = plugin.component();
    json!({
        "name": plugin.name,
        "component": component.name,
        "version": component.version,
        "sha256": component.sha256,
        "previous_sha256": Some(component.previous_sha256).filter(|hash| !hash.is_empty()),
        "calls": plugin.calls.get(),
        "rows": plugin.rows.get(),
        "filtered": plugin.filtered.get(),
        "skipped": plugin.skipped.get(),
        "dead_lettered": plugin.dead_lettered.get(),
        "passed_through": plugin.passed_through.get(),
        "failures": plugin.failures.get(),
        "swaps": plugin.swaps.get(),
        "refused": plugin.refused_files.get(),
    })
}

fn away() -> Response {
    told(StatusCode::SERVICE_UNAVAILABLE, "the pipeline is starting, busy or ending", "try again when /readyz is 200")
}

pub(super) fn told(code: StatusCode, error: &str, remedy: &str) -> Response {
    answered(code, &json!({ "error": error, "remedy": remedy }))
}

pub(super) fn answered(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

fn unknown(name: &str) -> Response {
    told(StatusCode::NOT_FOUND, &format!("there is no plugin `{}`", shown(name)), "GET /plugins lists the names")
}

/// What stood in a request's path, which is not echoed at any length.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Refuses what a browser sends on a page's behalf.
pub(super) fn foreign(headers: &HeaderMap) -> Option<Response> {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let local = name.eq_ignore_ascii_case("localhost") || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if local && !headers.contains_key(header::ORIGIN) {
        return None;
    }
    Some(told(
        StatusCode::FORBIDDEN,
        "this request comes from a web page",
        "use a client on this machine, e.g. curl, with the address itself",
    ))
}

/// The SHA-256 that `Content-Digest` promises (RFC 9530, section 2): a dictionary of algorithms and byte sequences.
fn sha256_of(headers: &HeaderMap) -> Result<Vec<u8>, &'static str> {
    let mut values = headers.get_all("content-digest").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).peekable();
    if values.peek().is_none() {
        return Err("there is no Content-Digest");
    }
    let digest = values
        .filter_map(|member| member.trim().split_once('='))
        .find_map(|(algorithm, value)| (algorithm == "sha-256").then_some(value))
        .ok_or("the Content-Digest names no sha-256")?;
    let base64 = digest.strip_prefix(':').and_then(|d| d.strip_suffix(':')).ok_or("the Content-Digest is not a byte sequence")?;
    BASE64.decode(base64).ok().filter(|d| d.len() == 32).ok_or("the Content-Digest is not a SHA-256 in base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_digest_is_read_as_rfc_9530_writes_it() {
        let digest = BASE64.encode(Sha256::digest(b"component"));
        for good in [format!("sha-256=:{digest}:"), format!("sha-512=:AAAA:, sha-256=:{digest}:")] {
            assert_eq!(sha256_of(&headers(&[("content-digest", &good)])).unwrap(), Sha256::digest(b"component").to_vec());
        }
        for bad in ["", "sha-512=:AAAA:", "sha-256=AAAA", "sha-256=:AAAA:", "sha-256=:%:", &digest] {
            assert!(sha256_of(&headers(&[("content-digest", bad)])).is_err(), "{bad}");
        }
        assert!(sha256_of(&HeaderMap::new()).is_err());
    }

    #[test]
    fn a_web_page_cannot_swap_plugins() {
        for own in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.0.0.1"] {
            assert!(foreign(&headers(&[("host", own)])).is_none(), "{own}");
            assert!(foreign(&headers(&[("host", own), ("origin", "https://example.com")])).is_some(), "{own}");
        }
        for other in ["example.com", "example.com:8080", "127.0.0.1.example.com", "10.0.0.1:8080", ""] {
            assert!(foreign(&headers(&[("host", other)])).is_some(), "{other}");
        }
    }
}
