//! The command line: one file for each command that has more to it than a call.
//!
//! Prints for people on standard output and problems on standard error; exit status 0: done, 1: it did not hold or failed,
//! 2: wrong use.
#![expect(clippy::print_stderr, reason = "a command line talks to its user")]

mod demo;
mod hosts;
mod logging;
mod probe;
mod sim;

use std::{
    fmt,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::run;
use tidegate_config::{Config, Problem};

/// A gateway for LLM backends: when the caller hangs up, the backend stops.
#[derive(Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway.
    Serve {
        /// Configuration file; without one, hosts come from OPENAI_API_KEY, AZURE_API_*, AWS_* and so on.
        #[arg(short, long, env = "TIDEGATE_CONFIG")]
        config: Option<PathBuf>,
    },
    /// Say what is wrong with a configuration, and what it amounts to.
    Check {
        /// Configuration file; without one, the environment is looked at.
        #[arg(short, long, env = "TIDEGATE_CONFIG")]
        config: Option<PathBuf>,
    },
    /// List the hosts that there are, with their variables, as Markdown.
    Hosts,
    /// Watch callers hang up and backends stop, on simulated backends; nothing to install, no key.
    Demo(demo::Options),
    /// Measure hang-up to backend closed for any OpenAI-compatible gateway.
    Probe(probe::Options),
    /// Run simulated backends.
    Sim(sim::Options),
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve { config } => serve(config),
        Command::Check { config } => check(config),
        Command::Hosts => say(format_args!("{}", hosts::Page)).map(|_| ExitCode::SUCCESS),
        Command::Demo(options) => demo::run(&options),
        Command::Probe(options) => probe::run(&options),
        Command::Sim(options) => sim::run(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tidegate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(file: Option<PathBuf>) -> io::Result<ExitCode> {
    let config = match load(file) {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    logging::start(&config.log)?;
    let config = match usable(config)? {
        Ok(config) => config,
        Err(code) => return Ok(code),
    };
    let targets = runtime()?.block_on(config.targets());
    let targets = match targets {
        Ok(targets) => targets,
        Err(problems) => return Ok(show(&problems)),
    };
    let hosts: Vec<_> = targets.hosts().map(|(name, _)| name.to_owned()).collect();
    let running = run::start(&config, targets)?;
    for (address, listen) in running.addresses().iter().zip(&config.listen) {
        let scheme = if listen.tls.is_some() { "https" } else { "http" };
        tracing::info!("listening on {scheme}://{address}, hosts: {}", hosts.join(", "));
    }
    running.until_signalled()?;
    Ok(ExitCode::SUCCESS)
}

fn check(file: Option<PathBuf>) -> io::Result<ExitCode> {
    let config = match load(file) {
        Ok(config) => usable(config)?,
        Err(code) => Err(code),
    };
    match config {
        Ok(config) => {
            say(format_args!("{config}"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(code) => Ok(code),
    }
}

/// The configuration, with its warnings shown; or the exit status, with its errors shown.
fn load(file: Option<PathBuf>) -> Result<Config, ExitCode> {
    let loaded = tidegate_config::load(file.as_deref(), &|name| std::env::var(name).ok());
    match loaded.into_result() {
        Ok((config, warnings)) => {
            show(&warnings);
            Ok(config)
        }
        Err(problems) => Err(show(&problems)),
    }
}

/// The configuration with the hosts that can be called, as [`load`] gives it.
fn usable(config: Config) -> io::Result<Result<Config, ExitCode>> {
    Ok(match runtime()?.block_on(config.without_unusable_hosts()) {
        Ok((config, warnings)) => {
            show(&warnings);
            Ok(config)
        }
        Err(problems) => Err(show(&problems)),
    })
}

/// Prints on standard output, to the last byte; false where nobody reads it any more (`| head`), which is no failure.
fn say(text: fmt::Arguments<'_>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match out.write_fmt(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

fn show(problems: &[Problem]) -> ExitCode {
    let seen = io::IsTerminal::is_terminal(&io::stderr());
    for problem in problems {
        // A person sees the line and the place in it.
        if seen { eprintln!("{problem:#}") } else { eprintln!("{problem}") }
    }
    ExitCode::FAILURE
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
