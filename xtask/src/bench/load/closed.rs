//! Closed loops: so many connections, each sending its next request when the last response has ended.

use super::Latencies;
use super::connection::Connection;
use crate::bench::http1::ResponseReader;
use crate::bench::payload::{Address, EVENTS, Model};
use anyhow::{Result, bail};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClosedLoop {
    pub(crate) model: Model,
    pub(crate) connections: usize,
    /// Runs before it is counted.
    pub(crate) warm_up: Duration,
    pub(crate) duration: Duration,
}

/// What happened while it was counted.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    pub(crate) responses: u64,
    /// Events of streams, counted as they arrived.
    pub(crate) events: u64,
    /// Exchanges that failed, warm-up included.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// From sending to the end of the response.
    pub(crate) latency: Latencies,
    /// From sending to the first event; streams only.
    pub(crate) first_event: Latencies,
}

impl ClosedLoop {
    /// Runs it against `address`; `at_edge` is called when counting starts and when it ends.
    pub(crate) async fn run(self, address: &Address, mut at_edge: impl FnMut()) -> Outcome {
        let shared = Arc::new(Shared::default());
        let request: Arc<[u8]> = address.request(self.model).into();
        let mut callers = JoinSet::new();
        for _ in 0..self.connections {
            let caller = Caller::new(self.model, address, Arc::clone(&request), Arc::clone(&shared));
            callers.spawn(caller.run());
        }
        tokio::time::sleep(self.warm_up).await;
        at_edge();
        let (started, before) = (Instant::now(), shared.counts());
        shared.counting.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.duration).await;
        shared.counting.store(false, Ordering::Relaxed);
        let (elapsed, after) = (started.elapsed(), shared.counts());
        at_edge();
        shared.stopped.store(true, Ordering::Relaxed);
        let mut outcome = Outcome {
            elapsed,
            responses: after.0 - before.0,
            events: after.1 - before.1,
            ..Outcome::default()
        };
        let _unfinished = tokio::time::timeout(FINISH_WITHIN, outcome.join(&mut callers)).await;
        outcome
    }
}

impl Outcome {
    async fn join(&mut self, callers: &mut JoinSet<Outcome>) {
        while let Some(joined) = callers.join_next().await {
            let Ok(caller) = joined else { continue };
            self.errors += caller.errors;
            self.first_error = self.first_error.take().or(caller.first_error);
            self.latency.absorb(caller.latency);
            self.first_event.absorb(caller.first_event);
        }
    }
}

#[derive(Default)]
struct Shared {
    counting: AtomicBool,
    stopped: AtomicBool,
    responses: AtomicU64,
    events: AtomicU64,
}

impl Shared {
    fn counts(&self) -> (u64, u64) {
        (self.responses.load(Ordering::Relaxed), self.events.load(Ordering::Relaxed))
    }
}

/// One connection's loop.
struct Caller {
    model: Model,
    socket: std::net::SocketAddr,
    request: Arc<[u8]>,
    shared: Arc<Shared>,
    outcome: Outcome,
}

impl Caller {
    fn new(model: Model, address: &Address, request: Arc<[u8]>, shared: Arc<Shared>) -> Self {
        Self { model, socket: address.socket, request, shared, outcome: Outcome::default() }
    }

    async fn run(mut self) -> Outcome {
        while !self.shared.stopped.load(Ordering::Relaxed) {
            let Err(error) = self.use_one_connection().await else { continue };
            self.outcome.errors += 1;
            self.outcome.first_error.get_or_insert_with(|| format!("{error:#}"));
            // A gateway that refuses must not turn this loop into a storm of connections.
            tokio::time::sleep(AFTER_ERROR).await;
        }
        self.outcome
    }

    async fn use_one_connection(&mut self) -> Result<()> {
        let mut connection = Connection::open(self.socket).await?;
        while !self.shared.stopped.load(Ordering::Relaxed) {
            self.exchange(&mut connection).await?;
        }
        Ok(())
    }

    async fn exchange(&mut self, connection: &mut Connection) -> Result<()> {
        // One that began earlier may have waited while the edge was read.
        let counted = self.shared.counting.load(Ordering::Relaxed);
        let started = Instant::now();
        let mut reader = ResponseReader::default();
        let mut first_event = None;
        connection.send(&self.request).await?;
        while !reader.is_done() {
            let seen = reader.events();
            connection.advance(&mut reader).await?;
            if reader.events() > seen {
                first_event.get_or_insert_with(|| started.elapsed());
                self.shared.events.fetch_add(reader.events() - seen, Ordering::Relaxed);
            }
        }
        self.check(&reader)?;
        self.shared.responses.fetch_add(1, Ordering::Relaxed);
        if counted {
            self.outcome.latency.record(started.elapsed());
            first_event.into_iter().for_each(|latency| self.outcome.first_event.record(latency));
        }
        Ok(())
    }

    fn check(&self, reader: &ResponseReader) -> Result<()> {
        if reader.status() != 200 {
            bail!("status {}", reader.status());
        }
        if self.model != Model::Unary && reader.events() != EVENTS {
            bail!("a stream of {} events in place of {EVENTS}", reader.events());
        }
        Ok(())
    }
}

/// An exchange that has not ended this long after the loop has is given up.
const FINISH_WITHIN: Duration = Duration::from_secs(5);
const AFTER_ERROR: Duration = Duration::from_millis(10);
