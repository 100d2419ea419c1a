//! Built for the draft of version 1.1 of the interface, with wit-bindgen alone. Adds a column that says what the plugin saw of `email`,
//! what the source gives, and how many tables the plugin remembers; where `email` is absent, so is the added column, but for
//! before images. Drops rows whose `email` is `drop`.

use std::{cell::RefCell, collections::BTreeMap};

wit_bindgen::generate!({
    path: ["../../../wit/released/plugin-1.0.0.wit", "../../../wit/draft/plugin-1.1.0.wit"],
    world: "sluicegate:plugin/plugin@1.1.0-draft",
    generate_all,
});

use exports::sluicegate::plugin1_1_0_draft::transform::{Capabilities, Description, Guest, Outcome, Rows, Table, TablePlan};
use sluicegate::{
    plugin1_0_0::types::{Column, Context, DataType, Operations, Place, Strings, Values},
    plugin1_1_0_draft::types::Vector,
};

thread_local! {
    /// What is remembered of each table: what the source gives.
    static TABLES: RefCell<BTreeMap<u32, String>> = const { RefCell::new(BTreeMap::new()) };
}

struct Component;

impl Guest for Component {
    fn describe() -> Description {
        let summary = "says what it sees of absent values".to_owned();
        Description { name: "absent".to_owned(), version: "0.1.0".to_owned(), summary, config_schema: String::new() }
    }

    fn configure(_config: String) -> Result<(), String> {
        Ok(())
    }

    fn plan(table_id: u32, table: Table, source: Capabilities) -> Result<Option<TablePlan>, String> {
        let gives = format!("{:?} {}", source.before_images, source.absent);
        TABLES.with_borrow_mut(|tables| tables.insert(table_id, gives));
        let Some(email) = table.columns.iter().position(|column| column.name == "email") else { return Ok(None) };
        let mut origins: Vec<Option<u32>> = (0..table.columns.len() as u32).map(Some).collect();
        origins.push(None);
        let mut delivers = table;
        delivers.columns.push(Column {
            name: "seen".to_owned(),
            data_type: DataType::Text,
            native_type: String::new(),
            nullable: true,
            primary_key: false,
            place: Place::Value,
        });
        let (operations, reads, context) = (Operations::all() - Operations::TRUNCATE, vec![email as u32], Context::IMAGES);
        Ok(Some(TablePlan { delivers, origins, operations, reads, context, filters: true, absent: true }))
    }

    fn forget_table(table_id: u32) {
        TABLES.with_borrow_mut(|tables| tables.remove(&table_id));
    }

    fn apply(table_id: u32, rows: Rows) -> Result<Outcome, String> {
        let (gives, remembered) = TABLES.with_borrow(|tables| (tables.get(&table_id).cloned(), tables.len()));
        let gives = gives.ok_or("a table that was not planned")?;
        let column = rows.columns.first().ok_or("no column")?;
        let Values::Texts(emails) = &column.values else { return Err("email is no text".to_owned()) };
        let count = rows.count as usize;
        let bit = |bits: &[u8], row: usize| bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1);
        let mut seen = Strings { offsets: vec![0], data: Vec::new() };
        let (mut keep, mut absent) = (vec![0xff_u8; count.div_ceil(8)], vec![0_u8; count.div_ceil(8)]);
        for row in 0..count {
            let email = &emails.data[emails.offsets[row] as usize..emails.offsets[row + 1] as usize];
            let what = match (bit(&column.absent, row), bit(&column.nulls, row)) {
                (true, false) => return Err("an absent value that is not null".to_owned()),
                (true, true) if rows.images[row] == 1 => {
                    absent[row / 8] |= 1 << (row % 8);
                    continue_with(&mut seen, "");
                    continue;
                }
                (true, true) => "absent",
                (false, true) => "null",
                (false, false) => "a value",
            };
            if email == b"drop" {
                keep[row / 8] &= !(1 << (row % 8));
            }
            continue_with(&mut seen, &format!("{what}, {gives}, {remembered}"));
        }
        // as nobody needs them, no bits of nulls: what is absent counts as null
        let computed = vec![Vector { values: Values::Texts(seen), nulls: Vec::new(), absent }];
        Ok(Outcome { keep, computed, rejected: Vec::new() })
    }
}

fn continue_with(strings: &mut Strings, text: &str) {
    strings.data.extend_from_slice(text.as_bytes());
    strings.offsets.push(strings.data.len() as u32);
}

export!(Component);
