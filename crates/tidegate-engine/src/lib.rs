//! The exchange with a backend: one call sent, one reply read, under the hang-up contract.
//!
//! [`Engine::start`] takes what `tidegate-wire` prepared, connects or takes a pooled connection, signs, sends, and waits for
//! the response head; [`Exchange`] is the reply and owns the connection. Dropping either one closes the backend: an
//! HTTP/1.1 socket is closed before the drop returns, an HTTP/2 stream is reset. The [`Meter`] inside settles the call from its
//! own `Drop`, after the connection is gone, exactly once. [`Engine::open_session`] does the same for a session over
//! WebSocket, and [`Session`] is its backend's side.
//!
//! No vendor is named here but where credentials come from, and no lock is held across an await. Nothing is spawned on the
//! request path, with two exceptions that belong to no one call: the driver of a shared HTTP/2 connection
//! (`connection/h2.rs`) and the task that keeps a credential fresh (`credentials/renewed.rs`). Called by the SDK crate and by
//! the gateway.

mod addresses;
pub mod clocks;
mod connect;
mod connection;
pub mod credentials;
mod exchange;
mod fetch;
mod meter;
mod pool;
mod session;

use std::{sync::Arc, time::Duration};

use tidegate_wire::{WireError, host::Endpoint};

pub use clocks::{Clock, Clocks};
pub use connect::{ConnectOptions, HttpVersion};
pub use connection::Headers;
pub use credentials::Credentials;
pub use exchange::Exchange;
pub use fetch::{FetchRules, Fetched, Fetcher};
pub use meter::{CallRecord, Cause, HangUp, Meter, Outcome, Provenance, Recorder};
pub use pool::Origin;
pub use session::{Ended, Received, Session};

/// Connections and the means to make them. Cheap to clone; clones share the pool.
///
/// An engine belongs to the runtime that it is used in: its pooled connections are registered there. The gateway has one
/// for each worker thread.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineInner>,
}

pub(crate) struct EngineInner {
    pub(crate) connector: connect::Connector,
    pub(crate) pool: Arc<pool::Pool>,
}

/// A backend that calls can be sent to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where, and how to talk there.
    pub endpoint: Endpoint,
    /// How to authenticate there.
    pub credentials: Credentials,
    /// Deadlines.
    pub clocks: Clocks,
    /// HTTP version to speak.
    pub http: HttpVersion,
    /// Scheme and authority of `endpoint.base_url`: what connections are pooled by.
    pub origin: Origin,
}

impl Target {
    /// A target with default deadlines that negotiates its HTTP version.
    ///
    /// # Errors
    /// `endpoint.base_url` is not an absolute `http` or `https` URL.
    pub fn new(endpoint: Endpoint, credentials: Credentials) -> Result<Self, WireError> {
        let origin = Origin::of(&endpoint.base_url)?;
        Ok(Self { endpoint, credentials, clocks: Clocks::default(), http: HttpVersion::Auto, origin })
    }
}

impl Engine {
    /// An engine with `options`.
    ///
    /// # Errors
    /// A custom CA can't be read, or the system's certificate store is unusable.
    pub fn new(options: &ConnectOptions) -> Result<Self, WireError> {
        let connector = connect::Connector::new(options)?;
        Ok(Self {
            inner: Arc::new(EngineInner { connector, pool: Arc::new(pool::Pool::new(options.idle_timeout)) }),
        })
    }

    /// Closes pooled connections that have been idle for too long or whose peer has gone: looks at a few of them, and goes
    /// on where it stopped when it is called again. Called now and then by whoever owns the runtime; some are also closed
    /// when connections are given back.
    ///
    /// Says whether there are more to be looked at soon.
    pub fn sweep(&self) -> bool {
        self.inner.pool.sweep()
    }

    /// Number of idle connections in the pool.
    pub fn idle_connections(&self) -> usize {
        self.inner.pool.idle()
    }
}

/// How long an idle connection is kept: below the 100 to 120 s at which the providers' front ends close theirs.
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(90);
