//! `cargo xtask test`: set-up, the Rust tests, the end-to-end tests in Python and Node, and one closing line.
//!
//! A set-up step that fails counts as a failed test of that name: it is reported, never skipped silently, and
//! the other tests still run. The last line, and no other, has the form `N passed, N failed`.

use crate::python;
use crate::step::{self, DebianPackage};
use crate::tally::Tally;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// What is tested.
#[derive(clap::Args)]
pub(crate) struct TestOptions {
    /// Only this: a real engine, llama.cpp with a small model, behind the gateway. It is compiled first, which takes a while.
    #[arg(long)]
    engine: bool,
}

/// Runs everything; the exit status says whether all passed.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode> {
    let root = step::project_root()?;
    let mut suite = Suite { tally: Tally::default(), failed_steps: Vec::new() };
    if options.engine {
        suite.python_tests(&root, &ENGINE_TESTS);
    } else {
        suite.run(&root);
    }
    for failure in &suite.failed_steps {
        eprintln!("failed: {failure}");
    }
    let Tally { passed, failed } = suite.tally;
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Suite {
    tally: Tally,
    failed_steps: Vec<String>,
}

impl Suite {
    fn run(&mut self, root: &Path) {
        self.step("Debian packages", || step::debian_packages(&PROGRAMS));
        self.rust_tests(root);
        if root.join(END_TO_END).is_dir() {
            self.end_to_end_tests(root);
        } else {
            println!("--- no {END_TO_END}: no end-to-end tests in Python");
        }
        self.node_tests(root);
        self.package_tests(root);
    }

    fn rust_tests(&mut self, root: &Path) {
        let mut command = step::cargo(root);
        command.args(CARGO_TEST);
        self.tests("cargo test", &mut command, Tally::libtest_line);
    }

    fn end_to_end_tests(&mut self, root: &Path) {
        self.python_tests(root, &END_TO_END_TESTS);
    }

    /// Tests of the gateway's binary, each in its environment.
    fn python_tests(&mut self, root: &Path, suites: &[(&str, &str, &str)]) {
        let Some(gateway) = self.step("gateway binary", || gateway(root)) else { return };
        for (folder, requirements, tests) in suites {
            let set_up = || environment(root, folder, requirements);
            let Some(programs) = self.step("Python environment", set_up) else { continue };
            let mut command = Command::new(programs.join("python"));
            command.args(["-m", "pytest", "-q", "--color=no", tests]).current_dir(root);
            command.env("TIDEGATE_BIN", &gateway).env("PYTHONUNBUFFERED", "1");
            self.tests(&format!("pytest {tests}"), &mut command, Tally::pytest_line);
        }
    }

    fn node_tests(&mut self, root: &Path) {
        let Some(gateway) = self.step("gateway binary", || gateway(root)) else { return };
        let Some(()) = self.step("Node packages", || node_packages(root)) else { return };
        let mut command = Command::new("node");
        command.args(["--test", "--test-reporter=tap"]).current_dir(root.join(NODE));
        command.env("TIDEGATE_BIN", gateway);
        self.tests("node", &mut command, Tally::node_line);
    }

    /// The tests of the Python package: all with the FastAPI that it was first reported with, the founding program also
    /// with the newest.
    fn package_tests(&mut self, root: &Path) {
        let Some(gateway) = self.step("gateway binary", || gateway(root)) else { return };
        for (requirements, tests) in PACKAGE_TESTS {
            let set_up = || python::package_environment(root, requirements);
            let Some(programs) = self.step("Python package", set_up) else { continue };
            let mut command = Command::new(programs.join("python"));
            command.args(["-m", "pytest", "-q", "--color=no", tests]).current_dir(root);
            command.env("TIDEGATE_BIN", &gateway).env("PYTHONUNBUFFERED", "1");
            self.tests(&format!("pytest {tests} ({requirements})"), &mut command, Tally::pytest_line);
        }
    }

    /// Runs one set-up step; its failure is counted and named.
    fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Option<T> {
        match work() {
            Ok(done) => Some(done),
            Err(error) => {
                self.fail(format!("{name}: {error:#}"));
                None
            }
        }
    }

    /// Runs a test program. One that fails without a failed test (it did not build, or crashed) counts as one.
    fn tests(&mut self, name: &str, command: &mut Command, count: fn(&mut Tally, &str)) {
        let failed_before = self.tally.failed;
        println!("--- {name}");
        let tally = &mut self.tally;
        let status = pass_lines_through(command, |line| count(tally, line));
        match status {
            Ok(status) if status.success() => {}
            Ok(_) if self.tally.failed > failed_before => {}
            Ok(status) => self.fail(format!("{name}: {status} without a failed test")),
            Err(error) => self.fail(format!("{name}: {error:#}")),
        }
    }

    fn fail(&mut self, what: String) {
        self.tally.failed += 1;
        self.failed_steps.push(what);
    }
}

