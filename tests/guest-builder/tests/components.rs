//! The guests as real components, in a bare engine with nothing to import but the log.
#![allow(missing_docs, reason = "tests")]

use sluicegate_guest_builder::{core_module, evil, go_adapter, stamp, standard, truncated, verify, without_export};
use wasmtime::{
    Config, Engine, Store,
    component::{Component, HasSelf, Linker},
};

mod bindings {
    #![allow(missing_docs, clippy::all, clippy::restriction, clippy::pedantic, reason = "generated")]
    wasmtime::component::bindgen!({ path: "../../wit", world: "plugin" });
}

use bindings::{
    Plugin,
    sluicegate::plugin::{
        log,
        types::{Column, DataType, Outcome, Place, Rows, Strings, Table, TableName, Values, Vector},
    },
};

#[derive(Default)]
struct Host {
    lines: usize,
}

impl log::Host for Host {
    fn log(&mut self, _level: log::Level, _message: String) {
        self.lines += 1;
    }
}

impl bindings::sluicegate::plugin::types::Host for Host {}

struct Guest {
    store: Store<Host>,
    plugin: Plugin,
}

fn load(component: &[u8]) -> wasmtime::Result<Guest> {
    let engine = Engine::new(&Config::new())?;
    let component = Component::from_binary(&engine, component)?;
    let mut linker = Linker::new(&engine);
    Plugin::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
    let mut store = Store::new(&engine, Host::default());
    let plugin = Plugin::instantiate(&mut store, &component, &linker)?;
    Ok(Guest { store, plugin })
}

impl Guest {
    fn configured(component: &[u8], config: &str) -> Self {
        let mut guest = load(component).unwrap();
        guest.plugin.sluicegate_plugin_transform().call_configure(&mut guest.store, config).unwrap().unwrap();
        guest
    }

    fn plan(&mut self) -> wasmtime::Result<Result<Option<bindings::sluicegate::plugin::types::Plan>, String>> {
        let column = |name: &str, data_type| Column {
            name: name.into(),
            data_type,
            native_type: String::new(),
            nullable: true,
            primary_key: name == "id",
            place: Place::Value,
        };
        let table = Table {
            name: TableName { database: "shop".into(), schema: None, table: "orders".into() },
            destination: None,
            columns: vec![column("id", DataType::Int64), column("email", DataType::Text)],
        };
        self.plugin.sluicegate_plugin_transform().call_plan(&mut self.store, 1, &table)
    }

    fn apply(&mut self, columns: Vec<Vector>) -> wasmtime::Result<Result<Outcome, String>> {
        let rows = Rows { count: 3, columns, images: Vec::new(), operations: Vec::new(), times: Vec::new(), partners: Vec::new() };
        self.plugin.sluicegate_plugin_transform().call_apply(&mut self.store, 1, &rows)
    }
}

fn ids() -> Vector {
    Vector { values: Values::Int64s(vec![1, 2, 3]), nulls: Vec::new() }
}

fn emails() -> Vector {
    let data = b"ada@example.orgbob@example.org".to_vec();
    Vector { values: Values::Texts(Strings { offsets: vec![0, 15, 15, 30], data }), nulls: vec![0b010] }
}

fn texts(vector: &Vector) -> Vec<String> {
    let Values::Texts(strings) = &vector.values else { panic!("no text") };
    strings.offsets.windows(2).map(|w| String::from_utf8(strings.data[w[0] as usize..w[1] as usize].to_vec()).unwrap()).collect()
}

