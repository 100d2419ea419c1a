//! The JSON Schema of the pipeline file, for editors and checks before deployment.

use serde_json::{Map, Value, json};

use super::raw::RawPipeline;

/// The schema (2020-12). Where a value of another kind than text is expected, `${NAME}` is allowed too.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(RawPipeline).to_value();
    if let Value::Object(root) = &mut schema {
        root.insert("title".into(), "Sluicegate pipeline".into());
    }
    allow_variables(&mut schema);
    schema
}

/// Lets `${NAME}` stand for every number, boolean and word of a list.
fn allow_variables(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.iter_mut().filter(|(key, _)| *key != "const").for_each(|(_, v)| allow_variables(v));
            if wants_variable(map) {
                let description = map.shift_remove("description");
                let inner = Value::Object(std::mem::take(map));
                if let Some(description) = description {
                    map.insert("description".into(), description);
                }
                map.insert("anyOf".into(), json!([inner, {"type": "string", "pattern": "\\$\\{"}]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(allow_variables),
        _ => {}
    }
}

fn wants_variable(map: &Map<String, Value>) -> bool {
    let of_type = |name: &str| match map.get("type") {
        Some(Value::String(t)) => t == name,
        Some(Value::Array(types)) => types.iter().any(|t| t == name) && !types.iter().any(|t| t == "string"),
        _ => false,
    };
    of_type("integer")
        || of_type("number")
        || of_type("boolean")
        || (map.get("type").is_some_and(|t| t.is_string()) && (map.contains_key("enum") || map.contains_key("pattern")))
}
