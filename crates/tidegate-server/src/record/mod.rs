//! Where finished calls are written down: one structured log line each, and the metrics.
//!
//! [`CallLog`] is started at boot and takes records from meters that are being dropped: it only queues them; a thread of
//! its own formats and writes, in batches, so that no call waits for a disk. Then it hands each record on to the recorder
//! that the embedding program gave, if it gave one.

mod line;
mod metrics;
mod sink;

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

use crate::config::{Log, LogFormat, LogLevel};

pub(crate) use metrics::Metrics;
pub(crate) use sink::Sink;

/// Takes the records of finished calls.
pub(crate) struct CallLog {
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    // The vector is swapped out whole by the writer. It holds what was settled in one pause of the writer's, about
    // `PAUSE` times the rate of calls, unless the place that lines are written to blocks: then it grows until that goes
    // on, for no record is thrown away.
    #[expect(
        clippy::vec_box,
        reason = "records come boxed, and 300 bytes each are not moved under the lock"
    )]
    records: Mutex<Vec<Box<CallRecord>>>,
    arrived: Condvar,
    closed: AtomicBool,
}

impl CallLog {
    /// Starts the writer, which hands every record on to `onward` once it is logged and counted.
    ///
    /// # Errors
    /// The thread can't be started.
    pub(crate) fn start(
        metrics: Arc<Metrics>,
        log: &Log,
        onward: Option<Arc<dyn Recorder>>,
    ) -> std::io::Result<Self> {
        // A call's line has the level `info`.
        let wanted = !matches!(log.level, LogLevel::Error | LogLevel::Warn);
        let lines = if wanted { Some((Sink::open(log)?, log.format)) } else { None };
        let queue = Arc::<Queue>::default();
        let taken = queue.clone();
        let writer = std::thread::Builder::new()
            .name("tidegate-calls".into())
            .spawn(move || taken.write_until_closed(&metrics, lines.as_ref(), onward.as_deref()))?;
        Ok(Self { queue, writer: Mutex::new(Some(writer)) })
    }

    /// Writes what is queued and stops. Records that come later are lost: every worker must have ended.
    pub(crate) fn close(&self) {
        self.queue.closed.store(true, Ordering::Release);
        self.queue.arrived.notify_one();
        if let Some(writer) = self.writer.lock().take()
            && writer.join().is_err()
        {
            tracing::error!("the call log's writer has panicked");
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
    fn write_until_closed(
        &self,
        metrics: &Metrics,
        lines: Option<&(Sink, LogFormat)>,
        onward: Option<&dyn Recorder>,
    ) {
        let mut batch = Vec::new();
        let mut text = Vec::new();
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
            for record in &batch {
                metrics.count(record);
                if let Some((_, format)) = lines {
                    line::write(record, *format, &mut text);
                }
            }
            if let Some((sink, _)) = lines
                && let Err(error) = sink.write(&text)
            {
                tracing::error!(%error, "call log lines are lost");
            }
            text.clear();
            match onward {
                Some(onward) => batch.drain(..).for_each(|record| onward.record(record)),
                None => batch.clear(),
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

/// How long the writer lets records gather.
const PAUSE: Duration = Duration::from_millis(5);
