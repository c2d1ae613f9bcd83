//! `cargo xtask bench --python`: the Python package beside LiteLLM's, in one interpreter's environment and one run.
//!
//! What is measured, and how, is in the package's own `benches/compare.py`; here is the set-up.

use crate::{python, step};
use anyhow::Result;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Builds and installs both, and runs the comparison.
pub(super) fn run(root: &Path, quick: bool) -> Result<ExitCode> {
    super::build_release(root, "tidegate")?;
    let programs = python::environment(&root.join(".xtask/bench-venv"), LITELLM)?;
    python::install_package(root, &programs, &[])?;
    let mut compare = Command::new(programs.join("python"));
    compare.arg(root.join("crates/tidegate-py/benches/compare.py"));
    compare.arg("--simulator").arg(super::release_program("tidegate")?);
    compare.args(["--rounds", if quick { "1" } else { "5" }]);
    step::run("compare", &mut compare)?;
    Ok(ExitCode::SUCCESS)
}

/// Not the newest, for the reason that `peers.rs` has.
const LITELLM: &str = "litellm==1.106.2\n";
