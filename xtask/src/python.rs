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

/// The environment of these requirements of the Python package's tests, with the package as it is now. It is built as the
/// Rust tests are, and so from what they have built.
pub(crate) fn package_environment(root: &Path, requirements: &str) -> Result<PathBuf> {
    let file = root.join(PACKAGE).join("tests").join(requirements);
    let wanted = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let name = requirements.trim_end_matches(".txt");
    let programs = environment(&root.join(".xtask").join(format!("package-{name}")), &wanted)?;
    install_package(root, &programs, &["--config-settings=build-args=--profile=dev"])?;
    Ok(programs)
}

/// Builds the Python package and puts it into the environment with these programs, in the place of an earlier one.
pub(crate) fn install_package(root: &Path, programs: &Path, options: &[&str]) -> Result<()> {
    let mut install = Command::new(programs.join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--no-deps", "--force-reinstall"]).args(options).arg(root.join(PACKAGE)).current_dir(root);
    step::run("install the Python package", &mut install)
}

/// Whether an interpreter that [`environment`] can use is there.
pub(crate) fn has_interpreter() -> bool {
    interpreter().is_some()
}

/// The first CPython on the path that is new enough and can make a virtual environment.
fn interpreter() -> Option<&'static str> {
    CANDIDATES.into_iter().find(|name| step::output(Command::new(name).args(["-c", SUITABLE])).is_ok())
}

/// The package's crate.
const PACKAGE: &str = "crates/tidegate-py";
const CANDIDATES: [&str; 6] =
    ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10"];
/// Debian splits `ensurepip` off into python3-venv, and then `-m venv` fails half-way: asked for up front.
const SUITABLE: &str = "import sys, venv, ensurepip; \
    sys.exit(sys.version_info < (3, 10) or sys.implementation.name != 'cpython')";
