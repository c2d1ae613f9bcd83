//! Listeners, connections and the handle that a simulator is held by.
//!
//! Everything runs inside one future, so that dropping the handle ends every connection. It runs either as a task of the
//! caller's runtime or on a thread of its own, where nothing of the caller's disturbs its clock.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::journal::{Backend, Journal, Observation, Phase};
use crate::replay::Replay;
use crate::scenario::Scenario;
use crate::socket::{Prefixed, Tcp, Transport};
use crate::tls::Certificate;
use crate::{clock, http1, http2};

/// What a simulator listens on and how it behaves where a call does not say.
#[derive(Debug)]
pub struct Config {
    /// At least one; [`SimHandle::addresses`] has them in this order.
    pub listeners: Vec<Listener>,
    /// The scenario under every call's own.
    pub scenario: Scenario,
    /// Recorded exchanges to serve by name.
    pub replay: Option<Arc<Replay>>,
    /// How many finished calls are remembered.
    pub journal: usize,
    /// The HTTP/2 receive window of a stream, in bytes, where a small one is to hold a sending gateway.
    pub http2_window: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: vec![Listener::default()],
            scenario: Scenario::default(),
            replay: None,
            journal: 16_384,
            http2_window: None,
        }
    }
}

impl Config {
    /// One listener on a free loopback port.
    #[must_use]
    pub fn one(kind: ListenerKind) -> Self {
        Self { listeners: vec![Listener { kind, ..Listener::default() }], ..Self::default() }
    }
}

/// One address to listen on.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// What is spoken there.
    pub kind: ListenerKind,
    /// `SO_RCVBUF` of accepted connections in bytes, where a small one is to hold a sending gateway.
    pub receive_buffer: Option<usize>,
    /// `SO_SNDBUF` of accepted connections in bytes.
    pub send_buffer: Option<usize>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            kind: ListenerKind::Plain,
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ListenerKind {
    /// HTTP/1.1 and HTTP/2 with prior knowledge.
    #[default]
    Plain,
    /// TLS with a certificate signed by [`SimHandle::certificate_pem`]; ALPN offers `h2` and `http/1.1`.
    Tls,
    /// TLS that offers `http/1.1` only.
    TlsHttp1,
    /// Accepts connections and never says a word: under TLS, a handshake that never completes.
    BlackHole,
}

/// Starts simulators.
#[derive(Debug)]
pub struct Simulator;

impl Simulator {
    /// Starts a simulator as a task of the current Tokio runtime.
    ///
    /// # Errors
    /// An address that cannot be bound.
    pub fn start(config: Config) -> io::Result<SimHandle> {
        let (server, mut handle) = Server::bind(config)?;
        let (stop, stopped) = oneshot::channel();
        #[expect(
            clippy::disallowed_methods,
            reason = "the simulator plays the far end of the wire: it must outlive its callers"
        )]
        tokio::spawn(server.run(stopped));
        handle.stop = Some(stop);
        Ok(handle)
    }

    /// Starts a simulator on a thread and runtime of its own.
    ///
    /// # Errors
    /// An address that cannot be bound, or a thread or runtime that cannot be had.
    pub fn spawn_thread(config: Config) -> io::Result<SimHandle> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Looks at the sockets often even when busy, so that a close is seen soon.
            .event_interval(11)
            .build()?;
        let bound = {
            let _entered = runtime.enter();
            Server::bind(config)
        };
        let (server, mut handle) = bound?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("tidegate-sim".to_owned())
            .spawn(move || runtime.block_on(server.run(stopped)))?;
        handle.stop = Some(stop);
        handle.thread = Some(thread);
        Ok(handle)
    }
}

/// A running simulator; dropping it ends every connection.
#[derive(Debug)]
pub struct SimHandle {
    addresses: Vec<SocketAddr>,
    certificate_pem: Option<String>,
    context: Arc<Context>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl SimHandle {
    /// The first listener's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The listeners' addresses, in the configuration's order.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The certificate to trust, where a listener speaks TLS. It holds for `localhost` and the loopback addresses.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// Calls under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.context.journal.running()
    }

