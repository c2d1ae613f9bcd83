//! The meter: what one call did and used, settled exactly once, from `Drop` if nothing else.
//!
//! A meter travels with what the call holds and is dropped last, so that the time from hang-up to backend closed is
//! measured after the connection is gone. It hands its record to a [`Recorder`] that was there before the call and needs
//! nothing of it. Never does I/O.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tidegate_wire::{
    WireError,
    host::AbortBilling,
    hub::{BYTES_PER_TOKEN, Usage},
    reply::Progress,
};

use crate::clocks::Clock;

/// Takes the records of finished calls. Called from `Drop`: must neither block nor panic.
pub trait Recorder: Send + Sync {
    /// Takes one record.
    fn record(&self, record: Box<CallRecord>);
}

/// What one call did and used.
#[derive(Clone, Debug)]
pub struct CallRecord {
    /// The call's id.
    pub id: String,
    /// When it began: when its request had been read or, if it never was, when it began to arrive.
    pub started: SystemTime,
    /// The model as the caller named it; empty if its request was not read.
    pub model: String,
    /// Host name; empty until one was chosen.
    pub host: &'static str,
    /// The model as the backend says it served it.
    pub served_model: Option<String>,
    /// The backend's id of the reply.
    pub upstream_id: Option<String>,
    /// What it was asked to do: `generate`, or the name of another operation.
    pub operation: &'static str,
    /// Whether the caller asked for a stream.
    pub streaming: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The error that ended it, if one did.
    pub error: Option<WireError>,
    /// HTTP status that the caller got; 499 if it left before one was sent.
    pub status: u16,
    /// Tokens.
    pub usage: Usage,
    /// How the tokens are known.
    pub provenance: Provenance,
    /// Whether this host bills on after a close.
    pub abort_billing: AbortBilling,
    /// Events with generated content that were read from the backend.
    pub content_events: u64,
    /// Bytes of the reply's body that were handed to the caller's connection.
    pub delivered_bytes: u64,
    /// Of those, bytes that the caller's side had not acknowledged when it left.
    pub unacknowledged_bytes: u64,
    /// From the start to the first item for the caller that came with generated content.
    pub time_to_first_token: Option<Duration>,
    /// From the start to the settlement.
    pub duration: Duration,
    /// From the caller's hang-up, as the operating system told it, until the backend was closed.
    pub hang_up_to_closed: Option<Duration>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The reply was delivered whole.
    Complete,
    /// The caller hung up.
    ClientGone,
    /// Somebody cancelled it by id.
    Cancelled,
    /// A deadline passed.
    Deadline(Clock),
    /// The request was refused: by us, or by the backend with an error status.
    Refused,
    /// The backend or the way to it broke.
    Broken,
    /// The backend's reply ended before its terminal event.
    Truncated,
    /// This process stopped it: a drain that ran out of time.
    Interrupted,
}

impl Outcome {
    /// Name as in logs, metrics and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::Cancelled => "cancelled",
            Self::Deadline(Clock::Connect) => "deadline_connect",
            Self::Deadline(Clock::ResponseHeaders) => "deadline_response_headers",
            Self::Deadline(Clock::FirstToken) => "deadline_first_token",
            Self::Deadline(Clock::Idle | Clock::Tail) => "deadline_idle",
            Self::Deadline(Clock::Total) => "deadline_total",
            Self::Refused => "refused",
            Self::Broken => "broken",
            Self::Truncated => "truncated",
            Self::Interrupted => "interrupted",
        }
    }

    fn of_error(error: &WireError, clock: Option<Clock>) -> Self {
        use tidegate_wire::ErrorClass as Class;
        match (clock, error.class()) {
            (Some(clock), _) => Self::Deadline(clock),
            (None, Class::Truncated) => Self::Truncated,
            (None, Class::UpstreamBroke | Class::Protocol | Class::Connect | Class::Internal)
                if error.upstream_status().is_none() =>
            {
                Self::Broken
            }
            _ => Self::Refused,
        }
    }
}

/// How the tokens of a record are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// Nothing was used, as far as anyone knows.
    #[default]
    None,
    /// The backend reported all of it.
    Reported,
    /// The backend reported some of it before the end; of an answer that it had not counted yet, an estimate.
    Partial,
    /// Counted from what was sent and read.
    Estimated,
}

impl Provenance {
    /// Name as in logs and the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reported => "reported",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
        }
    }
}

/// Whether and when the caller of a connection has gone, and why its calls end. Shared by whoever watches the caller and
/// the meters of its calls.
#[derive(Debug)]
pub struct HangUp {
    base: Instant,
    /// Nanoseconds from `base` plus one; 0: still there.
    at: AtomicU64,
    cause: AtomicU8,
    /// The connection's, where this is one stream's.
    connection: Option<Arc<HangUp>>,
}

