//! Named steps: child processes that either succeed or are reported by the name of the step that failed.
//!
//! Used by every command here. Never hides a child's output and never retries.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs `command` with its output passed through; an error names `step`.
pub(crate) fn run(step: &str, command: &mut Command) -> Result<()> {
    println!("--- {step}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("{step}: cannot start"))?;
    if !status.success() {
        bail!("{step}: {status}");
    }
    Ok(())
}

/// What `command` wrote to standard output, trimmed; an error when it could not start or failed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().context("cannot start")?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The cargo that runs this command, in the project's root.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// The project's root: the folder above this package, as cargo tells it at run time.
pub(crate) fn project_root() -> Result<PathBuf> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").context("run this through `cargo xtask`")?;
    let root = Path::new(&package).parent().context("the xtask package has no parent folder")?;
    Ok(root.to_owned())
}

/// Whether a program of this name is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts servers into a folder that is on root's path only.
    let folders = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).any(|file| file.is_file())
}

/// A Debian package and the program that shows whether it is there.
pub(crate) struct DebianPackage {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
}

/// Installs the packages whose programs are missing.
pub(crate) fn debian_packages(wanted: &[DebianPackage]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|entry| !on_path(entry.program)).map(|entry| entry.package).collect();
    install(&missing)
}

/// Installs Debian packages; needs root for that, and says so when it is not.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("missing and not root: apt-get install {names}");
    }
    let mut update = Command::new("apt-get");
    run("apt-get update", update.args(["update", "-qq"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    // The run level keeps Debian from starting the services that a package brings along.
    install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    run(&format!("apt-get install {names}"), &mut install)
}
