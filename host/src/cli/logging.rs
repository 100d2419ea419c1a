//! The log: `tracing` events on standard error, as text or as JSON lines.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, filter::LevelFilter, fmt::format::FmtSpan, util::SubscriberInitExt as _};

use super::{Color, LogFormat, Output};
use crate::service::live::Console;
use sluicegate_model::{Error, ErrorKind, Result};

const LEVELS: &str =
    "write off, error, warn, info, debug or trace, or directives with a target and its level, such as `info,sluicegate_mysql=debug`";

/// How the program speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// The log is JSON.
    pub json: bool,
    /// Standard error is a terminal.
    pub terminal: bool,
}

/// Starts the log.
pub(super) fn start(output: &Output, console: &Console) -> Result<Look> {
    let terminal = std::io::stderr().is_terminal();
    let json = match output.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let color = match output.color {
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        Color::Always => true,
        Color::Never => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&output.log_level)?)
        .with_writer(console.clone())
        .with_span_events(FmtSpan::NONE)
        .with_ansi(color && !json);
    let started = if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).finish().try_init()
    } else {
        builder.with_target(false).finish().try_init()
    };
    started.map_err(|e| Error::new(ErrorKind::Internal, "the log cannot be started").caused_by(e))?;
    Ok(Look { json, terminal })
}

/// A single word is the level of this program's own events; libraries then only warn. The driver of SQL Server logs what the server says,
/// which may be values of rows: it is not heard unless it is named.
fn filter(level: &str) -> Result<EnvFilter> {
    // a word alone would be taken for the name of a target, and everything else would be silent
    let is_known =
        |directive: &str| directive.contains('=') || (!directive.trim().is_empty() && directive.trim().parse::<LevelFilter>().is_ok());
    if let Some(unknown) = level.split(',').find(|directive| !is_known(directive)) {
        let what = format!("the log level cannot be read: `{}` is none", unknown.trim());
        return Err(Error::new(ErrorKind::Config, what).remedy(LEVELS));
    }
    let directives = match level.trim().to_ascii_lowercase().as_str() {
        "off" => "off".to_owned(),
        "error" => "error,tiberius=off".to_owned(),
        word @ ("warn" | "info" | "debug" | "trace") => format!("warn,tiberius=off,sluicegate={word}"),
        _ => format!("tiberius=off,{level}"),
    };
    EnvFilter::try_new(directives)
        .map_err(|error| Error::new(ErrorKind::Config, "the log level cannot be read").caused_by(error).remedy(LEVELS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_level_that_is_none_is_an_error_of_usage() {
        for level in ["wran", "infoo", "", "info,,", "sluicegate_mysql", "info,hyper", "sluicegate=wran", "6"] {
            let error = filter(level).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{level}");
            assert!(error.remedy_text().is_some_and(|remedy| remedy.contains("off, error, warn, info, debug or trace")), "{level}");
        }
        for level in ["off", "error", "warn", "INFO", " Debug", "trace", "info,sluicegate_mysql=debug", "sluicegate=warn,hyper=info"] {
            assert!(filter(level).is_ok(), "{level}");
        }
    }
}