    /// Connections that are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.context.connections.load(Ordering::Relaxed)
    }

    /// Everything that the journal still has, oldest first, calls under way included.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        self.context.journal.observations(None)
    }

    /// What the journal has of one tag, oldest first.
    #[must_use]
    pub fn observations_tagged(&self, tag: &str) -> Vec<Observation> {
        self.context.journal.observations(Some(tag))
    }

    /// Forgets the finished calls.
    pub fn clear(&self) {
        self.context.journal.clear();
    }

    /// The newest call of `tag` once it is over: complete, cut short or closed by its peer. `None` after `timeout`.
    ///
    /// # Cancel safety
    /// Nothing is consumed.
    pub async fn observation(&self, tag: &str, timeout: Duration) -> Option<Observation> {
        self.context.journal.wait_tagged(tag, timeout, |_, over| over).await
    }

    /// The newest call of `tag` as soon as it is in the state asked for. `None` after `timeout`.
    ///
    /// # Cancel safety
    /// Nothing is consumed.
    pub async fn wait_for(
        &self,
        tag: &str,
        timeout: Duration,
        reached: impl Fn(&Observation) -> bool,
    ) -> Option<Observation> {
        self.context.journal.wait_tagged(tag, timeout, |seen, _| reached(seen)).await
    }

    /// The newest observation of any tag, or none, that is in the state asked for. `None` after `timeout`.
    ///
    /// # Cancel safety
    /// Nothing is consumed.
    pub async fn wait_for_any(
        &self,
        timeout: Duration,
        reached: impl Fn(&Observation) -> bool,
    ) -> Option<Observation> {
        let journal = &self.context.journal;
        journal
            .wait(timeout, || journal.observations(None).into_iter().rev().find(|seen| reached(seen)))
            .await
    }

    /// Waits until no call is under way; says whether that came within `timeout`.
    ///
    /// # Cancel safety
    /// Nothing is consumed.
    pub async fn quiet(&self, timeout: Duration) -> bool {
        let journal = &self.context.journal;
        journal.wait(timeout, || (journal.running() == 0).then_some(())).await.is_some()
    }
}

impl Drop for SimHandle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked without a panic message of its own; there is nobody left to tell.
            let _ended = thread.join();
        }
    }
}

/// What every connection needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) journal: Arc<Journal>,
    pub(crate) scenario: Scenario,
    pub(crate) replay: Option<Arc<Replay>>,
    pub(crate) http2_window: Option<u32>,
    connections: AtomicUsize,
}

struct Server {
    listeners: Vec<(TcpListener, Listener)>,
    tls: Option<Certificate>,
    context: Arc<Context>,
}

impl Server {
    fn bind(config: Config) -> io::Result<(Self, SimHandle)> {
        let tls =
            config.listeners.iter().any(|l| matches!(l.kind, ListenerKind::Tls | ListenerKind::TlsHttp1));
        let tls = if tls { Some(Certificate::generate()?) } else { None };
        let listeners = config.listeners.into_iter().map(bind).collect::<io::Result<Vec<_>>>()?;
        let addresses =
            listeners.iter().map(|(listener, _)| listener.local_addr()).collect::<io::Result<_>>()?;
        let context = Arc::new(Context {
            journal: Journal::new(config.journal),
            scenario: config.scenario,
            replay: config.replay,
            http2_window: config.http2_window,
            connections: AtomicUsize::new(0),
        });
        let handle = SimHandle {
            addresses,
            certificate_pem: tls.as_ref().map(|tls| tls.pem.clone()),
            context: Arc::clone(&context),
            stop: None,
            thread: None,
        };
        Ok((Self { listeners, tls, context }, handle))
    }

    /// Runs until the handle is dropped.
    async fn run(self, stopped: oneshot::Receiver<()>) {
        let mut accepting = JoinSet::new();
        for (listener, options) in self.listeners {
            accepting.spawn(accept(listener, options, self.tls.clone(), Arc::clone(&self.context)));
        }
        // An error is the handle's drop, which is the signal.
        let _dropped = stopped.await;
    }
}

