//! TDS 7.4, as far as drivers use it to log in and to run SQL.

mod connection;
mod link;
mod login;
mod parameter;
mod request;
mod token;
mod type_info;
mod value;

pub use connection::serve;
pub use link::Encryption;
