//! A session with a backend over WebSocket, under the hang-up contract: opened like any call, and then two streams of frames
//! that somebody relays.
//!
//! [`Engine::open_session`] connects, asks for the change of protocol, and checks the answer; [`Session`] is the backend's side
//! of what follows, and owns the connection. It looks at what passes, keeps the deadlines and the meter, and never touches the
//! caller's side: whoever relays owns both. Dropping either one closes the backend at once.

use std::{
    io,
    os::fd::AsFd as _,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tidegate_wire::{
    ErrorClass, WireError,
    outbound::Outbound,
    realtime::{Close, End, Observer, Passed},
    websocket,
};
use tokio::{io::Interest, net::TcpStream, time::Instant};

use crate::{
    Clocks, Engine, Target,
    clocks::{Alarm, Clock},
    connection::{Body, H1Connection, Head, broken},
    exchange::{Failure, refusal},
    meter::Meter,
};

impl Engine {
    /// Opens a session with `target`. `outbound` asks for it, complete but for its key; `observer` looks at what passes.
    ///
    /// # Errors
    /// What went wrong, with blame and retry; the meter has noted it and settles when this returns.
    ///
    /// # Cancel safety
    /// Dropping the future, in whatever phase, closes what has been opened and settles the call as given up.
    pub async fn open_session(
        &self,
        target: &Target,
        mut outbound: Outbound,
        observer: Observer,
        mut meter: Meter,
    ) -> Result<Session, WireError> {
        let mut alarm = Alarm::new(meter.started().into(), &target.clocks);
        alarm.set(Clock::Connect, Instant::now(), target.clocks.connect);
        meter.sending(target.endpoint.host.name, target.endpoint.host.abort_stops_billing, 0);
        match self.shake_hands(target, &mut outbound, &mut alarm, &mut meter).await {
            Ok(connection) => {
                meter.status(StatusCode::SWITCHING_PROTOCOLS.as_u16());
                let mut session = Session {
                    connection: Some(connection),
                    watch: None,
                    observer,
                    alarm,
                    clocks: target.clocks,
                    paused: false,
                    pace: Pace::Quiet,
                    heard: 0,
                    decided: false,
                    meter: Some(meter),
                };
                session.arm();
                Ok(session)
            }
            Err(Failure { error, clock }) => {
                meter.refused_by(&error, clock);
                Err(error)
            }
        }
    }

    async fn shake_hands(
        &self,
        target: &Target,
        outbound: &mut Outbound,
        alarm: &mut Alarm,
        meter: &mut Meter,
    ) -> Result<H1Connection, Failure> {
        let key = new_key()?;
        outbound.headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::try_from(&key).map_err(no_key)?);
        let (head, body) = self.send(target, outbound, alarm, meter).await?;
        if !head.status.is_success() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Box::pin(refusal(target, head, body, alarm)).await);
        }
        let Head { status, headers } = head;
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(WireError::protocol("the backend answers a realtime session like any request").into());
        }
        check(&headers.into_map(), &key)?;
        match body {
            Body::H1(body) => Ok(body.into_connection()),
            Body::H2(_) | Body::Ended => {
                Err(WireError::protocol("the backend changes the protocol of a shared connection").into())
            }
        }
    }
}

fn new_key() -> Result<String, WireError> {
    let mut nonce = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut nonce).map_err(|_| WireError::new(ErrorClass::Internal, "there are no random bytes"))?;
    Ok(websocket::new_key(nonce))
}

fn no_key(error: impl std::fmt::Display) -> WireError {
    WireError::new(ErrorClass::Internal, format!("the session has no key: {error}"))
}

/// Looks at what a backend says along with 101 (RFC 6455, section 4.1).
fn check(headers: &HeaderMap, key: &str) -> Result<(), WireError> {
    let is = |name: HeaderName, expected: &str| {
        headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(expected.as_bytes()))
    };
    let accepted = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    let expected = websocket::accept_key(key.as_bytes());
    let wrong = if !is(header::UPGRADE, "websocket") {
        "it is none to WebSocket"
    } else if accepted.is_none_or(|value| value.as_bytes() != expected.as_bytes()) {
        "it does not answer the request's key"
    } else if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        "it has extensions that were not offered"
    } else if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        "it has a subprotocol that was not offered"
    } else {
        return Ok(());
    };
    Err(WireError::protocol(format!("the backend's change of protocol is not as it should be: {wrong}")))
}

