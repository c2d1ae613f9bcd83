//! What a probe found, as numbers, as a table, and as JSON.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{HangUp, Phase, Surface};

/// One cell of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    backend: String,
    surface: Surface,
    phase: Phase,
    hang_up: HangUp,
    http: u8,
    /// Hang-up to backend closed, in microseconds, in the order of the calls.
    stopped_us: Vec<u64>,
    never: usize,
    early: usize,
    lost_connections: usize,
    unfilled: Option<Unfilled>,
}

/// Why a cell has fewer calls than were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// The gateway need not offer what the cell takes, and does not.
    NotPossible(String),
    /// A call could not be made, or did not come as far as it should.
    Failed(String),
}

impl Unfilled {
    /// The reason, for people.
    pub fn reason(&self) -> &str {
        match self {
            Self::NotPossible(reason) | Self::Failed(reason) => reason,
        }
    }
}

/// A report as JSON.
#[derive(Serialize)]
struct ReportJson<'a> {
    all: FiguresJson,
    cells: Vec<CellJson<'a>>,
}

/// The figures of several calls as JSON.
#[derive(Serialize)]
struct FiguresJson {
    n: usize,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    max_us: Option<u64>,
    never: usize,
    early: usize,
}

/// A cell as JSON.
#[derive(Serialize)]
struct CellJson<'a> {
    backend: &'a str,
    surface: &'static str,
    phase: &'static str,
    hangup: &'static str,
    http: u8,
    #[serde(flatten)]
    figures: FiguresJson,
    /// Whether `error` is something that this gateway need not offer.
    #[serde(skip_serializing_if = "Option::is_none")]
    excused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl FiguresJson {
    fn of(stopped_us: &[u64], never: usize, early: usize) -> Self {
        Self {
            n: stopped_us.len() + never + early,
            p50_us: percentile(stopped_us, 50),
            p99_us: percentile(stopped_us, 99),
            max_us: percentile(stopped_us, 100),
            never,
            early,
        }
    }
}

impl Cell {
    pub(super) fn new(backend: String, surface: Surface, phase: Phase, hang_up: HangUp, http: u8) -> Self {
        Self {
            backend,
            surface,
            phase,
            hang_up,
            http,
            stopped_us: Vec::new(),
            never: 0,
            early: 0,
            lost_connections: 0,
            unfilled: None,
        }
    }

    /// Backend name.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// What the caller speaks.
    pub fn surface(&self) -> Surface {
        self.surface
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
        self.stopped_us.len() + self.never + self.early
    }

    /// Backends that were not closed within the patience.
    pub fn never(&self) -> usize {
        self.never
    }

    /// Backends that were closed before the hang-up, so that nothing is known about what a hang-up does.
    pub fn early(&self) -> usize {
        self.early
    }

    /// Why there are fewer calls than were asked for. `None`: there are not.
    pub fn unfilled(&self) -> Option<&Unfilled> {
        self.unfilled.as_ref()
    }

    /// Microseconds from hang-up to backend closed at a percentile. `None`: none stopped.
    pub fn percentile_us(&self, percent: usize) -> Option<u64> {
        percentile(&self.stopped_us, percent)
    }

    /// Calls whose HTTP/2 connection was lost along with the stream.
    pub fn lost_connections(&self) -> usize {
        self.lost_connections
    }

    /// Counts a call whose caller hung up at `hang_up_ns` and whose backend was closed at `closed_ns`, on the same clock.
    pub(super) fn closed(&mut self, hang_up_ns: u64, closed_ns: u64) {
        match closed_ns.checked_sub(hang_up_ns) {
            Some(after) => self.stopped_us.push(after / 1_000),
            None => self.early += 1,
        }
    }

