//! `cargo xtask bench`: direct, nginx and Tidegate side by side, in one run and as ratios, on loopback.
//!
//! The gateway under test is pinned to one core; the load generator (this process) and the mock backend (a second
//! process of this program) share another. Every figure is the median of interleaved rounds, so that a slow minute
//! of the machine falls on all columns alike. Never contacts anything but the loopback while it measures.

mod hangup;
mod http1;
mod load;
mod machine;
mod measure;
pub(crate) mod mock;
mod payload;
mod peers;
mod process;
mod python_package;
mod report;
mod stats;
mod subject;

use crate::step::{self, DebianPackage};
use anyhow::{Context, Result, bail};
use clap::Args;
use measure::{Plan, Sample};
use process::{Cores, Pinned};
use report::{Column, Report};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;
use subject::{Bed, Subject};

/// What `cargo xtask bench` takes.
#[derive(Args)]
pub(crate) struct BenchOptions {
    /// Also measure LiteLLM and Portkey, installed under .xtask from their package indexes.
    #[arg(long)]
    peers: bool,
    /// Measure the Python package beside LiteLLM's, and nothing else.
    #[arg(long, conflicts_with_all = ["peers", "json", "only"])]
    python: bool,
    /// One short round: a first impression, too noisy to publish.
    #[arg(long)]
    quick: bool,
    /// Write the results there as JSON too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure these only, as in `--only nginx,tidegate`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
}

/// Measures and prints; fails when something that was to be measured could not be.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        return run_optimised();
    }
    let root = step::project_root()?;
    if options.python {
        return python_package::run(&root, options.quick);
    }
    if options.wants("nginx") {
        step::debian_packages(&[DebianPackage { program: "nginx", package: "nginx" }])?;
    }
    let (subjects, mut failures) = subjects(options, &root)?;
    let cores = Cores::choose()?;
    process::raise_descriptor_limit()?;
    let machine = machine::describe(&root, cores, subjects.contains(&Subject::Nginx));
    let folder = tempfile::tempdir()?;
    let plan = if options.quick { QUICK } else { FULL };
    let mut columns = in_rounds(&subjects, folder.path(), cores, plan)?;
    for column in &mut columns {
        failures.append(&mut column.failures);
    }
    let hang_up = hang_up(&subjects, cores, &mut failures);
    let report = Report { machine, plan, columns, hang_up, failures };
    print!("{report}");
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", report.json())).with_context(|| file.display().to_string())?;
    }
    Ok(if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl BenchOptions {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Builds this program in release mode and becomes it: a load generator in a debug build measures itself.
fn run_optimised() -> Result<ExitCode> {
    let root = step::project_root()?;
    build_release(&root, "xtask")?;
    let error = Command::new(release_program("xtask")?).args(std::env::args_os().skip(1)).exec();
    Err(error).context("cannot start the release build")
}

fn build_release(root: &Path, program: &str) -> Result<()> {
    let package = if program == "xtask" { "xtask" } else { "tidegate-server" };
    let mut build = step::cargo(root);
    build.args(["build", "--release", "--package", package, "--bin", program]);
    step::run(&format!("build {program}"), &mut build)
}

/// A program beside this one: in cargo's target folder, but always of the release profile.
fn release_program(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let target = this.parent().and_then(Path::parent).context("xtask is in no target folder")?;
    Ok(target.join("release").join(name))
}

/// What to compare, and what can't be because it did not build or install.
fn subjects(options: &BenchOptions, root: &Path) -> Result<(Vec<Subject>, Vec<String>)> {
    let known = ["direct", "nginx", "tidegate", "litellm", "portkey"];
    if let Some(unknown) = options.only.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("--only {unknown}: not one of {}", known.join(", "));
    }
    let tidegate = || {
        build_release(root, "tidegate")?;
        Ok(Subject::Tidegate { program: release_program("tidegate")? })
    };
    let peer =
        |name| (options.peers && options.only.is_empty()) || options.only.iter().any(|only| only == name);
    let mut found: Vec<(&str, Result<Subject>)> = Vec::new();
    if options.wants("direct") {
        found.push(("direct", Ok(Subject::Direct)));
    }
    if options.wants("nginx") {
        found.push(("nginx", Ok(Subject::Nginx)));
    }
    if options.wants("tidegate") {
        found.push(("tidegate", tidegate()));
    }
    if peer("litellm") {
        found.push(("litellm", peers::litellm(root)));
    }
    if peer("portkey") {
        found.push(("portkey", peers::portkey(root)));
    }
    let mut subjects = Vec::new();
    let mut failures = Vec::new();
    for (name, subject) in found {
        match subject {
            Ok(subject) => subjects.push(subject),
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    Ok((subjects, failures))
}

/// Round by round, each subject once in every round.
fn in_rounds(subjects: &[Subject], folder: &Path, cores: Cores, plan: Plan) -> Result<Vec<Column>> {
    let (mock, socket) = start_mock(cores)?;
    let bed = Bed { folder: folder.to_owned(), mock: socket, cores };
    cores.pin_load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut columns: Vec<Column> = subjects.iter().map(|subject| Column::new(subject.name())).collect();
    for round in 1..=plan.rounds {
        let mut direct = Sample::default();
        for (subject, column) in subjects.iter().zip(&mut columns) {
            eprintln!("round {round} of {}: {}", plan.rounds, column.name);
            match runtime.block_on(measure::round(subject, &bed, &mock, plan)) {
                Ok(mut sample) => {
                    if *subject == Subject::Direct {
                        direct = sample.clone();
                    } else {
                        sample.compare_with_direct(&direct);
                    }
                    column.samples.push(sample);
                }
                Err(error) => column.failures.push(format!("{}: {error:#}", column.name)),
            }
        }
    }
    cores.unpin()?;
    Ok(columns)
}

fn start_mock(cores: Cores) -> Result<(Pinned, SocketAddr)> {
    let mut command = Command::new(release_program("xtask")?);
    command.arg("mock-backend");
    let mut mock = Pinned::start_piped(&command, cores.load)?;
    let mut line = String::new();
    BufReader::new(mock.output().context("no output")?).read_line(&mut line)?;
    let port: u16 = line.trim().parse().context("the mock printed no port")?;
    Ok((mock, SocketAddr::from(([127, 0, 0, 1], port))))
}

/// Tidegate's own probe.
fn hang_up(subjects: &[Subject], cores: Cores, failures: &mut Vec<String>) -> Option<hangup::HangUp> {
    let program = subjects.iter().find_map(|subject| match subject {
        Subject::Tidegate { program } => Some(program),
        _ => None,
    })?;
    eprintln!("tidegate probe");
    hangup::probe(program, cores).map_err(|error| failures.push(format!("tidegate probe: {error:#}"))).ok()
}

const FULL: Plan = Plan {
    rounds: 3,
    warm_up: Duration::from_millis(500),
    duration: Duration::from_secs(3),
    settle: Duration::from_secs(1),
};
const QUICK: Plan = Plan {
    rounds: 1,
    warm_up: Duration::from_millis(200),
    duration: Duration::from_secs(1),
    settle: Duration::from_millis(500),
};
