//! The backend of the benchmark: a small, fast, OpenAI-shaped HTTP/1.1 server in a process of its own.
//!
//! Started by the benchmark as `xtask mock-backend`, on the core for load. Keeps connections alive, sends without
//! delay (TCP_NODELAY), parses no JSON: the model's name in the body chooses the reply. `GET /stats` tells how many
//! connections there were at most and how many streams are held.

use super::http1::{BodyDecoder, MOST_HEADERS};
use super::payload::{Model, stream_pieces, unary_reply};
use anyhow::{Context, Result, bail};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Serves on a free port of the loopback, prints the port, and ends when standard input does.
pub(crate) fn run() -> Result<ExitCode> {
    super::process::raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = bind()?;
        println!("{}", listener.local_addr()?.port());
        tokio::select! {
            () = serve(listener) => {}
            () = parent_gone() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn bind() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    Ok(socket.listen(BACKLOG)?)
}

/// Waits on a thread for the end of standard input, which is when the benchmark has gone.
async fn parent_gone() {
    let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    // However the wait ended, nobody is left to serve.
    let _how = ended.await;
}

/// Accepts until dropped; dropping it closes every connection.
pub(crate) async fn serve(listener: TcpListener) {
    let shared = Arc::new(Shared::default());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors: those that end make room.
                let Ok((stream, _)) = accepted else { tokio::task::yield_now().await; continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let _open = Gauge::enter(&shared.connections);
                    // A peer that goes away is the normal end of a connection here.
                    let _end = Connection::new(stream, &shared).run().await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Shared {
    unary: Vec<u8>,
    stream: Vec<Vec<u8>>,
    stream_with_usage: Vec<Vec<u8>>,
    connections: Level,
    held: Level,
    requests: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            unary: unary_reply(),
            stream: stream_pieces(false),
            stream_with_usage: stream_pieces(true),
            connections: Level::default(),
            held: Level::default(),
            requests: AtomicU64::new(0),
        }
    }
}

impl Shared {
    /// The levels as JSON; the highest one counts from the last time that it was asked for.
    fn stats(&self) -> Vec<u8> {
        let body = serde_json::json!({
            "connections_max": self.connections.take_max(),
            "held": self.held.now(),
            "requests": self.requests.load(Ordering::Relaxed),
        })
        .to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

struct Connection<'shared> {
    stream: TcpStream,
    shared: &'shared Shared,
    buffer: Vec<u8>,
    /// Payload of the current request's body.
    body: Vec<u8>,
}

impl<'shared> Connection<'shared> {
    fn new(stream: TcpStream, shared: &'shared Shared) -> Self {
        Self { stream, shared, buffer: Vec::with_capacity(BUFFER), body: Vec::with_capacity(BUFFER) }
    }

    async fn run(mut self) -> Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(is_post) = self.read_request().await? {
            self.shared.requests.fetch_add(1, Ordering::Relaxed);
            match Model::of_body(&self.body) {
                _ if !is_post => self.stream.write_all(&self.shared.stats()).await?,
                Some(Model::Unary) => self.stream.write_all(&self.shared.unary).await?,
                Some(Model::Stream) => self.send_stream(Duration::ZERO).await?,
                Some(Model::FirstThenRest) => self.send_stream(AFTER_FIRST).await?,
                Some(Model::Held) => return self.hold().await,
                None => self.stream.write_all(NO_SUCH_MODEL).await?,
            }
        }
        Ok(())
    }

    /// Reads one request; whether it has a body. `None` when the peer closed between two.
    async fn read_request(&mut self) -> Result<Option<bool>> {
        self.body.clear();
        let mut decoder = loop {
            if let Some((length, decoder)) = parse_head(&self.buffer)? {
                self.buffer.drain(..length);
                break decoder;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        };
        let is_post = !matches!(decoder, BodyDecoder::Done);
        loop {
            let body = &mut self.body;
            let used = decoder.feed(&self.buffer, |payload| body.extend_from_slice(payload))?;
            self.buffer.drain(..used);
            if matches!(decoder, BodyDecoder::Done) {
                return Ok(Some(is_post));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                bail!("closed within a body");
            }
        }
    }

    fn pieces(&self) -> &'shared [Vec<u8>] {
        let asked = USAGE_ASKED.iter().any(|asked| memchr::memmem::find(&self.body, asked).is_some());
        if asked { &self.shared.stream_with_usage } else { &self.shared.stream }
    }

    async fn send_stream(&mut self, after_first: Duration) -> Result<()> {
        for (index, piece) in self.pieces().iter().enumerate() {
            if index == 1 && !after_first.is_zero() {
                tokio::time::sleep(after_first).await;
            }
            self.stream.write_all(piece).await?;
            // Others go first, so that concurrent streams interleave as they do from a real backend.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Sends the first chunk and waits for the peer to close.
    async fn hold(mut self) -> Result<()> {
        // Held streams come in thousands; their buffers are not needed any more.
        self.buffer = Vec::new();
        let first = self.pieces().first().context("a stream has a first piece")?;
        self.body = Vec::new();
        let _held = Gauge::enter(&self.shared.held);
        self.stream.write_all(first).await?;
        let mut ignored = [0; 64];
        while self.stream.read(&mut ignored).await? > 0 {}
        Ok(())
    }
}

/// The length of a complete head and how its body ends; a request that names no length has none.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, BodyDecoder)>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes)? else { return Ok(None) };
    Ok(Some((length, BodyDecoder::of(head.headers).unwrap_or(BodyDecoder::Done))))
}

/// A number that goes up and down, and the most it has been.
#[derive(Default)]
struct Level {
    now: AtomicU64,
    max: AtomicU64,
}

impl Level {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn take_max(&self) -> u64 {
        self.max.swap(self.now(), Ordering::Relaxed)
    }
}

/// One of what a level counts, for as long as it lives.
struct Gauge<'level>(&'level Level);

impl<'level> Gauge<'level> {
    fn enter(level: &'level Level) -> Self {
        let now = level.now.fetch_add(1, Ordering::Relaxed) + 1;
        level.max.fetch_max(now, Ordering::Relaxed);
        Self(level)
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Long enough for the first chunk to reach the caller through any gateway that is worth measuring.
const AFTER_FIRST: Duration = Duration::from_millis(2);
const BUFFER: usize = 4096;
/// Thousands of streams are opened at once; the kernel cuts this to its own limit.
const BACKLOG: u32 = 8192;
const USAGE_ASKED: [&[u8]; 2] = [b"\"include_usage\":true", b"\"include_usage\": true"];
const NO_SUCH_MODEL: &[u8] =
    b"HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 51\r\n\r\n\
    {\"error\":{\"message\":\"no such model\",\"code\":\"404\"} }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_error_is_as_long_as_it_says() {
        let (head, body) = std::str::from_utf8(NO_SUCH_MODEL).unwrap().split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
