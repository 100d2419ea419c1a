//! A plugin's configuration, checked against the JSON Schema that the plugin gives of it, before the plugin sees it.
//!
//! The schema is the plugin's, so it is not trusted: its size, its regular expressions, the depth of its references and the
//! time that a check takes have bounds, and it reaches nothing outside itself.

use std::{borrow::Cow, collections::HashMap, sync::mpsc, thread};

use jsonschema::{Draft, PatternOptions, ValidationError, paths::LocationSegment};
use serde_json::Value;

use super::Description;
use sluicegate_model::{
    Error, ErrorKind, Result,
    limits::{PLUGIN_SCHEMA_BYTES, PLUGIN_SCHEMA_DEPTH, PLUGIN_SCHEMA_FAULTS, PLUGIN_SCHEMA_PARTS, PLUGIN_SCHEMA_TIME},
};

/// Checks `config` (JSON text, `null` when the pipeline file has none) against the plugin's schema. No configuration fits when
/// the empty one, `{}`, does. Errors name places and never hold values, which may be secrets.
pub(super) fn check(description: &Description, config: &str) -> Result<()> {
    let text = description.config_schema.trim();
    if text.is_empty() {
        return Ok(());
    }
    let (schema, config) = (text.to_owned(), config.to_owned());
    let (answer, answered) = mpsc::sync_channel(1);
    // a thread of its own: a schema can be made so that checking never ends, and needs a deep stack
    thread::Builder::new()
        .name("config-schema".into())
        .stack_size(64 << 20)
        .spawn(move || answer.send(validate(&schema, &config)))
        .map_err(|e| Error::new(ErrorKind::Internal, "the thread that checks configurations cannot be started").caused_by(e))?;
    match answered.recv_timeout(PLUGIN_SCHEMA_TIME) {
        Ok(result) => result,
        Err(_) => Err(unusable(format!("checking with it takes longer than {} s", PLUGIN_SCHEMA_TIME.as_secs()))),
    }
}

fn validate(schema: &str, config: &str) -> Result<()> {
    let validator = compile(schema)?;
    let config: Value = serde_json::from_str(config)
        .map_err(|e| Error::new(ErrorKind::Internal, "the configuration handed to a plugin is not JSON").caused_by(e))?;
    let empty = Value::Object(serde_json::Map::new());
    let config = if config.is_null() && !validator.is_valid(&config) { &empty } else { &config };
    let mut faults: Vec<String> = validator.iter_errors(config).take(PLUGIN_SCHEMA_FAULTS + 1).map(|fault| told(&fault)).collect();
    if faults.is_empty() {
        return Ok(());
    }
    if faults.len() > PLUGIN_SCHEMA_FAULTS {
        faults.truncate(PLUGIN_SCHEMA_FAULTS);
        faults.push("and more".into());
    }
    Err(Error::new(ErrorKind::Config, format!("its configuration is wrong: {}", faults.join("; ")))
        .remedy("correct the plugin's `config` in the pipeline file; `sluicegate plugin inspect` shows what it may be"))
}

fn unusable(what: String) -> Error {
    Error::new(ErrorKind::Precheck, format!("its configuration schema cannot be used: {what}"))
        .remedy("this is a fault of the plugin: `describe` has to give a JSON Schema (draft 2020-12), or nothing")
}

/// A validator for a plugin's schema. Regular expressions are of the kind that takes linear time, and nothing outside the
/// schema is read.
fn compile(text: &str) -> Result<jsonschema::Validator> {
    if text.len() > PLUGIN_SCHEMA_BYTES {
        return Err(unusable(format!("it has {} bytes, the limit is {PLUGIN_SCHEMA_BYTES}", text.len())));
    }
    let schema: Value = serde_json::from_str(text).map_err(|e| unusable("it is not JSON".into()).caused_by(e))?;
    let mut references = References { schema: &schema, depths: HashMap::new(), followed: Vec::new(), parts: 0 };
    references.check(&schema).and_then(|()| references.count(&schema)).map_err(unusable)?;
    jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(PatternOptions::regex()).build(&schema).map_err(|e| {
        let fault = super::guest::clip(&told(&e), 256);
        unusable(if place(&e).is_empty() { format!("as a whole {fault}") } else { fault })
    })
}

/// The references of a schema: all inside it, and none that leads back to itself without going into the value, which would
/// never end.
struct References<'a> {
    schema: &'a Value,
    /// By address: how many steps a subschema takes at one place of a value; `None` while they are counted.
    depths: HashMap<*const Value, Option<usize>>,
    /// References that are being followed.
    followed: Vec<*const Value>,
    /// Parts of the schema when every reference is put in place of itself, as the validator does.
    parts: usize,
}

impl<'a> References<'a> {
    fn check(&mut self, value: &'a Value) -> std::result::Result<(), String> {
        match value {
            Value::Object(map) => {
                for foreign in ["$dynamicRef", "$recursiveRef"] {
                    if map.get(foreign).is_some_and(Value::is_string) {
                        return Err(format!("`{foreign}` is not supported; use `$ref`"));
                    }
                }
                if map.get("$id").is_some_and(Value::is_string) && !std::ptr::eq(value, self.schema) {
                    return Err("only the schema as a whole may have an `$id`".into());
                }
                self.depth(value)?;
                map.values().try_for_each(|value| self.check(value))
            }
            Value::Array(list) => list.iter().try_for_each(|value| self.check(value)),
            _ => Ok(()),
        }
    }

