//! Places as a log tells them: without the keys of rows, and not for each of thousands of tables.

use serde_json::Value;
use sluicegate_model::{
    change::{Frontier, Offset},
    limits::LANES_IN_LOG,
};

/// Members of a place that hold values of rows.
const KEYS: [&str; 2] = ["last_key", "copying"];

/// Where a sink is.
pub(super) fn frontier(frontier: &Frontier) -> String {
    let mut text: Vec<String> = frontier.lanes().take(LANES_IN_LOG).map(|(lane, offset)| format!("{lane} {}", place(offset))).collect();
    let more = frontier.lanes().count() - text.len();
    if more > 0 {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

/// A place in a lane.
pub(super) fn place(offset: &Offset) -> String {
    let text = offset.to_json();
    if !KEYS.iter().any(|key| text.contains(key)) {
        return text;
    }
    match serde_json::from_str(&text) {
        Ok(Value::Object(mut members)) => {
            KEYS.iter().for_each(|key| drop(members.shift_remove(*key)));
            Value::Object(members).to_string()
        }
        _ => "{}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_model::change::Lane;

    fn told(places: &[(&str, &str)]) -> String {
        frontier(&places.iter().map(|(lane, place)| (Lane::new(*lane), Offset::from_json(*place))).collect())
    }

    #[test]
    fn no_key_of_a_row_gets_into_a_log() {
        let text = told(&[
            ("binlog", r#"{"file":"b.1","position":4}"#),
            ("copy:a.b/1", r#"{"copy":1,"last_key":["me@example.com"]}"#),
            ("ct:a.b.c", r#"{"version":7,"copying":["you@example.com"]}"#),
            ("odd", r#""last_key""#),
        ]);
        assert_eq!(text, r#"binlog {"file":"b.1","position":4}, copy:a.b/1 {"copy":1}, ct:a.b.c {"version":7}, odd {}"#);
    }

    #[test]
    fn of_many_lanes_a_few_are_told() {
        let lanes: Vec<String> = (0..20_000).map(|number| format!("ct:a.b.t{number:05}")).collect();
        let text = told(&lanes.iter().map(|lane| (lane.as_str(), "{}")).collect::<Vec<_>>());
        assert!(text.len() < 500 && text.ends_with(&format!("and {} more", 20_000 - LANES_IN_LOG)), "{text}");
    }
}
