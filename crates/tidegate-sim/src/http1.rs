//! HTTP/1.1, written by hand over the raw socket so that every byte and every write is the simulator's own choice.
//!
//! One HTTP chunk per frame, each written and flushed by itself. No pipelining: bytes that come before the answer is
//! complete are kept for the next request. Garbage is answered with 400 and a close.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Version};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::control;
use crate::journal::{Call, ClosedHow, Phase, Settled};
use crate::plan::{Head, Plan};
use crate::play::{End, Outlet, play};
use crate::provider::Order;
use crate::realtime;
use crate::simulator::Context;
use crate::socket::{Tcp, Transport, closed_by};

/// Serves one connection until either side closes it. `read` is what has been read from it already.
pub(crate) async fn serve(transport: Transport, read: BytesMut, accepted_ns: u64, context: Arc<Context>) {
    let tcp = transport.tcp();
    let mut connection = Connection { transport, tcp, read, out: Vec::with_capacity(1024), chunked: false };
    let mut last: Option<Settled> = None;
    loop {
        let parts = match connection.head().await {
            Ok(parts) => parts,
            Err(Stop::Closed(how)) => {
                if let Some(settled) = &last {
                    settled.closed(how);
                }
                return;
            }
            Err(Stop::Refused(status)) => return connection.refuse(status).await,
        };
        let keep_alive = wants_keep_alive(&parts);
        if parts.uri.path().starts_with("/_sim/") {
            if connection.control(&parts, &context).await.is_err() || !keep_alive {
                return;
            }
            continue;
        }
        match connection.call(&parts, accepted_ns, &context).await {
            Some(settled) if keep_alive => last = Some(settled),
            _ => return,
        }
    }
}

struct Connection {
    transport: Transport,
    tcp: Tcp,
    /// Bytes read and not yet used.
    read: BytesMut,
    /// Bytes of the write being put together; kept to save allocations.
    out: Vec<u8>,
    /// Whether the response under way is chunked.
    chunked: bool,
}

/// Why a request cannot be served.
enum Stop {
    Closed(ClosedHow),
    Refused(u16),
}

impl Connection {
    /// Serves one call. `None` if the connection must close.
    async fn call(&mut self, parts: &Parts, accepted_ns: u64, context: &Context) -> Option<Settled> {
        let call = context.journal.begin("1.1", accepted_ns);
        let order = Order::take(parts, &context.scenario);
        order.note(&call);
        if order.is_realtime() {
            return self.session(parts, order, call).await;
        }
        let body = match self.body(parts, &order, &call).await {
            Ok(body) => body,
            Err(Stop::Closed(how)) => {
                call.closed(how);
                return None;
            }
            Err(Stop::Refused(status)) => {
                self.refuse(status).await;
                return None;
            }
        };
        call.update(|seen| seen.body_ns = Some(crate::clock::monotonic_ns()));
        let plan = order.plan(&body, context.replay.as_deref(), &call);
        drop(body);
        match play(&plan, self, &call).await {
            Ok(End::Complete) => Some(call.complete()),
            Ok(End::Cut) => None,
            Err(how) => {
                call.closed(how);
                None
            }
        }
    }

    /// Serves a session over WebSocket, or refuses it. `None` if the connection must close.
    async fn session(&mut self, parts: &Parts, order: Order, call: Call) -> Option<Settled> {
        let script = match (realtime::switching(&parts.headers), order.session(&call)) {
            (Some(head), Ok(script)) => Ok((head, script)),
            (_, Err(plan)) => Err(plan),
            (None, Ok(_)) => Err(Box::new(Plan::prompt_answer(Head::new(426, "text/plain"), ""))),
        };
        let (head, script) = match script {
            Ok(accepted) => accepted,
            Err(plan) => return play(&plan, self, &call).await.ok().map(|_| call.complete()),
        };
        call.rest();
        tokio::select! {
            biased;
            how = self.tcp.closed() => {
                call.closed(how);
                return None;
            }
            () = tokio::time::sleep(script.headers_delay()) => {}
        }
        if let Err(how) = self.write_all(head.as_bytes()).await {
            call.closed(how);
            return None;
        }
        call.update(|seen| {
            seen.headers_ns = Some(crate::clock::monotonic_ns());
            seen.status = Some(101);
        });
        call.rest();
        let tcp = self.tcp.clone();
        realtime::serve(&mut self.transport, &tcp, &mut self.read, script, &call).await;
        None
    }

