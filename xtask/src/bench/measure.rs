//! One round of measurements of one subject: numbers by name.
//!
//! Load and idle are measured on a gateway that was started for this round alone, memory on another one, so that
//! what an earlier load left behind in its heap does not hide what a held stream costs.

use super::load::closed::{ClosedLoop, Outcome};
use super::load::held::HeldStreams;
use super::load::open;
use super::payload::{Address, Model};
use super::process::{Pinned, Usage, machine_cpu_seconds};
use super::stats::Stats;
use super::subject::{Bed, Running, Subject};
use anyhow::Result;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long to measure, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) warm_up: Duration,
    /// Of each measurement under load.
    pub(crate) duration: Duration,
    /// How long held streams rest before memory is read.
    pub(crate) settle: Duration,
}

/// The figures of one round and what went wrong in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) figures: BTreeMap<String, f64>,
    pub(crate) complaints: Vec<String>,
}

/// Measures one subject once.
pub(crate) async fn round(subject: &Subject, bed: &Bed, mock: &Pinned, plan: Plan) -> Result<Sample> {
    let mut round = Round { bed, mock, plan, sample: Sample::default() };
    if *subject != Subject::Direct {
        let running = subject.start(bed).await?;
        round.memory(&running).await?;
        running.stop().await;
    }
    let running = subject.start(bed).await?;
    let (started, meter) = (Instant::now(), Meter::read(&running, mock));
    round.load(&running).await?;
    round.others(&meter, &Meter::read(&running, mock), started.elapsed());
    running.stop().await;
    Ok(round.sample)
}

struct Round<'bed> {
    bed: &'bed Bed,
    mock: &'bed Pinned,
    plan: Plan,
    sample: Sample,
}

impl Round<'_> {
    /// Memory when idle and per held stream; whether all of them reach the backend, and stop there when dropped.
    async fn memory(&mut self, running: &Running) -> Result<()> {
        let (Some(process), address, mock) = (&running.process, &running.address, self.bed.mock) else {
            return Ok(());
        };
        // Code and pools that the first calls bring in are not a stream's cost.
        for model in [Model::Unary, Model::Stream] {
            self.closed(model, 8, Duration::ZERO, WARM).run(address, || {}).await;
        }
        tokio::time::sleep(self.plan.settle).await;
        Stats::ask(mock).await?;
        let idle = process.usage().resident_kib;
        self.put("memory.idle_kib", idle);
        let mut held = HeldStreams::default();
        let mut connections_max = 0;
        for count in HELD {
            held.grow_to(address, count).await;
            tokio::time::sleep(self.plan.settle).await;
            let reached = Stats::ask(mock).await?;
            connections_max = connections_max.max(reached.connections_max);
            self.put(&format!("memory.{count}.backend_streams"), to_f64(reached.held));
            if held.len() < count {
                let why = held.first_error.as_deref().unwrap_or("time was up");
                self.complain(&format!("{} of {count} streams held: {why}", held.len()));
                break;
            }
            let per_stream = (process.usage().resident_kib - idle) / to_f64(count as u64);
            self.put(&format!("memory.{count}.kib_per_stream"), per_stream);
        }
        self.put("memory.backend_connections_max", to_f64(connections_max));
        drop(held);
        Stats::held_reaches_zero(mock, NEVER_STOPPED_AFTER).await;
        self.put("memory.never_stopped", to_f64(Stats::ask(mock).await?.held));
        Ok(())
    }

    async fn load(&mut self, running: &Running) -> Result<()> {
        for connections in CONNECTIONS {
            self.unary(running, connections).await;
        }
        self.streams(running).await;
        self.first_token(running).await;
        self.open_loop(&running.address).await
    }

    async fn unary(&mut self, running: &Running, connections: usize) {
        let prefix = format!("unary.{connections}");
        let mut outcome = self.measured(&prefix, running, Model::Unary, connections).await;
        let responses = to_f64(outcome.responses);
        self.put(&format!("{prefix}.per_second"), responses / outcome.elapsed.as_secs_f64());
        self.cpu_each(&prefix, responses, outcome.elapsed);
        self.quantiles(&prefix, &mut outcome.latency);
    }

    async fn streams(&mut self, running: &Running) {
        let outcome = self.measured("stream", running, Model::Stream, STREAMS).await;
        let events = to_f64(outcome.events);
        self.put("stream.per_second", events / outcome.elapsed.as_secs_f64());
        self.cpu_each("stream", events, outcome.elapsed);
    }

    async fn first_token(&mut self, running: &Running) {
        let mut outcome = self.measured("first_token", running, Model::FirstThenRest, 1).await;
        self.quantiles("first_token", &mut outcome.first_event);
    }

    async fn open_loop(&mut self, address: &Address) -> Result<()> {
        let capacity = self.sample.figures.get("unary.64.per_second").copied().unwrap_or_default();
        if capacity < f64::from(RATE) * HEADROOM {
            self.complain(&format!("no open loop: {RATE} requests/s are more than it can do"));
            return Ok(());
        }
        let mut outcome = open::run(address, RATE, self.plan.duration).await?;
        self.quantiles("open", &mut outcome.latency);
        if outcome.errors + outcome.left_out > 0 {
            let (errors, left_out) = (outcome.errors, outcome.left_out);
            self.complain(&format!("open loop: {errors} failed, {left_out} left out"));
        }
        Ok(())
    }

    /// A closed loop with the CPU use of both cores beside it.
    async fn measured(&mut self, name: &str, running: &Running, model: Model, connections: usize) -> Outcome {
        let mut edges = Vec::new();
        let closed = self.closed(model, connections, self.plan.warm_up, self.plan.duration);
        let outcome = closed.run(&running.address, || edges.push(Meter::read(running, self.mock))).await;
        if let [before, after] = edges.as_slice() {
            let share = 100.0 / outcome.elapsed.as_secs_f64();
            self.put(&format!("{name}.load_core"), (after.load - before.load) * share);
            if running.process.is_some() {
                self.put(&format!("{name}.gateway_core"), (after.gateway - before.gateway) * share);
            }
        }
        if let Some(error) = &outcome.first_error {
            let errors = outcome.errors;
            self.complain(&format!("{name}: {errors} failed exchanges, the first: {error}"));
        }
        outcome
    }

    fn closed(&self, model: Model, connections: usize, warm_up: Duration, duration: Duration) -> ClosedLoop {
        ClosedLoop { model, connections, warm_up, duration }
    }

    /// The gateway's CPU time for each response or event, from its use of its core.
    fn cpu_each(&mut self, prefix: &str, count: f64, elapsed: Duration) {
        let Some(share) = self.sample.figures.get(&format!("{prefix}.gateway_core")).copied() else { return };
        self.put(&format!("{prefix}.cpu_us"), share / 100.0 * elapsed.as_secs_f64() * 1e6 / count);
    }

    fn quantiles(&mut self, prefix: &str, latencies: &mut super::load::Latencies) {
        for (name, share) in [("p50_us", 0.5), ("p99_us", 0.99)] {
            if let Some(value) = latencies.quantile_us(share) {
                self.put(&format!("{prefix}.{name}"), value);
            }
        }
    }

    /// How much of the machine others used meanwhile: the figures are only as quiet as this is.
    fn others(&mut self, before: &Meter, after: &Meter, elapsed: Duration) {
        let ours = after.gateway + after.load - before.gateway - before.load;
        let others = (after.machine - before.machine - ours) / elapsed.as_secs_f64() * 100.0;
        self.put("others_cpu", others.max(0.0));
    }

    fn put(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.sample.figures.insert(name.to_owned(), value);
        }
    }

    fn complain(&mut self, what: &str) {
        self.sample.complaints.push(what.to_owned());
    }
}