/// Why a call is dropped from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The caller hung up.
    CallerGone,
    /// Cancelled by id.
    Cancelled,
    /// This process is going down.
    ShuttingDown,
    /// Its time ([`Clocks::total`](crate::Clocks::total)) is up, and the caller takes nothing of the reply, so that nobody
    /// asks it for more.
    Overdue,
}

impl Default for HangUp {
    fn default() -> Self {
        Self { base: Instant::now(), at: AtomicU64::new(0), cause: AtomicU8::new(0), connection: None }
    }
}

impl HangUp {
    /// One stream's, on a connection that can also end as a whole.
    pub fn within(connection: Arc<Self>) -> Self {
        Self { connection: Some(connection), ..Self::default() }
    }

    /// Notes that the calls end now, for `cause`. Only the first one counts.
    pub fn mark(&self, cause: Cause) {
        let at = u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX - 1) + 1;
        if self.at.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.cause.store(cause as u8, Ordering::Relaxed);
        }
    }

    fn at(&self) -> Option<Instant> {
        let whole = self.connection.as_ref().and_then(|connection| connection.at());
        whole.or_else(|| match self.at.load(Ordering::Relaxed) {
            0 => None,
            at => Some(self.base + Duration::from_nanos(at - 1)),
        })
    }

    fn outcome(&self) -> Outcome {
        if let Some(connection) = self.connection.as_ref().filter(|connection| connection.at().is_some()) {
            return connection.outcome();
        }
        match self.cause.load(Ordering::Relaxed) {
            cause if cause == Cause::Cancelled as u8 => Outcome::Cancelled,
            cause if cause == Cause::ShuttingDown as u8 => Outcome::Interrupted,
            cause if cause == Cause::Overdue as u8 => Outcome::Deadline(Clock::Total),
            _ => Outcome::ClientGone,
        }
    }
}

/// Measures one call; hands in its record when dropped.
pub struct Meter {
    record: Option<Box<CallRecord>>,
    started: Instant,
    hang_up: Arc<HangUp>,
    recorder: Arc<dyn Recorder>,
    /// Bytes of the request, for an estimate.
    request_bytes: u64,
    /// Whether the request is text, so that its length tells something of its tokens.
    text: bool,
    /// Whether the request has gone out: before that nothing was used.
    sent: bool,
    /// Whether an outcome has been noted; until then, being dropped means being given up.
    noted: bool,
    /// When the backend had given all that it was to give; the wait for the caller's acknowledgement is not the call's.
    ended: Option<Instant>,
    /// Whether the caller left without all of what was handed over.
    undelivered: bool,
    /// What the reply had shown at the end.
    progress: Option<Progress>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("record", &self.record).finish_non_exhaustive()
    }
}

impl Meter {
    /// Starts measuring a call whose request is not known yet.
    pub fn start(id: String, hang_up: Arc<HangUp>, recorder: Arc<dyn Recorder>) -> Self {
        let record = CallRecord {
            id,
            started: SystemTime::now(),
            model: String::new(),
            host: "",
            served_model: None,
            upstream_id: None,
            operation: "generate",
            streaming: false,
            outcome: Outcome::ClientGone,
            error: None,
            status: CLIENT_CLOSED_REQUEST,
            usage: Usage::default(),
            provenance: Provenance::None,
            abort_billing: AbortBilling::Unknown,
            content_events: 0,
            delivered_bytes: 0,
            unacknowledged_bytes: 0,
            time_to_first_token: None,
            duration: Duration::ZERO,
            hang_up_to_closed: None,
        };
        Self {
            record: Some(Box::new(record)),
            started: Instant::now(),
            hang_up,
            recorder,
            request_bytes: 0,
            text: true,
            sent: false,
            noted: false,
            ended: None,
            undelivered: false,
            progress: None,
        }
    }

    /// The call's id.
    pub fn id(&self) -> &str {
        self.record.as_ref().map_or("", |record| &record.id)
    }

    /// Notes what the request asks for, now that it has been read. The call counts from here on: how long a caller takes
    /// to say what it wants is its own affair.
    pub fn asked(&mut self, model: String, streaming: bool) {
        self.started = Instant::now();
        self.edit(|record| {
            record.started = SystemTime::now();
            record.model = model;
            record.streaming = streaming;
        });
    }

    /// Notes what it is asked to do, if not to generate. Unless its request is `text`, no tokens are guessed from its length.
    pub fn operation(&mut self, name: &'static str, text: bool) {
        self.text = text;
        self.edit(|record| record.operation = name);
    }

    /// When the call began.
    pub fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn sending(&mut self, host: &'static str, abort_billing: AbortBilling, request_bytes: usize) {
        self.request_bytes = request_bytes as u64;
        self.edit(|record| {
            record.host = host;
            record.abort_billing = abort_billing;
        });
    }

    pub(crate) fn sent(&mut self, sent: bool) {
        self.sent = sent;
    }

