//! The clock that every observation is stamped with: `CLOCK_MONOTONIC` in nanoseconds.
//!
//! All processes of one machine read the same values, so a load generator or a gateway may subtract its own stamp from
//! the simulator's. Never the wall clock, never an offset from a process start.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of the machine's monotonic clock, the same in every process.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
