//! The labels of a pipeline's metrics.

use std::collections::BTreeMap;

use super::check::Check;

/// Labels of a pipeline, at most.
const MOST_LABELS: usize = 16;
/// A label's value, at most.
const MOST_VALUE_BYTES: usize = 128;
/// Labels that the metrics have by themselves.
const OWN: [&str; 9] = ["pipeline", "plugin", "sink", "table", "state", "version", "sha256", "instance", "job"];

impl Check<'_> {
    pub(super) fn labels(&mut self, labels: &BTreeMap<String, String>) {
        if labels.len() > MOST_LABELS {
            self.refuse("labels", format!("there are {} labels", labels.len()), format!("use at most {MOST_LABELS}"));
        }
        for (name, value) in labels {
            let path = format!("labels.{name}");
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
                && !name.starts_with("__");
            if !is_name {
                self.refuse(path, "this is not a label's name", "use letters, digits and `_`, with a letter in front");
            } else if OWN.contains(&name.as_str()) {
                self.refuse(path, "the metrics have a label of this name", "give it another name, e.g. `environment`");
            } else if value.len() > MOST_VALUE_BYTES || value.contains(|c: char| c.is_control()) {
                self.refuse(path, "this is not usable as a label", format!("write one line of at most {MOST_VALUE_BYTES} bytes"));
            }
        }
    }
}