    fn target(&self, reference: &str) -> std::result::Result<&'a Value, String> {
        // the validator would decode `%24`, and follow the reference to another place than is checked here
        let pointer = reference.strip_prefix('#').filter(|p| (p.is_empty() || p.starts_with('/')) && !p.contains('%'));
        pointer
            .and_then(|pointer| self.schema.pointer(pointer))
            .ok_or_else(|| "a `$ref` in it leads nowhere; it has to be `#`, or `#/…` as in `#/$defs/name`".into())
    }

    /// Counts the parts. A reference to what is being followed already ends there.
    fn count(&mut self, value: &'a Value) -> std::result::Result<(), String> {
        self.parts += 1;
        if self.parts > PLUGIN_SCHEMA_PARTS {
            return Err(format!("it has more than {PLUGIN_SCHEMA_PARTS} parts when its references are followed"));
        }
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let target = self.target(reference)?;
                    if !self.followed.contains(&std::ptr::from_ref(target)) {
                        self.followed.push(target);
                        self.count(target)?;
                        self.followed.pop();
                    }
                }
                map.values().try_for_each(|value| self.count(value))
            }
            Value::Array(list) => list.iter().try_for_each(|value| self.count(value)),
            _ => Ok(()),
        }
    }

    /// Steps from this subschema on that stay at the same place of the value.
    fn depth(&mut self, subschema: &'a Value) -> std::result::Result<usize, String> {
        let Value::Object(map) = subschema else { return Ok(0) };
        match self.depths.get(&std::ptr::from_ref(subschema)) {
            Some(Some(depth)) => return Ok(*depth),
            Some(None) => return Err("a `$ref` leads back to itself".into()),
            None => {}
        }
        self.depths.insert(subschema, None);
        let mut deepest = 0;
        for (key, value) in map {
            match (key.as_str(), value) {
                ("$ref", Value::String(to)) => {
                    let target = self.target(to)?;
                    deepest = deepest.max(self.depth(target)?);
                }
                ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => {
                    for value in list {
                        deepest = deepest.max(self.depth(value)?);
                    }
                }
                // the second one is of older drafts, but the validator follows it
                ("dependentSchemas" | "dependencies", Value::Object(map)) => {
                    for value in map.values() {
                        deepest = deepest.max(self.depth(value)?);
                    }
                }
                ("not" | "if" | "then" | "else", value) => deepest = deepest.max(self.depth(value)?),
                _ => {}
            }
        }
        if deepest >= PLUGIN_SCHEMA_DEPTH {
            return Err(format!("it is nested more than {PLUGIN_SCHEMA_DEPTH} deep at one place"));
        }
        self.depths.insert(subschema, Some(deepest + 1));
        Ok(deepest + 1)
    }
}

/// One fault, e.g. `tables[0].where: value is not of type "string"`.
fn told(fault: &ValidationError<'_>) -> String {
    use jsonschema::error::ValidationErrorKind as Kind;
    let what: Cow<'_, str> = match &fault.kind {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let names: Vec<String> = unexpected.iter().take(5).map(|name| format!("`{}`", super::guest::clip(name, 64))).collect();
            format!("unknown key {}", names.join(", ")).into()
        }
        Kind::Required { property } => format!("{property} is missing").replace('"', "`").into(),
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => "it has none of the forms that it may have".into(),
        Kind::Type { .. } | Kind::Enum { .. } => fault.masked_with("it").to_string().into(),
        _ => fault.masked().to_string().into(),
    };
    let place = place(fault);
    if place.is_empty() { what.into_owned() } else { format!("{place}: {what}") }
}

