//! The result as a table of text and as JSON: medians over the rounds, ratios to nginx and to direct.

use super::hangup::HangUp;
use super::measure::{CONNECTIONS, HELD, Plan, RATE, STREAMS, Sample};
use serde_json::{Map, Value, json};
use std::fmt;

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) machine: Value,
    pub(crate) plan: Plan,
    pub(crate) columns: Vec<Column>,
    pub(crate) hang_up: Option<HangUp>,
    /// What was to be measured and could not be.
    pub(crate) failures: Vec<String>,
}

/// One subject's samples, one for each round that succeeded.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) samples: Vec<Sample>,
    pub(crate) failures: Vec<String>,
}

impl Column {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, samples: Vec::new(), failures: Vec::new() }
    }

    /// The median of a figure over the rounds that have it.
    fn median(&self, figure: &str) -> Option<f64> {
        let mut values: Vec<f64> =
            self.samples.iter().filter_map(|sample| sample.figures.get(figure).copied()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let upper = values.get(values.len() / 2)?;
        let lower = values.get(values.len().saturating_sub(1) / 2)?;
        Some(f64::midpoint(*lower, *upper))
    }

    /// Whether the core for load was full while the gateway's was not: then the figure is the load's limit.
    fn load_was_the_limit(&self, figure: &str) -> bool {
        let Some(prefix) = figure.strip_suffix(".per_second") else { return false };
        let core = |name: &str| self.median(&format!("{prefix}.{name}"));
        let (Some(load), Some(gateway)) = (core("load_core"), core("gateway_core")) else { return false };
        load > FULL_CORE && gateway < FULL_CORE
    }
}

impl Report {
    /// Medians, ratios and every round's figures by name.
    pub(crate) fn json(&self) -> Value {
        let columns: Map<String, Value> =
            self.columns.iter().map(|column| (column.name.to_owned(), self.column_json(column))).collect();
        let bounds: Vec<Value> = self
            .bounds()
            .iter()
            .map(|bound| json!({ "what": bound.what, "value": bound.value, "bound": bound.bound, "held": bound.held() }))
            .collect();
        json!({
            "machine": self.machine,
            "rounds": self.plan.rounds,
            "seconds_per_measurement": self.plan.duration.as_secs_f64(),
            "subjects": columns,
            "hang_up": self.hang_up.map(|hang_up| json!({
                "cells": hang_up.cells,
                "calls": hang_up.calls,
                "p50_us": hang_up.p50_us,
                "p99_us": hang_up.p99_us,
                "worst_p50_us": hang_up.worst_p50_us,
                "never_stopped": hang_up.never_stopped,
            })),
            "bounds": bounds,
            "failures": self.failures,
        })
    }

