//! What the simulator saw of each call, kept in a bounded journal that can be waited on.
//!
//! A [`Call`] is owned by whatever plays the call; dropping it, for whatever reason, moves its [`Observation`] from the
//! running ones to the finished ones. Finished observations beyond the journal's capacity are forgotten, oldest first;
//! running ones never are. Nothing here looks at a socket.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use crate::clock::monotonic_ns;

/// What the simulator saw of one call. All times are `CLOCK_MONOTONIC` nanoseconds ([`crate::monotonic_ns`]).
#[derive(Clone, Debug, Serialize)]
pub struct Observation {
    /// Counts up from 1, in the order of arrival.
    pub id: u64,
    /// The scenario's tag.
    pub tag: Option<String>,
    /// Which provider the path belongs to.
    pub backend: Backend,
    /// `"1.1"`, `"2"`, or `""` for a connection that never got as far as a request.
    pub http_version: &'static str,
    /// The model or deployment asked for.
    pub model: String,
    /// Whether a stream was asked for.
    pub streaming: bool,
    /// What the call was doing when its peer closed; of a running call, what it is doing now.
    pub phase_at_close: Phase,
    /// When the connection was accepted.
    pub accepted_ns: u64,
    /// When the request's head had been read.
    pub request_ns: u64,
    /// When the request's body had been read to its end.
    pub body_ns: Option<u64>,
    /// When the response's head had been written.
    pub headers_ns: Option<u64>,
    /// When the first token had been written.
    pub first_token_ns: Option<u64>,
    /// When the last bytes of the body were written.
    pub last_write_ns: Option<u64>,
    /// When the response had been written to its end.
    pub completed_ns: Option<u64>,
    /// When the peer's close was noticed. After `completed_ns` it says that the connection closed before another request.
    pub closed_ns: Option<u64>,
    /// How the peer closed.
    pub closed_how: Option<ClosedHow>,
    /// Whole frames (SSE events, event-stream messages) written.
    pub frames_written: u64,
    /// Bytes of the response's body written, without HTTP framing. HTTP/2: handed over within the peer's window.
    pub bytes_written: u64,
    /// Tokens written: content, reasoning and tool argument pieces. Of a replayed stream every piece counts as one.
    pub tokens_written: u64,
    /// Body bytes that a write accepted after `closed_ns` (a `deaf` backend writes on until a write fails).
    pub bytes_after_close: u64,
    /// Bytes of the request's body read.
    pub request_bytes: u64,
    /// The usage that this call truly had up to now, whether or not it was ever reported.
    pub truth_usage: Usage,
    /// How the request proved who it is: `bearer`, `api_key`, `sigv4` or `none`.
    pub authorization_kind: &'static str,
    /// The status that the call was answered with.
    pub status: Option<u16>,
}

impl Observation {
    /// Whether the peer closed before the response was complete.
    #[must_use]
    pub fn cut_short(&self) -> bool {
        self.closed_ns.is_some() && self.completed_ns.is_none()
    }
}

/// Tokens of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt: u64,
    /// Tokens generated.
    pub completion: u64,
}

/// The provider that a path belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// OpenAI.
    Openai,
    /// Azure OpenAI, classic deployments or v1.
    Azure,
    /// Amazon Bedrock runtime.
    Bedrock,
    /// Anthropic.
    Anthropic,
    /// Gemini, on AI Studio or Vertex AI.
    Gemini,
    /// Cohere.
    Cohere,
    /// Ollama's own API.
    Ollama,
    /// A listener that accepts and never answers, or a TLS handshake that never completed.
    Connecting,
    /// None of the paths.
    Unknown,
}

/// What a call is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The connection has no request yet: a black hole, or TLS under way.
    Connecting,
    /// The request's body is being read, or deliberately not.
    ReadingRequest,
    /// The request is there, the response's head is not yet sent.
    BeforeHeaders,
    /// The head is sent, no token yet.
    BeforeFirstToken,
    /// A frame is complete, the next not begun.
    BetweenFrames,
    /// A frame is partly sent.
    InsideFrame,
    /// A write waits because the peer does not read.
    Blocked,
    /// Deliberately silent between frames until the peer closes.
    Stalled,
    /// The response is written to its end.
    Complete,
}