impl Sample {
    /// Adds to each latency how much longer it was than without a gateway, in the same round.
    pub(crate) fn compare_with_direct(&mut self, direct: &Self) {
        for prefix in ["unary.1", "first_token", "open"] {
            for quantile in ["p50_us", "p99_us"] {
                let name = format!("{prefix}.{quantile}");
                if let (Some(with), Some(without)) = (self.figures.get(&name), direct.figures.get(&name)) {
                    let added = with - without;
                    self.figures.insert(format!("{prefix}.added_{quantile}"), added);
                }
            }
        }
    }
}

/// CPU seconds used so far: by the gateway, by load and mock, by the whole machine.
struct Meter {
    gateway: f64,
    load: f64,
    machine: f64,
}

impl Meter {
    fn read(running: &Running, mock: &Pinned) -> Self {
        Self {
            gateway: running.process.as_ref().map_or(0.0, |process| process.usage().cpu_seconds),
            load: Usage::of(std::process::id()).cpu_seconds + mock.usage().cpu_seconds,
            machine: machine_cpu_seconds(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

/// Connections of the closed loops.
pub(crate) const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// Concurrent streams when chunks are counted.
pub(crate) const STREAMS: usize = 64;
/// Streams held when memory is read.
pub(crate) const HELD: [usize; 2] = [1_000, 5_000];
/// Requests per second of the open loop.
pub(crate) const RATE: u32 = 2_000;
/// A gateway must be able to do so many times the rate: near its capacity an open loop measures the queue only.
const HEADROOM: f64 = 1.5;
const WARM: Duration = Duration::from_millis(200);
/// A held stream that its caller has left and that the backend still has after this long never stopped.
const NEVER_STOPPED_AFTER: Duration = Duration::from_secs(5);
