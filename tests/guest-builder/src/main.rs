//! `cargo run -p sluicegate-guest-builder -- embed`: rebuilds the standard plugins that the program embeds.
//! `… -- guests`: builds what the tests need.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Builds the plugins of this repository into components.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the standard plugins into plugins/prebuilt, with their manifest.
    Embed,
    /// Checks that plugins/prebuilt was built from the sources as they are.
    Verify,
    /// Builds the guests of the tests, so that no test has to wait for it.
    Guests,
    /// Builds the example and the conformance plugin of every language, so that no test has to wait for it.
    Languages,
    /// Makes the adapter that components of Go modules get.
    Adapter,
    /// Builds one plugin crate into a component.
    Build {
        /// The crate's folder.
        folder: PathBuf,
        /// The file to write.
        #[arg(short, long)]
        output: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Embed => sluicegate_guest_builder::embed().map(|manifest| {
            for (name, component) in manifest.components {
                println!("{name}: {} bytes, sha256 {}", component.bytes, component.sha256);
            }
        }),
        Task::Verify => sluicegate_guest_builder::verify(),
        Task::Guests => sluicegate_guest_builder::build_guests(),
        Task::Languages => sluicegate_guest_builder::build_languages(),
        Task::Adapter => sluicegate_guest_builder::write_go_adapter(),
        Task::Build { folder, output } => folder
            .canonicalize()
            .map_err(|error| format!("{}: {error}", folder.display()))
            .and_then(|folder| sluicegate_guest_builder::build(&folder))
            .and_then(|component| std::fs::write(&output, component).map_err(|error| format!("writing {}: {error}", output.display()))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
