//! HTTP/2 over the `h2` server: one task per stream, which watches for its own reset and for the connection's loss.
//!
//! A frame is one DATA frame as far as the peer's window and frame size allow. "Written" means handed to the connection
//! within the peer's window.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::request::Parts;
use http::{Request, Response};
use tokio::task::JoinSet;

use crate::control;
use crate::journal::{Call, ClosedHow, Phase};
use crate::plan::Head;
use crate::play::{Outlet, play};
use crate::provider::Order;
use crate::simulator::Context;
use crate::socket::Prefixed;

/// Serves one connection until either side closes it.
pub(crate) async fn serve(io: Prefixed, accepted_ns: u64, context: Arc<Context>) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(MAX_STREAMS).max_header_list_size(MAX_HEADER_LIST);
    if let Some(window) = context.http2_window {
        builder.initial_window_size(window).initial_connection_window_size(window.max(DEFAULT_WINDOW));
    }
    let Ok(connection) = builder.handshake(io).await else { return };
    // Dropping the set ends the streams' tasks with the connection; each notes what it knows by then.
    accept(connection, accepted_ns, context, &mut JoinSet::new()).await;
}

async fn accept(
    mut connection: Connection<Prefixed, Bytes>,
    accepted_ns: u64,
    context: Arc<Context>,
    streams: &mut JoinSet<()>,
) {
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    streams.spawn(serve_stream(request, respond, accepted_ns, Arc::clone(&context)));
                }
                // The streams have been told of the loss; they finish their records by themselves.
                Some(Err(_)) | None => break,
            },
            Some(_) = streams.join_next(), if !streams.is_empty() => {}
        }
    }
    drop(connection);
    while streams.join_next().await.is_some() {}
}

async fn serve_stream(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    accepted_ns: u64,
    context: Arc<Context>,
) {
    let (parts, body) = request.into_parts();
    let mut stream = Stream { respond, body: None };
    if parts.uri.path().starts_with("/_sim/") {
        let (head, text) = control::answer(&parts, &context.journal);
        // The peer may have gone; nobody keeps a record of control requests.
        let _gone = stream.whole(&head, text.as_bytes()).await;
        return;
    }
    let call = context.journal.begin("2", accepted_ns);
    match stream.call(&parts, body, &call, &context).await {
        Ok(true) => drop(call.complete()),
        Ok(false) => {}
        Err(how) => call.closed(how),
    }
}

struct Stream {
    respond: SendResponse<Bytes>,
    /// The response's body, once the head has been sent.
    body: Option<SendStream<Bytes>>,
}

impl Stream {
    /// Serves one call; says whether its response is complete.
    async fn call(
        &mut self,
        parts: &Parts,
        body: RecvStream,
        call: &Call,
        context: &Context,
    ) -> Result<bool, ClosedHow> {
        let order = Order::take(parts, &context.scenario);
        order.note(call);
        let body = self.read(body, &order, call).await?;
        call.update(|seen| seen.body_ns = Some(crate::clock::monotonic_ns()));
        let plan = order.plan(&body, context.replay.as_deref(), call);
        drop(body);
        let end = play(&plan, self, call).await?;
        if end == crate::play::End::Cut && self.body.is_some() {
            // HTTP/2 has no other early end than a reset, or an end of stream that comes too soon.
            let _gone = self.end().await;
        }
        Ok(end == crate::play::End::Complete)
    }

