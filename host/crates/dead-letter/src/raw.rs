//! Letters of records that a source could not read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use sluicegate_model::{Error, change::RawRecord};

/// Bytes of a text that stands in a letter as it is, at most: escaped, each may take six. More are written in base64.
const MOST_TEXT: usize = 1 << 20;

/// A record with its place, and why it was set aside.
pub(super) fn letter(stage: &str, error: &Error, record: &RawRecord<'_>) -> Value {
    let RawRecord { topic, partition, offset, time_us, key, value } = *record;
    let mut letter = json!({
        "stage": stage,
        "error": error.chain(),
        "time": jiff::Timestamp::now().to_string(),
        "source": {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "time": time_us.and_then(|time| jiff::Timestamp::from_microsecond(time).ok()).map(|time| time.to_string()),
        },
    });
    for (name, in_base64, bytes) in [("key", "key_base64", key), ("value", "value_base64", value)] {
        let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MOST_TEXT);
        match bytes.map(|bytes| (bytes, text(bytes))) {
            None => letter[name] = Value::Null,
            Some((_, Some(text))) => letter[name] = text.into(),
            Some((bytes, None)) => letter[in_base64] = STANDARD.encode(bytes).into(),
        }
    }
    letter
}
