//! What a plugin in AssemblyScript may do wrong, and what it leaves to its garbage collector: the SDK is written by hand, down to
//! the canonical ABI. See `tests/guests/assemblyscript`.

use sluicegate_config::OnError;
use sluicegate_guest_builder::{Language, repository};
use sluicegate_model::{
    change::{Column, Values},
    limits::Limits,
};
use sluicegate_plugin_host::Compiled;

use crate::rows::{self, Filling, Nulls};

fn faults() -> Compiled {
    let component = Language::AssemblyScript.build(&repository().join("tests/guests/assemblyscript/faults"));
    let component = component.unwrap_or_else(|error| panic!("{error}"));
    crate::engine().compile(&component, &crate::limits()).unwrap_or_else(|e| panic!("{}", e.chain()))
}

fn config(fault: &str) -> String {
    serde_json::json!({ "fault": fault }).to_string()
}

fn filling(changes: usize) -> Filling {
    Filling { changes, nulls: Nulls::Some, ascii: false, seed: 0 }
}

#[test]
fn a_fault_is_an_answer_that_names_the_column() {
    let compiled = faults();
    let batch = rows::batch(&rows::table("all_types"), filling(1024));
    let told: Vec<String> = [
        "half a pair",
        "half a pair at the start",
        "halves in the wrong order",
        "half a pair in a message",
        "half a pair in an error",
        "half a pair in a name",
        "half a pair in a header's name",
        "half a pair in a destination",
        "an unknown column",
        "an unknown header",
        "a column that was dropped",
        "read as another type",
        "bytes as text",
        "set to another type",
        "a number for a boolean",
        "a float for an integer",
        "below the range",
        "above the range",
        "an address",
        "not read",
        "not computed",
        "no such header",
        "no destinations",
        "not asked for",
        "not asked for, in the last row",
        "another row",
        "too few values",
        "too many values",
        "another type of column",
    ]
    .into_iter()
    .map(|fault| {
        let delivered = crate::chain(&compiled, &config(fault), OnError::Stop).and_then(|mut chain| chain.apply(batch.clone()));
        let error = delivered.err().unwrap_or_else(|| panic!("{fault}: nothing failed"));
        let message = error.message().rsplit_once("`p`: ").map_or(error.message(), |(_, message)| message);
        assert!(!error.chain().contains("wasm trap"), "{fault}: {}", error.chain());
        format!("{fault}: {message}")
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    half a pair: refuses the batch: column `c_text` is set to a text with half of a surrogate pair
    half a pair at the start: refuses the batch: column `c_text` is set to a text with half of a surrogate pair
    halves in the wrong order: refuses the batch: column `c_text` is set to a text with half of a surrogate pair
    half a pair in a message: conformance.all_types near binlog.000001:4: plugin `p` rejects the row: the plugin's message holds half of a surrogate pair, and cannot be told
    half a pair in an error: refuses its configuration: the plugin's message holds half of a surrogate pair, and cannot be told
    half a pair in a name: conformance.all_types (id, rule, rewritten, old_name, gone, unread, c_boolean, c_int64, c_uint64, c_float32, c_float64, c_decimal, c_text, c_bytes, c_date, c_time, c_datetime, c_timestamp, c_json, v_boolean, …): cannot plan the table: the plan gives a table, column, header or destination a name with half of a surrogate pair
    half a pair in a header's name: conformance.all_types (id, rule, rewritten, old_name, gone, unread, c_boolean, c_int64, c_uint64, c_float32, c_float64, c_decimal, c_text, c_bytes, c_date, c_time, c_datetime, c_timestamp, c_json, v_boolean, …): cannot plan the table: the plan gives a table, column, header or destination a name with half of a surrogate pair
    half a pair in a destination: conformance.all_types (id, rule, rewritten, old_name, gone, unread, c_boolean, c_int64, c_uint64, c_float32, c_float64, c_decimal, c_text, c_bytes, c_date, c_time, c_datetime, c_timestamp, c_json, v_boolean, …): cannot plan the table: the plan gives a table, column, header or destination a name with half of a surrogate pair
    an unknown column: conformance.all_types (id, rule, rewritten, old_name, gone, unread, c_boolean, c_int64, c_uint64, c_float32, c_float64, c_decimal, c_text, c_bytes, c_date, c_time, c_datetime, c_timestamp, c_json, v_boolean, …): cannot plan the table: table conformance.all_types has no column `nothing`
    an unknown header: conformance.all_types (id, rule, rewritten, old_name, gone, unread, c_boolean, c_int64, c_uint64, c_float32, c_float64, c_decimal, c_text, c_bytes, c_date, c_time, c_datetime, c_timestamp, c_json, v_boolean, …): cannot plan the table: table conformance.all_types has no header `nothing`
    a column that was dropped: conformance.all_types (id, rule, rewritten, old_name, gone, unread, c_boolean, c_int64, c_uint64, c_float32, c_float64, c_decimal, c_text, c_bytes, c_date, c_time, c_datetime, c_timestamp, c_json, v_boolean, …): cannot plan the table: column `rule` of table conformance.all_types was dropped before
    read as another type: refuses the batch: column `c_text` is read as another type than it has
    bytes as text: refuses the batch: column `c_text` is set to another type than it has
    set to another type: refuses the batch: column `c_text` is set to another type than it has
    a number for a boolean: refuses the batch: column `c_boolean` is set to another type than it has
    a float for an integer: refuses the batch: column `c_int64` is set to another type than it has
    below the range: refuses the batch: column `c_uint64` is set to a number out of its range
    above the range: refuses the batch: column `c_int64` is set to a number out of its range
    an address: refuses the batch: column `c_uint64` is set to null, or to an usize: call setNull, or set an u64
    not read: refuses the batch: column `rule` is not read by the plan: call table.read
    not computed: refuses the batch: column `id` is not computed by the plan: call table.rewrite or table.add
    no such header: refuses the batch: header `origin` is not computed by the plan: call table.addHeader
    no destinations: refuses the batch: the plan does not let rows choose their destination: call table.chooseDestinations
    not asked for: refuses the batch: the plan does not ask for Context.Times: call table.ask
    not asked for, in the last row: refuses the batch: the plan does not ask for Context.Times: call table.ask
    another row: refuses the batch: `c_int64` is set in another row than the one that is handled
    too few values: refuses the batch: computed column `c_boolean` does not have a value for every row
    too many values: refuses the batch: column `c_int64` is given more values than there are rows
    another type of column: refuses the batch: column `c_text` is set to another type than it has
    "#);
}

#[test]
fn a_configuration_is_read_as_it_is_written() {
    let values = r#" { "fault" :"none, but tell", "values":[ null,true, false ,0,-0, 12e3, -9223372036854775808, 9223372036854775807,
        9223372036854775808, -9223372036854775809, 1.5, "", "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00😀", [], [ ], [1,[2,"],["]], {}, { "x": {"a": 1},
        "a" : "}", "b\"c" : {"d":[{}]} ,"d":true}]} "#;
    let error = crate::chain(&faults(), values, OnError::Stop).err().expect("it refuses with what it read");
    insta::assert_snapshot!(error.message().replace(", ", ",\n"), @r#"
    plugin `p`: refuses its configuration: [null -1 true,
    bool true,
    bool false,
    int 0,
    int 0,
    raw 12e3,
    int -9223372036854775808,
    int 9223372036854775807,
    raw 9223372036854775808,
    raw -9223372036854775809,
    raw 1.5,
    text 0 ,
    text 13 "\/     é😀😀,
    [],
    [],
    [int 1,
    [int 2,
    text 3 ],[]],
    {a: null -1 true,
    b c: null -1 true,
    d: null -1 true},
    {a: text 1 },
    b c: {a: null -1 true,
    b c: null -1 true,
    d: [{a: null -1 true,
    b c: null -1 true,
    d: null -1 true}]},
    d: bool true}]
    "#);
}