/// The place in the configuration, in the form of the pipeline file's errors.
fn place(fault: &ValidationError<'_>) -> String {
    fault.instance_path.into_iter().fold(String::new(), |path, segment| match segment {
        LocationSegment::Index(index) => format!("{path}[{index}]"),
        LocationSegment::Property(key) if path.is_empty() => super::guest::clip(&key, 64),
        LocationSegment::Property(key) => format!("{path}.{}", super::guest::clip(&key, 64)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(schema: &str, config: &str) -> Result<()> {
        let description = Description { name: "p".into(), version: "1".into(), summary: String::new(), config_schema: schema.to_owned() };
        check(&description, config)
    }

    const SCHEMA: &str = r##"{
        "type": "object", "additionalProperties": false, "required": ["column"],
        "properties": {
            "column": { "type": "string", "minLength": 1 },
            "mode": { "enum": ["mask", "hash"] },
            "tables": { "type": "array", "items": { "$ref": "#/$defs/Table" } },
            "salt": { "anyOf": [{ "type": "integer" }, { "type": "null" }] }
        },
        "$defs": { "Table": { "type": "object", "properties": { "name": { "type": "string", "pattern": "^[a-z]+$" } } } }
    }"##;

    #[test]
    fn a_wrong_configuration_is_told_with_its_places_and_without_its_values() {
        checked(SCHEMA, r#"{"column": "email", "mode": "hash", "tables": [{"name": "a"}]}"#).unwrap();
        checked("", "7").unwrap();
        let error =
            checked(SCHEMA, r#"{"column": 77, "mode": "secret1", "tables": [{"name": "secret2"}], "salt": "secret3", "colour": 1}"#);
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(!error.to_string().contains("secret") && !error.to_string().contains("77"));
        insta::assert_snapshot!(error, @r#"
        its configuration is wrong: column: it is not of type "string"; mode: it is not one of "mask" or "hash"; tables[0].name: value does not match "^[a-z]+$"; salt: it has none of the forms that it may have; unknown key `colour`
          remedy: correct the plugin's `config` in the pipeline file; `sluicegate plugin inspect` shows what it may be
        "#);
    }

    #[test]
    fn no_configuration_is_the_empty_one() {
        checked(r#"{"type": "object"}"#, "null").unwrap();
        checked(r#"{"type": "null"}"#, "null").unwrap();
        insta::assert_snapshot!(checked(SCHEMA, "null").unwrap_err().message(), @r#"its configuration is wrong: `column` is missing"#);
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_the_plugins_fault() {
        let nested = (0..40).fold(json!({}), |inner, _| json!({ "not": inner })).to_string();
        let long = format!(r#"{{"title": "{}"}}"#, "x".repeat(PLUGIN_SCHEMA_BYTES));
        let told: Vec<String> = [
            "{",
            r#"{"type": "wrong"}"#,
            r##"{"$ref": "#"}"##,
            r##"{"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"allOf": [{"$ref": "#"}]}}}"##,
            r##"{"$ref": "https://example.com/schema.json"}"##,
            r##"{"$ref": "#/$defs/none"}"##,
            &nested,
            &long,
            r#"{"pattern": "("}"#,
        ]
        .into_iter()
        .map(|schema| {
            let error = checked(schema, "{}").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Precheck);
            error.message().to_owned()
        })
        .collect();
        insta::assert_snapshot!(told.join("\n"), @r#"
        its configuration schema cannot be used: it is not JSON
        its configuration schema cannot be used: type: it has none of the forms that it may have
        its configuration schema cannot be used: a `$ref` leads back to itself
        its configuration schema cannot be used: a `$ref` leads back to itself
        its configuration schema cannot be used: a `$ref` in it leads nowhere; it has to be `#`, or `#/…` as in `#/$defs/name`
        its configuration schema cannot be used: a `$ref` in it leads nowhere; it has to be `#`, or `#/…` as in `#/$defs/name`
        its configuration schema cannot be used: it is nested more than 32 deep at one place
        its configuration schema cannot be used: it has 262157 bytes, the limit is 262144
        its configuration schema cannot be used: as a whole value is not a "regex"
        "#);
    }

    #[test]
    fn a_schema_may_recurse_into_the_value() {
        let schema = r##"{"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false}"##;
        let deep = (0..100).fold(String::from("{}"), |inner, _| format!(r#"{{"next": {inner}}}"#));
        checked(schema, &deep).unwrap();
        assert!(checked(schema, r#"{"next": {"next": {"last": 1}}}"#).unwrap_err().message().contains("next.next: unknown key `last`"));
    }

    #[test]
    fn a_schema_that_grows_without_end_is_refused() {
        // each definition asks the next one twice: 2^14 alternatives, all at one place
        let definitions: serde_json::Map<String, Value> = (0..14)
            .map(|i| {
                let next = if i == 13 { json!({ "type": "string" }) } else { json!({ "$ref": format!("#/$defs/d{}", i + 1) }) };
                (format!("d{i}"), json!({ "anyOf": [next, next] }))
            })
            .collect();
        let schema = json!({ "$ref": "#/$defs/d0", "$defs": definitions }).to_string();
        let error = checked(&schema, "{}").unwrap_err();
        assert!(error.message().contains("parts when its references are followed"), "{error}");
    }

    /// The validator decodes what is percent-encoded in a reference: it went elsewhere than was checked, round and round, and took
    /// all memory.
    #[test]
    fn a_reference_that_leads_elsewhere_when_it_is_decoded_is_refused() {
        let loops = json!({ "allOf": [{ "$ref": "#/%24defs/a" }] });
        let schema = json!({ "$ref": "#/$defs/a", "$defs": { "a": loops }, "%24defs": { "a": {} } });
        assert_eq!(checked(&schema.to_string(), "{}").unwrap_err().kind(), ErrorKind::Precheck);
    }

    /// The keyword is of older drafts, but the validator follows it: it went round and round, and took all memory.
    #[test]
    fn dependencies_that_lead_back_to_themselves_are_refused() {
        let error = checked(r##"{"dependencies": {"a": {"$ref": "#"}}}"##, r#"{"a": 1}"#).unwrap_err();
        assert!(error.message().contains("leads back to itself"), "{error}");
        checked(r#"{"dependencies": {"a": ["b"]}}"#, r#"{"c": 1}"#).unwrap();
    }
}