/// How a peer closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedHow {
    /// TCP FIN.
    Fin,
    /// TCP RST, or another error of the connection.
    Rst,
    /// HTTP/2 `RST_STREAM` with this code.
    H2Reset(u32),
    /// The HTTP/2 connection went away under the stream.
    H2Lost,
    /// A WebSocket close frame with this code; 1005 without one.
    Goodbye(u16),
}

impl fmt::Display for ClosedHow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fin => f.write_str("fin"),
            Self::Rst => f.write_str("rst"),
            Self::H2Reset(code) => write!(f, "h2_reset_{code}"),
            Self::H2Lost => f.write_str("h2_lost"),
            Self::Goodbye(code) => write!(f, "close_{code}"),
        }
    }
}

impl Serialize for ClosedHow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

type Shared = Arc<Mutex<Observation>>;

/// All observations of one simulator.
#[derive(Debug)]
pub(crate) struct Journal {
    books: Mutex<Books>,
    capacity: usize,
    next_id: AtomicU64,
    changed: Notify,
    /// How many tasks wait on `changed`; without any, changes are not announced, which is most of the cost of one.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Books {
    running: HashMap<u64, Shared>,
    finished: VecDeque<Shared>,
    /// The newest call of each tag.
    tagged: HashMap<String, Shared>,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            books: Mutex::default(),
            capacity,
            next_id: AtomicU64::new(1),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Opens the record of a call whose request's head has just been read.
    pub(crate) fn begin(self: &Arc<Self>, http_version: &'static str, accepted_ns: u64) -> Call {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Mutex::new(Observation {
            id,
            tag: None,
            backend: Backend::Unknown,
            http_version,
            model: String::new(),
            streaming: false,
            phase_at_close: Phase::ReadingRequest,
            accepted_ns,
            request_ns: monotonic_ns(),
            body_ns: None,
            headers_ns: None,
            first_token_ns: None,
            last_write_ns: None,
            completed_ns: None,
            closed_ns: None,
            closed_how: None,
            frames_written: 0,
            bytes_written: 0,
            tokens_written: 0,
            bytes_after_close: 0,
            request_bytes: 0,
            truth_usage: Usage::default(),
            authorization_kind: "none",
            status: None,
        }));
        self.books.lock().running.insert(id, Arc::clone(&shared));
        Call { shared, journal: Arc::clone(self), id }
    }

    pub(crate) fn running(&self) -> usize {
        self.books.lock().running.len()
    }

    /// All observations, or those of one tag, oldest first; running calls are included.
    pub(crate) fn observations(&self, tag: Option<&str>) -> Vec<Observation> {
        let books = self.books.lock();
        let all = books.finished.iter().chain(books.running.values());
        let mut found: Vec<Observation> = all
            .filter_map(|shared| {
                let seen = shared.lock();
                (tag.is_none() || seen.tag.as_deref() == tag).then(|| seen.clone())
            })
            .collect();
        found.sort_unstable_by_key(|seen| seen.id);
        found
    }

    /// Forgets the finished calls.
    pub(crate) fn clear(&self) {
        let mut books = self.books.lock();
        books.finished.clear();
        let running: Vec<u64> = books.running.keys().copied().collect();
        books.tagged.retain(|_, shared| running.contains(&shared.lock().id));
    }

    /// Waits until the newest call of `tag` satisfies `reached`, at most `timeout`.
    pub(crate) async fn wait_tagged(
        &self,
        tag: &str,
        timeout: Duration,
        reached: impl Fn(&Observation, bool) -> bool,
    ) -> Option<Observation> {
        self.wait(timeout, || {
            let books = self.books.lock();
            let seen = books.tagged.get(tag)?.lock();
            let over = !books.running.contains_key(&seen.id);
            reached(&seen, over).then(|| seen.clone())
        })
        .await
    }

    /// Waits until `found` finds something; it is asked again after every change.
    pub(crate) async fn wait<T>(&self, timeout: Duration, found: impl Fn() -> Option<T>) -> Option<T> {
        let _waiting = Waiting::among(&self.waiting);
        let search = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if let Some(value) = found() {
                    return value;
                }
                changed.await;
            }
        };
        tokio::time::timeout(timeout, search).await.ok()
    }

    fn announce(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    fn finish(&self, id: u64) {
        let mut books = self.books.lock();
        if let Some(shared) = books.running.remove(&id) {
            books.finished.push_back(shared);
        }
        while books.finished.len() > self.capacity {
            books.forget_oldest();
        }
        drop(books);
        self.announce();
    }
}

