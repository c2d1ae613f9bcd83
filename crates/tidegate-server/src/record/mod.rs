//! Where finished calls are written down: one structured log line each, and the metrics.
//!
//! [`CallLog`] is started at boot and takes records from meters that are being dropped: it only queues them; a thread of
//! its own formats and writes, in batches, so that no call waits for a disk. If the disk takes too long, further calls are
//! counted and not logged, until it goes on. If the embedding program gave a recorder, every record goes there, too, through a
//! queue and a thread of its own, so that neither waits for the other.

mod line;
mod metrics;
mod sink;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::{Condvar, Mutex};
use tidegate_engine::{CallRecord, Recorder};

use tidegate_config::{Log, LogFormat, LogLevel};

pub(crate) use metrics::Metrics;
pub(crate) use sink::Sink;

/// Takes the records of finished calls.
pub(crate) struct CallLog {
    log: Worker,
    /// Hands records on to the embedding program's recorder.
    onward: Option<Worker>,
    /// Records that `onward` had no room for and that have not been spoken of yet.
    lost: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
    /// Whether what goes wrong with the log can be said on standard error: lines go elsewhere.
    to_file: bool,
}

/// A queue, and the thread that takes records out of it.
struct Worker {
    queue: Arc<Queue>,
    running: Mutex<Option<Running>>,
}

struct Running {
    thread: JoinHandle<()>,
    /// Closed when the thread ends.
    ended: Receiver<()>,
}

#[derive(Default)]
struct Queue {
    // The vector is swapped out whole by the thread. It holds what was settled in one pause of the thread's, about
    // `PAUSE` times the rate of calls, unless the place that records go to blocks.
    // Invariant: no longer than `QUEUE`.
    records: Mutex<Batch>,
    arrived: Condvar,
    /// Set under the lock of `records`.
    closed: AtomicBool,
}

/// Records come boxed: 300 bytes each are not moved under the lock.
type Batch = Vec<Box<CallRecord>>;

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
    /// Starts the thread that counts and logs, and one that hands every record on to `onward`, whatever the log does.
    ///
    /// # Errors
    /// A thread can't be started, or the log's file not be opened.
    pub(crate) fn start(
        metrics: Arc<Metrics>,
        log: &Log,
        onward: Option<Arc<dyn Recorder>>,
    ) -> io::Result<Self> {
        // A call's line has the level `info`.
        let wanted = !matches!(log.level, LogLevel::Error | LogLevel::Warn);
        let mut lines = if wanted { Some(Lines::open(log)?) } else { None };
        let to_file = log.file.is_some();
        let counted = metrics.clone();
        let log = Worker::start("tidegate-calls", move |batch| {
            batch.iter().for_each(|record| counted.count(record));
            if let Some(lines) = &mut lines {
                lines.write(batch, counted.dropped());
            }
            batch.clear();
        })?;
        let lost = Arc::<AtomicU64>::default();
        let unsaid = lost.clone();
        let hand_on = |recorder: Arc<dyn Recorder>| {
            Worker::start("tidegate-records", move |batch| {
                batch.drain(..).for_each(|record| recorder.record(record));
                let lost = unsaid.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    tracing::error!(lost, "the recorder does not keep up: records are lost to it");
                }
            })
        };
        let onward = onward.map(hand_on).transpose()?;
        Ok(Self { log, onward, lost, metrics, to_file })
    }

    /// Writes and hands on what is queued and stops. Records that come later are lost: every worker must have ended.
    ///
    /// # Errors
    /// A thread has panicked, or the recorder or the file that lines are written to takes none.
    pub(crate) fn close(&self) -> io::Result<()> {
        self.close_within(CLOSING)
    }

    fn close_within(&self, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        let workers = || self.onward.iter().chain([&self.log]);
        workers().for_each(|worker| worker.queue.close());
        let recorded = self.onward.as_ref().map_or(Ok(()), |onward| {
            onward.wait(deadline, "the recorder takes no records: the last ones are lost")
        });
        let logged = match self.log.wait(deadline, "the call log takes no lines: the last ones are lost") {
            // Where standard error blocks, saying so there would block for good.
            Err(error) if error.kind() == io::ErrorKind::TimedOut && !self.to_file => Ok(()),
            logged => logged,
        };
        recorded.and(logged)
    }
}

impl Recorder for CallLog {
    fn record(&self, record: Box<CallRecord>) {
        if let Some(onward) = &self.onward
            && onward.queue.push(record.clone()).is_err()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(record) = self.log.queue.push(record) {
            self.metrics.count(&record);
            self.metrics.count_dropped();
        }
    }
}

impl Worker {
    /// Starts a thread that gives `take` what has been queued, now and then nothing, to be emptied.
    fn start(name: &str, take: impl FnMut(&mut Batch) + Send + 'static) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let taken = queue.clone();
        let (running, ended) = sync_channel(1);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            taken.take_until_closed(take);
            drop(running);
        })?;
        Ok(Self { queue, running: Mutex::new(Some(Running { thread, ended })) })
    }

    /// Waits for the end of the thread, whose queue is closed; until `deadline`, which is an error that says `late`.
    fn wait(&self, deadline: Instant, late: &str) -> io::Result<()> {
        let Some(running) = self.running.lock().take() else { return Ok(()) };
        match running.ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => Err(io::Error::new(io::ErrorKind::TimedOut, late)),
            _ => running
                .thread
                .join()
                .map_err(|_| io::Error::other("a thread that takes records has panicked")),
        }
    }
}

impl Queue {
    /// Takes a record, or gives it back: there is no room.
    fn push(&self, record: Box<CallRecord>) -> Result<(), Box<CallRecord>> {
        // A flood of wrong keys must not push out the records of calls that cost something.
        let room = if record.host.is_empty() { QUEUE / 2 } else { QUEUE };
        let first = {
            let mut records = self.records.lock();
            if records.len() >= room {
                return Err(record);
            }
            records.push(record);
            records.len() == 1
        };
        if first {
            self.arrived.notify_one();
        }
        Ok(())
    }

    fn close(&self) {
        {
            // Not between the thread's look at it and its wait.
            let _records = self.records.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.arrived.notify_one();
    }

    fn take_until_closed(&self, mut take: impl FnMut(&mut Batch)) {
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
            take(&mut batch);
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

/// Records that wait at most while the place that they go to blocks; about 50 MB. As many may be with the queue's thread.
/// A place that is merely slow takes this many lines in less than a second.
const QUEUE: usize = 100_000;
/// How long a thread lets records gather.
const PAUSE: Duration = Duration::from_millis(5);
/// Bytes of lines that are written at once, or a line more.
const WRITE: usize = 64 * 1024;
/// How long the end of the process waits for a log that takes no lines, or a recorder that takes no records.
const CLOSING: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
