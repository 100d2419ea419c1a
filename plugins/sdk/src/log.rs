//! Lines for the host's log.

pub use crate::bindings::sluicegate::plugin::log::Level;

/// Writes one line to the host's log, labelled with the plugin's name; natively to stderr. Never log row values.
pub fn write_log(level: Level, message: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::sluicegate::plugin::log::log(level, message);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {message}");
}

/// Writes a formatted line to the host's log: `log!(Info, "{} tables", n)`. Never log row values.
#[macro_export]
macro_rules! log {
    ($level:ident, $($format:tt)+) => {
        $crate::write_log($crate::Level::$level, &::std::format!($($format)+))
    };
}

/// From now on a panic writes where it happened to the host's log before the plugin traps. Its message is left out: it may
/// hold row values.
pub fn report_panics() {
    #[cfg(target_arch = "wasm32")]
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => write_log(Level::Error, &format!("panicked at {}:{}", place.file(), place.line())),
        None => write_log(Level::Error, "panicked"),
    }));
}
