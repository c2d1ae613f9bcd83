//! How long a call may last while nobody polls its reply.
//!
//! hyper asks a reply for its next piece only when the caller takes what there is, and a call's deadlines are looked at
//! when its reply is asked. A caller that stays and takes nothing would hold its backend for ever. So a call notes when it
//! has to be over with whoever polls the future that it runs in, and that one drops it when the time has come: an HTTP/1.1
//! connection itself, which has one call at a time, or one stream of an HTTP/2 connection.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tidegate_engine::HangUp;
use tokio::time::Instant;

/// When a call has to be over, and where it is noted that it was not.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) due: Instant,
    pub(super) hang_up: Arc<HangUp>,
}

/// The bounds of one connection's calls.
#[derive(Default)]
pub(super) struct Bounds(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    /// The bound of the call that is being polled.
    current: Option<Bound>,
    /// No bound of the connection is before it.
    earliest: Option<Instant>,
}

impl Bounds {
    /// Notes that the call that is being polled has to be over at `due`, and a moment later at the latest.
    pub(super) fn note(&self, due: Instant, hang_up: Arc<HangUp>) {
        let due = due + GRACE;
        let mut noted = self.0.lock();
        noted.earliest = Some(noted.earliest.map_or(due, |earliest| earliest.min(due)));
        noted.current = Some(Bound { due, hang_up });
    }

    /// The call that is being polled is over.
    pub(super) fn lift(&self) {
        self.0.lock().current = None;
    }

    /// Exchanges the bound of the call that is being polled.
    pub(super) fn swap(&self, bound: &mut Option<Bound>) {
        std::mem::swap(&mut self.0.lock().current, bound);
    }

    /// The bound of the call that is being polled.
    pub(super) fn current(&self) -> Option<Bound> {
        self.0.lock().current.clone()
    }

    /// An instant before which no call has to be over.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.lock().earliest
    }

    /// Bounds that are no longer there are not to be waited for.
    pub(super) fn set_earliest(&self, earliest: Option<Instant>) {
        self.0.lock().earliest = earliest;
    }
}

/// A reply that is asked for its pieces meets the deadline by itself and tells its caller; it gets the time to do so.
const GRACE: Duration = Duration::from_millis(100);
