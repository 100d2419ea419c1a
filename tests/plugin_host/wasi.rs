//! What plugins are granted, and what they see of WASI: real components, through the real engine.

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use sluicegate_config::{self as config, Grants, OnError, PluginOrigin, TablePatterns};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_guest_builder as guests;
use sluicegate_model::{
    Error, ErrorKind,
    change::{
        Batch, Change, Column, ColumnInfo, DataType, Event, Image, Lane, NO_IMAGE, NativeType, Offset, Operation, Place, Table, TableName,
        TableRows, Transaction, Values,
    },
    limits::Limits,
};
use sluicegate_plugin_host::{Chain, Engine, KnownTables, Member, Surroundings};
use sluicegate_status::{PluginStatus, Status};

const CLOCK: Grants = Grants { clock: true, random: false };
const RANDOM: Grants = Grants { clock: false, random: true };

fn engine() -> Engine {
    let cache = guests::repository().join("target/test-compiled");
    Engine::new(Some(&cache)).expect("an engine")
}

fn limits() -> Limits {
    Limits { plugin_call: Duration::from_millis(300), plugin_start: Duration::from_secs(5), plugin_memory: 32 << 20, ..Limits::default() }
}

/// A chain of one plugin.
fn chain(component: &[u8], config: &str, grants: Grants, limits: &Limits) -> sluicegate_model::Result<Chain> {
    let settings = config::Plugin {
        name: "guest".into(),
        origin: PluginOrigin::Embedded("test".into()),
        tables: TablePatterns::default(),
        config: config.into(),
        on_error: OnError::Stop,
        grants,
        fail_closed: false,
    };
    let member = Member { settings: Arc::new(settings), compiled: engine().compile(component, limits)? };
    let around = Surroundings {
        limits: Arc::new(limits.clone()),
        status: Arc::new(Status { plugins: [PluginStatus::new("guest")].into_iter().collect(), ..Default::default() }),
        dead_letters: Arc::new(DeadLetters::new(std::env::temp_dir(), 1 << 20)),
        known: Arc::new(KnownTables::new(10)),
        capabilities: Default::default(),
    };
    Chain::new(&[member], around)
}

/// What the guest saw: it refuses its configuration with it.
fn seen_by(component: &[u8], config: &str, grants: Grants) -> String {
    let error = chain(component, config, grants, &limits()).err().expect("it refuses");
    let message = error.message();
    message.strip_prefix("plugin `guest`: refuses its configuration: ").unwrap_or_else(|| panic!("{error}")).replace("; ", "\n")
}

fn seen(behaviour: &str, grants: Grants) -> String {
    seen_by(&guests::wasi(), &format!("\"{behaviour}\""), grants)
}

fn failure(behaviour: &str) -> Error {
    chain(&guests::wasi(), &format!("\"{behaviour}\""), Grants::default(), &limits()).err().expect("it fails")
}

fn told(error: &Error) -> String {
    format!("[{:?}] {}\n  remedy: {}", error.kind(), error.message(), error.remedy_text().unwrap_or("-"))
}

/// A batch of one inserted row.
fn one_row() -> Batch {
    inserted(vec![7])
}

/// A batch of inserted rows with these values.
fn inserted(ids: Vec<i64>) -> Batch {
    let count = ids.len() as u32;
    let change = |row| Change { table: 0, before: NO_IMAGE, after: row, operation: Operation::Insert, event: 0, row };
    let column = ColumnInfo {
        name: "id".into(),
        data_type: DataType::Int64,
        native_type: NativeType::default(),
        nullable: false,
        primary_key: true,
        place: Place::Value,
    };
    let mut rows = TableRows::new(Arc::new(Table { name: TableName::new("shop", "orders"), destination: None, columns: vec![column] }));
    rows.columns = vec![Column::of(Values::Int64(ids), Default::default())];
    rows.images = vec![Image::After as u8; count as usize];
    Batch {
        taken: count,
        tables: vec![rows],
        changes: (0..count).map(change).collect(),
        events: vec![Event { position: 4321, time_us: 0, server_id: 1, ..Event::default() }],
        transactions: vec![Transaction { file: "binlog.000007".into(), ..Transaction::default() }],
        ..Batch::empty(0, Lane::new("rows"), Offset::from_json("{}"))
    }
}