    async fn control(&mut self, parts: &Parts, context: &Context) -> Result<(), Stop> {
        self.plain_body(parts).await?;
        let (head, body) = control::answer(parts, &context.journal);
        self.whole(&head, body.as_bytes()).await.map_err(Stop::Closed)
    }

    /// Reads a request's head.
    async fn head(&mut self) -> Result<Parts, Stop> {
        loop {
            if let Some(parts) = self.parse_head()? {
                return Ok(parts);
            }
            if self.read.len() > MAX_HEAD {
                return Err(Stop::Refused(431));
            }
            self.fill().await?;
        }
    }

    fn parse_head(&mut self) -> Result<Option<Parts>, Stop> {
        if self.read.is_empty() {
            return Ok(None);
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut headers);
        let length = match parsed.parse(&self.read) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Stop::Refused(400)),
        };
        let mut request = Request::builder()
            .method(parsed.method.unwrap_or_default())
            .uri(parsed.path.unwrap_or_default())
            .version(if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 });
        for header in parsed.headers.iter() {
            request = request.header(header.name, header.value);
        }
        let request = request.body(()).map_err(|_| Stop::Refused(400))?;
        self.read.advance(length);
        Ok(Some(request.into_parts().0))
    }

    /// Reads a request's body as the scenario has it: at once, slowly, or never.
    async fn body(&mut self, parts: &Parts, order: &Order, call: &Call) -> Result<Bytes, Stop> {
        let (read_delay, never_read) = order.reading();
        if never_read {
            call.phase(Phase::ReadingRequest);
            return Err(Stop::Closed(self.tcp.closed().await));
        }
        if read_delay.is_zero() {
            let body = self.plain_body(parts).await?;
            call.update(|seen| seen.request_bytes = body.len() as u64);
            return Ok(body);
        }
        let mut reader = BodyReader::of(parts)?;
        let mut body = BytesMut::new();
        while !reader.take(&mut self.read, &mut body)? {
            tokio::select! {
                biased;
                how = self.tcp.closed() => return Err(Stop::Closed(how)),
                () = tokio::time::sleep(read_delay) => {}
            }
            self.fill().await?;
            call.update(|seen| seen.request_bytes = body.len() as u64);
        }
        Ok(body.freeze())
    }

    async fn plain_body(&mut self, parts: &Parts) -> Result<Bytes, Stop> {
        let mut reader = BodyReader::of(parts)?;
        if parts
            .headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
        {
            self.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(Stop::Closed)?;
        }
        let mut body = BytesMut::new();
        while !reader.take(&mut self.read, &mut body)? {
            self.fill().await?;
        }
        Ok(body.freeze())
    }

    /// Reads once, at most 16 KiB.
    async fn fill(&mut self) -> Result<(), Stop> {
        self.read.reserve(READ_AT_ONCE);
        let mut limited = (&mut self.transport).take(READ_AT_ONCE as u64);
        match limited.read_buf(&mut self.read).await {
            Ok(0) => Err(Stop::Closed(ClosedHow::Fin)),
            Ok(_) => Ok(()),
            Err(error) => Err(Stop::Closed(closed_by(&error))),
        }
    }

    async fn refuse(&mut self, status: u16) {
        let text =
            format!("HTTP/1.1 {status} {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", reason(status));
        // The peer may be gone by now, and the connection closes either way.
        let _gone = self.write_all(text.as_bytes()).await;
    }

    /// Writes all of `bytes` unless the peer closes first.
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), ClosedHow> {
        match write_some(&mut self.transport, bytes).await {
            Ok((written, true)) if written == bytes.len() => Ok(()),
            Ok((written, _)) => {
                let rest = bytes.get(written..).unwrap_or_default();
                write_rest(&mut self.transport, &self.tcp, rest, false).await
            }
            Err(error) => Err(closed_by(&error)),
        }
    }

    fn encode_head(&mut self, head: &Head, length: Option<usize>) {
        self.out.clear();
        let mut text = String::with_capacity(768);
        // Writing to a string does not fail.
        let _infallible = write!(text, "HTTP/1.1 {} {}\r\n", head.status, reason(head.status));
        for (name, value) in &head.headers {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        }
        let _infallible = match length {
            Some(length) => write!(text, "content-length: {length}\r\n\r\n"),
            None => write!(text, "transfer-encoding: chunked\r\n\r\n"),
        };
        self.chunked = length.is_none();
        self.out.extend_from_slice(text.as_bytes());
    }

    async fn write_out(&mut self) -> Result<(), ClosedHow> {
        let out = std::mem::take(&mut self.out);
        let result = self.write_all(&out).await;
        self.out = out;
        result
    }
}