/// The backend's side of an open session.
///
/// # Cancel safety
/// Dropping it closes the backend and then settles the call.
pub struct Session {
    // Declared first, dropped first: the backend is closed before the meter looks at the clock. `None`: it is.
    connection: Option<H1Connection>,
    /// Tells of the backend's end while nothing is read.
    watch: Option<Watch>,
    observer: Observer,
    alarm: Alarm,
    clocks: Clocks,
    /// Whether nothing is read because the caller takes nothing: the backend's silence is not its own then.
    paused: bool,
    pace: Pace,
    /// Events with generated content up to now.
    heard: u64,
    /// Whether it is known how the session ended.
    decided: bool,
    meter: Option<Meter>,
}

/// Knows of the backend's end while nothing is read. Has a descriptor of its own, since the connection's readiness is that of
/// its reads: it waits for priority data, which never comes, or for the end.
enum Watch {
    Open(Pin<Box<dyn Future<Output = ()> + Send>>),
    Closed,
}

impl Watch {
    fn over(tcp: &TcpStream) -> io::Result<Self> {
        let tcp = TcpStream::from_std(tcp.as_fd().try_clone_to_owned()?.into())?;
        Ok(Self::Open(Box::pin(async move {
            // An error means that the runtime is shutting down.
            let _ = tcp.ready(Interest::PRIORITY).await;
        })))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Open(closed) = self {
            ready!(closed.as_mut().poll(cx));
            *self = Self::Closed;
        }
        Poll::Ready(())
    }
}

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// No response is under way.
    Quiet,
    /// One has begun, and nothing of it has come.
    Awaited,
    Flowing,
}

/// What came from the backend.
#[derive(Debug)]
pub struct Received {
    /// For the caller.
    pub bytes: Bytes,
    /// Whether the session ends behind them.
    pub end: Option<Ended>,
}

/// How a backend ended a session.
#[derive(Debug)]
pub enum Ended {
    /// With the close frame that is the last of its bytes. It waits for the caller's.
    Closed,
    /// It broke, and has been closed.
    Broke(WireError),
}

