//! What librdkafka tells of its connections, and its log.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{config::RDKafkaLogLevel, error::KafkaError, types::RDKafkaErrorCode as Code};

use super::Trouble;

/// What was told last of the connections, or what says most of them.
#[derive(Debug, Default)]
pub struct Troubles {
    known: Mutex<Option<Trouble>>,
    /// Whether anything is known: asked for each record.
    any: AtomicBool,
}

impl Troubles {
    fn known(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an error that librdkafka tells of, and logs it.
    pub fn hear(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Fail);
        tracing::warn!(target: "librdkafka", code = ?code, "{reason}");
        let told = Trouble { code, text: reason.to_owned() };
        let mut known = self.known();
        if known.as_ref().is_none_or(|known| told.outweighs(known)) {
            *known = Some(told);
            self.any.store(true, Ordering::Release);
        }
    }

    /// What is known.
    pub fn last(&self) -> Option<Trouble> {
        self.known().clone()
    }

    /// The brokers have answered.
    pub fn forget(&self) {
        if self.any.load(Ordering::Acquire) {
            let mut known = self.known();
            *known = None;
            self.any.store(false, Ordering::Release);
        }
    }
}

/// Passes a line of librdkafka's log on.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    use RDKafkaLogLevel::*;
    match level {
        Emerg | Alert | Critical | Error => tracing::error!(target: "librdkafka", facility, "{message}"),
        Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{message}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
