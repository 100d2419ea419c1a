//! What goes wrong inside a plugin, with the policy that stops: each fault ends the pipeline with its reason and place.

use sluicegate_config::OnError;
use sluicegate_guest_builder::{self as guests, handmade::Handmade};

use crate::workbench::{chain, chain_within, evil, inserts, limits, orders, told};

/// Faults of `apply`.
pub const APPLY: [&str; 20] = [
    "fail-apply",
    "trap-apply",
    "spin-apply",
    "deep-apply",
    "bomb-apply",
    "wrong-count",
    "wrong-type",
    "wrong-nulls",
    "bad-offsets",
    "bad-utf8",
    "short-keep",
    "keep-unplanned",
    "missing-column",
    "reject-row",
    "reject-odd",
    "reject-often",
    "reject-beyond",
    "long-message",
    "huge-output",
    "trap-when-many",
];

#[test]
fn a_fault_in_describe_is_told() {
    // more text than fits into the memory, by its own account
    let lies = Handmade { fields: r#"(data (i32.const 512) "\00\00\00\00\ff\ff\ff\7f")"#, describe: "i32.const 512", ..Default::default() };
    let cases = [
        ("spins", Handmade { describe: "(loop (br 0)) unreachable", ..Default::default() }),
        ("traps", Handmade { describe: "unreachable", ..Default::default() }),
        ("recurses", Handmade { fields: "(func $deep (call $deep))", describe: "(call $deep) unreachable", ..Default::default() }),
        (
            "grows",
            Handmade {
                describe: "(loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
                ..Default::default()
            },
        ),
        ("answers from nowhere", Handmade { describe: "i32.const -4", ..Default::default() }),
        ("lies about a length", lies),
        (
            "answers what is not UTF-8",
            Handmade {
                fields: r#"(data (i32.const 512) "\00\02\00\00\01\00\00\00") (data (i32.const 1536) "\ff") (data (i32.const 520) "\00\06\00\00\01\00\00\00")"#,
                describe: "i32.const 512",
                ..Default::default()
            },
        ),
    ];
    let texts: Vec<_> = cases
        .iter()
        .map(|(name, plugin)| format!("{name}: {}", told(&chain(&[(&plugin.build(), "{}")], OnError::Stop).err().expect(name))))
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    spins: [Plugin] plugin `p0`: failed in `describe`: no answer within 300 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_start
    traps: [Plugin] plugin `p0`: failed in `describe`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    recurses: [Plugin] plugin `p0`: failed in `describe`: its stack overflowed
      remedy: look for endless recursion in the plugin
    grows: [Plugin] plugin `p0`: failed in `describe`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    answers from nowhere: [Plugin] plugin `p0`: failed in `describe`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    lies about a length: [Plugin] plugin `p0`: failed in `describe`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    answers what is not UTF-8: [Plugin] plugin `p0`: failed in `describe`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    "#);
}

#[test]
fn a_fault_in_configure_is_told() {
    let texts: Vec<_> = ["fail-configure", "trap-configure", "spin-configure", "deep-configure", "bomb-configure"]
        .iter()
        .map(|behaviour| format!("{behaviour}: {}", told(&evil(behaviour, OnError::Stop).err().expect(behaviour))))
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    fail-configure: [Plugin] plugin `p0`: refuses its configuration: this is refused on purpose
      remedy: correct the plugin's `config` in the pipeline file
    trap-configure: [Plugin] plugin `p0`: failed in `configure`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    spin-configure: [Plugin] plugin `p0`: failed in `configure`: no answer within 300 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_start
    deep-configure: [Plugin] plugin `p0`: failed in `configure`: its stack overflowed
      remedy: look for endless recursion in the plugin
    bomb-configure: [Plugin] plugin `p0`: failed in `configure`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    "#);
}

#[test]
fn a_fault_in_plan_is_told_whatever_the_policy() {
    let mut texts = Vec::new();
    for behaviour in ["fail-plan", "trap-plan", "spin-plan", "deep-plan", "bomb-plan"] {
        let mut answers = [OnError::Stop, OnError::Skip, OnError::PassThrough].map(|on_error| {
            let mut bench = evil(behaviour, on_error).expect("configured");
            told(&bench.chain.apply(inserts(&orders(), 3)).expect_err(behaviour))
        });
        answers.sort_unstable();
        assert_eq!(answers[0], answers[2], "{behaviour}: a table without a plan has no rows to decide about");
        texts.push(format!("{behaviour}: {}", answers[0]));
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    fail-plan: [Plugin] plugin `p0`: shop.orders (id, email): cannot plan the table: this is refused on purpose
      remedy: correct the plugin's `config`, or take the table out of its `tables`
    trap-plan: [Plugin] plugin `p0`: shop.orders (id, email): failed in `plan`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    spin-plan: [Plugin] plugin `p0`: shop.orders (id, email): failed in `plan`: no answer within 200 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_call
    deep-plan: [Plugin] plugin `p0`: shop.orders (id, email): failed in `plan`: its stack overflowed
      remedy: look for endless recursion in the plugin
    bomb-plan: [Plugin] plugin `p0`: shop.orders (id, email): failed in `plan`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    "#);
}

#[test]
fn every_lie_in_a_plan_is_told() {
    let lies = [
        "unknown-column",
        "duplicate-names",
        "too-few-origins",
        "too-many-origins",
        "other-type",
        "reads-nowhere",
        "reads-twice",
        "key-in-header",
        "destination-is-number",
        "destination-is-key",
        "two-destinations",
        "empty-destination",
        "destination-with-controls",
        "nameless",
        "long-name",
        "name-with-controls",
        "many-columns",
    ];
    let mut texts = Vec::new();
    for lie in lies {
        let mut bench = evil(&format!("plan-{lie}"), OnError::Stop).expect("configured");
        let error = bench.chain.apply(inserts(&orders(), 3)).expect_err(lie);
        assert_eq!(error.remedy_text(), Some("this is a fault of the plugin: its plan has to fit the table it was given"));
        texts.push(format!("{lie}: {}", error.message().replace("plugin `p0`: its plan for shop.orders cannot be used: ", "")));
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    unknown-column: column `nowhere` comes from input column 9, the table has 2 columns
    duplicate-names: two delivered columns have the name `same`
    too-few-origins: it has 0 origins for 1 columns
    too-many-origins: it has 100000 origins for 1 columns
    other-type: column `id` is input column 0, untouched, but has the type Json instead of Int64
    reads-nowhere: it reads input column 4294967295, the table has 2 columns
    reads-twice: it reads input column 0 twice
    key-in-header: `id` is of the key, but delivered outside the record
    destination-is-number: `to` chooses the destination, but is not of the type text
    destination-is-key: `to` is of the key, but delivered outside the record
    two-destinations: 2 columns choose the destination of a row
    empty-destination: its destination is empty
    destination-with-controls: its destination holds control characters
    nameless: a table name is empty
    long-name: a column's name is too long
    name-with-controls: a column's name holds control characters
    many-columns: it delivers 9000 columns, the limit is 8192
    "#);
}

#[test]
fn context_that_does_not_exist_is_not_given() {
    let mut bench = evil("plan-unknown-context", OnError::Stop).expect("configured");
    // the component model drops the bits that no flag has
    let error = bench.chain.apply(inserts(&orders(), 3)).expect_err("its apply knows nothing of this plan");
    assert_eq!(error.message(), "shop.orders near binlog.000007:4321: plugin `p0`: refuses the batch: table 0 was not planned");
}

#[test]
fn with_the_policy_stop_every_fault_of_apply_stops_with_its_reason_and_place() {
    let mut texts = Vec::new();
    for behaviour in APPLY {
        let mut bench = evil(behaviour, OnError::Stop).expect("configured");
        let error = bench.chain.apply(inserts(&orders(), 20)).expect_err(behaviour);
        let text = told(&error).replace("shop.orders near binlog.000007:4321: plugin `p0`", "…");
        texts.push(format!("{behaviour}: {}", text.chars().take(400).collect::<String>()));
        assert!(text.len() < 2000, "{behaviour}: what a plugin says is clipped");
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    fail-apply: [Plugin] …: refuses the batch: this is refused on purpose
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    trap-apply: [Plugin] …: failed in `apply`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    spin-apply: [Plugin] …: failed in `apply`: no answer within 200 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_call
    deep-apply: [Plugin] …: failed in `apply`: its stack overflowed
      remedy: look for endless recursion in the plugin
    bomb-apply: [Plugin] …: failed in `apply`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    wrong-count: [Plugin] …: its answer cannot be used: computed column 0: 19 values for 20 rows
      remedy: this is a fault of the plugin or of its SDK
    wrong-type: [Plugin] …: its answer cannot be used: computed column 0: its values are not of the type Int64 that the plan said
      remedy: this is a fault of the plugin or of its SDK
    wrong-nulls: [Plugin] …: its answer cannot be used: computed column 0: `nulls` has 21 bytes for 20 rows
      remedy: this is a fault of the plugin or of its SDK
    bad-offsets: [Plugin] …: its answer cannot be used: computed column 0: its offsets do not rise from 0 to the length of the data
      remedy: this is a fault of the plugin or of its SDK
    bad-utf8: [Plugin] …: its answer cannot be used: computed column 0: a text is not UTF-8
      remedy: this is a fault of the plugin or of its SDK
    short-keep: [Plugin] …: its answer cannot be used: `keep` has 1 bytes for 20 rows
      remedy: this is a fault of the plugin or of its SDK
    keep-unplanned: [Plugin] …: its answer cannot be used: it drops rows, but its plan said that it filters nothing
      remedy: this is a fault of the plugin or of its SDK
    missing-column: [Plugin] …: its answer cannot be used: it computed 0 columns, its plan said 1
      remedy: this is a fault of the plugin or of its SDK
    reject-row: [Record] … rejects the row: this row is refused on purpose
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    reject-odd: [Record] … rejects the row: this row is refused on purpose
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    reject-often: [Plugin] …: its answer cannot be used: 60 rejections for 20 rows
      remedy: this is a fault of the plugin or of its SDK
    reject-beyond: [Plugin] …: its answer cannot be used: it rejects a row beyond the 20 that it was given
      remedy: this is a fault of the plugin or of its SDK
    long-message: [Record] … rejects the row: éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé
    huge-output: [Plugin] …: failed in `apply`: it needs more memory than it may have
      remedy: look for what grows in the plugin, or raise limits.plugin_memory
    trap-when-many: [Plugin] …: failed in `apply`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    "#);
}

#[test]
fn a_table_of_references_cannot_grow_without_end() {
    let bomb = Handmade {
        fields: "(table $bomb 1 funcref)",
        plan: "i32.const 2048",
        apply: "(loop (br_if 0 (i32.ne (table.grow $bomb (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
        ..Default::default()
    };
    let mut bench = chain(&[(&bomb.build(), "{}")], OnError::Stop).expect("configured");
    let error = bench.chain.apply(inserts(&orders(), 3)).expect_err("a bomb");
    insta::assert_snapshot!(told(&error), @r#"
    [Plugin] shop.orders near binlog.000007:4321: plugin `p0`: failed in `apply`: it trapped (a panic or an abort)
      remedy: this is a fault of the plugin: its own log lines may say more
    "#);
}

/// Answers of `apply` that no compiler would make: addresses and lengths of lists that point outside the memory, or into
/// each other. `at` is where the answer stands.
#[test]
fn an_answer_that_points_outside_the_memory_is_refused() {
    let answer = |data: &'static str| Handmade { fields: data, plan: "i32.const 2048", apply: "i32.const 512", ..Default::default() };
    let cases = [
        ("keep beyond the memory", answer(r#"(data (i32.const 512) "\00\00\00\00\00\00\ff\ff\08\00\00\00")"#)),
        ("keep of 4 GiB", answer(r#"(data (i32.const 512) "\00\00\00\00\00\00\00\00\ff\ff\ff\ff")"#)),
        ("columns of 4 GiB", answer(r#"(data (i32.const 524) "\00\00\00\00\ff\ff\ff\0f")"#)),
        ("a column of an unknown kind", answer(r#"(data (i32.const 524) "\00\03\00\00\01\00\00\00") (data (i32.const 768) "\63")"#)),
        ("neither ok nor err", answer(r#"(data (i32.const 512) "\07")"#)),
        ("rejections without end", answer(r#"(data (i32.const 532) "\00\00\00\00\00\10\00\00")"#)),
        (
            "an error that is not UTF-8",
            answer(r#"(data (i32.const 512) "\01\00\00\00\00\03\00\00\01\00\00\00") (data (i32.const 768) "\ff")"#),
        ),
    ];
    let mut texts = Vec::new();
    for (name, plugin) in cases {
        let mut bench = chain(&[(&plugin.build(), "{}")], OnError::Stop).expect("configured");
        let error = bench.chain.apply(inserts(&orders(), 3)).expect_err(name);
        texts.push(format!("{name}: {}", told(&error).replace("shop.orders near binlog.000007:4321: plugin `p0`", "…")));
    }
    insta::assert_snapshot!(texts.join("\n"), @r#"
    keep beyond the memory: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    keep of 4 GiB: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    columns of 4 GiB: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    a column of an unknown kind: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    neither ok nor err: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    rejections without end: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    an error that is not UTF-8: [Plugin] …: failed in `apply`: it was stopped, or its answer cannot be read
      remedy: this is a fault of the plugin or of its SDK; the cause says which
    "#);
}

#[test]
fn a_log_flood_is_cut_and_harms_nothing() {
    let patient = sluicegate_model::limits::Limits { plugin_call: std::time::Duration::from_secs(60), ..limits() };
    let mut bench = chain_within(patient, &[(&guests::evil(), r#"{"behaviour": "log-flood"}"#)], OnError::Stop).expect("configured");
    assert_eq!(bench.chain.apply(inserts(&orders(), 10)).expect("passes").changes.len(), 10);
}
