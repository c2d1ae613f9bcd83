//! The probe's callers: a chat request sent over HTTP/1.1, TLS or HTTP/2 from a bare socket, so that the hang-up is exactly
//! the one asked for.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Gateway, Request, session};

/// A way to stop waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HangUp {
    /// TCP FIN.
    Fin,
    /// TCP RST.
    Rst,
    /// FIN behind bytes of a further request, in a session behind half a frame.
    FinBehindPipelined,
    /// HTTP/2 RST_STREAM; the connection lives on.
    H2Reset,
    /// The HTTP/2 connection is closed.
    H2Lost,
    /// TLS close_notify and FIN.
    TlsClose,
    /// A WebSocket close frame; the connection stays open.
    Goodbye,
}

impl HangUp {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Fin,
        Self::Rst,
        Self::FinBehindPipelined,
        Self::H2Reset,
        Self::H2Lost,
        Self::TlsClose,
        Self::Goodbye,
    ];

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Rst => "rst",
            Self::FinBehindPipelined => "fin_behind_pipelined",
            Self::H2Reset => "h2_reset",
            Self::H2Lost => "h2_lost",
            Self::TlsClose => "tls_close",
            Self::Goodbye => "goodbye",
        }
    }

    /// Whether it takes a caller that begins to speak HTTP/2 without asking.
    pub(super) fn is_http2(self) -> bool {
        matches!(self, Self::H2Reset | Self::H2Lost)
    }
}

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a caller talks to the gateway.
pub(crate) enum Wire {
    Http1(SocketAddr),
    Http2(SocketAddr),
    Tls(SocketAddr, String),
}

impl Wire {
    pub(super) fn of(hang_up: HangUp, gateway: &dyn Gateway) -> Self {
        match (hang_up, gateway.tls()) {
            (HangUp::TlsClose, Some((address, pem))) => Self::Tls(address, pem.to_owned()),
            (HangUp::H2Reset | HangUp::H2Lost, _) => Self::Http2(gateway.plain()),
            _ => Self::Http1(gateway.plain()),
        }
    }
}

/// A caller whose request has been sent.
pub(crate) struct Caller {
    connection: Connection,
    /// Whether the head of the HTTP/1.1 reply has been read.
    head_read: bool,
    /// What it waits for.
    expected: Expected,
}

/// What the reply to an HTTP/1.1 request has to be.
#[derive(Clone, Copy)]
struct Expected {
    /// How it begins.
    head: &'static [u8; 12],
    /// What each piece of the answer has once.
    events: &'static [&'static [u8]],
}

/// Server-sent events, or messages of an event stream.
const STREAM: Expected = Expected { head: b"HTTP/1.1 200", events: &[b"data: ", b":event-type"] };
const SESSION: Expected = Expected { head: b"HTTP/1.1 101", events: &[b"_text.delta\""] };

enum Connection {
    Http1(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Http2(Box<Http2Caller>),
}

pub(crate) struct Http2Caller {
    /// Until the head has come.
    response: Option<h2::client::ResponseFuture>,
    /// From then until it is read.
    head: Option<Result<http::Response<h2::RecvStream>, h2::Error>>,
    body: Option<h2::RecvStream>,
    stream: h2::SendStream<Bytes>,
    driver: JoinHandle<()>,
    #[expect(dead_code, reason = "without a handle the driver would say goodbye by itself")]
    requests: h2::client::SendRequest<Bytes>,
}

/// What is left of a caller that has hung up; kept until the backend's end has been seen.
pub(crate) enum Gone {
    Socket(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Stream(Box<Http2Caller>),
    Nothing,
}

impl Caller {
    /// Connects and sends a request.
    pub(crate) async fn send(
        wire: &Wire,
        request: Request,
        key: Option<&str>,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let connection = match wire {
            Wire::Http1(address) => {
                let mut stream = connect(*address, receive_buffer).await?;
                send_http1(&mut stream, *address, &request, key).await?;
                Connection::Http1(stream)
            }
            Wire::Tls(address, pem) => {
                let stream = connect(*address, receive_buffer).await?;
                let mut stream = tls_connector(pem)?.connect(server_name()?, stream).await?;
                send_http1(&mut stream, *address, &request, key).await?;
                Connection::Tls(Box::new(stream))
            }
            Wire::Http2(address) => send_http2(*address, request, key, receive_buffer).await?,
        };
        Ok(Self { connection, head_read: false, expected: STREAM })
    }

