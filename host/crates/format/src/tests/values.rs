//! The forms of values, against what Debezium documents for its MySQL connector.

use super::*;
use sluicegate_config::{BigintUnsignedMode, BinaryMode, DecimalMode, Deletes, GeometryMode, LabelMode, TimeMode, ValueModes};
use sluicegate_model::{ErrorKind, change::Strings};

/// What can stand in a column of a test.
enum Given<'a> {
    Int(i64),
    Unsigned(u64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

fn of(native: &str, data_type: DataType, given: &Given<'_>, nullable: bool) -> (ColumnInfo, Column) {
    let info = ColumnInfo { native_type: NativeType::parse(native), nullable, ..column("c", data_type) };
    let strings = |bytes: &[u8]| {
        let mut strings = Strings::default();
        strings.push(bytes);
        strings
    };
    let values = match given {
        Given::Int(value) => Values::Int64(vec![*value]),
        Given::Unsigned(value) => Values::UInt64(vec![*value]),
        Given::Text(text) => Values::Text(strings(text.as_bytes())),
        Given::Bytes(bytes) => Values::Bytes(strings(bytes)),
    };
    (info, plain(values))
}

/// The value in a record with these modes.
fn written(native: &str, data_type: DataType, given: &Given<'_>, nullable: bool, values: ValueModes) -> Result<String, ErrorKind> {
    let (info, column) = of(native, data_type, given, nullable);
    let table = Arc::new(Table { name: TableName::new("s", "t"), destination: None, columns: vec![info] });
    let batch = batch(&table, vec![column], &[(Operation::Insert, NO_IMAGE, 0)]);
    let mut encoder = encoder(Settings { values, deletes: Deletes::Drop, ..RecordFormat::Plain.into() });
    let mut out = Vec::new();
    match encoder.value(&batch, &batch.changes[0], &mut out) {
        Ok(_) => {
            let record = String::from_utf8(out).unwrap();
            serde_json::from_str::<Value>(&record).unwrap_or_else(|e| panic!("{record}: {e}"));
            Ok(record.strip_prefix("{\"c\":").unwrap().strip_suffix('}').unwrap().to_owned())
        }
        Err(error) => {
            assert!(out.is_empty(), "something of the record is left");
            Err(error.kind())
        }
    }
}

/// `SRID 4326;POINT(1 2)` as the servers hold it.
fn point() -> Vec<u8> {
    [&4326u32.to_le_bytes()[..], &[1, 1, 0, 0, 0], &1f64.to_le_bytes(), &2f64.to_le_bytes()].concat()
}

#[test]
fn debezium_defaults_are_what_its_mysql_connector_writes() {
    use DataType::*;
    let point = point();
    for (native, data_type, given, expected) in [
        ("tinyint", Int64, Given::Int(-128), "-128"),
        ("bigint unsigned", UInt64, Given::Unsigned(u64::MAX), "-1"),
        ("int unsigned", UInt64, Given::Unsigned(4_294_967_295), "4294967295"),
        ("bit(1)", UInt64, Given::Unsigned(1), "true"),
        ("bit(1)", UInt64, Given::Unsigned(0), "false"),
        ("bit(10)", UInt64, Given::Unsigned(0x0201), "\"AQI=\""),
        ("year", UInt64, Given::Unsigned(2024), "2024"),
        ("decimal(12,2)", Decimal, Given::Text("-12.50"), "\"+x4=\""),
        ("decimal(5,0)", Decimal, Given::Text("0"), "\"AA==\""),
        ("date", Date, Given::Text("2024-02-29"), "19782"),
        ("time", Time, Given::Text("-838:59:59"), "-3020399000000"),
        ("time(6)", Time, Given::Text("04:05:11.332000"), "14711332000"),
        ("datetime", DateTime, Given::Text("2018-06-20 06:37:03"), "1529476623000"),
        ("datetime(3)", DateTime, Given::Text("2018-06-20 06:37:03.123"), "1529476623123"),
        ("datetime(6)", DateTime, Given::Text("2018-06-20 06:37:03.123456"), "1529476623123456"),
        ("timestamp", Timestamp, Given::Text("2018-06-20T06:37:03Z"), "\"2018-06-20T06:37:03Z\""),
        ("timestamp(3)", Timestamp, Given::Text("2018-06-20T06:37:03.120Z"), "\"2018-06-20T06:37:03.120Z\""),
        ("json", Json, Given::Text("{\"a\": 1}"), "\"{\\\"a\\\": 1}\""),
        ("enum('a','b')", Text, Given::Text("b"), "\"b\""),
        ("set('a','b')", Text, Given::Text("a,b"), "\"a,b\""),
        ("varbinary(8)", Bytes, Given::Bytes(&[0xfb, 0xff]), "\"+/8=\""),
        ("geometry", Bytes, Given::Bytes(&point), "{\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":4326}"),
        ("vector", Bytes, Given::Bytes(&[0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]), "[1.0,-2.5]"),
        // computed: of a type that no source declares
        ("", Decimal, Given::Text("1.5"), "\"1.5\""),
        ("", DateTime, Given::Text("2018-06-20 06:37:03"), "1529476623000000"),
    ] {
        assert_eq!(written(native, data_type, &given, true, ValueModes::DEBEZIUM).as_deref(), Ok(expected), "{native}");
    }
}

#[test]
fn dates_that_no_calendar_has_are_null_or_the_epoch_in_numbers_and_stay_text() {
    use DataType::*;
    for (native, data_type, text, epoch) in [
        ("date", Date, "2024-00-00", "0"),
        ("datetime", DateTime, "0000-00-00 00:00:00", "0"),
        ("timestamp(3)", Timestamp, "0000-00-00T00:00:00.000Z", "\"1970-01-01T00:00:00Z\""),
    ] {
        let given = Given::Text(text);
        assert_eq!(written(native, data_type, &given, true, ValueModes::DEBEZIUM).as_deref(), Ok("null"));
        assert_eq!(written(native, data_type, &given, false, ValueModes::DEBEZIUM).as_deref(), Ok(epoch));
        assert_eq!(written(native, data_type, &given, true, ValueModes::default()), Ok(format!("\"{text}\"")));
    }
    let iso = ValueModes { time: TimeMode::IsoString, ..ValueModes::default() };
    assert_eq!(written("date", Date, &Given::Text("0000-00-00"), false, iso).as_deref(), Ok("\"1970-01-01Z\""));
    assert_eq!(written("datetime", DateTime, &Given::Text("0000-00-00 00:00:00"), true, iso).as_deref(), Ok("null"));
}

#[test]
fn every_mode_of_time_has_its_unit() {
    use DataType::*;
    let day = ("date", Date, "2024-02-29");
    let short = ("time(3)", Time, "10:11:30.120");
    let long = ("time(6)", Time, "10:11:30.123400");
    let at = ("datetime(6)", DateTime, "2015-08-13 10:11:30.123400");
    for (mode, expected) in [
        (TimeMode::Text, ["\"2024-02-29\"", "\"10:11:30.120\"", "\"10:11:30.123400\"", "\"2015-08-13 10:11:30.123400\""]),
        (TimeMode::Adaptive, ["19782", "36690120", "36690123400", "1439460690123400"]),
        (TimeMode::AdaptiveMicroseconds, ["19782", "36690120000", "36690123400", "1439460690123400"]),
        (TimeMode::Connect, ["19782", "36690120", "36690123", "1439460690123"]),
        (TimeMode::IsoString, ["\"2024-02-29Z\"", "\"10:11:30.12Z\"", "\"10:11:30.1234Z\"", "\"2015-08-13T10:11:30.1234Z\""]),
        (TimeMode::Microseconds, ["19782", "36690120000", "36690123400", "1439460690123400"]),
        (TimeMode::Nanoseconds, ["19782", "36690120000000", "36690123400000", "1439460690123400000"]),
    ] {
        let modes = ValueModes { time: mode, ..ValueModes::default() };
        for ((native, data_type, text), expected) in [day, short, long, at].into_iter().zip(expected) {
            assert_eq!(written(native, data_type, &Given::Text(text), true, modes).as_deref(), Ok(expected), "{mode:?} {native}");
        }
    }
    // a duration is no time of day, nor do milliseconds of it fit into 32 bits
    for (mode, text) in [(TimeMode::Connect, "24:00:00"), (TimeMode::Connect, "-00:00:01"), (TimeMode::Adaptive, "838:59:59")] {
        let modes = ValueModes { time: mode, ..ValueModes::default() };
        assert_eq!(written("time", Time, &Given::Text(text), true, modes), Err(ErrorKind::Record), "{mode:?}");
    }
    let nanoseconds = ValueModes { time: TimeMode::Nanoseconds, ..ValueModes::default() };
    assert_eq!(written("datetime", DateTime, &Given::Text("9999-12-31 23:59:59"), true, nanoseconds), Err(ErrorKind::Record));
}

#[test]
fn every_mode_of_numbers_bytes_and_labels_has_its_form() {
    use DataType::*;
    let modes = |change: fn(&mut ValueModes)| {
        let mut modes = ValueModes::default();
        change(&mut modes);
        modes
    };
    let bytes = Given::Bytes(&[0xfb, 0xff, 0x0a]);
    let labels = "enum('red','green','')";
    for (native, data_type, given, modes, expected) in [
        ("decimal(12,2)", Decimal, Given::Text("-12.50"), modes(|_| {}), "\"-12.50\""),
        ("decimal(12,2)", Decimal, Given::Text("-12.50"), modes(|m| m.decimal = DecimalMode::Double), "-12.5"),
        ("decimal(12,2)", Decimal, Given::Text("5.00"), modes(|m| m.decimal = DecimalMode::Double), "5.0"),
        ("bigint unsigned", UInt64, Given::Unsigned(u64::MAX), modes(|_| {}), "18446744073709551615"),
        (
            "bigint unsigned",
            UInt64,
            Given::Unsigned(u64::MAX),
            modes(|m| m.bigint_unsigned = BigintUnsignedMode::Precise),
            "\"AP//////////\"",
        ),
        ("bit(64)", UInt64, Given::Unsigned(u64::MAX), modes(|m| m.bigint_unsigned = BigintUnsignedMode::Long), "18446744073709551615"),
        ("blob", Bytes, bytes, modes(|_| {}), "\"+/8K\""),
        ("blob", Bytes, Given::Bytes(&[0xfb, 0xff]), modes(|m| m.binary = BinaryMode::Base64UrlSafe), "\"-_8=\""),
        ("blob", Bytes, Given::Bytes(&[0xfb, 0xff, 0x0a]), modes(|m| m.binary = BinaryMode::Hex), "\"fbff0a\""),
        (labels, Text, Given::Text("green"), modes(|m| m.labels = LabelMode::Numbers), "2"),
        (labels, Text, Given::Text(""), modes(|m| m.labels = LabelMode::Numbers), "3"),
        ("enum('red')", Text, Given::Text(""), modes(|m| m.labels = LabelMode::Numbers), "0"),
        ("set('a','b','c')", Text, Given::Text("a,c"), modes(|m| m.labels = LabelMode::Numbers), "5"),
        ("set('a','b','c')", Text, Given::Text(""), modes(|m| m.labels = LabelMode::Numbers), "0"),
    ] {
        assert_eq!(written(native, data_type, &given, true, modes).as_deref(), Ok(expected), "{native}");
    }
    let numbers = modes(|m| m.labels = LabelMode::Numbers);
    assert_eq!(written("enum('red')", Text, &Given::Text("blue"), true, numbers), Err(ErrorKind::Record));
    let precise = modes(|m| m.decimal = DecimalMode::Precise);
    assert_eq!(written("decimal(5,1)", Decimal, &Given::Text("1.25"), true, precise), Err(ErrorKind::Record));
}

#[test]
fn geometries_have_five_forms() {
    let point = point();
    for (mode, binary, expected) in [
        (GeometryMode::Native, BinaryMode::Base64, "\"5hAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==\""),
        (GeometryMode::Wkb, BinaryMode::Hex, "\"0101000000000000000000f03f0000000000000040\""),
        (GeometryMode::Ewkb, BinaryMode::Hex, "\"0101000020e6100000000000000000f03f0000000000000040\""),
        (GeometryMode::GeoJson, BinaryMode::Hex, r#""{\"type\":\"Point\",\"coordinates\":[1,2]}""#),
        (GeometryMode::Debezium, BinaryMode::Hex, "{\"wkb\":\"AQEAAAAAAAAAAADwPwAAAAAAAABA\",\"srid\":4326}"),
    ] {
        let modes = ValueModes { geometry: mode, binary, ..ValueModes::default() };
        assert_eq!(written("geometry", DataType::Bytes, &Given::Bytes(&point), true, modes).as_deref(), Ok(expected), "{mode:?}");
    }
    let geojson = ValueModes { geometry: GeometryMode::GeoJson, ..ValueModes::default() };
    assert_eq!(written("geometry", DataType::Bytes, &Given::Bytes(&point[..20]), true, geojson), Err(ErrorKind::Record));
}

#[test]
fn the_error_of_a_value_that_does_not_fit_names_its_column_and_not_the_value() {
    let (info, column) = of("time", DataType::Time, &Given::Text("838:59:59"), true);
    let table = Arc::new(Table { name: TableName::new("shop", "t"), destination: None, columns: vec![info] });
    let batch = batch(&table, vec![column], &[(Operation::Insert, NO_IMAGE, 0)]);
    let values = ValueModes { time: TimeMode::Connect, ..ValueModes::default() };
    insta::allow_duplicates! {
        for record in [RecordFormat::Debezium, RecordFormat::Flat, RecordFormat::CloudEvents] {
            let mut encoder = encoder(Settings { values, ..record.into() });
            let mut out = b"before".to_vec();
            let error = encoder.value(&batch, &batch.changes[0], &mut out).unwrap_err();
            assert_eq!(out, b"before");
            insta::assert_snapshot!(error, @r"
            a value of column `c` of table shop.t cannot be written in the form that the format's options ask for
              remedy: let the format write such values as text (`decimal_handling_mode: string`, `time_precision_mode: text`, `geometry_handling_mode: native`), or set `on_error`
            ");
        }
    }
}
