//! The load generator: closed loops, an open loop at a fixed rate, first tokens, held streams.
//!
//! Runs on the benchmark's own thread, on the core for load. Requests are bytes made beforehand, buffers are
//! reused, nothing is allocated per request but in the open loop. Never retries: a failed exchange is counted and
//! its connection replaced.

pub(crate) mod closed;
pub(crate) mod connection;
pub(crate) mod held;
pub(crate) mod open;

use std::time::Duration;

/// Latencies of one measurement.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    nanoseconds: Vec<u64>,
}

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        self.nanoseconds.push(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn absorb(&mut self, other: Self) {
        self.nanoseconds.extend(other.nanoseconds);
    }

    /// The smallest latency that at least this share of the samples does not exceed, in microseconds; `None` without samples.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sample counts and nanoseconds are far below 2^52, and the share is between 0 and 1"
    )]
    pub(crate) fn quantile_us(&mut self, share: f64) -> Option<f64> {
        let rank = (self.nanoseconds.len() as f64 * share).ceil() as usize;
        let last = self.nanoseconds.len().checked_sub(1)?;
        let (_, value, _) = self.nanoseconds.select_nth_unstable(rank.saturating_sub(1).min(last));
        Some(*value as f64 / 1e3)
    }
}

#[cfg(test)]
mod tests;
