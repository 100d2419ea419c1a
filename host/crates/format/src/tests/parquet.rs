//! Parquet, read back with the reader of the library.

use ::parquet::{
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use sluicegate_samples::rows::{random, random_table};

use super::{
    random::{json_of, micros},
    *,
};
use crate::{ParquetFile, ParquetRows, ParquetTable};
use sluicegate_config::ValueModes;
use sluicegate_model::limits::PARQUET_GROUP_BYTES;

/// The rows of all changes, in so many row groups.
fn file(batch: &Batch, groups: usize) -> bytes::Bytes {
    let table = ParquetTable::new(&batch.tables[0].table, false).unwrap();
    let mut file = ParquetFile::begin(Vec::new(), &table, Some(1)).unwrap();
    let mut rows = ParquetRows::new(&table);
    for changes in batch.changes.chunks(batch.changes.len().div_ceil(groups)) {
        changes.iter().for_each(|change| rows.push(&table, batch, change).unwrap());
        assert!(rows.bytes() > 0 && !rows.is_empty());
        file.write(&table, &mut rows).unwrap();
        assert!(rows.is_empty());
    }
    file.end().unwrap().into()
}

fn read(file: bytes::Bytes) -> Vec<Vec<(String, Field)>> {
    let reader = SerializedFileReader::new(file).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| row.unwrap().get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()).collect()
}

/// The unscaled number of a decimal as few bytes as hold it.
fn shortest(bytes: &[u8]) -> &[u8] {
    let filler = if bytes[0] & 0x80 != 0 { 0xff } else { 0 };
    let lead = bytes.windows(2).take_while(|pair| pair[0] == filler && (pair[0] ^ pair[1]) & 0x80 == 0).count();
    &bytes[lead..]
}

/// Whether a field is what a flat record has with types that lose nothing.
fn assert_same(json: &Value, field: &Field, at: &str) {
    let same = match (json, field) {
        (Value::Null, Field::Null) => true,
        (Value::Bool(one), Field::Bool(other)) => one == other,
        (Value::Number(one), Field::Byte(other)) => one.as_i64() == Some((*other).into()),
        (Value::Number(one), Field::Short(other)) => one.as_i64() == Some((*other).into()),
        (Value::Number(one), Field::Int(other) | Field::Date(other)) => one.as_i64() == Some((*other).into()),
        (Value::Number(one), Field::Long(other) | Field::TimestampMillis(other) | Field::TimestampMicros(other)) => {
            one.as_i64() == Some(*other)
        }
        (Value::Number(one), Field::UByte(other)) => one.as_u64() == Some((*other).into()),
        (Value::Number(one), Field::UShort(other)) => one.as_u64() == Some((*other).into()),
        (Value::Number(one), Field::UInt(other)) => one.as_u64() == Some((*other).into()),
        (Value::Number(one), Field::ULong(other)) => one.as_u64() == Some(*other),
        (Value::Number(one), Field::Float(other)) => one.as_f64().unwrap() as f32 == *other,
        // the parser of the test is not exact in the last digit
        (Value::Number(one), Field::Double(other)) => (one.as_f64().unwrap() - other).abs() <= other.abs() * 4e-16,
        (Value::String(one), Field::TimestampMillis(other)) => micros(one).div_euclid(1000) == *other,
        (Value::String(one), Field::TimestampMicros(other)) => micros(one) == *other,
        (Value::String(one), Field::Str(other)) => one == other,
        (Value::String(one), Field::Bytes(other)) => STANDARD.decode(one).unwrap() == other.data(),
        (Value::String(one), Field::Decimal(other)) => STANDARD.decode(one).unwrap() == shortest(other.data()),
        (Value::Array(ones), Field::ListInternal(others)) => ones.len() == others.elements().len(),
        _ => false,
    };
    assert!(same, "{at}: {json} is not {field:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn every_row_reads_back_as_the_one_of_json((kinds, rows) in random_table(), groups in 1usize..3) {
        let batch = random(&kinds, &rows);
        let modes = ValueModes { bigint_unsigned: sluicegate_config::BigintUnsignedMode::Exact, ..ValueModes::TYPED };
        let expected = json_of(&batch, RecordFormat::Flat, modes);
        let found = read(file(&batch, groups));
        prop_assert_eq!(expected.len(), found.len());
        for (mut json, row) in expected.into_iter().zip(found) {
            json["_absent"] = Value::Array(Vec::new());
            for (name, field) in &row {
                assert_same(json.get(name).unwrap_or(&Value::Null), field, name);
            }
            prop_assert_eq!(row.len(), json.as_object().unwrap().len() + 1, "`_gtid` alone is not in JSON");
        }
    }
}

#[test]
fn what_the_source_did_not_send_is_null_and_named() {
    let mut batch = random(&[(3, false), (18, false), (18, false)], &[vec![4], vec![5]]);
    for column in [1, 2] {
        batch.tables[0].columns[column].nulls.set(0);
        batch.tables[0].columns[column].absent.set(0);
    }
    let rows = read(file(&batch, 1));
    let field = |row: usize, name: &str| rows[row].iter().find(|(known, _)| known == name).unwrap().1.clone();
    let Field::ListInternal(absent) = field(0, "_absent") else { panic!("no list") };
    assert_eq!(absent.elements(), [Field::Str("c1".into()), Field::Str("c2".into())]);
    assert_eq!((field(0, "c1"), field(0, "_op"), field(1, "_op")), (Field::Null, Field::Str("r".into()), Field::Str("u".into())));
    let Field::ListInternal(absent) = field(1, "_absent") else { panic!("no list") };
    assert!(absent.elements().is_empty());
}

#[test]
fn a_value_that_does_not_fit_leaves_nothing_of_its_row() {
    // beyond the digits that the column has
    let mut batch = random(&[(3, false), (14, false)], &[vec![4], vec![6]]);
    batch.tables[0].columns[1] = text(&[Some("1.25"), Some("1234567890123456789012.5")]);
    let table = ParquetTable::new(&batch.tables[0].table, false).unwrap();
    let mut rows = ParquetRows::new(&table);
    rows.push(&table, &batch, &batch.changes[0]).unwrap();
    let error = rows.push(&table, &batch, &batch.changes[1]).unwrap_err();
    assert_eq!(error.kind(), sluicegate_model::ErrorKind::Record);
    insta::assert_snapshot!(error, @"a value of column `c1` of table shop.orders does not fit the type that it has in Parquet
  remedy: let a plugin deliver the column as text, or set `on_error`");
    rows.push(&table, &batch, &batch.changes[0]).unwrap();
    let mut file = ParquetFile::begin(Vec::new(), &table, None).unwrap();
    file.write(&table, &mut rows).unwrap();
    let found = read(file.end().unwrap().into());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], found[1]);
}

#[test]
fn rows_are_counted_one_by_one_however_many_came_before() {
    const ROW: usize = 4 << 20;
    let mut batch = random(&[(18, false)], &[vec![4], vec![4]]);
    let large = "x".repeat(ROW);
    batch.tables[0].columns[0] = text(&[Some("a"), Some(&large)]);
    let table = ParquetTable::new(&batch.tables[0].table, false).unwrap();
    let mut rows = ParquetRows::new(&table);
    (0..64).for_each(|_| rows.push(&table, &batch, &batch.changes[0]).unwrap());
    let mut count = 0;
    while !rows.is_full() {
        rows.push(&table, &batch, &batch.changes[1]).unwrap();
        count += 1;
    }
    assert_eq!(count, PARQUET_GROUP_BYTES.div_ceil(ROW));
    assert!(rows.bytes() < PARQUET_GROUP_BYTES + ROW);
}