    /// Connects and asks for a session.
    pub(super) async fn open_session(
        wire: &Wire,
        path: &str,
        key: Option<&str>,
        receive_buffer: Option<usize>,
    ) -> io::Result<Self> {
        let connection = match wire {
            Wire::Tls(address, pem) => {
                let stream = connect(*address, receive_buffer).await?;
                let mut stream = tls_connector(pem)?.connect(server_name()?, stream).await?;
                stream.write_all(&session::opening(*address, path, key)).await?;
                stream.flush().await?;
                Connection::Tls(Box::new(stream))
            }
            Wire::Http1(address) | Wire::Http2(address) => {
                let mut stream = connect(*address, receive_buffer).await?;
                stream.write_all(&session::opening(*address, path, key)).await?;
                Connection::Http1(stream)
            }
        };
        Ok(Self { connection, head_read: false, expected: SESSION })
    }

    /// Reads until a response has been announced in a session.
    pub(super) async fn read_announcement(&mut self) -> io::Result<Vec<u8>> {
        self.expected.events = &[b"response.output_item.added"];
        self.read(1).await
    }

    /// Says something in an open session.
    pub(super) async fn say(&mut self, frames: &[u8]) -> io::Result<()> {
        match &mut self.connection {
            Connection::Http1(stream) => stream.write_all(frames).await,
            Connection::Tls(stream) => {
                stream.write_all(frames).await?;
                stream.flush().await
            }
            Connection::Http2(_) => Err(io::Error::other("there are no sessions over HTTP/2")),
        }
    }

    /// Reads until the head and `frames` events have come; returns what was read.
    pub(crate) async fn read(&mut self, frames: usize) -> io::Result<Vec<u8>> {
        let reading = async {
            let (head_read, expected) = (&mut self.head_read, self.expected);
            match &mut self.connection {
                Connection::Http1(stream) => read_http1(stream, frames, head_read, expected).await,
                Connection::Tls(stream) => read_http1(stream, frames, head_read, expected).await,
                Connection::Http2(caller) => caller.read(frames).await,
            }
        };
        tokio::time::timeout(READING, reading)
            .await
            .unwrap_or_else(|_| Err(io::Error::other(format!("the gateway did not relay {frames} events"))))
    }

