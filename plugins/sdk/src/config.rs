//! A plugin's configuration as a struct: [`read`] it in `configure`, and give its [`schema`] in `describe`, so that the host
//! checks a pipeline file's `config` before the plugin sees it.
//!
//! ```
//! use sluicegate_plugin::config::{self, Deserialize, JsonSchema};
//!
//! /// Which column is masked, and how.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(crate = "sluicegate_plugin::config::serde", deny_unknown_fields)]
//! #[schemars(crate = "sluicegate_plugin::config::schemars")]
//! struct Config {
//!     /// The column that holds the address.
//!     column: String,
//!     /// What stands in place of each hidden character.
//!     #[serde(default = "star")]
//!     with: char,
//! }
//!
//! fn star() -> char {
//!     '*'
//! }
//!
//! let config: Config = config::read(r#"{"column": "email"}"#).unwrap();
//! assert_eq!((config.column.as_str(), config.with), ("email", '*'));
//! assert_eq!(config::read::<Config>(r#"{"column": 7}"#).err().unwrap(), "column: invalid type: integer `7`, expected a string");
//! assert!(config::schema::<Config>().contains("The column that holds the address."));
//! ```

pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, de::DeserializeOwned};

/// Reads a configuration. The error names the path of the key at fault. A plugin without `config` in the pipeline file has
/// the empty configuration, `{}`: a struct whose keys are all optional reads as its defaults, for any other the error says
/// which key is missing.
pub fn read<T: DeserializeOwned>(config: &str) -> Result<T, String> {
    let config = if config.trim() == "null" { "{}" } else { config };
    let mut json = serde_json::Deserializer::from_str(config);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        // the place in a one-line text that the operator never wrote tells nothing
        let inner = error.into_inner().to_string();
        let what = inner.rfind(" at line ").map_or(inner.as_str(), |end| inner.get(..end).unwrap_or_default());
        if path == "." { what.to_string() } else { format!("{path}: {what}") }
    })?;
    json.end().map_err(|error| error.to_string())?;
    Ok(value)
}

/// The JSON Schema of a configuration, for [`describe!`](crate::describe): doc comments are its descriptions.
pub fn schema<T: JsonSchema>() -> String {
    schemars::schema_for!(T).to_value().to_string()
}

/// In a test: the schema in `file` is that of `T`. A plugin that includes its schema as a file keeps schemars out of the
/// component, which is then smaller. With `UPDATE_SCHEMA` set in the environment the file is written.
///
/// # Panics
/// When it is not.
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::panic, reason = "that is how a test fails")]
pub fn assert_schema<T: JsonSchema>(file: impl AsRef<std::path::Path>) {
    let file = file.as_ref();
    let schema = schemars::schema_for!(T).to_value();
    let text = serde_json::to_string_pretty(&schema).map(|text| text + "\n").unwrap_or_default();
    if std::env::var_os("UPDATE_SCHEMA").is_some()
        && let Err(error) = std::fs::write(file, &text)
    {
        panic!("{}: {error}", file.display());
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    assert!(kept == text, "{} is not the schema of the configuration; run this test with UPDATE_SCHEMA=1", file.display());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TablePatterns;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only read")]
    struct Config {
        #[serde(default)]
        tables: Vec<Entry>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[allow(dead_code, reason = "only read")]
    struct Entry {
        table: TablePatterns,
        keep: u8,
    }

    #[test]
    fn an_error_names_the_path_of_the_key() {
        let error = |json: &str| read::<Config>(json).unwrap_err();
        assert_eq!(error(r#"{"tables": [{"table": "shop.*", "keep": 300}]}"#), "tables[0].keep: invalid value: integer `300`, expected u8");
        assert_eq!(error(r#"{"tables": [{"table": "shop."}]}"#).split(':').next(), Some("tables[0].table"));
        assert_eq!(error(r#"{"table": 1}"#), "table: unknown field `table`, expected `tables`");
        assert_eq!(error("[] []").split(' ').next(), Some("trailing"));
    }

    #[test]
    fn no_configuration_is_the_empty_one() {
        assert!(read::<Config>("null").unwrap().tables.is_empty());
        assert_eq!(read::<Entry>("null").unwrap_err(), "missing field `table`");
    }

    #[test]
    fn table_patterns_have_a_schema() {
        let schema: serde_json::Value = serde_json::from_str(&schema::<Config>()).unwrap();
        assert_eq!(schema["$defs"]["TablePatterns"]["anyOf"][1]["type"], "array");
        assert_eq!(schema["additionalProperties"], false);
    }
}
