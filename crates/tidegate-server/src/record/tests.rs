use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use tidegate_engine::{HangUp, Meter};
use tidegate_wire::WireError;

use super::*;

/// A log that goes into a pipe, and the end to read it from.
struct Piped {
    log: CallLog,
    metrics: Arc<Metrics>,
    pipe: File,
    _folder: tempfile::TempDir,
}

fn piped(format: LogFormat, onward: Option<Arc<dyn Recorder>>) -> Piped {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("calls");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Both ends, so that opening either does not wait for the other.
    let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let metrics = Arc::new(Metrics::new());
    let options = Log { file: Some(path), format, ..Log::default() };
    let log = CallLog::start(metrics.clone(), &options, onward).unwrap();
    Piped { log, metrics, pipe, _folder: folder }
}

#[derive(Default)]
struct Kept(Mutex<Option<Box<CallRecord>>>);

impl Recorder for Kept {
    fn record(&self, record: Box<CallRecord>) {
        *self.0.lock() = Some(record);
    }
}

/// A record as a refused call leaves it.
fn refused() -> Box<CallRecord> {
    let kept = Arc::<Kept>::default();
    let hang_up = Arc::<HangUp>::default();
    Meter::start("call_1".into(), hang_up, kept.clone()).refused(&WireError::bad_request("no"));
    kept.0.lock().take().unwrap()
}

#[test]
fn a_log_that_nobody_reads_blocks_no_call_and_goes_on_when_it_is_read() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let Piped { log, metrics, pipe, _folder } = piped(format, None);
        let (mut paid, mut stranger) = (refused(), refused());
        (paid.host, stranger.id) = ("openai", "stranger".into());
        let mut recorded = 0;
        let mut send = |record: &CallRecord| {
            log.record(Box::new(record.clone()));
            recorded += 1;
        };
        let mut slowest = Duration::ZERO;
        while metrics.dropped() == 0 {
            let began = Instant::now();
            send(&stranger);
            slowest = slowest.max(began.elapsed());
        }
        // Far more than a queue takes, far less than a pipe that nobody reads.
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        // Those that reached no backend leave room for the others.
        let before = metrics.dropped();
        for _ in 0..QUEUE / 4 {
            send(&paid);
        }
        assert_eq!(metrics.dropped(), before);
        for _ in 0..QUEUE / 2 {
            send(&paid);
        }
        assert!(metrics.dropped() > before);
        assert_eq!(log.log.queue.records.lock().len(), QUEUE);
        assert!(metrics.encode().contains(&format!("tidegate_calls_not_logged_total {}", metrics.dropped())));

        let mut lines = BufReader::new(pipe).lines().map(Result::unwrap);
        let (mut logged, mut behind) = (0, 0);
        let again = loop {
            let line = lines.next().unwrap();
            match () {
                () if line.contains("does not keep up") => behind += 1,
                () if line.contains("keeps up again") => break line,
                () => logged += 1,
            }
        };
        assert_eq!(behind, 1);
        assert!(again.contains(&format!("{} calls were not logged", metrics.dropped())), "{again}");
        assert!(again.contains("WARN"));
        assert_eq!(logged + metrics.dropped(), recorded);
        // Every one of them is counted.
        let counts = metrics.encode();
        let counts = counts.lines().filter(|line| line.starts_with("tidegate_calls_total{"));
        let counted: u64 = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
        assert_eq!(counted, recorded);
        log.close().unwrap();
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
    let Piped { log, pipe, _folder, .. } = piped(LogFormat::Json, None);
    for _ in 0..1_000 {
        log.record(refused());
    }
    let began = Instant::now();
    let closed = log.close_within(Duration::from_millis(200));
    assert_eq!(closed.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(2));
    // Where the lines are still read, none is lost.
    drop(pipe);
}

/// Counts records.
#[derive(Default)]
struct Counted(AtomicU64);

impl Recorder for Counted {
    fn record(&self, _: Box<CallRecord>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_log_that_nobody_reads_keeps_no_record_from_the_recorder() {
    let counted = Arc::<Counted>::default();
    let Piped { log, pipe, _folder, .. } = piped(LogFormat::Json, Some(counted.clone()));
    // Far more lines than a pipe holds, so that the second half comes when the log has blocked.
    for sent in [5_000, 10_000] {
        for _ in 0..5_000 {
            log.record(refused());
        }
        let began = Instant::now();
        while counted.0.load(Ordering::Relaxed) < sent {
            assert!(began.elapsed() < Duration::from_secs(10), "the recorder waits for the log");
            std::thread::yield_now();
        }
    }
    let closed = log.close_within(Duration::from_millis(200));
    assert_eq!(closed.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    drop(pipe);
}

/// Takes nothing until it is let.
struct Blocked(Mutex<()>, AtomicU64);

impl Recorder for Blocked {
    fn record(&self, _: Box<CallRecord>) {
        let _let = self.0.lock();
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_recorder_that_takes_nothing_blocks_no_call_and_its_queue_is_bounded() {
    let recorder = Arc::new(Blocked(Mutex::new(()), AtomicU64::new(0)));
    let blocked = recorder.0.lock();
    let options = Log { level: LogLevel::Error, ..Log::default() };
    let log = CallLog::start(Arc::new(Metrics::new()), &options, Some(recorder.clone())).unwrap();
    let record = refused();
    let mut sent = 0;
    while log.lost.load(Ordering::Relaxed) == 0 {
        log.record(record.clone());
        sent += 1;
    }
    assert_eq!(log.onward.as_ref().unwrap().queue.records.lock().len(), QUEUE / 2);
    drop(blocked);
    log.close().unwrap();
    // All that were taken reach it, and what was lost has been said.
    assert_eq!(recorder.1.load(Ordering::Relaxed), sent - 1);
    assert_eq!(log.lost.load(Ordering::Relaxed), 0);
}

#[test]
fn diagnostics_are_left_out_where_they_would_wait() {
    let Piped { log, pipe, _folder, .. } = piped(LogFormat::Json, None);
    let options = Log { file: Some(_folder.path().join("calls")), ..Log::default() };
    let sink = Sink::open(&options).unwrap();
    // Far more than a pipe holds.
    for _ in 0..10_000 {
        io::Write::write_all(&mut &sink, b"a line of diagnostics that nobody reads\n").unwrap();
    }
    drop(pipe);
    log.close().unwrap();
}
