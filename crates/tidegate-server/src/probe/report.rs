//! What a probe found, as numbers, as a table, and as JSON.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{HangUp, Phase};

/// One cell of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    backend: String,
    phase: Phase,
    hang_up: HangUp,
    http: u8,
    /// Hang-up to backend closed, in microseconds, in the order of the calls.
    stopped_us: Vec<u64>,
    never: usize,
    lost_connections: usize,
}

/// A cell as JSON.
#[derive(Serialize)]
struct CellJson<'a> {
    backend: &'a str,
    phase: &'static str,
    hangup: &'static str,
    http: u8,
    n: usize,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    max_us: Option<u64>,
    never: usize,
}

impl Cell {
    pub(super) fn new(backend: String, phase: Phase, hang_up: HangUp, http: u8) -> Self {
        Self { backend, phase, hang_up, http, stopped_us: Vec::new(), never: 0, lost_connections: 0 }
    }

    /// Backend name.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Kind of hang-up.
    pub fn hang_up(&self) -> HangUp {
        self.hang_up
    }

    /// HTTP version between gateway and backend.
    pub fn http(&self) -> u8 {
        self.http
    }

    /// Calls made.
    pub fn calls(&self) -> usize {
        self.stopped_us.len() + self.never
    }

    /// Backends that were not closed within the patience.
    pub fn never(&self) -> usize {
        self.never
    }

    /// Microseconds from hang-up to backend closed at a percentile. `None`: none stopped.
    pub fn percentile_us(&self, percent: usize) -> Option<u64> {
        percentile(&self.stopped_us, percent)
    }

    /// Calls whose HTTP/2 connection was lost along with the stream.
    pub fn lost_connections(&self) -> usize {
        self.lost_connections
    }

    pub(super) fn stopped(&mut self, after: Duration) {
        self.stopped_us.push(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }

    pub(super) fn never_stopped(&mut self) {
        self.never += 1;
    }

    pub(super) fn lost_connection(&mut self) {
        self.lost_connections += 1;
    }

    fn json(&self) -> CellJson<'_> {
        CellJson {
            backend: &self.backend,
            phase: self.phase.name(),
            hangup: self.hang_up.name(),
            http: self.http,
            n: self.calls(),
            p50_us: percentile(&self.stopped_us, 50),
            p99_us: percentile(&self.stopped_us, 99),
            max_us: percentile(&self.stopped_us, 100),
            never: self.never,
        }
    }
}

/// The whole matrix.
#[derive(Clone, Debug)]
pub struct Report {
    /// Cells, in the order in which they were filled.
    pub cells: Vec<Cell>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// One JSON object for each cell, in an array.
    pub fn json(&self) -> String {
        let cells: Vec<_> = self.cells.iter().map(Cell::json).collect();
        serde_json::to_string_pretty(&cells).unwrap_or_default()
    }

    /// Calls made.
    pub fn calls(&self) -> usize {
        self.cells.iter().map(Cell::calls).sum()
    }

    /// Backends that never stopped.
    pub fn never(&self) -> usize {
        self.cells.iter().map(Cell::never).sum()
    }

    /// Microseconds from hang-up to backend closed at a percentile of all calls. `None`: none stopped.
    pub fn percentile_us(&self, percent: usize) -> Option<u64> {
        let all: Vec<u64> = self.cells.iter().flat_map(|cell| cell.stopped_us.iter().copied()).collect();
        percentile(&all, percent)
    }

    /// Whether every backend stopped and the 99th percentile of every cell is within `bound_us`.
    pub fn holds(&self, bound_us: u64) -> bool {
        let within = |cell: &Cell| percentile(&cell.stopped_us, 99).is_none_or(|p99| p99 <= bound_us);
        self.calls() > 0 && self.never() == 0 && self.cells.iter().all(within)
    }

    /// A table with one line for each cell and a summary.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let _ = writeln!(
            table,
            "{:<8} {:>4}  {:<18}  {:<20} {:>4} {:>8} {:>8} {:>8} {:>6}",
            "backend", "http", "phase", "hang-up", "n", "p50 µs", "p99 µs", "max µs", "never"
        );
        for cell in &self.cells {
            let number = |percent| {
                percentile(&cell.stopped_us, percent).map_or_else(|| "-".to_owned(), |us| us.to_string())
            };
            let _ = writeln!(
                table,
                "{:<8} {:>4}  {:<18}  {:<20} {:>4} {:>8} {:>8} {:>8} {:>6}",
                cell.backend,
                cell.http,
                cell.phase.name(),
                cell.hang_up.name(),
                cell.calls(),
                number(50),
                number(99),
                number(100),
                cell.never
            );
        }
        let number =
            |percent| self.percentile_us(percent).map_or_else(|| "-".to_owned(), |us| us.to_string());
        let _ = writeln!(
            table,
            "\n{} calls in {} cells: hang-up to backend closed p50 {} µs, p99 {} µs, max {} µs; never stopped: {}",
            self.calls(),
            self.cells.len(),
            number(50),
            number(99),
            number(100),
            self.never()
        );
        table
    }
}

/// Nearest rank.
fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
