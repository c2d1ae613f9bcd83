//! A session over WebSocket, relayed between its caller's socket and its backend's by the one future that owns both.
//!
//! After 101 the connection's future takes hyper apart and goes on as this. Bytes go on as they came, in both directions, each
//! by way of one buffer: while the one side does not take what there is, nothing more is read of the other. What comes behind
//! a close frame goes nowhere. Either side's end is the other's: a caller that is gone takes its backend along at once (the
//! connection sees to that, as to every hang-up); a backend that is gone leaves the caller a close frame, where one may stand;
//! a close frame goes on behind all that came before it, and the answer to it is awaited for a short time.
//!
//! Never parses a frame: what passes is the session's to understand.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use tidegate_engine::{Cause, Ended, Received, Session};
use tidegate_wire::{
    WireError,
    realtime::{End, Passed},
    websocket::close_frame,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};
use tokio_util::io::poll_read_buf;

use super::connection::{CallerContext, Running};

/// A session that has been opened, and the request that is counted for it.
pub(super) struct Opened {
    pub(super) session: Session,
    pub(super) running: Running,
}

/// Both sides of a session.
pub(super) struct Relay<I> {
    // Declared first, dropped first.
    session: Session,
    io: I,
    context: CallerContext,
    /// What the caller said, for the backend.
    up: BytesMut,
    /// What the backend said, for the caller. Behind it may stand a close frame of our own.
    down: Bytes,
    /// Whether nothing more is awaited from the caller: it has sent its close frame, or can't be told to.
    caller_ended: bool,
    /// Whether nothing more comes from the backend: it has sent its close frame, or is closed.
    backend_ended: bool,
    /// Whether the caller was the one to say goodbye.
    left: bool,
    /// Whether what has been written to the caller may be held back by TLS.
    unflushed: bool,
    /// Whether the caller does not take what there is.
    blocked: bool,
    /// Since when one side has had nothing more to say.
    ending: Option<Instant>,
    clock: Option<Pin<Box<Sleep>>>,
    /// Keeps the connection counted as busy.
    _running: Running,
}

/// The caller is gone.
struct Gone;

impl<I: AsyncRead + AsyncWrite + Unpin> Relay<I> {
    /// Goes on where hyper has stopped. `read` is what it had read already.
    pub(super) fn new(io: I, read: &[u8], opened: Opened, context: CallerContext) -> Self {
        let mut relay = Self {
            session: opened.session,
            io,
            context,
            up: BytesMut::from(read),
            down: Bytes::new(),
            caller_ended: false,
            backend_ended: false,
            left: false,
            unflushed: false,
            blocked: false,
            ending: None,
            clock: None,
            _running: opened.running,
        };
        relay.hear_caller();
        relay
    }