impl Outlet for Connection {
    async fn closed(&mut self) -> ClosedHow {
        self.tcp.closed().await
    }

    async fn head(&mut self, head: &Head, length: Option<usize>) -> Result<(), ClosedHow> {
        self.encode_head(head, length);
        self.write_out().await
    }

    async fn whole(&mut self, head: &Head, body: &[u8]) -> Result<(), ClosedHow> {
        self.encode_head(head, Some(body.len()));
        self.out.extend_from_slice(body);
        self.write_out().await
    }

    async fn write(&mut self, bytes: &[u8], call: &Call, deaf: bool) -> Result<(), ClosedHow> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        if self.chunked {
            chunk_head(bytes.len(), &mut out);
            out.extend_from_slice(bytes);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(bytes);
        }
        let result = match write_some(&mut self.transport, &out).await {
            Ok((written, true)) if written == out.len() => Ok(()),
            Ok((written, _)) => {
                call.phase(Phase::Blocked);
                let rest = out.get(written..).unwrap_or_default();
                write_rest(&mut self.transport, &self.tcp, rest, deaf).await
            }
            Err(error) => Err(closed_by(&error)),
        };
        self.out = out;
        result
    }

    async fn end(&mut self) -> Result<(), ClosedHow> {
        if self.chunked { self.write_all(b"0\r\n\r\n").await } else { Ok(()) }
    }

    fn reset(&mut self) {
        self.tcp.reset_on_close();
    }
}

/// Writes what goes without waiting; says how much that was, and whether TLS has passed all of it on.
async fn write_some(transport: &mut Transport, bytes: &[u8]) -> io::Result<(usize, bool)> {
    poll_fn(|cx| {
        let written = match Pin::new(&mut *transport).poll_write(cx, bytes) {
            Poll::Ready(result) => result?,
            Poll::Pending => 0,
        };
        let flushed = Pin::new(&mut *transport).poll_flush(cx)?.is_ready();
        Poll::Ready(Ok((written, flushed)))
    })
    .await
}

/// Writes the rest of something, which may wait for the peer to read. Unless `deaf`, the peer's close ends the wait.
async fn write_rest(
    transport: &mut Transport,
    tcp: &Tcp,
    mut rest: &[u8],
    deaf: bool,
) -> Result<(), ClosedHow> {
    let write = async {
        while !rest.is_empty() {
            let written = poll_fn(|cx| Pin::new(&mut *transport).poll_write(cx, rest)).await?;
            rest = rest.get(written..).unwrap_or_default();
        }
        poll_fn(|cx| Pin::new(&mut *transport).poll_flush(cx)).await
    };
    tokio::select! {
        biased;
        how = tcp.closed(), if !deaf => Err(how),
        result = write => result.map_err(|error| closed_by(&error)),
    }
}

fn chunk_head(length: usize, into: &mut Vec<u8>) {
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (length >> (place * 4)) & 0xf;
        into.push(HEXADECIMAL.get(digit).copied().unwrap_or(b'0'));
    }
    into.extend_from_slice(b"\r\n");
}