/// Runs `run` and returns the log lines written meanwhile.
fn logged(run: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    let text = lines.0.lock().expect("one thread");
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

#[test]
fn a_component_that_needs_what_it_is_not_granted_is_refused_by_name() {
    let refused: Vec<_> = [Grants::default(), CLOCK, RANDOM]
        .into_iter()
        .map(|grants| told(&chain(&guests::granted(), "1", grants, &limits()).err().expect("refused")))
        .collect();
    insta::assert_snapshot!(refused.join("\n"), @r#"
    [Precheck] plugin `guest`: the component imports sluicegate:plugin/clock and random, which it is not granted
      remedy: write `grants: [clock, random]` at the plugin in the pipeline file, if it may have the clock and random bytes
    [Precheck] plugin `guest`: the component imports sluicegate:plugin/random, which it is not granted
      remedy: write `grants: [random]` at the plugin in the pipeline file, if it may have random bytes
    [Precheck] plugin `guest`: the component imports sluicegate:plugin/clock, which it is not granted
      remedy: write `grants: [clock]` at the plugin in the pipeline file, if it may have the clock
    "#);
}

#[test]
fn granted_time_and_randomness_are_real() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros();
    let answer = seen_by(&guests::granted(), "65536", Grants::ALL);
    let parts: Vec<_> = answer.split(' ').collect();
    assert!(parts[0].parse::<u128>().expect("a time") >= now, "{answer}");
    assert_eq!(parts[1], "65536");
    assert_ne!(answer, seen_by(&guests::granted(), "65536", Grants::ALL));
}

#[test]
fn a_plugin_in_assemblyscript_gets_what_it_is_granted_and_asks_for_nothing_else() {
    let component = guests::assemblyscript_host();
    let error = chain(&component, "1", RANDOM, &limits()).err().expect("refused");
    assert_eq!(error.remedy_text(), Some("write `grants: [clock]` at the plugin in the pipeline file, if it may have the clock"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros();
    let answer = seen_by(&component, "65536", Grants::ALL);
    let parts: Vec<_> = answer.split(' ').collect();
    assert!(parts[0].parse::<u128>().expect("a time") >= now, "{answer}");
    assert_eq!((parts[1], parts[2].len()), ("65536", 32));
    assert_ne!(answer, seen_by(&component, "65536", Grants::ALL));
    // one that uses neither imports neither
    let example = guests::Language::AssemblyScript.example().unwrap_or_else(|error| panic!("{error}"));
    chain(&example, "null", Grants::default(), &limits()).unwrap_or_else(|e| panic!("{}", e.chain()));
}

#[test]
fn a_plugin_in_assemblyscript_that_ends_itself_says_where_and_holds_back_its_own_words() {
    let mut errors = Vec::new();
    let lines = logged(|| {
        for behaviour in ["\"throw\"", "\"index\""] {
            errors.push(chain(&guests::assemblyscript_host(), behaviour, Grants::ALL, &limits()).err().expect("it ends"));
        }
    });
    insta::assert_snapshot!(lines.join("\n"), @r#"
    ERROR ended at tests/guests/assemblyscript/host/host.ts:8:31 plugin="guest" version="1.0.0"
    ERROR Index out of range at ~lib/array.ts:114:42 plugin="guest" version="1.0.0"
    "#);
    assert!(
        errors.iter().all(|error| error.message() == "plugin `guest`: failed in `configure`: it trapped (a panic or an abort)"),
        "{errors:?}"
    );
}

#[test]
fn more_random_bytes_than_a_call_may_ask_for_end_it() {
    let error = chain(&guests::granted(), "65537", Grants::ALL, &limits()).err().expect("refused");
    insta::assert_snapshot!(told(&error), @r#"
    [Plugin] plugin `guest`: failed in `configure`: it asked for 65537 random bytes in one call, the limit is 65536
      remedy: ask for fewer bytes at a time
    "#);
}

#[test]
fn an_import_that_no_plugin_is_given_is_refused_by_name() {
    // the same component, asking an acme instead of WASI, and a later WASI
    let renamed = |from: &str, to: &str| {
        let mut component = guests::wasi();
        let places: Vec<_> = (0..component.len() - from.len()).filter(|i| component[*i..].starts_with(from.as_bytes())).collect();
        places.iter().for_each(|i| component[*i..*i + to.len()].copy_from_slice(to.as_bytes()));
        told(&engine().compile(&component, &limits()).err().expect("refused"))
    };
    let texts = [renamed("wasi:cli/exit@0.2", "acme:cli/exit@0.2"), renamed("wasi:io/poll@0.2", "wasi:io/poll@0.3")];
    insta::assert_snapshot!(texts.join("\n"), @r#"
    [Precheck] the component imports acme:cli/exit@0.2.12, which plugins are not given
      remedy: build it for the world `plugin` of wit/plugin.wit; of WASI, version 0.2 may be imported
    [Precheck] the component imports wasi:io/poll@0.3.12, which plugins are not given
      remedy: build it for the world `plugin` of wit/plugin.wit; of WASI, version 0.2 may be imported
    "#);
}

#[test]
fn wasi_leads_nowhere() {
    insta::assert_snapshot!(seen("surroundings", Grants::ALL), @r#"
    environment []
    arguments []
    folder None
    preopened 0
    stdin Err(StreamError::Closed)
    terminals [false, false, false]
    "#);
    insta::assert_snapshot!(seen("network", Grants::ALL), @r#"
    name Err("access-denied")
    tcp Err("access-denied")
    udp Err("access-denied")
    authority Err(())
    http Err(ErrorCode::HttpRequestDenied)
    "#);
}

#[test]
fn the_c_library_finds_a_closed_world() {
    let mut seen = String::new();
    let lines = logged(|| seen = seen_by(&guests::wasi_c(), "null", Grants::default()));
    insta::assert_snapshot!(seen, @r#"
    file No such file or directory
    HOME -
    stdin -1
    slept 3600 s
    in the year 2020
    random bfae9c06
    "#);
    let texts: Vec<_> = lines.iter().filter(|line| line.contains("a line on")).collect();
    assert_eq!(texts.len(), 2, "{lines:#?}");
    let error = chain(&guests::wasi_c(), "\"exit\"", Grants::default(), &limits()).err().expect("it exits");
    insta::assert_snapshot!(told(&error), @r#"
    [Plugin] plugin `guest`: failed in `configure`: it ended itself (wasi:cli/exit)
      remedy: look at its log lines: a runtime ends so after a panic
    "#);
}

#[test]
fn go_finds_a_closed_world() {
    let go = |behaviour: &str, grants| seen_by(&guests::wasi_go(), &format!("\"{behaviour}\""), grants);
    insta::assert_snapshot!(go("surroundings", Grants::ALL), @r#"
    open /etc/passwd: Bad file number
    open /: Bad file number
    open new: Bad file number
    environment []
    arguments []
    stdin 0 EOF
    "#);
    insta::assert_snapshot!(go("time", CLOCK), @r#"
    start 2020-01-01T00:00:00Z
    slept 1m30s
    then 2020
    "#);
    assert_eq!(go("random", CLOCK), go("random", CLOCK), "the same at every start");
    assert_ne!(go("random", Grants::ALL), go("random", Grants::ALL));
    let lines = logged(|| assert_eq!(go("lines", CLOCK), "that is all"));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_start().replace(&"x".repeat(1_000), "x{1000}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    INFO a line on stdout plugin="guest" version="1.0.0" stream="stdout"
    WARN a line on stderr plugin="guest" version="1.0.0" stream="stderr"
    WARN x{1000}xxxxxxxxxxxxxxxxxxxxxxxx… plugin="guest" version="1.0.0" stream="stderr"
    ERROR a line � of the log plugin="guest" version="1.0.0"
    "#);
}

#[test]
fn a_go_plugin_is_told_the_real_time_where_it_is_granted() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros();
    let told: u128 = seen_by(&guests::wasi_go(), "\"granted-time\"", CLOCK).parse().expect("a time");
    assert!(told >= now && told < now + 3_600_000_000, "{told}");
    assert!(chain(&guests::wasi_go(), "null", Grants::default(), &limits()).is_err(), "one that asks for it needs the grant");
}

#[test]
fn faults_of_a_go_plugin_are_told_with_their_place_and_without_their_text() {
    let component = guests::wasi_go();
    let refused = ["panic", "index"].map(|behaviour| seen_by(&component, &format!("\"{behaviour}\""), CLOCK));
    let applied = ["unread", "wrong", "spin"].map(|behaviour| {
        let mut chain = chain(&component, &format!("\"{behaviour}\""), CLOCK, &limits()).expect("configured");
        told(&chain.apply(one_row()).expect_err("it fails"))
    });
    insta::assert_snapshot!(refused.into_iter().chain(applied).collect::<Vec<_>>().join("\n"), @r#"
    it panicked at wasi.go:52
    runtime error: slice bounds out of range at wasi.go:54
    [Plugin] shop.orders near binlog.000007:4321: plugin `guest`: refuses the batch: column `name` is not read by the plan: call table.Read
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    [Plugin] shop.orders near binlog.000007:4321: plugin `guest`: refuses the batch: column `id` is of type int64: it was given a value of another type, or out of its range
      remedy: correct the data or the plugin, or set `on_error` of the plugin
    [Plugin] shop.orders near binlog.000007:4321: plugin `guest`: failed in `apply`: no answer within 300 ms
      remedy: look for an endless loop in the plugin, or raise limits.plugin_call
    "#);
}

#[test]
fn a_go_plugin_that_ends_leaves_its_last_words() {
    for (behaviour, words) in [("exit", ""), ("crash", "panic: with its text"), ("wait", "all goroutines are asleep")] {
        let lines = logged(|| {
            let error = chain(&guests::wasi_go(), &format!("\"{behaviour}\""), CLOCK, &limits()).err().expect("it ended");
            assert!(error.message().starts_with("plugin `guest`: failed in `configure`: it"), "{error}");
        });
        assert!(words.is_empty() || lines.iter().any(|line| line.contains(words)), "{behaviour}: {lines:#?}");
    }
}

/// A collection begins anywhere, also while the host is handing over arguments, when a component must not call it.
#[test]
fn go_collects_its_garbage_in_little_memory() {
    let limits = Limits { plugin_memory: 12 << 20, plugin_memory_watermark: 12 << 20, plugin_call: Duration::from_secs(60), ..limits() };
    let mut chain = chain(&guests::wasi_go(), "\"litter\"", CLOCK, &limits).expect("configured");
    for batch in 0..200 {
        let delivered = chain.apply(inserted((0..20_000).collect())).unwrap_or_else(|e| panic!("batch {batch}: {}", e.chain()));
        assert!(delivered.tables[0].columns[0].values == Values::Int64((1..=20_000).collect()), "batch {batch}");
    }
}

#[test]
fn what_has_no_harmless_answer_ends_the_call_with_its_name() {
    insta::assert_snapshot!(told(&failure("address")), @r#"
    [Plugin] plugin `guest`: failed in `configure`: it called wasi:http/types@0.2.12.[method]fields.has, which plugins are not given
      remedy: take out what uses files, the network or the environment: a plugin has only its rows
    "#);
}

#[test]
fn time_without_the_grant_is_virtual_and_a_sleep_takes_none() {
    let begin = Instant::now();
    insta::assert_snapshot!(seen("time", Grants::default()), @r#"
    start 1000001000 wall 1577836800.000002000
    after a sleep of 90 s 90000003000 wall 1577836890.000003000
    ready [false, false] first [1]
    ready [true, false] then [0]
    past true [0, 1, 2]
    "#);
    assert_eq!(seen("time", RANDOM), seen("time", Grants::default()), "the same at every start");
    assert!(begin.elapsed() < Duration::from_secs(60), "it sleeps 90 s each time, at once");
    insta::assert_snapshot!(seen("wait-for-time", Grants::default()), @r#"9999 readings"#);
}

#[test]
fn time_with_the_grant_is_the_real_one_and_a_sleep_still_takes_none() {
    let begin = Instant::now();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let seen = seen("time", CLOCK);
    assert!(begin.elapsed() < Duration::from_secs(60), "it sleeps 90 s, at once");
    let word = |after: &str| seen.split(after).nth(1).and_then(|rest| rest.split([' ', '.']).next()).unwrap_or_else(|| panic!("{seen}"));
    assert!((now..now + 60).contains(&word("wall ").parse().expect("seconds")), "{seen}");
    let slept: u64 = word("after a sleep of 90 s ").parse().expect("nanoseconds");
    assert!((90_000_000_000..150_000_000_000).contains(&slept), "the monotonic clock counts what was slept: {seen}");
}

#[test]
fn random_bytes_of_wasi_repeat_with_each_start_unless_granted() {
    insta::assert_snapshot!(seen("random", CLOCK), @r#"[191, 174, 156, 6, 72, 189, 237, 166, 168, 203, 211] [229, 170, 236] (13869646061490883546, 2789978976880834224) (13044692629230439860, 16763291861996597725)"#);
    assert_eq!(seen("random", Grants::default()), seen("random", CLOCK));
    assert_ne!(seen("random", RANDOM), seen("random", RANDOM));
}

#[test]
fn stdout_and_stderr_go_to_the_log_line_by_line() {
    let lines = logged(|| insta::assert_snapshot!(seen("lines", Grants::default()), @r#"Ok(65536) Err(StreamError::Closed)"#));
    let lines: Vec<_> = lines.iter().map(|line| line.replace(&"x".repeat(1_000), "x{1000}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    INFO first line plugin="guest" version="0.1.0" stream="stdout"
    WARN a complaint plugin="guest" version="0.1.0" stream="stderr"
    INFO second line plugin="guest" version="0.1.0" stream="stdout"
    INFO bells   and � plugin="guest" version="0.1.0" stream="stdout"
    INFO long x{1000}xxxxxxxxxxxxxxxxxxx… plugin="guest" version="0.1.0" stream="stdout"
    WARN not ended plugin="guest" version="0.1.0" stream="stderr"
    "#);
}

#[test]
fn a_plugin_that_ends_itself_leaves_its_last_words() {
    let mut error = None;
    let lines = logged(|| error = Some(failure("exit")));
    insta::assert_snapshot!(told(&error.expect("it ended")), @r#"
    [Plugin] plugin `guest`: failed in `configure`: it ended itself (wasi:cli/exit)
      remedy: look at its log lines: a runtime ends so after a panic
    "#);
    assert!(lines.iter().any(|line| line.contains("about to end")), "{lines:#?}");
}

#[test]
fn what_never_ends_in_wasi_ends_with_its_deadline() {
    for behaviour in ["spin-sleep", "spin-poll", "flood"] {
        let lines = logged(|| {
            let mut chain = chain(&guests::wasi(), &format!("\"{behaviour}-apply\""), CLOCK, &limits()).expect("configured");
            let begin = Instant::now();
            let error = chain.apply(one_row()).expect_err(behaviour);
            assert!(begin.elapsed() < Duration::from_secs(30), "{behaviour}: {:?}", begin.elapsed());
            assert_eq!(error.kind(), ErrorKind::Plugin);
            assert!(error.message().ends_with("failed in `apply`: no answer within 300 ms"), "{behaviour}: {error}");
        });
        assert!(lines.len() < 500, "{behaviour}: the log is bounded: {} lines", lines.len());
    }
}

#[test]
fn what_asks_for_too_much_of_wasi_ends_its_call() {
    let texts: Vec<_> = ["huge-random", "huge-write", "huge-zeroes", "hoard", "hoard-streams"]
        .into_iter()
        .map(|behaviour| format!("{behaviour}: {}", told(&failure(behaviour))))
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    huge-random: [Plugin] plugin `guest`: failed in `configure`: it asked for 18446744073709551615 random bytes in one call, the limit is 65536
      remedy: ask for fewer bytes at a time
    huge-write: [Plugin] plugin `guest`: failed in `configure`: it wrote 100000 bytes in one call of wasi:io/streams@0.2.12.[method]output-stream.blocking-write-and-flush, the limit is 65536
      remedy: write no more than `check-write` permits
    huge-zeroes: [Plugin] plugin `guest`: failed in `configure`: it wrote 18446744073709551615 bytes in one call of wasi:io/streams@0.2.12.[method]output-stream.write-zeroes, the limit is 65536
      remedy: write no more than `check-write` permits
    hoard: [Plugin] plugin `guest`: failed in `configure`: it holds more than 4096 resources of WASI
      remedy: look for streams and pollables that the plugin never drops
    hoard-streams: [Plugin] plugin `guest`: failed in `configure`: it holds more than 4096 resources of WASI
      remedy: look for streams and pollables that the plugin never drops
    "#);
    assert_eq!(seen("churn", Grants::default()), "20000 came and went");
}

#[test]
fn a_plugin_that_needs_no_grant_runs_with_wasi_imports() {
    let mut chain = chain(&guests::wasi(), "\"quiet-apply\"", Grants::default(), &limits()).expect("configured");
    assert_eq!(chain.apply(one_row()).expect("passes").changes.len(), 1);
}

#[test]
fn compiling_is_given_up_in_time_and_the_next_one_waits_for_the_straggler() {
    let engine = Engine::new(None).expect("an engine without a cache");
    let within = |time| Limits { plugin_compile: time, ..limits() };
    let component = guests::wasi();
    let begin = Instant::now();
    let hurried: Vec<_> =
        (0..2).map(|_| told(&engine.compile(&component, &within(Duration::from_millis(1))).err().expect("given up"))).collect();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    insta::assert_snapshot!(hurried.join("\n"), @r#"
    [Precheck] the component was not compiled within 1 ms
      remedy: make it smaller (release build, fewer dependencies) or raise limits.plugin_compile
    [Precheck] an earlier component was still being compiled after 1 ms
      remedy: wait and try again, or raise limits.plugin_compile
    "#);
    assert!(engine.compile(&component, &within(Duration::from_secs(120))).is_ok(), "the place becomes free");
}
