//! Rows as the driver gives them, which are not always what the catalogue says.

use tiberius::ColumnData;

use super::*;
use crate::{
    assembly::{Assembly, Row},
    fault::Fault,
};

fn text(text: &'static str) -> ColumnData<'static> {
    ColumnData::String(Some(text.into()))
}

#[test]
fn a_value_of_another_type_than_the_column_s_is_told_by_the_column_s_name_and_tried_again() {
    for columns in [["int", "int"], ["nvarchar", "nvarchar"]] {
        let columns = [keyed(column(1, "id", columns[0]), 1), column(2, "v", columns[1])];
        let table = Arc::new(TrackedTable::new(&name(), &columns, true, "", &settings(), 1000).unwrap());
        let mut assembly = Assembly::new(table, (10, 1000), 1000);
        let number = ColumnData::I32(Some(1));
        let cells = if columns[0].declared == "int" { [number, text("secret")] } else { [text("secret"), number] };
        let fault = assembly.push(Operation::Insert, &Row::Whole(&cells), 1, None).unwrap_err();
        let Fault::Transient(error) = fault else { panic!("{fault:?}") };
        assert!(error.to_string().contains("the column v is of another type") && !error.to_string().contains("secret"), "{error}");
        assert!(assembly.is_empty());
    }
}

#[test]
fn a_place_is_never_at_a_key_whose_text_was_replaced() {
    let columns = [keyed(column(1, "id", "nvarchar"), 1)];
    let table = |replace_invalid_text| {
        TrackedTable::new(&name(), &columns, true, "", &SqlServerSource { replace_invalid_text, ..settings() }, 1000).unwrap()
    };
    let cells = [text("a\u{FFFD}")];
    // without the setting the character is the row's own
    assert_eq!(*table(false).key_text(&cells).unwrap(), [Box::from("a\u{FFFD}")]);
    let Err(Fault::Final(error)) = table(true).key_text(&cells) else { panic!("a place") };
    assert!(error.to_string().contains("the key column id"), "{error}");
}

#[test]
fn a31_a_text_that_was_not_cut_says_so_under_a_collation_that_counts_pairs_of_surrogates_as_one() {
    let limited = SqlServerSource { text_limit: Some(3), ..settings() };
    let note = CatalogueColumn { length: -1, collation: Some("Latin1_General_100_CI_AS_SC".into()), ..column(2, "note", "nvarchar") };
    let table = Arc::new(TrackedTable::new(&name(), &[keyed(column(1, "id", "int"), 1), note], true, "", &limited, 1000).unwrap());
    let header = table.delivered.columns.iter().position(|column| column.name == "change_truncated").unwrap();
    let mut assembly = Assembly::new(table, (10, 100_000), 100_000);
    for (units, given) in [(6, "😀😀😀"), (8, "😀😀😀")] {
        let cells = [ColumnData::I32(Some(units)), ColumnData::I64(Some(i64::from(units) * 2)), text(given)];
        assembly.push(Operation::Insert, &Row::Whole(&cells), 1, None).unwrap();
    }
    let batch = assembly.take(0, place::lane(&name()), offset(&at(1)), true);
    let column = &batch.tables[0].columns[header];
    assert!(column.nulls.get(0), "three characters, and all of them");
    assert!(!column.nulls.get(1), "a fourth one is missing");
}