const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";

/// Takes a request's body out of the bytes read.
enum BodyReader {
    Length(usize),
    /// Bytes still to come of the present chunk; `None` before a chunk's size.
    Chunked(Option<usize>),
}

impl BodyReader {
    fn of(parts: &Parts) -> Result<Self, Stop> {
        let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
        match (parts.headers.get(TRANSFER_ENCODING), parts.headers.get(CONTENT_LENGTH)) {
            (Some(coding), _) if chunked(coding) => Ok(Self::Chunked(None)),
            (Some(_), _) => Err(Stop::Refused(501)),
            (None, None) => Ok(Self::Length(0)),
            (None, Some(length)) => {
                let length = length.to_str().ok().and_then(|text| text.parse().ok());
                match length {
                    Some(length) if length <= MAX_BODY => Ok(Self::Length(length)),
                    Some(_) => Err(Stop::Refused(413)),
                    None => Err(Stop::Refused(400)),
                }
            }
        }
    }

    /// Moves what belongs to the body from `read` to `body`; says whether the body is complete.
    fn take(&mut self, read: &mut BytesMut, body: &mut BytesMut) -> Result<bool, Stop> {
        match self {
            Self::Length(length) => {
                let count = read.len().min(length.saturating_sub(body.len()));
                if body.is_empty() {
                    *body = read.split_to(count);
                } else {
                    body.extend_from_slice(&read.split_to(count));
                }
                Ok(body.len() == *length)
            }
            Self::Chunked(rest) => Self::take_chunks(rest, read, body),
        }
    }

    fn take_chunks(rest: &mut Option<usize>, read: &mut BytesMut, body: &mut BytesMut) -> Result<bool, Stop> {
        loop {
            let Some(left) = rest else {
                match httparse::parse_chunk_size(read) {
                    Ok(httparse::Status::Complete((used, size))) => {
                        let size = usize::try_from(size).unwrap_or(usize::MAX);
                        if size > MAX_BODY.saturating_sub(body.len()) {
                            return Err(Stop::Refused(413));
                        }
                        read.advance(used);
                        // The CRLF after a chunk's data counts as its last two bytes; the last chunk ends with one too.
                        *rest = Some(size + 2);
                        if size == 0 {
                            return Self::last_chunk(rest, read);
                        }
                    }
                    Ok(httparse::Status::Partial) => return Ok(false),
                    Err(_) => return Err(Stop::Refused(400)),
                }
                continue;
            };
            if read.is_empty() {
                return Ok(false);
            }
            if *left <= 2 {
                let crlf = read.len().min(*left);
                read.advance(crlf);
                *left -= crlf;
            } else {
                let count = read.len().min(*left - 2);
                body.extend_from_slice(&read.split_to(count));
                *left -= count;
            }
            if *left == 0 {
                *rest = None;
            }
        }
    }

    /// After the last chunk: its CRLF. Trailers are not taken.
    fn last_chunk(rest: &mut Option<usize>, read: &mut BytesMut) -> Result<bool, Stop> {
        if read.len() < 2 {
            *rest = None;
            // Put the size back so that the next read sees it again whole.
            let mut again = BytesMut::from(&b"0\r\n"[..]);
            again.extend_from_slice(read);
            *read = again;
            return Ok(false);
        }
        if !read.starts_with(b"\r\n") {
            return Err(Stop::Refused(400));
        }
        read.advance(2);
        Ok(true)
    }
}

fn wants_keep_alive(parts: &Parts) -> bool {
    let connection =
        parts.headers.get(http::header::CONNECTION).map(HeaderValue::as_bytes).unwrap_or_default();
    match parts.version {
        Version::HTTP_10 => connection.eq_ignore_ascii_case(b"keep-alive"),
        _ => !connection.eq_ignore_ascii_case(b"close"),
    }
}

fn reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("Unknown")
}

const MAX_HEAD: usize = 64 << 10;
const MAX_HEADERS: usize = 100;
const MAX_BODY: usize = 64 << 20;
const READ_AT_ONCE: usize = 16 << 10;
