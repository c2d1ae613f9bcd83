//! An HTTP/1.1 connection that belongs to one call at a time.
//!
//! The socket is written and read in place by whoever awaits the reply: no task, no channel, no hand-over, and it is closed
//! by the time the drop returns. What the bytes mean is `tidegate_wire::http1`'s business. While nothing is there to be
//! read no read buffer is kept: most of a stream's life is waiting.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tidegate_wire::{
    ErrorClass, WireError,
    http1::{BodyDecoder, Decoded, HeadReader, ReplyHead},
};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::{Body, Head, Headers, Home, Unsent, broken};
use crate::connect::Stream;

/// An HTTP/1.1 connection without a call on it, or with one that has not been answered.
pub(crate) struct H1Connection {
    stream: Stream,
    /// Bytes that have been read and not handed on.
    buffer: BytesMut,
    /// How much room is made for a read.
    room: usize,
    outgoing: Outgoing,
    /// Whether a call is on it: being dropped then means that the call was given up.
    busy: bool,
    /// Whether it has carried a call before: then its peer may have closed it without our knowing yet.
    used: bool,
}

impl H1Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            room: MIN_ROOM,
            outgoing: Outgoing::default(),
            busy: false,
            used: false,
        }
    }

    /// Whether an idle connection can still be used: open, and nothing unread in it, by what the operating system knows of
    /// it now.
    pub(crate) fn is_alive(&mut self) -> bool {
        // Under TLS there may be records that are no data; what is left behind them is the socket's to say.
        let mut byte = [0];
        let quiet = !self.stream.is_tls()
            || Pin::new(&mut self.stream)
                .poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut byte))
                .is_pending();
        quiet && self.stream.is_quiet()
    }

    /// Whether it has carried a call before.
    pub(crate) fn is_used(&self) -> bool {
        self.used
    }

    /// Sends a request and waits for the head of the reply, which `reader` reads.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) fn send(
        mut self,
        head: Vec<u8>,
        body: Bytes,
        home: Home,
        mut reader: HeadReader,
    ) -> impl Future<Output = Result<Result<(Head, Body), Unsent>, WireError>> {
        self.busy = true;
        self.outgoing = Outgoing { head, sent: 0, body, refused: false };
        async move {
            let Some(head) = std::future::poll_fn(|cx| self.poll_head(cx, &mut reader)).await? else {
                return Ok(Err(Unsent));
            };
            self.used = true;
            let block = self.buffer.split_to(head.length).freeze();
            let body = H1Body { connection: self, decoder: head.body, home, closing: head.closing };
            Ok(Ok((Head { status: head.status, headers: Headers::block(block) }, Body::H1(body))))
        }
    }

    /// Writes what is left of the request and reads until the head of the reply is there. `None`: the backend has not
    /// taken anything of the request.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut HeadReader,
    ) -> Poll<Result<Option<ReplyHead>, WireError>> {
        loop {
            if self.outgoing.advance(cx, &mut self.stream).is_err() {
                return Poll::Ready(Ok(None));
            }
            match ready!(self.poll_fill(cx)) {
                Ok(0) => {
                    let error = WireError::new(ErrorClass::UpstreamBroke, UNANSWERED);
                    return Poll::Ready(Err(error.with_code("upstream_connection")));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(broken(UNANSWERED, error))),
            }
            if let Some(head) = reader.read(&mut self.buffer)? {
                return Poll::Ready(Ok(Some(head)));
            }
        }
    }

    /// What comes next, of a connection that has changed its protocol. Empty: the backend has closed.
    pub(crate) fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.buffer.is_empty() {
            ready!(self.poll_fill(cx))?;
        }
        Poll::Ready(Ok(self.buffer.split().freeze()))
    }

    /// Writes, on a connection that has changed its protocol.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    /// Sees to it that what has been written is on its way.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Closes the connection in good order: what has been written arrives.
    pub(crate) fn close(mut self) {
        self.busy = false;
    }

    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Reads what is there. 0: the backend has closed.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() - self.buffer.len() < MIN_ROOM / 4 {
            self.buffer.reserve(self.room);
        }
        let room = self.buffer.capacity() - self.buffer.len();
        let polled = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.buffer);
        match &polled {
            Poll::Pending if self.buffer.is_empty() => self.buffer = BytesMut::new(),
            // A large reply is read in large pieces.
            Poll::Ready(Ok(read)) if *read == room => self.room = (self.room * 2).min(MAX_ROOM),
            Poll::Ready(Ok(read)) if *read < room / 4 => self.room = (self.room / 2).max(MIN_ROOM),
            _ => {}
        }
        polled
    }
}

