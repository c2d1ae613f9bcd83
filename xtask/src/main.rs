//! The project's own commands: `cargo xtask lint`, `cargo xtask test`, `cargo xtask bench`.
//!
//! Each does its own set-up and is what continuous integration runs too. Nothing here is shipped: the gateway
//! and its libraries never depend on this package.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command's product is what it prints")]

mod bench;
mod lint;
mod python;
mod step;
mod suite;
mod tally;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formatting, clippy, rustdoc and the project's own checks; warnings are errors.
    Lint(lint::LintOptions),
    /// Sets up what the tests need, runs all of them, ends with one line `N passed, N failed`.
    Test(suite::TestOptions),
    /// Speed and memory of direct, nginx and Tidegate side by side, in one run and as ratios.
    Bench(bench::BenchOptions),
    /// The backend that the benchmark measures against; prints its port, ends when its standard input does.
    #[command(hide = true)]
    MockBackend,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Lint(options) => lint::run(&options),
        Command::Test(options) => suite::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::MockBackend => bench::mock::run(),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
