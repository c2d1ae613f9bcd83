//! One caller's connection as one future: hyper, the handlers, the reply bodies, and the watch for the hang-up.
//!
//! The watch is polled first. When it fires, the future is finished, whatever hyper is doing; the runtime drops it, and
//! with it every backend that works for this caller. The same future keeps the connection's clocks and the settlement of
//! delivered replies.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tidegate_config::{HttpVersions, Limits};
use tidegate_engine::{Cause, HangUp, Session};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, Sleep},
};

use super::{
    bounds::Bounds,
    relay::{Opened, Relay},
    socket::CallerSocket,
    streams::{StreamExecutor, Streams},
    tail::{FIRST_LOOK, Tail},
};
use crate::{
    http::{ReplyBody, Router},
    run::Stage,
};

/// What the handlers of one connection share with its future.
#[derive(Clone)]
pub(crate) struct CallerContext {
    /// Whether and when the caller left.
    pub(crate) hang_up: Arc<HangUp>,
    /// Replies that wait for their settlement.
    pub(crate) tail: Tail,
    /// Whether it is a stream among others, whose caller can take the bytes of one and not of another.
    is_stream: bool,
    activity: Arc<Activity>,
    socket: Arc<CallerSocket>,
    /// A session whose 101 is being written.
    opened: Arc<Mutex<Option<Box<Opened>>>>,
}

/// What goes on on a connection.
#[derive(Default)]
pub(super) struct Activity {
    /// Requests that have begun and whose reply is not complete.
    running: AtomicUsize,
    /// Set when a request begins; taken by the connection's clock.
    begun: AtomicBool,
    /// Whether there has been a request at all.
    served: AtomicBool,
    /// Bytes of replies that may still be handed over in this turn of the connection.
    turn: AtomicUsize,
    /// When its calls have to be over.
    pub(super) bounds: Bounds,
}

/// A request that is being answered; dropped with its reply.
pub(crate) struct Running {
    activity: Arc<Activity>,
    socket: Arc<CallerSocket>,
}

impl CallerContext {
    fn new(socket: Arc<CallerSocket>) -> Self {
        Self {
            hang_up: Arc::default(),
            tail: Tail::default(),
            is_stream: false,
            activity: Arc::default(),
            socket,
            opened: Arc::default(),
        }
    }

    /// Hands a session over to the connection, which goes on as its relay once its caller has been answered with 101.
    pub(crate) fn relay(&self, session: Session) {
        *self.opened.lock() = Some(Box::new(Opened { session, running: self.begin() }));
    }

    /// Counts bytes of a reply that are handed over, in this turn of the connection.
    pub(crate) fn handed_over(&self, bytes: usize) {
        self.socket.handed_over(bytes);
        let left = self.activity.turn.load(Ordering::Relaxed);
        self.activity.turn.store(left.saturating_sub(bytes), Ordering::Relaxed);
    }

    /// Whether this turn of the connection is used up: others have theirs first.
    pub(crate) fn is_spent(&self) -> bool {
        self.activity.turn.load(Ordering::Relaxed) == 0
    }

    /// Whether everything handed to the socket is in the kernel.
    pub(crate) fn is_flushed(&self) -> bool {
        self.socket.is_flushed()
    }

    /// Whether this is the context of one HTTP/2 stream.
    pub(crate) fn is_stream(&self) -> bool {
        self.is_stream
    }

    /// Bytes on their way to the caller that its side has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.socket.unacknowledged()
    }

    /// Notes when this call has to be over, for the case that nobody asks for its reply. To be called from the call's own
    /// future or reply.
    pub(crate) fn bound(&self, due: Instant) {
        self.activity.bounds.note(due, self.hang_up.clone());
    }

    /// The context of one HTTP/2 stream, which can be reset by itself.
    pub(crate) fn stream(&self) -> Self {
        Self { hang_up: Arc::new(HangUp::within(self.hang_up.clone())), is_stream: true, ..self.clone() }
    }

    /// Notes the beginning of a request.
    pub(crate) fn begin(&self) -> Running {
        self.activity.running.fetch_add(1, Ordering::Relaxed);
        self.activity.begun.store(true, Ordering::Relaxed);
        self.activity.served.store(true, Ordering::Relaxed);
        Running { activity: self.activity.clone(), socket: self.socket.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.activity.running.fetch_sub(1, Ordering::Relaxed);
        self.activity.bounds.lift();
        // What has been read up to here was this request's; more is the beginning of another.
        self.socket.request_done();
    }
}

/// How a listener wants its connections treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionOptions {
    /// Whether a caller that has sent FIN may go on reading.
    pub(crate) half_close: bool,
    pub(crate) tls: bool,
    pub(crate) http: HttpVersions,
    pub(crate) limits: Limits,
}

