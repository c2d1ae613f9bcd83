//! An engine, a backend that is a script on a bare socket, and a reply machine that takes bytes as they are.

use std::{
    collections::VecDeque,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tidegate_engine::{
    CallRecord, ConnectOptions, Credentials, Engine, Exchange, HangUp, Meter, Recorder, Target,
};
use tidegate_wire::{
    WireError,
    auth::Credential,
    host,
    outbound::Outbound,
    reply::{Progress, Reply},
};

/// A script that listens. It runs for every connection, with its number counted from 0, on a thread of its own.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Backend {
    pub(crate) fn start(script: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let (count, script) = (connections.clone(), Arc::new(script));
        // Lives as long as the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, script) = (stream.unwrap(), script.clone());
                let number = count.fetch_add(1, Ordering::Relaxed);
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                std::thread::spawn(move || script(number, stream));
            }
        });
        Self { address, connections }
    }

    /// Answers the first request of every connection with `reply` and waits for its end.
    pub(crate) fn saying(reply: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(move |_, mut stream| {
            if read_request(&mut stream) {
                say(&mut stream, reply.as_ref());
                await_end(&mut stream);
            }
        })
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// An engine and a target.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) target: Target,
}

impl World {
    pub(crate) fn new(backend: &Backend) -> Self {
        Self::with(&format!("http://{}", backend.address), ConnectOptions::default())
    }

    pub(crate) fn with(url: &str, options: ConnectOptions) -> Self {
        let endpoint = host::row("openai").unwrap().endpoint(Some(url), None, None).unwrap();
        Self {
            engine: Engine::new(&ConnectOptions { proxy_from_env: false, ..options }).unwrap(),
            target: Target::new(endpoint, Credentials::Static(Credential::Anonymous)).unwrap(),
        }
    }

    /// Sends `body` and waits for the head of the reply.
    pub(crate) async fn start(&self, body: impl Into<Bytes>) -> Result<Exchange<Bytes>, WireError> {
        self.start_with(body, Verbatim::default()).await
    }

    pub(crate) async fn start_with(
        &self,
        body: impl Into<Bytes>,
        reply: Verbatim,
    ) -> Result<Exchange<Bytes>, WireError> {
        let outbound = Outbound {
            method: Method::POST,
            uri: format!("{}/x", self.target.endpoint.base_url).parse().unwrap(),
            headers: HeaderMap::new(),
            body: body.into(),
        };
        let mut meter = Meter::start("1".to_owned(), Arc::<HangUp>::default(), Arc::new(Nobody));
        meter.asked("m".to_owned(), true);
        let started = self.engine.start(&self.target, outbound, Box::new(reply), meter);
        tokio::time::timeout(PATIENCE, started).await.expect("an end of the wait for the head")
    }

    /// Why `body` gets no reply, or none of success.
    pub(crate) async fn failure(&self, body: impl Into<Bytes>) -> WireError {
        self.start(body).await.err().expect("a failure")
    }

    /// Sends a small request and reads the whole reply.
    pub(crate) async fn call(&self) -> Result<Vec<u8>, WireError> {
        read(self.start("{}").await?).await
    }
}

/// The rest of a reply.
pub(crate) async fn read(mut exchange: Exchange<Bytes>) -> Result<Vec<u8>, WireError> {
    let all = async {
        let mut all = Vec::new();
        while let Some(piece) = exchange.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    };
    tokio::time::timeout(PATIENCE, all).await.expect("an end of the reply")
}

/// Hands the body on as it is.
#[derive(Default)]
pub(crate) struct Verbatim {
    /// Hands on nothing instead, and takes so long for each piece.
    slow: Option<Duration>,
    progress: Progress,
}

impl Verbatim {
    pub(crate) fn slow(time: Duration) -> Self {
        Self { slow: Some(time), ..Self::default() }
    }
}

impl Reply for Verbatim {
    type Item = Bytes;

    fn push(&mut self, chunk: Bytes, items: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        match self.slow {
            Some(time) => std::thread::sleep(time),
            None => items.push_back(chunk),
        }
        Ok(())
    }

    fn finish(&mut self, _: &mut VecDeque<Bytes>) -> Result<(), WireError> {
        Ok(())
    }

    fn fail(&mut self, _: &WireError, _: &mut VecDeque<Bytes>) {}

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn take_progress(&mut self) -> Progress {
        std::mem::take(&mut self.progress)
    }
}

struct Nobody;

impl Recorder for Nobody {
    fn record(&self, _: Box<CallRecord>) {}
}

/// Reads one request; false if the connection ends before it is whole.
pub(crate) fn read_request(stream: &mut impl Read) -> bool {
    let Some(length) = read_request_head(stream) else { return false };
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).is_ok_and(|read| read == length)
}

/// Reads the head of a request and nothing behind it. Gives the body's length.
pub(crate) fn read_request_head(stream: &mut impl Read) -> Option<u64> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
}

/// Reads one request, head and body.
pub(crate) fn read_request_text(stream: &mut impl Read) -> Option<String> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    stream.take(length).read_to_end(&mut request).ok()?;
    String::from_utf8(request).ok()
}

/// Writes; an engine that has closed meanwhile is no failure of the script's.
pub(crate) fn say(stream: &mut impl std::io::Write, bytes: impl AsRef<[u8]>) {
    let _ = stream.write_all(bytes.as_ref()).and_then(|()| stream.flush());
}

/// Reads to the end of the connection; whether that was a reset.
pub(crate) fn await_end(stream: &mut impl Read) -> bool {
    let end = std::io::copy(stream, &mut std::io::sink());
    end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Answers every request of a connection with a body of its own: the connection's number.
pub(crate) fn answer_all(number: usize, mut stream: TcpStream) {
    while read_request(&mut stream) {
        say(&mut stream, whole(&number.to_string()));
    }
}

/// A reply with `body`.
pub(crate) fn whole(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Sockets whose other end is `address`, but for those that only wait for their number to be free again: a port may have
/// been another test's before.
pub(crate) fn sockets_to(address: SocketAddr) -> usize {
    const TIME_WAIT: &str = "06";
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let port = format!(":{:04X}", address.port());
    let open = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[2].ends_with(&port) && fields[3] != TIME_WAIT
    };
    table.lines().skip(1).filter(open).count()
}

pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A network's time, on a machine that is busy with other things.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(50);
/// Longer than anything that is waited for takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