    /// Notes what a session's caller has said so far, where the request itself says nothing.
    pub(crate) fn asked_bytes(&mut self, bytes: u64) {
        self.request_bytes = bytes;
    }

    /// Notes the status that the caller gets.
    pub fn status(&mut self, status: u16) {
        self.edit(|record| record.status = status);
    }

    pub(crate) fn first_token(&mut self) {
        let elapsed = self.started.elapsed();
        self.edit(|record| record.time_to_first_token = Some(elapsed));
    }

    /// Counts bytes of the reply's body that have been handed to the caller's connection.
    pub fn delivered(&mut self, bytes: usize) {
        self.edit(|record| record.delivered_bytes += bytes as u64);
    }

    /// Notes what the caller's side had not acknowledged when the call ended; of what its connection also carried for
    /// others, no more than this call's own.
    pub fn unacknowledged(&mut self, bytes: u64) {
        self.edit(|record| record.unacknowledged_bytes = bytes.min(record.delivered_bytes));
    }

    /// Notes that the call ends with `error`, which is what the caller gets instead of a reply.
    pub fn refused(&mut self, error: &WireError) {
        self.refused_by(error, None);
    }

    pub(crate) fn refused_by(&mut self, error: &WireError, clock: Option<Clock>) {
        self.status(error.status());
        self.failed_by(error, clock);
    }

    pub(crate) fn failed_by(&mut self, error: &WireError, clock: Option<Clock>) {
        self.noted = true;
        self.ended.get_or_insert_with(Instant::now);
        self.edit(|record| {
            record.outcome = Outcome::of_error(error, clock);
            record.error = Some(error.clone());
        });
    }

    /// Whether the call is being dropped because its time is up.
    pub(crate) fn is_overdue(&self) -> bool {
        self.hang_up.outcome() == Outcome::Deadline(Clock::Total)
    }

    /// Notes that the reply is complete; or that a refusal is, which was passed on as it came.
    pub(crate) fn answered(&mut self, success: bool) {
        self.noted = true;
        self.ended.get_or_insert_with(Instant::now);
        let outcome = if success { Outcome::Complete } else { Outcome::Refused };
        self.edit(|record| record.outcome = outcome);
    }

    /// Notes that the caller has not got everything, mostly because it left. A reply that was complete was not delivered;
    /// what failed for another reason stays what it was.
    pub fn undelivered(&mut self, unacknowledged: u64) {
        self.undelivered = true;
        self.unacknowledged(unacknowledged);
    }

    pub(crate) fn progressed(&mut self, progress: Progress) {
        self.progress = Some(progress);
    }

    fn edit(&mut self, change: impl FnOnce(&mut CallRecord)) {
        if let Some(record) = self.record.as_deref_mut() {
            change(record);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        let now = Instant::now();
        record.duration = self.ended.unwrap_or(now) - self.started;
        if !self.noted {
            record.outcome = self.hang_up.outcome();
            // Without a backend there was nothing to close.
            let at = self.hang_up.at().filter(|_| !record.host.is_empty());
            record.hang_up_to_closed = at.map(|at| now.saturating_duration_since(at));
        } else if self.undelivered && record.outcome == Outcome::Complete {
            // Mostly because the caller left.
            record.outcome = self.hang_up.outcome();
        }
        settle_usage(&mut record, self.progress.take(), self.sent && self.text, self.request_bytes);
        self.recorder.record(record);
    }
}

/// Fills the tokens of a record from what is known.
fn settle_usage(record: &mut CallRecord, progress: Option<Progress>, may_guess: bool, request_bytes: u64) {
    let progress = progress.unwrap_or_default();
    record.content_events = progress.content_events;
    record.served_model = progress.served_model;
    record.upstream_id = progress.upstream_id;
    let generated = progress.content_bytes.div_ceil(BYTES_PER_TOKEN);
    if let Some(mut usage) = progress.usage {
        record.provenance = if progress.usage_final { Provenance::Reported } else { Provenance::Partial };
        if !progress.usage_final {
            // Some backends count the prompt at the start and the answer at its end, and a running count may lag behind what
            // was delivered.
            let unsaid = generated.saturating_sub(usage.completion_tokens);
            usage.completion_tokens += unsaid;
            usage.total_tokens = usage.total_tokens.saturating_add(unsaid);
        }
        record.usage = usage;
    } else if may_guess && (record.outcome != Outcome::Refused || progress.content_bytes > 0) {
        let prompt = request_bytes.div_ceil(BYTES_PER_TOKEN);
        record.provenance = Provenance::Estimated;
        record.usage = Usage {
            prompt_tokens: prompt,
            completion_tokens: generated,
            total_tokens: prompt + generated,
            ..Usage::default()
        };
    }
}

/// What logs and records say of a caller that left before it got a status; never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;
