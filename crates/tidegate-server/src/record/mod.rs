//! Where finished calls are written down: one structured log line each, and the metrics.
//!
//! [`CallLog`] is started at boot and takes records from meters that are being dropped: it only queues them; a thread of
//! its own formats and writes, in batches, so that no call waits for a disk.

mod metrics;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tidegate_engine::{CallRecord, Recorder};

pub(crate) use metrics::Metrics;

/// Takes the records of finished calls.
pub(crate) struct CallLog {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    // The vector is swapped out whole by the writer. It holds what was settled in one pause of the writer's, about
    // `PAUSE` times the rate of calls; the rate is bounded by what the workers can serve.
    records: Mutex<Vec<Box<CallRecord>>>,
    arrived: Condvar,
    closed: AtomicBool,
}

impl CallLog {
    /// Starts the writer.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn start(metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let taken = queue.clone();
        let writer = std::thread::Builder::new()
            .name("tidegate-calls".into())
            .spawn(move || taken.write_until_closed(&metrics))?;
        Ok(Self { queue, writer: Mutex::new(Some(writer)) })
    }

    /// Writes what is queued and stops. Records that come later are lost: every worker must have ended.
    pub(crate) fn close(&self) {
        self.queue.closed.store(true, Ordering::Release);
        self.queue.arrived.notify_one();
        if let Some(writer) = self.writer.lock().take() {
            if writer.join().is_err() {
                tracing::error!("the call log's writer has panicked");
            }
        }
    }
}

impl Recorder for CallLog {
    fn record(&self, record: Box<CallRecord>) {
        let first = {
            let mut records = self.queue.records.lock();
            records.push(record);
            records.len() == 1
        };
        if first {
            self.queue.arrived.notify_one();
        }
    }
}

impl Queue {
    fn write_until_closed(&self, metrics: &Metrics) {
        let mut batch = Vec::new();
        loop {
            {
                let mut records = self.records.lock();
                while records.is_empty() && !self.closed.load(Ordering::Acquire) {
                    self.arrived.wait_for(&mut records, Duration::from_secs(1));
                }
                std::mem::swap(&mut *records, &mut batch);
            }
            if batch.is_empty() {
                return;
            }
            for record in batch.drain(..) {
                metrics.count(&record);
                log(&record);
            }
            if !self.closed.load(Ordering::Acquire) {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "this thread serves no call; pausing makes batches"
                )]
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// One line for one call.
fn log(record: &CallRecord) {
    let micros = |duration: Option<Duration>| duration.map(|duration| duration.as_micros() as u64);
    tracing::info!(
        target: "tidegate::call",
        id = record.id,
        model = record.model,
        host = record.host,
        served_model = record.served_model,
        upstream_id = record.upstream_id,
        streaming = record.streaming,
        outcome = record.outcome.name(),
        status = record.status,
        error = record.error.as_ref().map(|error| error.message()),
        prompt_tokens = record.usage.prompt_tokens,
        completion_tokens = record.usage.completion_tokens,
        cached_tokens = record.usage.cached_tokens,
        reasoning_tokens = record.usage.reasoning_tokens,
        usage = record.provenance.name(),
        delivered_bytes = record.delivered_bytes,
        unacknowledged_bytes = record.unacknowledged_bytes,
        ttft_us = micros(record.time_to_first_token),
        duration_us = micros(Some(record.duration)),
        hang_up_to_closed_us = micros(record.hang_up_to_closed),
        "call"
    );
}

/// How long the writer lets records gather.
const PAUSE: Duration = Duration::from_millis(5);