    fn column_json(&self, column: &Column) -> Value {
        let mut names: Vec<&String> =
            column.samples.iter().flat_map(|sample| sample.figures.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let median: Map<String, Value> =
            names.iter().map(|name| ((*name).clone(), json!(column.median(name)))).collect();
        let ratios = |to: &str| -> Map<String, Value> {
            let compared = rows().into_iter().filter(|row| row.compared);
            compared
                .filter_map(|row| Some((row.figure.clone(), json!(self.ratio(column, to, &row.figure)?))))
                .collect()
        };
        json!({
            "median": median,
            "ratio_to_nginx": ratios("nginx"),
            "ratio_to_direct": ratios("direct"),
            "rounds": column.samples.iter().map(|sample| json!(sample.figures)).collect::<Vec<_>>(),
            "complaints": column.samples.iter().flat_map(|sample| &sample.complaints).collect::<Vec<_>>(),
        })
    }

    fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    fn ratio(&self, column: &Column, to: &str, figure: &str) -> Option<f64> {
        let base = self.column(to)?.median(figure)?;
        (column.name != to && base != 0.0).then_some(column.median(figure)? / base)
    }

    /// What Tidegate has to hold, as far as it was measured.
    fn bounds(&self) -> Vec<Bound> {
        let Some(tidegate) = self.column("tidegate") else { return Vec::new() };
        let mut bounds = Vec::new();
        let mut at = |what: String, value: Option<f64>, bound: Limit| {
            bounds.extend(value.map(|value| Bound { what, value, bound: bound.number(), limit: bound }));
        };
        for connections in CONNECTIONS.into_iter().filter(|connections| *connections >= 16) {
            let ratio = self.ratio(tidegate, "nginx", &format!("unary.{connections}.per_second"));
            at(format!("requests/s to nginx's, {connections} connections"), ratio, Limit::AtLeast(0.5));
        }
        at(
            "chunks/s to nginx's".to_owned(),
            self.ratio(tidegate, "nginx", "stream.per_second"),
            Limit::AtLeast(1.0),
        );
        for held in HELD {
            let memory = tidegate.median(&format!("memory.{held}.kib_per_stream"));
            at(format!("KiB per held stream, {held} streams"), memory, Limit::AtMost(24.0));
            let reached = tidegate.median(&format!("memory.{held}.backend_streams"));
            #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
            at(format!("streams at the backend of {held}"), reached, Limit::AtLeast(held as f64));
        }
        let hang_up = |figure: fn(&HangUp) -> f64| self.hang_up.as_ref().map(figure);
        at("hang-up to closed, p50 (µs)".to_owned(), hang_up(|all| all.p50_us), Limit::AtMost(150.0));
        at("hang-up to closed, p99 (µs)".to_owned(), hang_up(|all| all.p99_us), Limit::AtMost(1000.0));
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        at(
            "calls that never stopped".to_owned(),
            hang_up(|all| all.never_stopped as f64),
            Limit::AtMost(0.0),
        );
        bounds
    }
}

#[derive(Clone, Copy)]
enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Limit {
    fn number(self) -> f64 {
        match self {
            Self::AtLeast(number) | Self::AtMost(number) => number,
        }
    }
}

struct Bound {
    what: String,
    value: f64,
    bound: f64,
    limit: Limit,
}

impl Bound {
    fn held(&self) -> bool {
        match self.limit {
            Limit::AtLeast(least) => self.value >= least,
            Limit::AtMost(most) => self.value <= most,
        }
    }
}

/// One line of the table.
struct Row {
    label: String,
    figure: String,
    decimals: usize,
    /// Whether a ratio of this figure says something.
    compared: bool,
}

fn row(label: impl Into<String>, figure: impl Into<String>, decimals: usize) -> Row {
    Row { label: label.into(), figure: figure.into(), decimals, compared: true }
}

fn uncompared(label: impl Into<String>, figure: impl Into<String>) -> Row {
    Row { label: label.into(), figure: figure.into(), decimals: 0, compared: false }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for count in CONNECTIONS {
        rows.push(row(format!("requests/s, {count} conn."), format!("unary.{count}.per_second"), 0));
        rows.push(row("  gateway CPU µs/request", format!("unary.{count}.cpu_us"), 1));
        rows.push(row("  latency p50 µs", format!("unary.{count}.p50_us"), 0));
        rows.push(row("  latency p99 µs", format!("unary.{count}.p99_us"), 0));
        rows.push(uncompared("  gateway core %", format!("unary.{count}.gateway_core")));
        rows.push(uncompared("  load and mock core %", format!("unary.{count}.load_core")));
    }
    rows.push(row("added p50 µs, 1 conn.", "unary.1.added_p50_us", 0));
    rows.push(row("added p99 µs, 1 conn.", "unary.1.added_p99_us", 0));
    rows.push(row(format!("chunks/s, {STREAMS} streams"), "stream.per_second", 0));
    rows.push(row("  gateway CPU µs/chunk", "stream.cpu_us", 2));
    rows.push(uncompared("  gateway core %", "stream.gateway_core"));
    rows.push(uncompared("  load and mock core %", "stream.load_core"));
    rows.push(row("first token p50 µs", "first_token.p50_us", 0));
    rows.push(row("first token p99 µs", "first_token.p99_us", 0));
    rows.push(row("  added p50 µs", "first_token.added_p50_us", 0));
    rows.push(row("  added p99 µs", "first_token.added_p99_us", 0));
    rows.push(row(format!("open loop {RATE}/s p50 µs"), "open.p50_us", 0));
    rows.push(row(format!("open loop {RATE}/s p99 µs"), "open.p99_us", 0));
    rows.push(row("  added p50 µs", "open.added_p50_us", 0));
    rows.push(row("  added p99 µs", "open.added_p99_us", 0));
    rows.push(row("memory idle KiB", "memory.idle_kib", 0));
    for count in HELD {
        rows.push(row(format!("KiB/held stream, {count}"), format!("memory.{count}.kib_per_stream"), 1));
        rows.push(uncompared("  streams at the backend", format!("memory.{count}.backend_streams")));
    }
    rows.push(uncompared("  most backend connections", "memory.backend_connections_max"));
    rows.push(uncompared("  left running after drop", "memory.never_stopped"));
    rows.push(uncompared("CPU % used by others", "others_cpu"));
    rows
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { rounds, duration, .. } = self.plan;
        writeln!(
            out,
            "\nmedian of {rounds} interleaved round(s), {duration:?} per measurement, on loopback"
        )?;
        for (name, value) in
            self.machine.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
        {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            writeln!(out, "  {name}: {text}")?;
        }
        self.table(out)?;
        self.notes(out)
    }
}

