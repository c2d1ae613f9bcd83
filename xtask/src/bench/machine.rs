//! Describes the machine and the versions measured, so that a figure can be judged and repeated.

use super::process::Cores;
use crate::step;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// As a JSON object of short texts and numbers; what can't be found out is absent.
pub(crate) fn describe(root: &Path, cores: Cores, with_nginx: bool) -> Value {
    let kernel = rustix::system::uname();
    let mut machine = json!({
        "cpu": proc_field("/proc/cpuinfo", "model name"),
        "memory": proc_field("/proc/meminfo", "MemTotal"),
        "kernel": kernel.release().to_string_lossy(),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "gateway_core": cores.gateway,
        "load_core": cores.load,
        "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "rustc": version(Command::new("rustc").arg("--version")),
        "commit": version(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root)),
    });
    if let (true, Some(fields)) = (with_nginx, machine.as_object_mut()) {
        fields.insert("nginx".to_owned(), nginx_version().into());
    }
    machine
}

fn version(command: &mut Command) -> Option<String> {
    step::output(command).ok()
}

/// nginx tells its version on standard error.
fn nginx_version() -> Option<String> {
    version(Command::new("sh").args(["-c", "PATH=$PATH:/usr/sbin nginx -v 2>&1"]))
}

fn proc_field(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