impl Books {
    fn forget_oldest(&mut self) {
        let Some(oldest) = self.finished.pop_front() else { return };
        let seen = oldest.lock();
        if let Some(tag) = &seen.tag
            && self.tagged.get(tag).is_some_and(|newest| Arc::ptr_eq(newest, &oldest))
        {
            self.tagged.remove(tag);
        }
    }
}

/// Counts a waiter for as long as it waits, however it stops.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn among(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The open record of a call under way; dropping it finishes the record.
#[derive(Debug)]
pub(crate) struct Call {
    shared: Shared,
    journal: Arc<Journal>,
    id: u64,
}

impl Call {
    pub(crate) fn update(&self, change: impl FnOnce(&mut Observation)) {
        change(&mut self.shared.lock());
        self.journal.announce();
    }

    /// Makes the call findable by its tag.
    pub(crate) fn tag(&self, tag: &str) {
        if self.shared.lock().tag.as_deref() == Some(tag) {
            return;
        }
        self.shared.lock().tag = Some(tag.to_owned());
        self.journal.books.lock().tagged.insert(tag.to_owned(), Arc::clone(&self.shared));
        self.journal.announce();
    }

    pub(crate) fn phase(&self, phase: Phase) {
        self.update(|seen| seen.phase_at_close = phase);
    }

    /// The phase that the call is in when no write is under way.
    pub(crate) fn rest(&self) {
        self.update(|seen| {
            seen.phase_at_close = match (seen.headers_ns, seen.first_token_ns) {
                (None, _) => Phase::BeforeHeaders,
                (Some(_), None) => Phase::BeforeFirstToken,
                (Some(_), Some(_)) => Phase::BetweenFrames,
            }
        });
    }

    /// Notes body bytes that have been written, and what they completed.
    pub(crate) fn wrote(&self, bytes: usize, frames: u64, tokens: u64) {
        let now = monotonic_ns();
        self.update(|seen| {
            let bytes = bytes as u64;
            seen.bytes_written += bytes;
            if seen.closed_ns.is_some() {
                seen.bytes_after_close += bytes;
            }
            seen.frames_written += frames;
            seen.tokens_written += tokens;
            seen.truth_usage.completion += tokens;
            seen.last_write_ns = Some(now);
            if tokens > 0 {
                seen.first_token_ns.get_or_insert(now);
            }
            if seen.closed_ns.is_none() {
                seen.phase_at_close = match (frames, seen.first_token_ns) {
                    (0, _) => Phase::InsideFrame,
                    (_, None) => Phase::BeforeFirstToken,
                    (_, Some(_)) => Phase::BetweenFrames,
                };
            }
        });
    }

    /// Notes that the peer has closed; only the first note counts.
    pub(crate) fn closed(&self, how: ClosedHow) {
        note_close(&self.shared, how);
        self.journal.announce();
    }

    /// Finishes the record; what it gives back can still note how the connection ended.
    pub(crate) fn complete(self) -> Settled {
        let now = monotonic_ns();
        self.update(|seen| {
            if seen.closed_ns.is_none() {
                seen.phase_at_close = Phase::Complete;
            }
            seen.completed_ns = Some(now);
        });
        Settled { shared: Arc::clone(&self.shared), journal: Arc::clone(&self.journal) }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.journal.finish(self.id);
    }
}

/// A completed call on a connection that has not closed yet.
#[derive(Debug)]
pub(crate) struct Settled {
    shared: Shared,
    journal: Arc<Journal>,
}

impl Settled {
    pub(crate) fn closed(&self, how: ClosedHow) {
        note_close(&self.shared, how);
        self.journal.announce();
    }
}

fn note_close(shared: &Shared, how: ClosedHow) {
    let now = monotonic_ns();
    let mut seen = shared.lock();
    if seen.closed_ns.is_none() {
        seen.closed_ns = Some(now);
        seen.closed_how = Some(how);
    }
}
