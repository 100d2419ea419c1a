//! The command line: arguments, exit codes, and a file for each command.

mod again;
mod check;
mod checkpoint;
mod dlq;
mod failure;
mod logging;
mod plugin;
mod run;
mod schema;
mod summary;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::service::live::Console;
use sluicegate_model::{Error, ErrorKind, Result};

/// Everything was done.
const DONE: u8 = 0;
/// Failed while running.
const FAILED: u8 = 1;
/// Bad usage or configuration.
const BAD_CONFIG: u8 = 2;
/// A precheck failed: the environment is not ready.
const PRECHECK_FAILED: u8 = 3;

/// Streams a database's changes through WebAssembly plugins into Kafka or files.
#[derive(Debug, Parser)]
#[command(
    name = "sluicegate",
    version,
    about,
    long_about = "Streams a database's changes through WebAssembly plugins into Kafka or files.\n\n\
        One pipeline file describes one pipeline: a source, plugins that every changed row passes, and sinks. \
        Plugins are swapped, without a stop, when their files change. \
        After a crash the next run goes on where everything was safe: nothing is lost.",
    after_help = "\
Examples:
  sluicegate run examples/quickstart.yaml     a first run, without any server
  sluicegate check pipeline.yaml              is everything ready? delivers nothing
  sluicegate checkpoint show pipeline.yaml    how far each sink is
  sluicegate plugin new --language rust mask  a plugin of your own: build, test, bench, inspect
  sluicegate schema > pipeline.schema.json    completion and checks in an editor

Exit codes:
  0  done: the source ended, or SIGTERM, SIGHUP or Ctrl-C came and everything was drained
  1  failed while running, or for longer than limits.retry_window or other_retry_window; running again loses nothing
  2  wrong usage or a wrong pipeline file
  3  something is not ready: a login, grants, server settings, a plugin file, an address",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    output: Output,
}

/// How logs and errors look; standard error gets them.
#[derive(Clone, Debug, Args)]
struct Output {
    /// Form of the log: `auto` is text on a terminal and JSON elsewhere
    #[arg(long, value_enum, default_value_t = LogFormat::Auto, global = true, env = "SLUICEGATE_LOG_FORMAT")]
    log_format: LogFormat,
    /// What is logged: off, error, warn, info, debug, trace, or directives such as `info,sluicegate_mysql=debug`
    #[arg(long, value_name = "LEVEL", default_value = "info", global = true, env = "SLUICEGATE_LOG")]
    log_level: String,
    /// Colours; `auto` is on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true)]
    color: Color,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Auto,
    Text,
    Json,
}

/// Colours in text logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline until its source ends or a signal comes
    #[command(after_help = "\
The first run starts where the source's `start` says; every further one at the checkpoint.
A source server or Kafka broker that cannot be reached is waited for, as long as limits.retry_window says. What else may pass
(a full disk, a login that is refused meanwhile) is tried again for limits.other_retry_window, from the checkpoint on.
SIGTERM, SIGHUP or Ctrl-C drains what has been read and ends with 0; a second one ends at once, which loses nothing either.

A pipeline file, at its smallest:

  name: first
  source: { type: generator, changes: 1000 }
  sinks:
    - { type: stdout, format: flat }

Relative paths in it start at its folder; ${NAME} comes from the environment.")]
    Run(Run),
    /// Check a pipeline file, its plugins, the server's settings and grants, and the sinks; delivers nothing
    #[command(after_help = "\
Nothing is read from the log or delivered, and the server is left as it is. The captured tables of today are planned by the plugins;
configuration that has no effect is told. A line begins with `ok`, `warn` or `fail`; only what fails would stop a run.
Ends with 0 when everything is ready, 2 when the file is wrong, 3 when something is not ready or a server cannot be reached:
each is tried once.")]
    Check(check::Check),
    /// Show and change what a pipeline's checkpoint says of its sinks, while the pipeline does not run
    #[command(subcommand, arg_required_else_help = true)]
    Checkpoint(checkpoint::CheckpointCommand),
    /// List, show and replay changes that plugins or sinks set aside
    #[command(subcommand, arg_required_else_help = true)]
    Dlq(dlq::DlqCommand),
    /// Write, build, try, measure and look at plugins
    #[command(subcommand, arg_required_else_help = true)]
    Plugin(plugin::PluginCommand),
    /// Print the JSON Schema of the pipeline file; `schema import` tells a pipeline a table's schema
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "\
With the YAML language server, completion and checks come with a first line such as
  # yaml-language-server: $schema=./pipeline.schema.json"
    )]
    Schema {
        #[command(subcommand)]
        command: Option<schema::SchemaCommand>,
    },
}

#[derive(Clone, Debug, Args)]
struct Run {
    #[command(flatten)]
    pipeline: PipelineFile,
    /// For a plugin's author: build the plugin in this folder first, and again whenever its sources change; the running pipeline
    /// takes the new version. May be given several times
    #[arg(long, value_name = "DIR")]
    watch_build: Vec<PathBuf>,
    /// End once everything is delivered that was changed before this start; the next run goes on there. Only with a source of type
    /// `sqlserver`
    #[arg(long)]
    until_drained: bool,
}

#[derive(Clone, Debug, Args)]
struct PipelineFile {
    /// The pipeline file
    #[arg(value_name = "PIPELINE.yaml")]
    path: PathBuf,
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // help and version are "errors" of exit code 0 that go to standard output
            let code = if error.use_stderr() { BAD_CONFIG } else { DONE };
            return match error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::from(FAILED),
            };
        }
    };
    let console = Console::default();
    let look = match logging::start(&cli.output, &console) {
        Ok(look) => look,
        Err(error) => {
            failure::print(&error, &console, false);
            return exit_code(error.kind());
        }
    };
    // only a running pipeline has a log; what answers a question speaks to people
    let is_run = matches!(cli.command, Command::Run(_));
    let result = match cli.command {
        Command::Run(run) => run::run(&run, &console, look),
        Command::Check(arguments) => check::check(&arguments),
        Command::Checkpoint(command) => checkpoint::checkpoint(command),
        Command::Dlq(command) => dlq::dlq(command),
        Command::Plugin(command) => plugin::plugin(command, cli.output.color),
        Command::Schema { command } => schema::schema(command),
    };
    match result {
        Ok(()) => ExitCode::from(DONE),
        Err(error) => {
            failure::print(&error, &console, is_run && look.json);
            exit_code(error.kind())
        }
    }
}

fn exit_code(kind: ErrorKind) -> ExitCode {
    ExitCode::from(match kind {
        ErrorKind::Config => BAD_CONFIG,
        ErrorKind::Precheck => PRECHECK_FAILED,
        _ => FAILED,
    })
}

/// A runtime for a command that waits for the network.
fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
        Error::new(ErrorKind::Internal, "the runtime cannot be started").caused_by(e).remedy("check the limits on threads and open files")
    })?;
    let result = runtime.block_on(work);
    // a blocking call that hangs in a task must not hold the program
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// Writes to standard output; a reader that went away is no fault.
fn print_out(text: &str) -> Result<()> {
    use std::io::{ErrorKind as Io, Write as _};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != Io::BrokenPipe => {
            Err(Error::new(ErrorKind::Sink, "standard output cannot be written").caused_by(error).remedy("check where it is redirected to"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        for (kind, code) in [(ErrorKind::Config, 2), (ErrorKind::Precheck, 3), (ErrorKind::Source, 1), (ErrorKind::Sink, 1)] {
            assert_eq!(exit_code(kind), ExitCode::from(code));
        }
    }
}
