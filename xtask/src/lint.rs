//! `cargo xtask lint`: formatting, clippy, rustdoc, and that no tracked file names a path of someone's machine.
//!
//! Runs every check even after one has failed, so that one run shows all there is to mend. Changes no file.

use crate::step;
use anyhow::{Context, Result};
use clap::Args;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What `cargo xtask lint` takes.
#[derive(Args)]
pub(crate) struct LintOptions {
    /// Also check licences, advisories and sources by cargo-deny, installing it under .xtask/tools if missing
    /// (that takes minutes).
    #[arg(long)]
    deny: bool,
}

/// Runs every check and fails when one did.
pub(crate) fn run(options: &LintOptions) -> Result<ExitCode> {
    let root = step::project_root()?;
    let mut done = vec![
        step::run("rustfmt", step::cargo(&root).args(["fmt", "--all", "--check"])),
        step::run("clippy", step::cargo(&root).args(CLIPPY)),
        step::run("rustdoc", step::cargo(&root).args(RUSTDOC).env("RUSTDOCFLAGS", "-D warnings")),
        machine_paths(&root),
    ];
    if options.deny {
        done.push(deny(&root));
    }
    let failures: Vec<_> = done.into_iter().filter_map(Result::err).collect();
    for failure in &failures {
        eprintln!("lint: {failure:#}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn deny(root: &Path) -> Result<()> {
    let tools = root.join(".xtask/tools");
    let program = tools.join("bin/cargo-deny");
    if !program.is_file() {
        let mut install = step::cargo(root);
        install.args(["install", "cargo-deny", "--locked", "--version", CARGO_DENY, "--root"]).arg(&tools);
        step::run("install cargo-deny", &mut install)?;
    }
    step::run("cargo deny", Command::new(program).args(["--all-features", "check"]).current_dir(root))
}

/// Fails when a tracked file names this checkout's folder or a folder in somebody's home.
fn machine_paths(root: &Path) -> Result<()> {
    println!("--- machine paths");
    let listing = step::output(Command::new("git").args(["ls-files", "-z"]).current_dir(root))?;
    let needles = needles(root, std::env::var("HOME").ok().as_deref());
    let mut found = Vec::new();
    for file in listing.split('\0').filter(|file| !file.is_empty()) {
        // A file that is tracked but deleted in the working tree has nothing to check.
        let Ok(content) = std::fs::read(root.join(file)) else { continue };
        found.extend(first_match(&content, &needles).map(|line| format!("{file}:{line}")));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(anyhow::anyhow!("{}", found.join(", "))).context("files name a path of somebody's machine")
}

/// The strings that must not occur. Put together here, so that this file does not hold them.
fn needles(root: &Path, home: Option<&str>) -> Vec<String> {
    let mut needles: Vec<String> = ["home", "Users"].iter().map(|folder| format!("/{folder}/")).collect();
    needles.push(root.display().to_string());
    // A home of one letter or none would match everything.
    needles.extend(home.filter(|home| home.len() > 2).map(|home| format!("{home}/")));
    needles
}

/// The number of the first line that holds one of `needles` where a path starts, counted from one.
fn first_match(content: &[u8], needles: &[String]) -> Option<usize> {
    let starts_path = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| content.get(before));
        // `https://host/home/page` is an address, not a path of a machine.
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b".-_}~".contains(byte))
    };
    let at = needles
        .iter()
        .flat_map(|needle| memchr::memmem::find_iter(content, needle.as_bytes()))
        .filter(|at| starts_path(*at))
        .min()?;
    Some(memchr::memchr_iter(b'\n', content.get(..at)?).count() + 1)
}

const CLIPPY: [&str; 7] = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
const RUSTDOC: [&str; 4] = ["doc", "--quiet", "--workspace", "--no-deps"];
/// Pinned, so that a new release does not fail an old commit.
const CARGO_DENY: &str = "0.20.2";

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content: &str) -> Option<usize> {
        first_match(content.as_bytes(), &needles(Path::new("/srv/checkout"), Some("/root")))
    }

    #[test]
    fn a_home_path_is_found_with_its_line() {
        assert_eq!(check(&["one\n see ", "/home", "/jo/x\n"].concat()), Some(2));
        assert_eq!(check(&["`", "/root", "/.cargo`"].concat()), Some(1));
        assert_eq!(check("in /srv/checkout/src"), Some(1));
    }

    #[test]
    fn an_address_or_a_relative_path_is_no_home_path() {
        assert_eq!(check(&["https://example.org", "/home", "/page"].concat()), None);
        assert_eq!(check("crates/tidegate-wire/src"), None);
    }
}