/// Serves one connection to its end.
///
/// # Cancel safety
/// Dropping the future closes the connection and every backend that works for it.
pub(crate) async fn serve<I>(
    io: I,
    socket: Arc<CallerSocket>,
    http2: bool,
    router: Router,
    options: ConnectionOptions,
    stage: watch::Receiver<Stage>,
) where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let context = CallerContext::new(socket.clone());
    let service = router.service(context.clone());
    let io = TokioIo::new(io);
    let limits = options.limits;
    let protocol = if http2 {
        let executor = StreamExecutor::default();
        let connection = http2::Builder::new(executor.clone())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .serve_connection(io, service);
        Protocol::H2(Streams::new(executor, context.activity.clone()), Box::pin(connection))
    } else {
        let connection = http1::Builder::new()
            // The hang-up is seen below: hyper need not read ahead for it, nor keep a buffer to do so. Under TLS it
            // still does, since an end announced inside TLS is not one of the socket's.
            .half_close(options.half_close || !options.tls)
            .max_buf_size(limits.header_bytes.max(8192))
            .serve_connection(io, service);
        Protocol::H1(Box::pin(connection))
    };
    let clock = Box::pin(tokio::time::sleep(limits.header_time));
    let stage = Box::pin(stage_after(Stage::Running, stage));
    let failure = options.half_close.then(|| failure_of(socket.clone()));
    let quiet_since = Instant::now();
    CallerConnection {
        protocol,
        socket,
        context,
        options,
        clock,
        quiet_since,
        head_since: None,
        stage,
        failure,
    }
    .await;
}

fn failure_of(socket: Arc<CallerSocket>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move { socket.failed().await })
}

/// Waits until the process has left the stage `known`, which it may have done before.
async fn stage_after(known: Stage, mut stages: watch::Receiver<Stage>) -> (Stage, watch::Receiver<Stage>) {
    let stage = match stages.wait_for(|stage| *stage != known).await {
        Ok(stage) => *stage,
        Err(_) => Stage::Stopping,
    };
    (stage, stages)
}

type NextStage = Pin<Box<dyn Future<Output = (Stage, watch::Receiver<Stage>)> + Send>>;

enum Protocol<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<ReplyBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    H1(Pin<Box<http1::Connection<TokioIo<I>, S>>>),
    /// Dropped in this order: the streams have the backends.
    H2(Streams, Pin<Box<http2::Connection<TokioIo<I>, S, StreamExecutor>>>),
    /// A session, in what was an HTTP/1.1 connection.
    Relay(Box<Relay<I>>),
    /// hyper is done: it has written what there was to write. Replies of which the caller's side has not acknowledged
    /// every byte keep the socket open.
    Ended,
}

struct CallerConnection<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<ReplyBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    protocol: Protocol<I, S>,
    socket: Arc<CallerSocket>,
    context: CallerContext,
    options: ConnectionOptions,
    clock: Pin<Box<Sleep>>,
    /// Since when no request has been running.
    quiet_since: Instant,
    /// Since when the beginning of a request has been known to be there.
    head_since: Option<Instant>,
    stage: NextStage,
    /// On a half-close listener, the end of a caller whose FIN says nothing.
    failure: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<I, S> Future for CallerConnection<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<ReplyBody>, Error = Infallible> + Unpin,
    S::Future: Send + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.context.activity.turn.store(TURN, Ordering::Relaxed);
        if this.poll_gone(cx).is_ready() {
            this.context.hang_up.mark(Cause::CallerGone);
            return this.finish();
        }
        if this.poll_stage(cx).is_ready() {
            this.context.hang_up.mark(Cause::ShuttingDown);
            match &mut this.protocol {
                Protocol::Relay(relay) => relay.stop(),
                _ => return Poll::Ready(()),
            }
        }
        let mut polled = this.poll_protocol(cx);
        if matches!(polled, Poll::Ready(Ok(()))) && this.begin_relay() {
            polled = this.poll_protocol(cx);
        }
        if let Poll::Ready(ended) = polled {
            // hyper has met the end itself: a failed write, a broken request, a caller that said goodbye, the last reply
            // of a connection that is not kept. No call outlives it.
            this.context.hang_up.mark(Cause::CallerGone);
            if ended.is_err() || this.context.tail.is_empty() {
                return this.finish();
            }
            this.protocol = Protocol::Ended;
        }
        if !this.context.tail.is_empty() {
            this.wake_by(Instant::now() + FIRST_LOOK);
        }
        if let Some(due) = this.context.activity.bounds.earliest() {
            this.wake_by(due);
        }
        this.poll_clock(cx)
    }
}

