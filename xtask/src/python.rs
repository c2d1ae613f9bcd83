//! Python virtual environments under `.xtask/`, made from pinned requirements.
//!
//! Used for the end-to-end tests and for benchmark peers from the Python index. Never touches a Python
//! installation outside `.xtask/`.

use crate::step;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A virtual environment at `folder` with exactly these requirements installed; returns its `bin` folder. An
/// environment that already has them is kept as it is.
pub(crate) fn environment(folder: &Path, requirements: &str) -> Result<PathBuf> {
    let programs = folder.join("bin");
    let marker = folder.join("requirements.installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == requirements) {
        return Ok(programs);
    }
    let python = interpreter().context("no CPython of at least 3.10 with venv and ensurepip found")?;
    step::run("create Python environment", Command::new(python).args(["-m", "venv", "--clear"]).arg(folder))?;
    let wanted = folder.join("requirements.txt");
    std::fs::write(&wanted, requirements)?;
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&wanted);
    step::run("install Python requirements", &mut install)?;
    std::fs::write(&marker, requirements)?;
    Ok(programs)
}

/// Whether an interpreter that [`environment`] can use is there.
pub(crate) fn has_interpreter() -> bool {
    interpreter().is_some()
}

/// The first CPython on the path that is new enough and can make a virtual environment.
fn interpreter() -> Option<&'static str> {
    CANDIDATES.into_iter().find(|name| step::output(Command::new(name).args(["-c", SUITABLE])).is_ok())
}

const CANDIDATES: [&str; 6] =
    ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
/// Debian splits `ensurepip` off into python3-venv, and then `-m venv` fails half-way: asked for up front.
const SUITABLE: &str = "import sys, venv, ensurepip; \
    sys.exit(sys.version_info < (3, 10) or sys.implementation.name != 'cpython')";