    pub(super) fn leave_unfilled(&mut self, why: Unfilled) {
        self.unfilled = Some(why);
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
            surface: self.surface.name(),
            phase: self.phase.name(),
            hangup: self.hang_up.name(),
            http: self.http,
            figures: FiguresJson::of(&self.stopped_us, self.never, self.early),
            excused: self.unfilled.as_ref().map(|why| matches!(why, Unfilled::NotPossible(_))),
            error: self.unfilled.as_ref().map(Unfilled::reason),
        }
    }

    fn row(&self) -> String {
        let number =
            |percent| self.percentile_us(percent).map_or_else(|| "-".to_owned(), |us| us.to_string());
        let count = |of: usize| if self.calls() == 0 { "-".to_owned() } else { of.to_string() };
        format!(
            "{:<9} {:<8} {:>4}  {:<18}  {:<20} {:>4} {:>8} {:>8} {:>8} {:>6} {:>6}",
            self.backend,
            self.surface.name(),
            self.http,
            self.phase.name(),
            self.hang_up.name(),
            count(self.calls()),
            number(50),
            number(99),
            number(100),
            count(self.never),
            count(self.early)
        )
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
    /// JSON: `all` has the figures of all calls, `cells` those of each cell.
    pub fn json(&self) -> String {
        let all = FiguresJson::of(&self.stopped_us(), self.never(), self.early());
        let whole = ReportJson { all, cells: self.cells.iter().map(Cell::json).collect() };
        serde_json::to_string_pretty(&whole).unwrap_or_default()
    }

    /// Calls made.
    pub fn calls(&self) -> usize {
        self.cells.iter().map(Cell::calls).sum()
    }

    /// Backends that never stopped.
    pub fn never(&self) -> usize {
        self.cells.iter().map(Cell::never).sum()
    }

    /// Backends that were closed before the hang-up.
    pub fn early(&self) -> usize {
        self.cells.iter().map(Cell::early).sum()
    }

    /// The cells that should have been filled and were not, each with the reason. What a gateway need not offer is not here.
    pub fn errors(&self) -> Vec<(&Cell, &str)> {
        let failed = |cell: &'_ Cell| matches!(cell.unfilled, Some(Unfilled::Failed(_)));
        self.unfilled().filter(|(cell, _)| failed(cell)).map(|(cell, why)| (cell, why.reason())).collect()
    }

    /// Microseconds from hang-up to backend closed at a percentile of all calls. `None`: none stopped.
    pub fn percentile_us(&self, percent: usize) -> Option<u64> {
        percentile(&self.stopped_us(), percent)
    }

    fn stopped_us(&self) -> Vec<u64> {
        self.cells.iter().flat_map(|cell| cell.stopped_us.iter().copied()).collect()
    }

    /// Whether there were calls, every asked-for cell could be made, and every backend stopped, after its hang-up.
    pub fn all_stopped(&self) -> bool {
        self.calls() > 0 && self.never() == 0 && self.early() == 0 && self.errors().is_empty()
    }

    /// Whether, beyond [`Report::all_stopped`], the 99th percentile of every cell is within `bound_us`.
    pub fn holds(&self, bound_us: u64) -> bool {
        let within = |cell: &Cell| percentile(&cell.stopped_us, 99).is_none_or(|p99| p99 <= bound_us);
        self.all_stopped() && self.cells.iter().all(within)
    }

    /// A table with one line for each cell, a summary, and the reasons for what is missing.
    pub fn table(&self) -> String {
        let mut table = String::new();
        let _ = writeln!(
            table,
            "{:<9} {:<8} {:>4}  {:<18}  {:<20} {:>4} {:>8} {:>8} {:>8} {:>6} {:>6}",
            "backend",
            "caller",
            "http",
            "phase",
            "hang-up",
            "n",
            "p50 µs",
            "p99 µs",
            "max µs",
            "never",
            "early"
        );
        for cell in &self.cells {
            let _ = writeln!(table, "{}", cell.row());
        }
        let number =
            |percent| self.percentile_us(percent).map_or_else(|| "-".to_owned(), |us| us.to_string());
        let _ = writeln!(
            table,
            "\n{} calls in {} cells: hang-up to backend closed p50 {} µs, p99 {} µs, max {} µs; never stopped: {}, closed before the hang-up: {}",
            self.calls(),
            self.cells.len(),
            number(50),
            number(99),
            number(100),
            self.never(),
            self.early()
        );
        for (cell, why) in self.unfilled() {
            let verdict = if matches!(why, Unfilled::Failed(_)) { "failed" } else { "not possible" };
            let Cell { backend, surface, phase, hang_up, http, .. } = cell;
            let surface = surface.name();
            let _ = writeln!(
                table,
                "{verdict}: {backend} {surface} http{http} {phase} {hang_up}: {}",
                why.reason()
            );
        }
        table
    }

    fn unfilled(&self) -> impl Iterator<Item = (&Cell, &Unfilled)> {
        self.cells.iter().filter_map(|cell| Some((cell, cell.unfilled.as_ref()?)))
    }
}

/// Nearest rank.
fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}
