//! How a run starts and ends when no broker can be reached.

use std::{sync::atomic::Ordering, thread};

use sluicegate_harness::host::{Sluicegate, http_get};

use super::*;

const DEADLINE: Duration = Duration::from_secs(60);

fn host(broker: &Broker, more: &str) -> Sluicegate {
    let pipeline = format!(
        "name: p\nsource: {{ type: generator, changes: 100 }}\nsinks: [{{ type: kafka, brokers: '{}', topic: all, format: flat }}]\n{more}\n",
        broker.brokers()
    );
    Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline)
}

#[test]
fn a_broker_that_is_down_at_the_start_is_waited_for() {
    let mut broker = kafka::start(&[]);
    broker.stop();
    let starting = ["at-least-once", "exactly-once"].map(|delivery| {
        let port = sluicegate_harness::free_port();
        let pipeline = format!(
            "name: p-{delivery}
source: {{ type: generator, changes: 100 }}
sinks: [{{ type: kafka, brokers: '{}', topic: down-{delivery}, format: flat, delivery: {delivery} }}]
limits: {{ connect_timeout: 1s }}
http: 127.0.0.1:{port}
",
            broker.brokers()
        );
        let host = Sluicegate::new(env!("CARGO_BIN_EXE_sluicegate"), &pipeline);
        let mut process = host.spawn();
        let line = process.wait_for_line("waiting for the sink `kafka`", DEADLINE);
        assert!(line.contains("no Kafka broker answered") && line.contains("remedy"), "{line}");
        let why = "waiting for the sink `kafka`: sink `kafka`: no Kafka broker answered";
        process
            .wait_until("the reason", DEADLINE, || http_get(port, "/readyz").is_some_and(|(code, body)| code == 503 && body.contains(why)));
        (delivery, host, process)
    });
    broker.start_again();
    for (delivery, _host, process) in starting {
        let ended = process.wait(DEADLINE);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(broker.records(&format!("down-{delivery}")).iter().filter(|r| r.value.is_some()).count(), 100, "{delivery}");
    }
}

#[test]
fn a_broker_that_stays_away_ends_a_run_with_1_and_a_check_with_3() {
    let broker = kafka::start(&[]);
    broker.stop();
    let host = host(&broker, "limits: { connect_timeout: 1s, retry_window: 1s }");
    for (command, code, error) in
        [("run", 1, "error: gave up after 1s: sink `kafka`: no Kafka"), ("check", 3, "error: sink `kafka`: no Kafka")]
    {
        let ended = host.run(&["--log-format", "text", command, "pipeline.yaml"], DEADLINE);
        assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
        assert!(ended.stderr.contains(error) && ended.stderr.contains("\nremedy: start the brokers"), "{}", ended.stderr);
    }
}

#[test]
fn a_run_that_has_ended_does_not_wait_for_brokers_any_longer() {
    let broker = kafka::start(&[]);
    // longer than the test may take
    let mut bench = Bench::open(KafkaSink { delivery_timeout: 5 * DEADLINE, ..settings(&broker, "ended") }, OnError::Stop).unwrap();
    bench.sink.write(&inserts(0, 0..10, "")).unwrap();
    bench.sink.commit(&Frontier::default()).unwrap();
    broker.kill9();
    let status = bench.status.clone();
    let waiting = thread::spawn(move || fails(&mut bench, &inserts(10, 10..20, "")));
    status.ended.store(true, Ordering::Release);
    sluicegate_harness::until("the sink's thread ends", DEADLINE, || waiting.is_finished());
    let error = waiting.join().unwrap();
    assert!(error.message().contains("the run ended before the brokers acknowledged"), "{error}");
}
