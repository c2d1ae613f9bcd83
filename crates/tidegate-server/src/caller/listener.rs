//! Listening sockets, shared by the workers, and the way from an accepted socket to a served connection.
//!
//! Every worker thread accepts for itself: a busy one comes to it later, so connections go to those that have time. A
//! connection stays with its worker, its pool and its runtime.

use std::{
    future::Future,
    io,
    net::{Shutdown, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tidegate_config::{HttpVersions, Limits};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{
    connection::{self, ConnectionOptions},
    socket::{CallerIo, CallerSocket},
};
use crate::{http::Router, run::Stage};

/// A listening socket and how its connections are treated.
pub(crate) struct Listener {
    socket: std::net::TcpListener,
    tls: Option<TlsAcceptor>,
    half_close: bool,
    http: HttpVersions,
    limits: Limits,
    user_timeout: Duration,
}

impl Listener {
    /// Binds the address that `listen` names.
    pub(crate) fn bind(
        listen: &tidegate_config::Listener,
        tls: Option<TlsAcceptor>,
        limits: Limits,
        user_timeout: Duration,
    ) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(listen.address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
        // A restart must not wait for old connections to leave TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listen.address.into())?;
        socket.listen(BACKLOG)?;
        let (half_close, http) = (listen.half_close, listen.http);
        Ok(Self { socket: socket.into(), tls, half_close, http, limits, user_timeout })
    }

    /// The address that it is bound to.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Stops listening, for all workers: who connects from now on is refused and can go elsewhere at once. Merely not
    /// accepting would leave it waiting in the kernel's queue until the process ends.
    fn refuse(&self) {
        // Fails only if another worker has done it already.
        let _ = socket2::SockRef::from(&self.socket).shutdown(Shutdown::Both);
    }
}

/// Accepts from `listeners` and serves until the process stops; then returns when every connection has ended. Runs on a
/// worker's current-thread runtime.
pub(crate) async fn serve_worker(
    listeners: Arc<Vec<Listener>>,
    router: Router,
    stage: watch::Receiver<Stage>,
) -> io::Result<()> {
    let mut accepting = JoinSet::new();
    for index in 0..listeners.len() {
        let (listeners, router, stage) = (listeners.clone(), router.clone(), stage.clone());
        accepting.spawn(async move {
            let Some(listener) = listeners.get(index) else { return Ok(()) };
            accept(listener, router, stage).await
        });
    }
    while let Some(ended) = accepting.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

async fn accept(listener: &Listener, router: Router, stage: watch::Receiver<Stage>) -> io::Result<()> {
    let socket = TcpListener::from_std(listener.socket.try_clone()?)?;
    let mut connections = JoinSet::new();
    let mut drain = stage.clone();
    let mut draining = std::pin::pin!(async move {
        // The value's guard must not live across the select.
        drain.wait_for(|stage| *stage != Stage::Running).await.map(drop)
    });
    loop {
        tokio::select! {
            biased;
            _ = &mut draining => break,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => match stream.into_std() {
                    Ok(stream) => serve(listener, stream, &router, &stage, &mut connections),
                    Err(error) => tracing::debug!(%error, "accepted socket is unusable"),
                },
                Err(error) => refused(&error).await,
            },
            // Ended connections are taken out as they end, so that the set holds only living ones.
            Some(_) = connections.join_next() => {}
        }
    }
    listener.refuse();
    drop(socket);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// An accept that fails for want of descriptors or memory would fail again at once; the pause lets connections end.
async fn refused(error: &io::Error) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(%error, "can't accept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn serve(
    listener: &Listener,
    stream: std::net::TcpStream,
    router: &Router,
    stage: &watch::Receiver<Stage>,
    connections: &mut JoinSet<()>,
) {
    let options = ConnectionOptions {
        half_close: listener.half_close,
        tls: listener.tls.is_some(),
        http: listener.http,
        limits: listener.limits,
    };
    let (tls, router, stage) = (listener.tls.clone(), router.clone(), stage.clone());
    let user_timeout = listener.user_timeout;
    // Boxed, so that the parts of a connection's future that are long done don't stay with it.
    connections.spawn(async move {
        let socket = match CallerSocket::new(stream, user_timeout) {
            Ok(socket) => Arc::new(socket),
            Err(error) => return tracing::debug!(%error, "accepted socket is unusable"),
        };
        match tls {
            Some(acceptor) => Box::pin(serve_tls(acceptor, socket, router, options, stage)).await,
            None => Box::pin(serve_plain(socket, router, options, stage)).await,
        }
    });
}

async fn serve_plain(
    socket: Arc<CallerSocket>,
    router: Router,
    options: ConnectionOptions,
    stage: watch::Receiver<Stage>,
) {
    let http2 = if options.http.http1 == options.http.http2 {
        let mut preface = [0; PREFACE.len()];
        let peeked = opening(peek_preface(&socket, &mut preface), options.limits, stage.clone()).await;
        let Some(Ok(http2)) = peeked else { return };
        http2
    } else {
        options.http.http2
    };
    connection::serve(CallerIo(socket.clone()), socket, http2, router, options, stage).await;
}

/// The part of a connection before its first request: bounded in time, and not worth a drain's wait.
async fn opening<T>(
    step: impl Future<Output = T>,
    limits: Limits,
    mut stage: watch::Receiver<Stage>,
) -> Option<T> {
    tokio::select! {
        biased;
        done = step => Some(done),
        () = tokio::time::sleep(limits.header_time) => None,
        // The value's guard must not live across the select.
        () = async { drop(stage.wait_for(|stage| *stage != Stage::Running).await) } => None,
    }
}

/// Whether the caller begins as HTTP/2 with prior knowledge does.
async fn peek_preface(socket: &CallerSocket, buffer: &mut [u8; PREFACE.len()]) -> io::Result<bool> {
    loop {
        let (seen, closed) = socket.peek(buffer).await?;
        let seen_bytes = buffer.get(..seen).unwrap_or_default();
        if seen == 0 || !PREFACE.starts_with(seen_bytes) {
            return Ok(false);
        }
        // Three bytes tell `PRI` from every method.
        if seen >= 3 {
            return Ok(true);
        }
        if closed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn serve_tls(
    acceptor: TlsAcceptor,
    socket: Arc<CallerSocket>,
    router: Router,
    options: ConnectionOptions,
    stage: watch::Receiver<Stage>,
) {
    let handshake = acceptor.accept(CallerIo(socket.clone()));
    let stream = match opening(handshake, options.limits, stage.clone()).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
        None => return,
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    Box::pin(connection::serve(stream, socket, http2, router, options, stage)).await;
}

/// Pending connections that the kernel keeps for us; it caps this at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
