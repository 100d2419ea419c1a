//! A schema registry.

use crate::instance::Instance;

/// A running registry with Confluent's REST protocol.
pub struct Registry(Instance);

/// This run's shared registry; use subjects of your own.
pub fn shared() -> Registry {
    Registry(Instance::shared("registry.sh"))
}

/// A registry of this test's own. What it holds is gone when it ends.
pub fn start() -> Registry {
    Registry(Instance::start("registry.sh", &[]))
}

impl Registry {
    /// Its address, with the path in front of `/subjects`.
    pub fn url(&self) -> &str {
        self.0.value("URL")
    }

    /// TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.0.value("PORT").parse().expect("PORT is a number")
    }

    /// kill -9. Not for the shared registry.
    pub fn kill9(&self) {
        self.0.kill9();
    }

    /// Goes on with the same port, and without what it held.
    pub fn start_again(&mut self) {
        self.0.start_again();
    }
}
