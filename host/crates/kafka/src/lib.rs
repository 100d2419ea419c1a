//! How Kafka's brokers are reached, by the sink and by the source: TLS and logins as librdkafka is told of them, access tokens, and what
//! keeps connections from coming about.

// nothing from outside may end the program: faults are errors (clippy.toml lets tests panic)
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod handshake;
mod membership;
mod report;
mod security;
mod token;
mod trouble;

pub use membership::Membership;
pub use report::{Troubles, log};
pub use security::{apply, renewed};
pub use token::Tokens;
pub use trouble::{Trouble, explain, suspect};

/// librdkafka's settings for reaching the brokers. The others belong to what a client does there.
const CONNECTION_OPTIONS: [&str; 12] = [
    "security.",
    "sasl.",
    "ssl.",
    "enable.ssl.",
    "enable.sasl.",
    "socket.",
    "broker.",
    "client.",
    "metadata.",
    "reconnect.",
    "api.",
    "connections.",
];

/// Whether a librdkafka option is about reaching the brokers.
pub fn is_connection_option(name: &str) -> bool {
    CONNECTION_OPTIONS.iter().any(|prefix| name.starts_with(prefix))
}
