//! Every language that plugins are written in, through the same rows: the answers have to be those of one model, byte for byte.
//! The plugins are built from source; a toolchain that cannot be had is a failure.

mod assemblyscript;
mod examples;
mod model;
mod rows;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sluicegate_config::{self as config, OnError, PluginOrigin, TablePatterns};
use sluicegate_dead_letter::DeadLetters;
use sluicegate_guest_builder::{Language, target_folder};
use sluicegate_model::limits::Limits;
use sluicegate_plugin_host::{Chain, Compiled, Engine, KnownTables, Member, Surroundings};
use sluicegate_status::{PluginStatus, Status};

use model::Config;
use rows::{Filling, Nulls};

/// Compiled code is kept: a scripting language's runtime takes some twenty seconds of a core.
pub fn engine() -> Engine {
    Engine::new(Some(&target_folder().join("compiled"))).expect("an engine")
}

/// The bounds of a pipeline that says nothing about them, but for the times: a machine that is busy with other tests is no fault of the
/// plugin.
pub fn limits() -> Limits {
    const LONG: Duration = Duration::from_secs(240);
    Limits { plugin_call: LONG, plugin_start: LONG, plugin_compile: LONG, ..Limits::default() }
}

/// A chain of one plugin.
pub fn chain(compiled: &Compiled, config: &str, on_error: OnError) -> sluicegate_model::Result<Chain> {
    chain_within(compiled, config, on_error, limits())
}

/// The same within other bounds.
pub fn chain_within(compiled: &Compiled, config: &str, on_error: OnError, limits: Limits) -> sluicegate_model::Result<Chain> {
    let folder = tempfile::tempdir().expect("a folder");
    let around = Surroundings {
        limits: Arc::new(limits),
        status: Arc::new(Status { plugins: [PluginStatus::new("p")].into_iter().collect(), ..Default::default() }),
        dead_letters: Arc::new(DeadLetters::new(folder.path(), 1 << 20)),
        known: Arc::new(KnownTables::new(100)),
        capabilities: Default::default(),
    };
    let settings = config::Plugin {
        name: "p".into(),
        origin: PluginOrigin::Embedded("test".into()),
        tables: TablePatterns::default(),
        config: config.into(),
        on_error,
        grants: config::Grants::default(),
        fail_closed: false,
    };
    Chain::new(&[Member { settings: Arc::new(settings), compiled: compiled.clone() }], around)
}

