//! Deadlines of one attempt, each with the instant that it counts from, and the one timer that serves them all.
//!
//! Never decides what happens when one passes; the exchange does.

#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tidegate_wire::{ErrorClass, WireError};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep},
};

/// How long each phase may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// From the start of the attempt until a connection is there: resolving, TCP, proxy, TLS.
    pub connect: Duration,
    /// From the moment a connection is there until the response head has been read; sending the request included.
    pub response_headers: Duration,
    /// From the response head until the first generated content; what only announces the reply does not count.
    pub first_token: Duration,
    /// From one piece of the body to the next, while the caller is taking what there is.
    pub idle: Duration,
    /// From the start of the call to its end.
    pub total: Duration,
}

impl Default for Clocks {
    /// Ten seconds to connect covers three lost SYNs; the others are generous, since models may think for minutes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            response_headers: Duration::from_secs(600),
            first_token: Duration::from_secs(600),
            idle: Duration::from_secs(300),
            total: Duration::from_secs(3600),
        }
    }
}

/// Which deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Clock {
    /// [`Clocks::connect`].
    Connect,
    /// [`Clocks::response_headers`].
    ResponseHeaders,
    /// [`Clocks::first_token`].
    FirstToken,
    /// [`Clocks::idle`].
    Idle,
    /// [`Clocks::total`].
    Total,
    /// The reply is complete and only the end of its HTTP body is outstanding.
    Tail,
}

impl Clock {
    /// Name as in configuration and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ResponseHeaders => "response_headers",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Total => "total",
            Self::Tail => "tail",
        }
    }

    pub(crate) fn error(self, after: Duration) -> WireError {
        WireError::new(
            ErrorClass::Timeout,
            format!("the backend's {} deadline of {} ms passed", self.name(), after.as_millis()),
        )
        .with_code(format!("timeout_{}", self.name()))
    }
}

/// `allowed` after `from`; for a time that no clock counts, as good as never.
fn after(from: Instant, allowed: Duration) -> Instant {
    from.checked_add(allowed).unwrap_or_else(|| from + NEVER)
}

/// Thirty years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// One timer for all deadlines of an attempt. Moving a deadline later costs nothing: the timer is only re-armed when it
/// fires early.
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    clock: Clock,
    allowed: Duration,
    /// Due instant of the current phase; never after `total`.
    due: Instant,
    total: Instant,
    total_allowed: Duration,
}

impl Alarm {
    pub(crate) fn new(started: Instant, clocks: &Clocks) -> Self {
        let mut alarm = Self {
            sleep: None,
            clock: Clock::Connect,
            allowed: clocks.connect,
            due: started,
            total: after(started, clocks.total),
            total_allowed: clocks.total,
        };
        alarm.set(Clock::Connect, started, clocks.connect);
        alarm
    }

    /// When the call has to be over.
    pub(crate) fn total(&self) -> Instant {
        self.total
    }

    /// The deadline of the whole call, and what was allowed, if it has passed at `now`.
    pub(crate) fn total_passed(&self, now: Instant) -> Option<(Clock, Duration)> {
        (now >= self.total).then(|| self.total_allowed())
    }

    /// The deadline of the whole call, and what it allows.
    pub(crate) fn total_allowed(&self) -> (Clock, Duration) {
        (Clock::Total, self.total_allowed)
    }

    /// Starts `clock` at `from`.
    pub(crate) fn set(&mut self, clock: Clock, from: Instant, allowed: Duration) {
        self.clock = clock;
        self.allowed = allowed;
        self.due = after(from, allowed);
        if self.due > self.total {
            self.clock = Clock::Total;
            self.allowed = self.total_allowed;
            self.due = self.total;
        }
    }

    /// Ready when the current deadline has passed, with its clock and what was allowed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Clock, Duration)> {
        let due = self.due;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        // A backend that sends faster than it is read uses up what a task may do in one go, and would stop the clocks too.
        while pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready() {
            if sleep.deadline() >= due {
                return Poll::Ready((self.clock, self.allowed));
            }
            sleep.as_mut().reset(due);
        }
        Poll::Pending
    }
}
