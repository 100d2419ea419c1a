//! The table patterns of a plugin: those of its `tables` in the pipeline file, and those in its configuration, found by its schema.

use serde_json::Value;

use sluicegate_config::{Plugin, TablePatterns};

/// How deep a schema is followed.
const DEEPEST: usize = 16;
/// Patterns of one plugin that are looked at, at most.
const MOST: usize = 1000;

/// The patterns of a plugin, each selection as written.
pub(super) fn of(settings: &Plugin, config_schema: &str) -> Vec<TablePatterns> {
    let mut found = vec![settings.tables.clone()];
    let (Ok(schema), Ok(config)) = (serde_json::from_str::<Value>(config_schema), serde_json::from_str::<Value>(&settings.config)) else {
        return found;
    };
    walk(&schema, &schema, &config, 0, &mut found);
    found
}

fn walk(root: &Value, schema: &Value, config: &Value, depth: usize, found: &mut Vec<TablePatterns>) {
    if depth > DEEPEST || found.len() >= MOST {
        return;
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        if name == "TablePatterns" {
            found.extend(written(config).and_then(|patterns| TablePatterns::new(&patterns).ok()));
            return;
        }
        return walk(root, &root["$defs"][name], config, depth + 1, found);
    }
    for alternatives in ["anyOf", "oneOf", "allOf"] {
        for alternative in schema[alternatives].as_array().into_iter().flatten() {
            walk(root, alternative, config, depth + 1, found);
        }
    }
    match config {
        Value::Object(fields) => {
            for (name, field) in fields {
                walk(root, &schema["properties"][name.as_str()], field, depth + 1, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(root, &schema["items"], item, depth + 1, found)),
        _ => {}
    }
}

/// One pattern, or a list of them.
pub(super) fn written(config: &Value) -> Option<Vec<String>> {
    match config {
        Value::String(pattern) => Some(vec![pattern.clone()]),
        Value::Array(patterns) => patterns.iter().map(|pattern| pattern.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluicegate_config::{Grants, OnError, PluginOrigin};

    #[test]
    fn patterns_are_found_wherever_the_schema_has_them() {
        let schema = r##"{"properties": {"tables": {"type": "array", "items": {"$ref": "#/$defs/Entry"}}, "note": {"type": "string"}},
            "$defs": {"Entry": {"properties": {"table": {"$ref": "#/$defs/TablePatterns"}, "other": {"anyOf": [{"$ref": "#/$defs/TablePatterns"}, {"type": "null"}]}}},
            "TablePatterns": {"anyOf": [{"type": "string"}]}}}"##;
        let config = r#"{"note": "no.pattern", "tables": [{"table": "a.b"}, {"table": ["c.*", "!c.d"], "other": "e.f"}]}"#;
        let settings = Plugin {
            name: "p".into(),
            origin: PluginOrigin::Embedded("filter".into()),
            tables: TablePatterns::new(&["x.*"]).unwrap(),
            config: config.into(),
            on_error: OnError::Stop,
            grants: Grants::default(),
            fail_closed: false,
        };
        let mut told: Vec<String> = of(&settings, schema).iter().map(ToString::to_string).collect();
        told.sort();
        assert_eq!(told, ["a.b", "c.*, !c.d", "e.f", "x.*"]);
        assert_eq!(of(&settings, "no schema").len(), 1);
    }
}
