//! Table patterns, and the nearest name for error texts.

pub use sluicegate_table_pattern::{Fault, TablePattern, TablePatterns, name_parts};

use sluicegate_table_pattern::Name;

use crate::TableName;

impl<'a> From<&'a TableName> for Name<'a> {
    fn from(name: &'a TableName) -> Self {
        Self { database: &name.database, schema: name.schema.as_deref(), table: &name.table }
    }
}

/// The table's name for messages, as a pattern takes it: `database.table`, with a schema `database.schema.table`, and with
/// backticks around a part that holds a dot.
pub fn display_name(name: &TableName) -> String {
    Name::from(name).to_string()
}

/// The place of the name among `names` that is `wanted`, or the only one that differs from it in case alone: databases do not tell
/// the names of columns apart by case.
pub fn find_name<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<usize> {
    let (mut other_case, mut several) = (None, false);
    let lower = wanted.to_lowercase();
    for (place, name) in names.into_iter().enumerate() {
        if name == wanted {
            return Some(place);
        }
        if name.to_lowercase() == lower {
            several |= other_case.replace(place).is_some();
        }
    }
    other_case.filter(|_| !several)
}

/// The name among `names` that `wanted` was probably meant to be, if one is near enough.
pub fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_selected_by_its_displayed_name() {
        for (database, schema, table, expected) in [
            ("shop", None, "orders", "shop.orders"),
            ("erp", Some("dbo"), "orders", "erp.dbo.orders"),
            ("shop", None, "eu.t", "shop.`eu.t`"),
            ("shop.eu", None, "t", "`shop.eu`.t"),
        ] {
            let name = TableName { database: database.into(), schema: schema.map(Into::into), table: table.into() };
            assert_eq!(display_name(&name), expected);
            assert!(TablePatterns::new(&[expected]).unwrap().selects(&name));
        }
    }

    #[test]
    fn a_name_is_found_in_another_case_unless_two_differ_in_nothing_else() {
        assert_eq!(find_name("EMAIL", ["id", "email"]), Some(1));
        assert_eq!(find_name("Email", ["EMAIL", "Email"]), Some(1));
        assert_eq!(find_name("email", ["EMAIL", "Email"]), None);
        assert_eq!(find_name("Größe", ["GRÖßE"]), Some(0));
        assert_eq!(find_name("email", ["e_mail"]), None);
    }

    #[test]
    fn the_nearest_name_is_only_named_when_it_is_near() {
        assert_eq!(nearest("emial", ["id", "email", "name"]), Some("email"));
        assert_eq!(nearest("Amount", ["id", "amount"]), Some("amount"));
        assert_eq!(nearest("zzzzz", ["id", "email"]), None);
    }
}
