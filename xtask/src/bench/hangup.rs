//! Hang-up to backend closed, as `tidegate probe --json` measures it, with the gateway on its own core.

use super::process::Cores;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the probe found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct HangUp {
    pub(crate) cells: usize,
    pub(crate) calls: u64,
    /// Of all calls, in microseconds.
    pub(crate) p50_us: f64,
    /// Of all calls, in microseconds.
    pub(crate) p99_us: f64,
    /// The largest median of any cell, in microseconds.
    pub(crate) worst_p50_us: f64,
    pub(crate) never_stopped: u64,
}

/// Runs the probe, for [`PATIENCE_SECONDS`] at most. What it measured counts even where a bound of its own did
/// not hold, which its exit status tells.
pub(crate) fn probe(program: &Path, cores: Cores) -> Result<HangUp> {
    let mut command = Command::new("timeout");
    command.args([PATIENCE_SECONDS, "taskset", "-c", &cores.load.to_string()]).arg(program);
    command.args(["probe", "--json", "-n", CALLS_PER_CELL, "--gateway-core", &cores.gateway.to_string()]);
    let output = command.stdin(Stdio::null()).output()?;
    HangUp::of_json(&String::from_utf8_lossy(&output.stdout)).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("{}: {}", output.status, errors.lines().last().unwrap_or_default())
    })
}

impl HangUp {
    fn of_json(text: &str) -> Result<Self> {
        let report: Value = serde_json::from_str(text).context("the probe printed no report")?;
        let all = report.get("all").context("no figures of all calls")?;
        let cells = report.get("cells").and_then(Value::as_array).context("no cells")?;
        if let Some(error) = cells.iter().find_map(|cell| cell.get("error").and_then(Value::as_str)) {
            anyhow::bail!("the probe could not fill a cell: {error}");
        }
        let count = |name: &str| all.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}"));
        let time = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64);
        Ok(Self {
            cells: cells.len(),
            calls: count("n")?,
            p50_us: time(all, "p50_us").context("no backend stopped")?,
            p99_us: time(all, "p99_us").context("no backend stopped")?,
            // A cell in which nothing stopped has no times.
            worst_p50_us: cells.iter().filter_map(|cell| time(cell, "p50_us")).fold(0.0, f64::max),
            // A backend that was closed before the hang-up was not stopped by it.
            never_stopped: count("never")? + count("early")?,
        })
    }
}

/// As `timeout` takes it.
const PATIENCE_SECONDS: &str = "300";
/// There are some thousand cells, and the bounds are on all calls.
const CALLS_PER_CELL: &str = "10";

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: &str =
        r#"{"backend":"openai","phase":"stalled","n":100,"p50_us":180.5,"p99_us":300,"never":0}"#;

    fn report(all: &str, cells: &str) -> String {
        format!(r#"{{"all":{all},"cells":[{cells}]}}"#)
    }

    #[test]
    fn all_calls_decide_and_the_worst_cell_is_shown() {
        let all = r#"{"n":100,"p50_us":90,"p99_us":300,"max_us":900,"never":1,"early":2}"#;
        let expected = HangUp {
            cells: 1,
            calls: 100,
            p50_us: 90.0,
            p99_us: 300.0,
            worst_p50_us: 180.5,
            never_stopped: 3,
        };
        assert_eq!(HangUp::of_json(&report(all, CELL)).unwrap(), expected);
    }

    #[test]
    fn what_was_not_measured_is_an_error() {
        let all = r#"{"n":100,"p50_us":90,"p99_us":300,"never":0,"early":0}"#;
        assert!(HangUp::of_json("").is_err());
        assert!(HangUp::of_json("{}").is_err());
        assert!(HangUp::of_json(&report(r#"{"n":0,"never":0,"early":0}"#, CELL)).is_err());
        assert!(HangUp::of_json(&report(all, r#"{"error":"refused"}"#)).is_err());
    }
}
