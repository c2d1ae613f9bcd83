//! Where finished calls are written down: one structured log line each, and the metrics.
//!
//! [`CallLog`] is started at boot and takes records from meters that are being dropped: it only queues them; a thread of
//! its own formats and writes, in batches, so that no call waits for a disk. If the disk takes too long, further calls are
//! counted and not logged, until it goes on. Then it hands each record on to the recorder
//! that the embedding program gave, if it gave one.

mod line;
mod metrics;
mod sink;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use parking_lot::{Condvar, Mutex};
use tidegate_engine::{CallRecord, Recorder};

use crate::config::{Log, LogFormat, LogLevel};

pub(crate) use metrics::Metrics;
pub(crate) use sink::Sink;

/// Takes the records of finished calls.
pub(crate) struct CallLog {
    queue: Arc<Queue>,
    metrics: Arc<Metrics>,
    writer: Mutex<Option<Writer>>,
}

/// The thread that writes.
struct Writer {
    thread: JoinHandle<()>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
    /// Whether what goes wrong can be said on standard error: lines go elsewhere.
    to_file: bool,
}

#[derive(Default)]
struct Queue {
    // The vector is swapped out whole by the writer. It holds what was settled in one pause of the writer's, about
    // `PAUSE` times the rate of calls, unless the place that lines are written to blocks.
    // Invariant: no longer than `QUEUE`.
    #[expect(
        clippy::vec_box,
        reason = "records come boxed, and 300 bytes each are not moved under the lock"
    )]
    records: Mutex<Vec<Box<CallRecord>>>,
    arrived: Condvar,
    closed: AtomicBool,
}

/// Where lines go, and what has been said there about calls that were left out.
struct Lines {
    sink: Sink,
    format: LogFormat,
    text: Vec<u8>,
    /// Calls left out as of the last look.
    dropped: u64,
    /// How many had been when the log ceased to keep up, while it does not.
    behind_since: Option<u64>,
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
    ) -> io::Result<Self> {
        // A call's line has the level `info`.
        let wanted = !matches!(log.level, LogLevel::Error | LogLevel::Warn);
        let mut lines = if wanted { Some(Lines::open(log)?) } else { None };
        let queue = Arc::<Queue>::default();
        let (taken, counted) = (queue.clone(), metrics.clone());
        let (running, ended) = sync_channel(1);
        let thread = std::thread::Builder::new().name("tidegate-calls".into()).spawn(move || {
            taken.write_until_closed(&counted, lines.as_mut(), onward.as_deref());
            drop(running);
        })?;
        let writer = Writer { thread, ended, to_file: log.file.is_some() };
        Ok(Self { queue, metrics, writer: Mutex::new(Some(writer)) })
    }

    /// Writes what is queued and stops. Records that come later are lost: every worker must have ended.
    ///
    /// # Errors
    /// The writer has panicked, or the file that lines are written to takes none.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.close_within(CLOSING)
    }

    fn close_within(&self, patience: Duration) -> io::Result<()> {
        self.queue.closed.store(true, Ordering::Release);
        self.queue.arrived.notify_one();
        let Some(writer) = self.writer.lock().take() else { return Ok(()) };
        match writer.ended.recv_timeout(patience) {
            // Where standard error blocks, saying so there would block for good.
            Err(RecvTimeoutError::Timeout) if !writer.to_file => Ok(()),
            Err(RecvTimeoutError::Timeout) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the call log takes no lines: the last ones are lost",
            )),
            _ => writer.thread.join().map_err(|_| io::Error::other("the call log's writer has panicked")),
        }
    }
}

impl Recorder for CallLog {
    fn record(&self, record: Box<CallRecord>) {
        // A flood of wrong keys must not push out the records of calls that cost something.
        let room = if record.host.is_empty() { QUEUE / 2 } else { QUEUE };
        let first = {
            let mut records = self.queue.records.lock();
            if records.len() >= room {
                drop(records);
                self.metrics.count(&record);
                self.metrics.count_dropped();
                return;
            }
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
        mut lines: Option<&mut Lines>,
        onward: Option<&dyn Recorder>,
    ) {
        let mut batch = Vec::new();
        loop {
            {
                let mut records = self.records.lock();
                while records.is_empty() && !self.closed.load(Ordering::Acquire) {
                    if self.arrived.wait_for(&mut records, Duration::from_secs(1)).timed_out() {
                        // Nothing to write but, perhaps, that the log keeps up again.
                        break;
                    }
                }
                std::mem::swap(&mut *records, &mut batch);
            }
            if batch.is_empty() && self.closed.load(Ordering::Acquire) {
                return;
            }
            batch.iter().for_each(|record| metrics.count(record));
            if let Some(lines) = lines.as_deref_mut() {
                lines.write(&batch, metrics.dropped());
            }
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

impl Lines {
    fn open(log: &Log) -> io::Result<Self> {
        let (sink, format) = (Sink::open(log)?, log.format);
        Ok(Self { sink, format, text: Vec::new(), dropped: 0, behind_since: None })
    }

    /// Writes the lines of `batch`, and what there is to say about the `dropped` calls, which have none.
    fn write(&mut self, batch: &[Box<CallRecord>], dropped: u64) {
        for record in batch {
            line::write(record, self.format, &mut self.text);
            if self.text.len() >= WRITE {
                self.flush();
            }
        }
        match self.behind_since {
            None if dropped > self.dropped => {
                self.behind_since = Some(self.dropped);
                self.note("the call log does not keep up: calls are counted but not logged");
            }
            Some(before) if dropped == self.dropped => {
                self.behind_since = None;
                let count = dropped - before;
                self.note(&format!("the call log keeps up again: {count} calls were not logged"));
            }
            _ => {}
        }
        self.dropped = dropped;
        self.flush();
    }

    fn note(&mut self, message: &str) {
        line::note(message, SystemTime::now(), self.format, &mut self.text);
    }

    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        if let Err(error) = self.sink.write(&self.text) {
            tracing::error!(%error, "call log lines are lost");
        }
        self.text.clear();
    }
}

/// Records that wait at most while the place that lines are written to blocks; about 50 MB. As many may be with the writer.
/// A place that is merely slow takes this many lines in less than a second.
const QUEUE: usize = 100_000;
/// How long the writer lets records gather.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes of lines that are written at once, or a line more.
const WRITE: usize = 64 * 1024;
/// How long the end of the process waits for a log that takes no lines.
const CLOSING: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
