//! Transaction metadata against Debezium's documented examples.

use super::*;

/// `2: s1.a` and so on.
fn border(schemas: bool, ends: Option<&[(String, u64)]>) -> (Value, Value) {
    let border = TransactionBorder { id: "0e4d5dcd-a33b-11ea-80f1-02010a22a99e:10", time_us: 1_486_500_577_125_000, ends };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let format = Settings { schemas, ..RecordFormat::Debezium.into() };
    assert!(json_format(format).encoder().transaction(&border, &mut key, &mut value));
    let json = |bytes: Vec<u8>| serde_json::from_slice(&bytes).unwrap();
    (json(key), json(value))
}

fn counts() -> [(String, u64); 2] {
    [("s1.a".into(), 2), ("s2.a".into(), 1)]
}

#[test]
fn a_transaction_begins_and_ends_as_debezium_documents_it() {
    let (key, value) = border(false, None);
    assert_eq!(key, json!({ "id": "0e4d5dcd-a33b-11ea-80f1-02010a22a99e:10" }));
    insta::assert_snapshot!(value, @r#"{"status":"BEGIN","id":"0e4d5dcd-a33b-11ea-80f1-02010a22a99e:10","event_count":null,"data_collections":null,"ts_ms":1486500577125}"#);
    let (_, value) = border(false, Some(&counts()));
    insta::assert_snapshot!(value, @r#"{"status":"END","id":"0e4d5dcd-a33b-11ea-80f1-02010a22a99e:10","event_count":3,"data_collections":[{"data_collection":"s1.a","event_count":2},{"data_collection":"s2.a","event_count":1}],"ts_ms":1486500577125}"#);
    let mut flat = (Vec::new(), Vec::new());
    assert!(!encoder(RecordFormat::Flat).transaction(&TransactionBorder { id: "1", time_us: 0, ends: None }, &mut flat.0, &mut flat.1));
}

#[test]
fn with_schemas_key_and_value_have_those_of_debezium() {
    let (key, value) = border(true, Some(&counts()));
    let name = |record: &Value| record["schema"]["name"].as_str().unwrap().to_owned();
    assert_eq!(name(&key), "io.debezium.connector.common.TransactionMetadataKey");
    assert_eq!(name(&value), "io.debezium.connector.common.TransactionMetadataValue");
    assert_eq!(value["payload"], border(false, Some(&counts())).1);
    // each field of the record is one of its schema, in the same order
    let fields: Vec<&str> = value["schema"]["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect();
    let members: Vec<&str> = value["payload"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, members);
}

#[test]
fn a_record_says_where_in_its_transaction_it_stands() {
    let table = table(TableName::new("shop", "orders"), &[("id", DataType::Int64)]);
    let batch = batch(&table, vec![plain(Values::Int64(vec![7]))], &[(Operation::Insert, NO_IMAGE, 0)]);
    for schemas in [false, true] {
        let mut encoder = encoder(Settings { schemas, ..RecordFormat::Debezium.into() });
        let mut told = |place| {
            encoder.table(&batch, 0).number(place);
            let mut out = Vec::new();
            assert!(encoder.value(&batch, &batch.changes[0], &mut out).unwrap());
            let record: Value = serde_json::from_slice(&out).unwrap();
            let mut payload = if schemas { record["payload"].clone() } else { record };
            let transaction = payload["transaction"].take();
            (transaction, payload)
        };
        let (untold, without) = told(None);
        let (placed, with) = told(Some(InTransaction::new(InTransaction::id("file=b\"1,pos=4"), 12, 3)));
        assert_eq!(untold, Value::Null);
        assert_eq!(placed, json!({ "id": "file=b\"1,pos=4", "total_order": 12, "data_collection_order": 3 }));
        assert_eq!(with, without, "nothing else differs");
        assert_eq!(told(None).0, Value::Null);
    }
}