    async fn read(&mut self, mut body: RecvStream, order: &Order, call: &Call) -> Result<Bytes, ClosedHow> {
        let (delay, never) = order.reading();
        if never {
            call.phase(Phase::ReadingRequest);
            return Err(self.closed().await);
        }
        let mut whole = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data.map_err(|error| reset_by(&error))?;
            whole.extend_from_slice(&data);
            call.update(|seen| seen.request_bytes = whole.len() as u64);
            if !delay.is_zero() {
                tokio::select! {
                    biased;
                    how = self.closed() => return Err(how),
                    () = tokio::time::sleep(delay) => {}
                }
            }
            body.flow_control().release_capacity(data.len()).map_err(|error| reset_by(&error))?;
        }
        Ok(whole.freeze())
    }

    fn send_head(
        &mut self,
        head: &Head,
        length: Option<usize>,
        end: bool,
    ) -> Result<SendStream<Bytes>, ClosedHow> {
        let mut response = Response::builder().status(head.status);
        for (name, value) in &head.headers {
            response = response.header(name.as_ref(), value.as_ref());
        }
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        // Only a recorded header that HTTP does not allow cannot be built; the caller sees a reset then.
        let response = response.body(()).map_err(|_| ClosedHow::H2Lost)?;
        self.respond.send_response(response, end).map_err(|error| reset_by(&error))
    }
}

impl Outlet for Stream {
    async fn closed(&mut self) -> ClosedHow {
        let reset = match &mut self.body {
            Some(body) => poll_fn(|cx| body.poll_reset(cx)).await,
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
        match reset {
            Ok(reason) => ClosedHow::H2Reset(u32::from(reason)),
            Err(error) => reset_by(&error),
        }
    }

    async fn head(&mut self, head: &Head, length: Option<usize>) -> Result<(), ClosedHow> {
        self.body = Some(self.send_head(head, length, false)?);
        Ok(())
    }

    async fn whole(&mut self, head: &Head, body: &[u8]) -> Result<(), ClosedHow> {
        let mut stream = self.send_head(head, Some(body.len()), body.is_empty())?;
        let sent = match body.is_empty() {
            true => Ok(()),
            false => stream.send_data(Bytes::copy_from_slice(body), true).map_err(|error| reset_by(&error)),
        };
        self.body = Some(stream);
        sent
    }

    async fn write(&mut self, bytes: &[u8], call: &Call, deaf: bool) -> Result<(), ClosedHow> {
        let Some(stream) = &mut self.body else { return Err(ClosedHow::H2Lost) };
        let mut rest = Bytes::copy_from_slice(bytes);
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            if stream.capacity() == 0 {
                call.phase(Phase::Blocked);
                wait_for_capacity(stream, deaf).await?;
            }
            let count = stream.capacity().min(rest.len());
            if stream.send_data(rest.split_to(count), false).is_err() {
                // The error says only that the stream is gone; how it went, the stream itself still knows.
                return Err(self.closed().now_or_never().unwrap_or(ClosedHow::H2Lost));
            }
        }
        // Let the connection's task write this frame out before the next one is made.
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn end(&mut self) -> Result<(), ClosedHow> {
        let Some(stream) = &mut self.body else { return Ok(()) };
        stream.send_data(Bytes::new(), true).map_err(|error| reset_by(&error))
    }

    fn reset(&mut self) {
        match self.body.take() {
            Some(mut body) => body.send_reset(Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}

/// Waits for window. A reset ends the wait either way, since nothing can be written to a stream that is gone.
async fn wait_for_capacity(stream: &mut SendStream<Bytes>, deaf: bool) -> Result<(), ClosedHow> {
    poll_fn(|cx| {
        if !deaf && let std::task::Poll::Ready(reset) = stream.poll_reset(cx) {
            let how =
                reset.map_or_else(|error| reset_by(&error), |reason| ClosedHow::H2Reset(u32::from(reason)));
            return std::task::Poll::Ready(Err(how));
        }
        stream.poll_capacity(cx).map(|capacity| match capacity {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(reset_by(&error)),
            None => Err(ClosedHow::H2Lost),
        })
    })
    .await
}

fn reset_by(error: &h2::Error) -> ClosedHow {
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => ClosedHow::H2Reset(u32::from(reason)),
        _ => ClosedHow::H2Lost,
    }
}

/// More than any test opens on one connection.
const MAX_STREAMS: u32 = 20_000;
const MAX_HEADER_LIST: u32 = 64 << 10;
/// What RFC 9113 starts every connection with; a connection window cannot begin smaller.
const DEFAULT_WINDOW: u32 = 65_535;