/// Runs `command`, printing each line of its standard output as it comes and showing it to `see`.
fn pass_lines_through(command: &mut Command, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start")?;
    let output = child.stdout.take().context("no standard output")?;
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        see(&line);
    }
    Ok(child.wait()?)
}

fn environment(root: &Path, folder: &str, requirements: &str) -> Result<PathBuf> {
    if !python::has_interpreter() {
        step::install(&["python3-venv"])?;
    }
    let wanted = std::fs::read_to_string(root.join(requirements)).with_context(|| requirements.to_owned())?;
    python::environment(&root.join(folder), &wanted)
}

/// Exactly what the lock file names; what is there already is kept.
fn node_packages(root: &Path) -> Result<()> {
    let folder = root.join(NODE);
    let lock = std::fs::read_to_string(folder.join("package-lock.json")).context("package-lock.json")?;
    let marker = folder.join("node_modules/lock.installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    step::run("install Node packages", Command::new("npm").args(["ci", "--silent"]).current_dir(&folder))?;
    std::fs::write(&marker, lock)?;
    Ok(())
}

/// The gateway that the end-to-end tests start: the debug build, as in the Rust tests.
fn gateway(root: &Path) -> Result<PathBuf> {
    step::run(
        "build tidegate",
        step::cargo(root).args(["build", "--quiet", "-p", "tidegate-server", "--bin", "tidegate"]),
    )?;
    let programs = std::env::current_exe()?;
    Ok(programs.parent().context("xtask has no folder")?.join("tidegate"))
}

const PROGRAMS: [DebianPackage; 5] = [
    DebianPackage { program: "chromium", package: "chromium" },
    DebianPackage { program: "curl", package: "curl" },
    DebianPackage { program: "nginx", package: "nginx" },
    DebianPackage { program: "node", package: "nodejs" },
    DebianPackage { program: "npm", package: "npm" },
];
/// Shows what passing tests print: the number of vectors checked, and what was left out where the corpus is absent.
const CARGO_TEST: [&str; 5] = ["test", "--workspace", "--no-fail-fast", "--", "--show-output"];
const END_TO_END: &str = "tests/e2e";
const NODE: &str = "tests/node";
/// An environment, what is in it, and the tests to run in it.
const END_TO_END_TESTS: [(&str, &str, &str); 2] = [
    (".xtask/venv", "tests/requirements.txt", END_TO_END),
    (".xtask/venv-litellm", "tests/requirements-litellm.txt", "tests/e2e/test_litellm.py"),
];
/// The same of a real engine.
const ENGINE_TESTS: [(&str, &str, &str); 1] =
    [(".xtask/venv-engine", "tests/requirements-engine.txt", "tests/engine")];
/// Requirements beside the package's tests, and the tests to run with them.
const PACKAGE_TESTS: [(&str, &str); 2] = [
    ("requirements.txt", "crates/tidegate-py/tests"),
    ("requirements-newest.txt", "crates/tidegate-py/tests/test_founding.py"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    /// Counts lines of the form `2 ok 3 not`: a line of libtest's form would be counted again by the run of
    /// `cargo xtask test` that these tests are part of.
    fn count(tally: &mut Tally, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        if let [passed, "ok", failed, "not"] = words.as_slice() {
            tally.passed += passed.parse::<u64>().unwrap();
            tally.failed += failed.parse::<u64>().unwrap();
        }
    }

    fn suite() -> Suite {
        Suite { tally: Tally::default(), failed_steps: Vec::new() }
    }

    #[test]
    fn a_crash_without_a_failed_test_counts_as_one_failure() {
        let mut suite = suite();
        suite.tests("made up", &mut shell("echo 2 ok 0 not; exit 101"), count);
        assert_eq!(suite.tally, Tally { passed: 2, failed: 1 });
        assert_eq!(suite.failed_steps.len(), 1);
    }

    #[test]
    fn a_failed_test_is_not_counted_twice() {
        let mut suite = suite();
        suite.tests("made up", &mut shell("echo 2 ok 3 not; exit 101"), count);
        assert_eq!(suite.tally, Tally { passed: 2, failed: 3 });
        assert!(suite.failed_steps.is_empty());
    }

    #[test]
    fn a_program_that_cannot_start_is_a_failure() {
        let mut suite = suite();
        suite.tests("made up", &mut Command::new("no-such-program-here"), count);
        assert_eq!(suite.tally, Tally { passed: 0, failed: 1 });
    }

    #[test]
    fn a_failed_set_up_step_is_counted_and_named() {
        let mut suite = suite();
        let done: Option<()> = suite.step("network", || anyhow::bail!("unreachable"));
        assert_eq!((done, suite.tally.failed), (None, 1));
        assert_eq!(suite.failed_steps, ["network: unreachable"]);
    }
}
