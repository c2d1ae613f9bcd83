//! The simulator's side of one TCP connection, plain or TLS, and the watch that learns of the peer's close.
//!
//! The watch does not read. It waits for the operating system's own word that the peer closed (`EPOLLRDHUP`), which comes
//! while nothing is read, behind bytes that nobody has read, and while a write is blocked. It never consumes a byte.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::journal::ClosedHow;

/// A TCP connection that can be read, written and watched at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Tcp(Arc<TcpStream>);

impl Tcp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    /// Waits until the peer has closed, and says how.
    ///
    /// # Cancel safety
    /// Nothing is consumed; it can be dropped and asked again.
    pub(crate) async fn closed(&self) -> ClosedHow {
        // Interest in priority data is satisfied by priority data, which the simulator's peers never send and the socket is
        // not registered for, or by the read side's close. That leaves exactly the close, whatever is still unread.
        match self.0.ready(Interest::PRIORITY).await {
            Ok(_) => self.how_it_closed(),
            Err(_) => ClosedHow::Rst,
        }
    }

    fn how_it_closed(&self) -> ClosedHow {
        // Linux leaves EPIPE when the reset followed a FIN, ECONNRESET when it came by itself.
        match self.0.take_error() {
            Ok(Some(error)) if error.kind() != ErrorKind::BrokenPipe => ClosedHow::Rst,
            _ => ClosedHow::Fin,
        }
    }

    /// Makes the close to come an RST.
    pub(crate) fn reset_on_close(&self) {
        // Fails only on a socket that is already gone, and then there is nothing left to reset.
        let _gone = socket2::SockRef::from(&*self.0).set_linger(Some(std::time::Duration::ZERO));
    }
}

/// How the peer closed, judged by what a read or a write was told.
pub(crate) fn closed_by(error: &io::Error) -> ClosedHow {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => ClosedHow::Fin,
        _ => ClosedHow::Rst,
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.0.try_read(into.initialize_unfilled()) {
                Ok(read) => {
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An error says that the connection is gone already, which is what was asked for.
        let _gone = socket2::SockRef::from(&*self.0).shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

/// The transport under HTTP.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

impl Transport {
    /// The TCP connection below, to be watched beside reads and writes.
    pub(crate) fn tcp(&self) -> Tcp {
        match self {
            Self::Plain(tcp) => tcp.clone(),
            Self::Tls(tls) => tls.get_ref().0.clone(),
        }
    }

    /// Whether TLS has agreed on HTTP/2; `None` without TLS or without agreement.
    pub(crate) fn agreed_on_http2(&self) -> Option<bool> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol().map(|protocol| protocol == b"h2"),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, into),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

/// A transport from which some bytes have already been read; they are read again first.
#[derive(Debug)]
pub(crate) struct Prefixed {
    prefix: bytes::Bytes,
    rest: Transport,
}

impl Prefixed {
    pub(crate) fn new(prefix: bytes::Bytes, rest: Transport) -> Self {
        Self { prefix, rest }
    }
}

impl AsyncRead for Prefixed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.rest).poll_read(cx, into);
        }
        let count = self.prefix.len().min(into.remaining());
        into.put_slice(&self.prefix.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.rest).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.rest).poll_shutdown(cx)
    }
}
