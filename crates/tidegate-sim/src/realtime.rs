//! A realtime session: WebSocket (RFC 6455) as a server speaks it, written by hand so that half a frame can be sent and a close
//! frame be left unread.
//!
//! The peer's goodbye is its close: `closed` reads on while something is written or waited for, and puts away what else comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

use crate::journal::{Call, ClosedHow, Phase};
use crate::plan::Head;
use crate::play::{End, Outlet, play};
use crate::provider::realtime::{Script, goodbye, pong};
use crate::socket::{Tcp, Transport, closed_by};

/// The head of the answer to a request that asks for WebSocket; `None` if it does not.
pub(crate) fn switching(headers: &HeaderMap) -> Option<String> {
    let has = |name: &str, token: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    let key = headers.get("sec-websocket-key")?;
    if !has("upgrade", "websocket") || !has("connection", "upgrade") || !has("sec-websocket-version", "13") {
        return None;
    }
    let accept = STANDARD.encode(Sha1::new().chain_update(key.as_bytes()).chain_update(GUID).finalize());
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    ))
}

/// Plays a session, whose 101 has been sent, to its end. `read` is what has come behind its request.
pub(crate) async fn serve(
    transport: &mut Transport,
    tcp: &Tcp,
    read: &mut BytesMut,
    mut script: Script,
    call: &Call,
) {
    if script.never_reads() {
        call.phase(Phase::ReadingRequest);
        return call.closed(tcp.closed().await);
    }
    let (reader, writer) = tokio::io::split(transport);
    let reader = Reader {
        half: reader,
        tcp: tcp.clone(),
        read: read.split(),
        messages: VecDeque::new(),
        message: None,
    };
    let mut session = Session { reader, writer, tcp: tcp.clone() };
    if let Err(how) = session.run(&mut script, call).await {
        call.closed(how);
        if matches!(how, ClosedHow::Goodbye(_)) {
            // The peer may take no more of what there is, or not wait for it.
            let words = async {
                session.writer.write_all(&goodbye(1000)).await?;
                session.writer.shutdown().await
            };
            let _gone = tokio::time::timeout(FAREWELL, words).await;
        }
    }
}

struct Session<'a> {
    reader: Reader<'a>,
    writer: WriteHalf<&'a mut Transport>,
    tcp: Tcp,
}

impl Session<'_> {
    /// An error is how the peer closed; without one, this side has ended the session.
    async fn run(&mut self, script: &mut Script, call: &Call) -> Result<(), ClosedHow> {
        self.send(&script.hello()).await?;
        loop {
            let message = match self.reader.message().await? {
                Said::Message(message) => message,
                Said::Ping(words) => {
                    self.send(&pong(&words)).await?;
                    continue;
                }
            };
            for frame in script.answers(&message, call) {
                self.send(&frame).await?;
            }
            let Some(plan) = script.response(&message, call) else { continue };
            let close = script.close_after(&plan);
            if play(&plan, self, call).await? == End::Cut {
                return Ok(());
            }
            if let Some(code) = close {
                self.send(&goodbye(code)).await?;
                // Its answer, or its end.
                let _how = tokio::time::timeout(LAST_WORDS, self.reader.closed()).await;
                return Ok(());
            }
        }
    }

    async fn send(&mut self, frame: &[u8]) -> Result<(), ClosedHow> {
        tokio::select! {
            biased;
            how = self.reader.closed() => Err(how),
            sent = self.writer.write_all(frame) => sent.map_err(|error| closed_by(&error)),
        }
    }
}

