//! Held streams: calls that have their first token and then wait for the next, which never comes.

use super::connection::Connection;
use crate::bench::http1::ResponseReader;
use crate::bench::payload::{Address, Model};
use anyhow::{Result, bail};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Streams that are open now. Dropping this hangs up on all of them.
#[derive(Default)]
pub(crate) struct HeldStreams {
    streams: Vec<TcpStream>,
    pub(crate) first_error: Option<String>,
}

impl HeldStreams {
    /// Opens streams until `count` are held or no time is left; how many are held tells what the gateway allows.
    pub(crate) async fn grow_to(&mut self, address: &Address, count: usize) {
        let request: Arc<[u8]> = address.request(Model::Held).into();
        let mut opening = JoinSet::new();
        let mut wanted = count.saturating_sub(self.streams.len());
        let deadline = tokio::time::Instant::now() + OPEN_WITHIN;
        loop {
            while wanted > 0 && opening.len() < OPENING_AT_ONCE {
                opening.spawn(open(address.socket, Arc::clone(&request)));
                wanted -= 1;
            }
            match tokio::time::timeout_at(deadline, opening.join_next()).await {
                Ok(Some(Ok(Ok(stream)))) => self.streams.push(stream),
                Ok(Some(Ok(Err(error)))) => {
                    self.first_error.get_or_insert_with(|| format!("{error:#}"));
                }
                Ok(Some(Err(_panicked))) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }
}

/// Opens one stream and reads up to its first event.
async fn open(socket: std::net::SocketAddr, request: Arc<[u8]>) -> Result<TcpStream> {
    let mut connection = Connection::open(socket).await?;
    let mut reader = ResponseReader::default();
    connection.send(&request).await?;
    while reader.events() == 0 {
        connection.advance(&mut reader).await?;
        if reader.is_done() {
            bail!("status {} and no event", reader.status());
        }
    }
    Ok(connection.into_stream())
}

/// Enough to keep both cores busy; more would only queue in the listener.
const OPENING_AT_ONCE: usize = 64;
/// nginx opens 5,000 in half a second; a gateway in Python needs its time.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
