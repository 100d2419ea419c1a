//! Entrance for the fuzz target in `host/fuzz`: whatever a plugin says that a column's type is, nothing of it is lost.

use super::change::NativeType;

/// The text of a column's native type.
pub fn native_type(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let native = NativeType::parse(text);
    assert_eq!(native.to_string(), text);
    assert_eq!(native.is_empty(), text.is_empty());
    // what says its parts agrees with itself
    let numbers = [native.length(), native.precision().or(native.scale()), native.fraction_digits()];
    assert!(numbers.iter().flatten().count() <= 1 && (native.labels().is_none() || numbers == [None; 3]));
}

#[cfg(test)]
mod tests {
    use sluicegate_samples::fuzz;

    #[test]
    fn native_type_takes_any_bytes() {
        fuzz::run("native_type", super::native_type, 100);
    }
}
