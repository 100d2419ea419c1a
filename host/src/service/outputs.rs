//! `/outputs`: lists the outputs of a running pipeline, pauses one, and lets it go on.
//!
//! Served where `/plugins` is, with the same protection.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};

use super::admin::{answered, foreign, shown, told};
use sluicegate_status::{SinkStatus, Standing, Status};

pub(super) fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/outputs", get(list))
        .route("/outputs/{name}/pause", post(pause))
        .route("/outputs/{name}/resume", post(resume))
        .with_state(status)
}

async fn list(State(status): State<Arc<Status>>, headers: HeaderMap) -> Response {
    if let Some(refused) = foreign(&headers) {
        return refused;
    }
    let outputs: Vec<Value> = status.sinks.iter().map(described).collect();
    answered(StatusCode::OK, &json!({ "outputs": outputs }))
}

async fn pause(State(status): State<Arc<Status>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    set(&status, &name, &headers, true)
}

async fn resume(State(status): State<Arc<Status>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    set(&status, &name, &headers, false)
}

fn set(status: &Status, name: &str, headers: &HeaderMap, paused: bool) -> Response {
    if let Some(refused) = foreign(headers) {
        return refused;
    }
    let Some(sink) = status.sinks.iter().find(|sink| sink.name == name) else {
        return told(StatusCode::NOT_FOUND, &format!("there is no output `{}`", shown(name)), "GET /outputs lists the names");
    };
    if !sink.apart.is_allowed() {
        let remedy = "give it `when_slow: apart` in the pipeline file";
        return told(StatusCode::CONFLICT, "the others wait for this output, so it cannot be paused", remedy);
    }
    sink.apart.pause(paused);
    // it leaves the others within a moment
    answered(StatusCode::ACCEPTED, &json!({ "output": described(sink) }))
}

fn described(sink: &SinkStatus) -> Value {
    let (apart, standing) = (&sink.apart, sink.apart.standing());
    let mut output = json!({
        "name": sink.name,
        "state": standing.name(),
        // null until the checkpoint has been read
        "paused": if apart.is_allowed() { apart.paused() } else { Some(false) },
        "when_slow": if apart.is_allowed() { "apart" } else { "hold" },
        "records": sink.records.get(),
        "bytes": sink.bytes.get(),
        "departures": apart.departures.get(),
        "failures": apart.failures.get(),
    });
    if standing != Standing::Together {
        output["reason"] = apart.reason().into();
    }
    if let Some(lag) = apart.lag_us() {
        output["lag_seconds"] = (lag as f64 / 1e6).into();
    }
    output
}
