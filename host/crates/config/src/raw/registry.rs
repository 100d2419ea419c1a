//! The registry that a format keeps its schemas in.

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::RawSecret;

/// A schema registry with Confluent's REST protocol.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Registry")]
pub(crate) struct RawRegistry {
    /// Its address, `https://registry.example:8081`; several, separated by commas, take each other's place.
    pub url: String,
    /// Account (HTTP Basic). Default: none.
    pub user: Option<String>,
    /// Its password. One that stands in a file is read again for each request.
    pub password: Option<RawSecret>,
    /// A token (HTTP Bearer) in place of an account. One that stands in a file is read again for each request.
    pub token: Option<RawSecret>,
    /// CA certificates (PEM) that the registry's certificate has to come from. Default: the public ones.
    pub ca_file: Option<String>,
    /// The client's certificate with its chain (PEM). Default: none.
    pub cert_file: Option<String>,
    /// The private key of `cert_file` (PEM, not encrypted).
    pub key_file: Option<String>,
    /// Whether schemas are registered; with `false`, they have to be there already. Default: true.
    pub register: Option<bool>,
}