    /// Ready when the session is over and its caller has been told. Its meter is in the connection's tail then if the caller
    /// may have all of it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll_end(cx).is_ready() {
            return self.over(cx);
        }
        self.look_at_deadline(cx);
        let mut turn = TURN;
        while turn > 0 {
            let (Ok(up), Ok(down)) = (self.pump_up(cx), self.pump_down(cx)) else {
                self.context.hang_up.mark(Cause::CallerGone);
                self.note_unacknowledged();
                return Poll::Ready(());
            };
            if self.backend_ended && self.caller_ended && self.up.is_empty() {
                self.session.close();
                if self.left {
                    drop(self.session.take_meter());
                }
                if self.down.is_empty() && !self.unflushed {
                    return self.over(cx);
                }
            }
            if up + down == 0 {
                // What has come may have set another deadline, and begun the wait for the end.
                if self.look_at_deadline(cx) {
                    continue;
                }
                return match self.poll_end(cx) {
                    Poll::Ready(()) => self.over(cx),
                    Poll::Pending => Poll::Pending,
                };
            }
            turn = turn.saturating_sub(up + down);
        }
        // Others have theirs first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether a deadline has passed, which ends the session.
    fn look_at_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        if self.caller_ended || self.backend_ended {
            return false;
        }
        let passed = self.session.poll_deadline(cx);
        if let Poll::Ready(error) = &passed {
            self.end_with(error);
        }
        passed.is_ready()
    }

    /// Ends the session for this process's own sake: its backend is closed, and its caller told where it can be.
    pub(super) fn stop(&mut self) {
        if self.ending.is_none() {
            self.note_unacknowledged();
            self.session.abort();
            self.say(GOING_AWAY, "the gateway is going down");
        }
    }

    /// Notes what the caller has not got. To be called before the end of a session that does not come by itself.
    pub(super) fn note_unacknowledged(&mut self) {
        if self.left {
            // What it has not taken it did not want.
            return;
        }
        let unacknowledged = self.context.unacknowledged();
        let whole = unacknowledged == 0 && self.down.is_empty() && self.context.is_flushed();
        if let Some(meter) = self.session.meter().filter(|_| !whole) {
            meter.undelivered(unacknowledged);
        }
    }

    /// From the caller to the backend. How many bytes went on.
    fn pump_up(&mut self, cx: &mut Context<'_>) -> Result<usize, Gone> {
        let mut moved = 0;
        loop {
            while !self.up.is_empty() {
                match self.session.poll_send(cx, &self.up) {
                    Poll::Ready(Ok(sent @ 1..)) => {
                        self.up.advance(sent);
                        moved += sent;
                    }
                    // What it said before is still read, its end among it.
                    Poll::Ready(_) => {
                        moved += self.up.len();
                        self.up.clear();
                    }
                    Poll::Pending => return Ok(moved),
                }
            }
            // An error shows in what is read.
            let _ = self.session.poll_flush(cx);
            if self.caller_ended || moved >= TURN {
                return Ok(moved);
            }
            self.up.reserve(ROOM);
            match poll_read_buf(Pin::new(&mut self.io), cx, &mut self.up) {
                Poll::Ready(Ok(1..)) => self.hear_caller(),
                Poll::Ready(Ok(_) | Err(_)) => return Err(Gone),
                Poll::Pending => {
                    // Most of a session's life is waiting.
                    self.up = BytesMut::new();
                    return Ok(moved);
                }
            }
        }
    }

    /// Looks at what has been read from the caller.
    fn hear_caller(&mut self) {
        let Passed { length, end } = self.session.from_caller(&self.up);
        self.up.truncate(length);
        match end {
            None => {}
            Some(End::Closed(_)) => {
                self.caller_ended = true;
                if !self.backend_ended {
                    self.left = true;
                    self.context.hang_up.mark(Cause::CallerGone);
                }
            }
            Some(End::Wrong(wrong)) => {
                self.say(PROTOCOL_ERROR, wrong.0);
                // Nothing that it says can be understood any more.
                self.caller_ended = true;
            }
        }
    }

    /// From the backend to the caller. How many bytes went on.
    fn pump_down(&mut self, cx: &mut Context<'_>) -> Result<usize, Gone> {
        let mut moved = 0;
        loop {
            match self.write_down(cx) {
                Poll::Ready(written) => moved += written?,
                Poll::Pending => return Ok(moved),
            }
            if self.backend_ended || moved >= TURN {
                return Ok(moved);
            }
            let Poll::Ready(Received { bytes, end }) = self.session.poll_receive(cx) else {
                return Ok(moved);
            };
            self.down = bytes;
            match end {
                None => {}
                Some(Ended::Closed) => self.backend_ended = true,
                Some(Ended::Broke(error)) => self.end_with(&error),
            }
        }
    }

    /// Writes what there is for the caller. Ready when it has taken all.
    fn write_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Gone>> {
        let before = self.down.len();
        self.blocked = true;
        while !self.down.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.down)) {
                Ok(written @ 1..) => {
                    self.down.advance(written);
                    self.unflushed = true;
                    if let Some(meter) = self.session.meter() {
                        meter.delivered(written);
                    }
                }
                _ => return Poll::Ready(Err(Gone)),
            }
        }
        if self.unflushed && ready!(Pin::new(&mut self.io).poll_flush(cx)).is_err() {
            return Poll::Ready(Err(Gone));
        }
        (self.unflushed, self.blocked) = (false, false);
        Poll::Ready(Ok(before))
    }

    /// The backend has been closed; the caller is told why.
    fn end_with(&mut self, error: &WireError) {
        let code = match error.code() {
            Some("timeout_total") => GOING_AWAY,
            _ => BAD_GATEWAY,
        };
        self.say(code, error.message());
    }

    /// Puts a close frame behind what there is for the caller. Where none may stand, inside another frame, the connection ends
    /// without one.
    fn say(&mut self, code: u16, reason: &str) {
        self.backend_ended = true;
        self.up.clear();
        if self.session.is_at_border() {
            self.down = [&*self.down, &close_frame(code, reason)].concat().into();
        } else {
            self.caller_ended = true;
        }
    }

    /// Ready when the last words have been awaited for long enough, or the caller has had the time to take them.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let unread = self.blocked && !self.backend_ended;
        let is_ending =
            self.caller_ended || self.backend_ended || unread && self.session.poll_gone(cx).is_ready();
        if !is_ending {
            self.ending = None;
            return Poll::Pending;
        }
        let since = *self.ending.get_or_insert_with(Instant::now);
        let due = since + if self.blocked && self.left { BLOCKED_TIME } else { CLOSE_TIME };
        let clock = self.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if clock.deadline() != due {
            clock.as_mut().reset(due);
        }
        ready!(clock.as_mut().poll(cx));
        if !self.caller_ended && !self.backend_ended {
            self.session.fail(WireError::truncated(
                "the backend closed the session, whose caller does not take what there is",
            ));
        }
        Poll::Ready(())
    }

    /// The end: of the backend, and of what is said to the caller.
    fn over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let whole = self.down.is_empty() && !self.unflushed;
        if whole && !self.left {
            // Its connection is closed before, or is closed now and was not waited for.
            self.session.reset();
            if let Some(meter) = self.session.take_meter() {
                self.context.tail.push(meter);
            }
        } else {
            self.note_unacknowledged();
            self.session.abort();
        }
        // A socket that refuses is gone already.
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        Poll::Ready(())
    }
}

/// Close codes (RFC 6455, section 7.4.1, and IANA's registry).
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const BAD_GATEWAY: u16 = 1014;
/// How long the answer to a close frame is awaited, and how long its caller may take to take it.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// How long a caller that has said goodbye may take nothing of what comes before the answer.
const BLOCKED_TIME: Duration = Duration::from_millis(100);
/// Bytes in one turn of the connection: as of replies.
const TURN: usize = 32 * 1024;
/// Room for a read, in bytes: for most events.
const ROOM: usize = 8 * 1024;
