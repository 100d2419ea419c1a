//! Real servers and the real program, for the whole-program tests.
//!
//! - [`mariadb`], [`mysql`], [`kafka`], [`registry`]: servers on 127.0.0.1. `shared()` gives the one server of this test run: the first
//!   test that asks starts it, and it ends with the run. `start(options)` gives a server of the test's own, to be
//!   configured, stopped and killed; it ends with the test, however that ends.
//! - [`authority`]: certificates for servers and clients.
//! - [`host`]: the program under test.
//! - [`files`]: what it wrote.
//! - [`proxy`]: a network that fails, between the program and a server.
//! - [`sources`]: the tests that stand in source files.
//! - [`wait`]: waiting on conditions; tests never sleep.
//!
//! A test that needs a Kafka broker stands in a test binary whose name holds `kafka`, or in a module `with_kafka`: where no
//! broker is to be had, `tests/run` leaves exactly those out, and says so. The same holds for a schema registry and modules
//! `with_registry`, which stand inside of `with_kafka`.

pub mod authority;
pub mod database;
pub mod files;
pub mod host;
mod instance;
pub mod kafka;
pub mod proxy;
pub mod registry;
pub mod sources;
pub mod wait;
mod watchdog;

pub use wait::{until, until_some, within};

/// MariaDB.
pub mod mariadb {
    use std::path::PathBuf;

    use crate::{
        database::{Flavor, Server},
        instance,
    };

    /// This run's shared server; make a database of your own with [`Server::database`].
    pub fn shared() -> Server {
        Server::shared(Flavor::MariaDb)
    }

    /// The folder of the server's plugins, for its option `--plugin-dir`.
    pub fn plugins() -> PathBuf {
        instance::ask("mariadb.sh", "plugins").remove("PLUGINS").expect("the script prints it").into()
    }

    /// A server of this test's own, with further options of `mariadbd`.
    pub fn start(options: &[&str]) -> Server {
        Server::start(Flavor::MariaDb, options)
    }
}

/// MySQL.
pub mod mysql {
    use crate::database::{Flavor, Server};

    /// This run's shared server; make a database of your own with [`Server::database`].
    pub fn shared() -> Server {
        Server::shared(Flavor::MySql)
    }

    /// A server of this test's own, with further options of `mysqld`.
    pub fn start(options: &[&str]) -> Server {
        Server::start(Flavor::MySql, options)
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("127.0.0.1 can be bound");
    listener.local_addr().expect("a bound socket has an address").port()
}
