//! Hang-up to backend closed, as `tidegate probe --json` measures it; summed up over its cells.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// All cells of the probe as one: the worst of each figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct HangUp {
    pub(crate) cells: usize,
    pub(crate) calls: u64,
    /// The largest median of any cell, in microseconds.
    pub(crate) worst_p50_us: f64,
    /// The largest 99th percentile of any cell, in microseconds.
    pub(crate) worst_p99_us: f64,
    pub(crate) never_stopped: u64,
}

/// Runs the probe, for [`PATIENCE_SECONDS`] at most. What it measured counts even where a bound of its own did
/// not hold, which its exit status tells.
pub(crate) fn probe(program: &Path) -> Result<HangUp> {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE_SECONDS).arg(program).args(["probe", "--json"]);
    let output = command.stdin(Stdio::null()).output()?;
    HangUp::of_json(&String::from_utf8_lossy(&output.stdout)).with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("{}: {}", output.status, errors.lines().last().unwrap_or_default())
    })
}

impl HangUp {
    /// From one object per cell: one after the other, or in arrays.
    fn of_json(text: &str) -> Result<Self> {
        let mut sum = Self::default();
        for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
            match value? {
                Value::Array(cells) => cells.iter().try_for_each(|cell| sum.add(cell))?,
                cell => sum.add(&cell)?,
            }
        }
        (sum.cells > 0).then_some(sum).context("the probe printed no cell")
    }

    fn add(&mut self, cell: &Value) -> Result<()> {
        let count = |name: &str| cell.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}"));
        let time = |name: &str| cell.get(name).and_then(Value::as_f64);
        self.cells += 1;
        self.calls += count("n")?;
        if let Some(error) = cell.get("error").and_then(Value::as_str) {
            anyhow::bail!("the probe could not fill a cell: {error}");
        }
        // A backend that was closed before the hang-up was not stopped by it.
        self.never_stopped += count("never")? + cell.get("early").and_then(Value::as_u64).unwrap_or(0);
        // A cell in which nothing stopped has no times.
        self.worst_p50_us = time("p50_us").unwrap_or(0.0).max(self.worst_p50_us);
        self.worst_p99_us = time("p99_us").unwrap_or(0.0).max(self.worst_p99_us);
        Ok(())
    }
}

/// As `timeout` takes it.
const PATIENCE_SECONDS: &str = "180";

#[cfg(test)]
mod tests {
    use super::*;

    const CELLS: [&str; 2] = [
        r#"{"backend":"openai","phase":"stalled","n":100,"p50_us":80.5,"p99_us":300,"max_us":900,"never":0}"#,
        r#"{"backend":"bedrock","phase":"stalled","n":50,"p50_us":95,"p99_us":210,"max_us":250,"never":1}"#,
    ];

    #[test]
    fn the_worst_cell_decides() {
        let expected =
            HangUp { cells: 2, calls: 150, worst_p50_us: 95.0, worst_p99_us: 300.0, never_stopped: 1 };
        assert_eq!(HangUp::of_json(&CELLS.join("\n")).unwrap(), expected);
        assert_eq!(HangUp::of_json(&format!("[{}]", CELLS.join(","))).unwrap(), expected);
    }

    #[test]
    fn no_cell_or_one_without_counts_is_an_error() {
        assert!(HangUp::of_json("").is_err());
        assert!(HangUp::of_json("{}").is_err());
    }
}
