//! Asking the mock backend how many streams it holds.

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The mock's levels, as it tells them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    pub(crate) connections_max: u64,
    pub(crate) held: u64,
    pub(crate) requests: u64,
}

impl Stats {
    /// Asks the mock; the highest levels start anew with each question.
    pub(crate) async fn ask(mock: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect(mock).await?;
        stream.write_all(b"GET /stats HTTP/1.1\r\nhost: mock\r\n\r\n").await?;
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await?;
        answer.truncate(read);
        let start = memchr::memmem::find(&answer, b"\r\n\r\n").context("the mock sent no whole head")?;
        let levels: serde_json::Value = serde_json::from_slice(answer.get(start + 4..).unwrap_or_default())?;
        let level = |name: &str| levels.get(name).and_then(serde_json::Value::as_u64).context("not a level");
        Ok(Self {
            // Less the one that asks.
            connections_max: level("connections_max")?.saturating_sub(1),
            held: level("held")?,
            requests: level("requests")?,
        })
    }

    /// Whether the mock comes to hold no stream before `patience` is over.
    pub(crate) async fn held_reaches_zero(mock: SocketAddr, patience: Duration) -> bool {
        let all_closed = async {
            while Self::ask(mock).await.is_ok_and(|stats| stats.held > 0) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(patience, all_closed).await.is_ok()
    }
}
