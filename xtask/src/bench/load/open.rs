//! An open loop: requests start at fixed instants, whether or not earlier ones have ended, and latency counts from
//! the instant a request was due. So a stall of the gateway is charged to every request that waited behind it.

use super::Latencies;
use super::connection::Connection;
use crate::bench::payload::{Address, Model};
use anyhow::{Result, bail};
use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::task::{JoinError, JoinSet};

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) latency: Latencies,
    pub(crate) errors: u64,
    /// Requests that were due but never started, because too many were in flight.
    pub(crate) left_out: u64,
}

/// Sends `rate` requests per second for `duration`, evenly spaced.
pub(crate) async fn run(address: &Address, rate: u32, duration: Duration) -> Result<Outcome> {
    let interval = Duration::from_secs(1) / rate;
    let total = u64::from(rate) * duration.as_millis().try_into().unwrap_or(u64::MAX) / 1000;
    let mut pacer = Pacer::start(interval)?;
    let mut open = OpenLoop {
        address: address.clone(),
        request: address.request(Model::Unary).into(),
        idle: Vec::new(),
        running: JoinSet::new(),
        outcome: Outcome::default(),
    };
    let mut due = 0;
    while due < total {
        tokio::select! {
            ticks = pacer.ticks() => {
                for _ in 0..ticks?.min(total - due) {
                    due += 1;
                    open.start_one(pacer.instant(due));
                }
            }
            Some(ended) = open.running.join_next() => open.ended(ended),
        }
    }
    open.finish().await;
    Ok(open.outcome)
}

struct OpenLoop {
    address: Address,
    request: Arc<[u8]>,
    idle: Vec<Connection>,
    running: JoinSet<Result<(Connection, Duration)>>,
    outcome: Outcome,
}

impl OpenLoop {
    fn start_one(&mut self, due: Instant) {
        if self.running.len() >= MOST_IN_FLIGHT {
            self.outcome.left_out += 1;
            return;
        }
        let (request, socket, idle) = (Arc::clone(&self.request), self.address.socket, self.idle.pop());
        self.running.spawn(async move {
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection::open(socket).await?,
            };
            let reader = connection.exchange(&request).await?;
            if reader.status() != 200 {
                bail!("status {}", reader.status());
            }
            Ok((connection, due.elapsed()))
        });
    }

    fn ended(&mut self, ended: Result<Result<(Connection, Duration)>, JoinError>) {
        match ended {
            Ok(Ok((connection, latency))) => {
                self.idle.push(connection);
                self.outcome.latency.record(latency);
            }
            Ok(Err(_)) | Err(_) => self.outcome.errors += 1,
        }
    }

    /// Waits for what is in flight; what does not end in time counts as an error.
    async fn finish(&mut self) {
        let deadline = tokio::time::Instant::now() + FINISH_WITHIN;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.running.join_next()).await {
            self.ended(ended);
        }
        self.outcome.errors += self.running.len() as u64;
    }
}

/// Ticks of the kernel's high-resolution timer; the runtime's own timer counts whole milliseconds only.
struct Pacer {
    timer: AsyncFd<OwnedFd>,
    started: Instant,
    interval: Duration,
}

impl Pacer {
    fn start(interval: Duration) -> Result<Self> {
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let step = Timespec::try_from(interval)?;
        let schedule = Itimerspec { it_interval: step, it_value: step };
        #[expect(
            deprecated,
            reason = "unsound only for types whose descriptor changes, which OwnedFd's does not; its successor is unsafe"
        )]
        let timer = AsyncFd::new(timer)?;
        let started = Instant::now();
        rustix::time::timerfd_settime(timer.get_ref(), TimerfdTimerFlags::empty(), &schedule)?;
        Ok(Self { timer, started, interval })
    }

    /// How many instants have come since the last call; at least one.
    async fn ticks(&mut self) -> Result<u64> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)) {
                Ok(read) => {
                    read?;
                    return Ok(u64::from_ne_bytes(count));
                }
                Err(_would_block) => {}
            }
        }
    }

    /// When the request of this number, counted from one, is due.
    fn instant(&self, number: u64) -> Instant {
        self.started + self.interval.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

/// Far above what a gateway that keeps up has in flight; bounds the memory of one that does not.
const MOST_IN_FLIGHT: usize = 2_000;
const FINISH_WITHIN: Duration = Duration::from_secs(5);