impl Session {
    /// What comes next from the backend. Pending for ever once it is closed.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        if std::mem::take(&mut self.paused) {
            self.arm();
        }
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        let Poll::Ready(received) = connection.poll_bytes(cx) else { return Poll::Pending };
        let mut bytes = match received {
            Ok(bytes) if bytes.is_empty() => {
                let error = WireError::truncated("the backend closed the session without a close frame");
                return Poll::Ready(self.broke(Bytes::new(), error));
            }
            Ok(bytes) => bytes,
            Err(error) => {
                let error = broken("the session with the backend broke off", error);
                return Poll::Ready(self.broke(Bytes::new(), error));
            }
        };
        let Passed { length, end } = self.observer.backend(&bytes);
        bytes.truncate(length);
        self.note_content();
        Poll::Ready(match end {
            None => Received { bytes, end: None },
            Some(End::Closed(close)) => {
                self.note_close(&close);
                Received { bytes, end: Some(Ended::Closed) }
            }
            Some(End::Wrong(wrong)) => {
                self.broke(bytes, WireError::protocol(format!("of the backend's session, {}", wrong.0)))
            }
        })
    }

    /// Looks at what came from the caller. Of a caller that breaks the protocol the backend is closed.
    pub fn from_caller(&mut self, bytes: &[u8]) -> Passed {
        let passed = self.observer.caller(bytes);
        match &passed.end {
            None => {}
            Some(End::Closed(_)) => {
                // One that leaves while the model answers has hung up, which its connection notes.
                if self.observer.is_responding() {
                    self.decided = true;
                } else {
                    self.complete();
                }
            }
            Some(End::Wrong(wrong)) => {
                self.fail(WireError::bad_request(format!("of the caller's session, {}", wrong.0)));
            }
        }
        passed
    }

    /// Writes to the backend.
    ///
    /// # Errors
    /// It takes nothing any more. What it said before is still to be read.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.connection {
            Some(connection) => connection.poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Sees to it that what has been written is on its way.
    ///
    /// # Errors
    /// As of [`Session::poll_send`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.as_mut().map_or(Poll::Ready(Ok(())), |connection| connection.poll_flush(cx))
    }

    /// To be asked instead of [`Session::poll_receive`] while the caller takes nothing: ready once the backend has closed or
    /// reset, whatever of it is unread. Its deadlines but the total one wait meanwhile.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.paused, true) {
            self.alarm.set(Clock::Total, Instant::now(), self.clocks.total);
        }
        let Some(connection) = &self.connection else { return Poll::Ready(()) };
        if self.watch.is_none() {
            self.watch = Watch::over(connection.stream().tcp()).ok();
        }
        match &mut self.watch {
            Some(watch) => watch.poll(cx),
            None => Poll::Pending,
        }
    }

    /// Ready when a deadline has passed: the backend is closed then.
    pub fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<WireError> {
        if self.connection.is_none() {
            return Poll::Pending;
        }
        self.alarm.poll(cx).map(|(clock, allowed)| {
            let error = clock.error(allowed);
            self.close_with(&error, Some(clock));
            error
        })
    }

    /// Whether the bytes so far were whole frames, so that the caller may be told something of our own behind them.
    pub fn is_at_border(&self) -> bool {
        self.observer.is_at_border()
    }

    /// Closes the backend at once and settles the call, as given up if nothing has been noted.
    pub fn abort(&mut self) {
        self.reset();
        drop(self.take_meter());
    }

    /// Closes the backend at once.
    pub fn reset(&mut self) {
        self.connection = None;
        self.watch = None;
    }

    /// Closes the backend at once, for `error`.
    pub fn fail(&mut self, error: WireError) {
        self.close_with(&error, None);
    }

    /// Closes the backend in good order: both sides have said goodbye.
    pub fn close(&mut self) {
        self.watch = None;
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    /// The call's meter.
    pub fn meter(&mut self) -> Option<&mut Meter> {
        self.meter.as_mut()
    }

    /// Takes the meter of a session that is over, to settle the call later (when the caller has got it all).
    pub fn take_meter(&mut self) -> Option<Meter> {
        self.note_progress();
        self.meter.take()
    }

    fn broke(&mut self, bytes: Bytes, error: WireError) -> Received {
        self.close_with(&error, None);
        Received { bytes, end: Some(Ended::Broke(error)) }
    }

    fn close_with(&mut self, error: &WireError, clock: Option<Clock>) {
        self.reset();
        self.decide(|meter| meter.failed_by(error, clock));
    }

    fn note_close(&mut self, close: &Close) {
        let error = match (close.is_orderly(), self.observer.is_responding()) {
            (true, false) => return self.complete(),
            (true, true) => WireError::truncated("the backend ended the session inside a response"),
            (false, _) => close.error(),
        };
        self.decide(|meter| meter.failed_by(&error, None));
    }

    /// The session has done what it was for.
    fn complete(&mut self) {
        self.decide(|meter| meter.answered(true));
    }

    /// Notes how the session ended. What comes first counts; of a caller that has said goodbye nothing that comes behind it.
    fn decide(&mut self, note: impl FnOnce(&mut Meter)) {
        if std::mem::replace(&mut self.decided, true) {
            return;
        }
        if let Some(meter) = &mut self.meter {
            note(meter);
        }
    }

    fn note_content(&mut self) {
        let heard = self.observer.progress().content_events;
        if self.heard == 0
            && heard > 0
            && let Some(meter) = &mut self.meter
        {
            meter.first_token();
        }
        let flows = heard > std::mem::replace(&mut self.heard, heard) || self.pace == Pace::Flowing;
        let before = self.pace;
        self.pace = match self.observer.is_responding() {
            false => Pace::Quiet,
            true if flows => Pace::Flowing,
            true => Pace::Awaited,
        };
        // What only announces a response does not count.
        if self.pace != Pace::Awaited || self.pace != before {
            self.arm();
        }
    }

    /// Sets the deadline that counts from now on. A session in which nothing is under way may be silent for as long as it may
    /// last.
    fn arm(&mut self) {
        let Clocks { first_token, idle, total, .. } = self.clocks;
        let (clock, allowed) = match self.pace {
            Pace::Quiet => (Clock::Total, total),
            Pace::Awaited => (Clock::FirstToken, first_token),
            Pace::Flowing => (Clock::Idle, idle),
        };
        self.alarm.set(clock, Instant::now(), allowed);
    }

    fn note_progress(&mut self) {
        if let Some(meter) = &mut self.meter {
            meter.sent(self.observer.has_begun());
            meter.asked_bytes(self.observer.prompt_bytes());
            meter.progressed(self.observer.take_progress());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reset();
        self.note_progress();
    }
}
