//! What the handlers of one worker share: where calls go, how, and who writes them down.

use std::{sync::Arc, time::Duration};

use tidegate_engine::{Engine, Recorder};
use tidegate_wire::auth::Secret;

use crate::{config::Targets, record::Metrics};

/// One worker's view of the gateway. Everything but the engine is shared by all workers.
pub(crate) struct Gateway {
    pub(crate) engine: Engine,
    pub(crate) targets: Arc<Targets>,
    pub(crate) master_key: Option<Secret>,
    pub(crate) recorder: Arc<dyn Recorder>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    /// Between SSE comments while a backend is silent; zero: none.
    pub(crate) heartbeat: Duration,
    pub(crate) readiness: crate::run::Readiness,
}

/// Bounds on what a caller may send, and how slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Request body, in bytes.
    pub body_bytes: usize,
    /// Request head, in bytes.
    pub header_bytes: usize,
    /// From the connection, or from its first byte after the last request, to the end of the head.
    pub header_time: Duration,
    /// From the head to the end of the body.
    pub body_time: Duration,
    /// Between requests on one connection.
    pub idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Several images or a long document in base64.
            body_bytes: 32 * 1024 * 1024,
            header_bytes: 64 * 1024,
            header_time: Duration::from_secs(10),
            body_time: Duration::from_secs(60),
            // Above the 60 s of common load balancers, so that they close first and no request meets a closing socket.
            idle_time: Duration::from_secs(75),
        }
    }
}