impl Drop for H1Connection {
    fn drop(&mut self) {
        if self.busy {
            self.stream.reset();
        }
    }
}

/// A request on its way out.
#[derive(Default)]
struct Outgoing {
    /// Empty once nothing is to be written any more.
    head: Vec<u8>,
    /// How much of the head has been written.
    sent: usize,
    body: Bytes,
    /// Whether the backend has not taken all of it, and will not.
    refused: bool,
}

impl Outgoing {
    /// Whether the backend has it all.
    fn is_delivered(&self) -> bool {
        self.head.is_empty() && !self.refused
    }

    /// Writes what the socket takes. A backend that refuses early answers before it has read everything, and may not read
    /// the rest: a write that fails is not the end, as long as a reply may still come. An error is one before anything was
    /// written.
    fn advance(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> io::Result<()> {
        match self.poll(cx, stream) {
            Poll::Ready(Err(error)) if self.sent == 0 => return Err(error),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "the backend stopped reading the request");
                *self = Self { refused: true, ..Self::default() };
            }
            _ => {}
        }
        Ok(())
    }

    /// Ready once all is written.
    fn poll(&mut self, cx: &mut Context<'_>, stream: &mut Stream) -> Poll<io::Result<()>> {
        while !self.head.is_empty() {
            let (head, body) = self.next_pieces(stream);
            if head.is_empty() && body.is_empty() {
                ready!(Pin::new(&mut *stream).poll_flush(cx))?;
                *self = Self::default();
                break;
            }
            let pieces = [IoSlice::new(head), IoSlice::new(body)];
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &pieces))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(head.len());
            self.sent += of_head;
            self.body.advance(written - of_head);
        }
        Poll::Ready(Ok(()))
    }

    fn next_pieces(&self, stream: &Stream) -> (&[u8], &[u8]) {
        let (head, body) = (self.head.get(self.sent..).unwrap_or_default(), &*self.body);
        // A write through TLS may fail when half of what it was given is on the wire. Of a single record the backend has
        // all or nothing that it can read: then a failed first write says that nothing of the request was taken.
        if self.sent > 0 || !stream.is_tls() {
            return (head, body);
        }
        let head = head.get(..TLS_RECORD).unwrap_or(head);
        (head, body.get(..TLS_RECORD - head.len()).unwrap_or(body))
    }
}

/// The body of an HTTP/1.1 reply, and the connection.
pub(crate) struct H1Body {
    connection: H1Connection,
    decoder: BodyDecoder,
    home: Home,
    closing: bool,
}

impl H1Body {
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, WireError>>> {
        let connection = &mut self.connection;
        // Some answer while they are still being sent to.
        if let Err(error) = connection.outgoing.advance(cx, &mut connection.stream) {
            return Poll::Ready(Some(Err(broken("the backend answered without a request", error))));
        }
        loop {
            match self.decoder.decode(&mut connection.buffer) {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::More) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(connection.poll_fill(cx)) {
                Ok(0) if self.decoder.ends_here() => return Poll::Ready(None),
                Ok(0) => {
                    return Poll::Ready(Some(Err(WireError::new(
                        ErrorClass::UpstreamBroke,
                        "the backend closed the connection inside its reply",
                    )
                    .with_code("upstream_connection"))));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(broken("the backend's reply broke off", error)))),
            }
        }
    }

    /// The connection, behind a head with which it has changed its protocol. Being dropped, it is reset.
    pub(crate) fn into_connection(self) -> H1Connection {
        self.connection
    }

    /// The body has ended: puts the connection back, if it can carry another call.
    pub(crate) fn give_back(mut self) {
        let connection = &mut self.connection;
        // What the backend has not taken of the request would keep the socket behind a FIN: then it is reset after all.
        connection.busy = !connection.outgoing.is_delivered();
        if !connection.busy && !self.closing && connection.buffer.is_empty() {
            connection.buffer = BytesMut::new();
            self.home.pool.give_back(&self.home.origin, self.connection);
        }
    }
}

/// Room for a read, in bytes: for most events of a stream, and many whole replies.
const MIN_ROOM: usize = 4 * 1024;
/// Room for a read of a large reply, in bytes.
const MAX_ROOM: usize = 64 * 1024;
/// The largest record of TLS, in bytes.
const TLS_RECORD: usize = 16 * 1024;
const UNANSWERED: &str = "the backend closed the connection before it answered";
