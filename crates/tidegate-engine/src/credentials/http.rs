//! Requests to the servers that issue tokens, over the engine's own connections: the same TLS, certificates and proxies as for
//! backends, and no second HTTP client.
//!
//! One request, one connection: a token is fetched once an hour, and may be fetched from another runtime the next time. The
//! metadata services of the clouds are never asked through a proxy. Called by the sources of credentials.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use tidegate_wire::{ErrorClass, WireError, http1::HeadReader, outbound::Outbound};

use crate::{
    ConnectOptions, Engine, HttpVersion, Origin,
    connection::{Connection, Home},
    pool::Pool,
};

/// A client for token requests. Nothing is opened before it is used.
pub struct TokenClient {
    options: ConnectOptions,
    engine: OnceLock<Engine>,
    direct: OnceLock<Engine>,
}

/// A whole reply.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl TokenClient {
    /// A client that connects by `options`.
    pub fn new(options: &ConnectOptions) -> Self {
        Self { options: options.clone(), engine: OnceLock::new(), direct: OnceLock::new() }
    }

    /// Sends a request and reads the whole reply. The caller bounds the time.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, WireError> {
        let uri: Uri = url.parse().map_err(|_| failed("the address of the token server is no URL"))?;
        let origin = Origin::of(url)?;
        let metadata = uri.host().is_some_and(|host| METADATA.contains(&host));
        let engine = self.engine(metadata)?;
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let outbound = Outbound { method, uri, headers, body };
        engine.fetch(&origin, outbound).await
    }

    fn engine(&self, direct: bool) -> Result<&Engine, WireError> {
        let cell = if direct { &self.direct } else { &self.engine };
        if let Some(engine) = cell.get() {
            return Ok(engine);
        }
        let proxy_from_env = self.options.proxy_from_env && !direct;
        let made = Engine::new(&ConnectOptions { proxy_from_env, ..self.options.clone() })?;
        Ok(cell.get_or_init(|| made))
    }
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient").finish_non_exhaustive()
    }
}

impl Engine {
    async fn fetch(&self, origin: &Origin, outbound: Outbound) -> Result<Reply, WireError> {
        let Connection::H1(connection) = self.inner.connector.connect(origin, HttpVersion::Http1).await?
        else {
            return Err(failed("the token server wants HTTP/2"));
        };
        // Its own: a connection that is kept belongs to a runtime.
        let home = Home { pool: Arc::new(Pool::new(Duration::ZERO)), origin: origin.clone() };
        let sent = connection
            .send(self.h1_head(origin, &outbound), outbound.body, home, HeadReader::default())
            .await?;
        let Ok((head, mut body)) = sent else {
            return Err(failed("the token server closed the connection before the request was sent"));
        };
        let mut whole = BytesMut::new();
        while let Some(piece) = std::future::poll_fn(|cx| body.poll_data(cx)).await {
            whole.extend_from_slice(&piece?);
            if whole.len() > MOST {
                return Err(failed("the token server's reply is too long"));
            }
        }
        Ok(Reply { status: head.status, headers: head.headers.into_map(), body: whole.freeze() })
    }
}

fn failed(why: &str) -> WireError {
    WireError::new(ErrorClass::Connect, why)
}

/// The clouds' metadata services, by address and by name.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "[fd00:ec2::254]",
    // Of ECS and EKS.
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
    "metadata.google.internal",
];
/// Of a reply's body, in bytes: tokens are a few kilobytes.
const MOST: usize = 1024 * 1024;
