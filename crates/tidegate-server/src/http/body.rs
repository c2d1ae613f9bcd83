//! The body of a reply: an exchange being relayed with heartbeats between its events, or bytes that are all there.
//!
//! It owns the exchange and so the backend. When it has given its last byte the call's meter goes to the connection's tail,
//! to be settled when the caller has got it; when it is dropped before, the exchange's own drop settles the call.

use std::{
    fmt,
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tidegate_engine::{Cause, Exchange, Meter};
use tokio::time::{Instant, Sleep};

use crate::caller::{CallerContext, Running};

/// A reply body.
pub(crate) struct ReplyBody {
    kind: Kind,
    /// Keeps the connection counted as busy.
    running: Option<Running>,
}

/// A reply that breaks off where its backend's did: the caller's connection, or its stream, ends without the reply's end.
#[derive(Debug)]
pub(crate) struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the backend's reply broke off")
    }
}

impl std::error::Error for CutShort {}

enum Kind {
    Whole { bytes: Bytes, settle: Option<Box<(Meter, CallerContext)>> },
    Stream(Box<StreamBody>),
}

struct StreamBody {
    exchange: Exchange<Bytes>,
    context: CallerContext,
    heartbeat: Option<Heartbeat>,
    /// The last byte of the reply, a piece of its own over HTTP/2 as in [`take_piece`]. Empty: it has been handed
    /// over, and nothing has been asked for since.
    last: Option<Bytes>,
    /// The reply has broken off, and the caller has not been told: what it is to get is written first.
    broken: bool,
    ended: bool,
}

/// A sign of life while the backend is silent, in the caller's dialect, so that neither the caller nor a proxy on the way takes the stream for dead,
/// and so that a caller that vanished is found out by a write.
struct Heartbeat {
    sign: &'static [u8],
    every: Duration,
    due: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl ReplyBody {
    /// Bytes that belong to no call.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { kind: Kind::Whole { bytes, settle: None }, running: None }
    }

    /// The whole reply of a call.
    pub(crate) fn metered(bytes: Bytes, meter: Meter, context: CallerContext) -> Self {
        Self { kind: Kind::Whole { bytes, settle: Some(Box::new((meter, context))) }, running: None }
    }

    /// A streamed reply. `heartbeat`: how often, and what.
    pub(crate) fn stream(
        exchange: Exchange<Bytes>,
        context: CallerContext,
        heartbeat: Option<(Duration, &'static [u8])>,
    ) -> Self {
        let heartbeat = heartbeat.map(|(every, sign)| Heartbeat::every(every, sign));
        let stream = StreamBody { exchange, context, heartbeat, last: None, broken: false, ended: false };
        Self { kind: Kind::Stream(Box::new(stream)), running: None }
    }

    /// Keeps `running` until the body is dropped.
    pub(crate) fn running(mut self, running: Running) -> Self {
        self.running = Some(running);
        self
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = CutShort;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutShort>>> {
        match &mut self.get_mut().kind {
            Kind::Whole { bytes, settle } => {
                let piece = take_piece(bytes, settle);
                Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
            }
            Kind::Stream(stream) => {
                stream.poll_piece(cx).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole { bytes, settle } => bytes.is_empty() && settle.is_none(),
            Kind::Stream(stream) => stream.ended && !stream.broken,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { bytes, .. } => SizeHint::with_exact(bytes.len() as u64),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

impl Drop for ReplyBody {
    /// A whole reply that was not asked for to its end, mostly because its caller had left.
    fn drop(&mut self) {
        if let Kind::Whole { settle: Some(settle), .. } = &mut self.kind {
            let (meter, context) = &mut **settle;
            meter.undelivered(context.unacknowledged());
        }
    }
}

/// The next piece of a whole reply; empty at its end. The call's meter goes to the tail once all has been taken.
///
/// With HTTP/2, hyper asks for a piece first, waits until the caller's window for the stream admits one byte of it, hands it
/// on whole, and asks for the next one. So the last byte of a stream is a piece of its own: when something is asked for
/// behind it, the window has admitted everything.
fn take_piece(bytes: &mut Bytes, settle: &mut Option<Box<(Meter, CallerContext)>>) -> Bytes {
    let Some((meter, context)) = settle.as_deref_mut() else { return std::mem::take(bytes) };
    let is_stream = context.is_stream();
    let length = if is_stream && bytes.len() > 1 { bytes.len() - 1 } else { bytes.len() };
    meter.delivered(length);
    context.handed_over(length);
    let piece = bytes.split_to(length);
    if (!is_stream || piece.is_empty())
        && let Some((meter, context)) = settle.take().map(|settle| *settle)
    {
        context.tail.push(meter);
    }
    piece
}

impl StreamBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutShort>>> {
        if self.ended {
            return Poll::Ready(if std::mem::take(&mut self.broken) { Some(Err(CutShort)) } else { None });
        }
        match &mut self.last {
            Some(last) if !last.is_empty() => {
                let last = std::mem::take(last);
                self.hand_over(last.len());
                return Poll::Ready(Some(Ok(last)));
            }
            last => *last = None,
        }
        if self.context.is_spent() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.exchange.poll_next(cx) {
            Poll::Ready(Some(Ok(mut bytes))) => {
                if let Some(heartbeat) = &mut self.heartbeat {
                    heartbeat.postpone();
                }
                if self.context.is_stream() && bytes.len() > 1 && self.exchange.is_delivered() {
                    self.last = Some(bytes.split_off(bytes.len() - 1));
                }
                self.hand_over(bytes.len());
                Poll::Ready(Some(Ok(bytes)))
            }
            // A stream's errors come as its last items. One that has no form for them has no end either.
            Poll::Ready(Some(Err(_))) => {
                self.end();
                self.broken = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Pending => match &mut self.heartbeat {
                Some(heartbeat) => heartbeat.poll(cx).map(|()| Some(Ok(Bytes::from_static(heartbeat.sign)))),
                None => Poll::Pending,
            },
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if let Some(meter) = self.exchange.take_meter() {
            self.context.tail.push(meter);
        }
    }

    fn hand_over(&mut self, length: usize) {
        self.context.handed_over(length);
        if let Some(meter) = self.exchange.meter() {
            meter.delivered(length);
        }
    }
}

impl Drop for StreamBody {
    /// A reply cut short: how much of what was handed over never reached the caller.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // A reset of one HTTP/2 stream shows nowhere else; whatever came first counts.
        self.context.hang_up.mark(Cause::CallerGone);
        let is_held_back = self.last.is_some();
        if let Some(meter) = self.exchange.meter() {
            let unacknowledged = self.context.unacknowledged();
            if is_held_back || unacknowledged > 0 || !self.context.is_flushed() {
                meter.undelivered(unacknowledged);
            }
        }
    }
}

impl Heartbeat {
    fn every(every: Duration, sign: &'static [u8]) -> Self {
        Self { sign, every, due: Instant::now() + every, sleep: None }
    }

    fn postpone(&mut self) {
        self.due = Instant::now() + self.every;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= self.due {
                self.due = Instant::now() + self.every;
                sleep.as_mut().reset(self.due);
                // Registers for the next one; it is not due yet.
                let _ = sleep.as_mut().poll(cx);
                return Poll::Ready(());
            }
            sleep.as_mut().reset(self.due);
        }
        Poll::Pending
    }
}
