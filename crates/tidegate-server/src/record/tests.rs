use std::{
    fs::{File, OpenOptions},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    time::Instant,
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

fn piped(format: LogFormat) -> Piped {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("calls");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Both ends, so that opening either does not wait for the other.
    let pipe = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let metrics = Arc::new(Metrics::new());
    let options = Log { file: Some(path), format, ..Log::default() };
    let log = CallLog::start(metrics.clone(), &options, None).unwrap();
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
        let Piped { log, metrics, pipe, _folder } = piped(format);
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
        println!("slowest: {slowest:?}");
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
        assert_eq!(log.queue.records.lock().len(), QUEUE);
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
    let Piped { log, pipe, _folder, .. } = piped(LogFormat::Json);
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

#[test]
fn diagnostics_are_left_out_where_they_would_wait() {
    let Piped { log, pipe, _folder, .. } = piped(LogFormat::Json);
    let options = Log { file: Some(_folder.path().join("calls")), ..Log::default() };
    let sink = Sink::open(&options).unwrap();
    // Far more than a pipe holds.
    for _ in 0..10_000 {
        io::Write::write_all(&mut &sink, b"a line of diagnostics that nobody reads\n").unwrap();
    }
    drop(pipe);
    log.close().unwrap();
}