#[test]
fn the_filter_component_keeps_what_its_condition_matches() {
    let mut guest = Guest::configured(&standard("filter"), r#"{"where": "id <> 2 AND email LIKE '%@example.org'"}"#);
    let plan = guest.plan().unwrap().unwrap().unwrap();
    assert_eq!((plan.reads.as_slice(), plan.filters), ([0, 1].as_slice(), true));
    assert_eq!(guest.apply(vec![ids(), emails()]).unwrap().unwrap().keep, [0b101]);
    let mut guest = load(&standard("filter")).unwrap();
    let refused = guest.plugin.sluicegate_plugin_transform().call_configure(&mut guest.store, r#"{"where": "id ="}"#).unwrap();
    assert!(refused.unwrap_err().contains("is no SQL condition"));
    // the parser's recursion ends in words before it ends the component's stack
    for (deep, told) in [
        (format!("{}id = 1{}", "(".repeat(20_000), ")".repeat(20_000)), "nested more than"),
        (format!("{}id = 1", "NOT ".repeat(1_500)), "is no SQL condition"),
        (vec!["id = 1"; 5_000].join(" OR "), "use IN"),
        (vec!["1"; 30_000].join("+"), "use IN"),
    ] {
        let config = serde_json::json!({ "where": deep }).to_string();
        let refused = guest.plugin.sluicegate_plugin_transform().call_configure(&mut guest.store, &config).unwrap().unwrap_err();
        assert!(refused.contains(told), "{}", &refused[refused.len().saturating_sub(100)..]);
    }
    let long = serde_json::json!({ "where": vec!["id <> 1"; 450].join(" AND ") }).to_string();
    guest.plugin.sluicegate_plugin_transform().call_configure(&mut guest.store, &long).unwrap().unwrap();
    guest.plan().unwrap().unwrap().unwrap();
}

#[test]
fn the_stamp_component_carries_the_version_it_was_given() {
    for version in [1, 42, 9999] {
        let mut guest = Guest::configured(&stamp(version), "null");
        let plan = guest.plan().unwrap().unwrap().unwrap();
        assert_eq!(plan.delivers.columns.last().unwrap().name, "plugin_version");
        let outcome = guest.apply(Vec::new()).unwrap().unwrap();
        assert_eq!(texts(&outcome.computed[0]), vec![format!("VERSION-{version:04}"); 3]);
        assert_eq!(
            guest.plugin.sluicegate_plugin_transform().call_describe(&mut guest.store).unwrap().version,
            format!("VERSION-{version:04}")
        );
    }
}

#[test]
fn the_evil_component_misbehaves_as_told_and_only_so() {
    let component = evil();
    let mut tame = Guest::configured(&component, "{}");
    assert_eq!(tame.plan().unwrap().unwrap().unwrap().reads, [0]);
    assert!(tame.apply(vec![ids()]).unwrap().is_ok());

    let config = |behaviour: &str| format!(r#"{{"behaviour": "{behaviour}", "value": 3}}"#);
    for behaviour in ["trap-apply", "trap-on-value"] {
        let mut guest = Guest::configured(&component, &config(behaviour));
        guest.plan().unwrap().unwrap();
        assert!(guest.apply(vec![ids()]).is_err(), "{behaviour}");
    }
    let mut guest = Guest::configured(&component, &config("plan-unknown-column"));
    assert_eq!(guest.plan().unwrap().unwrap().unwrap().origins, [Some(9)]);
    let mut guest = Guest::configured(&component, &config("fail-plan"));
    assert!(guest.plan().unwrap().is_err());
    let mut guest = Guest::configured(&component, &config("bad-utf8"));
    guest.plan().unwrap().unwrap();
    let Values::Texts(bad) = &guest.apply(vec![emails()]).unwrap().unwrap().computed[0].values else { panic!("no text") };
    assert!(std::str::from_utf8(&bad.data).is_err());
    let mut guest = Guest::configured(&component, &config("log-flood"));
    guest.plan().unwrap().unwrap();
    guest.apply(vec![ids()]).unwrap().unwrap();
    assert_eq!(guest.store.data().lines, 100_000);
}

#[test]
fn what_is_no_plugin_is_not_loaded() {
    for (what, bytes) in [("core module", core_module()), ("truncated", truncated()), ("without export", without_export())] {
        assert!(load(&bytes).is_err(), "{what}");
    }
}

#[test]
fn the_embedded_components_match_their_sources() {
    if let Err(error) = verify() {
        panic!("{error}");
    }
}

#[test]
fn the_adapter_for_go_is_made_of_its_text() {
    let kept = std::fs::read(sluicegate_guest_builder::repository().join("plugins/sdk-go/adapter/wasi.wasm")).unwrap();
    assert!(go_adapter().unwrap() == kept, "run `cargo run -p sluicegate-guest-builder -- adapter`");
}
