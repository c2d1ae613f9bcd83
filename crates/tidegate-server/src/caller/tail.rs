//! Calls whose reply has been handed over whole and that are settled once the caller's side has it.
//!
//! A small reply fits in socket buffers: that it was written does not say that anybody read it. Such a call waits here,
//! one at a time for HTTP/1.1, until the caller acknowledges it, sends its next request, or leaves; if it leaves with bytes
//! unacknowledged, the call was not delivered. Holds no backend; only the meter.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tidegate_engine::Meter;

use super::socket::CallerSocket;

/// The calls of one connection that wait for their settlement.
#[derive(Clone, Default)]
pub(crate) struct Tail {
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// At most one, but for a moment two with HTTP/1.1; as many as streams ended since the last look with HTTP/2.
    meters: Vec<Meter>,
    since: Option<Instant>,
}

impl Tail {
    /// Takes over the meter of a call whose reply is complete.
    pub(crate) fn push(&self, meter: Meter) {
        let mut waiting = self.waiting.lock();
        waiting.meters.push(meter);
        waiting.since.get_or_insert_with(Instant::now);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().meters.is_empty()
    }

    /// The caller speaks again, or has acknowledged everything: settles as complete.
    pub(crate) fn settle(&self) {
        let settled = {
            let mut waiting = self.waiting.lock();
            waiting.since = None;
            std::mem::take(&mut waiting.meters)
        };
        drop(settled);
    }

    /// The caller has left: settles as complete only if its side has everything.
    pub(crate) fn settle_gone(&self, socket: &CallerSocket) {
        if self.is_empty() {
            return;
        }
        let unacknowledged = socket.unacknowledged();
        let whole = unacknowledged == 0 && socket.is_flushed();
        let mut settled = {
            let mut waiting = self.waiting.lock();
            waiting.since = None;
            std::mem::take(&mut waiting.meters)
        };
        if !whole {
            for meter in &mut settled {
                meter.undelivered(unacknowledged);
            }
        }
    }

    /// Settles what has been acknowledged meanwhile. Returns when to look again.
    pub(crate) fn look(&self, socket: &CallerSocket) -> Option<Duration> {
        let since = self.waiting.lock().since?;
        let age = since.elapsed();
        if age < FIRST_LOOK {
            return Some(FIRST_LOOK - age);
        }
        if socket.is_flushed() && socket.unacknowledged() == 0 {
            self.settle();
            return None;
        }
        Some(NEXT_LOOK)
    }
}

/// Longer than a delayed acknowledgement (40 ms), so that one look is mostly enough.
pub(crate) const FIRST_LOOK: Duration = Duration::from_millis(50);
const NEXT_LOOK: Duration = Duration::from_millis(250);
