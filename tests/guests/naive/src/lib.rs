//! The work of the bench `boundary`, a row at a time: keeps `status <> 'cancelled' AND amount >= 10`, masks the e-mail address
//! but for its first and last four characters.

wit_bindgen::generate!({ path: "wit", world: "naive" });

use std::cell::Cell;

thread_local! {
    static PLACES: Cell<(u32, u32, u32)> = const { Cell::new((0, 0, 0)) };
}

struct Naive;

fn cents(decimal: &str) -> i64 {
    decimal.bytes().filter(u8::is_ascii_digit).fold(0, |n, b| n * 10 + i64::from(b - b'0'))
}

fn kept(status: Option<&str>, amount: Option<&str>) -> bool {
    status.is_some_and(|status| status != "cancelled") && amount.is_some_and(|amount| cents(amount) >= 1000)
}

fn mask(text: &str) -> String {
    let count = text.chars().count();
    text.chars().enumerate().map(|(i, c)| if i == 0 || i + 4 >= count { c } else { '*' }).collect()
}

impl Guest for Naive {
    fn configure(status: u32, amount: u32, email: u32) {
        PLACES.set((status, amount, email));
    }

    fn transform_record(mut row: Vec<Value>) -> Option<Vec<Value>> {
        let (status, amount, email) = PLACES.get();
        let text = |place: u32| match row.get(place as usize) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        if !kept(text(status), text(amount)) {
            return None;
        }
        if let Some(Value::Text(text)) = row.get_mut(email as usize) {
            *text = mask(text);
        }
        Some(row)
    }

    fn transform_json(row: String) -> Option<String> {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&row).ok()?;
        let text = |name: &str| row.get(name).and_then(|value| value.as_str());
        if !kept(text("status"), text("amount")) {
            return None;
        }
        if let Some(serde_json::Value::String(text)) = row.get_mut("email") {
            *text = mask(text);
        }
        serde_json::to_string(&row).ok()
    }
}

export!(Naive);
