//! How a Kafka sink's brokers are reached: TLS and the login.

use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::RawSecret;

/// How the connections to the brokers are protected. A listener has TLS or has none, so that there is no `preferred`.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "KafkaTls")]
pub(crate) enum RawKafkaTls {
    Disabled,
    Required,
    VerifyCa,
    VerifyIdentity,
}

/// The account, and how it proves itself.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Sasl")]
pub(crate) struct RawSasl {
    /// `plain`, `scram-sha-256`, `scram-sha-512` (with `user` and `password`) or `oauthbearer` (with `token`).
    pub mechanism: RawSaslMechanism,
    /// Account.
    pub user: Option<String>,
    /// Its password. One that stands in a file is read again whenever the sink connects anew after a fault.
    pub password: Option<RawSecret>,
    /// An access token (a JWT). One that stands in a file is read again before it expires: whatever fetches tokens renews it there.
    pub token: Option<RawSecret>,
}

/// How an account proves itself.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "SaslMechanism")]
pub(crate) enum RawSaslMechanism {
    Plain,
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    Oauthbearer,
}
