//! A caller on a blocking socket, with or without TLS.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde_json::Value;

pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// One HTTP/1.1 connection to the gateway.
pub(crate) struct Caller<S = TcpStream> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body with the transfer coding undone.
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn error_code(&self) -> Value {
        self.json()["error"]["code"].clone()
    }

    /// The data of each SSE event, comments left out; fails if anything is neither.
    pub(crate) fn events(&self) -> Vec<String> {
        let blocks = self.text().split("\n\n").filter(|block| !block.is_empty());
        let data = blocks.filter(|block| !block.starts_with(':'));
        data.map(|block| block.strip_prefix("data: ").expect("one data line").to_owned()).collect()
    }

    /// The text of a streamed answer.
    pub(crate) fn streamed_text(&self) -> String {
        let chunks = self.events().into_iter().filter(|data| data != "[DONE]");
        let chunks = chunks.map(|data| serde_json::from_str::<Value>(&data).expect("JSON"));
        chunks.filter_map(|c| c["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
    }
}

impl Caller {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        Self::on(stream)
    }

    /// A caller whose kernel takes only a few kilobytes that it has not read.
    pub(crate) fn with_small_buffer(address: SocketAddr) -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
        socket.set_recv_buffer_size(2048).expect("a small buffer");
        socket.connect(&address.into()).expect("a connection");
        Self::on(socket.into())
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(SILENCE)).expect("a read timeout");
        Self { stream, read: Vec::new() }
    }

    /// Sends FIN; the socket stays.
    pub(crate) fn fin(&self) {
        self.stream.shutdown(Shutdown::Write).expect("FIN");
    }

    /// Sends RST.
    pub(crate) fn rst(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }
}

impl Caller<Tls> {
    pub(crate) fn connect_tls(address: SocketAddr, pem: &str, protocols: &[&str]) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(tls_client(pem, protocols), name).expect("a TLS client");
        let stream = Caller::connect(address).stream;
        let mut stream = StreamOwned::new(client, stream);
        // Completes the handshake.
        stream.flush().expect("TLS");
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).expect("a handshake");
        }
        Self { stream, read: Vec::new() }
    }

    pub(crate) fn agreed(&self) -> Option<&[u8]> {
        self.stream.conn.alpn_protocol()
    }
}

/// Trusts `pem` and offers `protocols`.
pub(crate) fn tls_client(pem: &str, protocols: &[&str]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.expect("PEM")).expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

impl<S: Read + Write> Caller<S> {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
        self.stream.flush().expect("sent");
    }

    /// Reads more; false at the end of the connection, however it came.
    fn fill(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                read > 0
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the gateway says nothing after {:?}", String::from_utf8_lossy(&self.read))
            }
            Err(_) => false,
        }
    }

    /// Reads until `bytes` has come.
    pub(crate) fn read_until(&mut self, bytes: &str) {
        while !self.read.windows(bytes.len()).any(|window| window == bytes.as_bytes()) {
            let open = self.fill();
            assert!(open, "closed before {bytes:?}: {:?}", String::from_utf8_lossy(&self.read));
        }
    }

    /// What has been read and not been taken by an answer.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.read
    }

    /// Reads until the gateway closes.
    pub(crate) fn await_close(&mut self) {
        while self.fill() {}
    }

    /// Reads so many bytes; none if the connection ends before.
    pub(crate) fn exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if !self.fill() {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// Reads one response.
    pub(crate) fn answer(&mut self) -> Answer {
        self.read_until("\r\n\r\n");
        let end = self.read.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let rest = self.read.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.read, rest)).expect("UTF-8");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut answer = Answer { status, head, body: Vec::new(), whole: false };
        if answer.header("transfer-encoding").is_some() {
            self.read_chunks(&mut answer);
        } else {
            let length = answer.header("content-length").map_or(0, |length| length.parse().expect("length"));
            while self.read.len() < length && self.fill() {}
            answer.whole = self.read.len() >= length;
            answer.body = self.read.drain(..length.min(self.read.len())).collect();
        }
        answer
    }

    fn read_chunks(&mut self, answer: &mut Answer) {
        loop {
            let line = loop {
                if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                if !self.fill() {
                    return;
                }
            };
            let size = std::str::from_utf8(&self.read[..line]).expect("a chunk's size");
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            while self.read.len() < line + 2 + size + 2 {
                if !self.fill() {
                    return;
                }
            }
            let chunk: Vec<u8> = self.read.drain(..line + 2 + size + 2).skip(line + 2).take(size).collect();
            if size == 0 {
                answer.whole = true;
                return;
            }
            answer.body.extend_from_slice(&chunk);
        }
    }
}

/// How long a caller waits for the gateway to say something.
const SILENCE: Duration = Duration::from_secs(10);