fn conforms(language: Language) {
    let component = language.conformance().unwrap_or_else(|error| panic!("{error}"));
    let begin = Instant::now();
    let compiled = engine().compile(&component, &limits()).unwrap_or_else(|e| panic!("{}", e.chain()));
    let compiling = begin.elapsed();
    let begin = Instant::now();
    let mut plugin = chain(&compiled, r#"{"suffix": "\"ü😀\\", "lanes": 7}"#, OnError::Skip).unwrap_or_else(|e| panic!("{}", e.chain()));
    println!("{}: {} bytes, compiled in {compiling:.0?}, started in {:.1?}", language.name(), component.len(), begin.elapsed());

    let told: Vec<_> = plugin.descriptions().cloned().collect();
    let names: Vec<_> = told.iter().map(|d| [d.name.as_str(), &d.version, &d.summary]).collect();
    assert_eq!(names, [["conformance", "1.0.0", "answers with what it was given"]]);
    let schema: serde_json::Value = serde_json::from_str(&told[0].config_schema).expect("a JSON Schema");
    assert_eq!(schema, serde_json::json!({"type": ["object", "null"]}));

    let table = rows::table("all_types");
    let config = Config { suffix: "\"ü😀\\", lanes: 7 };
    let delivers = plugin.delivered(&table).unwrap_or_else(|e| panic!("{}", e.chain()));
    assert_eq!(*delivers, model::table(&table));

    // skipping hides what went wrong
    let mut strict = chain(&compiled, "null", OnError::Stop).unwrap_or_else(|e| panic!("{}", e.chain()));
    let few = rows::batch(&table, Filling { changes: 3, nulls: Nulls::Some, ascii: false, seed: 0 });
    strict.apply(few).unwrap_or_else(|e| panic!("{}", e.chain()));

    let mut fillings: Vec<_> = [1, 2, 7, 8, 9, 64]
        .into_iter()
        .flat_map(|changes| [Nulls::None, Nulls::Some, Nulls::All].map(|nulls| Filling { changes, nulls, ascii: false, seed: changes }))
        .collect();
    fillings.push(Filling { changes: 60, nulls: Nulls::Some, ascii: true, seed: 0 });
    // ten thousand rows as a pipeline hands them over
    fillings.extend((0..8).map(|seed| Filling { changes: 1024, nulls: Nulls::Some, ascii: seed % 2 == 0, seed }));
    for filling in fillings {
        let batch = rows::batch(&table, filling);
        let expected = model::changes(&batch, &config);
        let (sent, begin) = (batch.tables[0].len(), Instant::now());
        let delivered = plugin.apply(batch).unwrap_or_else(|e| panic!("{filling:?}: {}", e.chain()));
        if sent > 1024 {
            println!("{}: {} ns a row of 23 columns read", language.name(), begin.elapsed().as_nanos() / sent as u128);
        }
        delivered.validate().expect("a sound batch");
        assert_eq!(*delivered.tables[0].table, *delivers);
        let delivered = model::delivered(&delivered);
        for (delivered, expected) in delivered.iter().zip(&expected) {
            assert_eq!(delivered, expected, "{filling:?}");
        }
        assert_eq!(delivered.len(), expected.len(), "{filling:?}");
    }

    // what it leaves alone, and what it refuses
    let untouched = rows::table("untouched");
    assert_eq!(*plugin.delivered(&untouched).expect("a plan"), *untouched);
    let refused = plugin.delivered(&rows::table("refused")).expect_err("refused on purpose");
    assert!(refused.chain().contains("refused on purpose"), "{}", refused.chain());
    let refused = chain(&compiled, r#"{"suffix": 7}"#, OnError::Stop).err().expect("a suffix that is no text");
    assert!(refused.chain().contains("suffix must be a text"), "{}", refused.chain());
    let delivers = chain(&compiled, "null", OnError::Stop).and_then(|mut plugin| plugin.delivered(&table));
    assert_eq!(*delivers.unwrap_or_else(|e| panic!("without a config: {}", e.chain())), model::table(&table));

    empty_batch_is_answered(&component);
}

/// The host never hands over an empty batch; the interface says what the answer to one is.
fn empty_batch_is_answered(component: &[u8]) {
    use wasmtime::{
        Cache, CacheConfig, Store,
        component::{Component, Linker, Val},
    };
    let mut settings = CacheConfig::new();
    settings.with_directory(target_folder().join("compiled"));
    let mut engine = wasmtime::Config::new();
    engine.cache(Some(Cache::new(settings).expect("a cache"))).cranelift_opt_level(wasmtime::OptLevel::Speed);
    let engine = wasmtime::Engine::new(&engine).expect("an engine");
    let component = Component::from_binary(&engine, component).expect("a component");
    let mut linker = Linker::<()>::new(&engine);
    // Go's runtime asks for it when it starts
    let mut random = linker.instance("wasi:random/random@0.2.3").expect("a linker");
    random.func_wrap("get-random-u64", |_, ()| Ok((7u64,))).expect("a linker");
    linker.define_unknown_imports_as_traps(&component).expect("a linker");
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component).expect("an instance");
    let interface = instance.get_export_index(&mut store, None, "sluicegate:plugin/transform@1.0.0").expect("the interface");
    let mut call = |name: &str, arguments: &[Val]| {
        let index = instance.get_export_index(&mut store, Some(&interface), name).expect(name);
        let function = instance.get_func(&mut store, index).expect(name);
        let mut answer = [Val::Bool(false)];
        function.call(&mut store, arguments, &mut answer).expect(name);
        let [answer] = answer;
        answer
    };
    let record = |fields: &[(&str, Val)]| Val::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
    let text = |text: &str| Val::String(text.to_owned());
    assert_eq!(call("configure", &[text("null")]), Val::Result(Ok(None)));
    let column = |name: &str, data_type: &str| {
        record(&[
            ("name", text(name)),
            ("data-type", Val::Enum(data_type.to_owned())),
            ("native-type", text("")),
            ("nullable", Val::Bool(true)),
            ("primary-key", Val::Bool(false)),
            ("place", Val::Enum("value".to_owned())),
        ])
    };
    let columns = [("id", "int64"), ("rule", "text"), ("rewritten", "text"), ("old_name", "text"), ("gone", "text"), ("c_text", "text")];
    let name = record(&[("database", text("d")), ("schema", Val::Option(None)), ("table", text("t"))]);
    let table = record(&[
        ("name", name),
        ("destination", Val::Option(None)),
        ("columns", Val::List(columns.map(|(name, data_type)| column(name, data_type)).to_vec())),
    ]);
    assert!(matches!(call("plan", &[Val::U32(3), table]), Val::Result(Ok(Some(_)))));
    let empty = || Val::List(Vec::new());
    let strings = || record(&[("offsets", Val::List(vec![Val::U32(0)])), ("data", empty())]);
    let vector = |case: &str, values: Val| record(&[("values", Val::Variant(case.to_owned(), Some(Box::new(values)))), ("nulls", empty())]);
    let texts = || vector("texts", strings());
    let rows = record(&[
        ("count", Val::U32(0)),
        // c_text, id, rule, rewritten: in the order in which the plugin reads them
        ("columns", Val::List(vec![texts(), vector("int64s", empty()), texts(), texts()])),
        ("images", empty()),
        ("operations", empty()),
        ("times", empty()),
        ("partners", empty()),
    ]);
    // copy_of_c_text, context, origin and destination behind rewritten
    let expected = record(&[("keep", empty()), ("computed", Val::List(vec![texts(); 5])), ("rejected", empty())]);
    assert_eq!(call("apply", &[Val::U32(3), rows]), Val::Result(Ok(Some(Box::new(expected)))));
}

#[test]
fn rust_conforms() {
    conforms(Language::Rust);
}

#[test]
fn c_conforms() {
    conforms(Language::C);
}

#[test]
fn javascript_conforms() {
    conforms(Language::JavaScript);
}

#[test]
fn python_conforms() {
    conforms(Language::Python);
}

#[test]
fn assemblyscript_conforms() {
    conforms(Language::AssemblyScript);
}

#[test]
fn go_conforms() {
    conforms(Language::Go);
}
