//! A recorder that a test can wait on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tidegate_engine::{CallRecord, Recorder};

/// The records of finished calls, in the order in which they were settled.
#[derive(Default)]
pub(crate) struct Records {
    settled: Mutex<Vec<CallRecord>>,
    arrived: Condvar,
}

impl Recorder for Records {
    fn record(&self, record: Box<CallRecord>) {
        self.settled.lock().push(*record);
        self.arrived.notify_all();
    }
}

impl Records {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until `count` records have come in all and gives them; fails after five seconds.
    pub(crate) fn wait(&self, count: usize) -> Vec<CallRecord> {
        let deadline = Instant::now() + PATIENCE;
        let mut settled = self.settled.lock();
        while settled.len() < count {
            let waited = self.arrived.wait_until(&mut settled, deadline);
            assert!(!waited.timed_out(), "{} of {count} calls were settled: {settled:?}", settled.len());
        }
        settled.clone()
    }

    /// Waits until `count` records have come in all, or for `patience`.
    pub(crate) fn wait_at_most(&self, count: usize, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut settled = self.settled.lock();
        while settled.len() < count && !self.arrived.wait_until(&mut settled, deadline).timed_out() {}
    }

    /// What has come so far.
    pub(crate) fn all(&self) -> Vec<CallRecord> {
        self.settled.lock().clone()
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
