//! Names that Avro can have, made as Debezium makes them (`field.name.adjustment.mode` and `schema.name.adjustment.mode` `avro`).

/// The name of a field: what is no letter, digit or `_` becomes `_`, and one comes in front of a digit.
pub(super) fn field(name: &str) -> String {
    let lead = if name.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    lead.chars().chain(name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })).collect()
}

/// The full name of a record: each part between its dots as a field's.
pub(super) fn full(name: &str) -> String {
    name.split('.').map(field).collect::<Vec<_>>().join(".")
}

/// Namespace and name.
pub(super) fn parts(full: &str) -> (&str, &str) {
    full.rsplit_once('.').unwrap_or(("", full))
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_those_that_avro_can_have() {
        for (name, expected) in [("id", "id"), ("a-b c", "a_b_c"), ("2nd", "_2nd"), ("größe", "gr__e"), ("__op", "__op"), ("", "")] {
            assert_eq!(super::field(name), expected, "{name}");
        }
        assert_eq!(super::full("my-shop.2024.orders.Key"), "my_shop._2024.orders.Key");
    }
}