impl<I, S> CallerConnection<I, S>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<hyper::Request<Incoming>, Response = hyper::Response<ReplyBody>, Error = Infallible> + Unpin,
    S::Future: Send + 'static,
{
    /// Ends the connection: backends first, for what else there is to do can wait for them.
    fn finish(&mut self) -> Poll<()> {
        if let Protocol::Relay(relay) = &mut self.protocol {
            relay.note_unacknowledged();
        }
        self.protocol = Protocol::Ended;
        drop(self.context.opened.lock().take());
        self.context.tail.settle_gone(&self.socket);
        Poll::Ready(())
    }

    /// Goes on as a session, if hyper has ended because one begins.
    fn begin_relay(&mut self) -> bool {
        let Some(opened) = self.context.opened.lock().take() else { return false };
        let Protocol::H1(connection) = std::mem::replace(&mut self.protocol, Protocol::Ended) else {
            return false;
        };
        let http1::Parts { io, read_buf, .. } = Pin::into_inner(connection).into_parts();
        let relay = Relay::new(io.into_inner(), &read_buf, *opened, self.context.clone());
        self.protocol = Protocol::Relay(Box::new(relay));
        true
    }

    /// Ready once the caller is known to have left.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.failure {
            Some(failure) => failure.as_mut().poll(cx),
            None => self.socket.poll_gone(cx),
        }
    }

    fn poll_protocol(&mut self, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        match &mut self.protocol {
            Protocol::H1(connection) => connection.as_mut().poll(cx),
            Protocol::H2(streams, connection) => {
                let polled = connection.as_mut().poll(cx);
                streams.poll(cx);
                // Streams that have just answered need the connection to write it: they have woken this task.
                polled
            }
            Protocol::Relay(relay) => relay.poll(cx).map(Ok),
            Protocol::Ended => Poll::Pending,
        }
    }

    /// Ready when the process stops without waiting any longer.
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready((stage, stages)) = self.stage.as_mut().poll(cx) {
            match stage {
                Stage::Running => {}
                Stage::Draining => match &mut self.protocol {
                    Protocol::H1(connection) => connection.as_mut().graceful_shutdown(),
                    Protocol::H2(_, connection) => connection.as_mut().graceful_shutdown(),
                    Protocol::Relay(_) | Protocol::Ended => {}
                },
                Stage::Stopping => {
                    self.stage = Box::pin(std::future::pending());
                    return Poll::Ready(());
                }
            }
            self.stage = Box::pin(stage_after(stage, stages));
        }
        Poll::Pending
    }

    /// Ready when the connection has been quiet, its request head incomplete, or its only call running, for too long.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.clock.as_mut().poll(cx).is_ready() {
            if self.end_overdue(cx).is_ready() {
                return self.finish();
            }
            let limits = self.options.limits;
            let activity = &self.context.activity;
            let begun = activity.begun.swap(false, Ordering::Relaxed);
            if begun || activity.running.load(Ordering::Relaxed) > 0 {
                self.quiet_since = Instant::now();
            }
            let (since, allowed) = match self.unfinished_head() {
                Some(since) => (since, limits.header_time),
                None => (self.quiet_since, limits.idle_time),
            };
            let quiet = since.elapsed();
            if quiet >= allowed {
                return self.finish();
            }
            let next = (allowed - quiet).min(limits.header_time);
            let look = self.context.tail.look(&self.socket);
            if matches!(self.protocol, Protocol::Ended) && look.is_none() {
                return Poll::Ready(());
            }
            let by = Instant::now() + look.map_or(next, |look| look.min(next));
            self.clock.as_mut().reset(self.context.activity.bounds.earliest().map_or(by, |due| due.min(by)));
        }
        Poll::Pending
    }

    /// Ends calls whose time is up and whose replies nobody asks for, so that they don't notice it themselves. Ready when
    /// the connection has to end with its call.
    fn end_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let bounds = &self.context.activity.bounds;
        if bounds.earliest().is_none_or(|earliest| earliest > now) {
            return Poll::Pending;
        }
        let earliest = match &mut self.protocol {
            Protocol::H2(streams, _) => {
                // Resets are to be written, and streams that stay to be polled where they are now.
                cx.waker().wake_by_ref();
                streams.end_overdue(now)
            }
            Protocol::H1(_) | Protocol::Relay(_) | Protocol::Ended => match bounds.current() {
                Some(bound) if bound.due <= now => {
                    bound.hang_up.mark(Cause::Overdue);
                    return Poll::Ready(());
                }
                current => current.map(|bound| bound.due),
            },
        };
        bounds.set_earliest(earliest);
        Poll::Pending
    }

    /// Since when the head of a request has been incomplete, if one is.
    fn unfinished_head(&mut self) -> Option<Instant> {
        let activity = &self.context.activity;
        if !activity.served.load(Ordering::Relaxed) {
            return Some(self.quiet_since);
        }
        // Over HTTP/2 bytes come between requests, too.
        let begun = matches!(self.protocol, Protocol::H1(_))
            && activity.running.load(Ordering::Relaxed) == 0
            && self.socket.has_read_since_request();
        if !begun {
            self.head_since = None;
            return None;
        }
        Some(*self.head_since.get_or_insert_with(Instant::now))
    }

    fn wake_by(&mut self, by: Instant) {
        if self.clock.deadline() > by {
            self.clock.as_mut().reset(by);
        }
    }
}

/// Bytes of replies in one turn of a connection. hyper would hand over all that the socket takes, megabytes at times, while
/// other callers of the same worker hang up unheard.
const TURN: usize = 32 * 1024;
/// Streams that one HTTP/2 caller may have open.
const MAX_CONCURRENT_STREAMS: u32 = 1024;
