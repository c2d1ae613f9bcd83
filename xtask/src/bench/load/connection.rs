//! One keep-alive connection to the gateway under test.

use crate::bench::http1::ResponseReader;
use anyhow::{Result, bail};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection with at most one exchange at a time.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
    /// Bytes at the start of the buffer that the reader has not used yet.
    filled: usize,
}

impl Connection {
    pub(crate) async fn open(socket: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(socket).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER].into_boxed_slice(), filled: 0 })
    }

    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Reads once and hands it to `reader`.
    pub(crate) async fn advance(&mut self, reader: &mut ResponseReader) -> Result<()> {
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        if room.is_empty() {
            bail!("a response head of more than {BUFFER} bytes");
        }
        let read = self.stream.read(room).await?;
        if read == 0 {
            bail!("closed within a response");
        }
        let end = self.filled + read;
        let used = reader.feed(self.buffer.get(..end).unwrap_or_default())?;
        if reader.is_done() && used < end {
            bail!("bytes behind the end of a response");
        }
        self.buffer.copy_within(used..end, 0);
        self.filled = end - used;
        Ok(())
    }

    /// Sends a request and reads its whole response.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<ResponseReader> {
        let mut reader = ResponseReader::default();
        self.send(request).await?;
        while !reader.is_done() {
            self.advance(&mut reader).await?;
        }
        Ok(reader)
    }

    /// The bare socket, for a stream that is only held: without the buffer.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// Larger than any reply here, so that a read that fills it, after which the socket is asked again, is rare.
const BUFFER: usize = 16 * 1024;
