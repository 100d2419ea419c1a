//! Swaps and rollbacks over HTTP.

use super::*;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest as _, Sha256};
use sluicegate::service::{admin, http::Server};
use sluicegate_config as config;
use sluicegate_harness::host::{http_get, http_request};
use sluicegate_model::limits::Limits;
use sluicegate_pipeline::Commands;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Body of a `configure` that counts to four billion.
const SLOW: &str = "(local $i i64)
    (loop $again (br_if $again (i64.lt_u (local.tee $i (i64.add (local.get $i) (i64.const 1))) (i64.const 4000000000))))
    i32.const 1024";

struct Served {
    host: Sluicegate,
    process: Process,
    port: u16,
}

fn text(port: u16) -> String {
    let plugins = "  - { name: stamp, file: stamp.wasm }\n  - { use: map-names, config: { tables: [] } }";
    format!("http: {{ listen: '127.0.0.1:{port}', admin: true }}\n{}", pipeline(plugins))
}

fn served() -> Served {
    let port = free_port();
    let host = host(&text(port));
    let process = started(&host);
    Served { host, process, port }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl Served {
    fn put(&self, plugin: &str, bytes: &[u8]) -> (u16, Value) {
        self.request("PUT", &format!("/plugins/{plugin}"), &[("Content-Digest", &digest(bytes))], bytes)
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Value) {
        let (code, text) = http_request(self.port, method, path, headers, body).expect("an answer");
        (code, serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")))
    }

    fn plugin(&self) -> Value {
        self.request("GET", "/plugins", &[], &[]).1["plugins"][0].clone()
    }

    /// Waits until rows have passed the plugin that runs now.
    fn more_rows(&mut self) {
        let rows = |port| {
            http_get(port, "/plugins").map(|(_, text)| serde_json::from_str::<Value>(&text).expect("JSON")["plugins"][0]["rows"].as_u64())
        };
        let (port, before) = (self.port, rows(self.port));
        self.process.wait_until("more rows", PATIENCE, || rows(port) > before);
    }
}

#[test]
fn a_version_put_over_http_takes_over_and_outlives_a_restart() {
    let mut served = served();
    let (first, second) = (guests::stamp(1), guests::stamp(2));
    let before = served.plugin();
    assert_eq!((&before["name"], &before["component"], &before["version"]), (&"stamp".into(), &"stamp".into(), &"VERSION-0001".into()));
    assert_eq!((before["sha256"].as_str(), before["previous_sha256"].as_str()), (Some(hex(&first).as_str()), None));
    assert!(before["calls"].as_u64() > Some(0) && before["rows"].as_u64() >= before["calls"].as_u64());

    let (code, answer) = served.put("stamp", &second);
    assert_eq!(code, 200, "{answer}");
    assert_eq!(answer["plugin"]["version"], "VERSION-0002");
    assert_eq!(answer["plugin"]["previous_sha256"], hex(&first));
    let place = answer["changes"].as_u64().expect("a number");
    assert_eq!(fs::read(served.host.path("stamp.wasm")).expect("the plugin's own file"), second);
    more_records(&served.host, &mut served.process);
    // the watcher saw the file that was written, and knew its content
    assert_eq!(lines(&served.process, "plugin swapped").len(), 1);
    end(served.process);
    for (number, record) in all_in_order(&served.host).iter().enumerate() {
        let version = if (number as u64) < place { "VERSION-0001" } else { "VERSION-0002" };
        assert_eq!(record["plugin_version"], version, "change {number}, swapped at {place}");
    }

    let process = started(&served.host);
    let served = Served { process, ..served };
    assert_eq!((&served.plugin()["version"], &served.plugin()["previous_sha256"]), (&"VERSION-0002".into(), &hex(&first).into()));
    end(served.process);
}

#[test]
fn a_rollback_brings_the_previous_version_back_also_after_a_restart() {
    let mut served = served();
    let rollback = |served: &Served| served.request("POST", "/plugins/stamp/rollback", &[], &[]);
    let (code, answer) = rollback(&served);
    assert_eq!((code, answer["error"].as_str()), (409, Some("there is no version before this one")));
    // a version that came as a file can be rolled back as well
    install(&served.host.path("stamp.wasm"), &guests::stamp(2));
    wait_for_lines(&mut served.process, "plugin swapped", 1);
    served.more_rows();
    let (code, answer) = rollback(&served);
    assert_eq!((code, &answer["plugin"]["version"]), (200, &"VERSION-0001".into()), "{answer}");
    served.more_rows();
    assert_eq!(fs::read(served.host.path("stamp.wasm")).expect("a file"), guests::stamp(1));
    end(served.process);
    let mut served = Served { process: started(&served.host), ..served };
    // the version before is the one that was rolled back
    let (code, answer) = rollback(&served);
    assert_eq!((code, &answer["plugin"]["version"]), (200, &"VERSION-0002".into()), "{answer}");
    served.more_rows();
    end(served.process);
    let versions: Vec<_> = all_in_order(&served.host).iter().map(|r| r["plugin_version"].clone()).collect();
    let mut phases = versions;
    phases.dedup();
    // in front of the last rollback stands what ran between the start and it
    assert_eq!(phases, ["VERSION-0001", "VERSION-0002", "VERSION-0001", "VERSION-0002"]);
}

#[test]
fn what_cannot_be_granted_is_told_with_a_remedy_and_changes_nothing() {
    let mut served = served();
    let stamp = guests::stamp(2);
    let good = digest(&stamp);
    let check = |code: u16, error: &str, (found, answer): (u16, Value)| {
        assert_eq!(found, code, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|e| e.contains(error)), "{answer}");
        assert!(answer["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{answer}");
    };
    check(400, "no Content-Digest", served.request("PUT", "/plugins/stamp", &[], &stamp));
    check(400, "does not have the digest", served.request("PUT", "/plugins/stamp", &[("Content-Digest", &digest(b"other"))], &stamp));
    check(403, "web page", served.request("PUT", "/plugins/stamp", &[("Content-Digest", &good), ("Origin", "http://x.example")], &stamp));
    check(403, "web page", served.request("POST", "/plugins/stamp/rollback", &[("Origin", "null")], &[]));
    check(404, "there is no plugin `nobody`", served.put("nobody", &stamp));
    check(409, "standard plugin", served.put("map-names", &guests::standard("map-names")));
    check(
        413,
        "larger than",
        served.request("PUT", "/plugins/stamp", &[("Content-Digest", &good), ("Content-Length", "99999999999")], &[]),
    );
    check(422, "not a WebAssembly component", served.put("stamp", b"text"));
    check(422, "configuration is wrong", served.put("stamp", &guests::standard("rewrite-columns")));
    more_records(&served.host, &mut served.process);
    assert_eq!(served.plugin()["version"], "VERSION-0001");
    assert_eq!(served.plugin()["refused"], 2);
    assert_eq!(fs::read(served.host.path("stamp.wasm")).expect("a file"), guests::stamp(1));
    let strays: Vec<_> = fs::read_dir(served.host.folder()).expect("a folder").map(|f| f.expect("a file").file_name()).collect();
    assert!(strays.iter().all(|name| !name.to_string_lossy().ends_with(".coming")), "{strays:?}");
    end(served.process);
    assert!(all_in_order(&served.host).iter().all(|r| r["plugin_version"] == "VERSION-0001"));
}

#[test]
fn without_admin_there_is_no_way_to_swap_over_http() {
    let port = free_port();
    let host = host(&text(port).replace("admin: true", "admin: false"));
    let process = started(&host);
    assert_eq!(http_get(port, "/plugins").map(|(code, _)| code), Some(404));
    let (code, _) = http_request(port, "PUT", "/plugins/stamp", &[], b"x").expect("an answer");
    assert_eq!(code, 404);
    end(process);
}

#[test]
fn an_upload_is_answered_after_its_swap_however_long_that_takes() {
    // the connection's time is over long before the new version has been configured
    let time = Duration::from_millis(300);
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("slow.wasm"), guests::handmade::Handmade::default().build()).expect("written");
    let text =
        format!("name: swap\nsource: {{ type: generator, rate: 100 }}\nplugins: [ {{ name: slow, file: slow.wasm }} ]\n{}", ending());
    let mut pipeline = config::load_str(&text, folder.path(), |_| None).expect("a pipeline");
    pipeline.limits = Limits { http_connection_time: time, plugin_start: PATIENCE, ..pipeline.limits };
    let slow = guests::handmade::Handmade { configure: SLOW, ..Default::default() }.build();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (status, stop) = (sluicegate_pipeline::status(&pipeline), CancellationToken::new());
    let (admin, requests) = admin::channel(&pipeline.limits);
    let server = runtime.block_on(Server::bind("127.0.0.1:0".parse().expect("an address"))).expect("bound").with_admin(admin);
    let port = server.address().port();
    let (limits, its, over) = (pipeline.limits.clone(), status.clone(), stop.clone());
    runtime.spawn(async move { server.serve("swap", its, &limits, over).await });
    let running = runtime.spawn(sluicegate_pipeline::run_with(
        pipeline,
        status,
        stop.clone(),
        Commands { requests: Some(requests), ..Commands::default() },
    ));
    sluicegate_harness::until("readiness", PATIENCE, || http_get(port, "/readyz").is_some_and(|(code, _)| code == 200));

    let begin = Instant::now();
    let (code, answer) = http_request(port, "PUT", "/plugins/slow", &[("Content-Digest", &digest(&slow))], &slow).expect("an answer");
    let took = begin.elapsed();
    assert_eq!(code, 200, "{answer}");
    assert!(answer.contains(&hex(&slow)), "{answer}");
    // or nothing was tested
    assert!(took > 2 * time, "the swap took no more than {took:?}");
    stop.cancel();
    runtime.block_on(running).expect("no panic").expect("ends");
}