fn bind(options: Listener) -> io::Result<(TcpListener, Listener)> {
    let domain = socket2::Domain::for_address(options.address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM.nonblocking().cloexec(), None)?;
    socket.set_reuse_address(true)?;
    // Accepted sockets inherit it; the window is fixed by it from the handshake on.
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    socket.bind(&options.address.into())?;
    socket.listen(BACKLOG)?;
    Ok((TcpListener::from_std(socket.into())?, options))
}

async fn accept(listener: TcpListener, options: Listener, tls: Option<Certificate>, context: Arc<Context>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, options.kind, tls.clone(), Arc::clone(&context)));
                }
                // Out of file descriptors, most likely: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(stream: TcpStream, kind: ListenerKind, tls: Option<Certificate>, context: Arc<Context>) {
    let accepted_ns = clock::monotonic_ns();
    let _open = OpenConnection::count(&context);
    // Fails only on a socket that is gone already, which the first read will tell.
    let _gone = stream.set_nodelay(true);
    let tcp = Tcp::new(stream);
    let transport = match (kind, tls) {
        (ListenerKind::Tls | ListenerKind::TlsHttp1, Some(tls)) => {
            match handshake(tcp, &tls, kind, accepted_ns, &context).await {
                Some(transport) => transport,
                None => return,
            }
        }
        (ListenerKind::BlackHole, _) => return swallow(&tcp, accepted_ns, &context).await,
        _ => Transport::Plain(tcp),
    };
    serve_http(transport, accepted_ns, context).await;
}

/// The TLS handshake. A peer that closes during it leaves an observation.
async fn handshake(
    tcp: Tcp,
    tls: &Certificate,
    kind: ListenerKind,
    accepted_ns: u64,
    context: &Context,
) -> Option<Transport> {
    let acceptor = if kind == ListenerKind::Tls { &tls.http2 } else { &tls.http1 };
    match acceptor.accept(tcp.clone()).await {
        Ok(stream) => Some(Transport::Tls(Box::new(stream))),
        Err(error) => {
            let call = context.journal.begin("", accepted_ns);
            call.update(|seen| {
                seen.backend = Backend::Connecting;
                seen.phase_at_close = Phase::Connecting;
            });
            call.closed(crate::socket::closed_by(&error));
            None
        }
    }
}

/// Holds a connection without a word until its peer closes it.
async fn swallow(tcp: &Tcp, accepted_ns: u64, context: &Context) {
    let call = context.journal.begin("", accepted_ns);
    call.update(|seen| {
        seen.backend = Backend::Connecting;
        seen.phase_at_close = Phase::Connecting;
    });
    call.closed(tcp.closed().await);
}

/// Tells HTTP/1.1 from HTTP/2 by ALPN or by the first bytes.
async fn serve_http(mut transport: Transport, accepted_ns: u64, context: Arc<Context>) {
    let mut read = BytesMut::with_capacity(4096);
    let http2 = match transport.agreed_on_http2() {
        Some(agreed) => agreed,
        None => match begins_with_preface(&mut transport, &mut read).await {
            Ok(begins) => begins,
            Err(_) => return,
        },
    };
    if http2 {
        http2::serve(Prefixed::new(read.freeze(), transport), accepted_ns, context).await;
    } else {
        http1::serve(transport, read, accepted_ns, context).await;
    }
}

async fn begins_with_preface(transport: &mut Transport, read: &mut BytesMut) -> io::Result<bool> {
    loop {
        if transport.read_buf(read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = read.len().min(PREFACE.len());
        match (read.get(..count) == PREFACE.get(..count), count == PREFACE.len()) {
            (false, _) => return Ok(false),
            (true, true) => return Ok(true),
            (true, false) => {}
        }
    }
}

/// Counts a connection for as long as it is open.
struct OpenConnection(Arc<Context>);

impl OpenConnection {
    fn count(context: &Arc<Context>) -> Self {
        context.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(context))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Enough of RFC 9113's preface to rule out any HTTP/1.1 method.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Thousands of streams may be opened at once.
const BACKLOG: i32 = 8192;
