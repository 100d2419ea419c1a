//! Entrances for the fuzz targets in `host/fuzz`: whatever the bytes, an answer or an error, never a panic.

use super::{charset::Collations, cursor::Cursor, decoder, event, gtid::GtidSet, json, plan, statement, table_map};
use crate::change::{Column, TableName};

/// A table map, and rows of the table that it describes: the first two bytes are the table map's length.
pub fn row(data: &[u8]) {
    let mut cursor = Cursor(data);
    let Ok(length) = cursor.u16() else { return };
    let Ok(body) = cursor.take(usize::from(length)) else { return };
    let _ = table_map::head(body);
    let _ = event::rows(event::kind::WRITE_ROWS, cursor.0, 1 << 20);
    let Ok(map) = table_map::parse(body) else { return };
    let collations = Collations::new([(8, "latin1".to_owned()), (45, "utf8mb4".to_owned())]);
    let name = TableName::new("d", "t");
    let Ok(Some(descriptions)) = plan::describe(&name, &map, &collations) else { return };
    let Ok(plan) = plan::build(name, &map, &descriptions) else { return };
    let mut columns: Vec<Column> = plan.table.columns.iter().map(|c| Column::new(c.data_type)).collect();
    while !plan.decoders.is_empty() && !cursor.is_empty() && decoder::image(&plan.decoders, &mut cursor, &mut columns).is_ok() {}
}

/// A binary JSON document.
pub fn json(data: &[u8]) {
    let mut out = Vec::new();
    if json::write(data, &mut out).is_ok() {
        assert!(std::str::from_utf8(&out).is_ok());
    }
}

/// GTID sets and statements.
pub fn gtid(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = statement::classify("d", text);
    let _ = GtidSet::parse_mariadb(text);
    if let Ok(set) = GtidSet::parse_mysql(text) {
        assert!(GtidSet::parse_mysql(&set.to_string()).is_ok_and(|again| again == set));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_answered(map in prop::collection::vec(any::<u8>(), 0..60), rows in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut data = (map.len() as u16).to_le_bytes().to_vec();
            data.extend(&map);
            data.extend(&rows);
            super::row(&data);
            super::json(&rows);
            super::gtid(&rows);
        }
    }
}