impl Report {
    fn table(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratios = self.ratio_columns();
        write!(out, "\n{:<26}", "")?;
        for column in &self.columns {
            write!(out, "{:>12}", column.name)?;
        }
        for (column, to) in &ratios {
            write!(out, "{:>17}", format!("{}/{to}", column.name))?;
        }
        writeln!(out)?;
        for row in rows() {
            if self.columns.iter().all(|column| column.median(&row.figure).is_none()) {
                continue;
            }
            write!(out, "{:<26}", row.label)?;
            for column in &self.columns {
                write!(out, "{:>12}", cell(column, &row))?;
            }
            for (column, to) in ratios.iter().filter(|_| row.compared) {
                let ratio = self.ratio(column, to, &row.figure);
                write!(out, "{:>17}", ratio.map_or_else(|| "-".to_owned(), ratio_text))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    /// Every gateway against nginx, and against no gateway.
    fn ratio_columns(&self) -> Vec<(&Column, &'static str)> {
        let mut ratios = Vec::new();
        for to in ["nginx", "direct"].into_iter().filter(|to| self.column(to).is_some()) {
            let compared = self.columns.iter().filter(|column| column.name != to && column.name != "direct");
            ratios.extend(compared.map(|column| (column, to)));
        }
        ratios
    }

    fn notes(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limited = |column: &Column| rows().iter().any(|row| column.load_was_the_limit(&row.figure));
        if self.columns.iter().any(limited) {
            writeln!(
                out,
                "\n* the core of load and mock was full, not the gateway's: compare CPU per request or chunk"
            )?;
        }
        let others = self.columns.iter().filter_map(|column| column.median("others_cpu")).fold(0.0, f64::max);
        if others > QUIET {
            writeln!(
                out,
                "\nother processes used {others:.0} % of a core meanwhile: repeat on an idle machine before publishing"
            )?;
        }
        if let Some(hang_up) = &self.hang_up {
            let HangUp { cells, calls, p50_us, p99_us, worst_p50_us, never_stopped } = hang_up;
            writeln!(
                out,
                "\nhang-up to backend closed, {calls} calls in {cells} cells: p50 {p50_us:.0} µs, p99 {p99_us:.0} µs, \
                 never stopped {never_stopped}; p50 of the slowest cell {worst_p50_us:.0} µs"
            )?;
        }
        for bound in self.bounds() {
            let (verdict, sign) = (
                if bound.held() { "held    " } else { "NOT HELD" },
                if matches!(bound.limit, Limit::AtLeast(_)) { "≥" } else { "≤" },
            );
            writeln!(out, "{verdict}  {}: {:.2} ({sign} {})", bound.what, bound.value, bound.bound)?;
        }
        for column in &self.columns {
            let complaints = column.samples.iter().flat_map(|sample| &sample.complaints);
            complaints.into_iter().try_for_each(|complaint| writeln!(out, "{}: {complaint}", column.name))?;
        }
        self.failures.iter().try_for_each(|failure| writeln!(out, "not measured: {failure}"))
    }
}

fn cell(column: &Column, row: &Row) -> String {
    let Some(value) = column.median(&row.figure) else { return "-".to_owned() };
    let mark = if column.load_was_the_limit(&row.figure) { "*" } else { "" };
    format!("{value:.*}{mark}", row.decimals)
}

/// Two decimals, more for what would be shown as nothing.
fn ratio_text(ratio: f64) -> String {
    if ratio.abs() < 0.1 { format!("{ratio:.4}") } else { format!("{ratio:.2}") }
}

/// Percent of a core from which on it counts as full.
const FULL_CORE: f64 = 93.0;
/// Percent of a core that others may use before the figures count as disturbed.
const QUIET: f64 = 5.0;

#[cfg(test)]
mod tests;
