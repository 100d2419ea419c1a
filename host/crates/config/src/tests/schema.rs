//! The schema against the loader: what one takes, the other takes.

use serde_json::Value;

use super::*;

/// Checks `value` against the keywords that our schema uses; any other keyword is a failure of the test.
fn accepts(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Value::Object(keywords) = schema else { return Ok(()) };
    for (keyword, wanted) in keywords {
        let fits = match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
            "$ref" => {
                let target = root.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap();
                within(accepts(root, target, value), keyword)?;
                true
            }
            "type" => match wanted {
                Value::Array(types) => types.iter().any(|t| is(t, value)),
                one => is(one, value),
            },
            "const" => wanted == value,
            "enum" => wanted.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|v| v >= wanted.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|v| v <= wanted.as_f64().unwrap()),
            "pattern" => value.as_str().is_none_or(|v| regex_lite::Regex::new(wanted.as_str().unwrap()).unwrap().is_match(v)),
            "required" => value.as_object().is_none_or(|v| wanted.as_array().unwrap().iter().all(|k| v.contains_key(k.as_str().unwrap()))),
            "properties" => {
                for (key, schema) in wanted.as_object().unwrap() {
                    if let Some(inner) = value.get(key) {
                        within(accepts(root, schema, inner), key)?;
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (key, inner) in value.as_object().into_iter().flatten().filter(|(k, _)| !known.is_some_and(|p| p.contains_key(*k))) {
                    if wanted == &Value::Bool(false) {
                        return Err(format!("unknown key {key}"));
                    }
                    within(accepts(root, wanted, inner), key)?;
                }
                true
            }
            "items" => {
                for inner in value.as_array().into_iter().flatten() {
                    within(accepts(root, wanted, inner), keyword)?;
                }
                true
            }
            "anyOf" => wanted.as_array().unwrap().iter().any(|s| accepts(root, s, value).is_ok()),
            "oneOf" => wanted.as_array().unwrap().iter().filter(|s| accepts(root, s, value).is_ok()).count() == 1,
            other => panic!("the schema uses the keyword {other}, which this test does not know"),
        };
        if !fits {
            return Err(format!("{value} does not fit {keyword}: {wanted}"));
        }
    }
    Ok(())
}

fn within(result: Result<(), String>, key: &str) -> Result<(), String> {
    result.map_err(|e| format!("{key}: {e}"))
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn every_example_loads_and_the_schema_knows_its_keys() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../examples");
    let schema = schema();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let known = |name: &str| Some(format!("value-of-{name}"));
        load_str(&text, path.parent().unwrap(), known).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        accepts(&schema, &schema, &value).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema = schema();
    for text in [
        "name: shop\n".to_owned(),
        head("plugin: []\n"),
        sink("{ type: file }"),
        sink("{ type: fiel, folder: x }"),
        sink("{ type: file, folder: x, foldr: y }"),
        mysql("  port: http\n"),
        mysql("  heartbeat: 5\n"),
        mysql("  tls: verify\n"),
        head("plugins:\n  - { use: fitler }\n"),
        head("limits: { batch: 1 }\n"),
        head("plugins:\n  - { use: filter, grants: [network] }\n"),
    ] {
        assert!(loaded(&text).is_err(), "{text}");
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(accepts(&schema, &schema, &value).is_err(), "the schema takes\n{text}");
    }
    let granted = head("plugins:\n  - { use: filter, grants: [clock, random] }\n");
    for text in
        [granted, mysql("  port: ${PORT}\n"), mysql("  start: { file: b.1, position: 4 }\n"), head("http: { listen: '127.0.0.1:1' }\n")]
    {
        loaded(&text).unwrap();
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert!(accepts(&schema, &schema, &value).is_ok(), "the schema refuses\n{text}");
    }
}