    /// Waits until the reply turns out to be a refusal, or none at all, and leaves it to be read. Waits for ever where the
    /// reply is a good one, and with TLS, which can't be peeked into.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn refused(&mut self) {
        let stream = match &mut self.connection {
            Connection::Http1(stream) => stream,
            Connection::Tls(_) => return std::future::pending().await,
            Connection::Http2(caller) => return caller.refused().await,
        };
        let expected = self.expected.head;
        let mut head = [0; 12];
        loop {
            match stream.peek(&mut head).await {
                Ok(read) if read == head.len() && head == *expected => std::future::pending().await,
                // Part of a status line; the rest of it is on its way.
                Ok(read) if read > 0 && read < head.len() => tokio::time::sleep(PEEK_AGAIN).await,
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Hangs up. Returns the instant immediately before.
    pub(crate) async fn hang_up(self, how: HangUp) -> io::Result<(u64, Gone)> {
        match (self.connection, how) {
            (Connection::Http1(stream), HangUp::Rst) => {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
                let stream = stream.into_std()?;
                let at = tidegate_sim::monotonic_ns();
                drop(stream);
                Ok((at, Gone::Nothing))
            }
            (Connection::Http1(mut stream), HangUp::FinBehindPipelined) => {
                let behind = match self.expected.head == SESSION.head {
                    true => session::half_a_frame(),
                    false => b"GET /healthz HTTP/1.1\r\nhost: probe\r\n\r\nGET /hea".to_vec(),
                };
                stream.write_all(&behind).await?;
                // The bytes are there, and seen, before the FIN comes.
                tokio::time::sleep(Duration::from_millis(2)).await;
                let at = tidegate_sim::monotonic_ns();
                stream.shutdown().await?;
                Ok((at, Gone::Socket(stream)))
            }
            (Connection::Http1(mut stream), HangUp::Goodbye) => {
                let goodbye = session::goodbye();
                let at = tidegate_sim::monotonic_ns();
                stream.write_all(&goodbye).await?;
                Ok((at, Gone::Socket(stream)))
            }
            (Connection::Http1(mut stream), _) => {
                let at = tidegate_sim::monotonic_ns();
                stream.shutdown().await?;
                Ok((at, Gone::Socket(stream)))
            }
            (Connection::Tls(mut stream), _) => {
                let at = tidegate_sim::monotonic_ns();
                stream.shutdown().await?;
                Ok((at, Gone::Tls(stream)))
            }
            (Connection::Http2(caller), HangUp::H2Lost) => {
                // The socket is the driver's: ended, it drops it.
                let at = tidegate_sim::monotonic_ns();
                caller.driver.abort();
                tokio::task::yield_now().await;
                Ok((at, Gone::Stream(caller)))
            }
            (Connection::Http2(mut caller), _) => {
                let at = tidegate_sim::monotonic_ns();
                caller.stream.send_reset(h2::Reason::CANCEL);
                tokio::task::yield_now().await;
                Ok((at, Gone::Stream(caller)))
            }
        }
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        match self {
            Self::Stream(caller) => caller.driver.abort(),
            Self::Socket(stream) => {
                let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            }
            Self::Tls(stream) => {
                let _ = socket2::SockRef::from(stream.get_ref().0).set_linger(Some(Duration::ZERO));
            }
            Self::Nothing => {}
        }
    }
}

async fn connect(address: SocketAddr, receive_buffer: Option<usize>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(u32::try_from(size).unwrap_or(u32::MAX))?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn send_http1<S>(
    stream: &mut S,
    address: SocketAddr,
    request: &Request,
    key: Option<&str>,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let Request { path, media, body } = request;
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {media}\r\ncontent-length: {}\r\n",
        body.len()
    );
    if let Some(key) = key {
        head.push_str(&format!("authorization: Bearer {key}\r\n"));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// Reads the head, unless it has been read, and then until `frames` events with data have come.
async fn read_http1<S>(
    stream: &mut S,
    frames: usize,
    head_read: &mut bool,
    expected: Expected,
) -> io::Result<Vec<u8>>
where
    S: AsyncRead + Unpin,
{
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::other(format!("the gateway hung up: {}", summary(&seen))));
        }
        seen.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if !*head_read {
            if !seen.windows(4).any(|window| window == b"\r\n\r\n") {
                continue;
            }
            if !seen.starts_with(expected.head) {
                return Err(io::Error::other(format!("the gateway refused: {}", summary(&seen))));
            }
            *head_read = true;
        }
        if events(&seen, expected) >= frames {
            return Ok(seen);
        }
    }
}

/// First line and body of a reply, on one line.
fn summary(reply: &[u8]) -> String {
    let reply = String::from_utf8_lossy(reply);
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or((&reply, ""));
    let words = head.lines().take(1).chain(body.lines()).flat_map(str::split_whitespace);
    words.collect::<Vec<_>>().join(" ")
}

fn events(bytes: &[u8], expected: Expected) -> usize {
    let count = |mark: &[u8]| bytes.windows(mark.len()).filter(|window| *window == mark).count();
    expected.events.iter().map(|mark| count(mark)).sum()
}

async fn send_http2(
    address: SocketAddr,
    Request { path, media, body }: Request,
    key: Option<&str>,
    receive_buffer: Option<usize>,
) -> io::Result<Connection> {
    let stream = connect(address, receive_buffer).await?;
    let (mut requests, driver) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
    #[expect(clippy::disallowed_methods, reason = "the probe plays a caller, whose connection is its own")]
    let driver = tokio::spawn(async move {
        let _ = driver.await;
    });
    let mut request = http::Request::post(format!("http://{address}{path}")).header("content-type", media);
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = request.body(()).map_err(io::Error::other)?;
    std::future::poll_fn(|cx| requests.poll_ready(cx)).await.map_err(io::Error::other)?;
    let (response, mut stream) = requests.send_request(request, false).map_err(io::Error::other)?;
    let mut rest = Bytes::from(body);
    while !rest.is_empty() {
        stream.reserve_capacity(rest.len());
        let admitted = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let admitted =
            admitted.ok_or_else(|| io::Error::other("stream closed"))?.map_err(io::Error::other)?;
        let piece = rest.split_to(admitted.min(rest.len()));
        stream.send_data(piece, rest.is_empty()).map_err(io::Error::other)?;
    }
    Ok(Connection::Http2(Box::new(Http2Caller {
        response: Some(response),
        head: None,
        body: None,
        stream,
        driver,
        requests,
    })))
}

impl Http2Caller {
    /// Returns at once where the head has come before.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    async fn await_head(&mut self) {
        if let Some(response) = &mut self.response {
            self.head = Some(response.await);
            self.response = None;
        }
    }

