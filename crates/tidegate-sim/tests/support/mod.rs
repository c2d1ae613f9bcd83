//! A raw client for the tests: it writes requests as bytes, reads responses as bytes, and closes in every way there is.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::allow_attributes, reason = "what is dead differs from one test binary to the next")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const SECONDS: Duration = Duration::from_secs(5);

/// One HTTP/1.1 connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) read: Vec<u8>,
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The body with the transfer coding undone.
    pub(crate) body: Vec<u8>,
    /// The chunks of a chunked body; empty otherwise.
    pub(crate) chunks: Vec<Vec<u8>>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn text_lossy(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The JSON of each SSE event, without `[DONE]`.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        let data = text.split("\n\n").filter(|event| !event.is_empty());
        // Anthropic's have a name in front.
        let data = data.map(|event| event.split_once('\n').map_or(event, |(_, data)| data));
        data.map(|event| event.strip_prefix("data: ").expect("every event is one data line"))
            .filter(|data| *data != "[DONE]")
            .map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(crate) async fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads more; false at the end of the connection.
    pub(crate) async fn fill(&mut self) -> std::io::Result<bool> {
        let read = tokio::time::timeout(SECONDS, self.stream.read_buf(&mut self.read)).await;
        Ok(read.expect("the simulator says nothing")? > 0)
    }

    /// Reads until `bytes` has been seen.
    pub(crate) async fn read_until(&mut self, bytes: &[u8]) {
        while !self.read.windows(bytes.len()).any(|window| window == bytes) {
            assert!(self.fill().await.unwrap(), "closed before {:?}", String::from_utf8_lossy(bytes));
        }
    }

    /// Reads one whole response.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.read_until(b"\r\n\r\n").await;
        let end = self.read.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let rest = self.read.split_off(end);
        let head = String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer { status, headers, body: Vec::new(), chunks: Vec::new() };
        if answer.header("transfer-encoding").is_some() {
            self.read_chunks(&mut answer).await;
        } else {
            let length: usize = answer.header("content-length").unwrap().parse().unwrap();
            while self.read.len() < length {
                assert!(self.fill().await.unwrap(), "body cut short");
            }
            answer.body = self.read.drain(..length).collect();
        }
        answer
    }

    async fn read_chunks(&mut self, answer: &mut Answer) {
        loop {
            let line = loop {
                if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                    break end;
                }
                assert!(self.fill().await.unwrap(), "body cut short");
            };
            let size = usize::from_str_radix(std::str::from_utf8(&self.read[..line]).unwrap(), 16).unwrap();
            while self.read.len() < line + 2 + size + 2 {
                assert!(self.fill().await.unwrap(), "body cut short");
            }
            let chunk: Vec<u8> = self.read.drain(..line + 2 + size + 2).skip(line + 2).take(size).collect();
            if size == 0 {
                return;
            }
            answer.body.extend_from_slice(&chunk);
            answer.chunks.push(chunk);
        }
    }

    /// Closes with an RST.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A request with a right credential for its path. `scenario` goes into the header.
pub(crate) fn request(path: &str, scenario: &str, body: &str) -> String {
    let credential = match path {
        _ if path.starts_with("/model/") => SIGV4.to_owned(),
        _ if path.starts_with("/openai/") => "api-key: 0123456789abcdef".to_owned(),
        _ => "authorization: Bearer sk-simulated".to_owned(),
    };
    request_with(path, &format!("{credential}\r\nx-sim-scenario: {scenario}"), body)
}

/// A request with these header lines.
pub(crate) fn request_with(path: &str, lines: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{lines}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Does one exchange on a connection of its own.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request).await;
    client.answer().await
}

pub(crate) const OPENAI: &str = "/v1/chat/completions";
pub(crate) const AZURE: &str =
    "/openai/deployments/gpt-4o-mini/chat/completions?api-version=2024-12-01-preview";
pub(crate) const AZURE_V1: &str = "/openai/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const RESPONSES: &str = "/v1/responses";
pub(crate) const CONVERSE: &str = "/model/us.amazon.nova-micro-v1%3A0/converse";
pub(crate) const CONVERSE_STREAM: &str = "/model/us.amazon.nova-micro-v1%3A0/converse-stream";

pub(crate) const STREAM: &str = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Say something."}]}"#;
pub(crate) const WHOLE: &str =
    r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say something."}]}"#;
pub(crate) const RESPOND: &str = r#"{"model":"gpt-4o-mini","input":"Say something."}"#;
pub(crate) const RESPOND_STREAM: &str = r#"{"model":"gpt-4o-mini","stream":true,"input":"Say something."}"#;
pub(crate) const BEDROCK: &str = r#"{"messages":[{"role":"user","content":[{"text":"Say something."}]}]}"#;

/// The providers' streaming paths, each with a body.
pub(crate) const STREAMS: [(&str, &str); 5] = [
    (OPENAI, STREAM),
    (AZURE, STREAM),
    (CONVERSE_STREAM, BEDROCK),
    (MESSAGES, STREAM),
    (RESPONSES, RESPOND_STREAM),
];
/// The providers' non-streaming paths, each with a body.
pub(crate) const WHOLES: [(&str, &str); 5] =
    [(OPENAI, WHOLE), (AZURE, WHOLE), (CONVERSE, BEDROCK), (MESSAGES, WHOLE), (RESPONSES, RESPOND)];

const SIGV4: &str = "x-amz-date: 20261122T101112Z\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKIASIMULATED/20261122/us-east-1/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
