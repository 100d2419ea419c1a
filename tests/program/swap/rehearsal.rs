//! A new chain is tried on a copy of a recent batch before it takes over.

use super::*;
use sluicegate_harness::mariadb;

fn evil(behaviour: &str, on_error: &str) -> String {
    pipeline(&format!("  - {{ name: evil, file: evil.wasm, on_error: {on_error}, config: {{ behaviour: {behaviour} }} }}"))
        .replace("limits: {", "limits: { plugin_call: 100ms,")
}

fn well_behaved() -> (Sluicegate, Process) {
    let host = host(&evil("none", "skip"));
    fs::write(host.path("evil.wasm"), guests::evil()).expect("written");
    let process = started(&host);
    (host, process)
}

#[test]
fn a_chain_that_fails_on_a_recent_batch_does_not_take_over_whatever_its_policy() {
    let (host, mut process) = well_behaved();
    for (i, behaviour) in ["trap-apply", "spin-apply", "fail-apply", "bad-utf8"].iter().enumerate() {
        install(&host.path("pipeline.yaml"), evil(behaviour, "dead-letter").as_bytes());
        let told = wait_for_lines(&mut process, "the edited pipeline file is refused", i + 1);
        let reason = told[i]["error"].as_str().expect("a reason");
        assert!(reason.starts_with("tried on a copy of a recent batch"), "{behaviour}: {reason}");
    }
    more_records(&host, &mut process);
    assert!(lines(&process, "pipeline edited").is_empty());
    end(process);
    // not a row was lost to it, and nothing was set aside
    all_in_order(&host);
    assert!(!host.path("sluicegate-state/swap-dead-letters").exists());
}

#[test]
fn a_rejected_row_is_no_failure_of_the_rehearsal_and_leaves_no_dead_letter() {
    let (host, mut process) = well_behaved();
    install(&host.path("pipeline.yaml"), evil("reject-row", "skip").as_bytes());
    let boundary = wait_for_lines(&mut process, "pipeline edited", 1).remove(0);
    records_after(&host, &mut process, &boundary);
    end(process);
    let (place, numbers) = {
        let records = records(&host);
        let missing = records.iter().enumerate().find(|(i, (number, _))| *number != *i as u64).map(|(i, _)| i as u64);
        (missing.expect("rows are rejected from the boundary on"), records)
    };
    assert!(place > 0 && numbers.is_sorted_by_key(|(number, _)| *number));
    assert!(!host.path("sluicegate-state/swap-dead-letters").exists());
}

/// The batch that is kept of a stream that is not busy is its last one, however long ago.
#[test]
fn an_idle_stream_rehearses_on_its_last_batch() {
    let server = mariadb::shared();
    let database = server.database("rehearsal");
    server.sql(&format!("CREATE TABLE {database}.t (id INT PRIMARY KEY)"));
    let (port, user, password) = (server.port(), server.user(), server.password());
    let text = |value: u32| {
        format!(
            "name: swap
source: {{ type: mysql, host: 127.0.0.1, port: {port}, user: {user}, password: {password}, tables: ['{database}.*'] }}
plugins: [{{ file: evil.wasm, on_error: skip, config: {{ behaviour: trap-on-value, value: {value} }} }}]
{}",
            ending()
        )
    };
    let host = host(&text(0));
    fs::write(host.path("evil.wasm"), guests::evil()).expect("written");
    let mut process = host.spawn();
    wait_for_lines(&mut process, "streaming from this position on", 1);
    let folder = host.path("out");
    for id in [6, 7] {
        server.sql(&format!("INSERT INTO {database}.t VALUES ({id})"));
        process.wait_until("the record", PATIENCE, || files::count_so_far(&folder, "s") > id - 6);
    }
    install(&host.path("pipeline.yaml"), text(7).as_bytes());
    wait_for_lines(&mut process, "the edited pipeline file is refused", 1);
    install(&host.path("pipeline.yaml"), text(6).as_bytes());
    let edited = wait_for_lines(&mut process, "pipeline edited", 1);
    assert_eq!(edited[0]["changes"], 2);
    end(process);
}