impl Outlet for Session<'_> {
    async fn closed(&mut self) -> ClosedHow {
        self.reader.closed().await
    }

    async fn head(&mut self, _: &Head, _: Option<usize>) -> Result<(), ClosedHow> {
        Ok(())
    }

    async fn whole(&mut self, _: &Head, body: &[u8]) -> Result<(), ClosedHow> {
        self.send(body).await
    }

    async fn write(&mut self, bytes: &[u8], call: &Call, deaf: bool) -> Result<(), ClosedHow> {
        let written = std::future::poll_fn(|cx| match Pin::new(&mut self.writer).poll_write(cx, bytes) {
            Poll::Pending => Poll::Ready(Ok(0)),
            done => done,
        });
        let written = written.await.map_err(|error| closed_by(&error))?;
        let rest = bytes.get(written..).unwrap_or_default();
        if !rest.is_empty() {
            call.phase(Phase::Blocked);
        }
        let write = async {
            self.writer.write_all(rest).await?;
            self.writer.flush().await
        };
        tokio::select! {
            biased;
            how = self.reader.closed(), if !deaf => Err(how),
            result = write => result.map_err(|error| closed_by(&error)),
        }
    }

    async fn end(&mut self) -> Result<(), ClosedHow> {
        Ok(())
    }

    fn reset(&mut self) {
        self.tcp.reset_on_close();
    }
}

/// What a peer says and an answer may be due to.
enum Said {
    Message(Bytes),
    Ping(Vec<u8>),
}

struct Reader<'a> {
    half: ReadHalf<&'a mut Transport>,
    tcp: Tcp,
    read: BytesMut,
    /// Whole messages that nobody has asked for yet.
    messages: VecDeque<Said>,
    /// The beginning of one whose end has not come.
    message: Option<Vec<u8>>,
}

impl Reader<'_> {
    /// The next message or ping. An error is how the peer closed.
    async fn message(&mut self) -> Result<Said, ClosedHow> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            self.take()?;
            if self.messages.is_empty() {
                self.fill().await?;
            }
        }
    }

    /// Waits until the peer has said goodbye or closed. Nothing is lost when it is dropped and asked again.
    async fn closed(&mut self) -> ClosedHow {
        loop {
            if let Err(how) = self.take() {
                return how;
            }
            if self.messages.len() > MOST_MESSAGES {
                return self.tcp.closed().await;
            }
            if let Err(how) = self.fill().await {
                return how;
            }
        }
    }

    async fn fill(&mut self) -> Result<(), ClosedHow> {
        self.read.reserve(4096);
        tokio::select! {
            biased;
            read = self.half.read_buf(&mut self.read) => match read {
                Ok(0) => Err(ClosedHow::Fin),
                Ok(_) => Ok(()),
                Err(error) => Err(closed_by(&error)),
            },
            how = self.tcp.closed() => Err(how),
        }
    }

    /// Takes whole frames off what has been read.
    fn take(&mut self) -> Result<(), ClosedHow> {
        while let Some((first, payload)) = take_frame(&mut self.read) {
            match first & 0x0f {
                8 => {
                    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                    return Err(ClosedHow::Goodbye(code));
                }
                0..=2 => {
                    let message = self.message.get_or_insert_default();
                    message.extend_from_slice(&payload);
                    if first & 0x80 != 0 {
                        self.messages
                            .extend(self.message.take().map(|message| Said::Message(message.into())));
                    }
                }
                9 => self.messages.push_back(Said::Ping(payload)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Takes one frame off `read`, if it is whole: its first byte, and its payload without the mask.
fn take_frame(read: &mut BytesMut) -> Option<(u8, Vec<u8>)> {
    let (first, second) = (*read.first()?, *read.get(1)?);
    let (extended, length) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes(*read.get(2..4)?.first_chunk()?))),
        127 => (8, u64::from_be_bytes(*read.get(2..10)?.first_chunk()?)),
        length => (0, u64::from(length)),
    };
    let masked = second & 0x80 != 0;
    let head: usize = 2 + extended + if masked { 4 } else { 0 };
    let length = usize::try_from(length).ok()?;
    let payload = read.get(head..head.checked_add(length)?)?;
    let mask: [u8; 4] = if masked { *read.get(head - 4..head)?.first_chunk()? } else { [0; 4] };
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    read.advance(head + length);
    Some((first, payload))
}

/// RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// How long a peer that has said goodbye may take to take the answer.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the answer to a close frame is waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Messages that are put away while an answer is played: no more are read then.
const MOST_MESSAGES: usize = 1024;