    async fn refused(&mut self) {
        self.await_head().await;
        let head = self.head.as_ref();
        if head.is_none_or(|head| head.as_ref().is_ok_and(|reply| reply.status() == http::StatusCode::OK)) {
            std::future::pending().await
        }
    }

    async fn read(&mut self, frames: usize) -> io::Result<Vec<u8>> {
        let mut seen = Vec::new();
        self.await_head().await;
        if let Some(head) = self.head.take() {
            let response = head.map_err(io::Error::other)?;
            if response.status() != http::StatusCode::OK {
                return Err(io::Error::other(format!("the gateway refused: {}", response.status())));
            }
            self.body = Some(response.into_body());
        }
        let Some(body) = &mut self.body else { return Ok(seen) };
        while events(&seen, STREAM) < frames {
            let data = body.data().await.ok_or_else(|| io::Error::other("the stream ended"))?;
            let data = data.map_err(io::Error::other)?;
            body.flow_control().release_capacity(data.len()).map_err(io::Error::other)?;
            seen.extend_from_slice(&data);
        }
        Ok(seen)
    }
}

/// Finds out whether a server takes HTTP/2 by prior knowledge: the first thing that it says is then SETTINGS (RFC 9113,
/// section 3.4).
pub(super) async fn speaks_http2(address: SocketAddr) -> io::Result<()> {
    let asking = async {
        let mut stream = connect(address, None).await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
        stream.write_all(&EMPTY_SETTINGS).await?;
        let mut head = [0; EMPTY_SETTINGS.len()];
        stream.read_exact(&mut head).await?;
        let [_, _, _, kind, ..] = head;
        if kind == SETTINGS { Ok(()) } else { Err(io::Error::other("it answers with something else")) }
    };
    let answer = tokio::time::timeout(READING, asking).await;
    answer
        .unwrap_or_else(|_| Err(io::Error::other("no answer")))
        .map_err(|error| io::Error::other(format!("no HTTP/2 by prior knowledge: {error}")))
}

fn tls_connector(pem: &str) -> io::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn server_name() -> io::Result<ServerName<'static>> {
    ServerName::try_from("localhost").map_err(io::Error::other)
}

/// Frame type (RFC 9113, section 6.5).
const SETTINGS: u8 = 4;
/// Length 0, SETTINGS, no flags, stream 0.
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
/// How soon to look again at half a status line.
const PEEK_AGAIN: Duration = Duration::from_millis(1);
/// How long the first events may take.
const READING: Duration = Duration::from_secs(5);