fn texts(column: &Column) -> Vec<String> {
    let Values::Text(texts) = &column.values else { panic!("a text column") };
    (0..column.values.len()).map(|row| String::from_utf8_lossy(texts.get(row)).into_owned()).collect()
}

#[test]
fn what_a_row_sets_last_counts() {
    let mut chain = crate::chain(&faults(), &config("set anew"), OnError::Stop).unwrap_or_else(|e| panic!("{}", e.chain()));
    let delivered = chain.apply(rows::batch(&rows::table("all_types"), filling(9))).unwrap_or_else(|e| panic!("{}", e.chain()));
    delivered.validate().expect("a sound batch");
    let rows = &delivered.tables[0];
    let column = |name: &str| &rows.columns[rows.table.columns.iter().position(|c| c.name == name).expect(name)];
    let Values::Int64(ids) = &column("id").values else { panic!("ids are integers") };
    assert_eq!(texts(column("c_text")), ids.iter().map(i64::to_string).collect::<Vec<_>>());
    let count = ids.len();
    assert!((0..count).all(|row| !column("c_text").nulls.get(row) && column("c_int64").nulls.get(row)));
    assert_eq!(column("c_boolean").values, Values::Boolean(vec![1; count]));
    assert_eq!(column("c_uint64").values, Values::UInt64(vec![u64::MAX; count]));
}

#[test]
fn memory_does_not_grow_with_what_is_thrown_away() {
    // four megabytes of garbage in each batch, in an instance that has four and is not replaced; what it keeps stays whole
    let limits = Limits { plugin_memory: 4 << 20, plugin_memory_watermark: 4 << 20, ..crate::limits() };
    let mut chain = crate::chain_within(&faults(), &config("garbage"), OnError::Stop, limits).unwrap_or_else(|e| panic!("{}", e.chain()));
    let batch = rows::batch(&rows::table("all_types"), filling(60));
    for round in 1..=50 {
        let delivered = chain.apply(batch.clone()).unwrap_or_else(|e| panic!("round {round}: {}", e.chain()));
        let rows = &delivered.tables[0];
        let place = rows.table.columns.iter().position(|c| c.name == "c_text").expect("a column");
        let Values::Int64(ids) = &rows.columns[0].values else { panic!("ids are integers") };
        let expected: Vec<_> = ids.iter().map(|id| format!("{id} {round} 1024")).collect();
        assert_eq!(texts(&rows.columns[place]), expected, "round {round}");
    }
}
